"""A suspension, a death or a mismatch unwinds code, and the code makes something else of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from durable_fn import (
    AsyncDurableContext,
    DurableContext,
    durable,
    step,
)
from durable_fn.errors import NonDeterminismError
from durable_fn.testing import LocalRunner
from tests.effects import EFFECTS, effect

from .edges import note, result_of

Ctx = AsyncDurableContext


@pytest.fixture(autouse=True)
def _fresh() -> None:
    EFFECTS.clear()


async def translates(c: Ctx) -> str:
    try:
        await c.sleep(100)
    except BaseException as error:
        raise RuntimeError("translated") from error
    return "slept"


async def swallows(c: Ctx) -> str:
    try:
        await c.sleep(100)
    except BaseException:
        return "gave up"
    return "slept"


async def has_a_group(c: Ctx) -> str:
    """The group has an error already, and makes a group of errors of any cancellation."""

    async def cleans_up() -> None:
        try:
            await c.sleep(1000)
        finally:
            await c.sleep(100)  # the execution suspends here

    async def fails() -> None:
        await c.sleep(10)
        raise ValueError

    with contextlib.suppress(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(cleans_up())
            group.create_task(fails())
    await c.sleep(50)
    return "slept"


@pytest.mark.parametrize("part", [translates, swallows, has_a_group])
def test_a_child_has_not_ended_because_a_suspension_unwound_it(part: Callable[[Ctx], Awaitable[str]]) -> None:
    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> str:
        return await ctx.child(part)

    assert result_of(handler) == "slept"


def test_nor_has_one_of_a_def_handler() -> None:
    def part(c: DurableContext) -> str:
        try:
            c.sleep(100)
        except BaseException:
            return "gave up"
        return "slept"

    @durable(name="h")
    def handler(event: None, ctx: DurableContext) -> str:
        return ctx.child(part)

    assert result_of(handler) == "slept"


@pytest.mark.parametrize("native", [False, True])
def test_a_mismatch_is_told_once_to_code_that_tries_again(native: bool) -> None:
    version = [1]

    @durable(name="h")
    async def asyn(event: None, ctx: Ctx) -> None:
        while True:
            try:
                await ctx.step(step(note, name=f"version {version[0]}"), "x")
                break
            except Exception:
                continue
        await ctx.sleep(100)

    @durable(name="h")
    def plain(event: None, ctx: DurableContext) -> None:
        while True:
            try:
                ctx.step(step(effect, name=f"version {version[0]}"), "x")
                break
            except Exception:
                continue
        ctx.sleep(100)

    with LocalRunner(asyn if native else plain) as runner:
        execution = runner.start(None)
        runner.run_until_idle()
        version[0] = 2
        runner.advance(200)
        assert execution.status == "SUSPENDED"
        assert isinstance(execution.error, NonDeterminismError)
    assert EFFECTS == ["x"]
