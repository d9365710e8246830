"""A process died, and a fan is over before one of its branches has begun, in whatever process: nothing of it is undone."""

from __future__ import annotations

from typing import Any

import pytest

from durable_fn import (
    Completion,
    DurableContext,
    ExecutionCancelled,
    RetryPolicy,
    durable,
    step,
)
from durable_fn.errors import ExecutionTimedOut
from durable_fn.testing import LocalRunner
from tests.effects import EFFECTS, effect

from .test_losers_on_no_record import at_once, dies_once, run, untouched


def cleans_up_slowly(c: DurableContext) -> None:
    with c.saga() as saga:
        saga.add_compensation(effect, "undone")
        c.step(effect, "done")
        try:
            c.sleep(10_000)
        except BaseException:
            with c.shielded():
                c.sleep(600)
            raise


@durable(name="dies_before")
def dies_before(event: Any, ctx: DurableContext) -> Any:
    ctx.step(dies_once, "first")
    return ctx.race([at_once, untouched])


def test_a_death_before_the_fan_is_none_in_it() -> None:
    """A step's end is on record before anything behind it begins, so the process that died in it began no branch."""
    assert run(dies_before) == (0, "at once")
    assert EFFECTS == ["first", "first"]


@durable(name="narrow_and_dies")
def narrow_and_dies(event: Any, ctx: DurableContext) -> Any:
    def wins_after_death(c: DurableContext) -> str:
        return c.step(dies_once, "won")

    branches = [cleans_up_slowly, wins_after_death, untouched, untouched, untouched]
    batch = ctx.parallel(branches, max_concurrency=2, completion=Completion(min_successful=1))
    return [item.status for item in batch]


def test_a_loser_that_is_undone_lets_no_other_begin() -> None:
    """It takes some turns, and each of them looks for those that may have begun."""
    assert run(narrow_and_dies) == ["CANCELLED", "SUCCEEDED", *["CANCELLED"] * 3]
    assert EFFECTS == ["done", "won", "won", "undone"]


def test_what_a_redrive_forgot_is_no_death() -> None:
    """A segment of which it leaves nothing is no sign of a new owner."""
    up = [False]

    @step(retry=RetryPolicy(max_attempts=4, initial_delay=0.2, backoff=8, jitter="none"))
    def flaky() -> None:
        if not up[0]:
            raise OSError("down")

    def breaks(c: DurableContext) -> None:
        c.step(flaky)

    def races_on_its_own(c: DurableContext) -> Any:
        c.sleep(600)
        return c.race([at_once, untouched])

    @durable(name="redriven")
    def redriven(event: Any, ctx: DurableContext) -> Any:
        return ctx.parallel([breaks, races_on_its_own], completion=Completion.all_successful()).results

    with LocalRunner(redriven) as runner:
        runner._in_order = True
        runner.start(None, "x")
        runner.advance(60)
        assert runner.client.describe("x").status == "FAILED"
        up[0] = True
        runner.client.redrive("x")
        runner.advance(7200)
        assert runner.client.result("x") == [None, (0, "at once")]
    assert EFFECTS == []


def test_what_a_fork_leaves_out_is_no_death() -> None:
    """A call that is open begins anew in it."""

    @durable(name="child")
    def child(event: Any, ctx: DurableContext) -> Any:
        return ctx.wait_for_signal("go")

    def calls(c: DurableContext) -> Any:
        c.step(effect, "before")
        return c.call(child, None)

    def races_on_its_own(c: DurableContext) -> Any:
        c.step(effect, "here")
        c.sleep(600)
        return c.race([at_once, untouched])

    def goes_on(c: DurableContext) -> Any:
        c.sleep(60)
        return c.step(effect, "again")

    @durable(name="forked")
    def forked(event: Any, ctx: DurableContext) -> Any:
        return ctx.parallel([races_on_its_own, goes_on, calls]).results

    with LocalRunner(forked, child) as runner:
        runner._in_order = True
        runner.start(None, "x")
        runner.advance(100)
        runner.client.fork("x", from_step="parallel/1/effect", new_id="y")
        segments = runner._journal.load(runner._header("y").key).segments  # type: ignore[union-attr]
        assert any(segment.body.startswith("\tgap") for segment in segments)
        runner.advance(7200)
        assert runner.client.describe("y").status == "SUSPENDED"
    assert EFFECTS == ["here", "before", "again", "again"]


def after_a_child(ctx: DurableContext) -> None:
    ctx.child(lambda c: c.child(lambda c: c.step(dies_once, "first"), name="inner"), name="outer")


def after_branches(ctx: DurableContext) -> None:
    ctx.parallel([lambda c: c.step(dies_once, "first"), lambda c: c.step(effect, "beside")])


def after_a_poll(ctx: DurableContext) -> None:
    ctx.poll(lambda _: dies_once("first"), initial="", until=bool, name="poll")


def after_a_step_with_a_key(ctx: DurableContext) -> None:
    ctx.step(step(dies_once, name="first", key="k"), "first")


@pytest.mark.parametrize("before", [after_a_child, after_branches, after_a_poll, after_a_step_with_a_key])
def test_a_death_days_ago_is_none_in_todays_races(before: Any) -> None:
    """Each of these ends only when the step in it is on record."""

    @durable(name="later")
    def later(event: Any, ctx: DurableContext) -> Any:
        before(ctx)
        for _ in range(3):
            ctx.sleep(86_400)
            ctx.race([at_once, untouched])
        return "done"

    assert run(later, lambda runner: runner.advance(864_000)) == "done"
    assert ["first", "first", *(["beside"] if before is after_branches else [])] == EFFECTS


def test_losers_that_take_their_cancellation_let_no_other_begin() -> None:
    """They return as if nothing were, but they knew."""

    def item(n: int) -> Any:
        def branch(c: DurableContext) -> None:
            try:
                c.sleep(10_000)
            except ExecutionCancelled:
                c.step(effect, f"clean {n}")

        return branch

    @durable(name="swallows")
    def swallows(event: Any, ctx: DurableContext) -> Any:
        branches = [item(0), lambda c: c.step(dies_once, "won"), *(item(n) for n in range(2, 12))]
        ctx.parallel(branches, max_concurrency=2, completion=Completion(min_successful=1))

    run(swallows)
    assert EFFECTS == ["won", "won", "clean 0"]


def test_the_turn_itself_reads_what_later_ones_do() -> None:
    """That a step was given up, because the time was over, is on record like any end of one."""

    @durable(name="timed", execution_timeout=500)
    def timed(event: Any, ctx: DurableContext) -> Any:
        try:
            return ctx.step(dies_once, "first")
        except ExecutionTimedOut:
            return ctx.race([at_once, untouched])

    with pytest.raises(ExecutionTimedOut):
        run(timed)
    assert EFFECTS == ["first"]
