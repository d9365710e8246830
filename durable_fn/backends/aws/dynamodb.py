"""The journal in one DynamoDB table.

Each method is one conditional request (two where a value is too large for the header: the value first). Conditions of the
header, and what their failure means, are in `transitions`; here stands what goes along with a transition.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from ...errors import JournalDamaged
from ...log.events import Segment
from ...log.header import Header, Refusal, outlined
from ...log.inbox import CANCEL, MARK_S, REDRIVE, SIGNAL, Entry
from ...log.requests import Ending, Key, Lease, ParentNotice, Parking, Renewal
from ...log.retention import Snapshot, removal
from ...log.selection import Position, Selection
from ..ports import Due, Found, Loaded
from . import transitions
from .items import (
    FUNCTIONS,
    Item,
    entry_key,
    from_entry,
    from_header,
    from_mark,
    from_segment,
    header_key,
    number,
    segment_prefix,
    text,
    to_entry,
    to_header,
)
from .reading import Reading
from .requests import ConditionFailed
from .table import Table, new, new_for_now, over
from .transitions import Transition
from .values import LargeValues, lost

if TYPE_CHECKING:
    from .retention import Retention


_MOST_PARTS: Final = 100  # of a transaction


class DynamoStore:
    """A JournalStore in a table with the hash key `pk`, the range key `sk` (strings) and the keys-only index `due` (hash
    key `shard`, range key `due`, numbers). `shards` may only grow: one is enough for some hundred starts a second."""

    local = False
    max_body = 380_000  # an item has at most 400 KB, its keys and names included
    skew_ms = 2000
    encrypts = False

    def __init__(
        self, client: Any, table: str, *, shards: int = 16, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.table = Table(client, table, sleep)
        self.shards = shards
        self._values = LargeValues(self.table)

    def fits(self, text: str) -> bool:
        return len(text.encode()) <= self.max_body

    # -- header ----------------------------------------------------------------------------------------------------

    def create(self, header: Header) -> Header | Refusal:
        """[the id is free]: two starts of one id make one execution."""
        self._values.put(header, input=header.input)
        item = self.table.put_new(from_header(header, self.shards))
        if item is None:
            return header
        there = to_header(item)
        return replace(there, input=header.input) if there.run == header.run else Refusal("held", there)

    def create_all(self, headers: list[Header]) -> list[Header | Refusal]:
        """Several at once. A batch has no conditions, and a transaction costs twice as much."""
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(16) as pool:
            return list(pool.map(self.create, headers))

    def get(self, id: str) -> Header | None:
        item = self.table.get(header_key(id))
        return None if item is None else self._values.filled(item)

    def head(self, id: str) -> Header | None:
        item = self.table.get(header_key(id))
        return None if item is None else outlined(to_header(item))

    def unsealed(self, header: Header) -> Header:
        return header

    def acquire(self, id: str, lease: Lease) -> Header | Refusal:
        return self._make(transitions.acquire(id, lease))

    def suspend(self, header: Header, writer: str, parking: Parking) -> Header | Refusal:
        self._values.put(header, error=parking.error)
        return self._make(transitions.suspend(header, writer, parking))

    def complete(
        self, header: Header, writer: str, ending: Ending, note: ParentNotice | None = None
    ) -> Header | Refusal:
        self._put_values(header, ending)
        transition = transitions.complete(header, writer, ending)
        return self._make(transition) if note is None else self._make_and_tell(transition, header, note)

    def release(self, header: Header, writer: str, due: int, error: str) -> Header | Refusal:
        self._values.put(header, error=error)
        return self._make(transitions.release(header, writer, due, error))

    def progressed(self, header: Header, writer: str) -> Header | Refusal:
        return self._make(transitions.progressed(header, writer))

    def set_parent(self, header: Header, parent: str) -> Header | Refusal:
        return self._make(transitions.set_parent(header, parent))

    def postpone(self, id: str, seen_due: int, now: int, due: int) -> Header | Refusal:
        reply = self._make(transitions.postpone(id, seen_due, now, due))
        if isinstance(reply, Refusal) and reply.reason == "held" and reply.header is not None:
            self._make(transitions.wait_for_lease(id, seen_due, reply.header.lease))
        return reply

    def _make(self, transition: Transition) -> Header | Refusal:
        """One UpdateItem."""
        try:
            reply = self.table.update(**transition.arguments, ReturnValues="ALL_NEW")
        except ConditionFailed as failure:
            return transition.refused(failure.items[0])
        return to_header(reply["Attributes"])

    def _make_and_tell(self, transition: Transition, header: Header, note: ParentNotice) -> Header | Refusal:
        """And tells whoever waits for it; alone where only the telling is refused."""
        try:
            self.table.transact(transition.part, *_told(header, note))
        except ConditionFailed as failure:
            return transition.refused(failure.items[0]) if failure.failed[0] else self._make(transition)
        return self._standing(header.id)

    def _standing(self, id: str) -> Header | Refusal:
        """After a transaction, which returns nothing. Large values are not read."""
        item = self.table.get(header_key(id))
        return Refusal("unknown", None) if item is None else to_header(item)

    def _put_values(self, header: Header, ending: Ending) -> None:
        """They live as long as the header that refers to them."""
        ttl = removal(ending.finished, ending.retention or header.retention)
        longest = replace(header, horizon=max(header.horizon, ttl))
        self._values.put(longest, result=ending.result, error=ending.error)

    # -- log and inbox ---------------------------------------------------------------------------------------------

    def load(self, key: Key) -> Loaded | None:
        """One strongly consistent Query, all its pages: the header comes first, then the inbox, then the log."""
        reading = Reading(key)
        for item in self.table.partition(key.id):
            reading.add(item)
        name = reading.lost()
        if name is None:
            return reading.loaded()
        there = self.table.get(header_key(key.id))
        if there is not None and to_header(there).key == key:
            raise JournalDamaged(str(lost(key.id, name)))
        return None  # it went on as the next generation, or was removed, while it was read

    def tail(self, header: Header) -> int:
        """The log before `copied` may be removed already."""
        prefix = segment_prefix(header.key)
        reply = self.table.request(
            "query",
            TableName=self.table.name,
            KeyConditionExpression="pk = :pk AND begins_with(sk, :log)",
            ExpressionAttributeValues={":pk": text(header.id), ":log": text(prefix)},
            ProjectionExpression="sk",
            ScanIndexForward=False,
            Limit=1,
            ConsistentRead=True,
        )
        last = [int(item["sk"]["S"].removeprefix(prefix)) for item in reply["Items"]]
        return max([header.copied, *(number + 1 for number in last)])

    def append(self, header: Header, segment: Segment) -> bool:
        """[the sequence number is free]: this keeps the log linear and fences a stale owner."""
        there = self.table.put_new(from_segment(header, segment))
        return there is None or _is_of(segment, there)

    def deliver(self, header: Header, entry: Entry, now: int, once: str = "") -> Header | Refusal:
        """[the key is free] and [live]: entry and bump together, or a wake-up could be lost between them. A signal also [nothing
        came since its sender looked]: none goes before one that was accepted earlier. With an id also [no mark of it]."""
        cancels = entry.key.startswith(CANCEL)
        again, ordered = entry.key.startswith(REDRIVE), entry.key.startswith(SIGNAL)
        bump = transitions.deliver(header, now, cancel=cancels, ordered=ordered, again=again)
        marks = [{"Put": new_for_now(from_mark(header, once, entry.writer, now // 1000 + MARK_S), now)}] if once else []
        try:
            self.table.transact({"Put": new(from_entry(header, entry))}, bump.part, *marks)
        except ConditionFailed as failure:
            if once and failure.failed[2] and (failure.items[2] or {})["w"]["S"] != entry.writer:
                return Refusal("repeated", None)
            if not failure.failed[0]:
                refused = bump.refused(failure.items[1])
                ended = isinstance(refused, Refusal) and refused.reason == "finished"
                return Refusal("repeated", None) if ended and once and self._is_marked(header, once, now) else refused
            there = to_entry(header.key, failure.items[0] or {})
            if there.writer != entry.writer and there.digest != entry.digest:
                return Refusal("moved", header)
        return replace(header, n=header.n + 1, due=now, timer=None, cancel=header.cancel or cancels, updated=now)

    def _is_marked(self, header: Header, once: str, now: int) -> bool:
        """Nobody promises that a transaction names every condition that failed."""
        there = self.table.get({name: from_mark(header, once, "", 0)[name] for name in ("pk", "sk")})
        return there is not None and int(there["ttl"]["N"]) > now // 1000

    def beat(self, header: Header, entry: Entry, now: int) -> Header | Refusal:
        """[live], and whether the key is free or not says whether an older one is replaced."""
        item = from_entry(header, entry)
        while True:
            for put, instead in ((over(item), True), (new(item), False)):
                bump = transitions.deliver(header, now, instead=instead)
                try:
                    self.table.transact({"Put": put}, bump.part)
                except ConditionFailed as failure:
                    if failure.failed[1]:
                        return bump.refused(failure.items[1])
                else:
                    return replace(header, n=header.n + 1, gone=header.gone + instead, due=now, timer=None,
                                   updated=now)  # fmt: skip

    def entry(self, key: Key, name: str) -> Entry | None:
        item = self.table.get(entry_key(key, name))
        return None if item is None else to_entry(key, item)

    def expire(self, header: Header, writer: str, entry: Entry, seen: int | None = None) -> Header | Refusal:
        """[the key is free] and [owner]: a completion and a timeout cannot both count."""
        count = transitions.expire(header, writer, seen)
        try:
            self.table.transact({"Put": new(from_entry(header, entry))}, count.part)
        except ConditionFailed as failure:
            if not failure.failed[0]:
                return count.refused(failure.items[1])
            there = to_entry(header.key, failure.items[0] or {})
            return header if there.writer == entry.writer else Refusal("moved", header)
        return replace(header, n=header.n + 1)

    def decide(self, header: Header, segment: Segment, seen: int) -> Header | Refusal:
        """[the sequence number is free] and [owner, and nothing unseen]: something did not come."""
        look = transitions.decide(header, segment.writer, seen)
        try:
            self.table.transact({"Put": new(from_segment(header, segment))}, look.part)
        except ConditionFailed as failure:
            if not failure.failed[0]:
                return look.refused(failure.items[1])
            return header if _is_of(segment, failure.items[0]) else Refusal("fenced", header)
        return header

    def leave(self, header: Header, entries: list[Entry]) -> None:
        for entry in entries:
            self.table.put(from_entry(header, entry))

    # -- ends and new beginnings -----------------------------------------------------------------------------------

    def terminate(
        self, header: Header, ending: Ending, tombstone: Segment, note: ParentNotice | None = None
    ) -> Header | Refusal:
        """Whoever owns it is fenced at its next append."""
        self._put_values(header, ending)
        return self._make_with(tombstone, transitions.terminate(header, ending), header, note)

    def revive(self, header: Header, segment: Segment, now: int) -> Header | Refusal:
        return self._make_with(segment, transitions.revive(header, now), header)

    def _make_with(
        self, segment: Segment, transition: Transition, header: Header, note: ParentNotice | None = None
    ) -> Header | Refusal:
        """[the sequence number is free]."""
        told = [] if note is None else _told(header, note)
        try:
            self.table.transact(transition.part, {"Put": new(from_segment(header, segment))}, *told)
        except ConditionFailed as failure:
            if not any(failure.failed[:2]):  # only the part of who waits was refused
                return self._make_with(segment, transition, header)
            if failure.failed[1] and _is_of(segment, failure.items[1]):
                return self._standing(header.id)
            return transition.refused(failure.items[0]) if failure.failed[0] else Refusal("moved", header)
        return self._standing(header.id)

    def renew(self, header: Header, writer: str, renewal: Renewal) -> Header | Refusal:
        """[owner, and nothing unseen]. Consumed signals go along, or the next generation would read them again. What is too much
        for one transaction goes before, on the same condition: the log of a stale owner may be forgotten, and it would delete
        what it only thinks it consumed. Half done it counts right, because the log names them and what it names is in
        hand. What only the old generation reads goes last."""
        key, next = header.key, replace(header, gen=header.gen + 1, horizon=renewal.horizon)
        consumed = [{"Delete": {"Key": entry_key(key, used)}} for used in renewal.used]
        self._values.put(next, input=renewal.input)
        transition = transitions.renew(header, writer, renewal)
        look = transitions.decide(header, writer, renewal.seen)
        begin = {"Put": new(from_segment(next, renewal.segment))}
        try:
            while len(consumed) > _MOST_PARTS - 2:
                self.table.transact(look.part, *consumed[: _MOST_PARTS - 1])
                del consumed[: _MOST_PARTS - 1]
            self.table.transact(transition.part, begin, *consumed)
        except ConditionFailed as failure:
            there = None if failure.items[0] is None else to_header(failure.items[0])
            if there is None or there.key != next.key:
                return transition.refused(failure.items[0])
        self._retention.forget(key, renewal.closed)
        return self._standing(key.id)

    # -- retention -------------------------------------------------------------------------------------------------

    @cached_property
    def _retention(self) -> Retention:
        """Most invocations need it not, and a cold start pays for each import."""
        from .retention import Retention

        return Retention(self.table)

    def keep(self, header: Header, snapshot: Snapshot, chunks: list[str], entries: list[Entry]) -> None:
        self._retention.keep(header, snapshot, chunks, entries)

    def prolong(self, header: Header, horizon: int) -> None:
        self._retention.prolong(header, horizon)

    def retire(self, header: Header) -> Header | Refusal:
        return self._make(transitions.retire(header))

    def remove(self, header: Header) -> None:
        self._retention.remove(header)

    # -- index -----------------------------------------------------------------------------------------------------

    def due(self, shard: int, now: int, limit: int, *, after: Due | None = None) -> list[Due]:
        page: dict[str, Any] = {}
        if after is not None:
            page["ExclusiveStartKey"] = {**header_key(after.id), "shard": number(shard), "due": number(after.due)}
        reply = self.table.request(
            "query",
            TableName=self.table.name,
            IndexName="due",
            KeyConditionExpression="#shard = :shard AND due <= :now",
            ExpressionAttributeNames={"#shard": "shard"},
            ExpressionAttributeValues={":shard": number(shard), ":now": number(now)},
            Limit=limit,
            **page,
        )
        return [Due(item["pk"]["S"], int(item["due"]["N"])) for item in reply["Items"]]

    def find(
        self, wanted: Selection, after: Position | None = None, limit: int | None = None, *, scan: bool = False
    ) -> Found:
        from .listing import Listing

        return Listing(self.table, self.shards).find(wanted, after, limit, scan=scan)

    # -- functions -------------------------------------------------------------------------------------------------

    def register(self, fn: str, queue: str, id_rule: str = "") -> None:
        """Reads before it writes: nearly always the row is there already."""
        row = {"pk": text(FUNCTIONS), "sk": text(fn), "queue": text(queue), "id_rule": text(id_rule)}
        if self._row(fn) != row:
            self.table.put(row)

    def _row(self, fn: str) -> Item | None:
        return self.table.get({"pk": text(FUNCTIONS), "sk": text(fn)})

    def locate(self, fn: str) -> str | None:
        row = self._row(fn)
        return None if row is None else str(row["queue"]["S"])

    def id_rule(self, fn: str) -> str | None:
        """None also for the row of a version that did not write it."""
        row = self._row(fn)
        return None if row is None or "id_rule" not in row else str(row["id_rule"]["S"])

    def functions(self) -> list[str]:
        return [item["sk"]["S"] for item in self.table.rows(FUNCTIONS)]


def _told(header: Header, note: ParentNotice) -> list[dict[str, dict[str, Any]]]:
    """The entry of who waits for this end, and its bump."""
    waiting = Header(
        note.waiting.id,
        note.fn,
        note.waiting.run,
        "",
        "RUNNING",
        0,
        0,
        "",
        gen=note.waiting.gen,
        horizon=header.horizon,
    )
    bump = transitions.deliver(waiting, note.now)
    return [{"Put": new(from_entry(waiting, note.entry))}, bump.part]


def _is_of(segment: Segment, there: Item | None) -> bool:
    """My own earlier success, after a lost reply."""
    return there is not None and bool(there["w"]["S"] == segment.writer)
