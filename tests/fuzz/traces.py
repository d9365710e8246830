"""What a handler saw, and after how many lines of the log; the same in each run over the same lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from durable_fn.log.events import Event

Seen = tuple[int, str]
"""How many lines were handed out before, and what."""


@dataclass
class Trace:
    """Of one run of an async handler over the log of one generation."""

    pump: Any
    gen: int
    items: list[Seen] = field(default_factory=list)
    began: int = 0
    """How many lines were handed out when the last body began."""

    @property
    def recorded(self) -> int:
        recorded: int = self.pump.line.recorded
        return recorded

    @property
    def end(self) -> int:
        cursor: int = self.pump.line.cursor
        return cursor

    @property
    def line(self) -> list[Event]:
        """What was handed out."""
        events: list[Event] = self.pump.line.events[: self.end]
        return events

    def see(self, text: str) -> None:
        if not self.pump.over and self.pump.turn.closed is None:
            self.items.append((self.end, text))

    def until(self, lines: int, skip: tuple[str, ...]) -> list[Seen]:
        return [seen for seen in self.items if seen[0] <= lines and not (skip and seen[1].startswith(skip))]


def difference(before: Trace, after: Trace, lines: int, skip: tuple[str, ...]) -> str | None:
    """Of two runs, as far as the first `lines` lines led."""
    lines = min(lines, before.end, after.end)
    a, b = before.until(lines, skip), after.until(lines, skip)
    if a == b:
        return None
    k = next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    return f"over {lines} lines, at item {k}: {a[max(0, k - 2) : k + 3]} and then {b[max(0, k - 2) : k + 3]}"
