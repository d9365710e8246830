"""Signals: buffered, in order, typed, too late."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from durable_fn import AsyncDurableContext, DurableClient, SignalTimeout, current_step
from durable_fn.errors import SerializationError
from tests.corpus.outside import every, signals
from tests.corpus.shape import shape
from tests.effects import effect

Ctx = AsyncDurableContext


def signal_itself(name: str, payload: Any) -> None:
    DurableClient.from_env().signal(current_step().execution_id, name, payload)


@shape(result=[[1, 2, 3], "x", "after"], outside=signals("x", 1, 2, 3), once=("after",))
async def inbox(event: Any, ctx: Ctx) -> Any:
    got = [await ctx.wait_for_signal("x", result_type=int) for _ in range(3)]
    try:
        await ctx.wait_for_signal("x", timeout=0)
    except SignalTimeout as error:
        return [got, error.name, await ctx.step(effect, "after")]


@shape(result=[["x1", "x2"], "y1"], early=every(signals("x", "x1", "x2"), signals("y", "y1")))
async def buffered(event: Any, ctx: Ctx) -> Any:
    """They came before anything ran, and each wait takes those of its own name."""
    await ctx.sleep(100)
    y = await ctx.wait_for_signal("y")
    return [[await ctx.wait_for_signal("x", timeout=90_000) for _ in range(2)], y]


@shape(result=[["y", 1], ["x", 2], "x, y"], early=every(signals("y", 1), signals("x", 2)))
async def any_of_two(event: Any, ctx: Ctx) -> Any:
    """By arrival, whatever their names, and never the same one twice."""
    await ctx.sleep(100)
    got = [list(await ctx.wait_for_any_signal("x", "y")) for _ in range(2)]
    try:
        await ctx.wait_for_any_signal("x", "y", timeout=0)
    except SignalTimeout as error:
        return [*got, error.name]


@shape(result=[True, 7, "once"], once=("once",))
async def signalled(event: Any, ctx: Ctx) -> Any:
    """It signals an execution, itself here: that gets it once, whatever dies."""
    taken = await ctx.signal(ctx.execution_id, "x", 7)
    got = await ctx.wait_for_signal("x", timeout=0)
    try:
        await ctx.wait_for_signal("x", timeout=0)
    except SignalTimeout:
        return [taken, got, await ctx.step(effect, "once")]


@shape(result="gave up", once=("reminder 0", "reminder 1", "reminder 2"))
async def reminders(event: Any, ctx: Ctx) -> Any:
    for day in range(3):
        try:
            return await ctx.wait_for_signal("x", timeout=400)
        except SignalTimeout:
            await ctx.step(effect, f"reminder {day}")
    return "gave up"


@shape(result=["none yet", 7], once=("waited",))
async def too_late(event: Any, ctx: Ctx) -> Any:
    """What comes after a timeout is for the next wait."""
    try:
        await ctx.wait_for_signal("x", timeout=400)
    except SignalTimeout:
        await ctx.step(effect, "waited")
    await ctx.step(signal_itself, "x", 7)
    await ctx.sleep(100)
    return ["none yet", await ctx.wait_for_signal("x", timeout=0)]


class Change(BaseModel):
    field: str
    value: int


@shape(result=["Change", 3, "SerializationError", 4], outside=signals("x", {"field": "a", "value": 3}, "no change", 4))
async def typed_signals(event: Any, ctx: Ctx) -> Any:
    """One that does not fit is consumed all the same."""
    change = await ctx.wait_for_signal("x", result_type=Change)
    try:
        await ctx.wait_for_signal("x", result_type=Change)
    except SerializationError as error:
        return [type(change).__name__, change.value, type(error).__name__, await ctx.wait_for_signal("x")]
