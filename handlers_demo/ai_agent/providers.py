"""Real models over HTTP, with the standard library: the Anthropic Messages API, and the chat completions that many offer.

    AGENT_PROVIDER=anthropic  ANTHROPIC_API_KEY=...  AGENT_MODEL=...
    AGENT_PROVIDER=openai     OPENAI_API_KEY=...     AGENT_MODEL=...

AGENT_BASE_URL names another endpoint, AGENT_PRICE_INPUT and AGENT_PRICE_OUTPUT the dollars per million tokens.
"""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from typing import Any, Final

from pydantic import ValidationError

from .models import Message, Reply, ToolCall, Usage
from .tools import TOOLS

_SYSTEM: Final = (
    "You work in the support of a shop. Find out with the tools what happened and put it right. Use several tools at once where "
    "they do not depend on each other. Answer in one or two sentences when you are done."
)
_MAX_TOKENS: Final = 2_000
_TIMEOUT_S: Final = 100
_MOST_BYTES: Final = 4_000_000
_LONGEST_WAIT_S: Final = 3_600
_TOO_MANY: Final = 429


class ModelUnavailable(ConnectionError):
    """Overloaded or not to be reached: worth another attempt."""


class ModelBusy(ModelUnavailable):
    """It said when to come again: seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ModelRefused(RuntimeError):
    """A wrong key, model or request, or an answer that cannot be read: another attempt would be the same."""


def ask(provider: str, messages: list[Message]) -> Reply:
    """One call. Raises ModelBusy, ModelUnavailable or ModelRefused; the key is in none of their texts."""
    wires: dict[str, type[Anthropic] | type[OpenAI]] = {"anthropic": Anthropic, "openai": OpenAI}
    if provider not in wires:
        raise ModelRefused(f"AGENT_PROVIDER is {provider[:40]!r}; it must be scripted, {' or '.join(wires)}")
    wire = wires[provider]
    key, model = _setting(wire.key_variable), _setting("AGENT_MODEL")
    base = os.environ.get("AGENT_BASE_URL", wire.base).rstrip("/")
    answer = _post(base + wire.path, wire.request(model, messages), wire.headers(key), key)
    try:
        reply = wire.reply(answer)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ValidationError) as error:
        raise ModelRefused(f"the model's answer cannot be read: {type(error).__name__}") from None
    usage = reply.usage.model_copy(update={"cost": cost_of(reply.usage)})
    return reply.model_copy(update={"usage": usage})


class Anthropic:
    base = "https://api.anthropic.com"
    path = "/v1/messages"
    key_variable = "ANTHROPIC_API_KEY"

    @staticmethod
    def headers(key: str) -> dict[str, str]:
        return {"x-api-key": key, "anthropic-version": "2023-06-01"}

    @staticmethod
    def request(model: str, messages: list[Message]) -> dict[str, Any]:
        tools = [{"name": t.name, "description": t.description, "input_schema": t.schema} for t in TOOLS.values()]
        turns: list[dict[str, Any]] = []
        for message in messages:
            role = "assistant" if message.role == "assistant" else "user"
            content = Anthropic._content(message)
            if turns and turns[-1]["role"] == role:  # the answers to parallel calls belong into one turn
                turns[-1]["content"] += content
            else:
                turns.append({"role": role, "content": content})
        return {"model": model, "max_tokens": _MAX_TOKENS, "system": _SYSTEM, "tools": tools, "messages": turns}

    @staticmethod
    def _content(message: Message) -> list[dict[str, Any]]:
        if message.role == "tool":
            return [{"type": "tool_result", "tool_use_id": message.call_id, "content": message.text}]
        text = [{"type": "text", "text": message.text}] if message.text else []
        calls = [{"type": "tool_use", "id": c.id, "name": c.name, "input": c.arguments} for c in message.calls]
        return [*text, *calls]

    @staticmethod
    def reply(answer: Any) -> Reply:
        blocks = answer["content"]
        text = "".join(block["text"] for block in blocks if block["type"] == "text")
        uses = [block for block in blocks if block["type"] == "tool_use"]
        calls = [ToolCall(id=use["id"], name=use["name"], arguments=use["input"]) for use in uses]
        usage = Usage.model_validate({name: answer["usage"][name] for name in ("input_tokens", "output_tokens")})
        return Reply(text=text, calls=calls, usage=usage)


class OpenAI:
    base = "https://api.openai.com/v1"
    path = "/chat/completions"
    key_variable = "OPENAI_API_KEY"

    @staticmethod
    def headers(key: str) -> dict[str, str]:
        return {"authorization": f"Bearer {key}"}

    @staticmethod
    def request(model: str, messages: list[Message]) -> dict[str, Any]:
        functions = [{"name": t.name, "description": t.description, "parameters": t.schema} for t in TOOLS.values()]
        tools = [{"type": "function", "function": function} for function in functions]
        said = [{"role": "system", "content": _SYSTEM}, *map(OpenAI._message, messages)]
        return {"model": model, "tools": tools, "messages": said}

    @staticmethod
    def _message(message: Message) -> dict[str, Any]:
        if message.role == "tool":
            return {"role": "tool", "tool_call_id": message.call_id, "content": message.text}
        row: dict[str, Any] = {"role": message.role, "content": message.text}
        if message.calls:
            row["tool_calls"] = [
                {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": json.dumps(c.arguments)}}
                for c in message.calls
            ]
        return row

    @staticmethod
    def reply(answer: Any) -> Reply:
        message, usage = answer["choices"][0]["message"], answer["usage"]
        calls = [
            ToolCall(id=c["id"], name=c["function"]["name"], arguments=json.loads(c["function"]["arguments"] or "{}"))
            for c in message.get("tool_calls") or []
        ]
        spent = {"input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"]}
        return Reply(text=message.get("content") or "", calls=calls, usage=Usage.model_validate(spent))


def _setting(name: str) -> str:
    value = os.environ.get(name, "").strip()
    if not value:
        raise ModelRefused(f"{name} is not set; see handlers_demo/ai_agent/README.md")
    return value


def cost_of(usage: Usage) -> Decimal:
    try:
        price_in, price_out = (
            Decimal(os.environ.get(name, default))
            for name, default in (("AGENT_PRICE_INPUT", "3"), ("AGENT_PRICE_OUTPUT", "15"))
        )
    except InvalidOperation:
        raise ModelRefused("AGENT_PRICE_INPUT and AGENT_PRICE_OUTPUT must be dollars per million tokens") from None
    return (usage.input_tokens * price_in + usage.output_tokens * price_out) / 1_000_000


# -- HTTP ----------------------------------------------------------------------------------------------------------


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _post(url: str, body: dict[str, Any], headers: dict[str, str], key: str) -> Any:
    if not url.startswith(("https://", "http://")):
        raise ModelRefused("AGENT_BASE_URL must begin with https:// or http://")
    request = urllib.request.Request(  # noqa: S310
        url, json.dumps(body).encode(), {**headers, "content-type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.build_opener(_NoRedirects).open(request, timeout=_TIMEOUT_S) as response:
            return json.loads(response.read(_MOST_BYTES))
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(error, key) from None
    except (OSError, TimeoutError) as error:
        raise ModelUnavailable(f"the model cannot be reached: {type(error).__name__}") from None
    except ValueError:
        raise ModelRefused("the model's answer is not JSON") from None


def _refusal(error: urllib.error.HTTPError, key: str) -> Exception:
    said = error.read(2_000).decode("utf-8", "replace").replace(key, "***")  # some quote the key that they refuse
    text = f"the model answers {error.code}: {' '.join(said.split())[:300]}"
    if error.code != _TOO_MANY and error.code < 500:
        return ModelRefused(text)
    wait = _retry_after(error.headers.get("retry-after"))
    return ModelUnavailable(text) if wait is None else ModelBusy(text, wait)


def _retry_after(value: str | None) -> float | None:
    """Seconds, or a date. None for what is neither."""
    if not value:
        return None
    try:
        seconds = float(value) if value.strip().isdecimal() else parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, seconds), _LONGEST_WAIT_S)
