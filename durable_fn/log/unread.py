"""Signals that a losing branch of a `def` handler gives back.

Branches on threads take signals while other branches end. If a branch took a signal, did nothing after it, and then lost or
ended too late, the signal has had no effect. A line beside the branch's end makes it unread again, and the next wait gets it,
in this generation or the next. Doing something is to begin a body, to start another execution or to send it a message, anywhere
the signal's value may have got to: behind the wait in its own scope, or in a scope around it.
"""

from __future__ import annotations

from .events import FAILED, SUCCEEDED
from .journal import Journal, Record
from .kinds import ACTING, FANS, SIGNAL


def unread(journal: Journal, path: str) -> list[Record]:
    """The waits inside a branch that took signals with which the branch did nothing, oldest first."""
    below = tuple(journal.below(path))
    taken = [
        (place, record)
        for place, record in enumerate(below)
        if record.kind == SIGNAL and not record.returned and _ended(record, SUCCEEDED)
    ]
    if not taken:
        return []
    acts = [(place, record) for place, record in enumerate(below) if _acted(record)]
    return [
        wait
        for place, wait in taken
        if not any(later > place and not _beside(journal, wait.id, act.id) for later, act in acts)
    ]


def _ended(record: Record, *statuses: str) -> bool:
    return record.done is not None and record.done.status in statuses


def _acted(record: Record) -> bool:
    """Whether the operation has done something outside. A step that was cancelled before its body began has not."""
    began = record.begun is not None or record.retry is not None
    return record.kind in ACTING and (began or _ended(record, SUCCEEDED, FAILED))


def _beside(journal: Journal, one: str, other: str) -> bool:
    """Whether two operations are in different branches of a fan."""
    mine, theirs = one.split("/"), other.split("/")
    n = next((i for i, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), None)
    head = None if n is None else journal.records.get("/".join(mine[:n]))
    return head is not None and head.kind in FANS
