"""The line: what moves an async handler, in order. A live turn appends to it, a replay finds it prefilled; both hand it out."""

from __future__ import annotations

from ..core.events import Event
from ..core.journal import Journal


class Line:
    """`cursor`: how many entries were handed out; `recorded`: how many the log had when the turn began."""

    def __init__(self, journal: Journal) -> None:
        self.events = list(journal.line)
        self.recorded = len(self.events)
        self.known = {event.id for event in self.events}
        self.cursor = 0
        self._marks = journal.marks
        self._last_segment = journal.last_segment
        self._positions: dict[str, int] = {}  # of live entries: how much has to be written for one to be durable
        self._held: set[str] = set()  # live entries that are handed out only when they are durable

    @property
    def replaying(self) -> bool:
        return self.cursor < self.recorded

    @property
    def goes_on(self) -> bool:
        """Whether the log goes on behind what was handed out, for all that one can tell: a step's result is written before it is
        handed out, so what stands beside it in the last segment was not led to by it."""
        if not self.replaying:
            return False
        last = self.events[self.cursor - 1] if self.cursor else None
        return last is None or last.kind != "step" or self.cursor <= self._last_segment

    def append(self, event: Event, position: int, *, held: bool) -> None:
        """`position`: of the entry among all that this turn writes."""
        self.events.append(event)
        self._positions[event.id] = position
        if held:
            self._held.add(event.id)

    def take_back(self, event: Event) -> None:
        """A decision that does not stand. Nothing behind it was handed out."""
        self.events.remove(event)
        self._held.discard(event.id)

    @property
    def head(self) -> Event | None:
        """The next to be handed out."""
        return self.events[self.cursor] if self.cursor < len(self.events) else None

    def is_held(self, event: Event) -> bool:
        """Whether the handler sees it only when it is durable."""
        return event.id in self._held

    def position(self, event: Event) -> int:
        return self._positions.get(event.id, 0)

    def time(self, event: Event) -> int:
        """Journal time when the next entry, this one, has been handed out: a new owner may have gone on from there later."""
        return max(event.at, self._marks.get(self.cursor, 0))
