"""What the operations and timers of an async turn wait for: a time, or something in the inbox."""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ...log.events import Event
from ...log.inbox import Inbox

if TYPE_CHECKING:
    from .waiting import Waiter


class Timer(asyncio.TimerHandle):
    """A native timer of handler code, which is durable: its line fires it. A cancelled one leaves nothing in the log."""

    __slots__ = ("agenda", "due", "fired", "id", "written")

    def __init__(
        self, agenda: Agenda, id: str, due: int, when: float, callback: Callable[..., object], args: Any,
        loop: asyncio.AbstractEventLoop, context: contextvars.Context | None,
    ) -> None:  # fmt: skip
        super().__init__(when, callback, args, loop, context)
        self.agenda = agenda
        self.id = id
        self.due = due  # epoch milliseconds
        self.fired = False
        self.written = False  # its due time is in the log, or about to be

    @property
    def armed(self) -> bool:
        return not self._cancelled and not self.fired

    def cancel(self) -> None:
        if self.armed:
            self.agenda.armed -= 1
        super().cancel()

    def hand(self, event: Event) -> bool:
        """Its line is handed out: it fires, unless the handler cancelled it before, as it does in every replay."""
        if not self.armed:
            return False
        self.fired = True
        self.agenda.armed -= 1
        self.agenda.fire(self)
        return True


class Agenda:
    """`waiting`: how many operations are parked, `listening`: of them, for something from outside; `armed`: how many timers are
    set."""

    def __init__(self, inbox: Inbox, fire: Callable[[Timer], None]) -> None:
        self._inbox = inbox
        self.fire = fire
        self._order = itertools.count(1)
        self._entries = itertools.count()
        self._heap: list[tuple[int, int, int, Waiter | Timer]] = []  # by due time and order
        self._waiters: dict[str, list[tuple[int, int, Waiter]]] = {}  # heaps, by order
        self._fresh: list[str] = []  # inbox keys to look at
        self._present: list[tuple[int, str]] = []  # a heap: keys of which something is there, by their oldest waiter
        self._version = inbox.version
        self.waiting = self.listening = 0
        self.armed = 0

    @property
    def empty(self) -> bool:
        return not self.waiting and not self.armed

    # -- what waits ------------------------------------------------------------------------------------------------

    def set(self, timer: Timer) -> None:
        self.armed += 1
        self._push(timer.due, next(self._order), timer)

    def park(self, operation: Waiter, due: int | None, wake: str | None) -> None:
        """Parks it until `unpark`. An operation that waits again for the same thing keeps its place in the order."""
        if wake is None or operation.wake != wake:
            operation.wake, operation.order = wake, next(self._order)
        order = operation.parked = operation.order
        self.waiting += 1
        self.listening += wake is not None
        if due is not None:
            self._push(due, order, operation)
        if wake is not None:
            heapq.heappush(self._waiters.setdefault(wake, []), (order, next(self._entries), operation))
            self._fresh.append(wake)

    def _push(self, due: int, order: int, what: Waiter | Timer) -> None:
        heapq.heappush(self._heap, (due, order, next(self._entries), what))

    def unpark(self, operation: Waiter) -> None:
        if operation.parked:
            operation.parked = 0
            self.waiting -= 1
            self.listening -= operation.wake is not None

    # -- what comes ------------------------------------------------------------------------------------------------

    def arrived(self) -> Waiter | None:
        """Of the operations for which something is in the inbox, the one that has waited longest."""
        if self._inbox.version is not self._version:
            self._version = self._inbox.version
            self._fresh = list(self._waiters)
            self._present = []
        fresh, self._fresh = self._fresh, []
        for wake in dict.fromkeys(fresh):
            self._look(wake)
        while self._present:
            order, wake = heapq.heappop(self._present)
            first = self._first(wake)
            if first is not None and first[0] == order and self._inbox.waits_for(wake):
                self._fresh.append(wake)  # there may be more of it
                return first[1]
            if first is not None:
                self._look(wake)
        return None

    def _look(self, wake: str) -> None:
        first = self._first(wake)
        if first is not None and self._inbox.waits_for(wake):
            heapq.heappush(self._present, (first[0], wake))

    def _first(self, wake: str) -> tuple[int, Waiter] | None:
        queue = self._waiters.get(wake)
        while queue:
            order, _, operation = queue[0]
            if operation.parked == order:
                return order, operation
            heapq.heappop(queue)
        if queue is not None:
            del self._waiters[wake]
        return None

    def next_due(self) -> int | None:
        """Epoch milliseconds."""
        while self._heap:
            due, order, _, what = self._heap[0]
            if what.armed if isinstance(what, Timer) else what.parked == order:
                return due
            heapq.heappop(self._heap)
        return None

    def pop(self) -> Waiter | Timer:
        """Takes the operation or timer that `next_due` was about."""
        return heapq.heappop(self._heap)[3]

    def operations(self) -> list[Waiter]:
        """The operations that wait, in the order in which they began to."""
        queued = [(order, operation) for queue in self._waiters.values() for order, _, operation in queue]
        queued += [(order, what) for _, order, _, what in self._heap if not isinstance(what, Timer)]
        waiting = {order: operation for order, operation in queued if operation.parked == order}
        return [waiting[order] for order in sorted(waiting)]

    def timers(self) -> Iterator[Timer]:
        """The timers that are set, in the order of their due times."""
        return (
            what for *_, what in sorted(self._heap, key=lambda row: row[:3]) if isinstance(what, Timer) and what.armed
        )
