"""Sagas: undone last-in first-out, nested, retried, failing, interrupted."""

from __future__ import annotations

from typing import Any

from durable_fn import AsyncDurableContext, DurableClient, ExecutionCancelled, RetryPolicy, current_step, step
from durable_fn.errors import CompensationError
from tests.corpus.shape import shape
from tests.effects import EFFECTS, effect

Ctx = AsyncDurableContext
ONCE = RetryPolicy(max_attempts=1)
SLOW = RetryPolicy(max_attempts=3, initial_delay=30, jitter="none")


def undo_fails(reason: str) -> None:
    EFFECTS.append("undo fails")
    raise OSError(reason)


@step(retry=SLOW)
def undo_later(name: str) -> None:
    if current_step().attempt < 3:
        raise ConnectionError("not yet")
    effect(name)


@shape(result=["LookupError", ["OSError"]], effects=("do 1", "do 2", "undo 3", "undo fails", "undo 1"))
async def rolled_back(event: Any, ctx: Ctx) -> Any:
    try:
        async with ctx.saga() as saga:
            saga.add_compensation(effect, "undo 1")
            await ctx.step(effect, "do 1")
            saga.add_compensation(step(undo_fails, retry=ONCE), "stuck")
            await ctx.step(effect, "do 2")
            saga.add_compensation(effect, "undo 3")
            raise LookupError("broken")
    except CompensationError as error:
        return [type(error.__cause__).__name__, [f.error_type for f in error.failures]]


@shape(result="kept", effects=("do 1", "after"))
async def kept(event: Any, ctx: Ctx) -> Any:
    """A block that ends well has nothing to undo, whatever comes after it."""
    try:
        async with ctx.saga() as saga:
            saga.add_compensation(effect, "undo 1")
            await ctx.step(effect, "do 1")
            await ctx.sleep(100)
        await ctx.step(effect, "after")
        raise LookupError("too late to undo")
    except LookupError:
        return "kept"


@shape(result="LookupError", effects=("outer", "inner", "undo inner", "undo outer"))
async def nested_sagas(event: Any, ctx: Ctx) -> Any:
    try:
        async with ctx.saga() as outer:
            outer.add_compensation(effect, "undo outer")
            await ctx.step(effect, "outer")
            async with ctx.saga() as inner:
                inner.add_compensation(undo_later, "undo inner")
                await ctx.step(effect, "inner")
                raise LookupError("broken")
    except LookupError as error:
        return type(error).__name__


def cancel_itself(reason: str) -> None:
    DurableClient.from_env().cancel(current_step().execution_id, reason)


@shape(result=["LookupError", "of the undoing", "after"], effects=("do", "undo 2", "undo 1", "after"))
async def cancelled_while_undoing(event: Any, ctx: Ctx) -> Any:
    """A cancellation waits until all is undone."""
    try:
        async with ctx.saga() as saga:
            saga.add_compensation(effect, "undo 1")
            saga.add_compensation(undo_later, "undo 2")
            saga.add_compensation(cancel_itself, "of the undoing")
            await ctx.step(effect, "do")
            raise LookupError("broken")
    except LookupError as error:
        told = type(error).__name__
    try:
        await ctx.sleep(100)
    except ExecutionCancelled as error:
        return [told, error.reason, await ctx.step(effect, "after")]


@shape(result=["undone in a child", "undone in a branch"], once=("undo child", "undo branch"))
async def sagas_inside(event: Any, ctx: Ctx) -> Any:
    async def fails(c: Ctx, name: str) -> None:
        async with c.saga() as saga:
            saga.add_compensation(effect, f"undo {name}")
            await c.sleep(50)
            raise LookupError(f"undone in a {name}")

    try:
        await ctx.child(fails, "child")
    except LookupError as error:
        told = [str(error)]
    batch = await ctx.parallel([lambda c: fails(c, "branch")])
    return [*told, str(batch.failed[0].error)]


@shape(status="FAILED", fails="LookupError", effects=("do", "undo"))
async def fails_after_undoing(event: Any, ctx: Ctx) -> Any:
    async with ctx.saga() as saga:
        saga.add_compensation(effect, "undo")
        await ctx.step(effect, "do")
        await ctx.sleep(100)
        raise LookupError("broken")
