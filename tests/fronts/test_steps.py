"""What a step body sees, how it fails, times out, logs and is misused: in both fronts."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, get_type_hints

import pytest

from durable_fn import (
    AsyncDurableContext,
    DurableContext,
    DurableFunction,
    RetryPolicy,
    StepError,
    current_step,
    durable,
    step,
)
from durable_fn.errors import SerializationError, StepTimeout
from durable_fn.testing import Execution, LocalRunner

Body = Callable[[Any, Callable[..., Any]], Any]
ONCE = RetryPolicy(max_attempts=1)


def in_both(
    function_name: str, body: Callable[..., Any], /, *args: Any, **options: Any
) -> list[DurableFunction[Any, Any]]:
    """A handler of each kind with one step, whose failure is returned as text."""

    @durable(name=function_name)
    def sync(event: Any, ctx: DurableContext) -> Any:
        return ctx.step(step(body, **options) if options else body, *args)

    @durable(name=function_name)
    async def asyn(event: Any, ctx: AsyncDurableContext) -> Any:
        return await ctx.step(step(body, **options) if options else body, *args)

    return [sync, asyn]


def run(function: DurableFunction[Any, Any], event: Any = None, id: str | None = None) -> Execution[Any]:
    return LocalRunner(function).run(event, id)


# -- the contexts --------------------------------------------------------------------------------------------------


def test_both_contexts_have_the_same_methods_and_parameters() -> None:
    def public(cls: type) -> dict[str, Any]:
        return {name: value for name, value in inspect.getmembers(cls) if not name.startswith("_")}

    one, other = public(DurableContext), public(AsyncDurableContext)
    assert set(one) == set(other)
    for name, method in one.items():
        if isinstance(method, property):
            assert isinstance(other[name], property)
            continue
        mine, its = inspect.signature(method), inspect.signature(other[name])
        assert [(p.name, p.kind, p.default) for p in mine.parameters.values()] == [
            (p.name, p.kind, p.default) for p in its.parameters.values()
        ], name
        assert method.__doc__, name


def test_what_a_context_tells(caplog: pytest.LogCaptureFixture) -> None:
    def look(event: Any, ctx: Any) -> dict[str, Any]:
        assert ctx.lambda_context.aws_request_id == ctx.aws_request_id
        assert ctx.get_remaining_time_in_millis() > 0
        with pytest.raises(AttributeError, match="has no 'nonsense', and neither has the Lambda context"):
            ctx.nonsense
        return {"id": ctx.execution_id, "name": ctx.name, "replaying": ctx.is_replaying, "now": ctx.now()}

    @durable(name="look")
    async def alook(event: Any, ctx: AsyncDurableContext) -> Any:
        return look(event, ctx)

    for function in (durable(name="look")(look), alook):
        result = run(function, id="x-1").result
        assert result == {"id": "x-1", "name": "look", "replaying": False, "now": datetime(2026, 1, 1, tzinfo=UTC)}


# -- current_step --------------------------------------------------------------------------------------------------


def test_current_step() -> None:
    seen: list[Any] = []

    def look() -> None:
        info = current_step()
        seen.append(
            (info.name, info.operation_id, info.execution_id, info.attempt, info.idempotency_key, info.deadline)
        )
        if info.attempt < 3:
            raise ConnectionError

    for function in in_both("f", look, name="peek", retry=RetryPolicy(initial_delay=60), timeout=10):
        seen.clear()
        assert run(function, id="x").status == "SUCCEEDED"
        assert [row[:4] for row in seen] == [("peek", "peek", "x", n) for n in (1, 2, 3)]
        assert len({row[4] for row in seen}) == 1, "the key is the same on every attempt"
        assert len(seen[0][4]) == 32
        assert (seen[1][5] - seen[0][5]) > timedelta(seconds=0)
        assert seen[0][5] == datetime(2026, 1, 1, 0, 0, 10, tzinfo=UTC)


def test_keys_differ_between_steps_executions_and_starts_of_an_id() -> None:
    keys: list[str] = []

    def key() -> None:
        keys.append(current_step().idempotency_key)

    @durable
    def two(event: Any, ctx: DurableContext) -> None:
        ctx.step(key)
        ctx.step(key)

    for id in ("x", "y", "x"):
        run(two, id=id)  # a journal of its own each: the third is another start of "x"
    assert len(set(keys)) == 6


def test_current_step_travels_to_threads_that_copy_the_context() -> None:
    import contextvars

    seen: list[Any] = []

    def body() -> None:
        context = contextvars.copy_context()
        thread = threading.Thread(target=lambda: seen.append(context.run(current_step).name))
        bare = threading.Thread(target=lambda: seen.append(_message(current_step)))
        for t in (thread, bare):
            t.start()
            t.join()

    for function in in_both("f", body):
        seen.clear()
        run(function)
        assert seen[0] == "body"
        assert "outside a step body" in seen[1]


def _message(fn: Callable[[], Any]) -> str:
    try:
        fn()
    except RuntimeError as error:
        return str(error)
    return ""


def test_current_step_outside_a_step() -> None:
    with pytest.raises(RuntimeError, match="outside a step body"):
        current_step()

    @durable
    def handler(event: Any, ctx: DurableContext) -> str:
        return _message(current_step)

    assert "outside a step body" in run(handler).result


# -- timeouts ------------------------------------------------------------------------------------------------------


def test_a_body_that_runs_too_long() -> None:
    """Real time: a body is real code. The `def` body goes on in its thread; nobody waits for it."""
    release = threading.Event()

    def hangs() -> None:
        release.wait(30)

    async def ahangs() -> None:
        await asyncio.sleep(30)

    @durable(name="a")
    async def asyn(event: Any, ctx: AsyncDurableContext) -> Any:
        return await ctx.step(step(ahangs, name="hangs", timeout=0.02, retry=ONCE))

    for function in [*in_both("f", hangs, timeout=0.02, retry=ONCE), asyn]:
        began = time.monotonic()
        error = run(function).error
        assert isinstance(error, StepTimeout)
        assert "attempt 1 of step 'hangs' ran longer than 0.02 s" in str(error)
        assert (error.attempts, error.error_type) == (1, "durable_fn.errors.StepTimeout")
        assert time.monotonic() - began < 10
    release.set()


def test_a_timeout_is_retried() -> None:
    attempts: list[int] = []
    release = threading.Event()

    def once_slow() -> str:
        attempts.append(current_step().attempt)
        if current_step().attempt == 1:
            release.wait(30)
        return "quick"

    for function in in_both("f", once_slow, timeout=0.02, retry=RetryPolicy(max_attempts=1000, initial_delay=5)):
        attempts.clear()
        execution = run(function)
        assert execution.result == "quick"
        assert len(attempts) >= 2, "on a busy machine also a quick attempt may be too late"
        assert attempts == [*range(1, len(attempts) + 1)]
        first = next(e for e in execution.history if e.kind == "step")
        assert first.attempt == 1
        assert first.error is not None
        assert first.error["error_type"] == "durable_fn.errors.StepTimeout"
    release.set()


def test_a_timeout_error_of_the_body_is_its_own() -> None:
    def body() -> None:
        raise TimeoutError("the database's")

    for function in in_both("f", body, timeout=5, retry=ONCE):
        error = run(function).error
        assert type(error) is StepError
        assert error.error_type == "TimeoutError"


# -- failures ------------------------------------------------------------------------------------------------------


class Odd(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(f"odd {code}")
        self.data = {"code": code}


def test_a_step_error_tells_everything_and_is_the_same_on_replay() -> None:
    def fails() -> None:
        raise Odd(7)

    @durable(name="f")
    def sync(event: Any, ctx: DurableContext) -> Any:
        try:
            ctx.step(fails)
        except StepError as error:
            told = [
                str(error),
                error.error_type,
                error.message,
                error.attempts,
                error.data,
                "raise Odd(7)" in error.traceback,
            ]
            cause = type(error.__cause__).__name__
        ctx.sleep(60)
        causes.append(cause)
        return told

    causes: list[str] = []
    result = run(sync).result
    name = "tests.fronts.test_steps.Odd"
    text = f"step 'fails' failed after 3 attempts: {name}: odd 7"
    assert result == [text, name, "odd 7", 3, {"code": 7}, True]
    assert causes == ["NoneType"], "the turn that ended it had only the record"


def test_results_that_cannot_be_stored() -> None:
    """The effect has happened: the body is not run again, whatever the policy."""
    ran: list[int] = []

    def body() -> Any:
        ran.append(1)
        return object()

    for function in in_both("f", body):
        ran.clear()
        error = run(function).error
        assert isinstance(error, SerializationError)
        assert "the result of step 'body' cannot be stored" in str(error)
        assert "annotate" in str(error)
        assert ran == [1]


def test_a_result_of_a_handler_that_cannot_be_stored() -> None:
    @durable
    def sync(event: Any, ctx: DurableContext) -> Any:
        return {"file": open}

    @durable
    async def asyn(event: Any, ctx: AsyncDurableContext) -> int:
        return "x"  # type: ignore[return-value]

    for function, why in (
        (sync, r"the result of 'sync' cannot be stored.*\.file"),
        (asyn, "the result of 'asyn' does not fit"),
    ):
        execution = run(function)
        assert execution.status == "FAILED"
        with pytest.raises(SerializationError, match=why):
            raise execution.error or AssertionError


def test_an_event_that_does_not_fit_writes_nothing() -> None:
    @durable
    def typed(event: dict[str, int], ctx: DurableContext) -> int:
        return 1

    runner = LocalRunner(typed)
    for start in (runner.run, runner.invoke):
        with pytest.raises(SerializationError, match=r"for 'typed' does not fit its annotation.*orders"):
            start({"orders": "many"})  # type: ignore[operator]
    assert list(runner.client.list()) == []


def test_first_run_and_replay_give_the_same_value() -> None:
    """The first run's value went through the codec as well: a tuple in an untyped list stays one, an object is a copy."""
    kept: list[Any] = []
    given = {"a": (1, 2)}

    def body() -> Any:
        return given

    @durable
    def handler(event: Any, ctx: DurableContext) -> None:
        kept.append(ctx.step(body))
        ctx.sleep(60)

    run(handler)
    assert kept == [given, given]
    assert kept[0] is not given
    assert type(kept[0]["a"]) is type(kept[1]["a"]) is tuple


