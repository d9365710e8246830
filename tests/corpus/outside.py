"""What comes from outside an execution: answers to its callbacks, signals, a cancellation. And who gets the tokens."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from durable_fn import DurableClient, current_step
from durable_fn.errors import CallbackError, ExecutionConflict
from tests.corpus.shape import Outside

TOKENS: dict[tuple[str, str], str] = {}
"""Tokens that were handed out, by execution and by name."""


def keep(name: str) -> Callable[[str], None]:
    """A submitter: somebody outside has the token now."""

    def submit(token: str) -> None:
        TOKENS[current_step().execution_id, name] = token

    return submit


def answer(client: DurableClient, id: str, name: str, result: Any) -> None:
    """Completes the callback, if its token was handed out. Again is no harm."""
    token = TOKENS.get((id, name))
    if token is not None:
        with suppress(CallbackError):
            client.complete_callback(token, result)


def answers(name: str, result: Any = None) -> Outside:
    return lambda client, id: answer(client, id, name, result)


def refuses(name: str, message: str) -> Outside:
    def outside(client: DurableClient, id: str) -> None:
        token = TOKENS.get((id, name))
        if token is not None:
            with suppress(CallbackError):
                client.fail_callback(token, message, "Refused")

    return outside


def signals(name: str, *payloads: Any) -> Outside:
    """All of them, the first time only."""

    def outside(client: DurableClient, id: str) -> None:
        sent = client.__dict__.setdefault("sent", set())
        if (id, name) not in sent:
            sent.add((id, name))
            for payload in payloads:
                with suppress(ExecutionConflict):
                    client.signal(id, name, payload)

    return outside


def cancels(reason: str) -> Outside:
    return lambda client, id: client.cancel(id, reason)


def every(*all: Outside) -> Outside:
    def outside(client: DurableClient, id: str) -> None:
        for one in all:
            one(client, id)

    return outside


def in_turns(*all: Outside) -> Outside:
    """One each time, the last one again and again."""

    def outside(client: DurableClient, id: str) -> None:
        turn = client.__dict__["turn"] = client.__dict__.get("turn", -1) + 1
        all[min(turn, len(all) - 1)](client, id)

    return outside
