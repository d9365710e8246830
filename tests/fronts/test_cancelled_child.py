"""A cancellation that reaches an async handler inside `child`, with a death at every point while it unwinds."""

from __future__ import annotations

import asyncio

import pytest

from durable_fn import AsyncDurableContext, durable
from durable_fn.testing import crash_everywhere


def undo() -> None:
    """What the saga does."""


async def approval(ctx: AsyncDurableContext) -> str:
    return str(await ctx.wait_for_signal("approval"))


@durable(name="awaits-a-child")
async def awaited(_event: str, ctx: AsyncDurableContext) -> str:
    async with ctx.saga() as saga:
        saga.add_compensation(undo)
        return await ctx.child(approval)


@durable(name="gathers-a-child")
async def gathered(_event: str, ctx: AsyncDurableContext) -> str:
    async with ctx.saga() as saga:
        saga.add_compensation(undo)
        return (await asyncio.gather(ctx.child(approval)))[0]


@durable(name="gathers-two-children")
async def gathered_two(_event: str, ctx: AsyncDurableContext) -> str:
    async with ctx.saga() as saga:
        saga.add_compensation(undo)
        return "".join(await asyncio.gather(ctx.child(approval), ctx.child(approval)))


@durable(name="groups-a-child")
async def grouped(_event: str, ctx: AsyncDurableContext) -> str:
    async with ctx.saga() as saga, asyncio.TaskGroup() as group:
        saga.add_compensation(undo)
        group.create_task(ctx.child(approval))
    return ""


@pytest.mark.parametrize("handler", [awaited, gathered, gathered_two, grouped], ids=lambda h: h.name)
def test_the_saga_ends_it_wherever_the_process_dies(handler: object) -> None:
    def ended(execution: object) -> None:
        assert execution.status == "CANCELLED"  # type: ignore[attr-defined]

    report = crash_everywhere(handler, "", drive=lambda run, execution: run.cancel(execution.id), check=ended)  # type: ignore[arg-type]
    assert report.ok, report
