"""What the soak runs, in workers of their own. Bodies note themselves in a file that they only append to."""

from __future__ import annotations

import itertools
import os
from typing import Any

from durable_fn import AsyncDurableContext, DurableContext, current_step, durable

CALLS = "LIMITS_CALLS"
"""The file, by an environment variable."""
_count = itertools.count()


def call(what: str) -> str:
    """Answers what no other call does."""
    token = f"{os.getpid()}.{next(_count)}"
    line = f"{current_step().idempotency_key} {what} {token}\n"
    file = os.open(os.environ[CALLS], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)
    return token


@durable(name="soak")
def soak(event: int, ctx: DurableContext) -> list[str]:
    first = ctx.step(call, "first")
    ctx.sleep(2 + event % 3)
    parts = ctx.map(lambda c, n: c.step(call, f"part {n}"), range(2)).results
    return [first, *parts, ctx.step(call, "last")]


@durable(name="a_soak")
async def a_soak(event: int, ctx: AsyncDurableContext) -> list[Any]:
    first = await ctx.step(call, "first")
    await ctx.sleep(2 + event % 3)
    return [first, await ctx.step(call, "last")]
