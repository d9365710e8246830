"""A recorded history that ends before its execution did: the reading ends there, and nothing is decided anew."""

from __future__ import annotations

from typing import Any

import pytest

from durable_fn import AsyncDurableContext, DurableContext, DurableFunction, durable, step
from durable_fn.errors import CallTimeout, SignalTimeout, StepInterrupted
from durable_fn.testing import LocalRunner, replay


def work(x: int) -> int:
    return x


once = step(work, name="once", semantics="at_most_once")


@durable(name="looks")
def plain_looks(event: Any, ctx: DurableContext) -> Any:
    ctx.step(work, 1)
    try:
        return ctx.wait_for_signal("x", timeout=0)
    except SignalTimeout:
        return "nothing"


@durable(name="looks")
async def looks(event: Any, ctx: AsyncDurableContext) -> Any:
    await ctx.step(work, 1)
    try:
        return await ctx.wait_for_signal("x", timeout=0)
    except SignalTimeout:
        return "nothing"


@durable(name="once")
def plain_once(event: Any, ctx: DurableContext) -> Any:
    try:
        return ctx.step(once, 1)
    except StepInterrupted:
        return "interrupted"


@durable(name="once")
async def async_once(event: Any, ctx: AsyncDurableContext) -> Any:
    try:
        return await ctx.step(once, 1)
    except StepInterrupted:
        return "interrupted"


@durable(name="sends")
def plain_sends(event: Any, ctx: DurableContext) -> Any:
    ctx.step(work, 1)
    return ctx.send("looks", None)


@durable(name="sends")
async def sends(event: Any, ctx: AsyncDurableContext) -> Any:
    await ctx.step(work, 1)
    return await ctx.send("looks", None)


@pytest.mark.parametrize("handler", [plain_looks, looks, plain_once, async_once, plain_sends, sends])
def test_a_reading_ends_where_the_history_does(handler: DurableFunction[Any, Any]) -> None:
    with LocalRunner(handler, *([] if handler.name == "looks" else [looks])) as runner:
        history = runner.run(None).history
    for end in range(1, len(history) - 1):
        with pytest.raises(CallTimeout, match="ends before the execution did"):
            replay(handler, history[:end])
