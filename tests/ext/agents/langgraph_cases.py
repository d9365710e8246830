"""What a user of LangGraph sees, a function each; `test_langgraph.py` runs them. Imported by who runs one."""

from __future__ import annotations

import asyncio
import dataclasses
import operator
from decimal import Decimal
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.messages import AIMessage, AnyMessage, RemoveMessage
from langgraph._internal._constants import CONFIG_KEY_SCRATCHPAD
from langgraph._internal._scratchpad import PregelScratchpad
from langgraph.errors import GraphRecursionError
from langgraph.func import entrypoint
from langgraph.graph import START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import RetryPolicy, interrupt

from durable_fn import AsyncDurableContext, CallbackTimeout, DurableContext, StepError, durable
from durable_fn.errors import NonDeterminismError
from durable_fn.ext.langgraph import durable_task, run_graph
from durable_fn.ext.langgraph.nodes import SCRATCHPAD
from durable_fn.ext.langgraph.outcomes import Values
from durable_fn.testing import LocalRunner
from tests.corpus.outside import TOKENS
from tests.effects import EFFECTS, effect
from tests.ext.agents.langgraph_shapes import ask, buy, calls, tools


class State(TypedDict, total=False):
    text: str
    value: Any


def graph(*nodes: Any, name: str = "g", **options: Any) -> Any:
    """One node after the other."""
    builder = StateGraph(State)
    before = START
    for node in nodes:
        builder.add_node(node.__name__, node, **options)
        builder.add_edge(before, node.__name__)
        before = node.__name__
    return builder.compile(name=name)


def handling(graph: Any, **options: Any) -> Any:
    @durable(name="ran")
    async def handler(event: Any, ctx: AsyncDurableContext) -> Any:
        return await run_graph(ctx, graph, event, **options)

    return handler


def ran(graph: Any, event: Any = None, **options: Any) -> Any:
    with LocalRunner(handling(graph, **options)) as runner:
        return runner.run({} if event is None else event).result


async def greet(state: State) -> Any:
    return {"text": effect(f"hello {state.get('text', '')}")}


async def question(state: State) -> Any:
    return {"text": f"{interrupt('who?')}"}


def another_context_is_refused() -> None:
    @durable
    def handler(event: Any, ctx: DurableContext) -> Any:
        return asyncio.run(run_graph(ctx, graph(greet), {}))  # type: ignore[arg-type]

    with LocalRunner(handler) as runner:
        error = runner.run({}).error
    assert isinstance(error, TypeError)
    assert "make it `async def handler" in str(error)


def a_graph_that_is_not_compiled_is_refused() -> None:
    with pytest.raises(TypeError, match=r"run_graph takes a compiled graph, `builder\.compile.*got StateGraph"):
        ran(StateGraph(State))


def a_plain_entrypoint_is_refused() -> None:
    @entrypoint()
    def plain(event: Any) -> Any: ...

    with pytest.raises(TypeError, match="the entrypoint 'plain' is a plain def"):
        ran(plain)


def a_nodes_policy_becomes_its_steps() -> None:
    """Waits are durable, errors that it does not name are final."""

    async def busy(state: State) -> Any:
        effect("busy")
        if len(EFFECTS) < 3:
            raise ConnectionError("later")
        return {"text": "at last"}

    policy = RetryPolicy(initial_interval=3600, max_interval=7200, max_attempts=3, jitter=False)
    with LocalRunner(handling(graph(busy, retry_policy=policy))) as runner:
        began = runner.now()
        assert runner.run({}).result["text"] == "at last"
        assert 3600 + 7200 <= (runner.now() - began).total_seconds() < 3 * 3600 + 60
    EFFECTS.clear()
    once = RetryPolicy(retry_on=ValueError)
    with pytest.raises(StepError, match="later"):
        ran(graph(busy, retry_policy=once))
    assert EFFECTS == ["busy"]


class Refused(Exception):
    """Of the user's own."""


