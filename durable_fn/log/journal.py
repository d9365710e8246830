"""What the log says: its events folded into one record per operation, and where replay stands in it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, NamedTuple

from .events import (
    BEGUN,
    CANCELLED,
    EVENT_ID,
    FAILED,
    FORK_ID,
    GENERATION_ID,
    MOVING,
    NO_OPERATIONS,
    NO_PLACE,
    RAISED,
    REDRIVE_ID,
    RETRY,
    RETURNED,
    STATUS_ID,
    SUCCEEDED,
    UNDONE_ID,
    WALKED_ID,
    Event,
    Segment,
    ancestors,
    is_fence,
    is_outcome,
    parse,
    picked_up,
)
from .kinds import BLANK, BRANCH, CALLBACK, CHILD, FANS, FENCE, HANDOVER, OPTIONAL, PATCH, POLL, SIGNAL, STEP
from .undone import read as read_undone

_USUAL: Final = frozenset({SUCCEEDED, FAILED, BEGUN, RETRY})


class Record:
    """All that the log has of one operation. `done`: the entry that ended it, a success, a final failure or a cancellation. A
    callback's `outcome` does not end it: each wait for it is an operation with an end of its own."""

    # Defaults on the class: most records never get more than `done`, and a log may have 10,000.
    begun: Event | None = None
    retry: Event | None = None
    done: Event | None = None
    outcome: Event | None = None  # of a callback: recorded, though perhaps no wait has taken it yet
    aside = False  # a replay finds its end by its id alone: see `events.laid_aside`
    given_up: Event | None = None  # the handler's own code cancelled the wait natively
    returned = False  # a signal that is unread again
    broken = False  # a fan: see `Journal.taken_over`
    taken = False
    handed_out = False
    resumed = 0
    order = 0  # of its end in the log
    asked = ""  # see `Event`

    def __init__(self, event: Event) -> None:
        self.id = event.id
        self.kind = event.kind
        self.position = event.position
        if event.asked:
            self.asked = event.asked

    def add(self, event: Event) -> None:
        if self.aside:
            self.aside = False
        if event.status == SUCCEEDED and event.kind != CALLBACK:
            self.done = event
        elif event.status == BEGUN:
            self.begun = event
        elif event.status == RETRY:
            self.retry = event
        elif event.kind == CALLBACK and is_outcome(event):
            self.outcome = event
        elif event.status == CANCELLED and event.kind != BRANCH:
            self.given_up = event
        elif event.status == RETURNED:
            self.returned = True
        else:
            self.done = event

    @property
    def scope(self) -> str:
        """The path of the scope that asked for it."""
        return scope_of(self.id) + self.asked.partition(":")[0]

    @property
    def raised(self) -> bool:
        """Whether a cancellation or timeout from above ended it."""
        return self.done is not None and self.done.status == RAISED


class Seed(NamedTuple):
    """The seed of the execution that a fork was copied from, and how far it applies in each scope: up to which position, and up
    to how many drawn values, which stand for the position of an operation with a key."""

    text: str
    positions: dict[str, int]
    draws: dict[str, int]

    def reach(self, record: Record) -> None:
        """Draws before this operation used this seed."""
        path = record.scope
        if record.asked:
            self.draws[path] = max(self.draws.get(path, 0), int(record.asked.partition(":")[2]))
        elif record.position != NO_PLACE:
            self.positions[path] = max(self.positions.get(path, 0), record.position)

    def covers(self, path: str, position: int, count: int) -> bool:
        return position <= self.positions.get(path, -1) or count <= self.draws.get(path, -1)


