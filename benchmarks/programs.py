"""Ten small async programs: how many segments they write, and in how many invocations they run."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

from durable_fn import AsyncDurableContext, DurableFunction, RetryPolicy, durable, step
from durable_fn.testing import LocalRunner

Ctx = AsyncDurableContext


async def work(n: int) -> int:
    return n


@step(retry=RetryPolicy(max_attempts=1))
async def fails() -> None:
    raise ValueError("boom")


async def waits() -> None:
    await asyncio.Event().wait()


@durable(name="five steps")
async def straight(event: None, ctx: Ctx) -> None:
    for n in range(5):
        await ctx.step(work, n)


@durable(name="gather of five steps")
async def gathered(event: None, ctx: Ctx) -> None:
    await asyncio.gather(*(ctx.step(work, n) for n in range(5)))


@durable(name="three chains of three steps")
async def chains(event: None, ctx: Ctx) -> None:
    async def chain() -> None:
        for n in range(3):
            await ctx.step(work, n)

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(chain())


@durable(name="a sleep between two steps")
async def sleeps(event: None, ctx: Ctx) -> None:
    await ctx.step(work, 1)
    await ctx.sleep(60)
    await ctx.step(work, 2)


@durable(name="a native timeout that fires, and a step")
async def times_out(event: None, ctx: Ctx) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(60):
            await ctx.wait_for_signal("never")
    await ctx.step(work, 1)


@durable(name="a native timeout that does not fire")
async def in_time(event: None, ctx: Ctx) -> None:
    async with asyncio.timeout(3600):
        await ctx.step(work, 1)
        await ctx.sleep(60)
    await ctx.step(work, 2)


@durable(name="a signal between two steps")
async def signalled(event: None, ctx: Ctx) -> None:
    await ctx.step(work, 1)
    await ctx.wait_for_signal("go")
    await ctx.step(work, 2)


@durable(name="a race of a signal and a sleep")
async def raced(event: None, ctx: Ctx) -> None:
    await ctx.race([lambda c: c.wait_for_signal("go"), lambda c: c.sleep(3600)])
    await ctx.step(work, 1)


@durable(name="parallel of three steps and a child")
async def branches(event: None, ctx: Ctx) -> None:
    async def part(c: Ctx) -> int:
        return await c.step(work, 1)

    await ctx.parallel([part, part, part])
    await ctx.child(part)


@durable(name="a saga that is rolled back")
async def saga(event: None, ctx: Ctx) -> None:
    async with ctx.saga() as undo:
        await ctx.step(work, 1)
        undo.add_compensation(work, -1)
        await ctx.step(fails)


PROGRAMS: tuple[DurableFunction[Any, Any], ...] = (
    straight, gathered, chains, sleeps, times_out, in_time, signalled, raced, branches, saga,
)  # fmt: skip


class Written(NamedTuple):
    name: str
    segments: int
    invocations: int


def written(program: DurableFunction[Any, Any]) -> Written:
    with LocalRunner(program) as runner:
        segments = counted(runner._journal)
        execution = runner.start(None, "x")
        runner.run_until_idle()
        if program in (signalled, raced):
            runner.signal("x", "go")
        runner.advance(7200)
        return Written(program.name, len(segments), execution.invocations)


def counted(journal: Any) -> list[str]:
    """The names of the writes of segments that it makes from now on."""
    made: list[str] = []

    def counting(name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
        def write(*args: Any) -> Any:
            made.append(name)
            return plain(*args)

        return write

    for name in ("append", "decide"):
        setattr(journal, name, counting(name, getattr(journal, name)))
    return made
