"""The header of an execution and its transitions: each names its condition and the race it decides.

Pure functions. A store with transactions (SQLite) applies them to the row it read; a store with conditional writes
(DynamoDB) states the same condition in its request and, when that fails, asks these functions what the old header means,
its own earlier success after a lost reply included (`w is mine`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple, TypeAlias

from ..types import ExecutionStatus

LIVE: Final = frozenset({"PENDING", "RUNNING", "SUSPENDED"})


class Key(NamedTuple):
    """Which start of an id, and which generation of it, a request is about."""

    id: str
    run: str
    gen: int


@dataclass(slots=True)
class Header:
    """Times are epoch milliseconds (`ttl`: seconds). `input`, `result` and `error` are encoded values."""

    id: str
    fn: str
    run: str
    secret: str
    status: ExecutionStatus
    started: int
    ttl: int
    input_hash: str
    input: str | None = None
    gen: int = 1
    own: str = ""
    lease: int = 0
    prev_lease: int = 0
    n: int = 0
    gone: int = 0
    due: int | None = None
    hint: int | None = None
    cancel: bool = False
    turns: int = 0
    strikes: int = 0
    finished: int | None = None
    result: str | None = None
    error: str | None = None
    parent: str | None = None

    @property
    def key(self) -> Key:
        return Key(self.id, self.run, self.gen)

    @property
    def live(self) -> bool:
        return self.status in LIVE


Reason: TypeAlias = Literal["unknown", "finished", "held", "early", "fenced", "moved", "cancelled"]


class Refusal(NamedTuple):
    """A condition failed; `header` is what stood there."""

    reason: Reason
    header: Header | None


class Lease(NamedTuple):
    """What an invocation writes when it takes an execution."""

    writer: str
    now: int
    end: int


class Parking(NamedTuple):
    """What a suspend writes. `seen`: inbox entries in hand and gone; None for a yield, which waits for nothing."""

    due: int | None
    hint: int | None
    seen: int | None
    error: str | None = None
    strikes: int = 0


class Ending(NamedTuple):
    """What a completion writes."""

    status: ExecutionStatus
    finished: int
    result: str | None = None
    error: str | None = None
    cancel_seen: bool = False


def acquire(header: Header | None, lease: Lease) -> Header | Refusal:
    """Live, lease over, due. The lease keeps a second invocation out; `due` makes a message that comes early, twice or
    for a time already served a no-op. `due` stays as it is: the lease is looked at too, and it saves index writes."""
    if header is None:
        return Refusal("unknown", None)
    if header.own == lease.writer and header.lease:
        return header  # my own earlier success
    if not header.live:
        return Refusal("finished", header)
    if header.lease >= lease.now:
        return Refusal("held", header)
    if header.due is None or header.due > lease.now:
        return Refusal("early", header)
    return replace(
        header,
        status="RUNNING",
        own=lease.writer,
        prev_lease=header.lease,
        lease=lease.end,
        turns=header.turns + 1,
    )


def suspend(header: Header | None, key: Key, writer: str, parking: Parking) -> Header | Refusal:
    """Owner, and nothing in the inbox that was not seen: else a completion accepted just now would not be acted on."""
    refusal = _owned(header, key, writer)
    if refusal is not None:
        return refusal
    assert header is not None
    if header.lease == 0:
        return header  # my own earlier success
    if parking.seen is not None and header.n != parking.seen:
        return Refusal("moved", header)
    return replace(
        header,
        status="SUSPENDED",
        lease=0,
        due=parking.due,
        hint=parking.hint,
        error=parking.error,
        strikes=parking.strikes,
    )


def complete(header: Header | None, key: Key, writer: str, ending: Ending) -> Header | Refusal:
    """Owner, and no cancel that the handler has not been told of."""
    if header is not None and header.key == key and header.own == writer and header.status == ending.status:
        return header  # my own earlier success
    refusal = _owned(header, key, writer)
    if refusal is not None:
        return refusal
    assert header is not None
    if header.cancel and not ending.cancel_seen:
        return Refusal("cancelled", header)
    return replace(
        header,
        status=ending.status,
        lease=0,
        due=None,
        hint=None,
        finished=ending.finished,
        result=ending.result,
        error=ending.error,
    )


def deliver(header: Header | None, key: Key, now: int) -> Header | Refusal:
    """One more inbox entry: always due now, so that whoever holds the lease meanwhile cannot park over it."""
    if header is None or header.key != key:
        return Refusal("unknown", header)
    if not header.live:
        return Refusal("finished", header)
    return replace(header, n=header.n + 1, due=now)


def postpone(header: Header | None, seen_due: int, now: int, due: int) -> Header | Refusal:
    """The sweeper's claim on a due execution: `due` must be what the index showed, so that two sweepers, or a sweeper and
    a suspend, do not undo each other. While a lease is held `due` moves to its end."""
    if header is None:
        return Refusal("unknown", None)
    if not header.live:
        return Refusal("finished", header)
    if header.due != seen_due:
        return Refusal("moved", header)
    if header.lease >= now:
        return Refusal("held", header)
    return replace(header, due=due, hint=due)


def wait_for_lease(header: Header | None, seen_due: int, seen_lease: int) -> Header | Refusal:
    """What the sweeper does about a lease that is held: look again when it ends, not every minute."""
    if header is None or header.due != seen_due or header.lease != seen_lease:
        return Refusal("moved", header)
    return replace(header, due=seen_lease + 1)


def _owned(header: Header | None, key: Key, writer: str) -> Refusal | None:
    if header is None or header.key != key or header.own != writer or not header.live:
        return Refusal("fenced", header)
    return None