class Journal:
    """The recorded operations by id, and the order in which their results reached the handler.

    Results are handed out on replay in exactly that order (`deliveries`), so that code which looks at who was first
    (`asyncio.wait`, `as_completed`) takes the same way again.
    """

    def __init__(self, segments: Iterable[Segment] = ()) -> None:
        self.records: dict[str, Record] = {}
        self.deliveries: list[Record] = []
        self.line: list[Event] = []  # the entries by which an async handler goes on, in order
        self.generation = 0  # when this generation began, if it is not the first
        self.last_segment = 0  # the index in `line` at which the last segment begins
        # Ids that the code has not called yet, and ids whose result was not handed out. Sets, because branches on threads change
        # them, and a set's own operations are atomic.
        self.untaken: set[str] = set()
        self.left: set[str] = set()
        self.fences = 0  # fences in a row at the end of the log: owners that died without committing anything
        self.next_seq = 0
        self.resumed = 0
        self.used: set[str] = set()  # keys of signals that were consumed
        self.walked: dict[str, int] = {}  # see `events.WALKED_ID`
        self._fans: list[Record] = []
        self._passed: set[str] | None = None  # see `passed`: scopes, and fans; None before any fence
        self._patched = False  # since the last fence
        self._direct: dict[str, int] = {}  # how many operations are recorded directly in each scope
        self.custom: str | None = None  # the last status that `set_status` wrote
        self.lock: AbstractContextManager[Any] = nullcontext()  # where branches run on threads: a lock of theirs
        self.event: str | None = None  # as it was validated, where that is not the input
        self._positions: dict[tuple[str, int], Record] | None = None
        self._below: dict[str, list[Record]] | None = None
        self._in: dict[str, list[Record]] | None = None
        self.origin = 0  # of a fork: when the execution that it was copied from began
        self.seeds: list[Seed] = []  # and the seed of that one's draws
        self.revived = False  # it had ended, and goes on
        self.epochs: dict[str, str] = {}  # see `redrive.Redriven`
        self.reopened: dict[str, int] = {}
        self.ends: dict[str, int] = {}
        self.again: dict[str, int] = {}
        self.undone: set[str] = set()  # sagas whose compensations ran
        log = segments if isinstance(segments, list) else list(segments)
        if [segment for segment in log if segment.body.startswith(REDRIVE_ID)]:
            from .redrive import after_redrives

            self.revived = True
            redriven = after_redrives(log)
            log, self.epochs, self.reopened = redriven.segments, redriven.epochs, redriven.reopened
            self.ends, self.again = redriven.ends, redriven.again
        for segment in log:
            self._add(segment)
        self._orders = itertools.count(len(self.deliveries))
        self.untaken = {id for id, record in self.records.items() if record.kind not in OPTIONAL and not record.aside}
        self.left = {record.id for record in self.deliveries if record.kind not in OPTIONAL}

    def _add(self, segment: Segment) -> None:
        if segment.seq != self.next_seq:
            raise ValueError(f"the log has segment {segment.seq} where {self.next_seq} was expected")
        self.next_seq += 1
        if is_fence(segment.body):
            event = parse(segment.body)
            self.fences = self.fences + 1 if event.kind == FENCE else 0
            if event.kind in (FENCE, HANDOVER):
                self.taken_over()
            if event.kind == BLANK:  # before the redrive the handler sees the same times again
                self._mark(event.at)
            return
        self.fences = 0
        self.last_segment = len(self.line)
        records = self.records
        for line in segment.body.split("\n"):
            event = parse(line)
            if event.id in NO_OPERATIONS:
                self._note(event)
                continue
            kept = None if event.status in _USUAL else picked_up(event)
            record = records.get(event.id)
            if record is None:
                record = self._new(event, placed=kept is None)
            if kept is not None:
                record.add(kept)
                record.aside = True
                continue
            record.add(event)
            if (event.status, event.kind) in MOVING:
                self.line.append(event)
            if record.done is event:
                record.order = len(self.deliveries)
                self.deliveries.append(record)
                self.passed(event)
                if event.kind == SIGNAL and event.status == SUCCEEDED:
                    self.used.add(signal_key(event))
            elif event.status == RETURNED and record.done is not None:
                self.used.discard(signal_key(record.done))

    def _new(self, event: Event, *, placed: bool = True) -> Record:
        """`placed`: false for a record that a replay finds by its id alone: the code need not call it."""
        record = self.records[event.id] = Record(event)
        if record.kind in FANS:
            self._fans.append(record)
            record.broken = self.may_have_begun(record.id)
        if placed and record.kind not in OPTIONAL:  # the code may stop asking for it
            path = scope_of(record.id)
            self._direct[path] = self._direct.get(path, 0) + 1
        return record

    def taken_over(self) -> None:
        """An owner died, or gave the execution back, and the next one has written a fence. In fans that have not ended more
        may have happened than is recorded, and fans may have begun."""
        self._passed, self._patched = set(), False
        self._fans = [fan for fan in self._fans if fan.done is None]
        for fan in self._fans:
            fan.broken = True

    def passed(self, event: Event) -> None:
        """A `def` handler sees this end. If it sees such an end only once it is durable, no owner before the last fence had
        got behind it; unless that one ran code that did not have the operation, as a patch says."""
        if self._passed is None:
            return
        ended = event.kind in FANS and event.status == SUCCEEDED and event.id in self._passed
        if ended or (event.kind == STEP and event.status in (SUCCEEDED, FAILED, RAISED)):
            self._pass(event.id)
        elif event.kind == PATCH:
            self._patched = True

    def _pass(self, id: str) -> None:
        """Nothing behind this operation had begun: in its scope, and in the scopes of the operations around it that wait for
        it. A fan waits for its branches, or its own end is durable: it is passed with its end."""
        if self._patched or self._passed is None:
            return
        while path := scope_of(id):
            self._passed.add(path)
            id = path[:-1]
            record = self.records.get(id)
            if record is None or record.kind not in (CHILD, POLL):
                self._passed.add(id.rpartition("/")[0])  # the fan, if it is a branch of one
                return
        self._passed.add("")

    def may_have_begun(self, id: str) -> bool:
        """Whether an owner before the last fence may have begun this operation, though nothing is recorded of it."""
        if self._passed is None:
            return False
        return self._passed.isdisjoint(("", *(f"{head}/" for head in ancestors(id))))

    def _note(self, event: Event) -> None:
        """A line that is no operation's."""
        if event.id == STATUS_ID:
            self.custom = event.value
        elif event.id == WALKED_ID:
            self.walked.update(json.loads(event.value))
        elif event.id == EVENT_ID:
            self.event = event.value
        elif event.id == GENERATION_ID:
            self.generation = self.resumed = event.at
        elif event.id == FORK_ID:
            self._forked(event)
        elif event.id == UNDONE_ID:
            self.undone.add(read_undone(event).id)

    def _forked(self, event: Event) -> None:
        """What came before was copied from another execution; from here on the fork goes on."""
        seed, _, also = event.value.partition("\t")
        drawn = Seed(seed, *json.loads(also))
        for record in self.records.values():
            drawn.reach(record)
        self.seeds.append(drawn)
        self.origin = event.due
        self._mark(event.at)

    def _mark(self, at: int) -> None:
        """After a redrive, and in a fork: what follows the last result happens at this time or later."""
        if self.deliveries:
            self.deliveries[-1].resumed = at
        else:
            self.resumed = at

    @property
    def replaying(self) -> bool:
        """Whether a recorded result is still to be handed out."""
        return bool(self.left)

    @property
    def over(self) -> bool:
        """Whether the code is at the end of the log: every result handed out, every open operation called."""
        return not self.untaken and not self.left

    def hand_out(self, record: Record) -> None:
        """The result reached the handler, or is skipped. A branch that is walked a second time in the same turn gets its
        results again: they count once."""
        if not record.handed_out:
            record.handed_out = True
            self.left.discard(record.id)

    def remember(self, event: Event) -> Record:
        """Adds a live event, so that a branch which is walked again in this turn finds it."""
        record = self.records.get(event.id)
        if record is None:
            with self.lock:
                record = self._new(event)
                record.taken = True
                if self._below is not None:
                    _index(self._below, record)
        record.handed_out = True
        record.add(event)
        record.order = next(self._orders)
        return record

    def operations(self, path: str) -> int:
        """How many are recorded directly in the scope of this path."""
        return self._direct.get(path, 0)

    def below(self, path: str) -> list[Record]:
        """What is recorded below this path, in the order in which it began."""
        return self._index().get(path, [])

    def has_below(self, path: str) -> bool:
        """Whether anything is recorded below this path."""
        return path in self._index()

    def skip_below(self, path: str) -> None:
        """The replay skips what is recorded below this path, because the operation above it has its result."""
        for record in tuple(self.below(path)):
            self.skip(record)

    def _index(self) -> dict[str, list[Record]]:
        if self._below is None:
            with self.lock:
                below: dict[str, list[Record]] = {}
                for record in self.records.values():
                    _index(below, record)
                self._below = below  # whole before another thread sees it
        return self._below

    def skip(self, record: Record) -> None:
        """Counts it as called and handed out."""
        if not record.taken:
            record.taken = True
            self.untaken.discard(record.id)
        if record.done is not None:
            self.hand_out(record)

    def at_position(self, scope: str, position: int) -> Record | None:
        """The record at a position of a scope. The index is built on first use, by the first live operation. A record that is
        found by its id alone has no position."""
        if self._positions is None:
            placed = [record for record in tuple(self.records.values()) if not record.aside]
            self._positions = {(scope_of(record.id), record.position): record for record in placed}
        return self._positions.get((scope, position))

    def has_from(self, scope: str, position: int) -> bool:
        """Whether a scope has a record at this position or behind it."""
        records = tuple(self.records.values())
        return any(scope_of(r.id) == scope and r.position >= position and not r.aside for r in records)

    def has_uncalled(self) -> bool:
        """Whether anything is recorded that the code has not called yet."""
        return any(not self.records[id].handed_out for id in self.untaken)

    def has_behind(self, record: Record) -> bool:
        """Whether the code may have called something after this operation, in the same branch or task. An operation with a key
        has no position: then the order in which the two began counts."""
        if not record.asked and self.has_from(record.scope, record.position + 1):
            return True
        records = list(self.records.values())
        later = records[records.index(record) + 1 :]
        return any((r.asked or record.asked) and record.scope in (r.scope, scope_of(r.id)) for r in later)

    def left_in(self, scope: str) -> list[Record]:
        """What is recorded directly in a scope, and the code has not called yet."""
        if self._in is None:
            direct: dict[str, list[Record]] = {}
            for record in tuple(self.records.values()):
                direct.setdefault(scope_of(record.id), []).append(record)
            self._in = direct
        return [record for record in self._in.get(scope, ()) if record.id in self.untaken]

    def first_left(self) -> Record | None:
        """The first record that the code did not call, or whose result was not handed out."""
        if self.untaken:
            return next((r for r in self.records.values() if r.id in self.untaken), None)
        return next((r for r in self.deliveries if not r.handed_out and r.kind not in OPTIONAL), None)


def _index(below: dict[str, list[Record]], record: Record) -> None:
    head, slash, _ = record.id.rpartition("/")
    while slash:
        below.setdefault(head + slash, []).append(record)
        head, slash, _ = head.rpartition("/")


def scope_of(id: str) -> str:
    """The path that an operation's id begins with."""
    return id[: id.rfind("/") + 1]


def signal_key(event: Event) -> str:
    """The key of the inbox entry that a wait for a signal consumed."""
    return event.value.partition("\t")[0]
