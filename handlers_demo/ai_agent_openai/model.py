"""Which model the agent asks: a scripted one, unless AGENT_PROVIDER and AGENT_MODEL name a real one."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from typing import Any

from agents import Model, ModelResponse, Usage
from agents.items import TResponseOutputItem, TResponseStreamEvent
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

from durable_fn import current_step

from ..ai_agent.model import SCRIPTED, provider, said
from ..ai_agent.providers import ModelBusy
from ..ai_agent.systems import MODEL
from ..systems import SystemDown


def model() -> Model | str:
    """The SDK's own providers: "openai", or by a prefix ("litellm/anthropic") what its extras know."""
    if provider() == SCRIPTED:
        return Scripted()
    name = os.environ["AGENT_MODEL"]
    return name if provider() == "openai" else f"{provider()}/{name}"


class Scripted(Model):
    """Says what conversation.json says for this turn. Each call is billed by MODEL, which can be overloaded."""

    async def get_response(self, system_instructions: str | None, input: Any, *_: Any, **__: Any) -> ModelResponse:
        outputs = [str(i["output"]) for i in input if i.get("type") == "function_call_output"]
        turn = 1 if not outputs else 2 if len(outputs) == 2 else 3
        try:
            MODEL.perform("ask", current_step().idempotency_key, f"turn {turn}")
        except SystemDown:
            raise ModelBusy("the model answers 429: too many requests", 3) from None
        line = said(turn, outputs[-1] if outputs else "")
        output: list[TResponseOutputItem] = [_message(line["text"]), *map(_call, line.get("calls", []))]
        tokens = line["usage"]
        usage = Usage(requests=1, total_tokens=sum(tokens.values()), **tokens)
        return ModelResponse(output=output, usage=usage, response_id=None)

    def stream_response(self, *_: Any, **__: Any) -> AsyncIterator[TResponseStreamEvent]:
        raise NotImplementedError("conversation.json is not streamed")


def _message(text: str) -> ResponseOutputMessage:
    content = ResponseOutputText(annotations=[], text=text, type="output_text")
    return ResponseOutputMessage(id="m", content=[content], role="assistant", status="completed", type="message")


def _call(call: dict[str, Any]) -> ResponseFunctionToolCall:
    return ResponseFunctionToolCall(
        arguments=json.dumps(call["arguments"]), call_id=call["id"], name=call["name"], type="function_call"
    )
