"""What runs in a graph as a step."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import var_child_runnable_config
from langgraph.errors import GraphInterrupt, ParentCommand

from ..agent_runs import Run
from ..step_settings import StepSettings
from .outcomes import Outcome, Values

SCRATCHPAD: Final = "__pregel_scratchpad"
"""Where LangGraph keeps a task's answers and counters, in `config["configurable"]`. Private: a canary test holds it."""


@dataclass(frozen=True)
class Graph:
    """A run of a graph: its name, its steps, its values."""

    run: Run
    name: str
    settings: StepSettings
    values: Values


current: ContextVar[Graph | None] = ContextVar("durable_fn.langgraph", default=None)


async def attempt(config: RunnableConfig, what: str, call: Callable[[RunnableConfig], Awaitable[Any]]) -> Outcome:
    """One attempt of a node or task, in the body of a step. It counts its questions from the first one on, whatever an attempt
    before has counted: what is live is as in a replay, where no body runs."""
    configurable = config.get("configurable", {})
    pad = configurable[SCRATCHPAD]
    questions = _Questions()
    anew = replace(
        pad, resume=[*pad.resume], interrupt_counter=questions, call_counter=_Questions(), subgraph_counter=_Questions()
    )
    own: RunnableConfig = {**config, "configurable": {**configurable, SCRATCHPAD: anew}}
    var_child_runnable_config.set(own)  # where `interrupt` looks; a body has a context of its own
    try:
        return Outcome("value", await call(own))
    except GraphInterrupt as raised:
        if questions.asked <= len(pad.resume):
            raise TypeError(
                f"{what} calls a graph by itself, and that asks: add the graph as a node, builder.add_node(name, graph), or "
                "answer it where it is called"
            ) from None
        return Outcome("ask", raised.args[0][0].value)
    except ParentCommand as command:
        return Outcome("parent", command.args[0])


class _Questions:
    """Counts, as LangGraph's own counters do."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self) -> int:
        self.asked += 1
        return self.asked - 1


async def recorded(
    run: Run, name: str, key: str, body: Callable[[], Awaitable[Outcome]], settings: StepSettings, values: Values
) -> Any:
    """What the attempt came to, in LangGraph's own types. Raises its question, and its command to the graph above, as it did."""

    async def step() -> Any:
        outcome = await body()
        return [outcome.kind, values.encode(outcome.value, f"node {name!r}")]

    kind, row = await run.step(name, key, step, settings)
    return Outcome(kind, values.decode(row)).told()


class StepNode(Runnable[Any, Any]):
    """A node whose body is a step. What writes its result to the state, and chooses what comes next, is handler code."""

    def __init__(self, bound: Runnable[Any, Any], graph: Graph, node: str, settings: StepSettings) -> None:
        self._bound = bound
        self._graph = graph
        self._node = f"{graph.name}.{node}"
        self._settings = settings

    def invoke(self, input: Any, config: RunnableConfig | None = None, **_: Any) -> Any:
        raise TypeError("a durable graph runs in an async handler: await run_graph(...)")

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **options: Any) -> Any:
        given = config or {}

        async def body() -> Outcome:
            state = copy.deepcopy(input)  # what the body does to it is done once, and is no part of the record
            return await attempt(given, f"node {self._node!r}", lambda own: self._bound.ainvoke(state, own, **options))

        graph = self._graph
        key = graph.run.again(self._node, place(given))
        return await recorded(graph.run, self._node, key, body, self._settings, graph.values)


class Routed(Runnable[Any, Any]):
    """A routing function in place. LangGraph would run a `def` in a thread, and a thread has a place in the log."""

    def __init__(self, path: Runnable[Any, Any]) -> None:
        self._path = path

    def invoke(self, input: Any, config: RunnableConfig | None = None, **options: Any) -> Any:
        return self._path.invoke(input, config, **options)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **options: Any) -> Any:
        if getattr(self._path, "func", None) is None:
            return await self._path.ainvoke(input, config, **options)
        return self._path.invoke(input, config, **options)


def routed(writer: Runnable[Any, Any]) -> Runnable[Any, Any]:
    """What writes a node's result; if it asks a routing function, a copy that asks it in place."""
    ask: Any = getattr(writer, "afunc", None)
    branch: Any = getattr(ask, "__self__", None)
    if not hasattr(branch, "path") or not hasattr(branch, "ends"):
        return writer
    twin: Any = copy.copy(writer)
    twin.afunc = getattr(branch._replace(path=Routed(branch.path)), ask.__name__)
    return cast(Runnable[Any, Any], twin)


def place(config: RunnableConfig) -> str:
    """Of a task in its graph: the number of its round, and which `Send` it is."""
    metadata = config.get("metadata", {})
    sent = [part for part in metadata["langgraph_path"][1:] if isinstance(part, int) and not isinstance(part, bool)]
    return ".".join(map(str, [metadata["langgraph_step"], *sent]))
