"""Each operation of an agent (a model request, a tool call, ...) as a step with a key.

Built on what `pydantic_ai.durable_exec` shows to builders of engines; nothing private of it is used.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from pydantic_ai.durable_exec import (
    BoundDurableOperation,
    CacheIdentity,
    CapabilityOperationId,
    DurableOperation,
    DurableOperationConfig,
    DurableOperationId,
    EventStreamHandlerId,
    JournalCallableOperationBackend,
    ModelCancelSuspendedResponseId,
    ModelCompactMessagesId,
    ModelRequestId,
    ToolsetCallToolId,
    ToolsetGetInstructionsId,
    ToolsetGetToolsId,
    ToolsetValidateToolArgumentsId,
)

from ..agent_runs import Run
from ..step_settings import StepSettings
from .threads import in_threads
from .usage import counted, counting

P = TypeVar("P")
W = TypeVar("W")
R = TypeVar("R")

current_run: ContextVar[Run] = ContextVar("durable_fn.pydantic_ai.run")

_NOTHING: Final = object()


class _Whole(CacheIdentity[P]):
    """Hands the parameters of a call on to `execute`: a key is made of them."""

    def project(self, params: P) -> tuple[object, ...]:
        return (params,)


class StepBackend(JournalCallableOperationBackend[StepSettings]):
    """`inline_events`: the handler of events runs in the durable handler's own code, again in every replay."""

    def __init__(self, agent: str, config: DurableOperationConfig[StepSettings], *, inline_events: bool) -> None:
        super().__init__(agent_name=agent, config=config)
        self._agent = agent
        self._inline_events = inline_events

    def bind(self, operation: DurableOperation[P, W, R]) -> BoundDurableOperation[P, W, R]:
        """Its adapter is built here: to build one takes time, and none is to pass between an answer and its commit."""
        with suppress(ValidationError):
            operation.result_codec.load(_NOTHING)
        return super().bind(replace(operation, cache_identity=_Whole[P]()))

    async def execute(
        self,
        *,
        operation_id: DurableOperationId,
        name: str,
        body: Callable[[], Awaitable[object]],
        cache_key: tuple[object, ...],
        config: StepSettings,
    ) -> object:
        if self._inline_events and isinstance(operation_id, EventStreamHandlerId):
            return await body()
        run, params = current_run.get(), cache_key[0]
        own = f"{self._agent}.{_name(operation_id, params) or name}"
        about: Any = getattr(params, "ctx", None) or getattr(params, "run_context", None)
        call = None if about is None else about.tool_call_id
        key = run.next(own) if call is None else run.call(own, about.run_step, call)
        if not isinstance(operation_id, ToolsetCallToolId):
            recorded: object = await run.step(own, key, in_threads(body), config)
            return recorded
        return counted(about, await run.step(own, key, in_threads(counting(about, body)), config))


def _name(operation: DurableOperationId, params: Any) -> str | None:
    """As the history shows it. None for what a later Pydantic AI adds: that has the name that it is given there. These names are
    recorded: to change one changes ids of live executions."""
    match operation:
        case ModelRequestId():
            return "model"
        case ModelCompactMessagesId():
            return "model.compact"
        case ModelCancelSuspendedResponseId():
            return "model.cancel"
        case EventStreamHandlerId():
            return "event"
        case ToolsetCallToolId():
            return str(params.name)
        case ToolsetValidateToolArgumentsId():
            return f"{params.name}.validate"
        case ToolsetGetToolsId(toolset_id=toolset):
            return f"{toolset}.tools"
        case ToolsetGetInstructionsId(toolset_id=toolset):
            return f"{toolset}.instructions"
        case CapabilityOperationId(capability_id=capability, operation=method):
            return f"{capability}.{method}"
    return None
