"""Asking the model: a scripted one unless AGENT_PROVIDER names a real one."""

from __future__ import annotations

import functools
import json
import os
from importlib import resources
from typing import Any, Final

from durable_fn import RetryPolicy, current_step, step

from ..systems import SystemDown
from .models import Message, Reply, ToolCall, Usage
from .providers import ModelBusy, ModelRefused, ask, cost_of
from .systems import MODEL

PROVIDER_VARIABLE: Final = "AGENT_PROVIDER"
SCRIPTED: Final = "scripted"
_BUSY_S: Final = 3.0


def provider() -> str:
    return os.environ.get(PROVIDER_VARIABLE, "").strip().lower() or SCRIPTED


@step(
    retry=RetryPolicy(max_attempts=6, initial_delay=2, max_delay=60, give_up_on=(ModelBusy, ModelRefused)),
    raises=(ModelBusy,),
    timeout=120,
)
def ask_model(messages: list[Message]) -> Reply:
    """Overload is tried again with growing delays; a Retry-After comes out as ModelBusy, and the handler waits for it."""
    return scripted(messages) if provider() == SCRIPTED else ask(provider(), messages)


def scripted(messages: list[Message]) -> Reply:
    """Says what conversation.json says for this turn. Its calls are billed by MODEL, which can be overloaded as well."""
    turn = 1 + sum(message.role == "assistant" for message in messages)
    try:
        MODEL.perform("ask", current_step().idempotency_key, f"turn {turn}")
    except SystemDown:
        raise ModelBusy("the model answers 429: too many requests", _BUSY_S) from None
    line = said(turn, messages[-1].text)
    calls = [ToolCall.model_validate(call) for call in line.get("calls", [])]
    return Reply(text=line["text"], calls=calls, usage=_usage(line["usage"]))


def said(turn: int, heard: str) -> dict[str, Any]:
    """The line of conversation.json for this turn, after what was heard last. ModelRefused if there is none."""
    for line in conversation():
        if line["turn"] == turn and line.get("if", "") in heard:
            return line
    raise ModelRefused(f"conversation.json has no turn {turn}")


def _usage(tokens: dict[str, int]) -> Usage:
    usage = Usage.model_validate(tokens)
    return usage.model_copy(update={"cost": cost_of(usage)})


@functools.cache
def conversation() -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = json.loads((resources.files(__package__) / "conversation.json").read_text("utf-8"))
    return lines
