"""Which model the agent asks: a scripted one, unless AGENT_PROVIDER and AGENT_MODEL name a real one."""

from __future__ import annotations

import os

from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart
from pydantic_ai.models import Model
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.usage import RequestUsage

from durable_fn import current_step

from ..ai_agent.model import SCRIPTED, provider, said
from ..ai_agent.models import Usage
from ..ai_agent.providers import cost_of
from ..ai_agent.systems import MODEL
from ..systems import SystemDown


def model() -> Model | str:
    """Providers are Pydantic AI's own: "anthropic", "openai" and all others that it knows, each with its own key variable."""
    if provider() == SCRIPTED:
        return FunctionModel(scripted)
    return f"{provider()}:{os.environ['AGENT_MODEL']}"


def scripted(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
    """Says what conversation.json says for this turn. Each call is billed by MODEL, which can be overloaded."""
    turn = 1 + sum(isinstance(message, ModelResponse) for message in messages)
    try:
        MODEL.perform("ask", current_step().idempotency_key, f"turn {turn}")
    except SystemDown:
        raise ModelHTTPError(429, SCRIPTED) from None
    heard = " ".join(str(part.content) for part in messages[-1].parts if isinstance(part, ToolReturnPart))
    line = said(turn, heard)
    calls = [ToolCallPart(call["name"], call["arguments"], tool_call_id=call["id"]) for call in line.get("calls", [])]
    usage = Usage.model_validate(line["usage"])
    billed = RequestUsage(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens, cost=cost_of(usage))
    return ModelResponse(parts=[TextPart(line["text"]), *calls], usage=billed)


def hopeless(error: Exception) -> bool:
    """Another attempt would be refused as well: a wrong key, model or request."""
    return isinstance(error, ModelHTTPError) and error.status_code < 500 and error.status_code not in (408, 409, 429)
