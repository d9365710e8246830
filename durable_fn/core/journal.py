"""What the log says: its events folded into one record per operation, and where replay stands in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from .events import BEGUN, CANCELLED, RETRY, Event, is_fence, parse


class Segment(NamedTuple):
    """A committed group of events, or a fence that a new owner wrote after a death."""

    seq: int
    writer: str
    body: str


class Record:
    """All that is known of one operation. `done` is its last word: a success, a final failure or a cancellation."""

    # Defaults on the class: most records never get more than `done`, and a log may have 10,000.
    begun: Event | None = None
    retry: Event | None = None
    done: Event | None = None
    taken = False
    resumed = 0

    def __init__(self, event: Event) -> None:
        self.id = event.id
        self.kind = event.kind
        self.position = event.position

    @property
    def cancelled(self) -> bool:
        return self.done is not None and self.done.status == CANCELLED


class Journal:
    """The recorded operations by id, and the order in which their results reached the handler.

    Results are handed out on replay in exactly that order (`deliveries`), so that code which looks at who was first
    (`asyncio.wait`, `as_completed`) takes the same way again.
    """

    def __init__(self, segments: Iterable[Segment] = ()) -> None:
        self.records: dict[str, Record] = {}
        self.deliveries: list[Record] = []
        self.cursor = 0
        self.untaken = 0
        self.fences = 0  # at the end of the log, in a row: owners that died without committing anything
        self.next_seq = 0
        self.resumed = 0
        self._discarded: set[str] = set()
        self._positions: dict[tuple[str, int], Record] | None = None
        for segment in segments:
            self._add(segment)
        self.untaken = len(self.records)
        self._drop_overruled()

    def _add(self, segment: Segment) -> None:
        if segment.seq != self.next_seq:
            raise ValueError(f"the log has segment {segment.seq} where {self.next_seq} was expected")
        self.next_seq += 1
        if is_fence(segment.body):
            self.fences += 1
            self._mark(parse(segment.body).at)
            return
        self.fences = 0
        records = self.records
        for line in segment.body.split("\n"):
            event = parse(line)
            record = records.get(event.id)
            if record is None:
                record = records[event.id] = Record(event)
            if event.status == BEGUN:
                record.begun = event
            elif event.status == RETRY:
                record.retry = event
            else:
                record.done = event
                self.deliveries.append(record)

    def resume(self, at: int) -> None:
        """This owner's own fence was written: the code goes on from here now."""
        self._mark(at)

    def _mark(self, at: int) -> None:
        """What follows the last result was done again by a new owner, from this time on."""
        if self.deliveries:
            self.deliveries[-1].resumed = at
        else:
            self.resumed = at

    def _drop_overruled(self) -> None:
        """A result may be followed by a cancellation that overtook it on its way to the handler: the last word counts."""
        if any(r.done is not None and r.done.status == CANCELLED for r in self.deliveries):
            last = {record.id: index for index, record in enumerate(self.deliveries)}
            self.deliveries = [r for index, r in enumerate(self.deliveries) if last[r.id] == index]

    @property
    def replaying(self) -> bool:
        """Whether a recorded result is still to be handed out."""
        return self.cursor < len(self.deliveries)

    @property
    def over(self) -> bool:
        """Whether the code has come to the end of the log: every result handed out, every waiting operation called."""
        return self.untaken == 0 and self.cursor >= len(self.deliveries)

    def next_record(self) -> Record | None:
        return self.deliveries[self.cursor] if self.cursor < len(self.deliveries) else None

    def step_past(self, record: Record) -> None:
        """The record's result was handed out; records whose operation was cancelled meanwhile are passed over."""
        self.cursor += 1
        if self._discarded:
            self._pass_over()

    def discard(self, record: Record) -> None:
        """The operation was cancelled before its recorded result reached the handler."""
        self._discarded.add(record.id)
        self._pass_over()

    def _pass_over(self) -> None:
        while self.cursor < len(self.deliveries) and self.deliveries[self.cursor].id in self._discarded:
            self.cursor += 1

    def at_position(self, scope: str, position: int) -> Record | None:
        """The record at a position of a scope; built on the first need, which is the first live operation."""
        if self._positions is None:
            self._positions = {(_scope_of(r.id), r.position): r for r in self.records.values()}
        return self._positions.get((scope, position))

    def first_untaken(self) -> Record | None:
        return next((r for r in self.records.values() if not r.taken), None)


def _scope_of(id: str) -> str:
    head, slash, _ = id.rpartition("/")
    return head + slash
