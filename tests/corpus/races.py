"""Races: the first success wins, the losers undo."""

from __future__ import annotations

from typing import Any

from durable_fn import AsyncDurableContext, BatchError
from tests.corpus.outside import signals
from tests.corpus.shape import shape
from tests.effects import effect

Ctx = AsyncDurableContext


@shape(result=[("timer", None), "after"], once=("reserved", "undone", "after"), same=False)
async def first_wins(event: Any, ctx: Ctx) -> Any:
    async def undone(c: Ctx) -> str:
        async with c.saga() as saga:
            saga.add_compensation(effect, "undone")
            await c.step(effect, "reserved")
            await c.sleep(10_000)
        return "never"

    return [await ctx.race({"slow": undone, "timer": lambda c: c.sleep(200)}), await ctx.step(effect, "after")]


@shape(result=[[1, "second"], "after"], once=("after",), same=False)
async def failures_do_not_win(event: Any, ctx: Ctx) -> Any:
    async def fails(c: Ctx) -> str:
        raise LookupError("first, and no success")

    async def wins(c: Ctx) -> str:
        await c.sleep(50)
        return "second"

    return [list(await ctx.race((fails, wins))), await ctx.step(effect, "after")]


@shape(result=["LookupError", ["FAILED", "FAILED"], "after"], once=("after",), same=False)
async def nobody_wins(event: Any, ctx: Ctx) -> Any:
    async def fails(c: Ctx, seconds: int) -> None:
        await c.sleep(seconds)
        raise LookupError(f"after {seconds}")

    try:
        await ctx.race([lambda c: fails(c, 20), lambda c: fails(c, 10)])
    except BatchError as error:
        statuses = [item.status for item in error.batch]
        return [type(error.__cause__).__name__, statuses, await ctx.step(effect, "after")]


@shape(result=[["signal", "go"], ["timer", None]], early=signals("x", "go"), same=False)
async def signal_or_timer(event: Any, ctx: Ctx) -> Any:
    branches = {"signal": lambda c: c.wait_for_signal("x"), "timer": lambda c: c.sleep(3000)}
    return [list(await ctx.race(branches)), list(await ctx.race(branches))]


@shape(result=["inner", ["undo inner", "undo outer"]], once=("undo inner", "undo outer"), same=False)
async def losers_with_fans_of_their_own(event: Any, ctx: Ctx) -> Any:
    async def leaf(d: Ctx, n: int) -> None:
        async with d.saga() as saga:
            saga.add_compensation(effect, "undo inner")
            await d.step(effect, f"leaf {n}")
            await d.sleep(10_000)

    async def deep(c: Ctx) -> None:
        async with c.saga() as saga:
            saga.add_compensation(effect, "undo outer")
            await c.map(leaf, [1])

    async def short(c: Ctx) -> str:
        await c.sleep(30)
        return "inner"

    _, value = await ctx.race((deep, short))
    return [value, ["undo inner", "undo outer"]]
