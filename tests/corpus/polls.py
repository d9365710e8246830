"""Polls: until it is done, until patience or checks are over, with checks that raise."""

from __future__ import annotations

from typing import Any

from durable_fn import AsyncDurableContext, RetryPolicy, StepError, current_step
from durable_fn.errors import PollTimeout
from tests.corpus.shape import shape
from tests.effects import effect

Ctx = AsyncDurableContext
SLOW = RetryPolicy(max_attempts=3, initial_delay=30, jitter="none")
GROWING = RetryPolicy(max_attempts=4, initial_delay=60, backoff=10, max_delay=3000, jitter="none")


@shape(result=[3, 4, 4], death_changes=("result",))
async def polls(event: Any, ctx: Ctx) -> Any:
    """The last check is at the end of its patience; one that a death puts off until then is the last."""
    done = await ctx.poll(lambda n: n + 1, initial=0, until=lambda n: n >= 3, every=60)
    try:
        await ctx.poll(lambda n: n + 1, initial=0, until=lambda n: False, every=60, timeout=150, name="never")
    except PollTimeout as error:
        return [done, error.state, error.checks]


def look(state: dict[str, Any]) -> dict[str, Any]:
    return {"seen": [*state["seen"], len(state["seen"])]}


@shape(result=[[0, 1, 2], True])
async def poll_with_state(event: Any, ctx: Ctx) -> Any:
    """Growing waits: 60 and 600 seconds."""
    start = ctx.now()
    state = await ctx.poll(look, initial={"seen": []}, until=lambda s: len(s["seen"]) == 3, every=GROWING)
    return [state["seen"], (ctx.now() - start).total_seconds() >= 660]


@shape(result=[4, 4])
async def no_more_checks(event: Any, ctx: Ctx) -> Any:
    try:
        await ctx.poll(lambda n: n + 1, initial=0, until=lambda n: False, every=GROWING)
    except PollTimeout as error:
        return [error.state, error.checks]


def check_that_raises(state: int) -> int:
    if current_step().attempt < 3:
        raise ConnectionError("not reachable")
    return state + 1


@shape(result=[2, "ConnectionError", "after"], once=("after",))
async def poll_that_raises(event: Any, ctx: Ctx) -> Any:
    done = await ctx.poll(check_that_raises, initial=0, until=lambda n: n == 2, every=60, retry=SLOW)
    try:
        few = RetryPolicy(max_attempts=2, initial_delay=30, jitter="none")
        await ctx.poll(check_that_raises, initial=0, until=lambda n: n == 2, every=60, retry=few, name="worse")
    except StepError as error:
        return [done, error.error_type, await ctx.step(effect, "after")]
