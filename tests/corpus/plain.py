"""The `def` twin of an `async def` handler: the same text over `DurableContext`, whose methods return values, not coroutines.

Each method is called where the text calls it, so ids are assigned in the same order; the `await` then finds the value there.
Nothing ever waits, so the coroutine runs from its beginning to its end in one `send`, in whatever thread that is.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Generator, Mapping
from types import TracebackType
from typing import Any

from durable_fn import DurableContext

_BRANCHES = frozenset({"child", "map", "parallel", "race"})
_PLAIN = frozenset({"now", "uuid4", "random", "continue_as_new"})


class Ready:
    """Awaitable; the value is there."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __await__(self) -> Generator[Any, Any, Any]:
        return self.value
        yield


class PlainCallback:
    def __init__(self, callback: Any) -> None:
        self._callback = callback
        self.token = callback.token

    def result(self) -> Ready:
        return Ready(self._callback.result())


class PlainSaga:
    def __init__(self, saga: Any) -> None:
        self._saga = saga
        self.add_compensation = saga.add_compensation

    async def __aenter__(self) -> PlainSaga:
        self._saga.__enter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._saga.__exit__(exc_type, exc, tb)


class PlainShield:
    def __init__(self, block: Any) -> None:
        self._block = block

    async def __aenter__(self) -> None:
        self._block.__enter__()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._block.__exit__(exc_type, exc, tb)


class PlainContext:
    """A DurableContext as `async def` text uses it."""

    def __init__(self, ctx: DurableContext) -> None:
        self._ctx = ctx

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._ctx, name)
        if name in _PLAIN or not inspect.ismethod(attribute):
            return attribute
        if name == "saga":
            return lambda: PlainSaga(attribute())
        if name == "shielded":
            return lambda: PlainShield(attribute())
        if name == "callback":
            return lambda *args, **kwargs: Ready(PlainCallback(attribute(*args, **kwargs)))
        if name in _BRANCHES:
            return lambda first, *args, **kwargs: Ready(attribute(_branches(first), *args, **kwargs))
        return lambda *args, **kwargs: Ready(attribute(*args, **kwargs))


def _branches(first: Any) -> Any:
    """A branch function, or some of them, for `def`."""
    if callable(first):
        return _branch(first)
    if isinstance(first, Mapping):
        return {name: _branch(fn) for name, fn in first.items()}
    return type(first)(_branch(fn) for fn in first)


def _branch(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    def branch(ctx: DurableContext, *args: Any, **kwargs: Any) -> Any:
        return _run(fn(PlainContext(ctx), *args, **kwargs))

    return branch


def without_loop(handler: Callable[..., Any]) -> Callable[..., Any]:
    """`handler` for `@durable` as a `def`, with the same event and result."""

    def twin(event: Any, ctx: DurableContext) -> Any:
        return _run(handler(event, PlainContext(ctx)))

    hints = typing.get_type_hints(handler)
    twin.__annotations__ = {**hints, "ctx": DurableContext}
    twin.__name__, twin.__qualname__ = handler.__name__, handler.__qualname__
    return twin


def _run(value: Any) -> Any:
    if isinstance(value, Ready):
        return value.value
    if not inspect.iscoroutine(value):
        return value
    try:
        value.send(None)
    except StopIteration as stop:
        return stop.value
    value.close()
    raise AssertionError("waited for something that is not durable: make it a native shape")
