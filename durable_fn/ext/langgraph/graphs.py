"""`run_graph`: a graph in a durable handler."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph._internal._serde import build_serde_allowlist
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphBubbleUp, GraphRecursionError, InvalidUpdateError
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel
from langgraph.types import Command

from ... import AsyncDurableContext
from ...types import Duration
from ..agent_runs import begin
from ..step_settings import StepSettings, checked, over
from .messages import Ids
from .nodes import Graph, StepNode, current, place, routed
from .outcomes import Kept, Values
from .retries import as_retry

Ask: TypeAlias = Callable[[str, Any], Awaitable[object] | object]
"""Gets the token of a callback and what a node asks. The callback's answer is what `interrupt()` returns."""

_FRAMEWORK = StepSettings(raises=(GraphRecursionError, InvalidUpdateError))


async def run_graph(
    ctx: AsyncDurableContext,
    graph: Pregel[Any, Any, Any, Any],
    input: Any,
    *,
    ask: Ask | None = None,
    timeout: Duration | None = None,
    config: RunnableConfig | None = None,
    step_options: StepSettings | None = None,
) -> Any:
    """What `graph.ainvoke(input)` returns. The run goes on where it was after a death; no checkpointer is needed, none is used.

        @durable
        async def handler(question: str, ctx: AsyncDurableContext) -> str:
            state = await run_graph(ctx, graph, {"question": question}, ask=ask)
            return state["answer"]

    Each node of a `StateGraph` is a step with a stable key, in subgraphs that are nodes too; nodes of one round run beside each
    other. A node's own retry policy becomes its step's. In a graph of an `@entrypoint`, which must be `async def`, tasks that
    `durable_task` made are steps, and the rest is handler code. Routing functions and reducers are handler code as well.

    ask           `ask(token, value)` tells a human what `interrupt(value)` asks, in a step. All questions of a round are asked
                  before the first answer is waited for. Without it the result has "__interrupt__", as LangGraph's.
    timeout       of each answer: CallbackTimeout.
    config        for the graph: `recursion_limit`, `configurable`, ...
    step_options  `retry`, `timeout`, `semantics`, `raises` of all steps.

    TypeError for a context that is not of an async handler, and for a graph that is not compiled.
    """
    if not isinstance(ctx, AsyncDurableContext):
        raise TypeError(
            "run_graph takes the AsyncDurableContext of an async handler: make it `async def handler(event, ctx: "
            f"AsyncDurableContext)`; it got {type(ctx).__name__}"
        )
    if not isinstance(graph, Pregel):
        raise TypeError(
            "run_graph takes a compiled graph, `builder.compile(name=...)`, or what `@entrypoint` made; "
            f"it got {type(graph).__name__}"
        )
    settings = over(checked(step_options or {}, "step_options"), _FRAMEWORK)
    made, twin = _durable(ctx, graph, settings)
    twin = twin.copy(
        {"checkpointer": InMemorySaver(serde=Kept())}
    )  # for the answers to questions, as long as this invocation
    whole: RunnableConfig = {
        **(config or {}),
        "configurable": {"thread_id": "1", **(config or {}).get("configurable", {})},
    }
    token = current.set(made)
    try:
        result = await twin.ainvoke(input, whole, durability="exit")
        while ask is not None and (questions := (await twin.aget_state(whole)).interrupts):
            answers = await _answers(made, questions, ask, timeout)
            result = await twin.ainvoke(Command(resume=answers), whole, durability="exit")
        return result
    finally:
        current.reset(token)


def _durable(
    ctx: AsyncDurableContext, graph: Pregel[Any, Any, Any, Any], settings: StepSettings
) -> tuple[Graph, Pregel[Any, Any, Any, Any]]:
    """A run, and a copy of the graph whose nodes are its steps."""
    is_state_graph = isinstance(graph, CompiledStateGraph)
    name = graph.get_name() if is_state_graph else next(iter(graph.nodes))  # an entrypoint is its only node
    made = Graph(begin(ctx, name), name, settings, Values(_classes(graph)))
    if not is_state_graph:
        _check_entrypoint(graph)
        return made, graph
    policies = graph.retry_policy or ()
    nodes = {node: _node(made, node, spec, policies) for node, spec in graph.nodes.items()}
    ids = Ids(made.run, name, made.values)
    channels = {key: ids.channel(channel) for key, channel in graph.channels.items()}
    return made, graph.copy({"nodes": nodes, "channels": channels, "retry_policy": ()})


def _node(made: Graph, name: str, spec: Any, policies: Any) -> Any:
    writers = [routed(writer) for writer in spec.writers]
    if name.startswith("__"):  # the first one: it writes the input
        return spec.copy({"writers": writers})
    if isinstance(spec.bound, Pregel):
        return spec.copy({"bound": _Inside(spec.bound, made, name), "writers": writers})
    own = spec.retry_policy or policies
    settings = over({"retry": as_retry(own)}, made.settings) if own else made.settings
    return spec.copy({"bound": StepNode(spec.bound, made, name, settings), "writers": writers, "retry_policy": None})


class _Inside(Runnable[Any, Any]):
    """A graph that is a node: handler code, in a branch of its own."""

    def __init__(self, graph: Pregel[Any, Any, Any, Any], above: Graph, node: str) -> None:
        self._graph = graph
        self._above = above
        self._node = f"{above.name}.{node}"

    def invoke(self, input: Any, config: RunnableConfig | None = None, **_: Any) -> Any:
        raise TypeError("a durable graph runs in an async handler: await run_graph(...)")

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **options: Any) -> Any:
        run = self._above.run

        async def walk() -> tuple[Any, GraphBubbleUp | None]:
            """A question is no failure of the branch."""
            made, twin = _durable(run.ctx, self._graph, self._above.settings)
            current.set(made)
            try:
                return await twin.ainvoke(input, config, **options), None
            except GraphBubbleUp as raised:
                return None, raised

        result, raised = await run.branch(self._node, run.again(self._node, place(config or {})), walk)
        if raised is not None:
            raise raised
        return result


async def _answers(made: Graph, questions: Any, ask: Ask, timeout: Duration | None) -> dict[str, Any]:
    name = f"{made.name}.ask"
    open = []
    for question in questions:
        key = made.run.next(name)
        callback = await made.run.ctx.callback(name, key=key, timeout=timeout)

        async def body(token: str = callback.token, value: Any = question.value) -> None:
            sent = ask(token, value)
            if inspect.isawaitable(sent):
                await sent

        await made.run.step(f"{name}.send", key, body, made.settings)
        open.append((question.id, callback))
    return {id: await callback.result() for id, callback in open}


def _classes(graph: Pregel[Any, Any, Any, Any]) -> set[tuple[str, ...]]:
    """What the types of its state name, besides what is harmless: no other class is made of what is recorded."""
    schemas = [graph.builder.state_schema] if isinstance(graph, CompiledStateGraph) else []
    return build_serde_allowlist(schemas=schemas, channels=dict(graph.channels))


def _check_entrypoint(graph: Pregel[Any, Any, Any, Any]) -> None:
    for name, node in graph.nodes.items():
        if getattr(node.bound, "func", None) is not None:
            raise TypeError(f"the entrypoint {name!r} is a plain def: a durable one must be `async def`")
