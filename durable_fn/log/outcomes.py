"""Waits for an answer from outside, as the log and the inbox have them: under which key the outcome comes, and until when."""

from __future__ import annotations

from typing import NamedTuple

from .events import Event
from .inbox import Entry, Inbox, beat_key, beat_of, call_key, callback_key, slot
from .journal import Journal, Record
from .kinds import CALL, CALLBACK


def callback_place(journal: Journal, gen: int, id: str) -> tuple[str, str]:
    """The name of a callback in its token, and the key of its outcome. After a redrive that opens it again both change; if the
    code that handed out the token does not run again, only the key does."""
    operation = slot(id, len(journal.epochs.get(id, "")))
    return operation, callback_key(gen, operation, journal.reopened.get(id, 0))


def call_place(journal: Journal, gen: int, child: str) -> str:
    """The key of the end of an execution: the same for all operations that wait for it."""
    return call_key(gen, child, journal.ends.get(child, 0))


def outcome_key(journal: Journal, gen: int, record: Record) -> str | None:
    """The key of the outcome of an operation that began; None for an operation that is no callback or call."""
    if record.kind == CALLBACK:
        return callback_place(journal, gen, record.id)[1]
    if record.kind == CALL and record.begun is not None:
        return call_place(journal, gen, record.begun.value)
    return None


def expiry(begun: Event, inbox: Inbox, gen: int, operation: str) -> int | None:
    """Epoch milliseconds: the earlier of a callback's timeout and of its next missing heartbeat."""
    times = [begun.due] if begun.due else []
    if begun.value:
        beat = inbox.get(beat_key(gen, operation))
        times.append(max(begun.at, beat_of(beat.body).at if beat is not None else 0) + int(begun.value))
    return min(times, default=None)


class Place(NamedTuple):
    """The state of a callback. `due`: epoch milliseconds; None: it has no limit, or the log does not have it yet. `timeout` and
    `every`: its own timeout and the time between two heartbeats, 0 for none."""

    key: str
    outcome: Entry | None
    due: int | None
    timeout: int = 0
    every: int = 0


def place_of(journal: Journal, entries: dict[str, Entry], gen: int, operation: str) -> Place:
    """The place of the callback that a token names. The log may not have it yet, because the token exists before the entry."""
    for record in journal.records.values():
        if record.kind == CALLBACK and record.begun is not None:
            name, key = callback_place(journal, gen, record.id)
            if name == operation:
                begun = record.begun
                due = expiry(begun, Inbox(entries, set()), gen, operation)
                return Place(key, entries.get(key), due, begun.due, int(begun.value or 0))
    key = callback_key(gen, operation)
    return Place(key, entries.get(key), None)
