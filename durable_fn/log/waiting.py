"""What an execution waits for, as the log and the inbox have it, for users."""

from __future__ import annotations

from collections.abc import Mapping

from ..types import Wait
from . import failures
from .durations import aware
from .events import Event, operation_key, operation_name
from .header import Header
from .inbox import Entry, Inbox
from .journal import Journal, Record
from .kinds import CALL, CALLBACK, POLL, SIGNAL, SLEEP, STEP, TIMER
from .outcomes import callback_place, expiry, outcome_key
from .tokens import make as make_token

_LONG = {CALLBACK, SIGNAL, CALL, SLEEP, POLL, TIMER}


def waits(header: Header, journal: Journal, inbox: Mapping[str, Entry]) -> list[Wait]:
    """All open waits, the one that ends first at the front. An execution that has ended has none. A wait whose answer the next
    invocation will take is not among them."""
    if header.ended:
        return []
    entries = dict(inbox)
    found = [wait for record in journal.records.values() if (wait := _wait(header, journal, entries, record))]
    return sorted(found, key=lambda wait: (wait.until is None, wait.until or wait.since))


def _wait(header: Header, journal: Journal, inbox: dict[str, Entry], record: Record) -> Wait | None:
    if record.done is not None or record.outcome is not None:
        return None
    if record.kind == STEP:
        return _retry(record)
    begun = record.begun
    if record.kind not in _LONG or begun is None or outcome_key(journal, header.gen, record) in inbox:
        return None
    until: int | None = begun.due or None
    if record.kind == CALLBACK:
        operation, _ = callback_place(journal, header.gen, record.id)
        until = expiry(begun, Inbox(inbox, set()), header.gen, operation)
    elif record.retry is not None and record.retry.due:
        until = record.retry.due
    return _made(record, begun.at, until, _on(record, begun))


def _retry(record: Record) -> Wait | None:
    again = record.retry
    if again is None or not again.due:
        return None
    return _made(record, again.at, again.due, f"attempt {again.attempt + 1}, after {_error(again)}")


def _error(event: Event) -> str:
    failure = failures.decode(event.value)
    return f"{failure.error_type.rpartition('.')[2]}: {failure.message}"


def _on(record: Record, begun: Event) -> str:
    name, key = operation_name(record.id), operation_key(record.id)
    named = repr(name if key is None else f"{name}:{key}")
    if record.kind == CALLBACK:
        return f"whoever was given the token of callback {named}"
    if record.kind == SIGNAL:
        return f"a signal, asked for by {named}"
    if record.kind == CALL:
        return f"execution {begun.value!r}"
    return "the next look" if record.kind == POLL else "the clock"


def _made(record: Record, since: int, until: int | None, on: str) -> Wait:
    ends = None if until is None else aware(until)
    return Wait(record.id, record.kind, operation_name(record.id), aware(since), ends, on)


def callback_tokens(header: Header, journal: Journal, inbox: Mapping[str, Entry]) -> dict[str, str]:
    """The tokens of open callbacks by name, the newest of each, and by "name:key"."""
    found: dict[str, str] = {}
    for id, token in tokens_by_id(header, journal, inbox).items():
        name, own = operation_name(id), operation_key(id)
        found[name] = token
        if own is not None:
            found[f"{name}:{own}"] = token
    return found


def tokens_by_id(header: Header, journal: Journal, inbox: Mapping[str, Entry]) -> dict[str, str]:
    """The tokens of open callbacks by the ids of their operations."""
    found: dict[str, str] = {}
    for record in journal.records.values():
        operation, key = callback_place(journal, header.gen, record.id)
        known = record.done is not None or record.outcome is not None
        waits = record.kind == CALLBACK and not known and header.live
        begun = record.begun
        if waits and begun is not None and key not in inbox:
            limited = bool(begun.due or begun.value)
            found[record.id] = make_token(*header.key, operation, header.proof_secret, limited=limited)
    return found
