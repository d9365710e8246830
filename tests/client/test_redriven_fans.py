"""Redrives of fans: what ran in the branches beside the one that is tried again stays done, whatever order it has now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from durable_fn import AsyncDurableContext, Completion, DurableFunction, RetryPolicy, durable, step
from durable_fn.testing import LocalRunner
from tests.corpus.plain import without_loop
from tests.effects import EFFECTS

Ctx = AsyncDurableContext
Text = Callable[[Any, Any], Awaitable[Any]]
ALL = Completion.all_settled()
BROKEN: set[str] = set()
fronts = pytest.mark.parametrize("front", ["def", "async def"])


@step(retry=RetryPolicy(max_attempts=1))
def work(what: str) -> str:
    EFFECTS.append(what)
    if what in BROKEN:
        raise ConnectionError(f"{what} is broken")
    return what


def redriven(function: DurableFunction[Any, Any], event: Any = None, *, fails: int = 1) -> list[list[str]]:
    """What ran the first time, in as many redrives that fail again, and in the last one, which must succeed."""
    ran = []
    BROKEN.add("a")
    with LocalRunner(function) as runner:
        execution = runner.start(event, "x")
        for n in range(fails + 1):
            EFFECTS.clear()
            if n:
                runner.client.redrive("x")
            if n == fails:
                BROKEN.clear()
            runner.advance(200)
            ran.append(list(EFFECTS))
            assert execution.status == ("SUCCEEDED" if n == fails else "FAILED"), execution.error
    return ran


def handler(front: str, text: Text) -> DurableFunction[Any, Any]:
    return durable(name="h")(text if front == "async def" else without_loop(text))


@fronts
@pytest.mark.parametrize("width", [1, 2])
def test_a_fan_in_a_branch_beside_keeps_its_branches(front: str, width: int) -> None:
    """Their results have no type, so they are walked again, and the fan with them."""

    async def text(event: Any, ctx: Ctx) -> int:
        async def order(ctx: Ctx, n: str) -> Any:
            async with ctx.saga() as saga:
                await ctx.step(work, n)
                saga.add_compensation(work, f"refund {n}")
                fan = await ctx.parallel([lambda c: c.step(work, f"mail {n}"), lambda c: c.step(work, f"pack {n}")])
                assert len(fan.results) == 2

        return len((await ctx.map(order, ["a", "b"], max_concurrency=width, completion=ALL)).results)

    first, again = redriven(handler(front, text))
    assert sorted(first) == ["a", "b", "mail b", "pack b"]
    assert sorted(again) == ["a", "mail a", "pack a"]


@fronts
@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("width", [None, 1])
def test_a_race_in_a_branch_beside_stays_run(front: str, width: int | None, typed: bool) -> None:
    async def text(event: Any, ctx: Ctx) -> None:
        async def quick(ctx: Ctx) -> Any:
            await ctx.sleep(2)
            return await ctx.step(work, "answer")

        async def slow(ctx: Ctx) -> Any:
            async with ctx.saga() as saga:
                await ctx.step(work, "ask")
                saga.add_compensation(work, "release")
                await ctx.sleep(50)

        async def typed_quick(ctx: Ctx) -> str:
            await ctx.sleep(2)
            return await ctx.step(work, "answer")

        async def typed_slow(ctx: Ctx) -> str:
            await ctx.step(work, "ask")
            await ctx.sleep(50)
            return "slow"

        async def beside(ctx: Ctx) -> Any:
            await (ctx.race([typed_quick, typed_slow]) if typed else ctx.race([quick, slow]))
            await ctx.step(work, "charge")

        fan = await ctx.parallel([lambda c: c.step(work, "a"), beside], max_concurrency=width, completion=ALL)
        assert len(fan.results) == 2

    first, again = redriven(handler(front, text))
    assert first.count("charge") == 1
    assert again == ["a"]


@fronts
def test_a_narrow_fan_is_redriven_again_and_again(front: str) -> None:
    """What the first redrive laid aside has no place any more, and the sleeps between have their old ones."""

    async def text(event: Any, ctx: Ctx) -> int:
        async def item(ctx: Ctx, n: str) -> Any:
            await ctx.step(work, n)
            await ctx.sleep(3)
            await ctx.step(work, f"{n}2")

        return len((await ctx.map(item, ["a", "b"], max_concurrency=1, completion=ALL)).results)

    first, *again = redriven(handler(front, text), fails=3)
    assert first == ["a", "b", "b2"]
    assert again == [["a"], ["a"], ["a", "a2"]]


@fronts
def test_a_failure_that_a_branch_beside_had_dealt_with_stays_so(front: str) -> None:
    async def text(event: Any, ctx: Ctx) -> None:
        async def item(ctx: Ctx, n: int) -> str:
            if n == 2:
                raise ValueError("not for sale")
            return await ctx.step(work, f"item {n}")

        async def beside(ctx: Ctx) -> Any:
            await ctx.sleep(5)
            found = await ctx.map(item, [1, 2, 3], completion=ALL)
            return await ctx.step(work, f"charge for {len(found.succeeded)}")

        assert (await ctx.parallel([lambda c: c.step(work, "a"), beside], completion=ALL)).results

    first, again = redriven(handler(front, text))
    assert first[-1] == "charge for 2"
    assert again == ["a"]


def test_what_a_task_had_done_when_its_group_ended_it_is_not_done_again() -> None:
    """Its result was on record, and it was cancelled before it got that."""

    @durable(name="h")
    async def function(event: Any, ctx: Ctx) -> None:
        async def one(what: str) -> None:
            await ctx.step(work, what)

        async with asyncio.TaskGroup() as group:
            for what in ("a", "pay"):
                group.create_task(one(what))

    first, again = redriven(function)
    assert (first, again) == (["a", "pay"], ["a"])