# -- logging -------------------------------------------------------------------------------------------------------


def test_the_logger_is_silent_on_replay(caplog: pytest.LogCaptureFixture) -> None:
    @durable(name="f")
    def sync(event: Any, ctx: DurableContext) -> None:
        ctx.logger.info("begins")
        ctx.step(lambda: 1)
        ctx.logger.info("between", extra={"order": 7})
        ctx.sleep(60)
        ctx.logger.info("ends")

    @durable(name="f")
    async def asyn(event: Any, ctx: AsyncDurableContext) -> None:
        ctx.logger.info("begins")
        await ctx.step(lambda: 1)
        ctx.logger.info("between", extra={"order": 7})
        await ctx.sleep(60)
        ctx.logger.info("ends")

    for function in (sync, asyn):
        caplog.clear()
        with caplog.at_level(logging.INFO, "durable_fn.handler"):
            execution = run(function, id="x")
        assert execution.invocations == 2
        assert [record.message for record in caplog.records] == ["begins", "between", "ends"]
        assert {record.execution_id for record in caplog.records} == {"x"}  # type: ignore[attr-defined]
        assert caplog.records[1].order == 7  # type: ignore[attr-defined]


def test_the_step_logger_carries_its_attempt(caplog: pytest.LogCaptureFixture) -> None:
    def body() -> None:
        current_step().logger.info("hello")
        if current_step().attempt == 1:
            raise ConnectionError

    for function in in_both("f", body):
        caplog.clear()
        with caplog.at_level(logging.INFO, "durable_fn.step"):
            run(function, id="x")
        fields = [(r.execution_id, r.operation_id, r.attempt) for r in caplog.records]  # type: ignore[attr-defined]
        assert fields == [("x", "body", 1), ("x", "body", 2)]


