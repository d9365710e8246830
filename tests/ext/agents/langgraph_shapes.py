"""Six shapes of LangGraph's graphs, with plain nodes."""

from __future__ import annotations

import asyncio
import operator
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

from langchain_core.callbacks import AsyncCallbackHandler, adispatch_custom_event
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.func import entrypoint
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, Send, interrupt
from mcp import Client
from mcp.server import MCPServer

from durable_fn import AsyncDurableContext
from durable_fn.ext.langgraph import durable_task, run_graph
from tests.corpus.outside import answers, every, keep
from tests.effects import effect
from tests.ext.agents.proofs import shape


def ask(token: str, value: Any) -> None:
    effect(f"ask {value}")
    keep(value)(token)


# -- a model that calls three tools at once, and two more


class Talk(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]
    seen: Annotated[list[str], operator.add]


ROUNDS = (("a", "b", "c"), ("d", "e"))


async def model(state: Talk) -> Any:
    turn = sum(message.type == "ai" for message in state["messages"])
    effect(f"model {turn}")
    text = " ".join(ROUNDS[turn]) if turn < len(ROUNDS) else ", ".join(["done", *state["seen"]])
    return {"messages": [AIMessage(text, id=f"m{turn}")]}


def calls(state: Talk) -> Any:
    said = state["messages"][-1].text
    return END if said.startswith("done") else [Send("look", what) for what in said.split()]


def look(what: str) -> Any:
    return {"seen": [effect(f"look {what}")]}


builder = StateGraph(Talk)
builder.add_node("model", model)
builder.add_node("look", look)
builder.add_edge(START, "model")
builder.add_conditional_edges("model", calls, ["look", END])
builder.add_edge("look", "model")
tools = builder.compile(name="tools")


async def parallel_tools(event: Any, ctx: AsyncDurableContext) -> Any:
    state = await run_graph(ctx, tools, {"messages": [HumanMessage("go", id="h")]})
    return [state["messages"][-1].text, [type(message).__name__ for message in state["messages"]]]


# -- two who are asked at once, one of them twice


class Asked(TypedDict):
    answers: Annotated[list[str], operator.add]


async def boss(state: Asked) -> Any:
    effect("boss")
    first = interrupt("may I?")
    return {"answers": [f"boss {first}, {interrupt('really?')}"]}


def friend(state: Asked) -> Any:
    return {"answers": [f"friend {interrupt('what do you think?')}"]}


async def other(state: Asked) -> Any:
    return {"answers": [effect("other")]}


asking = StateGraph(Asked)
for node in (boss, friend, other):
    asking.add_node(node.__name__, node)
    asking.add_edge(START, node.__name__)
both = asking.compile(name="both")


async def parallel_questions(event: Any, ctx: AsyncDurableContext) -> Any:
    return (await run_graph(ctx, both, {"answers": []}, ask=ask))["answers"]


# -- what a node tells live, a server of tools, and a human

stores = MCPServer("stores")


@stores.tool()
def stock(item: str) -> str:
    return effect(f"stock {item}")


class Live(AsyncCallbackHandler):
    """Who watches."""

    async def on_custom_event(self, name: str, data: Any, **_: Any) -> None:
        effect(f"{name} {data}")


class Deal(TypedDict):
    said: Annotated[list[str], operator.add]


async def check(state: Deal) -> Any:
    async with Client(stores) as client:
        answer = await client.call_tool("stock", {"item": "tea"})
    await adispatch_custom_event("seen", answer.content[0].text)  # type: ignore[union-attr]
    return {"said": [answer.content[0].text]}  # type: ignore[union-attr]


def permit(state: Deal) -> Any:
    return Command(goto="trade" if interrupt("deal?") else END)


def trade(state: Deal) -> Any:
    return {"said": [effect("trade tea")]}


dealing = StateGraph(Deal)
dealing.add_node("check", check)
dealing.add_node("permit", permit, destinations=("trade", END))
dealing.add_node("trade", trade)
dealing.add_edge(START, "check").add_edge("check", "permit")
dealer = dealing.compile(name="dealer")


async def stream_mcp_approval(event: Any, ctx: AsyncDurableContext) -> Any:
    return (await run_graph(ctx, dealer, {"said": []}, ask=ask, config={"callbacks": [Live()]}))["said"]


# -- a graph beside itself, and in branches


