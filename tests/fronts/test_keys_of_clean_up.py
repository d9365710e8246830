"""A body ran, its process died before anything was written, and a cancellation came before the code was there again: what cleans
up then is something else, though it has the name and the place of what nobody knows of."""

from __future__ import annotations

from typing import Any

import pytest

from durable_fn import AsyncDurableContext, DurableContext, DurableFunction, ExecutionCancelled, current_step, durable
from durable_fn.testing import LocalRunner
from tests.fronts.edges import Killed

KEYS: dict[str, str] = {}
GOT: list[str] = []


def post(what: str) -> str:
    KEYS[what] = current_step().idempotency_key
    if what == "charge":
        raise Killed
    return what


@durable(name="pays")
def pays(event: str, ctx: DurableContext) -> None:
    try:
        ctx.sleep(0.2)
        acts(event, ctx)
    except ExecutionCancelled:
        acts("clean " + event, ctx)
        raise


def acts(event: str, ctx: DurableContext) -> None:
    if "step" in event:
        ctx.step(post, "refund" if "clean" in event else "charge")
    elif "map" in event:
        ctx.map(sends, [event], name="all")
    else:
        sends(ctx, event)


def sends(ctx: DurableContext, event: str) -> None:
    ctx.signal("bank", "posted", event)
    if "clean" not in event:
        raise Killed


@durable(name="pays")
async def a_pays(event: str, ctx: AsyncDurableContext) -> None:
    try:
        await ctx.sleep(0.2)
        await a_acts(event, ctx)
    except ExecutionCancelled:
        await a_acts("clean " + event, ctx)
        raise


async def a_acts(event: str, ctx: AsyncDurableContext) -> None:
    if "step" in event:
        await ctx.step(post, "refund" if "clean" in event else "charge")
    else:
        await ctx.signal("bank", "posted", event)


@durable(name="bank")
def bank(event: Any, ctx: DurableContext) -> None:
    while True:
        ctx.step(GOT.append, ctx.wait_for_signal("posted"))


def cancelled_after_a_death(function: DurableFunction[Any, Any], event: str) -> str:
    KEYS.clear()
    GOT.clear()
    with LocalRunner(function, bank) as runner:
        runner.client.start(bank, None, id="bank")
        runner.run_until_idle()
        execution = runner.start(event, "x")
        with pytest.raises(Killed):
            runner.run_until_idle()
        runner.cancel("x")
        runner.advance(3600)
        return execution.status


@pytest.mark.parametrize("function", [pays, a_pays], ids=["def", "async def"])
def test_a_step_that_cleans_up_has_a_key_of_its_own(function: DurableFunction[Any, Any]) -> None:
    assert cancelled_after_a_death(function, "step") == "CANCELLED"
    assert len(KEYS) == 2
    assert KEYS["charge"] != KEYS["refund"]


@pytest.mark.parametrize("event", ["signal", "map"])
def test_its_signal_is_no_repetition_of_one_that_was_sent_before(event: str) -> None:
    """The first was delivered, and nothing says so."""
    assert cancelled_after_a_death(pays, event) == "CANCELLED"
    expected = [event, f"clean {event}"]
    assert expected == GOT


def test_the_key_is_the_same_when_the_clean_up_is_tried_again() -> None:
    keys: list[str] = []

    def undo() -> None:
        keys.append(current_step().idempotency_key)
        raise ConnectionError("later")

    @durable(name="undoes")
    def undoes(event: Any, ctx: DurableContext) -> None:
        try:
            ctx.sleep(1000)
        except ExecutionCancelled:
            ctx.step(undo)

    with LocalRunner(undoes) as runner:
        runner.start(None, "x")
        runner.run_until_idle()
        runner.cancel("x")
        runner.advance(3600)
    assert len(keys) == 3
    assert len(set(keys)) == 1
