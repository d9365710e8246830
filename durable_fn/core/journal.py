"""What the log says: its events folded into one record per operation, and where replay stands in it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from typing import NamedTuple

from .events import (
    BEGUN,
    CANCELLED,
    EVENT_ID,
    FORK_ID,
    GENERATION_ID,
    NO_OPERATIONS,
    RAISED,
    RETRY,
    REWIND_ID,
    STATUS_ID,
    SUCCEEDED,
    Event,
    is_fence,
    is_outcome,
    parse,
)


class Segment(NamedTuple):
    """A committed group of events, or a fence that a new owner wrote after a death."""

    seq: int
    writer: str
    body: str


class Record:
    """All that is known of one operation. `done` is its last word: a success, a final failure or a cancellation. A callback's
    outcome is no last word: each wait for it is an operation, and has its own."""

    # Defaults on the class: most records never get more than `done`, and a log may have 10,000.
    begun: Event | None = None
    retry: Event | None = None
    done: Event | None = None
    outcome: Event | None = None  # of a callback: known, and perhaps not awaited yet
    taken = False
    handed_out = False
    resumed = 0
    order = 0  # of its last word in the log

    def __init__(self, event: Event) -> None:
        self.id = event.id
        self.kind = event.kind
        self.position = event.position

    def add(self, event: Event) -> None:
        if event.status == BEGUN:
            self.begun = event
        elif event.status == RETRY:
            self.retry = event
        elif event.kind == "callback" and is_outcome(event):
            self.outcome = event
        else:
            self.done = event

    @property
    def cancelled(self) -> bool:
        return self.done is not None and self.done.status == CANCELLED

    @property
    def raised(self) -> bool:
        """Whether a cancellation or timeout from above ended it."""
        return self.done is not None and self.done.status == RAISED


class Journal:
    """The recorded operations by id, and the order in which their results reached the handler.

    Results are handed out on replay in exactly that order (`deliveries`), so that code which looks at who was first
    (`asyncio.wait`, `as_completed`) takes the same way again.
    """

    def __init__(self, segments: Iterable[Segment] = ()) -> None:
        self.records: dict[str, Record] = {}
        self.deliveries: list[Record] = []
        self.cursor = 0
        # Ids that nobody asked for, and whose result was not handed out. Sets, because branches on threads change them and
        # a set's own operations are atomic.
        self.untaken: set[str] = set()
        self.left: set[str] = set()
        self.fences = 0  # at the end of the log, in a row: owners that died without committing anything
        self.next_seq = 0
        self.resumed = 0
        self.used: set[str] = set()  # keys of signals that were consumed
        self.custom: str | None = None  # what `set_status` wrote last
        self.event: str | None = None  # as it was validated, where that is not the input
        self._positions: dict[tuple[str, int], Record] | None = None
        self._below: dict[str, list[Record]] | None = None
        self.origin = 0  # of a fork: when the execution that it was copied from began
        self.seeds: list[
            tuple[str, dict[str, int]]
        ] = []  # and what that one drew with, up to which position of each scope
        self.revived = False  # it had ended, and goes on
        self.epochs: dict[str, str] = {}  # see `rewind.Rewound`
        self.reopened: dict[str, int] = {}
        self.ends: dict[str, int] = {}
        log = segments if isinstance(segments, list) else list(segments)
        if any(segment.body.startswith(REWIND_ID) for segment in log):
            from .rewind import rewound

            self.revived = True
            log, self.epochs, self.reopened, self.ends = rewound(log)
        for segment in log:
            self._add(segment)
        self.untaken = set(self.records)
        self._drop_overruled()
        self._orders = itertools.count(len(self.deliveries))
        self.left = {record.id for record in self.deliveries}

    def _add(self, segment: Segment) -> None:
        if segment.seq != self.next_seq:
            raise ValueError(f"the log has segment {segment.seq} where {self.next_seq} was expected")
        self.next_seq += 1
        if is_fence(segment.body):
            event = parse(segment.body)
            self.fences = self.fences + 1 if event.kind == "fence" else 0
            self._mark(event.at)
            return
        self.fences = 0
        records = self.records
        for line in segment.body.split("\n"):
            event = parse(line)
            if event.id in NO_OPERATIONS:
                self._note(event)
                continue
            record = records.get(event.id)
            if record is None:
                record = records[event.id] = Record(event)
            if event.status == BEGUN:
                record.begun = event
            elif event.status == RETRY:
                record.retry = event
            elif event.kind == "callback" and is_outcome(event):
                record.outcome = event
            else:
                record.done = event
                record.order = len(self.deliveries)
                self.deliveries.append(record)
                if event.kind == "signal" and event.status == SUCCEEDED:
                    self.used.add(event.value.partition("\t")[0])

    def _note(self, event: Event) -> None:
        """A line that is no operation's."""
        if event.id == STATUS_ID:
            self.custom = event.value
        elif event.id == EVENT_ID:
            self.event = event.value
        elif event.id == GENERATION_ID:
            self.resumed = event.at
        elif event.id == FORK_ID:
            self._forked(event)

    def _forked(self, event: Event) -> None:
        """What came before is another execution's; the code goes on from here now."""
        seed, _, also = event.value.partition("\t")
        bounds: dict[str, int] = {}
        for record in self.records.values():
            path = scope_of(record.id)
            bounds[path] = max(bounds.get(path, 0), record.position)
        self.seeds.append((seed, bounds | json.loads(also)))
        self.origin = event.due
        self._mark(event.at)

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
            for index, record in enumerate(self.deliveries):
                record.order = index

    @property
    def replaying(self) -> bool:
        """Whether a recorded result is still to be handed out."""
        return bool(self.left)

    @property
    def over(self) -> bool:
        """Whether the code has come to the end of the log: every result handed out, every waiting operation called."""
        return not self.untaken and not self.left

    def next_record(self) -> Record | None:
        """The first in the log whose result was not handed out."""
        while self.cursor < len(self.deliveries):
            record = self.deliveries[self.cursor]
            if not record.handed_out:
                return record
            self.cursor += 1
        return None

    def hand_out(self, record: Record) -> None:
        """The result reached the handler, or never will. A branch that is walked a second time in the same turn gets its
        results again: they count once."""
        if not record.handed_out:
            record.handed_out = True
            self.left.discard(record.id)

    def take_back(self, record: Record) -> None:
        """A result that was to be passed over has its turn after all, if that has not come yet."""
        if record.order >= self.cursor:
            record.handed_out = False
            self.left.add(record.id)

    def remember(self, event: Event) -> Record:
        """A live event, so that a branch which is walked again in this turn finds it."""
        record = self.records.get(event.id)
        if record is None:
            record = self.records[event.id] = Record(event)
            record.taken = True
        record.handed_out = True
        record.add(event)
        record.order = next(self._orders)
        return record

    def has_below(self, path: str) -> bool:
        """Whether anything was recorded below this path before this turn."""
        return path in self._index()

    def skip_below(self, path: str) -> None:
        """What was recorded below this path is not walked again: its outcome is recorded above."""
        for record in self._index().get(path, ()):
            self.skip(record)

    def _index(self) -> dict[str, list[Record]]:
        if self._below is None:
            below: dict[str, list[Record]] = {}
            for record in tuple(self.records.values()):
                head, slash, _ = record.id.rpartition("/")
                while slash:
                    below.setdefault(head + slash, []).append(record)
                    head, slash, _ = head.rpartition("/")
            self._below = below  # whole before another thread sees it
        return self._below

    def skip(self, record: Record) -> None:
        """As if it had been asked for and handed out."""
        if not record.taken:
            record.taken = True
            self.untaken.discard(record.id)
        if record.done is not None:
            self.hand_out(record)

    def at_position(self, scope: str, position: int) -> Record | None:
        """The record at a position of a scope; built on the first need, which is the first live operation."""
        if self._positions is None:
            self._positions = {(scope_of(r.id), r.position): r for r in tuple(self.records.values())}
        return self._positions.get((scope, position))

    def has_from(self, scope: str, position: int) -> bool:
        """Whether a scope has a record at this position or behind it."""
        return any(scope_of(r.id) == scope and r.position >= position for r in tuple(self.records.values()))

    def first_left(self) -> Record | None:
        """The first record that nobody asked for, or whose result nobody took."""
        if self.untaken:
            return next((r for r in self.records.values() if not r.taken), None)
        return next((r for r in self.deliveries if not r.handed_out and not r.cancelled), None)


def scope_of(id: str) -> str:
    """The path that an operation's id begins with."""
    head, slash, _ = id.rpartition("/")
    return head + slash
