"""The header of an execution and its transitions: each names its condition and the race it decides.

Pure functions. A store with transactions (SQLite) applies them to the row it read; a store with conditional writes
(DynamoDB) states the same condition in its request and, when that fails, asks these functions what the old header means,
its own earlier success after a lost reply included (`w is mine`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, NamedTuple, TypeAlias, cast

from ..errors import JournalDamaged
from ..types import ExecutionStatus
from .formats import JOURNAL
from .pauses import HELD_MS, pause_ms
from .requests import Ending, Key, Lease, Parking, Renewal
from .retention import Snapshot, removal

PACKED: Final = "\x02"
"""The first character of a stored value that is compressed, encrypted or in the blob store."""
LIVE: Final = frozenset({"PENDING", "RUNNING", "SUSPENDED"})
ENDED: Final = frozenset({"SUCCEEDED", "FAILED", "CANCELLED", "TERMINATED", "TIMED_OUT"})
PURGED: Final = cast("ExecutionStatus", "PURGED")
"""The status while a finished execution is being removed. Users never see it."""


@dataclass(slots=True)
class Header:
    """Times are epoch milliseconds, but `ttl`, `horizon` and `retention` are seconds, as DynamoDB's TTL wants them. `input`,
    `result` and `error` are encoded values.

    If the execution was started by name, only the function itself knows its limits: `retention` is 0 then, and `timeout_from`
    is the time from which the timeout counts. `ttl`: of the header itself; `horizon`: the TTL of every other item. `n`: how
    many inbox entries were accepted, and `gone`: how many of those were deleted. `timer`: set while `due` is only the time at
    which the items need a later TTL: the time that the code waits for, 0 for none. `edition`: the copy that replaces the log's
    first `copied` segments. `hint`: the time that the last wake message is for; it is earlier than `due` after a sweep, which
    moves only `due`, the time of the next look. `tries`: how often the execution was woken, or given back after an outage,
    without progress since. `strikes`: how often in a row an owner could not go on with it. `doubtful`: 1 if an owner's last
    write may still be under way: the owner gave the execution back after an outage, or it died and the one after it could not
    go on. `format`: the format of its journal (formats.py). `updated`: for users, when it was last started, taken, suspended,
    sent something, or ended; 0 if unknown. `input_hash`: of what was sent, keyed with the secret. `sent`: the same without a
    key, while somebody starts it; it is never stored.
    """

    id: str
    fn: str
    run: str
    secret: str = field(repr=False)
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
    deadline: int | None = None
    timeout_from: int | None = None
    custom: str | None = None
    horizon: int = 0
    retention: int = 30 * 86_400
    timer: int | None = None
    edition: str = ""
    copied: int = 0
    tries: int = 0
    doubtful: int = 0
    format: int = JOURNAL
    updated: int = 0
    sent: str = field(default="", compare=False, repr=False)

    def __post_init__(self) -> None:
        self.horizon = self.horizon or self.ttl

    @property
    def key(self) -> Key:
        return Key(self.id, self.run, self.gen)

    @property
    def parent_id(self) -> str | None:
        """The id of the execution that waits for this one's end."""
        return None if self.parent is None else str(json.loads(self.parent)["id"])

    @property
    def changed(self) -> int:
        """When something last happened to it; steps alone do not count."""
        return max(self.started, self.updated)

    @property
    def sealed(self) -> bool:
        """Whether its secret is still encoded, because no codec is configured here."""
        return self.secret.startswith(PACKED)

    @property
    def proof_secret(self) -> str:
        """The secret, for proofs and digests. Raises JournalDamaged if it is sealed: no proof made with it would be valid."""
        if self.sealed:
            raise JournalDamaged(
                f"the secret of execution {self.id!r} cannot be read: it was stored through a codec; configure the same one here"
            )
        return self.secret

    @property
    def live(self) -> bool:
        return self.status in LIVE

    @property
    def foreign(self) -> bool:
        """Whether its journal has another format: this version neither reads it nor writes into it."""
        return self.format != JOURNAL

    @property
    def ended(self) -> bool:
        """Not the opposite of `live`: another version may have written a status that is neither."""
        return self.status in ENDED or self.status == PURGED

    @property
    def held(self) -> bool:
        """Whether it cannot go on, for the reason in `error`, and is tried again and again."""
        return self.live and bool(self.strikes or self.doubtful)

    def reached(self, now: int) -> bool:
        """Whether it is due: by `due`, or it was due before and the sweeper, which sent a message in vain, has moved `due`."""
        woken = self.tries > 0 and self.hint is not None and self.hint <= now
        return woken or (self.due is not None and self.due <= now)


def outlined(header: Header) -> Header:
    """The header without its values."""
    return replace(header, input=None, result=None, error=None, custom=None)


Reason: TypeAlias = Literal["unknown", "finished", "held", "early", "fenced", "moved", "cancelled", "live", "repeated"]


class Refusal(NamedTuple):
    """A condition failed; `header` is the one that was stored."""

    reason: Reason
    header: Header | None


