"""The capability that a user gives an agent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from functools import partial
from typing import Any, ClassVar, Final, Literal

from pydantic_ai.agent import EventStreamHandler
from pydantic_ai.capabilities import WrapRunHandler, WrapToolExecuteHandler
from pydantic_ai.durable_exec import (
    JSON_CODEC,
    BaseDurabilityCapability,
    DurabilityEngineSpec,
    DurableOperationId,
    RoleBasedOperationConfig,
    conversation_id_from_run_id,
)
from pydantic_ai.exceptions import AgentRunError, UserError
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.models import Model, ModelRequestContext
from pydantic_ai.run import AgentRunResult
from pydantic_ai.tools import AgentDepsT, RunContext, ToolDefinition
from pydantic_ai.toolsets import ToolsetTool

from ..agent_runs import Run, begin, durable_context
from ..step_settings import StepSettings, checked, over
from .backend import StepBackend, current_run
from .threads import in_place
from .timestamps import stamp

event_scope: Callable[[Run, str, StepSettings], AbstractContextManager[object]] | None
try:
    from .events import event_scope
except ImportError:  # Pydantic AI 2.66 has no such events yet
    event_scope = None

METADATA: Final = "durable_fn"
_FRAMEWORK: Final = StepSettings(raises=(AgentRunError, UserError))
"""What the framework itself looks at by class: it comes back as itself on a replay too."""


class DurableFn(BaseDurabilityCapability[AgentDepsT]):
    """Makes runs of an agent durable: in an `async def` handler, `await agent.run(...)` goes on where it was after a death.

        agent = Agent("openai:gpt-5", name="support", tools=[find_orders], capabilities=[DurableFn()])

        @durable
        async def handler(question: str, ctx: AsyncDurableContext) -> str:
            return (await agent.run(question)).output

    Each model request, tool call, MCP call, event and question to a human is a step or callback with a stable key; parallel tools
    stay parallel. In a `def` handler a run raises TypeError; outside of a handler, and in the body of a step, the agent is a
    plain agent. The agent needs a name: it is part of what is recorded.

    models                 other models that runs may use, by id (`agent.run(model="fast")`).
    event_stream_handler   gets the events of a run: those of a model while its step runs, others one by one.
    name                   in place of the agent's.
    step_options           `retry`, `timeout`, `semantics`, `raises` of all steps. A tool has its own by
                           `metadata={"durable_fn": {...}}`; with False it is no step but handler code, which may wait.
    events                 "step": each event that is not a model's is handled once, in a step of its own. "inline": in handler
                           code, again in every replay, which costs nothing.

    Switch the provider client's own retries off: a step's are durable. TypeError or ValueError for options that make no sense.
    """

    engine_spec: ClassVar[DurabilityEngineSpec] = DurabilityEngineSpec(
        engine_name="durable_fn",
        durable_unit_noun="step",
        durable_container_noun="handler",
        codec=JSON_CODEC,
        toolset_lifecycles={"function": "enter-always", "mcp": "enter-never", "dynamic": "enter-never"},
        unsupported_runtime_toolset_kinds=frozenset({"function", "mcp", "dynamic"}),
        tool_config_key=METADATA,
    )

    def __init__(
        self,
        *,
        models: Mapping[str, Model] | None = None,
        event_stream_handler: EventStreamHandler[AgentDepsT] | None = None,
        name: str | None = None,
        step_options: StepSettings | None = None,
        events: Literal["step", "inline"] = "step",
    ) -> None:
        super().__init__(models=models, event_stream_handler=event_stream_handler, name=name)
        if events not in ("step", "inline"):
            raise ValueError(f'events must be "step" or "inline", got {events!r}')
        self._settings = over(checked(step_options or {}, "step_options"), _FRAMEWORK)
        self._inline_events = events == "inline"

    @property
    def in_durable_context(self) -> bool:
        return durable_context() is not None

    def get_durable_operation_backend(self) -> StepBackend:
        every = self._settings
        config = RoleBasedOperationConfig(
            model=every, event=every, capability=every, tool=every, resolve_tool=self._of_tool
        )
        return StepBackend(self.name, config, inline_events=self._inline_events)

    def _of_tool(self, _: DurableOperationId, tool: object | None, name: str) -> StepSettings | Literal[False]:
        metadata = tool.tool_def.metadata if isinstance(tool, ToolsetTool) else None
        given = (metadata or {}).get(METADATA, {})
        if given is False:
            return False
        if not isinstance(given, Mapping):
            raise UserError(
                f"metadata[{METADATA!r}] of tool {name!r} must be a dict of step options or False, got {given!r}"
            )
        return over(checked(given, f"tool {name!r}"), self._settings)

    # -- what a run takes from the handler it runs in

    def get_default_run_id(self) -> str | None:
        ctx = durable_context()
        return None if ctx is None else str(ctx.uuid4())

    def get_default_conversation_id(self, run_id: str) -> str | None:
        return conversation_id_from_run_id(run_id) if self.in_durable_context else None

    def get_run_clock(self) -> Callable[[], datetime] | None:
        ctx = durable_context()
        return None if ctx is None else ctx.now

    async def wrap_run(self, ctx: RunContext[AgentDepsT], *, handler: WrapRunHandler) -> AgentRunResult[Any]:
        durable = durable_context()
        if durable is None:
            return await super().wrap_run(ctx, handler=handler)
        run = begin(durable, self.name)
        token = current_run.set(run)
        try:
            with in_place(), event_scope(run, self.name, self._settings) if event_scope else nullcontext():
                result = await super().wrap_run(ctx, handler=handler)
            stamp(result.all_messages(), ctx.run_id, durable.now())
            return result
        finally:
            current_run.reset(token)

    async def before_model_request(
        self, ctx: RunContext[AgentDepsT], request_context: ModelRequestContext
    ) -> ModelRequestContext:
        durable = durable_context()
        if durable is not None:
            stamp(ctx.messages, ctx.run_id, durable.now())
        return await super().before_model_request(ctx, request_context)

    async def wrap_tool_execute(
        self,
        ctx: RunContext[AgentDepsT],
        *,
        call: ToolCallPart,
        tool_def: ToolDefinition,
        args: dict[str, Any],
        handler: WrapToolExecuteHandler,
    ) -> Any:
        if (tool_def.metadata or {}).get(METADATA) is not False or not self.in_durable_context:
            return await handler(args)

        run, own = current_run.get(), f"{self.name}.{tool_def.name}"
        return await run.branch(own, run.call(own, ctx.run_step, call.tool_call_id), partial(handler, args))
