"""Nothing waits for ever: cancellations that nobody asked for, that strike where nobody waits, and waits that nobody can end."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from durable_fn import AsyncDurableContext, DurableContext, RetryPolicy, StepError, durable, step
from durable_fn.errors import ExecutionCancelled
from durable_fn.runtime.aio import run as runs
from durable_fn.testing import LocalRunner, replay

ONCE = RetryPolicy(max_attempts=1)


def work(x: Any) -> Any:
    return x


async def cancels_itself() -> None:
    task = asyncio.create_task(asyncio.sleep(10))
    task.cancel()
    await task


def raises_cancelled() -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize("body", [cancels_itself, raises_cancelled])
def test_a_body_that_cancels_itself_has_failed(body: Any) -> None:
    @durable(name="own")
    async def handler(event: Any, ctx: AsyncDurableContext) -> Any:
        try:
            await ctx.step(step(body, name="body", retry=ONCE))
        except StepError as error:
            await ctx.sleep(1000)
            return [error.error_type, error.attempts]

    with LocalRunner(handler) as runner:
        execution = runner.run(None)
        assert execution.result == ["asyncio.CancelledError", 1]
        assert replay(handler, execution.history) == ["asyncio.CancelledError", 1]


def test_a_def_body_that_raises_a_native_cancellation_has_failed() -> None:
    @durable(name="own")
    def handler(event: Any, ctx: DurableContext) -> Any:
        try:
            ctx.step(step(raises_cancelled, name="body", retry=ONCE))
        except StepError as error:
            return error.error_type

    with LocalRunner(handler) as runner:
        assert runner.run(None).result == "asyncio.CancelledError"


def test_a_cancellation_that_was_swallowed_before_is_not_taken_for_one_that_comes() -> None:
    @durable(name="swallowed")
    async def handler(event: Any, ctx: AsyncDurableContext) -> Any:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)
        try:
            await ctx.step(step(cancels_itself, name="body", retry=ONCE))
        except StepError as error:
            return error.error_type

    with LocalRunner(handler) as runner:
        assert runner.run(None).result == "asyncio.CancelledError"


def test_a_body_that_somebody_cancels_is_cancelled() -> None:
    @durable(name="asked")
    async def handler(event: Any, ctx: AsyncDurableContext) -> Any:
        async def forever() -> None:
            await asyncio.sleep(3600)

        task = asyncio.create_task(ctx.step(forever))
        await asyncio.sleep(0.01)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return "cancelled"

    with LocalRunner(handler) as runner:
        execution = runner.run(None)
        assert execution.result == "cancelled"
        assert [(e.id, e.status) for e in execution.history if e.kind == "step"] == [("forever", "FAILED")]


@durable(name="out")
def out(event: Any, ctx: DurableContext) -> None:
    ctx.step(work, 1)
    raise asyncio.CancelledError


@durable(name="out")
async def a_out(event: Any, ctx: AsyncDurableContext) -> None:
    await ctx.step(work, 1)
    await cancels_itself()


@pytest.mark.parametrize("handler", [out, a_out])
def test_a_handler_that_lets_a_native_cancellation_out_has_failed(handler: Any) -> None:
    with LocalRunner(handler) as runner:
        execution = runner.run(None)
        assert execution.status == "FAILED"
        error = runner.client.describe(execution.id).error
        assert error is not None
        assert error["error_type"] == "asyncio.CancelledError"
        assert execution.invocations == 1


@durable(name="in_branch")
def in_branch(event: Any, ctx: DurableContext) -> Any:
    def bad(c: DurableContext) -> int:
        raise asyncio.CancelledError

    batch = ctx.parallel([bad, lambda c: c.step(work, 2)], max_concurrency=1)
    return [batch.items[0].status, type(batch.items[0].error).__qualname__, batch.completion_reason]


@durable(name="in_branch")
async def a_in_branch(event: Any, ctx: AsyncDurableContext) -> Any:
    async def bad(c: AsyncDurableContext) -> int:
        await cancels_itself()
        return 1

    batch = await ctx.parallel([bad, lambda c: c.step(work, 2)], max_concurrency=1)
    return [batch.items[0].status, type(batch.items[0].error).__qualname__, batch.completion_reason]


@pytest.mark.parametrize("handler", [in_branch, a_in_branch])
def test_a_branch_that_lets_a_native_cancellation_out_has_failed(handler: Any) -> None:
    with LocalRunner(handler) as runner:
        execution = runner.run(None)
        assert execution.result == ["FAILED", "CancelledError", "FAILURE_TOLERANCE_EXCEEDED"]
        assert replay(handler, execution.history) == execution.result


@pytest.mark.parametrize("shielded", [True, False])
def test_a_cancellation_leaves_a_task_that_nobody_awaits_alone(shielded: bool) -> None:
    """It is the handler's own task that is cancelled, as asyncio does: what it awaited behind a shield goes on."""

    @durable(name="detached")
    async def handler(event: Any, ctx: AsyncDurableContext) -> Any:
        task = asyncio.create_task(ctx.sleep(10_000))
        try:
            await (asyncio.shield(task) if shielded else asyncio.wait([task]))
        except ExecutionCancelled:
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                return await ctx.step(work, "cleaned up")

    with LocalRunner(handler) as runner:
        execution = runner.start(None)
        runner.run_until_idle()
        runner.cancel(execution.id)
        runner.run_until_idle()
        assert execution.result == "cleaned up"
        assert replay(handler, execution.history) == "cleaned up"


