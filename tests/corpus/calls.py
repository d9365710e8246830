"""Other executions: called by object, by name, by id; failing, slow, cancelled, with calls of their own."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from durable_fn import AsyncDurableContext, CallError, DurableClient, DurableContext, ExecutionCancelled, durable
from durable_fn.errors import CallTimeout, ExecutionConflict
from tests.corpus.outside import cancels
from tests.corpus.shape import shape
from tests.effects import effect

Ctx = AsyncDurableContext


@durable(name="helper")
def helper(event: int, ctx: DurableContext) -> int:
    ctx.sleep(100)
    if event < 0:
        raise LookupError("negative")
    return event + len(ctx.step(effect, f"helped {event}"))


@durable(name="slow")
def slow(event: int, ctx: DurableContext) -> int:
    """Until it is told to go on, or cancelled."""
    with ctx.saga() as saga:
        saga.add_compensation(effect, "child undone")
        ctx.step(effect, "child began")
        ctx.wait_for_signal("go on")
    return event


def go_on(id: str) -> None:
    with suppress(ExecutionConflict):  # a repeated body finds it finished
        DurableClient.from_env().signal(id, "go on")


@durable(name="middle")
async def middle(event: int, ctx: Ctx) -> int:
    return 10 * await ctx.call(helper, event)


@shape(
    result=[9, ["FAILED", "LookupError", "negative"], "helper#2", "after"],
    others=(helper,),
    once=("helped 1", "after"),
)
async def calls(event: Any, ctx: Ctx) -> Any:
    got = await ctx.call(helper, 1)
    try:
        await ctx.call("helper", -1, name="bad")
    except CallError as error:
        told = [error.status, error.error_type, error.message]
    sent = await ctx.send(helper, 5, delay=10)
    return [got, told, sent.rpartition("/")[2], await ctx.step(effect, "after")]


@shape(result=[9, 9, "known"], others=(helper,), once=("helped 1",))
async def attached_by_id(event: Any, ctx: Ctx) -> Any:
    """The second one finds the first one's execution, which has ended."""
    first = await ctx.call(helper, 1, id="known")
    second: int = await ctx.call("helper", 1, id="known", result_type=int)
    return [first, second, await ctx.send(helper, 1, id="known")]


@shape(result=["x/slow", "RUNNING", 7], others=(slow,), once=("child began",))
async def asked_again_after_a_timeout(event: Any, ctx: Ctx) -> Any:
    try:
        await ctx.call(slow, 7, timeout=50)
    except CallTimeout as error:
        id, status = error.execution_id, error.status
    await ctx.step(go_on, id)
    await ctx.sleep(5000)
    return [id, status, await ctx.call(slow, 7, id=id)]


@shape(result=[90, "LookupError"], others=(middle, helper), once=("helped 1",))
async def grandchildren(event: Any, ctx: Ctx) -> Any:
    good = await ctx.call(middle, 1)
    try:
        await ctx.call(middle, -1)
    except CallError as error:
        return [good, str(error.error_type).rpartition(".")[2]]


@shape(result=[9, 10, 11], others=(helper,), once=("helped 1", "helped 2", "helped 3"), same=False)
async def calls_side_by_side(event: Any, ctx: Ctx) -> Any:
    return (await ctx.map(lambda c, n: c.call(helper, n), [1, 2, 3])).results


@shape(
    status="CANCELLED",
    fails="ExecutionCancelled",
    outside=cancels("no need"),
    others=(slow,),
    once=("child began", "child undone", "told"),
)
async def a_cancel_reaches_the_child(event: Any, ctx: Ctx) -> Any:
    try:
        return await ctx.call(slow, 7)
    except ExecutionCancelled:
        await ctx.step(effect, "told")
        raise


@shape(
    result="swallowed",
    outside=cancels("no need"),
    others=(slow,),
    once=("child began", "child undone"),
    same=False,
)
async def a_cancel_reaches_children_of_branches(event: Any, ctx: Ctx) -> Any:
    async def one(c: Ctx) -> int:
        return await c.call(slow, 7)

    try:
        await ctx.parallel([one, lambda c: c.wait_for_signal("never")])
    except ExecutionCancelled:
        return "swallowed"


@shape(result=["timer", None], others=(slow,), once=("child began", "child undone"), same=False)
async def a_lost_race_reaches_the_child(event: Any, ctx: Ctx) -> Any:
    async def calling(c: Ctx) -> int:
        return await c.call(slow, 7)

    winner = await ctx.race({"call": calling, "timer": lambda c: c.sleep(5000)})
    await ctx.sleep(8000)
    return list(winner)