def errors_come_back_by_their_class() -> None:
    async def refuses(state: State) -> Any:
        raise Refused("no")

    with pytest.raises(Refused, match="no"):
        ran(graph(refuses), step_options={"raises": (Refused,)})
    with pytest.raises(GraphRecursionError):
        ran(graph(greet, question), config={"recursion_limit": 1})


def without_somebody_to_ask_there_is_an_interrupt() -> None:
    @durable
    async def handler(event: Any, ctx: AsyncDurableContext) -> Any:
        state = await run_graph(ctx, graph(greet, question), {"text": "ada"})
        return [state["text"], [asked.value for asked in state["__interrupt__"]]]

    with LocalRunner(handler) as runner:
        assert runner.run({}).result == ["hello ada", ["who?"]]


def nobody_answers_in_time() -> None:
    with LocalRunner(handling(graph(question), ask=ask, timeout=3600)) as runner:
        execution = runner.run({})
        runner.advance(2 * 3600)
        assert isinstance(execution.error, CallbackTimeout)


def an_attempt_counts_its_questions_anew() -> None:
    async def shaky(state: State) -> Any:
        first = interrupt("first?")
        effect("tried")
        if EFFECTS.count("tried") < 2:
            raise ConnectionError
        return {"text": f"{first} {interrupt('second?')}"}

    with LocalRunner(handling(graph(shaky), ask=ask)) as runner:
        execution = runner.run({}, "x")
        for asked, answer in (("first?", "a"), ("second?", "b")):
            runner.complete_callback(TOKENS["x", asked], answer)
            runner.run_on(execution)
        assert execution.result["text"] == "a b"
    assert [e for e in EFFECTS if e.startswith("ask")] == ["ask first?", "ask second?"]


def a_graph_that_a_node_calls_must_not_ask() -> None:
    inner = graph(question)

    async def caller(state: State) -> Any:
        return await inner.ainvoke({})

    with pytest.raises(StepError, match="add the graph as a node"):
        ran(graph(caller), ask=ask)


def what_a_node_does_to_its_state_is_done_once() -> None:
    """It gets a copy: the first run sees what a replay sees."""

    async def appends(state: State) -> Any:
        state["value"].append("mine")
        return {"text": "done"}

    assert ran(graph(appends), {"value": []}) == {"value": [], "text": "done"}


@dataclasses.dataclass
class Unnamed:
    x: int


class Named(TypedDict):
    thing: Unnamed
    price: Decimal


class Chat(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]
    others: Annotated[list[Any], operator.add]


def messages_have_the_same_ids_in_a_replay() -> None:
    """A node removes one by its id, which is recorded; the same said twice is two messages."""

    async def answer(state: Chat) -> Any:
        return {"messages": [AIMessage("yes"), AIMessage("yes")], "others": [AIMessage("no")]}

    async def forget(state: Chat) -> Any:
        gone = state["messages"][1].id
        assert gone is not None
        return {"messages": [RemoveMessage(gone)]}

    builder = StateGraph(Chat)
    builder.add_node("answer", answer).add_node("forget", forget)
    builder.add_edge(START, "answer").add_edge("answer", "forget")
    asked = builder.compile(name="chat")
    seen: list[list[str | None]] = []

    @durable
    async def handler(event: Any, ctx: AsyncDurableContext) -> list[str]:
        first, second = [
            await run_graph(ctx, asked, {"messages": [{"role": "user", "content": "hi"}]}) for _ in range(2)
        ]
        everything = [message for state in (first, second) for message in state["messages"] + state["others"]]
        seen.append([message.id for message in everything])
        await ctx.sleep(3600)
        return [message.text for message in everything]

    with LocalRunner(handler) as runner:
        assert runner.run({}).result == ["hi", "yes", "no"] * 2
        assert runner.run({}, "another").status == "SUCCEEDED"
    once, again, *another = seen
    assert once == again
    assert len({*once, *another[0]} - {None}) == 12


