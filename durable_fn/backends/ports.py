"""What the SDK needs from the world. Backends implement these; one contract suite holds them to it.

A JournalStore method is one atomic request of the protocol (two where its text says so). It returns what stands
afterwards, or a `Refusal` that says which condition failed. Every write is safe to send twice: the writer id in it lets it
recognise its own earlier success, because a reply can be lost after the write and botocore then retries by itself.
Times are epoch milliseconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from ..log.events import Segment
from ..log.header import Header, Refusal
from ..log.inbox import Entry
from ..log.requests import Ending, Key, Lease, ParentNotice, Parking, Renewal
from ..log.retention import Snapshot, unpacked_log
from ..log.selection import ALL, Position, Selection
from ..log.wake import Wake

if TYPE_CHECKING:
    from ..hooks import Hooks


class Clock(Protocol):
    """Time. A virtual one stands still until it is moved, and moves when somebody sleeps."""

    virtual: bool

    def now(self) -> int:
        """Epoch milliseconds."""

    def monotonic(self) -> float:
        """Seconds that never go back."""

    def sleep(self, seconds: float) -> None: ...


@dataclass(slots=True)
class Loaded:
    """All that one strongly consistent read of an execution gives, foreign runs and generations left out.

    Not atomic: `inbox` may lack entries that `header.n` counts. The caller reads again until they agree. `copied`: the texts
    of the header's edition, which stand for the log before `tail`. `horizon`: the earliest time, in epoch seconds, at which
    anything of the log or the input may be removed; 0 where nothing is.
    """

    header: Header
    tail: list[Segment]
    inbox: dict[str, Entry]
    copied: list[str] = field(default_factory=list)
    horizon: int = 0

    @property
    def segments(self) -> list[Segment]:
        """The whole log."""
        return unpacked_log(self.copied) + self.tail if self.copied else self.tail


class Due(NamedTuple):
    """A row of the due index. It may be stale."""

    id: str
    due: int


class Found(NamedTuple):
    """A part of a list, newest first. `after`: behind what the next part begins, None where there is none; `units`: what
    was read, as DynamoDB counts; `scanned`: the whole table was read for it."""

    headers: list[Header]
    after: Position | None
    units: float = 0
    scanned: bool = False


class JournalStore(Protocol):
    """The journal. All methods may raise the backend's own errors when it cannot be reached."""

    local: bool
    """True: calls are quick and made in place by async code. False: they go through a thread."""
    max_body: int
    """The most UTF-8 bytes one segment's body, one input or one result may have."""

    def fits(self, text: str) -> bool:
        """Whether a text of this size can be stored, compressed or elsewhere if need be."""

    skew_ms: int
    """How far apart the clocks of two owners can be; added to every lease."""
    shards: int

    @property
    def encrypts(self) -> bool:
        """Whether values go through a codec, so that secrets may be among them."""

    def create(self, header: Header) -> Header | Refusal:
        """Put, if the id is free. Refusal("held") carries what stands there. A header with my run is my own success."""

    def get(self, id: str) -> Header | None:
        """Strongly consistent, with `input`, `result` and `error` filled in."""

    def head(self, id: str) -> Header | None:
        """Strongly consistent, and reads no value: `input`, `result`, `error` and `custom` are None. For whoever has to deal
        with an execution that may be damaged, or of another format."""

    def unsealed(self, header: Header) -> Header:
        """With its secret, which `head` leaves as it is stored. Raises JournalDamaged."""

    def acquire(self, id: str, lease: Lease) -> Header | Refusal:
        """`input` may be None where it is kept in an item of its own: then `load` brings it."""

    def load(self, key: Key) -> Loaded | None:
        """Header, log and inbox of this run and generation, the header with `input`. None if the run is gone. Raises
        JournalDamaged for what cannot be read, as `get` does."""

    def tail(self, header: Header) -> int:
        """The sequence number behind the last segment of this generation's log, whatever is in it, or missing."""

    def append(self, header: Header, segment: Segment) -> bool:
        """Put, if the sequence number is free. True if this writer's segment stands there now, False if another's does."""

    def suspend(self, header: Header, writer: str, parking: Parking) -> Header | Refusal: ...

    def complete(
        self, header: Header, writer: str, ending: Ending, note: ParentNotice | None = None
    ) -> Header | Refusal:
        """With a note, its entry and the bump of the waiting execution are in the same transaction; if only they are refused
        (it has ended, or waits no longer), the completion is made alone. Refusal("moved"): somebody began to wait for it
        (`set_parent`) since `header` was read."""

    def release(self, header: Header, writer: str, due: int, error: str) -> Header | Refusal:
        """The owner could not write, for the reason in `error`, and gives its lease back until `due`."""

    def progressed(self, header: Header, writer: str) -> Header | Refusal:
        """The owner has written a segment: `header.tries` begin anew."""

    def deliver(self, header: Header, entry: Entry, now: int, once: str = "") -> Header | Refusal:
        """Entry and bump in one transaction; a key below "cancel/" also sets the header's flag; one below "signal/"
        is accepted only if nothing else was since `header` was read. Refusal("moved"): something was, or another
        entry stands under the key; the same writer or digest is a success. `once`: of a signal with an id, the mark that is
        put in the same transaction (`log/inbox.py:mark`). Refusal("repeated"): another writer's stands there and its time is
        not over, whatever has become of that signal and of the execution."""

    def beat(self, header: Header, entry: Entry, now: int) -> Header | Refusal:
        """As `deliver`, of an entry that takes the place of an older one with its key, if there is one: that one is gone then."""

    def entry(self, key: Key, name: str) -> Entry | None:
        """One entry of the inbox, strongly consistent."""

    def expire(self, header: Header, writer: str, entry: Entry, seen: int | None = None) -> Header | Refusal:
        """The owner's own entry, a timeout. Refusal("moved"): another one was first, or the inbox does not hold `seen`
        entries."""

    def decide(self, header: Header, segment: Segment, seen: int) -> Header | Refusal:
        """Append, on the condition that the inbox holds `seen` entries. Refusal("moved"): it holds others."""

    def terminate(
        self, header: Header, ending: Ending, tombstone: Segment, note: ParentNotice | None = None
    ) -> Header | Refusal:
        """Ends a live execution from outside. The segment at the end of its log fences the owner. Refusal("moved"): the log
        has grown. No value is read: in what is returned they are as in `head`."""

    def set_parent(self, header: Header, parent: str) -> Header | Refusal:
        """A live execution gets somebody to tell its end to; `header.parent` is who was there when it was looked at.
        Refusal("finished"): its end was quicker; "moved": somebody else was."""

    def leave(self, header: Header, entries: list[Entry]) -> None:
        """Puts entries into the inbox of an execution whose header is not written yet, so that nobody sees them before."""

    def keep(self, header: Header, snapshot: Snapshot, chunks: list[str], entries: list[Entry]) -> None:
        """Writes what `snapshot` says under its own name, and stamps the header's input and these entries with its horizon. None
        of it is seen before a suspend makes it count, so a copy of a request that comes late changes nothing."""

    def prolong(self, header: Header, horizon: int) -> None:
        """Stamps all that belongs to this run but its header with a later time. Nothing of it is read, or needs to be known."""

    def revive(self, header: Header, segment: Segment, now: int) -> Header | Refusal:
        """A finished execution is PENDING and due again; the segment says what of its log is forgotten."""

    def renew(self, header: Header, writer: str, renewal: Renewal) -> Header | Refusal:
        """continue_as_new: the next generation, its first segment, and the consumed entries deleted."""

    def retire(self, header: Header) -> Header | Refusal:
        """The first half of a purge: a finished execution gets the status PURGED, from which nothing goes on. Refusal("live")."""

    def remove(self, header: Header) -> None:
        """The second half: all that belongs to a retired one, its header last. Done again, it does what is left."""

    def due(self, shard: int, now: int, limit: int, *, after: Due | None = None) -> list[Due]:
        """From the beginning of the index, oldest first: there is no watermark, because the index lags. `after`: the last row
        of the page before."""

    def postpone(self, id: str, seen_due: int, now: int, due: int) -> Header | Refusal:
        """`header.postpone`; Refusal("held") after moving `due` to the end of the lease."""

    def create_all(self, headers: list[Header]) -> list[Header | Refusal]:
        """As many `create`, together where that is cheaper, and not all or none."""

    def find(
        self, wanted: Selection, after: Position | None = None, limit: int | None = None, *, scan: bool = False
    ) -> Found:
        """At most `limit` executions that match, from the newest on, or from behind `after`. It reads a bounded number of
        rows, so there may be fewer, and more behind them; without a limit, all. Values that are in items of their own are
        None, but errors. `scan`: read the whole table, also where there is an index."""

    def register(self, fn: str, queue: str, id_rule: str = "") -> None:
        """Writes the row that says where the function of this name takes its messages, and how its executions get their ids
        (`log/ids.py`), if it is not so already."""

    def locate(self, fn: str) -> str | None:
        """The queue of the function of this name."""

    def id_rule(self, fn: str) -> str | None:
        """How executions of the function of this name get their ids, as it has registered; None where it has not."""

    def functions(self) -> list[str]:
        """The names of all that have registered."""


