"""Callbacks: answered at every moment, refused, not answered, kept alive."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from durable_fn import AsyncDurableContext, CallbackTimeout, DurableClient, RetryPolicy, StepError, current_step, step
from durable_fn.errors import CallbackError, CallbackFailed
from tests.corpus.outside import answers, every, in_turns, keep, refuses
from tests.corpus.shape import shape
from tests.effects import effect

Ctx = AsyncDurableContext
SLOW = RetryPolicy(max_attempts=3, initial_delay=30, jitter="none")


def answered_inside(result: Any) -> Any:
    """A step body: whoever gets the token answers before the body returns."""

    def answer(token: str) -> None:
        with suppress(CallbackError):  # a body that died after it did so is repeated after the wait
            DurableClient.from_env().complete_callback(token, result)

    return step(answer, name="answer")


def heartbeat(token: str) -> None:
    DurableClient.from_env().heartbeat_callback(token)


@shape(result=[{"by": "me"}, "after"], outside=answers("a", {"by": "me"}), once=("after",))
async def approved(event: Any, ctx: Ctx) -> Any:
    return [await ctx.wait_for_callback(keep("a"), name="a"), await ctx.step(effect, "after")]


@shape(result=["Refused", "too dear", "a"], outside=refuses("a", "too dear"))
async def refused(event: Any, ctx: Ctx) -> Any:
    try:
        return await ctx.wait_for_callback(keep("a"), name="a", timeout=500_000)
    except CallbackFailed as error:
        return [error.error_type, error.message, error.name]


@shape(result=[False, "late"], once=("late",))
async def unanswered(event: Any, ctx: Ctx) -> Any:
    callback = await ctx.callback("a", timeout=500)
    try:
        await callback.result()
    except CallbackTimeout as error:
        return [error.heartbeat, await ctx.step(effect, "late")]


@shape(result=True)
async def silent(event: Any, ctx: Ctx) -> Any:
    try:
        await ctx.wait_for_callback(keep("a"), name="a", timeout=9000, heartbeat_timeout=300)
    except CallbackTimeout as error:
        return error.heartbeat


@shape(result="in time", outside=answers("a", "in time"))
async def kept_alive(event: Any, ctx: Ctx) -> Any:
    """Twice as long as it may be silent, and it never is. A death holds it up for 900 seconds."""
    callback = await ctx.callback("a", heartbeat_timeout=1500)
    for _ in range(3):
        await ctx.sleep(1000)
        await ctx.step(heartbeat, callback.token)
    await ctx.step(keep("a"), callback.token)
    return await callback.result()


@shape(result=[2, 1, 1], outside=every(answers("a", 1), answers("b", 2)))
async def two_open(event: Any, ctx: Ctx) -> Any:
    first, second = await ctx.callback("a"), await ctx.callback("b")
    await ctx.step(step(keep("a"), name="tell"), first.token)
    await ctx.step(step(keep("b"), name="tell"), second.token)
    return [await second.result(), await first.result(), await first.result()]


@shape(result=["a", "b", "c"], outside=in_turns(answers("c", "c"), answers("a", "a"), answers("b", "b")))
async def any_order(event: Any, ctx: Ctx) -> Any:
    callbacks = [await ctx.callback(name) for name in "abc"]
    for name, callback in zip("abc", callbacks, strict=True):
        await ctx.step(step(keep(name), name="tell"), callback.token)
    return [await callback.result() for callback in callbacks]


@shape(result=["soon", "after"], once=("after",))
async def answered_by_the_submitter(event: Any, ctx: Ctx) -> Any:
    return [await ctx.wait_for_callback(answered_inside("soon"), timeout=500), await ctx.step(effect, "after")]


@shape(result="while it ran", once=("work",))
async def answered_before_the_wait(event: Any, ctx: Ctx) -> Any:
    callback = await ctx.callback("a", timeout=10_000)
    await ctx.step(effect, "work")
    await ctx.step(answered_inside("while it ran"), callback.token)
    await ctx.sleep(100)
    return await callback.result()


class Reply(BaseModel):
    ok: bool
    amount: Decimal


@shape(result=["Reply", "7.50", 4], outside=every(answers("a", {"ok": True, "amount": "7.50"}), answers("b", 4)))
async def typed(event: Any, ctx: Ctx) -> Any:
    reply = await ctx.wait_for_callback(keep("a"), name="a", result_type=Reply)
    number = await ctx.wait_for_callback(keep("b"), name="b", result_type=int)
    return [type(reply).__name__, str(reply.amount), number]


def submit_on(attempt: int, name: str) -> Any:
    def submit(token: str) -> None:
        if current_step().attempt < attempt:
            raise ConnectionError("not yet")
        keep(name)(token)

    return submit


@shape(result="at last", outside=answers("a", "at last"))
async def submitted_at_the_third_attempt(event: Any, ctx: Ctx) -> Any:
    return await ctx.wait_for_callback(submit_on(3, "a"), name="a", retry=SLOW)


@shape(result=[3, "ConnectionError", "after"], once=("after",))
async def never_submitted(event: Any, ctx: Ctx) -> Any:
    try:
        await ctx.wait_for_callback(submit_on(9, "a"), retry=SLOW)
    except StepError as error:
        return [error.attempts, error.error_type, await ctx.step(effect, "after")]


@shape(result="nobody asked", outside=answers("a", 1), once=("work",))
async def left_open(event: Any, ctx: Ctx) -> Any:
    callback = await ctx.callback("a", timeout=500)
    await ctx.step(keep("a"), callback.token)
    await ctx.sleep(2000)
    await ctx.step(effect, "work")
    return "nobody asked"