def a_class_that_the_state_does_not_name_is_refused() -> None:
    async def makes(state: Any) -> Any:
        return {"value": Unnamed(1)}

    with pytest.raises(StepError, match=r"node 'g\.makes' has a class that would not come back"):
        ran(graph(makes))

    async def named(state: Any) -> Any:
        return {"thing": Unnamed(2), "price": Decimal("1.5")}

    builder = StateGraph(Named)
    builder.add_node("named", named)
    builder.add_edge(START, "named")

    @durable
    async def handler(event: Any, ctx: AsyncDurableContext) -> str:
        return repr(await run_graph(ctx, builder.compile(), {}))

    with LocalRunner(handler) as runner:
        assert runner.run({}).result == "{'thing': Unnamed(x=2), 'price': Decimal('1.5')}"


def no_other_class_is_made_of_what_is_recorded() -> None:
    anything = Values({(__name__, "Unnamed")}).encode(Unnamed(3), "x")
    assert anything.keys() == {"kind", "data"}
    assert not isinstance(Values(set()).decode(anything), Unnamed)
    assert Values(set()).decode(Values(set()).encode({"a": [1, 2.5, None, True, "x"]}, "x")) == {
        "a": [1, 2.5, None, True, "x"]
    }
    assert Values(set()).decode(Values(set()).encode({1: Decimal("1.5")}, "x")) == {1: Decimal("1.5")}


def a_task_outside_of_a_durable_run_is_plain() -> None:
    @durable_task
    def shout(text: str) -> str:
        return text.upper()

    @entrypoint()
    async def shouting(text: str) -> str:
        return await shout(text)

    assert asyncio.run(shouting.ainvoke("hey")) == "HEY"
    assert ran(shouting, "hey") == "HEY"


def a_graph_that_no_longer_fits_is_held() -> None:
    def handler(asked: Any) -> Any:
        @durable(name="held")
        async def held(event: Any, ctx: AsyncDurableContext) -> None:
            await run_graph(ctx, asked, {})
            await ctx.wait_for_signal("go")

        return held

    async def other(state: State) -> Any:
        return {"text": "other"}

    with LocalRunner(handler(graph(greet, other))) as runner:
        execution = runner.run({}, "x")
        EFFECTS.clear()
        runner.deploy(handler(graph(greet)))
        runner.signal("x", "go")
        runner.run_on(execution)
        assert isinstance(execution.error, NonDeterminismError)
        assert "recorded step 'g.other:1.2'" in str(execution.error)
    assert EFFECTS == []


def nothing_of_a_graph_has_a_place_among_its_tasks() -> None:
    """Those are LangGraph's own, and other ones in its next release: every id is made of keys."""

    @durable
    async def handler(event: Any, ctx: AsyncDurableContext) -> None:
        await run_graph(ctx, tools, {"messages": []})

    with LocalRunner(handler) as runner:
        ids = [event.id for event in runner.run({}).history if event.kind != "execution"]
    assert len(ids) == 8
    assert all(id.startswith(("tools.model:1.", "tools.look:1.")) for id in ids), ids


def options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(TypeError, match="step_options has no option 'retries'"):
        ran(graph(greet), step_options={"retries": 3})
    with pytest.raises(TypeError, match="durable_task 'effect' has no option 'retries'"):
        durable_task(effect, step_options={"retries": 3})  # type: ignore[typeddict-unknown-key]


# -- what is private in LangGraph and used all the same


def langgraph_is_still_as_it_was() -> None:
    assert CONFIG_KEY_SCRATCHPAD == SCRATCHPAD, "nodes.py gives each attempt counters of its own"
    fields = {field.name for field in dataclasses.fields(PregelScratchpad)}
    assert fields >= {"resume", "interrupt_counter", "call_counter", "subgraph_counter"}
    writer: Any = tools.nodes["model"].writers[-1]
    branch = writer.afunc.__self__
    assert branch.path.func is calls, "nodes.py asks routing functions in place"
    assert hasattr(branch, "ends")
    bound: Any = buy.nodes["buy"].bound
    assert bound.func is None, "graphs.py tells async entrypoints by this"
