"""The line: what moves an async handler, in order. A live turn appends to it, a replay finds it prefilled; both hand it out."""

from __future__ import annotations

import heapq

from ...log.events import Event
from ...log.journal import Journal
from ...log.kinds import STEP


class Line:
    """`cursor`: how many entries were handed out, or laid aside; `recorded`: how many the log had when the turn began; `last`:
    what was handed out last.

    Entries of operations with keys are handed out as the code asks for them: earlier than they stand, or, laid aside, later.
    """

    def __init__(self, journal: Journal) -> None:
        self.events = list(journal.line)
        self.recorded = len(self.events)
        self.known = {event.id for event in self.events}
        self.cursor = 0
        self.replaying = self.recorded > 0
        self.last: Event | None = None
        self.aside: dict[
            str, Event
        ] = {}  # recorded entries with a key that the code has not asked for where they stand
        # By id, of those with a key; see `is_keyed`, which costs as much as the rest.
        self.places = {event.id: place for place, event in enumerate(self.events) if ":" in event.id}
        self._early: set[int] = set()  # places ahead of the cursor that were handed out
        self._asked: list[int] = []  # a heap: places of entries with a key that somebody waits for, or waited
        self._last_segment = journal.last_segment
        self._positions: dict[str, int] = {}  # of live entries: how much has to be written for one to be durable
        self.held: set[str] = set()  # live entries that the handler sees only when they are durable

    @property
    def goes_on(self) -> bool:
        """Whether the log goes on behind what was handed out, for all that one can tell: a step's result is written before it is
        handed out, so what stands beside it in the last segment was not led to by it."""
        if not self.replaying:
            return False
        last = self.last
        return last is None or last.kind != STEP or self.cursor <= self._last_segment

    def append(self, event: Event, position: int, *, held: bool) -> None:
        """`position`: of the entry among all that this turn writes."""
        self.events.append(event)
        self._positions[event.id] = position
        if held:
            self.held.add(event.id)

    def take_back(self, event: Event) -> None:
        """A decision that does not stand. Nothing behind it was handed out."""
        self.events.remove(event)
        self.held.discard(event.id)

    @property
    def head(self) -> Event | None:
        """The next to be handed out."""
        return self.events[self.cursor] if self.cursor < len(self.events) else None

    def ask(self, id: str) -> None:
        """Somebody waits for the entry of this operation."""
        place = self.places.get(id)
        if place is not None:
            heapq.heappush(self._asked, place)

    def asked(self) -> Event | None:
        """The first entry with a key that somebody waits for, wherever it stands."""
        while self._asked:
            place = self._asked[0]
            event = self.events[place]
            if event.id in self.aside or (place >= self.cursor and place not in self._early):
                return event
            heapq.heappop(self._asked)
        return None

    def handed(self, event: Event) -> None:
        """It was handed out. Only what is of an operation with a key may be another one than the next."""
        self.last = event
        if self.cursor < len(self.events) and event is self.events[self.cursor]:
            self.cursor += 1
            if self._early:
                self._pass_early()
            self.replaying = self.cursor < self.recorded
        elif self.aside.pop(event.id, None) is None:
            self._early.add(self.places[event.id])

    def lay_aside(self) -> None:
        """The next: it is handed out when the code asks for it."""
        event = self.events[self.cursor]
        self.aside[event.id] = event
        self.cursor += 1
        self._pass_early()
        self.replaying = self.cursor < self.recorded

    def _pass_early(self) -> None:
        while self.cursor in self._early:
            self._early.discard(self.cursor)
            self.cursor += 1

    def position(self, event: Event) -> int:
        return self._positions.get(event.id, 0)
