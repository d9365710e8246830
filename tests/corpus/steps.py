"""Steps, retries, sleeps and draws: handlers in their own words for `def` and for `async def`."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from durable_fn import AsyncDurableContext, DurableContext, RetryPolicy, StepError, current_step, step
from tests.corpus.shape import shape
from tests.effects import EFFECTS, add, effect

QUICK = RetryPolicy(max_attempts=4, initial_delay=0.2, jitter="none")
SLOW = RetryPolicy(max_attempts=3, initial_delay=30, backoff=4, jitter="none")


class Declined(Exception):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@step(name="add")
async def aadd(a: int, b: int = 1) -> int:
    await asyncio.sleep(0)
    return add(a, b)


def _fails(times: int, name: str) -> int:
    """Fails the first `times` attempts; counts them in EFFECTS, which a journaled failure leaves behind."""
    attempt = current_step().attempt
    EFFECTS.append(f"{name} {attempt}")
    if attempt <= times:
        raise ConnectionError(f"attempt {attempt}")
    return attempt


@step(retry=QUICK)
def flaky(times: int) -> int:
    return _fails(times, "flaky")


@step(retry=SLOW)
def slow_flaky(times: int) -> int:
    return _fails(times, "slow_flaky")


@step(raises=(Declined,), retry=RetryPolicy(give_up_on=Declined))
def decline(code: str) -> None:
    EFFECTS.append("decline")
    raise Declined(code)


@step(semantics="at_most_once")
def once(name: str) -> str:
    return effect(name)


@step(semantics="at_most_once")
def once_failing() -> None:
    EFFECTS.append("once_failing")
    raise OSError("no")


def straight(event: int, ctx: DurableContext) -> int:
    for _ in range(3):
        event = ctx.step(add, event, b=2)
    return event


@shape(straight, event=1, result=7, effects=("add 1 2", "add 3 2", "add 5 2"))
async def a_straight(event: int, ctx: AsyncDurableContext) -> int:
    for _ in range(3):
        event = await ctx.step(add, event, b=2)
    return event


def no_steps(event: str, ctx: DurableContext) -> str:
    return event.upper()


@shape(no_steps, event="x", result="X")
async def a_no_steps(event: str, ctx: AsyncDurableContext) -> str:
    return event.upper()


def sleeps(event: int, ctx: DurableContext) -> list[float]:
    start = ctx.now()
    ctx.step(effect, "before")
    ctx.sleep(timedelta(hours=2), name="nap")
    ctx.step(effect, "between")
    ctx.sleep(0.4)
    ctx.sleep(0)
    ctx.sleep_until(start + timedelta(days=30))
    ctx.sleep_until(start)
    ctx.step(effect, "after")
    return [(ctx.now() - start) >= timedelta(days=30)]


@shape(sleeps, event=1, result=[True], effects=("before", "between", "after"))
async def a_sleeps(event: int, ctx: AsyncDurableContext) -> list[float]:
    start = ctx.now()
    await ctx.step(effect, "before")
    await ctx.sleep(timedelta(hours=2), name="nap")
    await ctx.step(effect, "between")
    await ctx.sleep(0.4)
    await ctx.sleep(0)
    await ctx.sleep_until(start + timedelta(days=30))
    await ctx.sleep_until(start)
    await ctx.step(effect, "after")
    return [(ctx.now() - start) >= timedelta(days=30)]


def retries(event: int, ctx: DurableContext) -> list[int]:
    return [ctx.step(flaky, event), ctx.step(slow_flaky, 2), ctx.step(flaky, 0)]


@shape(
    retries,
    event=2,
    result=[3, 3, 1],
    effects=("flaky 1", "flaky 2", "flaky 3", "slow_flaky 1", "slow_flaky 2", "slow_flaky 3", "flaky 1"),
)
async def a_retries(event: int, ctx: AsyncDurableContext) -> list[int]:
    return [await ctx.step(flaky, event), await ctx.step(slow_flaky, 2), await ctx.step(flaky, 0)]


def gives_up(event: int, ctx: DurableContext) -> None:
    ctx.step(slow_flaky, 99)


@shape(gives_up, event=0, status="FAILED", fails="StepError", effects=("slow_flaky 1", "slow_flaky 2", "slow_flaky 3"))
async def a_gives_up(event: int, ctx: AsyncDurableContext) -> None:
    await ctx.step(slow_flaky, 99)


def compensates(event: int, ctx: DurableContext) -> str:
    ctx.step(effect, "charge")
    try:
        ctx.step(slow_flaky, 99)
    except StepError as error:
        ctx.step(step(effect, name="refund"), f"refund after {error.attempts} x {error.error_type}: {error.message}")
        return "refunded"
    return "shipped"


@shape(
    compensates,
    event=0,
    result="refunded",
    effects=("charge", "slow_flaky 1", "slow_flaky 2", "slow_flaky 3", "refund after 3 x ConnectionError: attempt 3"),
)
async def a_compensates(event: int, ctx: AsyncDurableContext) -> str:
    await ctx.step(effect, "charge")
    try:
        await ctx.step(slow_flaky, 99)
    except StepError as error:
        await ctx.step(
            step(effect, name="refund"), f"refund after {error.attempts} x {error.error_type}: {error.message}"
        )
        return "refunded"
    return "shipped"


def known_error(event: str, ctx: DurableContext) -> str:
    try:
        ctx.step(decline, event)
    except Declined as error:
        ctx.sleep(60)
        return f"{type(error).__name__} {error.code} {error.args}"
    return "?"


@shape(known_error, event="51", result="Declined 51 ('51',)", effects=("decline",))
async def a_known_error(event: str, ctx: AsyncDurableContext) -> str:
    try:
        await ctx.step(decline, event)
    except Declined as error:
        await ctx.sleep(60)
        return f"{type(error).__name__} {error.code} {error.args}"
    return "?"


def handler_fails(event: int, ctx: DurableContext) -> None:
    ctx.step(effect, "one")
    raise LookupError("nothing there")


@shape(handler_fails, event=0, status="FAILED", fails="LookupError", effects=("one",))
async def a_handler_fails(event: int, ctx: AsyncDurableContext) -> None:
    await ctx.step(effect, "one")
    raise LookupError("nothing there")


def draws(event: int, ctx: DurableContext) -> list[Any]:
    before = [ctx.uuid4(), ctx.random(), ctx.uuid4()]
    ctx.step(effect, "one")
    ctx.sleep(100)
    after = [ctx.uuid4(), ctx.random()]
    kept = ctx.step(_text, [*before, *after])
    return [kept == [str(x) for x in (*before, *after)], len(set(kept)), 0 <= before[1] < 1]


def _text(values: list[Any]) -> list[str]:
    return [str(value) for value in values]


@shape(draws, event=0, result=[True, 5, True], effects=("one",), drawn=True)
async def a_draws(event: int, ctx: AsyncDurableContext) -> list[Any]:
    before = [ctx.uuid4(), ctx.random(), ctx.uuid4()]
    await ctx.step(effect, "one")
    await ctx.sleep(100)
    after = [ctx.uuid4(), ctx.random()]
    kept = await ctx.step(_text, [*before, *after])
    return [kept == [str(x) for x in (*before, *after)], len(set(kept)), 0 <= before[1] < 1]


def once_only(event: int, ctx: DurableContext) -> str:
    ctx.step(once, "first")
    try:
        ctx.step(once_failing)
    except StepError as error:
        return f"{error.attempts} {error.error_type}"
    return "?"


@shape(
    once_only,
    event=0,
    result="1 OSError",
    effects=("first", "once_failing"),
    once=("first", "once_failing"),
    death_changes=("status", "result", "error", "operations"),
)
async def a_once_only(event: int, ctx: AsyncDurableContext) -> str:
    await ctx.step(once, "first")
    try:
        await ctx.step(once_failing)
    except StepError as error:
        return f"{error.attempts} {error.error_type}"
    return "?"


def lambdas(event: int, ctx: DurableContext) -> list[Any]:
    return [ctx.step(lambda: event + i) for i in range(3)] + [ctx.step(step(add, name="sum/#2"), 1)]


@shape(lambdas, event=5, result=[5, 6, 7, 2], effects=("add 1 1",))
async def a_lambdas(event: int, ctx: AsyncDurableContext) -> list[Any]:
    return [await ctx.step(lambda i=i: event + i) for i in range(3)] + [await ctx.step(step(add, name="sum/#2"), 1)]


def branches_on_results(event: int, ctx: DurableContext) -> str:
    total = 0
    while total < event:
        total = ctx.step(add, total, 4)
        if total % 3 == 0:
            ctx.sleep(timedelta(minutes=20))
    return f"{total}"


@shape(branches_on_results, event=20, result="20", effects=("add 0 4", "add 4 4", "add 8 4", "add 12 4", "add 16 4"))
async def a_branches_on_results(event: int, ctx: AsyncDurableContext) -> str:
    total = 0
    while total < event:
        total = await ctx.step(aadd, total, 4)
        if total % 3 == 0:
            await ctx.sleep(timedelta(minutes=20))
    return f"{total}"
