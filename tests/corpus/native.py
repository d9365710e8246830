"""asyncio itself around every kind of operation: what comes back, what a timeout does in the middle of it, what a cancellation
of the execution does while it waits there.

One shape for each kind and each construct, from two tables. An operation is told how long it takes: `SOON` it ends by itself,
`NEVER` it waits for what does not come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from durable_fn import (
    AsyncDurableContext,
    DurableClient,
    DurableContext,
    ExecutionCancelled,
    RetryPolicy,
    current_step,
    durable,
    step,
)
from tests.corpus.callbacks import answered_inside
from tests.corpus.outside import keep
from tests.corpus.shape import shape
from tests.corpus.signals import signal_itself
from tests.effects import effect

Ctx = AsyncDurableContext
SOON, NEVER = 30, 100_000
LIMIT, LONG = 500, 50_000
"""Seconds after which `wait_for` and `timeout` give up. `LONG` is longer than whatever a death holds up."""


@durable(name="helper")
def helper(event: int, ctx: DurableContext) -> int:
    try:
        ctx.sleep(event)
    except ExecutionCancelled:
        ctx.step(effect, "child told")
        raise
    return event


def cancel(id: str) -> None:
    DurableClient.from_env().cancel(id, "enough")


@durable(name="canceller")
def canceller(event: str, ctx: DurableContext) -> None:
    ctx.step(cancel, event)


# -- operations ----------------------------------------------------------------------------------------------------


def second_time() -> str:
    if current_step().attempt == 1:
        raise ConnectionError("not yet")
    return "step"


def retried(ctx: Ctx, wait: int) -> Any:
    policy = RetryPolicy(max_attempts=2, initial_delay=wait, max_delay=wait, jitter="none")
    return ctx.step(step(second_time, retry=policy))


async def called_back(ctx: Ctx, wait: int) -> Any:
    callback = await ctx.callback("a")
    if wait == SOON:
        await ctx.step(answered_inside("callback"), callback.token)
    return await callback.result()


def waited_for(ctx: Ctx, wait: int) -> Any:
    return ctx.wait_for_callback(answered_inside("answer") if wait == SOON else keep("a"))


async def signalled(ctx: Ctx, wait: int) -> Any:
    if wait == SOON:
        await ctx.step(signal_itself, "x", "signal")
    return await ctx.wait_for_signal("x")


def polled(ctx: Ctx, wait: int) -> Any:
    return ctx.poll(lambda n: n + 1, initial=0, until=lambda n: n == 2, every=wait)


async def napping(c: Ctx, wait: int) -> str:
    await c.sleep(wait)
    return "child"


async def mapped(ctx: Ctx, wait: int) -> Any:
    return (await ctx.map(napping, [wait, wait])).results


async def raced(ctx: Ctx, wait: int) -> Any:
    return list(await ctx.race([lambda c: napping(c, wait), lambda c: napping(c, 2 * wait)]))


async def undoable(ctx: Ctx, wait: int) -> Any:
    async with ctx.saga() as saga:
        saga.add_compensation(effect, "undone")
        await ctx.step(effect, "done")
        await ctx.sleep(wait)
    return "saga"


@dataclass(frozen=True)
class Kind:
    """`undo`: what happens when it is cut short, `told`: also, if by the execution's cancellation."""

    run: Callable[[Ctx, int], Coroutine[Any, Any, Any]]
    result: Any
    undo: tuple[str, ...] = ()
    told: tuple[str, ...] = ()


KINDS = {
    "step": Kind(retried, "step"),
    "sleep": Kind(lambda ctx, wait: ctx.sleep(wait), None),
    "callback": Kind(called_back, "callback"),
    "wait_for_callback": Kind(waited_for, "answer"),
    "signal": Kind(signalled, "signal"),
    "call": Kind(lambda ctx, wait: ctx.call(helper, wait), SOON, told=("child told",)),
    "poll": Kind(polled, 2),
    "child": Kind(lambda ctx, wait: ctx.child(napping, wait), "child"),
    "map": Kind(mapped, ["child", "child"]),
    "race": Kind(raced, [0, "child"]),
    "saga": Kind(undoable, "saga", undo=("undone",)),
}