def acquire(header: Header | None, lease: Lease) -> Header | Refusal:
    """Live, lease over, due. The lease keeps a second invocation out; `due` makes a message that comes early, twice or
    for a time already served a no-op. `due` does not change: the lease is enough, and that saves index writes."""
    if header is None:
        return Refusal("unknown", None)
    if lease.fn is not None and header.fn != lease.fn:
        return Refusal("unknown", header)
    if header.own == lease.writer and header.lease:
        return header  # my own earlier success
    if not header.live:
        return Refusal("finished", header)
    if header.lease >= lease.now:
        return Refusal("held", header)
    if not header.reached(lease.now):
        return Refusal("early", header)
    return replace(
        header,
        status="RUNNING",
        own=lease.writer,
        prev_lease=header.lease,
        lease=lease.end,
        turns=header.turns + 1,
        updated=lease.now,
    )


def suspend(header: Header | None, key: Key, writer: str, parking: Parking) -> Header | Refusal:
    """Owner, and nothing unread in the inbox: else nobody would act on a completion that is accepted at this moment."""
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
        tries=header.tries if parking.strikes else 0,
        doubtful=int(parking.doubtful),
        custom=parking.custom if parking.custom is not None else header.custom,
        timer=parking.timer,
        updated=parking.now or header.updated,
        **_of_snapshot(parking.snapshot),
    )


def held(
    header: Header, now: int, reason: str, *, fenced: bool, custom: str | None = None, snapshot: Snapshot | None = None
) -> Parking:
    """For an execution that this owner cannot go on with; another version, or other code, may. It is tried again after pauses
    that grow. `fenced`: whether the owner before is certain to write nothing more; if not, the next owner has to fence it."""
    strikes = header.strikes + 1
    due = now + pause_ms(HELD_MS, header.strikes)
    return Parking(due, due, None, reason, strikes, custom, snapshot=snapshot, doubtful=not fenced, now=now)


def _of_snapshot(snapshot: Snapshot | None) -> dict[str, Any]:
    if snapshot is None:
        return {}
    return {
        "edition": snapshot.name,
        "copied": snapshot.base,
        "horizon": snapshot.horizon,
        "ttl": snapshot.horizon,
    }


def complete(
    header: Header | None, key: Key, writer: str, ending: Ending, parent: str | None = None
) -> Header | Refusal:
    """Owner, no cancellation that the handler has not seen, and no parent that began to wait since the owner looked."""
    if header is not None and header.key == key and header.own == writer and header.status == ending.status:
        return header  # my own earlier success
    refusal = _owned(header, key, writer)
    if refusal is not None:
        return refusal
    assert header is not None
    if header.cancel and not ending.cancel_seen:
        return Refusal("cancelled", header)
    if header.parent != parent:
        return Refusal("moved", header)
    return replace(
        header,
        status=ending.status,
        lease=0,
        due=None,
        hint=None,
        finished=ending.finished,
        result=ending.result,
        error=ending.error,
        custom=ending.custom if ending.custom is not None else header.custom,
        ttl=removal(ending.finished, ending.retention or header.retention),
        updated=ending.finished,
    )


def deliver(
    header: Header | None,
    key: Key,
    now: int,
    *,
    cancel: bool = False,
    seen: int | None = None,
    instead: bool = False,
    again: bool = False,
) -> Header | Refusal:
    """One more inbox entry: the execution is due now, so that an owner cannot suspend without having read it. `seen`: for a
    signal, nothing else was accepted since its sender looked. `instead`: it replaces an older entry. `again`: a held execution
    is tried at once, and its pauses start from the shortest again."""
    if header is None or header.key != key:
        return Refusal("unknown", header)
    if not header.live:
        return Refusal("finished", header)
    if seen is not None and header.n != seen:
        return Refusal("moved", header)
    gone = header.gone + instead
    new = replace(header, n=header.n + 1, gone=gone, due=now, timer=None, cancel=header.cancel or cancel,
                  updated=now)  # fmt: skip
    return replace(new, strikes=0, tries=0) if again else new


def expire(header: Header | None, key: Key, writer: str, seen: int | None = None) -> Header | Refusal:
    """The owner's own entry, a timeout. The owner has it, so no message is sent. `seen`: nothing else may have come (a missing
    heartbeat is decided from absence)."""
    refusal = _owned(header, key, writer)
    if refusal is not None:
        return refusal
    assert header is not None
    if seen is not None and header.n != seen:
        return Refusal("moved", header)
    return replace(header, n=header.n + 1)


def decide(header: Header | None, key: Key, writer: str, seen: int) -> Header | Refusal:
    """Owner, and nothing unread in the inbox: a decision from absence."""
    refusal = _owned(header, key, writer)
    if refusal is not None:
        return refusal
    assert header is not None
    return header if header.n == seen else Refusal("moved", header)


def set_parent(header: Header | None, run: str, seen: str | None, parent: str) -> Header | Refusal:
    """A parent begins to wait for the end of an execution that is under way. `complete` has `parent` in its condition, so
    either the end notifies the parent, or it came before and this is refused."""
    if header is None or header.run != run:
        return Refusal("unknown", header)
    if header.parent == parent:
        return header  # my own earlier success
    if not header.live:
        return Refusal("finished", header)
    return replace(header, parent=parent) if header.parent == seen else Refusal("moved", header)


