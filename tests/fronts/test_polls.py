"""Polls: how they are paced, when they give up, and what they say then; in both fronts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durable_fn import RetryPolicy
from durable_fn.errors import PollTimeout
from durable_fn.testing import LocalRunner
from tests.fronts.both import one_call

START = datetime(2026, 1, 1, tzinfo=UTC)


def polled(runner: LocalRunner[Any, Any]) -> tuple[Any, list[float]]:
    """How it came out, and when each check ran, in seconds."""
    execution = runner.run(None)
    times = [(event.at - START).total_seconds() for event in execution.history if event.kind == "step"]
    return execution.error or execution.result, times


def test_a_function_paces_the_checks_and_is_asked_once_for_each() -> None:
    asked: list[tuple[int, int]] = []

    def every(state: int, checks: int) -> float | timedelta:
        asked.append((state, checks))
        return timedelta(minutes=state) if checks < 3 else 10

    def call(ctx: Any) -> Any:
        return ctx.poll(lambda n: n + 1, initial=0, until=lambda n: n > 3, every=every)

    for function in one_call("f", call):
        asked.clear()
        assert polled(LocalRunner(function, always_suspend=True)) == (4, [0, 60, 180, 190])
        assert asked == [(1, 1), (2, 2), (3, 3)]


def test_a_function_that_gives_up() -> None:
    """Recorded: a replay does not ask again, though the answer would be another one."""
    asked: list[int] = []

    def every(state: int, checks: int) -> Any:
        asked.append(checks)
        return None if len(asked) == 2 else 60

    async def asyn(event: Any, ctx: Any) -> Any:
        try:
            await ctx.poll(lambda n: n + 1, initial=0, until=lambda n: n > 9, every=every, name="p")
        except PollTimeout as error:
            await ctx.sleep(60)
            return error.state, error.checks

    def sync(event: Any, ctx: Any) -> Any:
        try:
            ctx.poll(lambda n: n + 1, initial=0, until=lambda n: n > 9, every=every, name="p")
        except PollTimeout as error:
            ctx.sleep(60)
            return error.state, error.checks

    from durable_fn import durable

    for handler in (sync, asyn):
        asked.clear()
        runner: LocalRunner[Any, Any] = LocalRunner(durable(name="f")(handler), always_suspend=True)
        execution = runner.run(None)
        assert execution.result == (2, 2)
        assert asked == [1, 2]
        (ended,) = [event for event in execution.history if event.kind == "poll" and event.status == "FAILED"]
        assert ended.error is not None
        assert ended.error["error_type"] == "durable_fn.errors.PollTimeout"


@pytest.mark.parametrize("where", ["every", "until"])
@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (ZeroDivisionError("oh"), "ZeroDivisionError: oh"),
        (StopIteration("oh"), "StopIteration: oh"),
        (None, "TypeError: what every returned must be a timedelta or a number of seconds, not str"),
    ],
)
def test_what_every_and_until_raise_is_itself(where: str, raised: Exception | None, told: str) -> None:
    """A time-out would hide the mistake, and would be caught as one."""

    def wrong(state: int, *checks: int) -> Any:
        if state < 2:
            return 60 if checks else False
        if raised is None:
            return "soon" if checks else 1 / 0
        raise raised

    def poll(ctx: Any) -> Any:
        every, until = (wrong, lambda n: n > 9) if where == "every" else (60, wrong)
        return ctx.poll(lambda n: n + 1, initial=0, until=until, every=every)

    if raised is None and where == "until":
        told = "ZeroDivisionError: division by zero"
    for function in one_call("f", poll):
        runner: LocalRunner[Any, Any] = LocalRunner(function, always_suspend=True)
        error = runner.client.describe(runner.run(None).id).error
        assert error is not None
        assert f"{error['error_type']}: {error['message']}".startswith(told[:40])


def test_only_attempts_that_were_given_limit_the_checks() -> None:
    """The default of a RetryPolicy is 3 attempts; a poll with one for its pace goes on as long as it may."""

    def call(ctx: Any) -> Any:
        every = RetryPolicy(initial_delay=5, max_delay=300, jitter="none")
        return ctx.poll(lambda n: n + 1, initial=0, until=lambda n: n == 6, every=every, timeout=6 * 3600)

    def limited(ctx: Any) -> Any:
        every = RetryPolicy(initial_delay=5, jitter="none", max_attempts=3)
        return ctx.poll(lambda n: n + 1, initial=0, until=lambda n: n == 6, every=every)

    for function in one_call("f", call):
        assert polled(LocalRunner(function)) == (6, [0, 5, 15, 35, 75, 155])
    for function in one_call("f", limited):
        error, times = polled(LocalRunner(function))
        assert times == [0, 5, 15]
        assert isinstance(error, PollTimeout)
        assert (error.state, error.checks) == (3, 3)


def test_the_last_check_is_at_the_deadline() -> None:
    def call(ctx: Any) -> Any:
        return ctx.poll(lambda n: n + 1, initial=0, until=lambda n: n > 9, every=60, timeout=150, name="the parcel")

    def at_once(ctx: Any) -> Any:
        return ctx.poll(lambda n: n + 1, initial=0, until=lambda n: n > 9, timeout=0)

    for function in one_call("f", call):
        error, times = polled(LocalRunner(function, always_suspend=True))
        assert times == [0, 60, 120, 150]
        assert isinstance(error, PollTimeout)
        assert str(error) == (
            "poll 'the parcel' was not done after 4 checks; give it more time (timeout=, every=), or catch PollTimeout, whose "
            "`state` is the last one"
        )
    for function in one_call("f", at_once):
        error, times = polled(LocalRunner(function))
        assert isinstance(error, PollTimeout)
        assert times == [0]


def test_a_check_called_wait() -> None:
    """Its steps and the waits between them share a name, and stay apart."""

    def wait(n: int) -> int:
        return n + 1

    for function in one_call("f", lambda ctx: ctx.poll(wait, initial=0, until=lambda n: n == 3, every=60)):
        assert polled(LocalRunner(function, always_suspend=True)) == (3, [0, 60, 120])
