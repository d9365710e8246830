"""`Runner`: as the SDK's own, and durable in an async handler."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeVar

from agents import Agent, RunConfig, RunResult, RunResultStreaming, RunState, Session, StreamEvent, TResponseInputItem
from agents import Runner as PlainRunner
from agents.exceptions import AgentsException
from agents.run import AgentRunner, set_default_agent_runner
from openai import OpenAIError

from ...types import Duration
from ..agent_runs import begin, durable_context
from ..step_settings import StepSettings, checked, over
from .approvals import OnApproval, decide
from .graph import Graph, is_copy
from .sessions import StepSession
from .tools import Steps

C = TypeVar("C")
Input = str | list[TResponseInputItem]

_FRAMEWORK = StepSettings(raises=(AgentsException, OpenAIError))

_OF_DURABLE_RUNS = ("step_options", "on_approval", "approval_timeout")

_settings: ContextVar[StepSettings | None] = ContextVar("durable_fn.openai_agents", default=None)
"""Of the durable run that this code is part of: runs that its tools begin are durable as well."""


class Begun(NamedTuple):
    """A durable run: its steps, its copies of the agents."""

    steps: Steps
    agent: Agent[Any]
    options: dict[str, Any]


def _begin(agent: Agent[Any], settings: StepSettings, options: dict[str, Any]) -> Begun | None:
    """None where nothing is durable: outside of a handler, and in the body of a step."""
    ctx = durable_context()
    if ctx is None:
        return None
    steps = Steps(begin(ctx, agent.name), agent.name, settings)
    graph = Graph(steps)
    config = options.get("run_config")
    config = RunConfig(**config) if isinstance(config, dict) else config or RunConfig()
    session = options.get("session")
    wrapped = None if session is None else StepSession(session, steps)
    return Begun(steps, graph.agent(agent), {**options, "run_config": graph.config(config), "session": wrapped})


def _inside(agent: Agent[Any], options: dict[str, Any]) -> tuple[Agent[Any], dict[str, Any]]:
    """A run that code of a handler begins is durable as well, unless it is the one that has just been made so."""
    begun = None if is_copy(agent) else _begin(agent, _settings.get() or _FRAMEWORK, options)
    return (agent, options) if begun is None else (begun.agent, begun.options)


class _Inside(AgentRunner):
    """What all runs of the SDK come to, also those of `Agent.as_tool` and of `agents.Runner`. Outside of an async handler it is
    the SDK's own."""

    async def run(self, starting_agent: Agent[Any], input: Any, **options: Any) -> RunResult:
        agent, options = _inside(starting_agent, options)
        return await super().run(agent, input, **options)

    def run_streamed(self, starting_agent: Agent[Any], input: Any, **options: Any) -> RunResultStreaming:
        agent, options = _inside(starting_agent, options)
        return super().run_streamed(agent, input, **options)


set_default_agent_runner(_Inside())


class Stream:
    """A run that tells its events. `result`: the SDK's own; of the part after the last approval, once that has come."""

    def __init__(self, start: Callable[[Any], RunResultStreaming], input: Any, resume: _Resume) -> None:
        self._start = start
        self._resume = resume
        self.result = start(input)

    async def stream_events(self) -> AsyncIterator[StreamEvent]:
        """In their order, each answer's once it is recorded; in every replay again."""
        while True:
            async for event in self.result.stream_events():
                yield event
            state = await self._resume(self.result)
            if state is None:
                return
            self.result = self._start(state)

    @property
    def final_output(self) -> Any:
        return self.result.final_output


class _Resume:
    """The state in which an interrupted run goes on; None if it does not."""

    def __init__(self, begun: Begun | None, ask: OnApproval | None, timeout: Duration | None) -> None:
        self._begun = begun
        self._ask = ask
        self._timeout = timeout

    async def __call__(self, result: RunResult | RunResultStreaming) -> RunState[Any] | None:
        if self._begun is None or self._ask is None or not result.interruptions:
            return None
        state = result.to_state()
        await decide(state, result.interruptions, self._begun.steps, self._ask, self._timeout)
        return state


class Runner:
    """In place of `agents.Runner`. In an `async def` handler a run goes on where it was after a death:

        @durable
        async def handler(question: str, ctx: AsyncDurableContext) -> str:
            return (await Runner.run(support, question)).final_output

    Each request to a model, function tool, call of an MCP server, guardrail and call of a session is a step with a stable key;
    parallel tools stay parallel, agents that are tools are durable inside, hand-overs may go in circles. In a `def` handler it
    raises TypeError; outside of a handler, and in the body of a step, it is the SDK's own runner. `agents.Runner` in a handler is
    as durable, without the options below.

    step_options      `retry`, `timeout`, `semantics`, `raises` of all steps. What a tool raises is tried again before it becomes
                      a text.
    on_approval       `on_approval(item, token)` tells a human about a call that needs approval, in a step. The callback's answer
                      is JSON true or false. All calls of a turn are asked for before the first answer is waited for. Without it
                      the result has `interruptions`, as the SDK's.
    approval_timeout  after which a call is denied.

    Other options are those of `agents.Runner`. `result.last_agent` is a copy of the user's, good for another run.
    """

    @staticmethod
    async def run(
        agent: Agent[C],
        input: Input,
        *,
        context: C | None = None,
        session: Session | None = None,
        run_config: RunConfig | None = None,
        step_options: StepSettings | None = None,
        on_approval: OnApproval | None = None,
        approval_timeout: Duration | None = None,
        **options: Any,
    ) -> RunResult:
        options |= {"context": context, "session": session, "run_config": run_config}
        settings = over(checked(step_options or {}, "step_options"), _FRAMEWORK)
        begun = _begin(agent, settings, options)
        if begun is None:
            return await PlainRunner.run(agent, input, **options)
        resume = _Resume(begun, on_approval, approval_timeout)
        token = _settings.set(settings)
        try:
            result = await PlainRunner.run(begun.agent, input, **begun.options)
            while (state := await resume(result)) is not None:
                result = await PlainRunner.run(begun.agent, state, **begun.options)
            return result
        finally:
            _settings.reset(token)

    @staticmethod
    def run_sync(agent: Agent[C], input: Input, **options: Any) -> RunResult:
        """The SDK's own, in the body of a step and outside of a handler. TypeError in a handler, whose runs are awaited."""
        if durable_context() is not None:
            raise TypeError("Runner.run_sync cannot wait in a handler: write `await Runner.run(...)`")
        return PlainRunner.run_sync(
            agent, input, **{name: given for name, given in options.items() if name not in _OF_DURABLE_RUNS}
        )

    @staticmethod
    def run_streamed(
        agent: Agent[C],
        input: Input,
        *,
        context: C | None = None,
        session: Session | None = None,
        run_config: RunConfig | None = None,
        step_options: StepSettings | None = None,
        on_approval: OnApproval | None = None,
        approval_timeout: Duration | None = None,
        **options: Any,
    ) -> Stream:
        """As `run`; `stream_events()` of what it returns has to be read to its end."""
        options |= {"context": context, "session": session, "run_config": run_config}
        settings = over(checked(step_options or {}, "step_options"), _FRAMEWORK)
        begun = _begin(agent, settings, options)

        def start(given: Any) -> RunResultStreaming:
            if begun is None:
                return PlainRunner.run_streamed(agent, given, **options)
            token = _settings.set(settings)
            try:
                return PlainRunner.run_streamed(begun.agent, given, **begun.options)
            finally:
                _settings.reset(token)

        return Stream(start, input, _Resume(begun, on_approval, approval_timeout))
