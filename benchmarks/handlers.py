"""What is measured."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from durable_fn import AsyncDurableContext, DurableContext, DurableFunction, RetryPolicy, current_step, durable, step


def work(n: int) -> int:
    return n


@durable(name="straight")
def straight(event: int, ctx: DurableContext) -> int:
    for n in range(event):
        ctx.step(work, n)
    return event


async def awork(n: int) -> int:
    return n


@durable(name="straight-async")
async def straight_async(event: int, ctx: AsyncDurableContext) -> int:
    for n in range(event):
        await ctx.step(awork, n)
    return event


@durable(name="straight-threads")
async def straight_threads(event: int, ctx: AsyncDurableContext) -> int:
    for n in range(event):
        await ctx.step(work, n)
    return event


@durable(name="wide")
def wide(event: int, ctx: DurableContext) -> int:
    def item(c: DurableContext, n: int) -> int:
        return c.step(work, n)

    return len(ctx.map(item, range(event)).results)


@durable(name="wide-async")
async def wide_async(event: int, ctx: AsyncDurableContext) -> int:
    async def item(c: AsyncDurableContext, n: int) -> int:
        return await c.step(work, n)

    return len((await ctx.map(item, range(event))).results)


@durable(name="sleepy")
def sleepy(event: float, ctx: DurableContext) -> int:
    for n in range(5):
        ctx.step(work, n)
    ctx.sleep(timedelta(seconds=event))
    for n in range(5):
        ctx.step(work, n)
    return 10


@step(retry=RetryPolicy(max_attempts=3, initial_delay=30, jitter="none"))
def fails_once(n: int) -> int:
    if current_step().attempt == 1:
        raise ConnectionError("once")
    return n


@durable(name="retried")
def retried(event: int, ctx: DurableContext) -> int:
    for n in range(9):
        ctx.step(work, n)
    return ctx.step(fails_once, 9)


FRONTS: dict[str, DurableFunction[int, Any]] = {
    "def": straight,
    "async def": straight_async,
    "async, def bodies": straight_threads,
}
