"""Handlers in both fronts for tests of values: they note what they see in each invocation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from durable_fn import AsyncDurableContext, DurableContext, DurableFunction, durable
from durable_fn.testing import LocalRunner

FRONTS = ("def", "async def")
SEEN: list[Any] = []
BODIES: list[Any] = []


def noting(front: str, annotation: Any, **options: Any) -> DurableFunction[Any, Any]:
    """Takes an event of this annotation, notes it, and waits."""
    options.setdefault("name", "notes")

    def plain(event: Any, ctx: DurableContext) -> None:
        SEEN.append(event)
        ctx.sleep(100)
        ctx.step(SEEN.append, event)
        ctx.sleep(100)

    async def native(event: Any, ctx: AsyncDurableContext) -> None:
        SEEN.append(event)
        await ctx.sleep(100)
        await ctx.step(SEEN.append, event)
        await ctx.sleep(100)

    chosen: Any = plain if front == "def" else native
    chosen.__annotations__["event"] = annotation
    return durable(**options)(chosen)


def returning(front: str, make: Callable[[], Any], annotation: Any, **options: Any) -> DurableFunction[Any, Any]:
    """A step returns what is made; the handler notes what comes of it, the value or the error, in each invocation."""
    options.setdefault("name", "returns")

    def body() -> Any:
        BODIES.append(make())
        return BODIES[-1]

    body.__annotations__["return"] = annotation

    @durable(**options)
    def plain(event: Any, ctx: DurableContext) -> None:
        try:
            SEEN.append(ctx.step(body))
        except Exception as error:
            SEEN.append(error)
        ctx.sleep(100)

    @durable(**options)
    async def native(event: Any, ctx: AsyncDurableContext) -> None:
        try:
            SEEN.append(await ctx.step(body))
        except Exception as error:
            SEEN.append(error)
        await ctx.sleep(100)

    return plain if front == "def" else native


def seen(function: DurableFunction[Any, Any]) -> list[Any]:
    """What a handler noted, in two invocations at least."""
    SEEN.clear()
    BODIES.clear()
    with LocalRunner(function) as runner:
        execution = runner.run(None)
        assert execution.status == "SUCCEEDED", execution.error
    assert len(SEEN) > 1
    return list(SEEN)
