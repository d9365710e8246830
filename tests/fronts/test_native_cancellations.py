"""Contexts, and cancellations by asyncio and by us in one task."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import math
from typing import Any

import pytest

from durable_fn import (
    AsyncDurableContext,
    DurableContext,
    ExecutionCancelled,
    RetryPolicy,
    durable,
    step,
)
from durable_fn.core.turn import Turn
from durable_fn.errors import ExecutionTimedOut
from durable_fn.testing import LocalRunner
from tests.effects import EFFECTS, effect

from .edges import note, result_of

Ctx = AsyncDurableContext


@pytest.fixture(autouse=True)
def _fresh() -> None:
    EFFECTS.clear()


tenant = contextvars.ContextVar("tenant", default="nobody")


def test_what_a_child_sets_in_its_context_ends_with_it() -> None:
    seen = []

    async def part(c: Ctx) -> str:
        tenant.set("acme")
        await c.sleep(1)
        assert tenant.get() == "acme"
        return "x"

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        await ctx.child(part)
        seen.append(tenant.get())
        await ctx.sleep(100)

    assert result_of(handler) is None
    assert set(seen) == {"nobody"}
    assert len(seen) > 1


def test_a_child_may_be_any_awaitable() -> None:
    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> list[Any]:
        return [
            await ctx.child(lambda c: c.step(note, "a")),
            await ctx.child(lambda c: asyncio.gather(c.step(note, "b"), c.step(note, "c"))),
        ]

    assert result_of(handler) == ["a", ["b", "c"]]


def test_a_native_cancellation_keeps_its_message() -> None:
    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> list[Any]:
        task = asyncio.create_task(ctx.sleep(5))
        await asyncio.sleep(0)
        task.cancel("why")
        try:
            await task
        except asyncio.CancelledError as error:
            return list(error.args)
        return []

    assert result_of(handler) == ["why"]


def test_a_cancelled_execution_comes_out_of_a_timeout_that_had_fired() -> None:
    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> str | None:
        try:
            async with asyncio.timeout(10):
                try:
                    await ctx.sleep(100)
                finally:
                    await ctx.sleep(50)
        except TimeoutError:
            await ctx.step(note, "went on")
            return "as if nobody had cancelled it"

    with LocalRunner(handler) as runner:
        execution = runner.start(None)
        runner.run_until_idle()
        runner.advance(20)
        runner.cancel(execution.id)
        runner.advance(200)
        assert execution.status == "CANCELLED"
    assert EFFECTS == []


@pytest.mark.parametrize("in_a_branch", [False, True])
def test_compensations_run_in_full_whatever_cancels_them(in_a_branch: bool) -> None:
    tries: list[int] = []

    @step(retry=RetryPolicy(max_attempts=5, initial_delay=20, backoff=1, jitter="none"))
    async def refund(n: str) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("the bank is down")
        effect(f"refund {n}")

    async def part(c: Ctx) -> None:
        async with c.saga() as saga:
            for n in "ab":
                saga.add_compensation(refund, n)
            raise ValueError

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> str:
        try:
            async with asyncio.timeout(10):
                if in_a_branch:
                    await ctx.parallel([part])
                else:
                    await part(ctx)
        except TimeoutError:
            return "late"
        return "?"

    assert result_of(handler) == "late"
    assert EFFECTS == ["refund b", "refund a"]


@pytest.mark.parametrize("limit", [math.inf, 1e12])
def test_asyncio_may_wait_for_ever(limit: float) -> None:
    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> str:
        async with asyncio.timeout(limit):
            return await ctx.wait_for_signal("go", result_type=str)

    with LocalRunner(handler) as runner:
        execution = runner.start(None, "x")
        runner.run_until_idle()
        runner.signal("x", "go", "went")
        runner.run_until_idle()
        assert execution.result == "went"
        assert execution.history


@pytest.mark.parametrize("typed", [False, True])
def test_a_def_child_that_took_a_cancellation_is_the_last_to_see_it(typed: bool) -> None:
    seen: list[str] = []

    def stops(c: DurableContext) -> str:
        try:
            c.sleep(100)
        except ExecutionCancelled:
            c.step(effect, "cleaned")
            return "stopped"
        return "full"

    def untyped(c: DurableContext):  # type: ignore[no-untyped-def]
        return stops(c)

    @durable(name="h")
    def handler(event: None, ctx: DurableContext) -> None:
        seen.append(ctx.child(stops if typed else untyped))
        ctx.sleep(50)

    with LocalRunner(handler) as runner:
        execution = runner.start(None)
        runner.run_until_idle()
        runner.cancel(execution.id)
        runner.advance(500)
        assert execution.status == "SUCCEEDED"
    assert set(seen) == {"stopped"}


@pytest.mark.parametrize("in_a_child", [False, True])
def test_a_group_that_aborts_already_takes_no_cancellation_of_the_execution(in_a_child: bool) -> None:
    async def part(c: Ctx) -> str:
        async def cleans() -> None:
            try:
                await c.sleep(1000)
            finally:
                await c.sleep(50)

        async def fails() -> None:
            await c.sleep(10)
            raise ValueError

        with contextlib.suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(cleans())
                group.create_task(fails())
        await c.sleep(500)
        return "went on"

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> str:
        return await (ctx.child(part) if in_a_child else part(ctx))

    with LocalRunner(handler) as runner:
        execution = runner.start(None)
        runner.run_until_idle()
        runner.advance(20)
        runner.cancel(execution.id)
        runner.advance(1000)
        assert execution.status == "CANCELLED"


def test_a_group_that_waits_for_its_tasks_is_told_once() -> None:
    """The error is raised at its end, and what the handler cleans up then is not cancelled again."""

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        async def cleans() -> None:
            try:
                await ctx.sleep(1000)
            finally:
                await ctx.sleep(50)
                await ctx.sleep(50)

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(cleans())
                group.create_task(cleans())
        finally:
            await ctx.step(note, "a")
            await ctx.step(note, "b")

    with LocalRunner(handler) as runner:
        execution = runner.start(None)
        runner.run_until_idle()
        runner.cancel(execution.id)
        runner.advance(1000)
        assert execution.status == "CANCELLED"
    assert EFFECTS == ["a", "b"]


def test_a_turn_that_is_over_is_not_kept_by_its_alarms() -> None:
    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        async with asyncio.timeout(30 * 86_400):
            await ctx.step(asyncio.sleep, 0.001)

    for _ in range(10):
        result_of(handler)
    gc.collect()
    assert sum(isinstance(one, Turn) and one.header.fn == "h" for one in gc.get_objects()) <= 2


@pytest.mark.parametrize("always_suspend", [False, True])
def test_a_body_that_was_left_is_not_interrupted_by_a_replay(always_suspend: bool) -> None:
    """It began, at most once, and the code left it: each replay leaves it again, and says nothing of it in the log."""

    @step(semantics="at_most_once")
    async def once() -> str:
        effect("once")
        await asyncio.sleep(60)
        return "never"

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> Any:
        task = asyncio.ensure_future(ctx.step(once))
        await ctx.sleep(0.5)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await ctx.sleep(100)
        return await ctx.step(note, "after")

    runner = LocalRunner(handler, always_suspend=always_suspend)
    runner.start(None, "x")
    runner.run_until_idle()
    runner.advance(200)
    assert runner.client.result("x") == "after"
    left = [(e.status, e.error and e.error["error_type"]) for e in runner.client.history("x") if e.name == "once"]
    assert (left, EFFECTS) == ([("STARTED", None), ("FAILED", "asyncio.CancelledError")], ["once", "after"])


@pytest.mark.parametrize("left", ["poll", "wait for callback", "call"])
def test_a_wait_that_was_left_finds_its_own_in_a_replay(left: str) -> None:
    """It has operations inside, or began something: those are on record, and asked for again before it is left again."""

    async def look(n: int) -> int:
        return n + 1

    @durable(name="kid")
    def kid(event: None, ctx: DurableContext) -> None:
        ctx.wait_for_signal("never")

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> Any:
        waits: dict[str, Any] = {
            "poll": lambda: ctx.poll(look, initial=0, until=lambda n: False, every=60),
            "wait for callback": lambda: ctx.wait_for_callback(lambda token: effect("asked")),
            "call": lambda: ctx.call(kid, None, id="kid"),
        }
        task = asyncio.ensure_future(waits[left]())
        await ctx.sleep(50)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await ctx.sleep(100)
        return await ctx.step(note, "after")

    runner = LocalRunner(handler, kid)
    runner.start(None, "x")
    for _ in range(4):
        runner.run_until_idle()
        runner.advance(50)
    assert runner.client.result("x") == "after"


CAUGHT: list[str] = []


@durable(name="reacquires")
async def reacquires(event: None, ctx: AsyncDurableContext) -> None:
    condition = asyncio.Condition()

    async def holds() -> None:
        async with condition:
            await ctx.sleep(5)

    holder = asyncio.create_task(holds())
    try:
        async with condition:
            await condition.wait()
    except ExecutionCancelled:
        CAUGHT.append("cancelled")
        await holder
        raise


def test_asyncio_code_that_holds_a_cancellation_back_is_not_cancelled_twice() -> None:
    """A condition takes its lock again before it lets a cancellation out; a second one it would replace by one of its own."""
    CAUGHT.clear()
    with LocalRunner(reacquires) as runner:
        execution = runner.start(None)
        runner.run_until_idle()
        runner.cancel(execution.id)
        runner.advance(60)
        assert execution.status == "CANCELLED"
    assert set(CAUGHT) == {"cancelled"}


async def _pays(ctx: Ctx, what: str) -> None:
    async with ctx.saga() as saga:
        await ctx.step(note, f"pay {what}")
        saga.add_compensation(note, f"refund {what}")
        await ctx.sleep(1000)


async def in_a_group(event: None, ctx: Ctx) -> None:
    async with asyncio.TaskGroup() as group:
        for what in "ab":
            group.create_task(_pays(ctx, what))


async def in_a_group_beside_a_wait(event: None, ctx: Ctx) -> None:
    async with asyncio.TaskGroup() as group:
        for what in "ab":
            group.create_task(_pays(ctx, what))
        await ctx.sleep(1000)


async def gathered(event: None, ctx: Ctx) -> None:
    await asyncio.gather(*(_pays(ctx, what) for what in "ab"))


async def for_some_time(event: None, ctx: Ctx) -> None:
    await asyncio.gather(*(asyncio.wait_for(_pays(ctx, what), 3000) for what in "ab"))


async def within_a_timeout(event: None, ctx: Ctx) -> None:
    async with asyncio.timeout(3000):
        await asyncio.gather(*(_pays(ctx, what) for what in "ab"))


async def in_a_group_of_a_branch(event: None, ctx: Ctx) -> None:
    async def branch(ctx: Ctx) -> None:
        await in_a_group(None, ctx)

    batch = await ctx.parallel([branch])
    assert batch.results


@pytest.mark.parametrize("how", ["CANCELLED", "TIMED_OUT"])
@pytest.mark.parametrize(
    "shape", [in_a_group, in_a_group_beside_a_wait, gathered, for_some_time, within_a_timeout, in_a_group_of_a_branch]
)
def test_native_tasks_undo_what_they_did_however_the_execution_ends(shape: Any, how: str) -> None:
    with LocalRunner(durable(name="h", execution_timeout=500)(shape)) as runner:
        execution = runner.start(None, "x")
        runner.advance(100)
        if how == "CANCELLED":
            runner.cancel("x")
        runner.advance(2000)
        assert execution.status == how
    assert sorted(EFFECTS) == ["pay a", "pay b", "refund a", "refund b"]


@pytest.mark.parametrize("native", [False, True])
def test_a_handler_may_catch_that_its_time_is_over(native: bool) -> None:
    """As an Exception, as in a `def` handler, also where it came out of a group."""

    @durable(name="h", execution_timeout=500)
    async def handler(event: None, ctx: Ctx) -> None:
        try:
            await (in_a_group(event, ctx) if native else ctx.sleep(1000))
        except Exception as error:
            await ctx.step(note, type(error).__name__)
            raise

    with LocalRunner(handler) as runner:
        execution = runner.start(None, "x")
        runner.advance(2000)
        assert execution.status == "TIMED_OUT"
        assert isinstance(execution.error, ExecutionTimedOut)
    assert EFFECTS[-1] == "ExecutionTimedOut"
