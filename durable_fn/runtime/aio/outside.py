"""What the handler awaits besides operations: native timers, and calls in other threads. Each has a line, so replays keep its
order."""

from __future__ import annotations

import asyncio
import contextvars
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...core.scope import Scope
from ...log.durations import LONGEST
from ...log.events import SUCCEEDED, Event
from ...log.kinds import THREAD
from .agenda import Timer

if TYPE_CHECKING:
    from .mover import Mover


def set_timer(
    pump: Mover,
    scope: Scope,
    when: float,
    callback: Callable[..., object],
    args: Any,
    context: contextvars.Context | None,
) -> Timer:
    """`when`: in seconds of journal time. If the log does not show that the code went on from here, the delay counts from the
    present instead: the handler may have been slow, or an owner may have died."""
    turn = pump.turn  # asyncio takes `math.inf` for "never"; a hundred years are as good
    scope.timers += 1
    id = f"{scope.path}$t{scope.timers}"
    turn.journal.untaken.discard(id)
    record = turn.journal.records.get(id)
    begun = None if record is None else record.begun
    if begun is not None:
        due = begun.due
    else:
        due = turn.started + math.ceil(min(when * 1000, LONGEST) - 1e-3)
        if not pump.line.goes_on:
            due += max(0, turn.time() - turn.at)
    timer = Timer(pump.agenda, id, due, when, callback, args, pump.loop, context)
    timer.written = begun is not None
    pump.expect(id, timer)
    pump.agenda.set(timer)
    return timer


class ThreadCall:
    """A call in another thread: the log has its place in the order, but not its result."""

    def __init__(self, pump: Mover, scope: Scope, inner: asyncio.Future[Any]) -> None:
        scope.threads += 1
        self._pump = pump
        self._id = f"{scope.path}$x{scope.threads}"
        self._inner = inner
        self.future = pump.loop.create_future()
        pump.turn.journal.untaken.discard(self._id)
        pump.expect(self._id, self)
        pump.threads += 1
        inner.add_done_callback(lambda _: pump.stir(self._ended), context=pump.loop.engine)

    @property
    def gone(self) -> bool:
        return self.future.cancelled()

    def _ended(self) -> None:
        pump = self._pump
        pump.threads -= 1
        if self._id not in pump.line.known:
            pump.new_line(Event(self._id, THREAD, -1, SUCCEEDED, 1, pump.turn.time()), self)

    def hand(self, event: Event) -> bool | None:
        if self.future.cancelled():
            return False
        if not self._inner.done():
            return None
        if self._inner.cancelled():
            self.future.cancel()
        elif (error := self._inner.exception()) is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(self._inner.result())
        return True