# -- asyncio around them -------------------------------------------------------------------------------------------


async def gathered(ctx: Ctx, kind: Kind, wait: int, limit: int) -> Any:
    both = await asyncio.gather(ctx.step(effect, "beside"), kind.run(ctx, wait))
    return both[1]


async def grouped(ctx: Ctx, kind: Kind, wait: int, limit: int) -> Any:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(kind.run(ctx, wait))
        await ctx.step(effect, "beside")
    return task.result()


async def in_group(ctx: Ctx, kind: Kind, wait: int, limit: int) -> Any:
    """In the body of the group, not in a task of it."""
    async with asyncio.TaskGroup() as group:
        group.create_task(napping(ctx, wait))
        return await kind.run(ctx, wait)


async def waited(ctx: Ctx, kind: Kind, wait: int, limit: int) -> Any:
    return await asyncio.wait_for(kind.run(ctx, wait), limit)


async def limited(ctx: Ctx, kind: Kind, wait: int, limit: int) -> Any:
    async with asyncio.timeout(limit):
        return await kind.run(ctx, wait)


CONSTRUCTS = {"gather": gathered, "group": grouped, "in_group": in_group, "wait_for": waited, "timeout": limited}
GIVING_UP = ("wait_for", "timeout")


def succeeds(name: str, kind: Kind, around: Callable[..., Any], **facts: Any) -> None:
    @shape(native=True, name=name, result=[kind.result, "after"], once=("after",), others=(helper,), **facts)
    async def handler(event: Any, ctx: Ctx) -> Any:
        result = await around(ctx, kind, SOON, LONG)
        await ctx.sleep(50)
        return [result, await ctx.step(effect, "after")]


def is_given_up(name: str, kind: Kind, around: Callable[..., Any], **facts: Any) -> None:
    """Times out in the middle, and goes on."""

    @shape(native=True, name=name, result="after", once=(*kind.undo, "after"), others=(helper,), **facts)
    async def handler(event: Any, ctx: Ctx) -> Any:
        try:
            return await around(ctx, kind, NEVER, LIMIT)
        except TimeoutError:
            await ctx.sleep(50)
            return await ctx.step(effect, "after")


def is_dropped(name: str, kind: Kind, **facts: Any) -> None:
    """A task of the handler's own is cancelled by the handler."""

    @shape(native=True, name=name, result="after", once=(*kind.undo, "after"), others=(helper,), **facts)
    async def handler(event: Any, ctx: Ctx) -> Any:
        task = asyncio.create_task(kind.run(ctx, NEVER))
        await ctx.sleep(5)
        task.cancel()
        try:
            return await task
        except asyncio.CancelledError:
            await ctx.sleep(50)
            return await ctx.step(effect, "after")


def is_cancelled(name: str, kind: Kind, around: Callable[..., Any], **facts: Any) -> None:
    """The execution is cancelled while it waits there; it cleans up, which takes it a while."""
    ends = {"status": "CANCELLED", "fails": "ExecutionCancelled", "once": (*kind.undo, *kind.told, "clean")}
    ends["death_changes"] = ("operations",)  # the cancellation may come before the operation has begun

    @shape(native=True, name=name, others=(helper, canceller), **ends, **facts)
    async def handler(event: Any, ctx: Ctx) -> Any:
        try:
            await ctx.send(canceller, ctx.execution_id, delay=100)
            return await around(ctx, kind, NEVER, LONG)
        except ExecutionCancelled:
            await ctx.sleep(50)
            await ctx.step(effect, "clean")
            raise


for kind_name, kind in KINDS.items():
    for construct, around in CONSTRUCTS.items():
        succeeds(f"{kind_name}-{construct}", kind, around, cloud=False)
        is_cancelled(f"{kind_name}-{construct}-cancelled", kind, around, cloud=construct == "group")
    for construct in GIVING_UP:
        is_given_up(f"{kind_name}-{construct}-given-up", kind, CONSTRUCTS[construct], cloud=False)
    is_dropped(f"{kind_name}-dropped", kind, cloud=False)
