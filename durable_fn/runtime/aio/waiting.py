"""Protocols for what waits in an async turn: for the code that wakes it."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any, Protocol

from ...core.scope import Op
from ...log.events import Event


class Runnable(Protocol):
    """A callback of the handler: an `asyncio.Handle`, or an operation that wakes its task."""

    _cancelled: bool

    def _run(self) -> None: ...


class Target(Protocol):
    """Something that waits for a line."""

    def hand(self, event: Event) -> bool | None:
        """Takes the line. True: the handler goes on by it. False: nobody waits for it any more. None: not possible yet."""


class Decider(Target, Protocol):
    """Something that made a decision from absence."""

    def resume(self, value: Any = None) -> None:
        """Called with False if something came meanwhile."""


class Waiter(Target, Protocol):
    """An operation that runs: `operation.py`."""

    op: Op
    context: contextvars.Context | None
    gone: bool
    parked: int
    order: int
    wake: str | None

    def resume(self, value: Any = None, error: BaseException | None = None) -> None:
        """Advances it."""

    def answer(self) -> Callable[[Any, BaseException | None], None]:
        """A callback for the answer to a request that is made now."""

    def is_due_on_record(self, due: int) -> bool:
        """Whether the log has this time."""
