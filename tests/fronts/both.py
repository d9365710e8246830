"""One handler body for both fronts: `def` code whose durable calls are awaited where that is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from durable_fn import AsyncDurableContext, DurableContext, DurableFunction, durable
from durable_fn.testing import Execution, LocalRunner


def one_call(name: str, call: Callable[[Any], Any], **options: Any) -> list[DurableFunction[Any, Any]]:
    """A handler of each kind that returns what one durable call gives."""

    @durable(name=name, **options)
    def sync(event: Any, ctx: DurableContext) -> Any:
        return call(ctx)

    @durable(name=name, **options)
    async def asyn(event: Any, ctx: AsyncDurableContext) -> Any:
        return await call(ctx)

    return [sync, asyn]


def run(function: DurableFunction[Any, Any], *others: DurableFunction[Any, Any]) -> Execution[Any]:
    return LocalRunner(function, *others).run(None)


def failure_of(function: DurableFunction[Any, Any]) -> str:
    error = run(function).error
    assert error is not None
    return f"{type(error).__name__}: {error}"
