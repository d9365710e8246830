"""Waits that end: an approval that escalates, a poll with a deadline."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from durable_fn import AsyncDurableContext, DurableClient
from durable_fn.errors import CallbackError, CallbackTimeout, PollTimeout
from tests.torture.books import NOTES, note
from tests.torture.workflows.hard import hard, notes

Ctx = AsyncDurableContext


def asks(token: str, who: str) -> None:
    note("asks", who, token)


async def approval(event: str, ctx: Ctx) -> dict[str, Any]:
    """The clerk says nothing for an hour; the boss is asked then. Whose word comes too late is told so."""
    try:
        word = await ctx.wait_for_callback(
            lambda token: asks(token, "clerk"), name="clerk", result_type=str, timeout=3600
        )
    except CallbackTimeout:
        word = await ctx.wait_for_callback(lambda token: asks(token, "boss"), name="boss", result_type=str)
    return {"word": word, "done": await ctx.step(note, "pays", word)}


def says(who: str) -> Any:
    """When the boss was asked."""

    def happens(client: DurableClient) -> None:
        tokens = {n.args[0]: n.args[1] for n in NOTES if n.what == "asks"}
        if "boss" not in tokens:
            raise LookupError("the boss was not asked yet")
        token = tokens[who]
        with suppress(CallbackError):  # too late, or said before
            client.complete_callback(token, f"yes, says the {who}")

    return happens


def _approval(result: Any, _: list[Any]) -> None:
    assert result["word"] == "yes, says the boss"
    assert notes("pays") == [(result["word"],)]
    tokens: dict[str, set[str]] = {}
    for one in NOTES:
        if one.what == "asks":
            tokens.setdefault(one.args[0], set()).add(one.args[1])
    assert all(len(own) == 1 for own in tokens.values()), "one token for one question, however often it is asked"


hard(approval, event="a letter", judge=_approval, script=((4000, says("clerk")), (4500, says("boss"))))


def looks(state: int) -> int:
    note("looks", state)
    return state + 1


async def poller(event: Any, ctx: Ctx) -> list[Any]:
    """The first is ready at the fourth look, the second never."""
    ready = await ctx.poll(looks, initial=0, until=lambda state: state == 4, every=120)
    await ctx.step(note, "ready", ready)
    try:
        await ctx.poll(looks, initial=10, until=lambda state: False, every=300, timeout=1000)
    except PollTimeout:
        return [ready, await ctx.step(note, "gives up", ready)]
    return [ready]


def _poller(result: Any, _: list[Any]) -> None:
    assert result[0] == 4
    assert notes("ready") == notes("gives up") == [(4,)]
    assert [state for (state,) in notes("looks") if state < 10] == [0, 1, 2, 3]


hard(poller, judge=_poller)
