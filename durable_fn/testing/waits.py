"""What an execution waits for: a runner jumps over timers, and not over the timeout of a wait for somebody outside."""

from __future__ import annotations

from ..core.header import Header
from ..core.inbox import beat_prefix, short
from ..core.journal import Journal, Record
from ..ports import Loaded

_OUTSIDE = ("callback", "signal", "call")


def waits_outside(loaded: Loaded) -> bool:
    """Whether its due time is only the end of its patience with somebody outside, or its own deadline while it waits."""
    header = loaded.header
    if header.timer == 0:
        return True
    due = header.timer or header.due
    journal = Journal(loaded.segments)
    open_ = [r for r in journal.records.values() if r.kind in _OUTSIDE and r.begun and not r.done and not r.outcome]
    if not open_ or due is None or header.status != "SUSPENDED" or header.strikes:
        return False
    if loaded.header.n > header.gone + len(journal.used) and any(_arrived(loaded, r) for r in open_):
        return False
    return due == header.deadline or any(due in _ends(loaded, record) for record in open_)


def _arrived(loaded: Loaded, record: Record) -> bool:
    return any(key.endswith(f"/{short(record.id)}") for key in loaded.inbox)


def _ends(loaded: Loaded, record: Record) -> set[int]:
    """When its timeout and its heartbeat are due."""
    assert record.begun is not None
    ends = {record.begun.due}
    if record.kind == "callback" and record.begun.value:
        beats = [e for k, e in loaded.inbox.items() if k.startswith(beat_prefix(loaded.header.gen, short(record.id)))]
        last = max([record.begun.at, *(int(beat.body) for beat in beats)])
        ends.add(last + int(record.begun.value))
    return ends


def jumps_to(header: Header, loaded: Loaded | None) -> int | None:
    """When it goes on by itself; None if it does not."""
    if not header.live or header.due is None or header.strikes or loaded is None or waits_outside(loaded):
        return None
    return max(header.due, header.lease + 1 if header.lease else 0)
