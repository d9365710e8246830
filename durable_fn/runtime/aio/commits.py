"""Writes and requests of an async turn: one at a time. What becomes pending meanwhile shares the next write.

With an embedded journal they run in the loop's own thread, with any other in a second thread, so that the loop goes on.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ...core.effects import Decide
from ...log.events import Event
from ..session import Session
from .loop import DurableLoop

if TYPE_CHECKING:
    from .line import Line
    from .waiting import Decider, Waiter

T = TypeVar("T")


class _Decision(NamedTuple):
    """`position`: how many entries of this turn have to be written before it."""

    position: int
    decision: Decide
    decider: Decider


class Commits:
    """`written`: how many entries of this turn are durable; `position` counts the pending ones, too. `stir` runs what follows
    from a write or a request, and then the handler. `shared`: whether other operations may have something to write in this
    round of the loop."""

    def __init__(
        self,
        session: Session,
        loop: DurableLoop,
        line: Line,
        stir: Callable[[Callable[[], object]], None],
        shared: Callable[[], bool],
    ) -> None:
        self._session = session
        self._turn = session.turn
        self._loop = loop
        self._line = line
        self._stir = stir
        self._shared = shared
        self._local = session.store.local
        self._taken = 0
        self.written = 0
        self.busy = False  # a write or a request is under way
        self._planned = False
        self._decisions: collections.deque[_Decision] = collections.deque()
        self._undecided: set[str] = set()
        self._waiting: list[tuple[int, Waiter]] = []  # operations, and how many entries must be durable first

    @property
    def position(self) -> int:
        return self._taken + len(self._turn.pending)

    @property
    def at_work(self) -> bool:
        return self.busy or self._planned

    @property
    def awaited(self) -> bool:
        """Whether an operation goes on only when something is durable."""
        return bool(self._waiting)

    # -- what is to be durable -------------------------------------------------------------------------------------

    def covers(self, event: Event) -> bool:
        """Whether a live entry of the line is durable."""
        return event.id not in self._undecided and self._line.position(event) <= self.written

    def when_durable(self, operation: Waiter) -> None:
        """Goes on when all that is pending now is durable."""
        self._waiting.append((self.position, operation))

    def decide(self, decision: Decide, decider: Decider) -> None:
        self._decisions.append(_Decision(self.position, decision, decider))
        self._undecided.add(decision.event.id)

    def flush(self) -> bool:
        """Writes what is pending, now or soon. True: it is written already."""
        if self.at_work:
            return False
        if not self._local:
            self._begin()
            return False
        if self._shared():
            self._planned = True
            self._loop.ours(self._flush_planned)
            return False
        self._here()
        return True

    def _flush_planned(self) -> None:
        self._planned = False
        self._stir(self._here)

    # -- writing ---------------------------------------------------------------------------------------------------

    def _here(self) -> None:
        while self._turn.pending or self._decisions:
            batch, decision = self._take()
            self._wrote(decision, self._write(batch, decision))
        if self._waiting:
            self._wake()

    def _begin(self) -> None:
        batch, decision = self._take()

        def wrote(back: list[Event] | None) -> None:
            self._wrote(decision, back)
            self._wake()

        self._apart(lambda: self._write(batch, decision), wrote)

    def _take(self) -> tuple[list[Event], _Decision | None]:
        """The pending entries, up to the first decision if there is one."""
        decision = self._decisions.popleft() if self._decisions else None
        count = len(self._turn.pending) if decision is None else decision.position - self._taken
        batch = self._session.take(count)
        self._taken += len(batch)
        return batch, decision

    def _write(self, batch: list[Event], decision: _Decision | None) -> list[Event] | None:
        """The entries that were not written because the condition of the decision failed; None if all were written."""
        if decision is None:
            self._session.write(batch)
            return None
        return self._session.decide_on(batch, decision.decision)

    def _wrote(self, decision: _Decision | None, back: list[Event] | None) -> None:
        if back is not None:
            self._turn.pending[:0] = back
            self._taken -= len(back)
        self.written = self._taken
        if decision is not None:
            self._undecided.discard(decision.decision.event.id)
            if back is not None:
                self._line.take_back(decision.decision.event)
                decision.decider.resume(False)

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for position, operation in waiting:
            if position <= self.written:
                operation.resume()
            else:
                self._waiting.append((position, operation))

    # -- requests --------------------------------------------------------------------------------------------------

    def ask(self, ask: Callable[[], T], answered: Callable[[T | None, Exception | None], None]) -> bool:
        """A request in the middle of a turn. True: it is answered already."""
        if self._local:
            answered(*_outcome(ask))
            return True
        self._apart(lambda: _outcome(ask), lambda outcome: answered(*outcome))
        return False

    def _apart(self, work: Callable[[], T], then: Callable[[T], None]) -> None:
        self.busy = True
        request = self._loop.for_journal(work)
        request.add_done_callback(lambda done: self._ended(done, then), context=self._loop.engine)

    def _ended(self, done: Any, then: Callable[[Any], None]) -> None:
        self.busy = False
        self._stir(lambda: then(done.result()))


def _outcome(ask: Callable[[], T]) -> tuple[T | None, Exception | None]:
    try:
        return ask(), None
    except Exception as error:  # what ends the turn is no Exception
        return None, error
