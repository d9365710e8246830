"""One order in both fronts: a step that fails once, a sleep, branches with a step and a wait, a step at the end."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from durable_fn import (
    AsyncDurableContext,
    DurableContext,
    DurableFunction,
    Hooks,
    RetryPolicy,
    current_step,
    durable,
    step,
)

NAMES = ["sync", "asyn"]


def handlers(hooks: Sequence[Hooks], log: Any = None, *, fail: bool = False) -> dict[str, DurableFunction[Any, Any]]:
    """By front. `fail`: the handler raises ValueError at its end."""
    log = log if log is not None else logging.getLogger("tests.orders")

    def reserve(sku: str) -> str:
        if current_step().attempt == 1:
            log.info("no stock")
            raise ConnectionError("no stock")
        log.info("reserved")
        return sku

    def pack(box: str) -> str:
        log.info(f"packing {box}")
        return box

    retried = step(reserve, retry=RetryPolicy(initial_delay=60, jitter="none"))

    def small(ctx: DurableContext) -> str:
        return ctx.step(pack, "small")

    def large(ctx: DurableContext) -> str:
        ctx.sleep(30, name="forklift")
        return ctx.step(pack, "large")

    async def async_small(ctx: AsyncDurableContext) -> str:
        return await ctx.step(pack, "small")

    async def async_large(ctx: AsyncDurableContext) -> str:
        await ctx.sleep(30, name="forklift")
        return await ctx.step(pack, "large")

    @durable(name="order", hooks=hooks)
    def sync(event: Any, ctx: DurableContext) -> str:
        log.info("begins")
        ctx.step(retried, "sku")
        log.info("in stock")
        ctx.sleep(3600)
        ctx.parallel({"small": small, "large": large}, name="boxes")
        log.info("ends")
        if fail:
            raise ValueError("no courier")
        return "done"

    @durable(name="order", hooks=hooks)
    async def asyn(event: Any, ctx: AsyncDurableContext) -> str:
        log.info("begins")
        await ctx.step(retried, "sku")
        log.info("in stock")
        await ctx.sleep(3600)
        await ctx.parallel({"small": async_small, "large": async_large}, name="boxes")
        log.info("ends")
        if fail:
            raise ValueError("no courier")
        return "done"

    return {"sync": sync, "asyn": asyn}
