"""Async handlers that cannot go on, and those that wait for something of their own: sockets, threads, or each other."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from ...core.turn import Turn
from .places import waiting_places

if TYPE_CHECKING:
    from .loop import DurableLoop

_log = logging.getLogger("durable_fn")

_PATIENCE: Final = 10.0
"""Seconds that a replay waits for sockets or threads of the handler's own to ask for the next line."""
MOST_ROUNDS: Final = 100_000
"""Rounds that the handler may go between two lines: one that never rests would keep the Lambda busy to its end."""


class Patience:
    """How long to wait for sockets and threads of the handler's own. `look_again`: called in the loop when that time is
    over."""

    def __init__(self, loop: DurableLoop, look_again: Callable[[], None]) -> None:
        self._loop = loop
        self._look_again = look_again
        self._others = frozenset(threading.enumerate())
        self.until: float | None = None  # None: the handler goes on
        self._alarm: asyncio.TimerHandle | None = None

    def lasts(self, seconds: float = _PATIENCE) -> bool:
        """Whether to wait longer for a socket or thread of the handler's own. False if it has none."""
        if not self._loop.is_idle:
            self._look_again()  # after the loop's queued callbacks, which a thread may have added
            return True
        if not self._loop.expects_something and not self._has_threads():
            return False
        now = self._loop.real_time()
        if self.until is None:
            self.until = now + seconds
        if now >= self.until:
            return False
        self.end()
        self._alarm = self._loop.ours_later(self.until - now, self._look_again)
        return True

    def end(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _has_threads(self) -> bool:
        """Whether threads began in this turn that are not the loop's own: they may call back."""
        own = self._loop.own_threads()
        return any(thread.is_alive() for thread in {*threading.enumerate()} - self._others - own)


def stuck(turn: Turn, loop: DurableLoop) -> str:
    """The text of the error that is raised in a handler which nothing durable can wake."""
    return (
        f"nothing can wake the handler of execution {turn.header.id!r}: no durable operation waits, no step runs and no timer is "
        f"set, and it waits at {_places(turn, loop)}. What an event, a queue or a lock waits for must come from a branch that "
        "still runs; what comes from outside comes by a signal, a callback or a step"
    )


def spins(turn: Turn, loop: DurableLoop) -> str:
    """The text of the error that ends a handler which never rests."""
    return (
        f"the handler of execution {turn.header.id!r} went {MOST_ROUNDS:,} rounds without waiting for anything durable, at "
        f"{_places(turn, loop)}. Time stands between durable operations, and nothing else can run meanwhile: wait with "
        "ctx.sleep, asyncio.sleep of more than 0 seconds, an asyncio.Event or the task itself"
    )


def tell_left_behind(turn: Turn, operations: Iterable[str]) -> None:
    _log.warning(
        "execution %r ends while bodies still unwind, that were cancelled and have no time left: %s. What they hold is not "
        "released before this environment runs again",
        turn.header.id,
        ", ".join(map(repr, operations)),
    )


def _places(turn: Turn, loop: DurableLoop) -> str:
    return ", ".join(sorted(waiting_places(turn, loop)))
