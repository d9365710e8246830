"""Async handlers that are redriven."""

from __future__ import annotations

import asyncio

import pytest

from durable_fn import (
    AsyncDurableContext,
    durable,
    step,
)
from durable_fn.testing import LocalRunner
from tests.effects import EFFECTS

from .edges import ONCE, note

Ctx = AsyncDurableContext


@pytest.fixture(autouse=True)
def _fresh() -> None:
    EFFECTS.clear()


def test_a_handler_that_was_stuck_is_mended_and_redriven() -> None:
    version = [1]

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> str:
        came = asyncio.Event()
        await ctx.step(note, "1")
        if version[0] == 2:
            came.set()
        await came.wait()
        return await ctx.step(note, "2")

    with LocalRunner(handler) as runner:
        execution = runner.run(None, "x")
        assert execution.status == "FAILED"
        version[0] = 2
        runner.client.redrive("x")
        runner.advance(10)
        assert execution.result == "2"
    assert EFFECTS == ["1", "2"]


@pytest.mark.parametrize("gathered", [False, True])
def test_tasks_that_a_cancellation_ended_are_redriven_as_the_handler_is(gathered: bool) -> None:
    @step(retry=ONCE)
    async def ship() -> None:
        raise OSError("no lorry")

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        async def order(n: str) -> None:
            async with ctx.saga() as saga:
                saga.add_compensation(note, f"refund {n}")
                await ctx.step(note, f"pay {n}")
                await ctx.sleep(100)
                await ctx.step(ship)

        await (asyncio.gather(order("a"), order("b")) if gathered else order("a"))

    with LocalRunner(handler) as runner:
        execution = runner.start(None, "x")
        runner.run_until_idle()
        runner.advance(10)
        runner.cancel("x")
        runner.run_until_idle()
        assert execution.status == "CANCELLED"
        runner.client.redrive("x")
        runner.advance(1000)
        assert execution.status == "FAILED"
    paid = ["pay a", "pay b"] if gathered else ["pay a"]
    undone = ["refund a", "refund b"] if gathered else ["refund a"]
    assert (paid + undone) * 2 == EFFECTS, "what was undone is done anew, and undone again"


@pytest.mark.parametrize("together", ["gather", "group"])
def test_what_tasks_tidied_up_is_no_part_of_what_they_do_when_redriven(together: str) -> None:
    """Its operations have the ids of what comes behind the wait that is waited again."""

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        async def order(n: str) -> None:
            try:
                await ctx.sleep(100)
            except asyncio.CancelledError:
                await ctx.step(note, f"tidied {n}")
                raise
            await ctx.step(note, f"shipped {n}")

        if together == "gather":
            await asyncio.gather(order("a"), order("b"))
            return
        async with asyncio.TaskGroup() as group:
            for n in ("a", "b"):
                group.create_task(order(n))

    with LocalRunner(handler) as runner:
        execution = runner.start(None, "x")
        runner.run_until_idle()
        runner.cancel("x")
        runner.run_until_idle()
        assert execution.status == "CANCELLED"
        runner.client.redrive("x")
        runner.advance(1000)
        assert execution.status == "SUCCEEDED"
    assert [*sorted(EFFECTS[:2]), *sorted(EFFECTS[2:])] == ["tidied a", "tidied b", "shipped a", "shipped b"]
