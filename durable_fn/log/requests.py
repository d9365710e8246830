"""The arguments of the header's transitions."""

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
    fn: str | None = None  # the function that takes it: a message may be older than the execution that has its id now


class Parking(NamedTuple):
    """What a suspend writes. `seen`: how many inbox entries were read or deleted; None for a yield, which waits for nothing.
    `snapshot`: the copy of the log that counts from now on. `doubtful`: as in the header. `now`: the present, 0 to leave
    `updated`."""

    due: int | None
    hint: int | None
    seen: int | None
    error: str | None = None
    strikes: int = 0
    custom: str | None = None
    timer: int | None = None
    snapshot: Snapshot | None = None
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
    """What an execution that ends writes into the inbox of the one that waits for it. `now`: when that one is due."""

    waiting: Key
    fn: str
    entry: Entry
    now: int


class Renewal(NamedTuple):
    """The next generation. `input_hash` stays that of the first start, which may be repeated. `used`: keys of the signals that
    this generation consumed; `closed`: of the entries that only this generation reads; `seen`: how many entries were read or
    deleted; `uncancelled`: the handler has seen the cancellation, so it no longer counts."""

    input: str
    segment: Segment
    used: tuple[str, ...]
    closed: tuple[str, ...]
    seen: int
    now: int
    deadline: int | None
    horizon: int
    uncancelled: bool = False
