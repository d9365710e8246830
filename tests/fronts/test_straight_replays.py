"""Where a replay finds the next line at once, the handler's task is not left. Nothing of the handler's can tell."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Generator
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic_core import core_schema

from durable_fn import AsyncDurableContext, current_context, durable
from durable_fn.testing import crash_everywhere
from tests.effects import effect

Ctx = AsyncDurableContext


async def work(name: str) -> str:
    return effect(name)


def check(handler: Any, expected: Any) -> None:
    """It returns that, whenever the process dies and the code is walked again."""
    report = crash_everywhere(handler, None, check=lambda execution: _equal(execution.result, expected))
    assert report.ok, report
    assert report.crash_points > 4


def _equal(found: Any, expected: Any) -> None:
    assert found == expected


@durable
async def beside_another_task(event: None, ctx: Ctx) -> list[str]:
    """Both have recorded results, and each begins before either sees one."""
    seen: list[str] = []

    async def part(name: str) -> None:
        seen.append(f"{name} begins")
        seen.append(await ctx.step(work, name))

    other = asyncio.create_task(part("other"))
    await part("main")
    await other
    await ctx.step(work, "last")
    return seen


def test_other_tasks_have_their_turn_first() -> None:
    check(beside_another_task, ["main begins", "other begins", "main", "other"])


@durable
async def gives_way(event: None, ctx: Ctx) -> list[str]:
    seen: list[str] = []
    for name in ("first", "second"):
        await asyncio.sleep(0)
        seen.append(await ctx.step(work, name))
    return seen


def test_giving_way_waits_for_no_line() -> None:
    check(gives_way, ["first", "second"])


class ByHand:
    """Runs a coroutine up to where it waits, at once; the rest when it is awaited."""

    def __init__(self, coroutine: Any) -> None:
        self._coroutine = coroutine
        self._waited = coroutine.send(None)

    def __await__(self) -> Generator[Any, Any, Any]:
        waited = self._waited
        while True:
            sent = yield waited
            try:
                waited = self._coroutine.send(sent)
            except StopIteration as stop:
                return stop.value


@durable
async def driven_by_hand(event: None, ctx: Ctx) -> list[str]:
    seen: list[str] = []

    async def part() -> None:
        seen.append(await ctx.step(work, "first of part"))
        seen.append(await ctx.step(work, "second of part"))

    parted = ByHand(part())
    seen.append("begun")
    await parted
    seen.append(await ctx.step(work, "last"))
    return seen


def test_a_coroutine_that_is_driven_by_hand_waits_where_it_waited() -> None:
    check(driven_by_hand, ["begun", "first of part", "second of part", "last"])


@durable
async def starts_eagerly(event: None, ctx: Ctx) -> list[str]:
    seen: list[str] = []

    async def part() -> None:
        seen.append(await ctx.step(work, "part"))

    loop = asyncio.get_running_loop()
    factory, eager = loop.get_task_factory(), getattr(asyncio, "eager_task_factory", None)
    loop.set_task_factory(eager)
    task = asyncio.create_task(part())
    loop.set_task_factory(factory)
    seen.append(f"done: {task.done()}")
    await task
    seen.append(await ctx.step(work, "last"))
    return seen


@pytest.mark.skipif(sys.version_info < (3, 12), reason="no eager tasks before Python 3.12")
def test_an_eager_task_waits_where_it_waited() -> None:
    check(starts_eagerly, ["done: False", "part", "last"])


@durable
async def cancels_itself(event: None, ctx: Ctx) -> list[str]:
    seen: list[str] = []
    for name in ("first", "second"):
        seen.append(await ctx.step(work, name))
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await ctx.sleep_until(datetime(2020, 1, 1, tzinfo=UTC))  # over at once: its line is there
        seen.append("slept")
    task.uncancel()
    seen.append(await ctx.step(work, "last"))
    return seen


def test_a_cancellation_of_its_own_comes_first() -> None:
    check(cancels_itself, ["first", "second", "last"])


SEEN_INSIDE: list[object] = []


class Looks:
    """Only pydantic can read it, by code of its own."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Looks) and other.name == self.name

    @classmethod
    def read(cls, name: str) -> Looks:
        SEEN_INSIDE.append(current_context())
        return cls(name)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        written = core_schema.plain_serializer_function_ser_schema(lambda looks: looks.name)
        return core_schema.no_info_plain_validator_function(cls.read, serialization=written)


async def looked(name: str) -> Looks:
    return Looks(effect(name))


@durable
async def reads_values(event: None, ctx: Ctx) -> list[str]:
    return [(await ctx.step(looked, name)).name for name in "abc"]


def test_what_reads_a_value_is_in_no_handler() -> None:
    SEEN_INSIDE.clear()
    check(reads_values, ["a", "b", "c"])
    assert len(SEEN_INSIDE) > 6
    assert set(SEEN_INSIDE) == {None}
