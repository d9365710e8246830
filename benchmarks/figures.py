"""The figures of one checkout, as JSON: it stands on public names alone, so that an older package answers it as well.

Run by `benchmarks.against`, with the package to be measured on PYTHONPATH.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import sys
import time
from typing import Any

from durable_fn import AsyncDurableContext, DurableContext, DurableFunction, durable
from durable_fn.backends.sqlite import SQLiteStore
from durable_fn.testing import LocalRunner

STEPS = 1000
WIDTH = 1500
_AN_HOUR = 3600

segments: list[str] = []


def _count_segments() -> None:
    """Every write of a segment from now on is noted."""
    for name in ("append", "decide"):
        plain = getattr(SQLiteStore, name)

        def write(self: Any, *args: Any, _plain: Any = plain, _name: str = name) -> Any:
            segments.append(_name)
            return _plain(self, *args)

        setattr(SQLiteStore, name, write)


def work(n: int) -> int:
    return n


async def awork(n: int) -> int:
    return n


@durable(name="straight")
def straight(event: int, ctx: DurableContext) -> None:
    for n in range(event):
        ctx.step(work, n)
    ctx.sleep(_AN_HOUR)


@durable(name="straight-async")
async def straight_async(event: int, ctx: AsyncDurableContext) -> None:
    for n in range(event):
        await ctx.step(awork, n)
    await ctx.sleep(_AN_HOUR)


@durable(name="gathered")
async def gathered(event: int, ctx: AsyncDurableContext) -> None:
    await asyncio.gather(*(ctx.step(awork, n) for n in range(event)))
    await ctx.sleep(_AN_HOUR)


@durable(name="chains")
async def chains(event: int, ctx: AsyncDurableContext) -> None:
    async def chain() -> None:
        for n in range(event // 30):
            await ctx.step(awork, n)

    async with asyncio.TaskGroup() as group:
        for _ in range(30):
            group.create_task(chain())
    await ctx.sleep(_AN_HOUR)


@durable(name="mapped")
def mapped(event: int, ctx: DurableContext) -> None:
    def item(c: DurableContext, n: int) -> int:
        return c.step(work, n)

    ctx.map(item, list(range(event)))
    ctx.sleep(_AN_HOUR)


@durable(name="mapped-async")
async def mapped_async(event: int, ctx: AsyncDurableContext) -> None:
    async def item(c: AsyncDurableContext, n: int) -> int:
        return await c.step(awork, n)

    await ctx.map(item, list(range(event)))
    await ctx.sleep(_AN_HOUR)


SHAPES: dict[str, tuple[DurableFunction[int, None], int]] = {
    "1,000 steps, def": (straight, STEPS),
    "1,000 steps, async def": (straight_async, STEPS),
    "gather of 1,500 steps": (gathered, WIDTH),
    "30 chains, 1,500 steps": (chains, WIDTH),
    "map of 1,000 items, def": (mapped, STEPS),
    "map of 1,000 items, async def": (mapped_async, STEPS),
}


def _seconds(action: Any) -> float:
    gc.collect()
    began = time.process_time()
    action()
    return time.process_time() - began


def figures(function: DurableFunction[int, None], count: int) -> dict[str, float]:
    """CPU microseconds of a live and of a replayed step (the turn behind the sleep replays them all), and segments written."""
    live: list[float] = []
    replayed: list[float] = []
    for _ in range(5):
        with LocalRunner(function) as runner:
            segments.clear()
            execution = runner.start(count, "x")
            live.append(_seconds(runner.run_until_idle) / count * 1e6)
            written = len(segments)
            replayed.append(_seconds(lambda runner=runner: runner.advance(_AN_HOUR + 1)) / count * 1e6)
            if execution.status != "SUCCEEDED":
                raise SystemExit(f"{function.name}: {execution.status}")
    return {"live": min(live), "replayed": min(replayed), "segments": written}


def written() -> dict[str, int]:
    """Segments that the ten small programs of programs.py write (this folder is the first of sys.path)."""
    programs = importlib.import_module("programs")
    found = {}
    for program in programs.PROGRAMS:
        with LocalRunner(program) as runner:
            segments.clear()
            runner.start(None, "x")
            runner.run_until_idle()
            if program in (programs.signalled, programs.raced):
                runner.signal("x", "go")
            runner.advance(2 * _AN_HOUR)
            found[program.name] = len(segments)
    return found


def main() -> None:
    _count_segments()
    shapes = {name: figures(*shape) for name, shape in SHAPES.items()}
    json.dump({"shapes": shapes, "written": written()}, sys.stdout)


if __name__ == "__main__":
    main()
