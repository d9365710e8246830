"""What comes between two requests, or in the middle of a turn: each case was once got wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from durable_fn import (
    AsyncDurableContext,
    DurableContext,
    DurableFunction,
    ExecutionCancelled,
    RetryPolicy,
    durable,
    step,
)
from durable_fn.testing import LocalRunner
from durable_fn.testing.cloud import LocalCloud
from durable_fn.testing.lambda_context import FakeLambdaContext
from durable_fn.types import Semantics
from tests.effects import EFFECTS, effect
from tests.environments import child_of

ONCE = RetryPolicy(max_attempts=1)


def between(runner: LocalRunner[Any, Any], request: str, nth: int, act: Callable[[], object]) -> None:
    """Lets something happen right after the nth request of this name was answered."""
    store = runner.backend.store.store  # type: ignore[attr-defined]
    real, count = getattr(store, request), [0]

    def asked(*args: Any, **kwargs: Any) -> Any:
        reply = real(*args, **kwargs)
        count[0] += 1
        if count[0] == nth:
            setattr(store, request, real)
            act()
        return reply

    setattr(store, request, asked)


# -- a new generation between a look and a write -------------------------------------------------------------------


@durable(name="loop")
def loop(event: int, ctx: DurableContext) -> Any:
    ctx.sleep(60)
    return ctx.continue_as_new(event + 1)


@pytest.mark.parametrize("what", ["cancel", "signal", "terminate", "redrive"])
def test_a_generation_that_ends_meanwhile_is_looked_at_again(what: str) -> None:
    with LocalRunner(loop) as runner:
        execution = runner.start(1, "x")
        runner.run_until_idle()
        between(runner, "get", 2 if what == "cancel" else 1, lambda: runner.advance(61))
        client = runner.client
        if what == "cancel":
            client.cancel("x", "stop")
            runner.run_until_idle()
            assert execution.status == "CANCELLED"
        elif what == "signal":
            client.signal("x", "s", 1)
            header = runner.backend.store.get("x")
            assert header is not None
            assert (header.n, header.gen) == (1, 2)
        elif what == "terminate":
            client.terminate("x")
            assert execution.status == "TERMINATED"
        else:
            with pytest.raises(Exception, match="there is nothing to redrive"):
                client.redrive("x")


def test_a_cancellation_that_was_swallowed_is_over_in_the_next_generation() -> None:
    @durable(name="stubborn")
    def stubborn(event: int, ctx: DurableContext) -> Any:
        if event == 2:
            return ctx.step(effect, "went on")
        try:
            ctx.sleep(1000)
        except ExecutionCancelled:
            return ctx.continue_as_new(2)

    with LocalRunner(stubborn) as runner:
        execution = runner.start(1, "x")
        runner.run_until_idle()
        runner.cancel("x")
        runner.run_until_idle()
        assert execution.result == "went on"


def test_a_renewal_that_is_refused_or_dies_loses_nothing() -> None:
    """On DynamoDB what is forgotten goes by requests of its own."""

    @durable(name="drains")
    def drains(event: list[int], ctx: DurableContext) -> Any:
        got = [ctx.wait_for_signal("s") for _ in range(3)]
        if len(event) >= 3:
            return [*event, *got]
        ctx.wait_for_callback(lambda token: TOKENS.append(token), name="c") if not event else None
        return ctx.continue_as_new([*event, *got])

    class Death(BaseException): ...

    for die_at in (2, 3, 4, 6, 8):
        with LocalCloud() as cloud:
            TOKENS.clear()
            cloud.attach(drains)
            cloud.client.start(drains, [], id="x")
            for n in range(3):
                cloud.client.signal("x", "s", n)
            cloud.run_until_idle()
            cloud.client.complete_callback(TOKENS[0])
            left, real = [die_at], cloud.store.table.delete
            transact = cloud.store.table.transact

            def counted(then: Callable[..., Any], left: list[int] = left) -> Callable[..., Any]:
                def request(*args: Any) -> Any:
                    left[0] -= 1
                    if left[0] == 0:
                        raise Death
                    if left[0] == 1:  # something comes from outside meanwhile
                        cloud.store.table.delete, cloud.store.table.transact = real, transact  # type: ignore[method-assign]
                        cloud.client.signal("x", "s", "meanwhile")
                        cloud.store.table.delete, cloud.store.table.transact = counted(real), counted(transact)  # type: ignore[method-assign]
                    return then(*args)

                return request

            cloud.store.table.delete, cloud.store.table.transact = counted(real), counted(transact)  # type: ignore[method-assign]
            cloud.run_until_idle()
            cloud.store.table.delete, cloud.store.table.transact = real, transact  # type: ignore[method-assign]
            cloud.advance(600)
            header = cloud.store.get("x")
            assert header is not None
            came = header.n - 4
            for n in range(3, 6 - came):
                cloud.client.signal("x", "s", n)
            cloud.advance(600)
            result = cloud.client.result("x")
            assert result[:3] == [0, 1, 2], die_at
            assert len(result) == 6, die_at


TOKENS: list[str] = []


# -- in the middle of a turn ---------------------------------------------------------------------------------------


def test_a_heartbeat_that_came_in_time_counts() -> None:
    """That none came is decided from absence, so it is looked again."""
    tokens: list[str] = []

    def busy() -> None:
        runner._clock.advance_to(runner._clock.now() + 50_000)
        runner.client.heartbeat_callback(tokens[0])
        runner._clock.advance_to(runner._clock.now() + 15_000)

    @durable(name="patient")
    def patient(event: Any, ctx: DurableContext) -> Any:
        callback = ctx.callback("c", heartbeat_timeout=60)
        ctx.step(step(lambda: tokens.append(callback.token), name="hand out"))
        ctx.step(busy)
        return callback.result()

    with LocalRunner(patient) as runner:
        runner._context = lambda f: FakeLambdaContext(runner._clock, timeout=900, function_name=f.name)  # type: ignore[method-assign]
        execution = runner.start(None)
        runner.run_until_idle()
        runner.advance(10)
        assert execution.status == "SUSPENDED", "the beat at 50 s holds until 110 s"
        runner.advance(60)
        assert execution.status == "FAILED"


@pytest.mark.parametrize("semantics", ["at_least_once", "at_most_once"])
@pytest.mark.parametrize("signal", [False, True])
def test_a_turn_that_yields_makes_way_whatever_came_meanwhile(signal: bool, semantics: Semantics) -> None:
    left: list[int] = []
    contexts: list[FakeLambdaContext] = []

    def works(seconds: float) -> None:
        runner._clock.advance_to(runner._clock.now() + round(seconds * 1000))
        if signal and seconds < 5:
            runner.signal("x", "s")

    @durable(name="busy")
    def busy(event: Any, ctx: DurableContext) -> None:
        ctx.step(works, 6)
        ctx.step(works, 3.9)
        last = step(lambda: left.append(contexts[-1].get_remaining_time_in_millis()), name="last", semantics=semantics)
        ctx.step(last)

    def context(function: DurableFunction[Any, Any]) -> FakeLambdaContext:
        contexts.append(FakeLambdaContext(runner._clock, timeout=10, function_name=function.name))
        return contexts[-1]

    with LocalRunner(busy) as runner:
        runner._context = context  # type: ignore[method-assign]
        runner.run(None, "x")
        assert left == [10_000], "the body has a whole invocation before it"


def test_a_message_of_a_run_that_is_over_runs_nobody_elses_code() -> None:
    @durable(name="one")
    def one(event: Any, ctx: DurableContext) -> Any:
        ctx.sleep(300)
        return "code of one"

    @durable(name="two")
    def two(event: Any, ctx: DurableContext) -> Any:
        return "code of two"

    with LocalCloud() as cloud:
        cloud.attach(one)
        cloud.attach(two)
        cloud.client.start(one, None, id="x")
        cloud.run_until_idle()  # its message is out
        cloud.client.terminate("x")
        cloud.client.purge("x")
        cloud.client.start(two, None, id="x", delay=300)
        cloud.advance(301)
        assert (cloud.client.describe("x").name, cloud.client.result("x")) == ("two", "code of two")


def test_what_a_redrive_forgets_is_no_dead_owner() -> None:
    fails, dies = [True], [False]

    def works(n: int) -> int:
        if n == 0 and dies[0]:
            dies[0] = False
            raise SystemExit
        if n == 7 and fails[0]:
            raise ValueError
        return n

    @durable(name="eight")
    def eight(event: Any, ctx: DurableContext) -> Any:
        return [ctx.step(step(works, name=f"s{n}", retry=ONCE), n) for n in range(8)]

    with LocalRunner(eight) as runner:
        execution = runner.run(None)
        assert execution.status == "FAILED"
        fails[0], dies[0] = False, True
        runner.client.redrive(execution.id, from_step="s0")
        with pytest.raises(SystemExit):
            runner.run_until_idle()
        runner.advance(3600)
        assert execution.result == list(range(8))


def test_a_child_whose_parent_died_before_it_was_recorded_is_cancelled_too() -> None:
    @durable(name="kid")
    def kid(event: Any, ctx: DurableContext) -> None:
        ctx.wait_for_signal("never")

    @durable(name="parent")
    def parent(event: Any, ctx: DurableContext) -> None:
        ctx.call(kid, 1)

    def dies() -> None:
        raise SystemExit

    with LocalRunner(parent, kid) as runner:
        execution = runner.start(None, "x")
        between(runner, "create", 1, dies)
        with pytest.raises(SystemExit):
            runner.run_until_idle()
        runner.cancel("x")
        runner.advance(3600)
        child = child_of(runner.client, "x", "kid")
        assert (execution.status, runner.client.describe(child).status) == ("CANCELLED", "CANCELLED")


@durable(name="caller")
async def a_caller(event: str, ctx: AsyncDurableContext) -> Any:
    if event == "race":
        return await ctx.race([_calls, _naps])
    return await ctx.call("kid", 1)


async def _calls(ctx: AsyncDurableContext) -> Any:
    return await ctx.call("kid", 1)


async def _naps(ctx: AsyncDurableContext) -> Any:
    await ctx.sleep(5)


@pytest.mark.parametrize("how", ["plain", "race"])
def test_an_async_caller_passes_its_cancellation_on(how: str) -> None:
    @durable(name="kid")
    def kid(event: Any, ctx: DurableContext) -> None:
        ctx.wait_for_signal("never")

    with LocalRunner(a_caller, kid) as runner:
        runner.start(how, "x")
        runner.run_until_idle()
        if how == "plain":
            runner.cancel("x")
        runner.advance(60)
        (child,) = runner.client.list(name="kid")
        assert child.status == "CANCELLED"


# -- the execution's own deadline ----------------------------------------------------------------------------------


def ticks(n: int) -> int:
    CLOCK[0]._clock.advance_to(CLOCK[0]._clock.now() + 1000)
    return n


CLOCK: list[LocalRunner[Any, Any]] = []


@durable(name="steps", execution_timeout=10)
def steps(event: Any, ctx: DurableContext) -> Any:
    for n in range(30):
        ctx.step(step(ticks, name=f"s{n}", retry=ONCE), n)


@durable(name="steps", execution_timeout=10)
async def a_steps(event: Any, ctx: AsyncDurableContext) -> Any:
    for n in range(30):
        await ctx.step(step(ticks, name=f"s{n}", retry=ONCE), n)


@pytest.mark.parametrize("function", [steps, a_steps], ids=["def", "async def"])
def test_a_deadline_is_seen_between_steps_and_is_no_failed_step(function: DurableFunction[Any, Any]) -> None:
    with LocalRunner(function) as runner:
        CLOCK[:] = [runner]
        execution = runner.run(None)
        assert execution.status == "TIMED_OUT"
        rows = [e for e in execution.history if e.kind == "step"]
        assert [e.status for e in rows] == ["SUCCEEDED"] * 10 + ["FAILED"]
        assert rows[-1].error is not None
        assert rows[-1].error["error_type"] == "durable_fn.errors.ExecutionTimedOut"


# -- bodies --------------------------------------------------------------------------------------------------------


@step(semantics="at_most_once")
def pay() -> str:
    return effect("paid")


@durable(name="pays")
def pays(event: Any, ctx: DurableContext) -> Any:
    ctx.step(effect, "before")
    return ctx.step(pay)


@durable(name="pays")
async def a_pays(event: Any, ctx: AsyncDurableContext) -> Any:
    await ctx.step(effect, "before")
    return await ctx.step(pay)


@pytest.mark.parametrize("function", [pays, a_pays], ids=["def", "async def"])
def test_an_at_most_once_body_is_not_put_off_after_its_marker(function: DurableFunction[Any, Any]) -> None:
    with LocalRunner(function, always_suspend=True) as runner:
        assert runner.run(None).result == "paid"
        assert EFFECTS == ["before", "paid"]


def exits(first: list[bool]) -> str:
    if first.pop():
        raise SystemExit(3)
    return "went on"


@durable(name="exits")
def sync_exits(event: Any, ctx: DurableContext) -> Any:
    try:
        ctx.step(exits, FIRST)
        ctx.step(effect, "b")
    finally:
        ctx.step(step(effect, name="clean up"), "clean up")
    return "done"


@durable(name="exits")
async def async_exits(event: Any, ctx: AsyncDurableContext) -> Any:
    try:
        await ctx.step(exits, FIRST)
        await ctx.step(effect, "b")
    finally:
        await ctx.step(step(effect, name="clean up"), "clean up")
    return "done"


FIRST: list[bool] = []


@pytest.mark.parametrize("function", [sync_exits, async_exits], ids=["def", "async def"])
def test_a_process_that_exits_in_a_body_commits_nothing_more(function: DurableFunction[Any, Any]) -> None:
    FIRST[:] = [False, True]
    with LocalRunner(function) as runner:
        execution = runner.start(None, "x")
        with pytest.raises(SystemExit):
            runner.run_until_idle()
        assert EFFECTS == []
        assert [e.id for e in execution.history if e.kind == "step"] == []
        runner.advance(timedelta(hours=1))
        assert execution.result == "done"
        assert EFFECTS == ["b", "clean up"]
