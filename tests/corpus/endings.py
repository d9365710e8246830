"""Executions that are cancelled or run out of time: waiting, running, in branches, and handlers that do not give in."""

from __future__ import annotations

from typing import Any

from durable_fn import AsyncDurableContext, ExecutionCancelled, StepError
from durable_fn.errors import ExecutionTimedOut
from tests.corpus.outside import cancels
from tests.corpus.sagas import cancel_itself
from tests.corpus.shape import shape
from tests.effects import effect

Ctx = AsyncDurableContext


@shape(
    status="CANCELLED",
    fails="ExecutionCancelled",
    outside=cancels("of rain"),
    effects=("do", "because of rain", "undo"),
)
async def cancelled(event: Any, ctx: Ctx) -> Any:
    async with ctx.saga() as saga:
        saga.add_compensation(effect, "undo")
        await ctx.step(effect, "do")
        try:
            await ctx.wait_for_signal("never")
        except ExecutionCancelled as error:
            await ctx.step(effect, f"because {error.reason}")
            raise


@shape(
    status="CANCELLED",
    fails="ExecutionCancelled",
    effects=("inside", "because"),
    once=("inside", "because"),
    death_changes=("operations",),
)
async def cancelled_in_a_shielded_block(event: Any, ctx: Ctx) -> Any:
    try:
        async with ctx.shielded():
            await ctx.step(cancel_itself, "in the middle")
            await ctx.sleep(3000)
            await ctx.step(effect, "inside")
        await ctx.step(effect, "never")
    except ExecutionCancelled:
        await ctx.step(effect, "because")
        raise


@shape(status="CANCELLED", fails="ExecutionCancelled", early=cancels("before it began"), effects=())
async def cancelled_before_it_began(event: Any, ctx: Ctx) -> Any:
    await ctx.wait_for_signal("never", timeout=2000)
    await ctx.step(effect, "never")


@shape(status="CANCELLED", fails="ExecutionCancelled", effects=("one", "undo"), death_changes=("operations",))
async def cancelled_while_it_runs(event: Any, ctx: Ctx) -> Any:
    """A step asks for it, as a button in the middle of a step would."""
    async with ctx.saga() as saga:
        saga.add_compensation(effect, "undo")
        await ctx.step(effect, "one")
        await ctx.step(cancel_itself, "in the middle")
        await ctx.sleep(3000)
        await ctx.step(effect, "never")


@shape(result=["of rain", "went on", "slept"], outside=cancels("of rain"), once=("went on", "slept"))
async def does_not_give_in(event: Any, ctx: Ctx) -> Any:
    try:
        await ctx.wait_for_signal("never")
    except ExecutionCancelled as error:
        reason = error.reason
    went_on = await ctx.step(effect, "went on")
    await ctx.sleep(3000)
    return [reason, went_on, await ctx.step(effect, "slept")]


@shape(
    result="swallowed",
    outside=cancels("now"),
    once=("do 0", "do 1", "undo 0", "undo 1", "swallowed"),
    same=False,
)
async def cancelled_inside(event: Any, ctx: Ctx) -> Any:
    async def branch(c: Ctx, n: int) -> None:
        async with c.saga() as saga:
            saga.add_compensation(effect, f"undo {n}")
            await c.step(effect, f"do {n}")
            await c.wait_for_signal("never")

    try:
        await ctx.map(branch, range(2))
    except ExecutionCancelled:
        return await ctx.step(effect, "swallowed")


@shape(status="CANCELLED", fails="ExecutionCancelled", outside=cancels("now"), effects=("in the child", "undo"))
async def cancelled_in_a_child(event: Any, ctx: Ctx) -> Any:
    async def part(c: Ctx) -> str:
        async with c.saga() as saga:
            saga.add_compensation(effect, "undo")
            await c.step(effect, "in the child")
            await c.wait_for_signal("never")
        return "never"

    return await ctx.child(part)


@shape(status="TIMED_OUT", fails="ExecutionTimedOut", effects=("do", "undo"), options={"execution_timeout": 2000})
async def timed_out(event: Any, ctx: Ctx) -> Any:
    async with ctx.saga() as saga:
        saga.add_compensation(effect, "undo")
        await ctx.step(effect, "do")
        await ctx.sleep(10_000)


@shape(
    status="TIMED_OUT",
    fails="ExecutionTimedOut",
    effects=("too late", "cleaned"),
    options={"execution_timeout": 2000},
)
async def timed_out_and_went_on(event: Any, ctx: Ctx) -> Any:
    """Raised once; what the handler makes of it is up to it, but not how it ends."""
    try:
        await ctx.wait_for_signal("never")
    except ExecutionTimedOut:
        await ctx.step(effect, "too late")
    await ctx.sleep(100)
    return await ctx.step(effect, "cleaned")


@shape(
    status="TIMED_OUT",
    fails="ExecutionTimedOut",
    once=("do", "undo"),
    same=False,
    options={"execution_timeout": 2000},
)
async def timed_out_inside(event: Any, ctx: Ctx) -> Any:
    async def branch(c: Ctx) -> None:
        async with c.saga() as saga:
            saga.add_compensation(effect, "undo")
            await c.step(effect, "do")
            await c.sleep(10_000)

    await ctx.parallel([branch, lambda c: c.wait_for_signal("never")])


@shape(status="TIMED_OUT", fails="ExecutionTimedOut", options={"execution_timeout": 500}, death_changes=("operations",))
async def late_after_a_death(event: Any, ctx: Ctx) -> Any:
    """Where its process died its time is over when the next one comes, and the next operation is a step."""
    try:
        for name in "abc":
            await ctx.step(effect, name)
    except StepError:
        return "taken for a failure of the step"
    return await ctx.wait_for_signal("never")


@shape(status="TIMED_OUT", fails="ExecutionTimedOut", effects=("undo",), options={"execution_timeout": 2000})
async def timed_out_in_a_child(event: Any, ctx: Ctx) -> Any:
    async def part(c: Ctx) -> None:
        async with c.saga() as saga:
            saga.add_compensation(effect, "undo")
            await c.sleep(10_000)

    await ctx.child(part)


@shape(result="in time", once=("done",), options={"execution_timeout": 20_000})
async def in_time(event: Any, ctx: Ctx) -> Any:
    await ctx.sleep(1000)
    await ctx.step(effect, "done")
    return "in time"