def every(store: JournalStore, wanted: Selection = ALL) -> Iterator[Header]:
    """All that match, newest first. A table is scanned: no runner of tests has to pay for an index."""
    after: Position | None = None
    while True:
        found = store.find(wanted, after, None if not store.local else _PAGE, scan=True)
        yield from found.headers
        after = found.after
        if after is None:
            return


_PAGE = 500


class BlobRefused(Exception):
    """A value that no item takes could not be put into the blob store. Nothing was written that refers to it."""


def blob_prefix(id: str, run: str) -> str:
    """What the keys of an execution's blobs begin with."""
    return f"{hashlib.sha256(id.encode()).hexdigest()[:32]}/{run}/"


class BlobStore(Protocol):
    """Values that no item takes. Keys are content addresses: a put again is no change."""

    def put(self, key: str, data: bytes) -> None: ...

    def get(self, key: str) -> bytes:
        """Raises the backend's own error for an unknown key."""

    def remove(self, prefix: str) -> None:
        """All blobs whose key begins so. None is no error."""


class Wakeups(Protocol):
    """Durable timers that may be lost: SQS delays and schedules, or nothing where a due-time poll does the work."""

    def serve(self, fn: str, id_rule: str = "") -> None:
        """This process runs the function of this name, so its messages go to this process's own queue. Cheap; called
        at every invocation."""

    def check(self, fn: str, *, given: bool) -> None:
        """Raises UnknownFunction where nobody would wake an execution of this function. `given`: it was named by its object."""

    def id_rule(self, fn: str) -> str | None:
        """How executions of the function of this name get their ids (`log/ids.py`). None: nobody knows."""

    def forward(self, hint: Wake) -> None:
        """A message for another function came here: passes it to that function's queue. Raises RuntimeError if nobody
        knows it."""

    def send(self, hint: Wake, now: int) -> None:
        """Sends for `hint.due`; past or present: at once. Beyond what the transport can delay, an earlier message is
        sent, and whoever gets it calls `send` again."""

    def send_all(self, hints: list[Wake]) -> list[tuple[Wake, Exception]]:
        """Sends all of them for now, together where that is cheaper. Those that could not be sent, and why."""


@dataclass(slots=True)
class Backend:
    """A journal with its timers and the clock that goes with them."""

    store: JournalStore
    wakeups: Wakeups
    clock: Clock
    kind: Literal["sqlite", "aws"]
    hooks: tuple[Hooks, ...] = ()
    seed: str | None = None
    """For tests: what the secrets of executions are made of, so that those of one id draw the same in every run."""
