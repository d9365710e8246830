"""What an execution waits for: a runner jumps over timers, and not over the timeout of a wait for somebody outside."""

from __future__ import annotations

from typing import Final, NoReturn

from ..backends.ports import JournalStore, Loaded
from ..errors import JournalDamaged
from ..log.events import operation_name
from ..log.header import Header
from ..log.inbox import Inbox
from ..log.journal import Journal, Record
from ..log.kinds import CALL, CALLBACK, OUTSIDE
from ..log.outcomes import callback_place, expiry, outcome_key
from ..log.waiting import callback_tokens

_EVERY: Final = 25
_OF_A_TURN: Final = 500
_MOST_BESIDE: Final = 200_000
_MOST_COST: Final = 2_500_000


def waits_outside(loaded: Loaded) -> bool:
    """Whether its due time is only the end of its patience with somebody outside, or its own deadline while it waits."""
    header = loaded.header
    if header.timer == 0:
        return True
    due = header.timer or header.due
    journal = Journal(loaded.segments)
    open_ = _open(loaded, journal)
    if not open_ or due is None or header.status != "SUSPENDED" or header.held:
        return False
    if header.timeout_from is not None:  # only the function knows it: what is no timer of the code
        return not any(due in _timers(r) for r in journal.records.values() if r.done is None and r.kind not in OUTSIDE)
    return due == header.deadline or any(due in _ends(loaded, journal, record) for record in open_)


def _open(loaded: Loaded, journal: Journal) -> list[Record]:
    """What it waits for outside. What has come is not waited for, whoever else still is."""
    begun = (r for r in journal.records.values() if r.kind in OUTSIDE and r.begun and not r.done and not r.outcome)
    return [record for record in begun if not _arrived(loaded, journal, record)]


def awaited(loaded: Loaded) -> list[str]:
    """What it waits for outside, in words: callbacks and signals that have not come."""
    found = _open(loaded, Journal(loaded.segments))
    return [f"{record.kind} {operation_name(record.id)!r}" for record in found if record.kind != CALL]


def patience_ends(loaded: Loaded) -> int | None:
    """When the first wait for a callback or a signal is over, though nothing came."""
    journal = Journal(loaded.segments)
    found = (_ends(loaded, journal, record) for record in _open(loaded, journal) if record.kind != CALL)
    return min((end for ends in found for end in ends if end), default=None)


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
    return callback_tokens(loaded.header, Journal(loaded.segments), loaded.inbox)


class Patience:
    """How long a runner goes on by itself. Each turn of an execution reads its log again, so what is counted is what that costs:
    a handler that never ends, or is never idle, is told so in a time that does not depend on how it does it."""

    def __init__(self, id: str) -> None:
        self._id = id
        self._turns = 0
        self._cost = self._beside = 0  # of all turns, and of those during which it waited for somebody outside

    def spend(self, store: JournalStore, header: Header, now: int) -> None:
        """Before each jump of the clock. Raises RuntimeError."""
        self._turns += 1
        if self._turns % _EVERY:
            return
        loaded = None if header.foreign else store.load(header.key)
        if loaded is None:
            return
        cost = _EVERY * (_OF_A_TURN + len(loaded.segments))
        waits = awaited(loaded)
        self._cost += cost
        self._beside = self._beside + cost if waits else 0
        if self._beside > _MOST_BESIDE:
            self._give_up(
                f"is never idle: it waits for {', '.join(waits)}, and meanwhile goes on by itself", header, now
            )
        if self._cost > _MOST_COST:
            self._give_up("is not finished; does it loop? It went on by itself", header, now)

    def _give_up(self, what: str, header: Header, now: int) -> NoReturn:
        days = (now - header.started) / 86_400_000
        raise RuntimeError(
            f"execution {self._id!r} of {header.fn!r} {what}, {self._turns:,} times in {days:,.1f} virtual days. `run` jumps "
            "over timers. Use start(), and advance(), which goes no further than you say, or run_until_idle(), where the clock "
            "stands; in crash_everywhere: jump=False"
        )


def busy(header: Header, rounds: int) -> RuntimeError:
    """Where the clock stands, and something is always due."""
    return RuntimeError(
        f"execution {header.id!r} of {header.fn!r} is still due after {rounds:,} rounds at the same time; does it loop?"
    )


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