async def side_by_side(event: Any, ctx: AsyncDurableContext) -> Any:
    async def one(c: AsyncDurableContext, n: int) -> str:
        return str((await run_graph(c, tools, {"messages": []}))["messages"][-1].text)

    first, second = await asyncio.gather(*(run_graph(ctx, tools, {"messages": []}) for _ in range(2)))
    return [first["messages"][-1].text, second["messages"][-1].text, *(await ctx.map(one, range(2))).results]


# -- a graph that is a node, asks, and commands the graph above; one that a node calls by itself


@dataclass
class Order:
    item: str
    sold: bool = False


class Sale(TypedDict):
    order: Order
    said: Annotated[list[str], operator.add]


async def price(state: Sale) -> Any:
    return {"order": Order(effect(f"priced {state['order'].item}"))}


async def approve(state: Sale) -> Any:
    return {"said": [f"approved: {interrupt('sell?')}"]}


async def leave(state: Sale) -> Any:
    return Command(
        graph=Command.PARENT, goto="sell", update={"order": Order(state["order"].item, True), "said": ["left"]}
    )


inner = StateGraph(Sale)
for step in (price, approve, leave):
    inner.add_node(step.__name__, step)
inner.add_edge(START, "price").add_edge("price", "approve").add_edge("approve", "leave")
clerk = inner.compile(name="clerk")


def stamp(state: Sale) -> Any:
    return {"said": [effect("stamped")]}


stamping = StateGraph(Sale).add_node("stamp", stamp).add_edge(START, "stamp").compile()


async def sell(state: Sale) -> Command[Any]:
    stamped = await stamping.ainvoke({"said": []})
    return Command(goto="pack", update={"said": [*stamped["said"], effect("sold")]})


def pack(state: Sale) -> Any:
    return {"said": [effect("packed")]}


outer = StateGraph(Sale)
outer.add_node("clerk", clerk, destinations=("sell",))
outer.add_node("sell", sell, destinations=("pack",))
outer.add_node("pack", pack)
outer.add_edge(START, "clerk")
shop = outer.compile(name="shop")


async def sub_agent(event: Any, ctx: AsyncDurableContext) -> Any:
    state = await run_graph(ctx, shop, {"order": Order("tea")}, ask=ask)
    return [state["order"].item, state["order"].sold, state["said"]]


# -- the functional API, a policy of its own, and a human who takes a week


@durable_task
async def fetch(what: str) -> Order:
    return Order(effect(f"fetch {what}"))


@durable_task
def pay(order: Order) -> str:
    return effect(f"pay {order.item}")


@entrypoint()
async def buy(wishes: list[str]) -> Any:
    orders = await asyncio.gather(*(fetch(wish) for wish in wishes))
    verdict = interrupt("pay?")
    await asyncio.sleep(86_400)
    return [verdict, *[await pay(order) for order in orders]]


async def long_wait(event: Any, ctx: AsyncDurableContext) -> Any:
    return await run_graph(ctx, buy, ["tea", "gin"], ask=ask, timeout=30 * 86_400)


DONE = "done, look a, look b, look c, look d, look e"
TALKED = ("model 0", "look a", "look b", "look c", "model 1", "look d", "look e", "model 2")

SHAPES = (
    shape(parallel_tools, result=[DONE, ["HumanMessage", "AIMessage", "AIMessage", "AIMessage"]], once=TALKED),
    shape(
        parallel_questions,
        result=["boss yes, indeed", "friend go on", "other"],
        once=("boss", "boss", "boss", "other", "ask may I?", "ask what do you think?", "ask really?"),
        outside=every(answers("may I?", "yes"), answers("what do you think?", "go on"), answers("really?", "indeed")),
    ),
    shape(
        stream_mcp_approval,
        result=["stock tea", "trade tea"],
        once=("stock tea", "seen stock tea", "ask deal?", "trade tea"),
        outside=answers("deal?", True),
    ),
    shape(side_by_side, result=[DONE] * 4, once=TALKED * 4),
    shape(
        sub_agent,
        result=["priced tea", True, ["left", "stamped", "sold", "packed"]],
        once=("priced tea", "ask sell?", "stamped", "sold", "packed"),
        outside=answers("sell?", True),
    ),
    shape(
        long_wait,
        result=["ok", "pay fetch tea", "pay fetch gin"],
        once=("fetch tea", "fetch gin", "ask pay?", "pay fetch tea", "pay fetch gin"),
        outside=answers("pay?", "ok"),
    ),
)