def test_no_secret_reaches_the_log(caplog: pytest.LogCaptureFixture) -> None:
    @durable
    def handler(event: Any, ctx: DurableContext) -> None:
        ctx.step(lambda: "token-123")
        raise ValueError("no")

    with caplog.at_level(logging.DEBUG):
        runner = LocalRunner(handler)
        execution = runner.run({"card": "4111-1111"})
    header = runner.backend.store.get(execution.id)
    assert header is not None
    for secret in ("token-123", "4111-1111", header.secret):
        assert secret not in caplog.text


# -- misuse --------------------------------------------------------------------------------------------------------


def failure_of(function: DurableFunction[Any, Any]) -> str:
    error = run(function).error
    assert error is not None
    return f"{type(error).__name__}: {error}"


def test_a_durable_call_inside_a_step_body() -> None:
    @durable
    def sync(event: Any, ctx: DurableContext) -> None:
        ctx.step(step(lambda: ctx.sleep(1), name="outer", raises=(RuntimeError,), retry=ONCE))

    @durable
    async def asyn(event: Any, ctx: AsyncDurableContext) -> None:
        async def body() -> None:
            await ctx.sleep(1)

        await ctx.step(step(body, name="outer", raises=(RuntimeError,), retry=ONCE))

    for function in (sync, asyn):
        assert "ctx.sleep was called inside the body of step 'outer'" in failure_of(function)


