"""What an execution waits for: a runner jumps over timers, and not over the timeout of a wait for somebody outside."""

from __future__ import annotations

from ..backends.ports import JournalStore, Loaded
from ..errors import JournalDamaged
from ..log.events import operation_key, operation_name
from ..log.header import Header
from ..log.inbox import Inbox
from ..log.journal import Journal, Record
from ..log.kinds import CALLBACK, OUTSIDE
from ..log.outcomes import callback_place, expiry, outcome_key
from ..log.tokens import make as make_token


def waits_outside(loaded: Loaded) -> bool:
    """Whether its due time is only the end of its patience with somebody outside, or its own deadline while it waits."""
    header = loaded.header
    if header.timer == 0:
        return True
    due = header.timer or header.due
    journal = Journal(loaded.segments)
    open_ = [r for r in journal.records.values() if r.kind in OUTSIDE and r.begun and not r.done and not r.outcome]
    if not open_ or due is None or header.status != "SUSPENDED" or header.held:
        return False
    if loaded.header.n > header.gone + len(journal.used) and any(_arrived(loaded, journal, r) for r in open_):
        return False
    if header.deadline is not None and header.deadline < 0:  # only the function knows it: what is no timer of the code
        return not any(due in _timers(r) for r in journal.records.values() if r.done is None and r.kind not in OUTSIDE)
    return due == header.deadline or any(due in _ends(loaded, journal, record) for record in open_)


def _arrived(loaded: Loaded, journal: Journal, record: Record) -> bool:
    return outcome_key(journal, loaded.header.gen, record) in loaded.inbox


def _timers(record: Record) -> set[int]:
    return {event.due for event in (record.begun, record.retry) if event is not None}


def _ends(loaded: Loaded, journal: Journal, record: Record) -> set[int]:
    """When its timeout and its heartbeat are due."""
    assert record.begun is not None
    ends = {record.begun.due}
    if record.kind == CALLBACK:
        operation, _ = callback_place(journal, loaded.header.gen, record.id)
        ends.add(expiry(record.begun, Inbox(loaded.inbox, set()), loaded.header.gen, operation) or 0)
    return ends


def open_callbacks(loaded: Loaded) -> dict[str, str]:
    """Tokens by name, the newest of each, and by "name:key": whoever reads the journal may complete them."""
    header, journal = loaded.header, Journal(loaded.segments)
    found: dict[str, str] = {}
    for record in journal.records.values():
        operation, key = callback_place(journal, header.gen, record.id)
        known = record.done is not None or record.outcome is not None
        waits = record.kind == CALLBACK and not known and header.live
        begun = record.begun
        if waits and begun is not None and key not in loaded.inbox:
            token = make_token(*header.key, operation, header.proof_secret, limited=bool(begun.due or begun.value))
            name, own = operation_name(record.id), operation_key(record.id)
            found[name] = token
            if own is not None:
                found[f"{name}:{own}"] = token
    return found


def jumps_to(store: JournalStore, header: Header) -> int | None:
    """When it goes on by itself; None if it does not."""
    if not header.live or header.due is None or header.held:
        return None
    if not header.foreign and _stands(store, header):
        return None
    return max(header.due, header.lease + 1 if header.lease else 0)


def _stands(store: JournalStore, header: Header) -> bool:
    """Whether it waits for something outside, or is gone. What cannot be read goes on, to be held."""
    try:
        loaded = store.load(header.key)
    except JournalDamaged:
        return False
    return loaded is None or waits_outside(loaded)
