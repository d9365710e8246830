"""A run of each framework that calls two tools at once, asks a human and goes on: begun, or ended.

python -m tests.upgrades.runs begin|end FRAMEWORK DIRECTORY
"""

from __future__ import annotations

import json
import operator
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, TypedDict

from durable_fn import AsyncDurableContext, DurableClient, DurableFunction, current_context, durable
from durable_fn.local.worker import Worker
from durable_fn.wiring import sqlite

FILES: list[Path] = []
"""The directory of this run."""


def effect(what: str) -> str:
    with (FILES[0] / "effects").open("a") as file:
        file.write(f"{what}\n")
    return what


def keep(token: str) -> None:
    effect("ask")
    (FILES[0] / "token").write_text(token)


class State(TypedDict):
    turn: int
    seen: Annotated[list[str], operator.add]


EXPECTED = Counter(("model 0", "look a", "look b", "model 1", "ask", "sell tea", "model 2"))
CALLS = [[("look", {"what": "a"}, "c1"), ("look", {"what": "b"}, "c2")], [("sell", {"item": "tea"}, "c3")]]


def pydantic_ai() -> tuple[DurableFunction[Any, Any], Any]:
    from pydantic_ai import Agent, DeferredToolRequests, DeferredToolResults, RunContext
    from pydantic_ai.capabilities import HandleDeferredToolCalls
    from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart
    from pydantic_ai.models.function import AgentInfo, FunctionModel

    from durable_fn.ext.pydantic_ai import DurableFn

    def model(messages: Any, info: AgentInfo) -> ModelResponse:
        turn = sum(isinstance(message, ModelResponse) for message in messages)
        effect(f"model {turn}")
        calls = CALLS[turn] if turn < len(CALLS) else []
        return ModelResponse(
            parts=[ToolCallPart(*call[:2], tool_call_id=call[2]) for call in calls] or [TextPart("done")]
        )

    async def decide(run: RunContext[Any], requests: DeferredToolRequests) -> DeferredToolResults:
        ctx, call = current_context(AsyncDurableContext), requests.approvals[0]
        assert ctx is not None
        approved = await ctx.wait_for_callback(keep, name="approval", key=call.tool_call_id, result_type=bool)
        return DeferredToolResults(approvals={call.tool_call_id: approved})

    agent = Agent(FunctionModel(model), name="shop", capabilities=[DurableFn(), HandleDeferredToolCalls(decide)])

    @agent.tool_plain
    async def look(what: str) -> str:
        return effect(f"look {what}")

    @agent.tool_plain(requires_approval=True)
    async def sell(item: str) -> str:
        return effect(f"sell {item}")

    @durable(name="upgrade")
    async def handler(event: Any, ctx: AsyncDurableContext) -> str:
        return (await agent.run("go")).output

    return handler, True


def openai_agents() -> tuple[DurableFunction[Any, Any], Any]:
    from agents import Agent, Model, ModelResponse, Usage, function_tool
    from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

    from durable_fn.ext.openai_agents import Runner

    class Scripted(Model):
        async def get_response(self, system_instructions: Any, input: Any, *_: Any, **__: Any) -> ModelResponse:
            answered = sum(item.get("type") == "function_call_output" for item in input)
            turn = {0: 0, 2: 1, 3: 2}[answered]
            effect(f"model {turn}")
            text = ResponseOutputText(annotations=[], text="done", type="output_text")
            message = ResponseOutputMessage(
                id="m", content=[text], role="assistant", status="completed", type="message"
            )
            calls: list[Any] = [
                ResponseFunctionToolCall(arguments=json.dumps(args), call_id=id, name=name, type="function_call")
                for name, args, id in (CALLS[turn] if turn < len(CALLS) else [])
            ]
            return ModelResponse(output=calls or [message], usage=Usage(), response_id=None)

        def stream_response(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
            raise NotImplementedError

    @function_tool
    async def look(what: str) -> str:
        return effect(f"look {what}")

    @function_tool(needs_approval=True)
    async def sell(item: str) -> str:
        return effect(f"sell {item}")

    agent = Agent[Any](name="shop", model=Scripted(), tools=[look, sell])

    @durable(name="upgrade")
    async def handler(event: Any, ctx: AsyncDurableContext) -> str:
        return str((await Runner.run(agent, "go", on_approval=lambda item, token: keep(token))).final_output)

    return handler, True


def langgraph() -> tuple[DurableFunction[Any, Any], Any]:
    from langgraph.graph import END, START, StateGraph
    from langgraph.types import Send, interrupt

    from durable_fn.ext.langgraph import run_graph

    def model(state: Any) -> Any:
        effect(f"model {state['turn']}")
        return {"turn": state["turn"] + 1}

    def called(state: Any) -> Any:
        turn = state["turn"] - 1
        return [Send(name, args) for name, args, _ in CALLS[turn]] if turn < len(CALLS) else END

    async def look(state: Any) -> Any:
        return {"seen": [effect(f"look {state['what']}")]}

    async def sell(state: Any) -> Any:
        verdict = interrupt("sell?")
        return {"seen": [effect(f"sell {state['item']}") if verdict else "no"]}

    builder: Any = StateGraph(State)
    for node in (model, look, sell):
        builder.add_node(node.__name__, node)
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", called, ["look", "sell", END])
    builder.add_edge("look", "model")
    builder.add_edge("sell", "model")
    graph = builder.compile(name="shop")

    @durable(name="upgrade")
    async def handler(event: Any, ctx: AsyncDurableContext) -> str:
        state = await run_graph(ctx, graph, {"turn": 0, "seen": []}, ask=lambda token, value: keep(token))
        assert state["seen"] == ["look a", "look b", "sell tea"]
        return "done"

    return handler, True


def main() -> None:
    phase, framework, directory = sys.argv[1:]
    FILES[:] = [Path(directory) / framework]
    FILES[0].mkdir(exist_ok=True)
    handler, approval = globals()[framework]()
    backend = sqlite(str(FILES[0] / "journal.db"))
    client = DurableClient(backend)
    if phase == "begin":
        client.start(handler, None, id="run")
    else:
        client.complete_callback((FILES[0] / "token").read_text(), approval)
    worker = Worker([handler], backend, timeout=60, emit=lambda line: None)
    while worker.run_once():
        pass
    info = client.describe("run")
    happened = Counter((FILES[0] / "effects").read_text().splitlines())
    if phase == "begin":
        assert info.status == "SUSPENDED", (info, client.history("run"))
        assert happened["ask"] == 1
    else:
        assert (info.status, client.result("run")) == ("SUCCEEDED", "done"), info
        assert happened == EXPECTED, happened


if __name__ == "__main__":
    main()
