"""Executions that live for long and are spoken to: a mailbox, a lock, a debounced batch, a ledger over generations."""

from __future__ import annotations

import asyncio
from typing import Any

from durable_fn import AsyncDurableContext, Signal
from durable_fn.errors import SignalTimeout
from tests.torture.books import NOTES, note
from tests.torture.workflows.hard import hard, notes, sends

Ctx = AsyncDurableContext
DEPOSIT: Signal[int] = Signal("deposit", int)
CLOSE: Signal[None] = Signal("close")
ACQUIRE: Signal[str] = Signal("acquire", str)
RELEASE: Signal[str] = Signal("release", str)
GRANT: Signal[int] = Signal("grant", int)
POST: Signal[int] = Signal("post", int)
KEY: Signal[str] = Signal("key", str)


async def entity(event: Any, ctx: Ctx) -> dict[str, Any]:
    """A task reads its mail into a queue while the loop works."""
    mailbox: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

    async def reads() -> None:
        name = ""
        while name != "close":
            name, payload = await ctx.wait_for_any_signal(DEPOSIT, CLOSE)
            await mailbox.put((name, payload))

    task = asyncio.create_task(reads())
    balance, receipts = 0, []
    while (mail := await mailbox.get())[0] == "deposit":
        receipts.append(await ctx.step(note, "deposit", mail[1], balance))
        balance += mail[1]
    await task
    return {"balance": balance, "receipts": receipts}


def _entity(result: Any, _: list[Any]) -> None:
    assert result["balance"] == 15
    assert notes("deposit") == [(1, 0), (2, 1), (4, 3), (8, 7)], "each once, in order, on the balance before it"
    assert len(result["receipts"]) == 4


hard(
    entity,
    native=True,
    judge=_entity,
    script=(*((10 * n, sends("entity", DEPOSIT, 2**n, n)) for n in range(4)), (45, sends("entity", CLOSE, None, 9))),
)


async def lock(event: int, ctx: Ctx) -> list[str]:
    """Grants itself to one at a time, in the order in which they asked."""
    served = []
    for number in range(event):
        who = await ctx.wait_for_signal(ACQUIRE)
        await ctx.signal(who, GRANT, number)
        served.append(await ctx.wait_for_signal(RELEASE))
    return served


async def customer(event: str, ctx: Ctx) -> str:
    await ctx.signal("lock", ACQUIRE, event)
    number = await ctx.wait_for_signal(GRANT)
    await ctx.step(note, "enters", event, number)
    await ctx.sleep(30)
    await ctx.step(note, "leaves", event)
    await ctx.signal("lock", RELEASE, event)
    return event


def _lock(result: Any, _: list[Any]) -> None:
    assert sorted(result) == ["a", "b", "c"]
    inside, order = None, []
    for one in NOTES:
        if one.what == "enters":
            assert inside in (None, one.args[0]), "two of them are inside"
            inside = one.args[0]
            order += [inside] if inside not in order else []
        elif inside == one.args[0]:
            inside = None
    assert order == result


hard(lock, customer, judge=_lock, starts=(("lock", 0, 3), *((who, 1, who) for who in "abc")))


async def debounce(event: int, ctx: Ctx) -> list[list[str]]:
    """What comes in a row is saved together, when it has been quiet for a while."""
    batches: list[list[str]] = []
    batch: list[str] = []
    while batch or sum(map(len, batches)) < event:
        try:
            batch.append(await ctx.wait_for_signal(KEY, timeout=600))
        except SignalTimeout:
            if batch:
                await ctx.step(note, "saves", batch)
                batches.append(batch)
            batch = []
    return batches


def _debounce(result: Any, _: list[Any]) -> None:
    assert [key for batch in result for key in batch] == list("abcde")
    assert [batch for (batch,) in notes("saves")] == result


hard(
    debounce,
    event=5,
    judge=_debounce,
    script=tuple(
        (at, sends("debounce", KEY, key, at)) for at, key in zip((5, 50, 90, 1900, 1950), "abcde", strict=True)
    ),
)


async def bank(event: dict[str, list[Any]], ctx: Ctx) -> dict[str, list[Any]]:
    """Two postings to a generation; what is not read goes along."""
    for _ in range(2):
        amount = await ctx.wait_for_signal(POST)
        line = await ctx.step(note, "posts", amount, len(event["lines"]))
        event = {"amounts": [*event["amounts"], amount], "lines": [*event["lines"], line]}
    if len(event["amounts"]) < 6:
        ctx.continue_as_new(event)
    return event


def _bank(result: Any, _: list[Any]) -> None:
    assert result["amounts"] == [1, 2, 3, 4, 5, 6]
    assert notes("posts") == [(n + 1, n) for n in range(6)]


hard(
    bank,
    event={"amounts": [], "lines": []},
    judge=_bank,
    script=tuple((5 * n if n < 4 else 500, sends("bank", POST, n + 1, n)) for n in range(6)),
)
