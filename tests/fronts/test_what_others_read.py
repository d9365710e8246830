"""What logs, statuses and forks say of a handler that is walked again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator

import pytest

from durable_fn import (
    AsyncDurableContext,
    Completion,
    durable,
)
from durable_fn.errors import ExecutionTimedOut
from durable_fn.testing import LocalRunner
from durable_fn.testing.crashes import _Plan, _Run
from tests.effects import EFFECTS

from .edges import note, result_of

Ctx = AsyncDurableContext


@pytest.fixture(autouse=True)
def _fresh() -> None:
    EFFECTS.clear()


def test_wait_for_is_called_the_same_on_every_python() -> None:
    """Up to 3.11 it makes a task, since 3.12 it does not: a runtime is upgraded under live executions."""

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        async def part() -> None:
            await ctx.step(note, "x")
            await asyncio.create_task(ctx.sleep(1))

        async def other() -> None:
            await ctx.step(note, "y")

        await asyncio.wait_for(part(), 1000)
        await asyncio.create_task(other())

    with LocalRunner(handler) as runner:
        ids = [row.id for row in runner.run(None, "x").history]
    assert ids == ["x", "note", "sleep", "sleep", "~1/note", "x"]


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """What handlers of the name "h" log."""
    handler, logger = _Lines(), logging.getLogger("durable_fn.handler.h")
    logger.addHandler(handler)
    yield handler.lines
    logger.removeHandler(handler)


def test_what_follows_a_call_is_logged_and_said(logged: list[str]) -> None:
    @durable(name="callee")
    async def callee(event: None, ctx: Ctx) -> None:
        await ctx.sleep(5)

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        ctx.logger.warning("before")
        await ctx.call(callee, None)
        ctx.logger.warning("after")
        await ctx.set_status("paid")
        await ctx.sleep(100)

    with LocalRunner(handler, callee) as runner:
        assert runner.run(None).custom_status == "paid"
    assert logged == ["before", "after"]


def test_code_that_a_suspension_unwinds_logs_nothing(logged: list[str]) -> None:
    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        try:
            await ctx.sleep(100)
        except asyncio.CancelledError:
            ctx.logger.warning("cancelled")
            raise
        finally:
            ctx.logger.warning("released")

    assert result_of(handler) is None
    assert logged == ["released"]


@pytest.mark.parametrize("dies_at", range(1, 14))
def test_a_status_is_not_lost_in_a_death(dies_at: int) -> None:
    """Two results come together: one is handed out, the status is set, and the process dies."""

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        async def says() -> None:
            await ctx.step(note, "a")
            await ctx.set_status("said")

        await asyncio.gather(says(), ctx.step(note, "b"), ctx.step(note, "c"))
        await ctx.sleep(100)

    with _Run(_Plan(handler), dies_at, False) as runner:
        execution = runner.run(None)
        assert execution.status == "SUCCEEDED"
        assert execution.custom_status == "said"


def test_a_fork_from_the_result_of_a_callback_asks_anew() -> None:
    tokens: list[str] = []

    async def submit(token: str) -> None:
        tokens.append(token)

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> int:
        return await ctx.wait_for_callback(submit, result_type=int)

    with LocalRunner(handler) as runner:
        runner.start(None, "x")
        runner.run_until_idle()
        runner.complete_callback(tokens.pop(), 1)
        runner.run_until_idle()
        runner.client.fork("x", from_step="callback/result", new_id="y")
        runner.run_until_idle()
        runner.complete_callback(tokens.pop(), 2)
        runner.run_until_idle()
        assert runner.client.result("y") == 2


def test_what_tasks_log_that_the_end_of_the_handler_cancels(logged: list[str]) -> None:
    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        async def left() -> None:
            try:
                await ctx.sleep(100)
            finally:
                ctx.logger.warning("left")

        beside = asyncio.create_task(left())
        await ctx.sleep(0.1)
        assert not beside.done()

    assert result_of(handler) is None
    assert logged == ["left"]


def test_a_child_that_kept_the_deadline_keeps_it_on_a_replay() -> None:
    seen: list[str] = []

    async def part(c: Ctx) -> str:
        try:
            await c.sleep(100)
        except ExecutionTimedOut:
            await c.step(note, "cleaned")
            return "late"
        return "full"

    @durable(name="h", execution_timeout=10)
    async def handler(event: None, ctx: Ctx) -> None:
        seen.append(await ctx.child(part))
        await ctx.sleep(20)

    with LocalRunner(handler) as runner:
        assert runner.run(None).status == "TIMED_OUT"
    assert set(seen) == {"late"}
    assert len(seen) > 1


def test_a_redrive_leaves_alone_what_a_fan_that_was_over_had_tolerated() -> None:
    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        async def branch(c: Ctx, n: int) -> None:
            if n == 0:
                raise LookupError
            await c.step(note, str(n))

        async def fan() -> None:
            batch = await ctx.map(branch, [0, 1, 2], max_concurrency=2, completion=Completion(max_failures=3))
            assert len(batch.failed) == 1

        await asyncio.gather(fan())
        await ctx.sleep(100)

    with LocalRunner(handler) as runner:
        execution = runner.start(None, "x")
        runner.run_until_idle()
        runner.advance(10)
        runner.cancel("x")
        runner.run_until_idle()
        runner.client.redrive("x")
        runner.advance(1000)
        assert execution.status == "SUCCEEDED"
    assert EFFECTS == ["1", "2"]


def test_what_a_group_refuses_that_shuts_down_is_not_awaited_by_anybody() -> None:
    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> str:
        async def fails() -> None:
            raise ValueError

        with contextlib.suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(fails())
                try:
                    await ctx.sleep(10)
                finally:
                    with contextlib.suppress(RuntimeError):
                        group.create_task(ctx.sleep(1))
        return "went on"

    assert result_of(handler) == "went on"
