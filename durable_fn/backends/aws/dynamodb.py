"""The journal in one DynamoDB table.

Each method is one conditional request (two where a value is too large for the header: the value first). Its condition is
the transition's in `core.header`, and when it fails that transition says what the header that stands there means, the
writer's own success after a lost reply included.
"""

from __future__ import annotations

import contextlib
import heapq
import logging
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Final

from ...core import header as transitions
from ...core.header import LIVE, Ending, Header, Key, Lease, Note, Parking, Refusal, Renewal
from ...core.inbox import CANCEL, Entry, belongs
from ...core.journal import Segment
from ...core.retention import Edition, removal
from ...errors import ExecutionNotFound
from ...ports import Due, Loaded
from ...types import ExecutionStatus
from .items import (
    FUNCTIONS,
    HEADER,
    Item,
    body_of,
    edition_prefix,
    from_chunk,
    from_entry,
    from_header,
    from_segment,
    from_value,
    header_key,
    horizon_of,
    inbox_prefix,
    inline,
    is_large,
    large_values,
    number,
    segment_prefix,
    text,
    to_entry,
    to_header,
    to_segment,
    value_key,
)
from .requests import ConditionFailed, request

_LIVE: Final = "#status IN (:pending, :running, :suspended)"
_LIVE_VALUES: Final = {f":{status.lower()}": text(status) for status in sorted(LIVE)}
_MINE: Final = f"run = :run AND gen = :gen AND own = :own AND {_LIVE}"
_NAMES: Final = {
    "#status": "status",
    "#error": "error",
    "#result": "result",
    "#input": "input",
    "#ttl": "ttl",
}  # reserved words


_log = logging.getLogger("durable_fn")


