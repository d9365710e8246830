"""The lines by which an async handler goes on, in order. A live turn appends to them, a replay finds them there; both hand them
out."""

from __future__ import annotations

import heapq

from ...log.events import Event
from ...log.journal import Journal
from ...log.kinds import STEP


class Line:
    """`cursor`: how many entries were handed out, or laid aside; `recorded`: how many the log had when the turn began; `last`:
    the entry that was handed out last.

    Entries of operations with keys are handed out when the code waits for them: earlier than they stand, or later, laid aside
    until then.
    """

    def __init__(self, journal: Journal) -> None:
        self.events = list(journal.line)
        self.recorded = len(self.events)
        self.known = {event.id for event in self.events}
        self.cursor = 0
        self.replaying = self.recorded > 0
        self.last: Event | None = None
        self.aside: dict[str, Event] = {}  # recorded entries with a key that the code did not wait for at their place
        # By id, of those with a key; see `is_keyed`, which costs as much as the rest.
        self.places = {event.id: place for place, event in enumerate(self.events) if ":" in event.id}
        self._early: set[int] = set()  # places ahead of the cursor that were handed out
        self._asked: list[int] = []  # a heap: places of entries with a key that somebody waits for, or waited for
        self._last_segment = journal.last_segment
        self._positions: dict[str, int] = {}  # by live entry: how many entries must be written before it is durable
        self.held: set[str] = set()  # live entries that the handler sees only when they are durable

    @property
    def goes_on(self) -> bool:
        """Whether the log shows that the code went on from here. A step's result is written before it is handed out, so entries
        beside it in the last segment do not follow from it."""
        if not self.replaying:
            return False
        last = self.last
        return last is None or last.kind != STEP or self.cursor <= self._last_segment

    def append(self, event: Event, position: int, *, held: bool) -> None:
        """`position`: the entry's number among all that this turn writes."""
        self.events.append(event)
        self._positions[event.id] = position
        if held:
            self.held.add(event.id)

    def take_back(self, event: Event) -> None:
        """Removes a decision whose condition failed. Nothing behind it was handed out."""
        self.events.remove(event)
        self.held.discard(event.id)

    @property
    def head(self) -> Event | None:
        """The entry to hand out next."""
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
        """This entry was handed out. It is the next one, unless its operation has a key."""
        self.last = event
        if self.cursor < len(self.events) and event is self.events[self.cursor]:
            self.cursor += 1
            if self._early:
                self._pass_early()
            self.replaying = self.cursor < self.recorded
        elif self.aside.pop(event.id, None) is None:
            self._early.add(self.places[event.id])

    def lay_aside(self) -> None:
        """Lays the next entry aside: it is handed out when the code waits for it."""
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