def terminate(header: Header | None, key: Key, ending: Ending, parent: str | None = None) -> Header | Refusal:
    """From outside, whoever owns it, and with any status that is not an end, also one of another version."""
    if header is None or header.key != key:
        return Refusal("unknown", header)
    if header.ended:
        return Refusal("finished", header)
    if header.parent != parent:
        return Refusal("moved", header)
    return replace(
        header,
        status=ending.status,
        lease=0,
        due=None,
        hint=None,
        finished=ending.finished,
        result=None,
        error=ending.error,
        ttl=removal(ending.finished, header.retention),
        updated=ending.finished,
    )


def revive(header: Header | None, key: Key, now: int) -> Header | Refusal:
    """A finished execution goes on, and nobody owns it: a late request of the former owner must not end it again. An old
    cancellation and an old deadline no longer count. Its items keep their TTL. `turns` is at least 1, because there is a log to
    read."""
    if header is None or header.key != key:
        return Refusal("unknown", header)
    if not header.ended:
        return Refusal("live", header)
    if header.status == PURGED:
        return Refusal("unknown", header)
    return replace(
        header, status="PENDING", own="", lease=0, prev_lease=0, due=now, hint=now, finished=None, result=None, error=None,
        cancel=False, deadline=None, timeout_from=None, strikes=0, tries=0, doubtful=0, ttl=header.horizon,
        turns=max(1, header.turns), updated=now,
    )  # fmt: skip


def retire(header: Header | None, key: Key) -> Header | Refusal:
    """A finished execution is about to be removed: from now on nobody can revive it."""
    if header is None or header.run != key.run:
        return Refusal("unknown", header)
    return replace(header, status=PURGED) if header.ended else Refusal("live", header)


def renew(header: Header | None, key: Key, writer: str, renewal: Renewal) -> Header | Refusal:
    """Owner, and nothing unread: a signal that is accepted at this moment belongs to the next generation too, so `n` must count
    it."""
    refusal = _owned(header, key, writer)
    if refusal is not None:
        return refusal
    assert header is not None
    if header.n != renewal.seen:
        return Refusal("moved", header)
    return replace(
        header, status="PENDING", gen=header.gen + 1, gone=header.gone + len(renewal.used) + len(renewal.closed),
        input=renewal.input, lease=0, prev_lease=0, due=renewal.now, hint=renewal.now,
        turns=header.turns, error=None, strikes=0, tries=0, doubtful=0, deadline=renewal.deadline, timeout_from=None,
        ttl=renewal.horizon, horizon=renewal.horizon, timer=None, edition="", copied=0,
        cancel=header.cancel and not renewal.uncancelled, updated=renewal.now,
    )  # fmt: skip


def postpone(header: Header | None, seen_due: int, now: int, due: int) -> Header | Refusal:
    """The sweeper's claim on a due execution: `due` must be what the index showed, so that two sweepers, or a sweeper and a
    suspend, do not undo each other. The execution stays due (`hint`); `due` becomes the time when the sweeper looks again.
    While somebody holds the lease, `due` moves to its end (`wait_for_lease`)."""
    if header is None:
        return Refusal("unknown", None)
    if not header.live:
        return Refusal("finished", header)
    if header.due == due and header.hint == now:
        return header  # my own earlier success
    if header.due != seen_due:
        return Refusal("moved", header)
    if header.lease >= now:
        return Refusal("held", header)
    return replace(header, due=due, hint=now, timer=None, tries=header.tries + 1)


def release(header: Header | None, key: Key, writer: str, due: int, error: str) -> Header | Refusal:
    """Owner, who could not write the journal and says why: the next one need not wait for the end of the lease."""
    refusal = _owned(header, key, writer)
    if refusal is not None:
        return refusal
    assert header is not None
    if header.lease == 0:
        return header  # my own earlier success, or suspended already
    return replace(
        header,
        status="SUSPENDED",
        lease=0,
        due=due,
        hint=due,
        timer=None,
        tries=header.tries + 1,
        doubtful=1,
        error=error,
    )


def progressed(header: Header | None, key: Key, writer: str) -> Header | Refusal:
    """Owner, who has written a segment: `tries` starts from 0 again, and the sweeper looks again when the lease ends, not when
    its pause is over."""
    refusal = _owned(header, key, writer)
    if refusal is not None:
        return refusal
    assert header is not None
    return replace(header, tries=0, due=header.lease + 1)


def wait_for_lease(header: Header | None, seen_due: int, seen_lease: int) -> Header | Refusal:
    """While somebody holds the lease: the sweeper looks again when it ends, not every minute."""
    if header is None or header.due != seen_due or header.lease != seen_lease:
        return Refusal("moved", header)
    return replace(header, due=seen_lease + 1)


def _owned(header: Header | None, key: Key, writer: str) -> Refusal | None:
    if header is None or header.key != key or header.own != writer or not header.live:
        return Refusal("fenced", header)
    return None
