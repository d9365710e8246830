"""Who waits in an async turn, as those see it who bring what is waited for."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any, Protocol

from ...core.scope import Op
from ...log.events import Event


class Runnable(Protocol):
    """What can run in the handler: an `asyncio.Handle`, or an operation that wakes its task."""

    _cancelled: bool

    def _run(self) -> None: ...


class Target(Protocol):
    """Who waits for a line."""

    def hand(self, event: Event) -> bool | None:
        """True: the handler goes on by it. False: nobody waits any more. None: not yet."""


class Decider(Target, Protocol):
    """Who decided something because nothing came."""

    def resume(self, value: Any = None) -> None:
        """False: something came meanwhile."""


class Waiter(Target, Protocol):
    """An operation that runs: `operation.py`."""

    op: Op
    context: contextvars.Context | None
    gone: bool
    parked: int
    order: int
    wake: str | None

    def resume(self, value: Any = None, error: BaseException | None = None) -> None:
        """Moves it on."""

    def answer(self) -> Callable[[Any, BaseException | None], None]:
        """Takes the answer to a request that is made now."""

    def is_due_on_record(self, due: int) -> bool:
        """Whether the log has this time."""
