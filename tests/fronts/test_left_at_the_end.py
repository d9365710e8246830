"""What is left when the handler is at its end."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import pytest

from durable_fn import (
    AsyncDurableContext,
    DurableFunction,
    durable,
)
from durable_fn.testing import LocalRunner
from durable_fn.testing.lambda_context import FakeLambdaContext
from tests.effects import EFFECTS, effect

from .edges import result_of

Ctx = AsyncDurableContext


HANGING = threading.Event()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    EFFECTS.clear()


def test_a_body_that_was_cancelled_unwinds_before_its_execution_ends() -> None:
    async def body() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            effect("released")

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> str | None:
        try:
            async with asyncio.timeout(0.05):
                await ctx.step(body)
        except TimeoutError:
            return "late"

    with LocalRunner(handler) as runner:
        assert runner.run(None).result == "late"
        assert EFFECTS == ["released"]


class _Short(LocalRunner[Any, Any]):
    """Invocations of two seconds."""

    def _context(self, function: DurableFunction[Any, Any]) -> FakeLambdaContext:
        return FakeLambdaContext(self._backend.clock, timeout=2, function_name=function.name)


def test_a_body_that_cannot_unwind_in_time_is_named(caplog: pytest.LogCaptureFixture) -> None:
    async def stubborn() -> None:
        while not HANGING.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> str | None:
        try:
            async with asyncio.timeout(0.05):
                await ctx.step(stubborn)
        except TimeoutError:
            return "late"

    HANGING.clear()
    try:
        with _Short(handler) as runner:
            assert runner.run(None).result == "late"
    finally:
        HANGING.set()
    assert "bodies still unwind, that were cancelled and have no time left: 'stubborn'" in caplog.text


def test_a_task_that_a_body_left_behind_holds_up_no_suspension() -> None:
    background: list[asyncio.Task[None]] = []

    async def poll() -> None:
        while True:
            await asyncio.sleep(0)

    async def work(n: int) -> int:
        if not background:
            background.append(asyncio.create_task(poll()))
        return n

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> int:
        await ctx.step(work, 1)
        beside = asyncio.create_task(ctx.sleep(1000))
        await ctx.sleep(50)
        beside.cancel()
        return await ctx.step(work, 2)

    try:
        assert result_of(handler) == 2
    finally:
        background[0].cancel()
