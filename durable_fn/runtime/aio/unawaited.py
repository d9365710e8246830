"""Operations of an async handler that were called and that nobody awaited: they took their place in the order and did
nothing."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Coroutine
from typing import Any, TypeAlias

from ...core.cancel_scope import CancelScope
from ...core.scope import Op

_log = logging.getLogger("durable_fn")


_Call: TypeAlias = tuple[Op | str, CancelScope, Coroutine[Any, Any, Any]]
"""What was called, in which branch, and what has to be awaited."""


class Unawaited:
    """The calls of a turn that have not begun yet."""

    def __init__(self) -> None:
        self._calls: dict[object, _Call] = {}

    def called(
        self, key: object, what: Op | str, cancel_scope: CancelScope, coroutine: Coroutine[Any, Any, Any]
    ) -> None:
        self._calls[key] = what, cancel_scope, coroutine

    def begun(self, key: object) -> None:
        self._calls.pop(key, None)

    def ended(self, cancel_scope: CancelScope) -> None:
        """A branch ended with an error or a cancellation: the calls that it had not awaited yet no longer matter."""
        self._calls = {key: call for key, call in self._calls.items() if call[1] is not cancel_scope}

    def failed(self, loop: asyncio.AbstractEventLoop) -> None:
        """The handler raised: that error is the one to show."""
        left = self._left(loop)
        if left:
            _log.warning("called and never awaited before the handler failed: %s", ", ".join(map(_name, left)))

    def check(self, loop: asyncio.AbstractEventLoop) -> None:
        """The handler returned. Raises RuntimeError that names what was called and never awaited."""
        left = self._left(loop)
        for _, _, coroutine in left:
            coroutine.close()  # so that Python does not warn on top of the error
        if left:
            raise RuntimeError(
                f"the handler returned, but it never awaited {', '.join(map(_name, left))}: it did not run. Write "
                "`await ctx.step(...)`, or hand the coroutine to asyncio.gather or a TaskGroup and await that"
            )

    def _left(self, loop: asyncio.AbstractEventLoop) -> list[_Call]:
        """The calls whose coroutine nobody closed and no cancelled task holds."""
        dropped = {id(task.get_coro()) for task in asyncio.all_tasks(loop) if task.cancelling()}
        return [
            call
            for call in self._calls.values()
            if id(call[2]) not in dropped and inspect.getcoroutinestate(call[2]) == inspect.CORO_CREATED
        ]


def _name(call: _Call) -> str:
    what = call[0]
    return what if isinstance(what, str) else f"{what.kind} {what.id!r}"
