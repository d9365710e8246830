"""The agent by Pydantic AI."""

from __future__ import annotations

from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.usage import RequestUsage

from durable_fn import AsyncDurableContext, durable
from durable_fn.ext.pydantic_ai import DurableFn

from . import task


def _model(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
    turn = sum(isinstance(message, ModelResponse) for message in messages)
    text = TextPart(task.answer(turn))
    calls = [ToolCallPart("search", {"question": question}, tool_call_id=id) for id, question in task.calls(turn)]
    return ModelResponse(parts=[text, *calls], usage=RequestUsage(input_tokens=900, output_tokens=150))


agent = Agent(FunctionModel(_model), name="research", capabilities=[DurableFn()])


@agent.tool_plain
def search(question: str) -> str:
    """Looks it up."""
    return task.search(question)


@durable(name="pydantic-ai")
async def handler(event: task.Event, ctx: AsyncDurableContext) -> str:
    return (await agent.run("Why?")).output
