"""crash_everywhere finds what goes wrong, and accepts what has to differ."""

from __future__ import annotations

from typing import Any

import pytest

from durable_fn import (
    AsyncDurableContext,
    CallbackTimeout,
    DurableContext,
    RetryPolicy,
    SignalTimeout,
    durable,
    step,
)
from durable_fn.errors import StepInterrupted
from durable_fn.log.events import SUCCEEDED
from durable_fn.log.journal import Journal
from durable_fn.testing import Execution, LocalRunner, crash_everywhere, crashes


@durable
def kid(event: Any, ctx: DurableContext) -> Any:
    return event


@durable
def long(event: Any, ctx: DurableContext) -> None:
    ctx.wait_for_signal("never")


def test_it_dies_at_every_kind_of_write_that_an_invocation_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    """And at none that the test itself makes: `drive` cancels, signals and looks."""
    seen: set[str] = set()
    point = crashes.DyingStore._point

    def watch(self: crashes.DyingStore, where: str) -> None:
        seen.add(where.split()[1])
        point(self, where)

    monkeypatch.setattr(crashes.DyingStore, "_point", watch)

    @durable
    def handler(event: int, ctx: DurableContext) -> str:
        ctx.call(kid, 1)
        ctx.send(kid, 2)
        try:
            ctx.callback(timeout=5).result()
        except CallbackTimeout:
            ctx.step(lambda: None)
        try:
            ctx.wait_for_signal("x", timeout=5)
        except SignalTimeout:
            ctx.step(lambda: None)
        if event < 2:
            ctx.continue_as_new(event + 1)
        ctx.sleep(40 * 86_400)  # longer than its items last
        return str(ctx.call(long, None))

    def drive(runner: LocalRunner[Any, Any], execution: Execution[Any]) -> None:
        if any(event.name == "long" for event in execution.history):
            runner.cancel(execution.id, "enough")
        runner.advance(10)

    report = crash_everywhere(handler, 1, kid, long, drive=drive)
    assert report.ok, report
    assert seen >= {"acquire", "append", "suspend", "complete", "create", "renew", "expire", "decide", "deliver"}
    assert report.crash_points > 70


def test_a_body_that_runs_again_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the rule broken that a recorded step is not run again: here, that its success is found when the log is read."""
    add = Journal._add

    def forgetful(self: Journal, segment: Any) -> None:
        kept = [line for line in segment.body.split("\n") if f"fragile\tstep\t0\t{SUCCEEDED}" not in line]
        if kept:
            add(self, segment._replace(body="\n".join(kept)))
        else:
            self.next_seq += 1

    monkeypatch.setattr(Journal, "_add", forgetful)

    @durable
    def handler(event: Any, ctx: DurableContext) -> str:
        ctx.step(step(lambda: 1, name="fragile"))
        ctx.sleep(100)
        return "done"

    report = crash_everywhere(handler, None, id="x")
    assert not report.ok
    assert (
        "without a crash: the body of step 'fragile' of 'x' ran again though its success was recorded (attempt 1)"
        in report.failures
    )


def test_at_most_once_steps_may_be_interrupted() -> None:
    """A crash at the body gives StepInterrupted, which is right; the check holds for the other runs only."""
    ran: list[str] = []
    results: list[Any] = []

    @step(semantics="at_most_once")
    def pay() -> str:
        ran.append("pay")
        return "paid"

    @durable
    def sync(event: Any, ctx: DurableContext) -> str:
        ctx.step(lambda: None)
        return ctx.step(pay)

    @durable
    async def asyn(event: Any, ctx: AsyncDurableContext) -> str:
        await ctx.step(lambda: None)
        return await ctx.step(pay)

    def check(execution: Execution[str]) -> None:
        results.append(execution.result)

    for handler in (sync, asyn):
        ran.clear()
        results.clear()
        report = crash_everywhere(handler, None, check=check)
        assert report.ok, report
        assert set(results) == {"paid"}
        assert len(ran) <= len(results) + 4, (
            "an interrupted run starts the body once, or not at all; two are not checked"
        )
        assert 1 + report.crash_points - 4 <= len(results) < 1 + report.crash_points, "few are interrupted"


def test_an_at_most_once_body_that_runs_twice_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the rule broken that its marker is looked at."""
    from durable_fn.core.operations import step as operation

    live = operation._live

    def blind(op: Any, *args: Any) -> Any:
        if op.record is not None:
            op.record.begun = None
        return live(op, *args)

    monkeypatch.setattr(operation, "_live", blind)
    once = step(lambda: 1, name="once", semantics="at_most_once")
    report = crash_everywhere(durable(name="h")(lambda event, ctx: ctx.step(once)), None, id="x")
    assert any("the body of step 'once' of 'x' ran again though it is at_most_once" in told for told in report.failures)


def test_a_handler_that_is_interrupted_may_go_on() -> None:
    @durable
    def handler(event: Any, ctx: DurableContext) -> str:
        try:
            return ctx.step(step(lambda: "paid", name="pay", semantics="at_most_once"))
        except StepInterrupted:
            ctx.step(lambda: "asks the bank")
            return "asked"

    report = crash_everywhere(handler, None)
    assert report.ok, report


def test_retries_count_by_attempt() -> None:
    from durable_fn import current_step

    def shaky() -> str:
        if current_step().attempt < 3:
            raise ConnectionError
        return "ok"

    body = step(shaky, retry=RetryPolicy(initial_delay=60, jitter="none"))
    report = crash_everywhere(durable(name="h")(lambda event, ctx: ctx.step(body)), None)
    assert report.ok, report


def test_a_check_that_fails_after_a_crash_names_the_point() -> None:
    """And says so where there was none."""
    attempts: list[int] = []

    def body() -> int:
        attempts.append(1)
        return 1

    def check(execution: Execution[Any]) -> None:
        assert len(attempts) <= 1, "it ran twice"
        attempts.clear()

    handler = durable(name="h")(lambda event, ctx: ctx.step(body))
    report = crash_everywhere(handler, None, check=check)
    assert report.failures
    assert all(
        told.startswith("dying ") and "check failed: AssertionError: it ran twice" in told for told in report.failures
    )

    def never(execution: Execution[Any]) -> None:
        raise AssertionError("mine")

    assert (
        crash_everywhere(handler, None, check=never).failures[0]
        == "without a crash: check failed: AssertionError: mine"
    )


def test_a_cancelled_caller_is_cancelled_whatever_its_callee_says_first() -> None:
    """Dying between telling the callee and recording the cancellation, it finds the callee's end in its inbox."""

    @durable(name="caller")
    def sync(event: Any, ctx: DurableContext) -> Any:
        return ctx.call(long, None)

    @durable(name="caller")
    async def asyn(event: Any, ctx: AsyncDurableContext) -> Any:
        return await ctx.call(long, None)

    def drive(runner: LocalRunner[Any, Any], execution: Execution[Any]) -> None:
        runner.cancel(execution.id, "enough")
        runner.advance(10)

    for handler in (sync, asyn):
        report = crash_everywhere(
            handler, None, long, drive=drive, check=lambda execution: _assert_cancelled(execution.status)
        )
        assert report.ok, report


def _assert_cancelled(status: str) -> None:
    assert status == "CANCELLED"
