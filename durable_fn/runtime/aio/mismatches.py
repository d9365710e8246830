"""Detects that an async handler does not call what is recorded, because its code has changed."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Final

from ...core.scope import KEY_CHANGED
from ...errors import NonDeterminismError
from ...log.events import Event, branch_of, has_key, is_keyed, operation_name
from ...log.journal import Record
from ...log.kinds import CALLED, EFFECTIVE, TIMER
from .places import waiting_places

if TYPE_CHECKING:
    import asyncio

    from ...core.turn import Turn
    from .agenda import Agenda
    from .bodies import Bodies
    from .line import Line

_SHOWN: Final = 3
_CHANGED: Final = (
    "an operation was removed or added, a condition around it changed, or an order depends on what is not recorded"
)


class Mismatches:
    """For one turn."""

    def __init__(
        self,
        turn: Turn,
        loop: asyncio.AbstractEventLoop,
        line: Line,
        targets: Container[str],
        agenda: Agenda,
        bodies: Bodies,
    ) -> None:
        self._turn = turn
        self._loop = loop
        self._line = line
        self._targets = targets
        self._agenda = agenda
        self._bodies = bodies
        for record in self._turn.journal.records.values():
            set_only = record.kind == TIMER and record.done is None  # it never fired, so nothing followed from it
            if record.kind not in CALLED or set_only:
                self._turn.journal.untaken.discard(record.id)  # no code calls these

    def is_asked(self, event: Event) -> bool:
        return event.id in self._targets or self.is_skipped(event)

    def is_skipped(self, event: Event) -> bool:
        """Whether it belongs to a branch whose result is recorded, which a replay skips."""
        record = self._turn.journal.records.get(event.id)
        return record is not None and record.handed_out

    def leftover(self) -> NonDeterminismError | None:
        """Lines that nobody asked for, and operations that nobody called, when the handler ended."""
        line, end = self._line, "the end of the handler"
        for event in (*line.aside.values(), *line.events[line.cursor : line.recorded]):
            if not self.is_asked(event):
                return self.of(event, end)
        return self._not_called(end) if self._turn.journal.untaken else None

    def check_called(self) -> None:
        """The handler rests at the end of the log, and a body is about to begin. By now the code must have called everything
        recorded that may have had an effect: else the body could repeat that effect. Raises NonDeterminismError."""
        self._check_twins()
        if not self._bodies.has_place:
            return  # an operation with a key may come before anything that is recorded
        for event in self._line.aside.values():
            if not self.is_asked(event):
                raise self.unasked(event)
        error = self._not_called(self._waits_for(), EFFECTIVE)
        if error is not None:
            raise error

    def unasked(self, event: Event) -> NonDeterminismError:
        """A line that nobody asks for while the handler rests."""
        return self.of(event, self._waits_for())

    def _check_twins(self) -> None:
        """Raises NonDeterminismError for an operation that waits to begin, and is recorded under another id because new code
        gave it a key or took its key away."""
        journal, left = self._turn.journal, self._turn.journal.untaken
        if not left:
            return
        waiting = {
            (op.kind, operation_name(op.id), op.scope.home.path, not has_key(op.id))
            for op in (operation.op for operation in self._bodies.waiting_operations())
        }
        for record in [journal.records[id] for id in left if journal.records[id].kind in EFFECTIVE]:
            row = (record.kind, operation_name(record.id), branch_of(record.id), has_key(record.id))
            if row in waiting and not record.handed_out:
                raise self.of(_an_entry(record), self._waits_for(), KEY_CHANGED)

    def _not_called(self, attempted: str, kinds: Container[str] | None = None) -> NonDeterminismError | None:
        """The error for a recorded operation that the code did not call, unless it is in a branch that the replay skips.
        `kinds`: only operations of these kinds, and only those with a place."""
        journal = self._turn.journal
        for id in [id for id in journal.records if id in journal.untaken]:
            record = journal.records[id]
            if not record.handed_out and (kinds is None or (record.kind in kinds and not is_keyed(id))):
                return self.of(_an_entry(record), attempted)
        return None

    def _waits_for(self) -> str:
        waiting = [operation.op for operation in (*self._bodies.operations(), *self._agenda.operations())]
        if waiting:
            names = ", ".join(f"{op.kind} {op.id!r}" for op in waiting[:_SHOWN])
            return names + (", ..." if len(waiting) > _SHOWN else "")
        return "nothing: it waits at " + ", ".join(sorted(waiting_places(self._turn, self._loop)))

    def of(self, event: Event, attempted: str, cause: str = _CHANGED) -> NonDeterminismError:
        return self._turn.mismatch(
            f"{event.kind} {event.id!r}",
            attempted,
            max(0, event.position),
            event.id.rpartition("/")[0],
            cause,
        )


def _an_entry(record: Record) -> Event:
    """An entry of the record, for the message."""
    event = record.done or record.begun or record.retry or record.given_up
    assert event is not None
    return event
