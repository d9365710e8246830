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
        self.aside: list[Event] = []  # recorded entries with a key that the code has not asked for where they stand
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

    def handed(self, event: Event) -> None:
        """It was handed out. Only what is of an operation with a key may be another one than the next."""
        if self.cursor < len(self.events) and event is self.events[self.cursor]:
            self.cursor += 1
        elif event in self.aside:
            self.aside.remove(event)
        else:
            self.events.remove(event)
            self.recorded -= 1

    def lay_aside(self) -> None:
        """The next: it is handed out when the code asks for it."""
        self.aside.append(self.events.pop(self.cursor))
        self.recorded -= 1

    def is_held(self, event: Event) -> bool:
        """Whether the handler sees it only when it is durable."""
        return event.id in self._held

    def position(self, event: Event) -> int:
        return self._positions.get(event.id, 0)