class DynamoStore:
    """A JournalStore in a table with the hash key `pk`, the range key `sk` (strings) and the keys-only index `due` (hash
    key `shard`, range key `due`, numbers). `shards` may only grow: one is enough for some hundred starts a second."""

    local = False
    max_body = 380_000  # an item has at most 400 KB, its keys and names included
    skew_ms = 2000

    def __init__(
        self, client: Any, table: str, *, shards: int = 16, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.client = client
        self.table = table
        self.shards = shards
        self._sleep = sleep

    def fits(self, text: str) -> bool:
        return len(text.encode()) <= self.max_body

    def _request(self, action: str, **arguments: Any) -> dict[str, Any]:
        where = f"the DynamoDB table {self.table!r} (DURABLE_FN_TABLE)"
        return request(getattr(self.client, action), self._sleep, where, arguments)

    # -- header ----------------------------------------------------------------------------------------------------

    def create(self, header: Header) -> Header | Refusal:
        """[the id is free]: two starts of one id make one execution."""
        self._put_large(header, "input", header.input)
        try:
            self._put(from_header(header, self.shards), "attribute_not_exists(pk)")
        except ConditionFailed as failure:
            there = to_header(_item(failure))
            return replace(there, input=header.input) if there.run == header.run else Refusal("held", there)
        return header

    def get(self, id: str) -> Header | None:
        item = self._get(header_key(id))
        return None if item is None else self._filled(item)

    def acquire(self, id: str, lease: Lease) -> Header | Refusal:
        """[live, lease over, due]: see `core.header.acquire`."""
        return self._update(
            id,
            partial(transitions.acquire, lease=lease),
            f"{_LIVE} AND lease < :now AND due <= :now" + (" AND fn = :fn" if lease.fn is not None else ""),
            "SET #status = :running, own = :own, prev_lease = lease, lease = :end, turns = turns + :one",
            {":now": number(lease.now), ":own": text(lease.writer), ":end": number(lease.end), ":one": number(1)}
            | ({":fn": text(lease.fn)} if lease.fn is not None else {}),
        )

    def suspend(self, header: Header, writer: str, parking: Parking) -> Header | Refusal:
        """[owner, lease not released, nothing unseen in the inbox]."""
        key = header.key
        condition, values = f"{_MINE} AND lease > :zero", _owner(key, writer) | {":zero": number(0)}
        if parking.seen is not None:
            condition += " AND n = :seen"
            values[":seen"] = number(parking.seen)
        change = _Change().set("#status", text("SUSPENDED")).set("lease", number(0))
        change.set("strikes", number(parking.strikes)).number("due", parking.due).number("hint", parking.hint)
        change.number("timer", parking.timer)
        if parking.edition is not None:
            name, base, horizon = parking.edition
            change.set("edition", text(name)).set("copied", number(base))
            change.set("horizon", number(horizon)).set("#ttl", number(horizon))
        self._value(change, header, "error", parking.error)
        change.text("custom", parking.custom)
        transition = partial(transitions.suspend, key=key, writer=writer, parking=parking)
        return self._update(key.id, transition, condition, change.expression, values | change.values)

    def complete(self, header: Header, writer: str, ending: Ending, note: Note | None = None) -> Header | Refusal:
        """[owner, no cancel that was not seen, nobody waits for it who is not told]."""
        key = header.key
        told, values = _told_all(header)
        condition = f"{_MINE} AND {told}" + ("" if ending.cancel_seen else " AND attribute_not_exists(cancel)")
        change = self._ending(header, ending)
        values = _owner(key, writer) | values | change.values
        transition = partial(transitions.complete, key=key, writer=writer, ending=ending, parent=header.parent)
        if note is not None:
            reply = self._complete_with_note(header, condition, change.expression, values, note, transition)
            if reply is not None:
                return reply
        return self._update(key.id, transition, condition, change.expression, values)

    def _ending(self, header: Header, ending: Ending) -> _Change:
        change = _Change().set("#status", text(ending.status)).set("lease", number(0))
        change.number("due", None).number("hint", None).number("finished", ending.finished)
        ttl = removal(ending.finished, ending.retention or header.retention)
        change.set("#ttl", number(ttl))
        longest = replace(
            header, horizon=max(header.horizon, ttl)
        )  # what the header refers to lives as long as it does
        self._value(change, longest, "result", ending.result)
        self._value(change, longest, "error", ending.error)
        return change.text("custom", ending.custom)

    def _complete_with_note(
        self,
        header: Header,
        condition: str,
        change: str,
        values: Item,
        note: Note,
        transition: Callable[[Header | None], Header | Refusal],
    ) -> Header | Refusal | None:
        """None where only the part of the waiting execution was refused."""
        own = self._header_update(header.id, condition, change, values)
        try:
            self._transact([{"Update": own}, *self._told(header, note)])
        except ConditionFailed as failure:
            if not failure.failed[0]:
                return None
            old = failure.items[0]
            return _explain(None if old is None else to_header(old), transition)
        return self.get(header.id) or Refusal("unknown", None)

    def _told(self, header: Header, note: Note) -> list[dict[str, Any]]:
        """The entry of who waits for this end, and its bump."""
        waiting = Header(
            note.waiting.id, note.fn, note.waiting.run, "", "RUNNING", 0, 0, "", gen=note.waiting.gen,
            horizon=header.horizon,
        )  # fmt: skip
        return [{"Put": self._entry_put(waiting, note.entry)}, {"Update": self._bump(waiting, note.now)}]

    def adopt(self, header: Header, parent: str) -> Header | Refusal:
        """[this run, live, waited for by whom I saw]: its end, which looks at that too, comes before or after."""
        seen, values = _told_all(header)
        return self._update(
            header.id,
            partial(transitions.adopt, run=header.run, seen=header.parent, parent=parent),
            f"run = :run AND {_LIVE} AND {seen}",
            "SET parent = :new_parent",
            {":run": text(header.run), ":new_parent": text(parent)} | values,
        )

    def postpone(self, id: str, seen_due: int, now: int, due: int) -> Header | Refusal:
        """[due as seen, lease over, live]."""
        reply = self._update(
            id,
            partial(transitions.postpone, seen_due=seen_due, now=now, due=due),
            f"due = :seen AND lease < :now AND {_LIVE}",
            "SET due = :due, hint = :due REMOVE timer",
            {":seen": number(seen_due), ":now": number(now), ":due": number(due)},
        )
        if isinstance(reply, Refusal) and reply.reason == "held" and reply.header is not None:
            lease = reply.header.lease
            self._update(
                id,
                partial(transitions.wait_for_lease, seen_due=seen_due, seen_lease=lease),
                f"due = :seen AND lease = :lease AND {_LIVE}",
                "SET due = :due",
                {":seen": number(seen_due), ":lease": number(lease), ":due": number(lease + 1)},
            )
        return reply

    def _update(
        self,
        id: str,
        transition: Callable[[Header | None], Header | Refusal],
        condition: str,
        change: str,
        values: Item,
    ) -> Header | Refusal:
        """One UpdateItem. When its condition fails, the transition says why, or that the change is already made."""
        used = f"{condition} {change}"
        values = _LIVE_VALUES | values if _LIVE in condition else values
        try:
            reply = self._request(
                "update_item",
                TableName=self.table,
                Key=header_key(id),
                ConditionExpression=condition,
                UpdateExpression=change,
                ExpressionAttributeNames={k: v for k, v in _NAMES.items() if k in used},
                ExpressionAttributeValues=values,
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ConditionFailed as failure:
            return _explain(None if failure.items[0] is None else to_header(failure.items[0]), transition)
        return to_header(reply["Attributes"])

    # -- log and inbox ---------------------------------------------------------------------------------------------

    def load(self, key: Key) -> Loaded | None:
        """One strongly consistent Query, all its pages: the header comes first, then the inbox, then the log."""
        reading = Reading(key)
        for item in self._partition(key.id):
            reading.add(item)
        lost = reading.lost()
        if lost is not None:
            there = _old(self._get(header_key(key.id)))
            if there is not None and there.key == key:
                raise _lost(key.id, lost)
            return None  # it went on as the next generation, or was removed, while it was read
        return reading.loaded()

    def _partition(self, id: str) -> Iterator[Item]:
        arguments = {
            "TableName": self.table,
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": text(id)},
            "ConsistentRead": True,
        }
        yield from self._pages("query", arguments)

    def _pages(self, action: str, arguments: dict[str, Any]) -> Iterator[Item]:
        while True:
            page = self._request(action, **arguments)
            yield from page["Items"]
            if not page.get("LastEvaluatedKey"):
                return
            arguments = arguments | {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def append(self, header: Header, segment: Segment) -> bool:
        """[the sequence number is free]: this keeps the log linear and fences a stale owner."""
        try:
            self._put(from_segment(header, segment), "attribute_not_exists(pk)")
        except ConditionFailed as failure:
            return bool(_item(failure)["w"]["S"] == segment.writer)
        return True

    def deliver(self, header: Header, entry: Entry, now: int) -> Header | Refusal:
        """[the key is free] and [live]: entry and bump together, or a wake-up could be lost between them."""
        cancels = entry.key.startswith(CANCEL)
        put, bump = self._entry_put(header, entry), self._bump(header, now, cancel=cancels)
        try:
            self._transact([{"Put": put}, {"Update": bump}])
        except ConditionFailed as failure:
            refusal = self._undelivered(header, entry, failure, now)
            if refusal is not None:
                return refusal
        return replace(header, n=header.n + 1, due=now, timer=None, cancel=header.cancel or cancels)

    def _entry_put(self, header: Header, entry: Entry) -> dict[str, Any]:
        return self._item_put(from_entry(header, entry))

    def _item_put(self, item: Item) -> dict[str, Any]:
        return {
            "TableName": self.table,
            "Item": item,
            "ConditionExpression": "attribute_not_exists(pk)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

    def _bump(self, header: Header, now: int, *, cancel: bool = False) -> dict[str, Any]:
        values = {":run": text(header.run), ":gen": number(header.gen), ":one": number(1), ":now": number(now)}
        change = "SET n = n + :one, due = :now"
        if cancel:
            change, values = f"{change}, cancel = :yes", values | {":yes": {"BOOL": True}}
        change += " REMOVE timer"
        return self._header_update(header.id, f"run = :run AND gen = :gen AND {_LIVE}", change, values)

    def _header_update(self, id: str, condition: str, change: str, values: Item) -> dict[str, Any]:
        """A header's part of a transaction."""
        used = f"{condition} {change}"
        return {
            "TableName": self.table,
            "Key": header_key(id),
            "ConditionExpression": condition,
            "UpdateExpression": change,
            "ExpressionAttributeNames": {k: v for k, v in _NAMES.items() if k in used},
            "ExpressionAttributeValues": (_LIVE_VALUES | values) if _LIVE in condition else values,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

    def _transact(self, items: list[dict[str, Any]]) -> None:
        self._request("transact_write_items", TransactItems=items, ClientRequestToken=uuid.uuid4().hex)

    def _undelivered(self, header: Header, entry: Entry, failure: ConditionFailed, now: int) -> Header | Refusal | None:
        """None: it stands there already."""
        if failure.failed[0]:
            there = to_entry(header.key, failure.items[0] or {})
            mine = there.writer == entry.writer or there.digest == entry.digest
            return None if mine else Refusal("moved", header)
        return _explain(_old(failure.items[1]), partial(transitions.deliver, key=header.key, now=now))

    def expire(self, header: Header, writer: str, entry: Entry, seen: int | None = None) -> Header | Refusal:
        """[the key is free] and [owner]: a completion and a timeout cannot both count."""
        condition, values = _MINE, _owner(header.key, writer) | {":one": number(1)}
        if seen is not None:
            condition, values = f"{condition} AND n = :seen", values | {":seen": number(seen)}
        change = self._header_update(header.id, condition, "SET n = n + :one", values)
        try:
            self._transact([{"Put": self._entry_put(header, entry)}, {"Update": change}])
        except ConditionFailed as failure:
            if failure.failed[0]:
                there = to_entry(header.key, failure.items[0] or {})
                return header if there.writer == entry.writer else Refusal("moved", header)
            return _explain(
                _old(failure.items[1]), partial(transitions.expire, key=header.key, writer=writer, seen=seen)
            )
        return replace(header, n=header.n + 1)

    def decide(self, header: Header, segment: Segment, seen: int) -> Header | Refusal:
        """[the sequence number is free] and [owner, and nothing unseen]: something did not come."""
        values = _owner(header.key, segment.writer) | {":seen": number(seen)}
        check = {
            "TableName": self.table,
            "Key": header_key(header.id),
            "ConditionExpression": f"{_MINE} AND n = :seen",
            "ExpressionAttributeNames": {"#status": "status"},
            "ExpressionAttributeValues": _LIVE_VALUES | values,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        put = self._item_put(from_segment(header, segment))
        try:
            self._transact([{"Put": put}, {"ConditionCheck": check}])
        except ConditionFailed as failure:
            if failure.failed[0]:
                mine = (failure.items[0] or {}).get("w", {}).get("S") == segment.writer
                return header if mine else Refusal("fenced", header)
            transition = partial(transitions.decide, key=header.key, writer=segment.writer, seen=seen)
            return _explain(_old(failure.items[1]), transition)
        return header

    # -- ends and new beginnings -----------------------------------------------------------------------------------

    def terminate(
        self, header: Header, ending: Ending, tombstone: Segment, note: Note | None = None
    ) -> Header | Refusal:
        """[live, nobody else waits for it] and [the sequence number is free]: whoever owns it is fenced at its next append."""
        key = header.key
        change = self._ending(header, ending)
        told, values = _told_all(header)
        condition = f"run = :run AND gen = :gen AND {_LIVE} AND {told}"
        values = {":run": text(key.run), ":gen": number(key.gen)} | values | change.values
        update = self._header_update(key.id, condition, change.expression, values)
        transition = partial(transitions.terminate, key=key, ending=ending, parent=header.parent)
        return self._with_segment(header, tombstone, update, transition, note)

    def revive(self, header: Header, segment: Segment, now: int) -> Header | Refusal:
        """[finished] and [the sequence number is free]."""
        key = header.key
        change = _Change().set("#status", text("PENDING")).set("lease", number(0)).set("#ttl", number(header.horizon))
        change.number("due", now).number("hint", now).number("prev_lease", None).number("deadline", None)
        change.set("turns", number(max(1, header.turns)))
        for name in ("finished", "strikes"):
            change.number(name, None)
        change.remove("#result").remove("#error").remove("cancel")
        condition = f"run = :run AND gen = :gen AND NOT ({_LIVE}) AND #status <> :purged"
        values = {":run": text(key.run), ":gen": number(key.gen), ":purged": text(transitions.PURGED)} | change.values
        update = self._header_update(key.id, condition, change.expression, values)
        return self._with_segment(header, segment, update, partial(transitions.revive, key=key, now=now))

    def _with_segment(
        self,
        header: Header,
        segment: Segment,
        update: dict[str, Any],
        transition: Callable[[Header | None], Header | Refusal],
        note: Note | None = None,
    ) -> Header | Refusal:
        told = [] if note is None else self._told(header, note)
        try:
            self._transact([{"Update": update}, {"Put": self._item_put(from_segment(header, segment))}, *told])
        except ConditionFailed as failure:
            if not any(failure.failed[:2]):  # only the part of who waits was refused
                return self._with_segment(header, segment, update, transition)
            there = failure.items[1]
            if failure.failed[1] and there is not None and there["w"]["S"] == segment.writer:
                return self.get(header.id) or Refusal("unknown", None)
            if failure.failed[0]:
                return _explain(_old(failure.items[0]), transition)
            return Refusal("moved", header)
        return self.get(header.id) or Refusal("unknown", None)

    def renew(self, header: Header, writer: str, renewal: Renewal) -> Header | Refusal:
        """Consumed signals are deleted first, or the next generation would read them again: half done it counts right, because
        the log names them and what it names is in hand. Then [owner, and nothing unseen]; what only the old generation
        reads goes last."""
        key, new = header.key, replace(header, gen=header.gen + 1, horizon=renewal.horizon)
        for used in renewal.used:
            self._delete({"pk": text(key.id), "sk": text(inbox_prefix(key) + used)})
        self._put_large(new, "input", renewal.input)
        change = _Change().set("#status", text("PENDING")).set("lease", number(0)).set("gen", number(new.gen))
        gone = header.gone + len(renewal.used) + len(renewal.closed)
        change.set("gone", number(gone)).set("#input", inline(renewal.input))
        change.set("#ttl", number(renewal.horizon)).set("horizon", number(renewal.horizon)).number("prev_lease", None)
        change.number("due", renewal.now).number("hint", renewal.now).number("deadline", renewal.deadline)
        for field in ("#error", "strikes", "timer", "edition", "copied", *(["cancel"] if renewal.uncancelled else [])):
            change.remove(field)
        values = _owner(key, writer) | {":seen": number(renewal.seen)} | change.values
        update = self._header_update(key.id, f"{_MINE} AND n = :seen", change.expression, values)
        transition = partial(transitions.renew, key=key, writer=writer, renewal=renewal)
        try:
            self._transact([{"Update": update}, {"Put": self._item_put(from_segment(new, renewal.segment))}])
        except ConditionFailed as failure:
            old = _old(failure.items[0])
            if old is None or old.run != key.run or old.gen != new.gen:
                return _explain(old, transition)
        self._forget(key, renewal.closed)
        return self.get(key.id) or Refusal("unknown", None)

    def _forget(self, key: Key, entries: tuple[str, ...]) -> None:
        """Of a generation that is over: its log, its values, what only it read. What is missed is nobody's, and goes by TTL."""
        closed = tuple(inbox_prefix(key) + entry for entry in entries)
        whole = (segment_prefix(key), edition_prefix(key), value_key(key, "")["sk"]["S"])
        for item in self._partition(key.id):
            sk = item["sk"]["S"]
            if sk.startswith(whole) or sk in closed:
                self._delete({"pk": item["pk"], "sk": item["sk"]})

    def leave(self, header: Header, entries: list[Entry]) -> None:
        for entry in entries:
            self._request("put_item", TableName=self.table, Item=from_entry(header, entry))

    def keep(self, header: Header, edition: Edition, chunks: list[str], entries: list[Entry]) -> None:
        for part, chunk in enumerate(chunks):
            self._request("put_item", TableName=self.table, Item=from_chunk(header, edition, part, chunk))
        inbox = inbox_prefix(header.key)
        keys = [{"pk": text(header.id), "sk": text(inbox + entry.key)} for entry in entries]
        if chunks and is_large(header.input):
            there = self._get(header_key(header.id)) or {}
            keys += [value_key(header.key, called) for called in large_values(there).values()]
        for key in keys:
            self._stamp(key, edition.horizon)

    def _stamp(self, key: Item, horizon: int) -> None:
        """[there, and earlier]: a copy of an older request that comes late must not shorten a life."""
        with contextlib.suppress(ConditionFailed):
            self._request(
                "update_item",
                TableName=self.table,
                Key=key,
                ConditionExpression="attribute_exists(pk) AND #ttl < :ttl",
                UpdateExpression="SET #ttl = :ttl",
                ExpressionAttributeNames={"#ttl": "ttl"},
                ExpressionAttributeValues={":ttl": number(horizon)},
            )

    def _delete(self, key: Item) -> None:
        self._request("delete_item", TableName=self.table, Key=key)

    def retire(self, header: Header) -> Header | Refusal:
        """[finished]: a status that nothing goes on from."""
        condition = f"run = :run AND NOT ({_LIVE})"
        values = {":run": text(header.run), ":purged": text(transitions.PURGED)}
        transition = partial(transitions.retire, key=header.key)
        return self._update(header.id, transition, condition, "SET #status = :purged", values)

    def remove(self, header: Header) -> None:
        for item in self._partition(header.id):
            if item["sk"]["S"] != HEADER:
                self._delete({"pk": item["pk"], "sk": item["sk"]})
        with contextlib.suppress(ConditionFailed):
            self._delete_retired(header)

    def _delete_retired(self, header: Header) -> None:
        """[this run, retired]: another purge may have been quicker, and the id be in use again."""
        self._request(
            "delete_item",
            TableName=self.table,
            Key=header_key(header.id),
            ConditionExpression="run = :run AND #status = :purged",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":run": text(header.run), ":purged": text(transitions.PURGED)},
        )

    # -- index -----------------------------------------------------------------------------------------------------

    def due(self, shard: int, now: int, limit: int) -> list[Due]:
        reply = self._request(
            "query",
            TableName=self.table,
            IndexName="due",
            KeyConditionExpression="#shard = :shard AND due <= :now",
            ExpressionAttributeNames={"#shard": "shard"},
            ExpressionAttributeValues={":shard": number(shard), ":now": number(now)},
            Limit=limit,
        )
        return [Due(item["pk"]["S"], int(item["due"]["N"])) for item in reply["Items"]]

    def executions(
        self, name: str | None, status: ExecutionStatus | None, started_after: int | None, limit: int | None
    ) -> Iterator[Header]:
        """A scan: an index over starts would cost every execution a write, and is wanted only by people."""
        items = filter(_is_whole, self._scan(name, status, started_after))
        order: Callable[[Item], Any] = lambda item: (int(item["started"]["N"]), item["pk"]["S"])
        newest = sorted(items, key=order, reverse=True) if limit is None else heapq.nlargest(limit, items, key=order)
        for item in newest:
            try:
                yield self._filled(item)
            except ExecutionNotFound:  # it is being removed, and no reason to show nothing of the others
                yield to_header(item)

    def _scan(self, name: str | None, status: str | None, started_after: int | None) -> Iterator[Item]:
        wanted = [("sk", "=", text(HEADER)), ("pk", "<>", text(FUNCTIONS))]  # a function may be called "H"
        wanted += [("fn", "=", text(name))] if name is not None else []
        wanted += [("status", "=", text(status))] if status is not None else []
        wanted += [("started", ">=", number(started_after))] if started_after is not None else []
        arguments = {
            "TableName": self.table,
            "FilterExpression": " AND ".join(f"#{field} {sign} :{field}" for field, sign, _ in wanted),
            "ExpressionAttributeNames": {f"#{field}": field for field, _, _ in wanted},
            "ExpressionAttributeValues": {f":{field}": value for field, _, value in wanted},
        }
        yield from self._pages("scan", arguments)

    # -- functions -------------------------------------------------------------------------------------------------

    def register(self, fn: str, queue: str) -> None:
        """Reads before it writes: nearly always the row is there already."""
        if self.locate(fn) != queue:
            item = {"pk": text(FUNCTIONS), "sk": text(fn), "queue": text(queue)}
            self._request("put_item", TableName=self.table, Item=item)

    def locate(self, fn: str) -> str | None:
        item = self._get({"pk": text(FUNCTIONS), "sk": text(fn)})
        return None if item is None else str(item["queue"]["S"])

    # -- items -----------------------------------------------------------------------------------------------------

    def _get(self, key: Item) -> Item | None:
        reply = self._request("get_item", TableName=self.table, Key=key, ConsistentRead=True)
        item: Item | None = reply.get("Item")
        return item

    def _put(self, item: Item, condition: str) -> None:
        self._request(
            "put_item",
            TableName=self.table,
            Item=item,
            ConditionExpression=condition,
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )

    def _put_large(self, header: Header, name: str, value: str | None) -> None:
        """Before the header that refers to it. Written over by whoever owns the run: that is one invocation."""
        if value is not None and is_large(value):
            self._request("put_item", TableName=self.table, Item=from_value(header, name, value))

    def _value(self, change: _Change, header: Header, name: str, value: str | None) -> None:
        self._put_large(header, name, value)
        if value is None:
            change.remove(f"#{name}")
        else:
            change.set(f"#{name}", inline(value))

    def _filled(self, item: Item) -> Header:
        """The header with its large values."""
        header = to_header(item)
        for name, called in large_values(item).items():
            found = self._get(value_key(header.key, called))
            if found is None:
                raise _lost(header.id, name)
            setattr(header, name, body_of(found))
        return header


class Reading:
    """The items of a partition, in the order of their keys, as one execution. Copies of the log come before the header, that
    before the inbox, that before the log."""

    def __init__(self, key: Key) -> None:
        self._key = key
        self._header: Header | None = None
        self._large: dict[str, str] = {}
        self._values: dict[str, Item] = {}
        self._copies: dict[str, list[Item]] = {}
        self._tail: list[Item] = []
        self._inbox: dict[str, Entry] = {}
        self._log, self._entries = segment_prefix(key), inbox_prefix(key)
        self._copied, self._named = edition_prefix(key), value_key(key, "")["sk"]["S"]

    def add(self, item: Item) -> None:
        sk = item["sk"]["S"]
        if sk.startswith(self._log):
            self._tail.append(item)
        elif sk.startswith(self._entries):
            entry = to_entry(self._key, item)
            if belongs(entry.key, self._key.gen):
                self._inbox[entry.key] = entry
        elif sk.startswith(self._copied):
            self._copies.setdefault(sk.removeprefix(self._copied).partition("#")[0], []).append(item)
        elif sk.startswith(self._named):
            self._values[sk.removeprefix(self._named)] = item
        elif sk == HEADER:
            self._header, self._large = to_header(item), large_values(item)

    def lost(self) -> str | None:
        """The name of a value that the header says is there, and is not."""
        if self._header is None or self._header.key != self._key:
            return None
        return next((name for name, called in self._large.items() if called not in self._values), None)

    def loaded(self) -> Loaded | None:
        header = self._header
        if header is None or header.key != self._key:
            return None
        tail = [(to_segment(item), item) for item in self._tail]
        tail = [(segment, item) for segment, item in tail if segment.seq >= header.copied]
        copied = self._copies.get(header.edition, []) if header.edition else []
        large = [self._values[called] for called in self._large.values()]
        for name, called in self._large.items():
            setattr(header, name, body_of(self._values[called]))
        stamps = [horizon_of(item) for item in (*copied, *(item for _, item in tail), *large)]
        horizon = min((stamp for stamp in stamps if stamp), default=0)
        return Loaded(
            header, [segment for segment, _ in tail], self._inbox, [body_of(item) for item in copied], horizon
        )


class _Change:
    """An UpdateExpression in the making. Field names are ours, values never stand in the text."""

    def __init__(self) -> None:
        self._set: list[str] = []
        self._remove: list[str] = []
        self.values: Item = {}

    def set(self, field: str, value: dict[str, Any]) -> _Change:
        name = f":new_{field.lstrip('#')}"
        self._set.append(f"{field} = {name}")
        self.values[name] = value
        return self

    def remove(self, field: str) -> _Change:
        self._remove.append(field)
        return self

    def text(self, field: str, value: str | None) -> _Change:
        """Left alone where there is none."""
        return self if value is None else self.set(field, text(value))

    def number(self, field: str, value: int | None) -> _Change:
        return self.remove(field) if value is None else self.set(field, number(value))

    @property
    def expression(self) -> str:
        return f"SET {', '.join(self._set)}" + (f" REMOVE {', '.join(self._remove)}" if self._remove else "")


def _owner(key: Key, writer: str) -> Item:
    return {":run": text(key.run), ":gen": number(key.gen), ":own": text(writer)}


def _lost(id: str, name: str) -> ExecutionNotFound:
    """Not None, which would be a value: an execution must not be taken for one with the input or the result null."""
    return ExecutionNotFound(
        f"the {name} of execution {id!r} is not there any more: its item was removed, though the execution still is. Its "
        "retention is over, or something else deletes from the table"
    )


def _told_all(header: Header) -> tuple[str, Item]:
    """The condition that nobody else began to wait for the end since this header was read."""
    if header.parent is None:
        return "attribute_not_exists(parent)", {}
    return "parent = :parent", {":parent": text(header.parent)}


def _item(failure: ConditionFailed) -> Item:
    item = failure.items[0]
    assert item is not None, "a condition that wants nothing there failed, and nothing is there"
    return item


def _old(item: Item | None) -> Header | None:
    return None if item is None else to_header(item)


def _is_whole(item: Item) -> bool:
    """One damaged header, which this version did not write, must not hide the other executions."""
    try:
        to_header(item)
    except Exception as error:
        _log.warning("execution %r is left out: its header cannot be read: %r", item.get("pk", {}).get("S"), error)
        return False
    return True


def _explain(old: Header | None, transition: Callable[[Header | None], Header | Refusal]) -> Header | Refusal:
    reply = transition(old)
    if isinstance(reply, Header) and reply is not old:
        raise RuntimeError(f"the table refused a change of {old!r} that should be allowed; is another version at work?")
    return reply
