"""Values: the types that come back, sizes, what a context tells of itself, errors that keep their class."""

from __future__ import annotations

import base64
import enum
import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from durable_fn import AsyncDurableContext, RetryPolicy, StepError, current_step, step
from durable_fn.errors import SerializationError
from tests.corpus.shape import shape
from tests.effects import EFFECTS, effect

Ctx = AsyncDurableContext


class Colour(enum.Enum):
    RED = "red"


class Order(BaseModel):
    id: UUID
    total: Decimal
    colour: Colour


def order() -> Order:
    return Order(id=UUID(int=7), total=Decimal("9.90"), colour=Colour.RED)


def untyped():  # type: ignore[no-untyped-def]
    return (
        datetime(2026, 1, 2, 3, tzinfo=UTC), date(2026, 1, 2), timedelta(seconds=5),
        Decimal("1.10"), UUID(int=1), b"bytes", {3}, ("a", 1),
    )  # fmt: skip


@shape(result=[True, "Order", True, "RED"])
async def types_come_back(event: Any, ctx: Ctx) -> Any:
    values = await ctx.step(untyped)
    await ctx.sleep(100)
    model = await ctx.step(order)
    await ctx.sleep(100)
    return [values == untyped(), type(model).__name__, model == order(), model.colour.name]


def noise(size: int) -> str:
    """Incompressible, and the same every time."""
    return base64.b64encode(random.Random(1).randbytes(size * 3 // 4)).decode()


@shape(result=[6000, True, 8000, 2])
async def some_kilobytes(event: Any, ctx: Ctx) -> Any:
    """Above the threshold where values are compressed, also as the result of a branch."""
    text = await ctx.step(noise, 6000)
    await ctx.sleep(100)

    async def part(c: Ctx, n: int) -> str:
        return noise(8000)

    batch = await ctx.map(part, range(2), max_concurrency=1)
    await ctx.sleep(100)
    return [len(text), text == noise(6000), len(batch.results[1]), len(batch)]


@shape(result=500_000, bucket=True, once=("after",))
async def too_large_for_an_item(event: Any, ctx: Ctx) -> Any:
    text = await ctx.step(noise, 500_000)
    await ctx.sleep(100)
    await ctx.step(effect, "after")
    return len(text)


@shape(event="x" * 5000, result=[5000, "SerializationError", "after"], once=("after",))
async def no_value_at_all(event: str, ctx: Ctx) -> Any:
    try:
        await ctx.step(object)
    except SerializationError as error:
        return [len(event), type(error).__name__, await ctx.step(effect, "after")]


@shape(result=["x", "who_am_i", True, True, "helloed"], options={"execution_timeout": 9000})
async def who_am_i(event: Any, ctx: Ctx) -> Any:
    await ctx.set_status("greeting")
    greeting = await ctx.step(effect, "helloed")
    await ctx.set_status(["asleep", 1])
    await ctx.sleep(100)
    ctx.logger.debug("awake")
    await ctx.set_status(None)
    known = bool(ctx.lambda_context.aws_request_id)
    asked = isinstance(ctx.is_replaying, bool)  # no part of a result: a replay has another one
    return [ctx.execution_id, ctx.name, asked, known, greeting]


class Declined(Exception):
    def __init__(self, code: str, amount: Decimal) -> None:
        super().__init__(code)
        self.code, self.amount = code, amount


@step(raises=(Declined,), retry=RetryPolicy(max_attempts=2, initial_delay=30, jitter="none"))
def declines(code: str) -> None:
    EFFECTS.append(f"declines {current_step().attempt}")
    raise Declined(code, Decimal("7.50"))


@shape(result=["51", "7.50", "in a branch"], effects=("declines 1", "declines 2", "declines 1", "declines 2"))
async def errors_come_back(event: Any, ctx: Ctx) -> Any:
    async def branch(c: Ctx) -> None:
        await c.step(declines, "in a branch")

    try:
        await ctx.step(declines, "51")
    except Declined as error:
        code, amount = error.code, error.amount
    batch = await ctx.parallel([branch])
    await ctx.sleep(100)
    failed = batch.failed[0].error
    return [code, str(amount), failed.code if isinstance(failed, Declined) else repr(failed)]


@step(semantics="at_most_once", retry=RetryPolicy(max_attempts=2, initial_delay=30, jitter="none"))
def pays(name: str) -> str:
    if current_step().attempt == 1:
        raise ConnectionError("before anything happened")
    return effect(name)


@shape(
    result=["paid", "paid in a branch"],
    once=("paid", "paid in a branch"),
    death_changes=("status", "result", "error", "operations"),
)
async def at_most_once(event: Any, ctx: Ctx) -> Any:
    """Its own errors are retried where that is asked for; a death is not. Also in a branch."""

    async def branch(c: Ctx) -> str:
        return await c.step(pays, "paid in a branch")

    try:
        return [await ctx.step(pays, "paid"), *(await ctx.parallel([branch])).results]
    except StepError as error:
        return [type(error).__name__]
