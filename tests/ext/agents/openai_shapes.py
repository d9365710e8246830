"""Five shapes of agents of the OpenAI Agents SDK, with scripted models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from agents import (
    Agent,
    GuardrailFunctionOutput,
    Model,
    ModelResponse,
    RunContextWrapper,
    function_tool,
    handoff,
    input_guardrail,
)
from agents.items import ToolApprovalItem, TResponseStreamEvent
from agents.mcp import MCPServer
from agents.testing import ScriptedModel, assistant_message, function_call
from mcp.types import CallToolResult, TextContent, Tool

from durable_fn import AsyncDurableContext
from durable_fn.ext.openai_agents import Runner
from tests.corpus.outside import answers, every, keep
from tests.effects import effect
from tests.ext.agents.proofs import shape

Calls = list[tuple[str, dict[str, Any], str]]


class Scripted(Model):
    """Calls these tools (name, arguments, id), turn by turn, and then says what they returned. `before`: calls of others that the
    conversation has when this model is first asked."""

    def __init__(self, name: str, *turns: Calls, before: int = 0) -> None:
        self._name = name
        self._turns = turns
        self._before = before

    def _next(self, given: Any) -> ScriptedModel:
        said = [] if isinstance(given, str) else [i["output"] for i in given if i.get("type") == "function_call_output"]
        calls, turn = len(said) - self._before, 0
        while turn < len(self._turns) and calls > 0:
            calls -= len(self._turns[turn])
            turn += 1
        effect(f"{self._name} {turn}")
        if turn < len(self._turns):
            return ScriptedModel([[function_call(name, args, call_id=id) for name, args, id in self._turns[turn]]])
        return ScriptedModel([[assistant_message(", ".join(["done", *map(_text, said)]))]])

    async def get_response(self, system_instructions: Any, input: Any, *args: Any, **kwargs: Any) -> ModelResponse:
        return await self._next(input).get_response(system_instructions, input, *args, **kwargs)

    async def stream_response(
        self, system_instructions: Any, input: Any, *args: Any, **kwargs: Any
    ) -> AsyncIterator[TResponseStreamEvent]:
        async for event in self._next(input).stream_response(system_instructions, input, *args, **kwargs):
            yield event


def _text(output: Any) -> str:
    return output if isinstance(output, str) else str(output[0]["text"])


@function_tool
async def look(what: str) -> str:
    return effect(f"look {what}")


def looks(*whats: str) -> Calls:
    return [("look", {"what": what}, f"c{what}") for what in whats]


# -- three tools beside each other, and two more

tools = Agent(name="tools", model=Scripted("model", looks("a", "b", "c"), looks("d", "e")), tools=[look])


async def parallel_tools(event: Any, ctx: AsyncDurableContext) -> Any:
    return (await Runner.run(tools, "go")).final_output


# -- a stream, a server of tools, and a human


class Shop(MCPServer):
    """In memory. One connection at a time."""

    connected = 0

    @property
    def name(self) -> str:
        return "shop"

    async def connect(self) -> None:
        assert not self.connected
        self.connected += 1

    async def cleanup(self) -> None:
        self.connected -= 1

    async def list_tools(self, *_: Any) -> list[Tool]:
        assert self.connected
        return [Tool(name="stock", inputSchema={"type": "object", "properties": {"item": {"type": "string"}}})]

    async def call_tool(self, name: str, arguments: Any, meta: Any = None) -> CallToolResult:
        assert self.connected
        return CallToolResult(content=[TextContent(type="text", text=effect(f"{name} {arguments['item']}"))])

    async def list_prompts(self) -> Any: ...

    async def get_prompt(self, *_: Any) -> Any: ...


@function_tool(needs_approval=True)
async def sell(item: str) -> str:
    return effect(f"sell {item}")


def ask(item: ToolApprovalItem, token: str) -> None:
    effect(f"ask {item.call_id}")
    keep(f"approval {item.call_id}")(token)


streaming = Agent(
    name="shop",
    model=Scripted("model", [("stock", {"item": "tea"}, "s"), ("stock", {"item": "gin"}, "t")], [
        ("sell", {"item": "tea"}, "x"), ("sell", {"item": "gin"}, "y")
    ]),
    mcp_servers=[Shop()],
    tools=[sell],
)  # fmt: skip


async def stream_mcp_approval(event: Any, ctx: AsyncDurableContext) -> Any:
    stream = Runner.run_streamed(streaming, "sell tea", on_approval=ask)
    seen = [event.name async for event in stream.stream_events() if event.type == "run_item_stream_event"]
    return [stream.final_output, seen]


# -- one agent beside itself, and in branches; its provider counts the ids of its calls anew in each run

twin = Agent(name="twin", model=Scripted("twin", looks("x", "y")), tools=[look])


async def side_by_side(event: Any, ctx: AsyncDurableContext) -> Any:
    async def one(c: AsyncDurableContext, n: int) -> str:
        return str((await Runner.run(twin, f"{n}")).final_output)

    first, second = await asyncio.gather(Runner.run(twin, "a"), Runner.run(twin, "b"))
    return [first.final_output, second.final_output, *(await ctx.map(one, range(2))).results]


# -- an agent that is a tool of another, twice at once, and a circle of hand-overs

clerk = Agent(name="clerk", model=Scripted("clerk", looks("p")), tools=[look])
chief = Agent(
    name="chief",
    model=Scripted(
        "chief",
        [("clerk", {"input": "p"}, "d1"), ("clerk", {"input": "p"}, "d2")],
        [("transfer_to_expert", {}, "h")],
    ),
    tools=[clerk.as_tool("clerk", "asks the clerk"), look],
)
expert = Agent(name="expert", model=Scripted("expert", [("transfer_to_chief", {}, "i")], before=3), handoffs=[chief])
chief.handoffs = [handoff(expert)]


async def sub_agent(event: Any, ctx: AsyncDurableContext) -> Any:
    result = await Runner.run(chief, "go")
    again = await Runner.run(result.last_agent, "go")
    return [result.final_output, result.last_agent.name, again.final_output == result.final_output]


# -- a human who takes a week, and a guardrail before


@input_guardrail
async def polite(context: RunContextWrapper[Any], agent: Agent[Any], input: Any) -> GuardrailFunctionOutput:
    return GuardrailFunctionOutput(output_info={"said": effect("polite")}, tripwire_triggered=False)


patient = Agent(
    name="patient", model=Scripted("model", [("sell", {"item": "gin"}, "x"), *looks("z")]), tools=[look, sell],
    input_guardrails=[polite],
)  # fmt: skip


async def long_wait(event: Any, ctx: AsyncDurableContext) -> Any:
    await ctx.sleep(86_400)
    return (await Runner.run(patient, "go", on_approval=ask, approval_timeout=30 * 86_400)).final_output


ITEMS = ["tool_called", "tool_called", "tool_output", "tool_output"]
CLERKS = "done, look p, done, look p"

SHAPES = (
    shape(
        parallel_tools,
        result="done, look a, look b, look c, look d, look e",
        once=("model 0", "look a", "look b", "look c", "model 1", "look d", "look e", "model 2"),
    ),
    shape(
        stream_mcp_approval,
        result=["done, stock tea, stock gin, sell tea, it was not approved", [*ITEMS, *ITEMS, "message_output_created"]],
        once=("model 0", "stock tea", "stock gin", "model 1", "ask x", "ask y", "sell tea", "model 2"),
        outside=every(answers("approval x", True), answers("approval y", False)),
    ),
    shape(side_by_side, result=["done, look x, look y"] * 4, once=("twin 0", "look x", "look y", "twin 1") * 4),
    shape(
        sub_agent,
        result=[f"done, {CLERKS}, {{\"assistant\": \"expert\"}}, {{\"assistant\": \"chief\"}}", "chief", True],
        once=(
            "chief 0", *("clerk 0", "look p", "clerk 1") * 2, "chief 1", "expert 0", "chief 2",
        ) * 2,
    ),
    shape(
        long_wait,
        result="done, look z, sell gin",
        once=("polite", "model 0", "look z", "ask x", "sell gin", "model 1"),
        outside=answers("approval x", {"approved": "true"}),
    ),
)  # fmt: skip
