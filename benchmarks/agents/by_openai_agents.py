"""The agent by the OpenAI Agents SDK."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from agents import Agent, Model, ModelResponse, RunConfig, Usage, function_tool
from agents.items import TResponseOutputItem, TResponseStreamEvent
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

from durable_fn import AsyncDurableContext, durable
from durable_fn.ext.openai_agents import Runner

from . import task


class _Model(Model):
    async def get_response(self, system_instructions: str | None, input: Any, *_: Any, **__: Any) -> ModelResponse:
        answered = sum(item.get("type") == "function_call_output" for item in input)
        turn = next(n for n in range(len(task.TURNS) + 1) if sum(task.TURNS[:n]) == answered)
        content = ResponseOutputText(annotations=[], text=task.answer(turn), type="output_text")
        output: list[TResponseOutputItem] = [
            ResponseOutputMessage(
                id=f"m{turn}", content=[content], role="assistant", status="completed", type="message"
            )
        ]
        for id, question in task.calls(turn):
            arguments = json.dumps({"question": question})
            output.append(
                ResponseFunctionToolCall(arguments=arguments, call_id=id, name="search", type="function_call")
            )
        usage = Usage(requests=1, input_tokens=900, output_tokens=150, total_tokens=1050)
        return ModelResponse(output=output, usage=usage, response_id=None)

    def stream_response(self, *_: Any, **__: Any) -> AsyncIterator[TResponseStreamEvent]:
        raise NotImplementedError


@function_tool
def search(question: str) -> str:
    """Looks it up."""
    return task.search(question)


agent = Agent[None](name="research", model=_Model(), tools=[search])


@durable(name="openai-agents")
async def handler(event: task.Event, ctx: AsyncDurableContext) -> str:
    result = await Runner.run(agent, "Why?", max_turns=20, run_config=RunConfig(tracing_disabled=True))
    return str(result.final_output)
