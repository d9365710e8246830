"""Long logs, many timers, many signals. Each scenario takes a size, so that a small one is a test."""

from __future__ import annotations

import asyncio
from typing import Any

from durable_fn import AsyncDurableContext, DurableContext, durable
from durable_fn.testing import LocalRunner
from tests.limits.measures import Measured, Stopwatch, growth
from tests.torture.emulator.cloud import MemoryCloud

MARKS: list[float] = []


def mark(watch: Stopwatch) -> None:
    MARKS.append(watch.lap())


@durable(name="steps")
def steps(event: int, ctx: DurableContext) -> int:
    watch, total = Stopwatch(), 0
    for n in range(event):
        total += ctx.step(abs, n)
        if n in (event // 4, event // 2, 3 * event // 4):
            mark(watch)
    mark(watch)
    ctx.sleep(100)
    return total


@durable(name="steps")
async def a_steps(event: int, ctx: AsyncDurableContext) -> int:
    watch, total = Stopwatch(), 0
    for n in range(event):
        total += await ctx.step(abs, n)
        if n in (event // 4, event // 2, 3 * event // 4):
            mark(watch)
    mark(watch)
    await ctx.sleep(100)
    return total


def many_steps(size: int, front: str) -> Measured:
    """The last quarter of them costs what the first does, and the whole log is read again in one go."""
    MARKS.clear()
    with LocalRunner({"def": steps, "async": a_steps}[front]) as runner:
        execution = runner.start(size, "x")
        runner.run_until_idle()
        first, *_, last = MARKS[:4]
        MARKS.clear()
        watch = Stopwatch()
        runner.advance(200)
        replay = watch.lap()
        right = execution.status == "SUCCEEDED" and execution.result == size * (size - 1) // 2
    figures = {"ms a step": 4000 * last / size, "growth": growth(first, last), "s to replay": replay}
    return Measured(f"{size:,} steps ({front})", figures, [] if right else ["LOST it has another result"])


@durable(name="timers")
async def timers(event: int, ctx: AsyncDurableContext) -> list[int]:
    async def naps(n: int) -> int:
        await ctx.sleep(60 + 60 * (n * 7 % event))
        return n

    return list(await asyncio.gather(*map(naps, range(event))))


@durable(name="timers")
def d_timers(event: int, ctx: DurableContext) -> list[int]:
    def naps(c: DurableContext, n: int) -> int:
        c.sleep(60 + 60 * (n * 7 % event))
        return n

    return list(ctx.map(naps, range(event)).results)


def many_timers(size: int, front: str) -> Measured:
    """Each at a time of its own, so each is a turn that reads the whole log."""
    watch = Stopwatch()
    with LocalRunner({"def": d_timers, "async": timers}[front]) as runner:
        execution = runner.start(size, "x")
        runner.run_on(execution)
        right = execution.result == list(range(size))
        turns = execution.invocations
    seconds = watch.lap()
    figures = {"s": seconds, "ms a turn": 1000 * seconds / turns, "turns": turns}
    return Measured(f"{size:,} timers ({front})", figures, [] if right else ["LOST it has another result"])


@durable(name="counts")
def counts(event: list[int], ctx: DurableContext) -> int:
    """A hundred signals to a generation. `event`: how many there were, their sum, how many there will be."""
    count, total, all_ = event
    for _ in range(min(100, all_ - count)):
        total += ctx.wait_for_signal("n", result_type=int)
        count += 1
    return total if count == all_ else ctx.continue_as_new([count, total, all_])


def many_signals(size: int) -> Measured:
    """One after the other to one execution, on the code path of AWS: requests of each, and items that are read for it."""
    with MemoryCloud(counts) as cloud:
        cloud.client.start(counts, [0, 0, size], id="x")
        cloud.run_until_idle()
        seen = _Counted(cloud)
        watch, tenth, laps, most = Stopwatch(), max(1, size // 10), [], (0, 0)
        for n in range(size):
            before = seen.now
            cloud.client.signal("x", "n", n)
            cloud.run_until_idle()
            most = max(most, (seen.requests - before[0], seen.items - before[1]))
            if (n + 1) % tenth == 0:
                laps.append(watch.lap())
        header = cloud.store.get("x")
        right = header is not None and header.result == str(size * (size - 1) // 2)
    figures = {
        "requests each": seen.requests / size, "items read each": seen.items / size, "most requests": most[0],
        "ms each": 1000 * sum(laps) / size, "growth": growth(laps[0], laps[-1]),
    }  # fmt: skip
    return Measured(f"{size:,} signals", figures, [] if right else ["LOST a signal was not counted"])


class _Counted:
    """Requests, and items that were read, from now on."""

    def __init__(self, cloud: Any) -> None:
        self.requests = self.items = 0
        cloud.account.wire.meet = self._meet

    @property
    def now(self) -> tuple[int, int]:
        return self.requests, self.items

    def _meet(self, service: str, operation: str, request: Any) -> Any:
        reply = request()
        self.requests += 1
        self.items += len(reply["Items"]) if isinstance(reply, dict) and "Items" in reply else 0
        return reply


@durable(name="drains")
def drains(event: int, ctx: DurableContext) -> int:
    watch = Stopwatch()
    total = 0
    for n in range(event):
        total += ctx.wait_for_signal("n", result_type=int)
        if n == event // 10:
            mark(watch)
        if n == event - event // 10 - 1:
            watch.lap()
    mark(watch)
    return total


def full_inbox(size: int) -> Measured:
    """They are all there before it begins."""
    MARKS.clear()
    with LocalRunner(drains) as runner:
        execution = runner.start(size, "x")
        watch = Stopwatch()
        for n in range(size):
            runner.signal("x", "n", n)
        sent = watch.lap()
        runner.run_until_idle()
        ran = watch.lap()
        right = execution.status == "SUCCEEDED" and execution.result == size * (size - 1) // 2
    figures = {"ms to send one": 1000 * sent / size, "ms to take one": 1000 * ran / size, "growth": growth(*MARKS)}
    return Measured(f"an inbox of {size:,}", figures, [] if right else ["LOST a signal was not counted"])
