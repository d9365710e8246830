"""What is asked of a header: the values of its transitions."""

from __future__ import annotations

from typing import NamedTuple

from ..types import ExecutionStatus
from .events import Segment
from .inbox import Entry
from .retention import Snapshot


class Key(NamedTuple):
    """Which start of an id, and which generation of it, a request is about."""

    id: str
    run: str
    gen: int


class Lease(NamedTuple):
    """What an invocation writes when it takes an execution."""

    writer: str
    now: int
    end: int
    fn: str | None = None  # who takes it: a message may be older than the execution that has its id now


class Parking(NamedTuple):
    """What a suspend writes. `seen`: inbox entries in hand and gone; None for a yield, which waits for nothing. `edition`: the
    copy of the log that counts from now on. `doubtful`: as the header's. `now`: when that is, 0 where it does not matter."""

    due: int | None
    hint: int | None
    seen: int | None
    error: str | None = None
    strikes: int = 0
    custom: str | None = None
    timer: int | None = None
    edition: Snapshot | None = None
    doubtful: bool = False
    now: int = 0


class Ending(NamedTuple):
    """What a completion writes."""

    status: ExecutionStatus
    finished: int
    result: str | None = None
    error: str | None = None
    cancel_seen: bool = False
    custom: str | None = None
    retention: int = 0  # seconds; 0: as the header has it


class ParentNotice(NamedTuple):
    """What an execution that ends leaves in the inbox of the one that waits for it. `now`: that one is due then."""

    waiting: Key
    fn: str
    entry: Entry
    now: int


class Renewal(NamedTuple):
    """The next generation. The execution's `input_hash` stays that of its start, which may be repeated. `used`: keys of the
    signals that this one consumed; `closed`: of the entries that only this generation reads; `seen`: entries in hand and
    gone; `uncancelled`: a cancellation was raised, so it is over."""

    input: str
    segment: Segment
    used: tuple[str, ...]
    closed: tuple[str, ...]
    seen: int
    now: int
    deadline: int | None
    horizon: int
    uncancelled: bool = False
