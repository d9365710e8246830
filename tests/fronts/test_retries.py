"""Who decides whether a failed attempt is repeated, and when: policies, functions, and what fails in them; in both fronts."""

from __future__ import annotations

import functools
import logging
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durable_fn import DurableContext, RetryPolicy, StepError, current_step, durable, step
from durable_fn.errors import PayloadTooLarge, SerializationError, StepInterrupted, StepTimeout
from durable_fn.testing import LocalRunner
from tests.fronts.both import one_call, run

START = datetime(2026, 1, 1, tzinfo=UTC)


def times_of(runner: LocalRunner[Any, Any], id: str) -> list[float | None]:
    """When each attempt's successor was due, in seconds."""
    events = [event for event in runner.client.history(id) if event.kind == "step"]
    return [None if event.due is None else (event.due - START).total_seconds() for event in events]


@pytest.mark.parametrize("place", ["step", "step_retry", "wait_for_callback", "poll"])
def test_a_function_decides_each_delay_once(place: str) -> None:
    asked: list[tuple[str, int]] = []
    ran: list[int] = []

    def retry(error: Exception, attempt: int) -> float | timedelta | None:
        asked.append((str(error), attempt))
        return {1: 100, 2: timedelta(minutes=5)}.get(attempt)

    def body(*args: Any) -> None:
        ran.append(current_step().attempt)
        raise ConnectionError(f"no {current_step().attempt}")

    calls: dict[str, Any] = {
        "step": lambda ctx: ctx.step(step(body, retry=retry)),
        "step_retry": lambda ctx: ctx.step(body),
        "wait_for_callback": lambda ctx: ctx.wait_for_callback(body, retry=retry),
        "poll": lambda ctx: ctx.poll(body, initial=0, until=bool, retry=retry),
    }
    options: dict[str, Any] = {"step_retry": retry} if place == "step_retry" else {}
    for function in one_call("f", calls[place], **options):
        asked.clear()
        ran.clear()
        runner = LocalRunner(function, always_suspend=True)
        execution = runner.run(None)
        assert isinstance(execution.error, StepError)
        assert execution.error.message == "no 3"
        assert ran == [1, 2, 3]
        assert asked == [("no 1", 1), ("no 2", 2), ("no 3", 3)], "what is recorded is not asked again"
        assert times_of(runner, execution.id) == [100, 400, None]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (-1, "what retry returned must be 0 or more"),
        ("soon", "not str"),
        (True, "not bool"),
        (None, None),
        (1 / 7, None),
    ],
)
def test_what_a_function_may_answer(answer: Any, told: str | None, caplog: pytest.LogCaptureFixture) -> None:
    ran: list[int] = []

    def body() -> None:
        ran.append(1)
        raise ValueError("the body's")

    def retry(error: Exception, attempt: int) -> Any:
        return answer if attempt == 1 else None

    for function in one_call("f", lambda ctx: ctx.step(step(body, retry=retry))):
        ran.clear()
        caplog.clear()
        error = run(function).error
        assert isinstance(error, StepError)
        assert error.error_type == "ValueError"
        assert len(ran) == (2 if answer == 1 / 7 else 1)
        assert (told or "nothing") in (caplog.text or "nothing")


@pytest.mark.parametrize("how", ["function", "retry_on", "give_up_on"])
def test_a_decision_that_fails_gives_up_with_the_error_of_the_body(how: str, caplog: pytest.LogCaptureFixture) -> None:
    """The usual predicate for boto's ClientError meets another error. The failure is recorded, the body does not run again."""
    ran: list[int] = []

    def throttled(error: Any, attempt: int = 1) -> Any:
        return error.response["Error"]["Code"] == "Throttling"

    options: dict[str, Any] = {how: throttled}
    retry: Any = throttled if how == "function" else RetryPolicy(**options)

    def body() -> None:
        ran.append(1)
        raise ConnectionError("reset")

    for function in one_call("f", lambda ctx: ctx.step(step(body, retry=retry))):
        ran.clear()
        caplog.clear()
        with caplog.at_level(logging.ERROR, "durable_fn"):
            execution = run(function)
        assert isinstance(execution.error, StepError)
        assert execution.error.error_type == "ConnectionError"
        assert ran == [1]
        assert [event.status for event in execution.history if event.kind == "step"] == ["FAILED"]
        assert "the retry of a step failed itself" in caplog.text
        assert "has no attribute 'response'" in caplog.text


