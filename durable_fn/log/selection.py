"""Which executions a list shows, and in which order: the newest first.

An index cannot follow every status, or each suspend and resume would write it. So it has four coarse states, which change at
the start, at the end, and when an execution cannot go on any more or can again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from .header import LIVE, PURGED, Header

LIVING: Final = "live"
HELD: Final = "held"
FAILED: Final = "failed"
ENDED: Final = "ended"
STATES: Final = (LIVING, HELD, FAILED, ENDED)
_FAILED: Final = frozenset({"FAILED", "TIMED_OUT"})
LATE_MS: Final = 60_000
"""How long after its time an execution that nobody takes is overdue: the sweeper looks once a minute."""


class Position(NamedTuple):
    """Of an execution in a list. Behind it comes what is smaller."""

    started: int
    id: str


def position(header: Header) -> Position:
    return Position(header.started, header.id)


def state_of(status: str, *, held: bool) -> str:
    """The coarse state. A status that this version does not know counts as live."""
    if status in _FAILED:
        return FAILED
    if status in ("SUCCEEDED", "CANCELLED", "TERMINATED", PURGED):
        return ENDED
    return HELD if held else LIVING


def shelf(state: str, started: int) -> str:
    """The sort key of the index: the state, and when it began as a text that sorts as the number does."""
    return f"{state}#{started:015}"


def shelf_of(header: Header) -> str:
    return shelf(state_of(header.status, held=header.held), header.started)


def is_overdue(header: Header, now: int) -> bool:
    """Whether nobody holds its lease, though it was due a while ago, or though the sweeper woke it."""
    if not header.live or header.held or header.lease >= now:
        return False
    return header.tries > 0 or (header.due is not None and now - header.due > LATE_MS)


@dataclass(frozen=True, slots=True)
class Selection:
    """As `types.ExecutionFilter`, in epoch milliseconds. `now`: the time by which an execution is overdue."""

    fn: str | None = None
    fn_prefix: str = ""
    id_prefix: str = ""
    statuses: frozenset[str] = frozenset()
    parent: str | None = None
    started_after: int | None = None
    started_before: int | None = None
    updated_after: int | None = None
    held: bool | None = None
    overdue: bool | None = None
    has_error: bool | None = None
    now: int = 0

    def matches(self, header: Header) -> bool:
        """One that is being removed matches nothing."""
        return header.status != PURGED and self._is_named(header) and self._is_timed(header) and self._stands(header)

    def _is_named(self, header: Header) -> bool:
        return (
            self.fn in (None, header.fn)
            and header.fn.startswith(self.fn_prefix)
            and header.id.startswith(self.id_prefix)
            and (self.parent is None or self.parent == header.parent_id)
        )

    def _is_timed(self, header: Header) -> bool:
        return (
            (self.started_after is None or header.started >= self.started_after)
            and (self.started_before is None or header.started < self.started_before)
            and (self.updated_after is None or header.changed >= self.updated_after)
        )

    def _stands(self, header: Header) -> bool:
        return (
            (not self.statuses or header.status in self.statuses)
            and self.held in (None, header.held)
            and (self.overdue is None or self.overdue == is_overdue(header, self.now))
            and (self.has_error is None or self.has_error == (header.error is not None))
        )

    def states(self) -> list[str]:
        """The coarse states in which an execution can match."""
        found = set(STATES)
        if self.statuses:
            found = {state_of(status, held=held) for status in self.statuses for held in (False, True)}
        if self.held is not None:
            found &= {HELD} if self.held else {LIVING, FAILED, ENDED}
        if self.overdue:
            found &= {LIVING}
        return [state for state in STATES if state in found]

    def may_match(self, fn: str, id: str) -> bool:
        """By what an index knows besides state and start."""
        return self.fn in (None, fn) and fn.startswith(self.fn_prefix) and id.startswith(self.id_prefix)


ALL: Final = Selection()
assert LIVE.isdisjoint(_FAILED)