@pytest.mark.parametrize("call", ["step", "sleep", "now", "uuid4", "random"])
def test_a_durable_call_from_a_thread_of_ones_own(call: str) -> None:
    @durable
    def handler(event: Any, ctx: DurableContext) -> str:
        told: list[str] = []
        arguments = {"step": (int,), "sleep": (1,)}.get(call, ())
        thread = threading.Thread(target=lambda: told.append(_message(lambda: getattr(ctx, call)(*arguments))))
        thread.start()
        thread.join()
        return told[0]

    assert f"ctx.{call} was called where no branch of execution" in run(handler).result


def test_an_async_step_in_a_def_handler() -> None:
    async def body() -> None: ...

    @durable
    def handler(event: Any, ctx: DurableContext) -> None:
        ctx.step(body)

    assert failure_of(handler).startswith(
        "TypeError: step 'body' is an async function, but this handler is a plain def"
    )


def test_a_result_instead_of_a_function() -> None:
    for function in in_both("f", 5):  # type: ignore[arg-type]
        assert "write ctx.step(fn, argument), not ctx.step(fn(argument))" in failure_of(function)


@pytest.mark.parametrize("duration", [-1, float("nan"), "5", None, True])
def test_waits_that_make_no_sense(duration: Any) -> None:
    @durable(name="f")
    def sync(event: Any, ctx: DurableContext) -> None:
        ctx.sleep(duration)

    @durable(name="f")
    async def asyn(event: Any, ctx: AsyncDurableContext) -> None:
        await ctx.sleep(duration)

    for function in (sync, asyn):
        assert "the duration of ctx.sleep must be" in failure_of(function)


def test_sleep_until_a_naive_or_past_time() -> None:
    @durable
    def naive(event: Any, ctx: DurableContext) -> None:
        ctx.sleep_until(datetime(2027, 1, 1))

    @durable
    def past(event: Any, ctx: DurableContext) -> str:
        ctx.sleep_until(datetime(2001, 1, 1, tzinfo=UTC))
        return "at once"

    assert "the time of ctx.sleep_until must have a time zone" in failure_of(naive)
    execution = run(past)
    assert (execution.result, execution.invocations) == ("at once", 1)


def test_an_operation_after_the_handler_returned() -> None:
    kept: list[DurableContext] = []

    @durable
    def handler(event: Any, ctx: DurableContext) -> None:
        kept.append(ctx)

    run(handler)
    with pytest.raises(RuntimeError, match="after the handler returned"):
        kept[0].sleep(1)


def test_the_decorated_handler_keeps_its_name_and_types() -> None:
    @durable
    def handler_of_orders(event: int, ctx: DurableContext) -> str:
        """Docs."""
        return ""

    assert handler_of_orders.__name__ == "handler_of_orders"
    assert handler_of_orders.__doc__ == "Docs."
    assert get_type_hints(handler_of_orders.__wrapped__)["return"] is str
    assert repr(handler_of_orders) == "<durable function 'handler_of_orders'>"