def test_a_function_makes_no_durable_calls(caplog: pytest.LogCaptureFixture) -> None:
    def body() -> None:
        raise ValueError("the body's")

    @durable
    def handler(event: Any, ctx: DurableContext) -> None:
        def asks(error: Exception, attempt: int) -> float:
            ctx.sleep(5)
            return 1

        ctx.step(step(body, retry=asks))

    error = run(handler).error
    assert isinstance(error, StepError)
    assert "ctx.sleep was called where no branch" in caplog.text


def test_an_at_most_once_body_is_not_started_again_after_a_timeout() -> None:
    """It may still be at work: what `retry` is for are errors that the body itself raised."""
    ran: list[int] = []
    release = threading.Event()

    def pays() -> None:
        ran.append(1)
        release.wait(30)

    retry = RetryPolicy(max_attempts=3, initial_delay=0)
    body = step(pays, semantics="at_most_once", timeout=0.02, retry=retry)
    for function in one_call("f", lambda ctx: ctx.step(body)):
        ran.clear()
        error = run(function).error
        assert isinstance(error, StepTimeout)
        assert error.attempts == 1
        assert len(ran) <= 1  # none, if its thread was too slow to begin
    release.set()


class Declined(Exception):
    pass


def test_a_partial_has_the_options_of_its_function() -> None:
    ran: list[Any] = []

    @step(name="pay", retry=RetryPolicy(max_attempts=1), raises=(Declined,))
    def charge(amount: int, currency: str) -> None:
        ran.append((amount, currency))
        raise Declined(amount)

    bound = functools.partial(functools.partial(charge, 5), "EUR")
    for fn, name in (
        (bound, "pay"),
        (step(bound, name="bill"), "bill"),
        (functools.partial(step(charge, name="x"), 5, "EUR"), "x"),
    ):
        for function in one_call("f", lambda ctx, fn=fn: ctx.step(fn)):  # type: ignore[misc]
            ran.clear()
            execution = run(function)
            assert repr(execution.error) == repr(Declined(5))
            assert ran == [(5, "EUR")]
            assert [event.id for event in execution.history if event.kind == "step"] == [name]


@pytest.mark.parametrize(
    "error", [SerializationError("mine"), StepInterrupted("mine"), PayloadTooLarge("mine", size=1, limit=2)]
)
def test_an_error_of_ours_that_a_body_raises_is_its_own(error: Exception) -> None:
    """DurableClient in a step raises such ones. They are retried, and come as StepError like any other."""
    ran: list[int] = []

    def body() -> None:
        ran.append(1)
        raise error

    for function in one_call(
        "f", lambda ctx: ctx.step(step(body, retry=RetryPolicy(max_attempts=2, initial_delay=60)))
    ):
        ran.clear()
        raised = run(function).error
        assert type(raised) is StepError
        assert raised.error_type == f"durable_fn.errors.{type(error).__name__}"
        assert raised.message == "mine"
        assert ran == [1, 1]


def test_a_result_that_is_too_large_keeps_its_sizes() -> None:
    """Random text, which compression does not help, and a journal without a bucket; on the first run and on replay."""
    import random

    from durable_fn.testing.cloud import LocalCloud

    draw = random.Random(1)
    big = "".join(chr(draw.randrange(0x100, 0xD000)) for _ in range(300_000))
    seen: list[Any] = []

    @durable
    def handler(event: Any, ctx: DurableContext) -> None:
        try:
            ctx.step(lambda: big)
        except PayloadTooLarge as error:
            seen.append((error.size, error.limit, "Set DURABLE_FN_BUCKET" in str(error)))
        ctx.sleep(60)

    with LocalCloud() as cloud:
        cloud.attach(handler)
        cloud.run(cloud.client.start(handler, None))
    size = len(big.encode()) + 2
    assert seen == [(size, 380_000, True)] * 2
