"""Executions for bad days. Each body says which of its runs gave the value, so that a value that changed can be seen."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from typing import Any, NamedTuple

from durable_fn import (
    AsyncDurableContext,
    DurableContext,
    RetryPolicy,
    durable,
    step,
)
from durable_fn.errors import SerializationError, SignalTimeout, StepInterrupted


class Ran(NamedTuple):
    """One run of a body, and what it was given."""

    id: str
    name: str
    value: str
    given: tuple[Any, ...]


LEDGER: list[Ran] = []
_runs: Counter[tuple[str, str]] = Counter()
_lock = threading.Lock()
PATIENT = RetryPolicy(max_attempts=1)


def fresh() -> None:
    LEDGER.clear()
    _runs.clear()


def note(id: str, name: str, *given: Any) -> str:
    with _lock:
        _runs[id, name] += 1
        value = f"{name}.{_runs[id, name]}"
        LEDGER.append(Ran(id, name, value, given))
    return value


async def a_note(id: str, name: str, *given: Any) -> str:
    return note(id, name, *given)


def large(id: str) -> str:
    """Does not fit an item, and does not shrink."""
    import random

    return note(id, "large") + random.Random(1).randbytes(300_000).hex()


once = step(note, name="single", semantics="at_most_once", retry=PATIENT)


@durable(name="part")
def part(event: str, ctx: DurableContext) -> str:
    value = ctx.step(note, event, "inside")
    ctx.sleep(1000)
    return value


@durable(name="order")
def order(event: str, ctx: DurableContext) -> dict[str, Any]:
    first = ctx.step(note, event, "first")
    second = ctx.step(note, event, "second", first)
    third = ctx.step(note, event, "third", second)
    ctx.sleep(90)
    parts = ctx.map(lambda c, n: c.step(note, event, f"part {n}", first), range(3)).results
    try:
        paid = ctx.wait_for_signal("paid", result_type=str, timeout=7200)
    except SignalTimeout:
        paid = "nothing"
    called = ctx.call(part, f"{event} called")
    try:
        single = ctx.step(once, event, "single", paid)
    except StepInterrupted:
        single = "unknown"
    try:
        size = len(ctx.step(large, event))
    except SerializationError:  # the bucket was away
        size = 0
    last = ctx.step(note, event, "last", first, *parts, paid, called)
    return {
        "first": first,
        "second": second,
        "third": third,
        "parts": parts,
        "paid": paid,
        "called": called,
        "single": single,
        "size": size,
        "last": last,
    }


@durable(name="a_order")
async def a_order(event: str, ctx: AsyncDurableContext) -> dict[str, Any]:
    first = await ctx.step(a_note, event, "first")
    second = await ctx.step(a_note, event, "second", first)
    third = await ctx.step(a_note, event, "third", second)

    async def piece(n: int) -> str:
        await asyncio.sleep(60 + 30 * n)
        return await ctx.step(a_note, event, f"part {n}", first)

    parts = list(await asyncio.gather(*(piece(n) for n in range(3))))
    try:
        async with asyncio.timeout(7200):
            paid = await ctx.wait_for_signal("paid", result_type=str)
    except TimeoutError:
        paid = "nothing"
    called = await ctx.call(part, f"{event} called")
    try:
        single = await ctx.step(once, event, "single", paid)
    except StepInterrupted:
        single = "unknown"
    try:
        size = len(await ctx.step(large, event))
    except SerializationError:
        size = 0
    last = await ctx.step(a_note, event, "last", first, *parts, paid, called)
    return {
        "first": first,
        "second": second,
        "third": third,
        "parts": parts,
        "paid": paid,
        "called": called,
        "single": single,
        "size": size,
        "last": last,
    }


@durable(name="rounds")
def rounds(event: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    """Three signals, each in a generation of its own."""
    got = ctx.wait_for_signal("tick", result_type=str)
    value = ctx.step(note, event["id"], f"round {len(event['got'])}", got)
    now = {"id": event["id"], "got": [*event["got"], got], "values": [*event["values"], value]}
    if len(now["got"]) == 3:
        return now
    return ctx.continue_as_new(now)


FUNCTIONS = (order, a_order, part, rounds)