@pytest.mark.parametrize("always_suspend", [False, True])
def test_a_loser_that_waits_natively_is_cancelled(always_suspend: bool) -> None:
    seen: list[str] = []

    @durable(name="losers")
    async def handler(event: Any, ctx: AsyncDurableContext) -> Any:
        async def waits(c: AsyncDurableContext) -> None:
            await c.step(work, 0)
            try:
                await asyncio.Event().wait()
            except ExecutionCancelled as error:
                seen.append(str(error))
                raise

        async def sleeps(c: AsyncDurableContext) -> None:
            await asyncio.sleep(10_000)

        async def wins(c: AsyncDurableContext) -> int:
            await c.sleep(5)
            return 1

        async def goes_on() -> None:
            await ctx.sleep(1000)

        beside = asyncio.create_task(goes_on())
        won = list(await ctx.race([waits, sleeps, wins]))
        await beside
        return won

    with LocalRunner(handler, always_suspend=always_suspend) as runner:
        execution = runner.run(None)
        assert execution.result == [2, 1]
        assert seen
        assert set(seen) == {"the fan that this branch belongs to is over"}
        assert replay(handler, execution.history) == [2, 1]


def test_a_wait_that_nothing_can_end_is_an_error_that_says_where() -> None:
    @durable(name="stuck")
    async def handler(event: Any, ctx: AsyncDurableContext) -> Any:
        await ctx.step(work, 1)
        await asyncio.Queue[int]().get()

    with LocalRunner(handler) as runner:
        execution = runner.run(None)
        assert execution.status == "FAILED"
        assert "nothing can wake the handler" in str(execution.error)
        assert "handler (test_liveness.py, line " in str(execution.error)


def test_a_thread_of_the_handlers_own_is_waited_for() -> None:
    import time

    @durable(name="thread")
    async def handler(event: Any, ctx: AsyncDurableContext) -> Any:
        return await asyncio.to_thread(lambda: time.sleep(1.5) or "came")

    with LocalRunner(handler) as runner:
        assert runner.run(None).result == "came"


def test_what_is_recorded_of_a_task_that_nobody_awaits_fits_a_replay() -> None:
    @durable(name="orphans")
    async def handler(event: Any, ctx: AsyncDurableContext) -> Any:
        async def good() -> int:
            return 1

        async def bad() -> None:
            raise ValueError("bad")

        try:
            await asyncio.gather(ctx.step(step(bad, retry=ONCE)), ctx.step(good), ctx.step(good))
        except StepError:
            return "failed"

    with LocalRunner(handler) as runner:
        execution = runner.run(None)
        assert execution.result == "failed"
        assert replay(handler, execution.history) == "failed"


@pytest.mark.parametrize("age", [0.0, 2e7, 1e9, 1e11, 1e13])
def test_late_timers_fire_in_their_order_however_far_loop_time_has_run(age: float) -> None:
    """Several timeouts that passed while nothing ran: each sets off what it sets off before the next one fires."""

    @durable(name="late")
    async def handler(event: Any, ctx: AsyncDurableContext) -> Any:
        async def limited(seconds: float) -> float:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ctx.sleep(1000), seconds)
            return seconds

        branches = [asyncio.create_task(limited(seconds)) for seconds in (7, 5, 6)]
        done, rest = await asyncio.wait(branches, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        return [task.result() for task in done]

    runs.own_loop()._last = age
    try:
        with LocalRunner(handler) as runner:
            execution = runner.start(None)
            runner.run_until_idle()
            runner._clock.advance_to(runner._clock.now() + 100_000)
            runner.run_on(execution)
            assert execution.result == [5]
            assert replay(handler, execution.history) == [5]
    finally:
        runs.own_loop()._last = 0.0
