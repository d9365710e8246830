"""Code that is not what it was when the log was written."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from durable_fn import (
    AsyncDurableContext,
    durable,
    step,
)
from durable_fn.errors import NonDeterminismError
from durable_fn.testing import LocalRunner
from tests.effects import EFFECTS, effect

from .edges import Killed, note

Ctx = AsyncDurableContext


@pytest.fixture(autouse=True)
def _fresh() -> None:
    EFFECTS.clear()


@pytest.mark.parametrize("step_first", [False, True])
def test_patched_knows_what_native_tasks_behind_it_did(step_first: bool) -> None:
    version = [1]

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        async def part(n: str) -> None:
            if step_first:
                await ctx.step(note, n)
            await ctx.sleep(100)
            if not step_first:
                await ctx.step(note, n)

        await asyncio.gather(part("a"), part("b"))
        if version[0] == 2 and await ctx.patched("check"):
            await ctx.step(note, "check")
        await asyncio.gather(part("c"), part("d"))

    def lives(until: int) -> list[str]:
        version[0] = 1
        EFFECTS.clear()
        with LocalRunner(handler) as runner:
            execution = runner.start(None)
            runner.run_until_idle()
            runner.advance(until)
            version[0] = 2
            runner.advance(500)
            assert execution.status == "SUCCEEDED"
        return EFFECTS

    assert "check" not in lives(110)
    assert "check" in lives(10)


def test_patched_at_the_end_of_a_task_that_ended_before() -> None:
    version = [1]

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        async def part() -> None:
            await ctx.step(note, "a")
            if version[0] == 2 and await ctx.patched("more"):
                await ctx.step(note, "more")

        await asyncio.gather(part())
        await ctx.step(note, "b")
        await ctx.sleep(100)

    with LocalRunner(handler) as runner:
        execution = runner.start(None)
        runner.run_until_idle()
        version[0] = 2
        runner.advance(500)
        assert execution.status == "SUCCEEDED"
    assert EFFECTS == ["a", "b"]


@pytest.mark.parametrize(("before", "after"), [(None, "c-1"), ("c-1", None)])
def test_an_attempt_under_way_that_gets_a_key_or_loses_it_runs_nothing_twice(
    before: str | None, after: str | None
) -> None:
    key = [before]

    async def charge() -> None:
        effect("charge")
        if len(EFFECTS) == 1:
            raise Killed

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        keyed: dict[str, Any] = {"key": key[0]} if key[0] else {}
        await ctx.step(step(charge, semantics="at_most_once", **keyed))

    with LocalRunner(handler) as runner:
        execution = runner.start(None)
        with pytest.raises(Killed):
            runner.run_until_idle()
        key[0] = after
        runner.advance(3600)
        assert isinstance(execution.error, NonDeterminismError)
        assert "got a key, or lost it" in str(execution.error)
    assert EFFECTS == ["charge"]


def test_children_with_keys_may_come_in_another_order() -> None:
    orders = ["7", "8"]

    async def settle(c: Ctx, order: str) -> str:
        charged = await c.step(note, order)
        await c.sleep(60)
        return charged

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> list[str]:
        return [await ctx.child(settle, order, key=order) for order in orders]

    with LocalRunner(handler) as runner:
        execution = runner.start(None)
        runner.run_until_idle()
        orders.insert(0, "6")
        runner.advance(600)
        assert execution.result == ["6", "7", "8"]
    assert sorted(EFFECTS) == ["6", "7", "8"]


def test_a_timeout_that_never_fired_may_go() -> None:
    version = [1]

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> str:
        async with asyncio.timeout(1000) if version[0] == 1 else contextlib.nullcontext():
            await ctx.wait_for_signal("s")
        await ctx.step(note, "1")
        await ctx.sleep(50)
        return await ctx.step(note, "2")

    with LocalRunner(handler) as runner:
        execution = runner.start(None, "x")
        runner.run_until_idle()
        runner.signal("x", "s")
        runner.advance(10)
        version[0] = 2
        runner.advance(100)
        assert execution.result == "2"
