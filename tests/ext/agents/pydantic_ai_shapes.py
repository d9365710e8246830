"""Five shapes of Pydantic AI agents, with scripted models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from datetime import timedelta
from typing import Any

from mcp.server import MCPServer
from pydantic_ai import Agent, DeferredToolRequests, RunContext
from pydantic_ai.capabilities import RequestInput
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.messages import (
    FunctionToolResultEvent,
    ModelMessage,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
)
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

from durable_fn import AsyncDurableContext
from durable_fn.ext.pydantic_ai import DurableFn
from tests.corpus.outside import answers, keep
from tests.effects import effect
from tests.ext.agents.proofs import shape

Calls = list[tuple[str, dict[str, Any], str]]


def turn_of(messages: list[ModelMessage]) -> int:
    return sum(isinstance(message, ModelResponse) for message in messages)


def returned(messages: list[ModelMessage]) -> list[Any]:
    parts = [part for message in messages for part in message.parts]
    return [part.content for part in parts if isinstance(part, ToolReturnPart)]


def scripted(name: str, *turns: Calls) -> FunctionModel:
    """Calls these tools (name, arguments, id), turn by turn, and then says what they returned."""

    def answer(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        turn = turn_of(messages)
        effect(f"{name} {turn}")
        if turn < len(turns):
            return ModelResponse(parts=[ToolCallPart(tool, args, tool_call_id=id) for tool, args, id in turns[turn]])
        return ModelResponse(parts=[TextPart(", ".join(["done", *map(str, returned(messages))]))])

    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
        for part in answer(messages, info).parts:
            if isinstance(part, ToolCallPart):
                yield {0: DeltaToolCall(part.tool_name, part.args_as_json_str(), tool_call_id=part.tool_call_id)}
            elif isinstance(part, TextPart):
                yield part.content

    return FunctionModel(answer, stream_function=stream)


async def look(what: str) -> str:
    return effect(f"look {what}")


def looks(*whats: str, ids: str = "") -> Calls:
    return [("look", {"what": what}, ids or f"c{what}") for what in whats]


# -- three tools beside each other, twice, with ids that come again

tools = Agent(
    scripted("model", looks("a", "b", "c"), [("look", {"what": "d"}, "ca"), ("look", {"what": "e"}, "cb")]),
    name="tools", tools=[look], capabilities=[DurableFn()],
)  # fmt: skip


async def parallel_tools(event: Any, ctx: AsyncDurableContext) -> Any:
    return (await tools.run("go")).output


# -- a stream, a server of tools, and a human

shop = MCPServer("shop")


@shop.tool()
def stock(item: str) -> str:
    return effect(f"stock {item}")


async def watch(ctx: RunContext[Any], events: AsyncIterable[Any]) -> None:
    async for event in events:
        if isinstance(event, FunctionToolResultEvent):
            effect(f"seen {event.tool_call_id}")


def ask(ctx: RunContext[Any], requests: DeferredToolRequests, token: str) -> None:
    effect(f"ask {requests.approvals[0].tool_name}")
    keep("approval")(token)


streaming = Agent(
    scripted("model", [("stock", {"item": "tea"}, "s")], [("sell", {"item": "tea"}, "b")]),
    name="shop",
    toolsets=[MCPToolset(shop, id="shop")],
    capabilities=[DurableFn(event_stream_handler=watch), RequestInput(ask, timeout=timedelta(days=7))],
)


@streaming.tool_plain(requires_approval=True)
async def sell(item: str) -> str:
    return effect(f"sell {item}")


async def stream_mcp_approval(event: Any, ctx: AsyncDurableContext) -> Any:
    return (await streaming.run("sell tea")).output


# -- one agent beside itself, and in branches; its provider counts the ids of its calls anew in each run

twin = Agent(scripted("twin", looks("x", "y")), name="twin", tools=[look], capabilities=[DurableFn(events="inline")])


async def side_by_side(event: Any, ctx: AsyncDurableContext) -> Any:
    async def one(c: AsyncDurableContext, n: int) -> str:
        return (await twin.run(f"{n}")).output

    first, second = await asyncio.gather(twin.run("a"), twin.run("b"))
    return [first.output, second.output, *(await ctx.map(one, range(2))).results]


# -- an agent that is a tool of another: as handler code it is durable by itself, in a step it is a part of that

clerk = Agent(scripted("clerk", looks("p")), name="clerk", tools=[look], capabilities=[DurableFn()])
chief = Agent(
    scripted("chief", [("delegate", {"to": "p"}, "d1"), ("delegate", {"to": "p"}, "d2")], [("consult", {}, "e")]),
    name="chief",
    capabilities=[DurableFn()],
)


@chief.tool_plain(metadata={"durable_fn": False})
async def delegate(to: str) -> str:
    return (await clerk.run(to)).output


@chief.tool_plain
async def consult() -> str:
    return effect("consulted " + (await Agent(scripted("inner"), name="inner").run("?")).output)


async def sub_agent(event: Any, ctx: AsyncDurableContext) -> Any:
    return (await chief.run("go")).output


# -- a tool that waits for a day, and one that asks another system and is answered after a week

patient = Agent(
    scripted("model", [("rest", {}, "r"), *looks("z")], [("order", {}, "o")]),
    name="patient",
    tools=[look],
    capabilities=[DurableFn()],
)


@patient.tool_plain(metadata={"durable_fn": False})
async def rest() -> str:
    await asyncio.sleep(86_400)
    return "rested"


@patient.tool(metadata={"durable_fn": False})
async def order(run: RunContext[AsyncDurableContext]) -> str:
    return str(await run.deps.wait_for_callback(keep("delivery"), name="delivery", timeout=timedelta(days=30)))


async def long_wait(event: Any, ctx: AsyncDurableContext) -> Any:
    return (await patient.run("go", deps=ctx)).output


APPROVED = {"approvals": {"b": True}}

SHAPES = (
    shape(
        parallel_tools,
        result="done, look a, look b, look c, look d, look e",
        once=("model 0", "look a", "look b", "look c", "model 1", "look d", "look e", "model 2"),
    ),
    shape(
        stream_mcp_approval,
        result="done, stock tea, sell tea",
        once=("model 0", "stock tea", "seen s", "model 1", "ask sell", "sell tea", "seen b", "model 2"),
        outside=answers("approval", APPROVED),
    ),
    shape(
        side_by_side,
        result=["done, look x, look y"] * 4,
        once=("twin 0", "look x", "look y", "twin 1") * 4,
    ),
    shape(
        sub_agent,
        result="done, done, look p, done, look p, consulted done",
        once=("chief 0", *("clerk 0", "look p", "clerk 1") * 2, "chief 1", "inner 0", "consulted done", "chief 2"),
    ),
    shape(
        long_wait,
        result="done, rested, look z, parcel",
        once=("model 0", "look z", "model 1", "model 2"),
        outside=answers("delivery", "parcel"),
    ),
)
