"""The journal in one DynamoDB table.

Each method is one conditional request (two where a value is too large for the header: the value first). Its condition is
the transition's in `core.header`, and when it fails that transition says what the header that stands there means, the
writer's own success after a lost reply included.
"""

from __future__ import annotations

import heapq
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Final

from ...core import header as transitions
from ...core.header import LIVE, Ending, Header, Key, Lease, Parking, Refusal
from ...core.journal import Segment
from ...ports import Due, Entry, Loaded
from ...types import ExecutionStatus
from .items import (
    FUNCTIONS,
    HEADER,
    Item,
    body_of,
    from_entry,
    from_header,
    from_segment,
    from_value,
    header_key,
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
_NAMES: Final = {"#status": "status", "#error": "error", "#result": "result"}  # reserved words


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
            f"{_LIVE} AND lease < :now AND due <= :now",
            "SET #status = :running, own = :own, prev_lease = lease, lease = :end, turns = turns + :one",
            {":now": number(lease.now), ":own": text(lease.writer), ":end": number(lease.end), ":one": number(1)},
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
        self._value(change, header, "error", parking.error)
        transition = partial(transitions.suspend, key=key, writer=writer, parking=parking)
        return self._update(key.id, transition, condition, change.expression, values | change.values)

    def complete(self, header: Header, writer: str, ending: Ending) -> Header | Refusal:
        """[owner, no cancel that was not seen]."""
        key = header.key
        condition = _MINE if ending.cancel_seen else f"{_MINE} AND attribute_not_exists(cancel)"
        change = _Change().set("#status", text(ending.status)).set("lease", number(0))
        change.number("due", None).number("hint", None).number("finished", ending.finished)
        self._value(change, header, "result", ending.result)
        self._value(change, header, "error", ending.error)
        transition = partial(transitions.complete, key=key, writer=writer, ending=ending)
        return self._update(key.id, transition, condition, change.expression, _owner(key, writer) | change.values)

    def postpone(self, id: str, seen_due: int, now: int, due: int) -> Header | Refusal:
        """[due as seen, lease over, live]."""
        reply = self._update(
            id,
            partial(transitions.postpone, seen_due=seen_due, now=now, due=due),
            f"due = :seen AND lease < :now AND {_LIVE}",
            "SET due = :due, hint = :due",
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
        header: Header | None = None
        large: list[str] = []
        values: dict[str, str] = {}
        segments: list[Segment] = []
        inbox: dict[str, Entry] = {}
        inbox_keys, segment_keys, value_keys = inbox_prefix(key), segment_prefix(key), value_key(key, "")["sk"]["S"]
        for item in self._partition(key.id):
            sk = item["sk"]["S"]
            if sk.startswith(segment_keys):
                segments.append(to_segment(item))
            elif sk.startswith(inbox_keys):
                entry = to_entry(key, item)
                inbox[entry.key] = entry
            elif sk.startswith(value_keys):
                values[sk.removeprefix(value_keys)] = body_of(item)
            elif sk == HEADER:
                header, large = to_header(item), large_values(item)
        if header is None or header.key != key:
            return None
        for name in large:
            setattr(header, name, values.get(name))
        return Loaded(header, segments, inbox)

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
        put = {
            "TableName": self.table,
            "Item": from_entry(header, entry),
            "ConditionExpression": "attribute_not_exists(pk)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        bump = {
            "TableName": self.table,
            "Key": header_key(header.id),
            "ConditionExpression": f"run = :run AND gen = :gen AND {_LIVE}",
            "UpdateExpression": "SET n = n + :one, due = :now",
            "ExpressionAttributeNames": {"#status": "status"},
            "ExpressionAttributeValues": _LIVE_VALUES
            | {":run": text(header.run), ":gen": number(header.gen), ":one": number(1), ":now": number(now)},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        try:
            self._request(
                "transact_write_items",
                TransactItems=[{"Put": put}, {"Update": bump}],
                ClientRequestToken=uuid.uuid4().hex,
            )
        except ConditionFailed as failure:
            return self._undelivered(header, entry, failure, now)
        return replace(header, n=header.n + 1, due=now)

    def _undelivered(self, header: Header, entry: Entry, failure: ConditionFailed, now: int) -> Header | Refusal:
        if failure.failed[0]:
            there = to_entry(header.key, failure.items[0] or {})
            return header if there.writer == entry.writer or there.digest == entry.digest else Refusal("moved", header)
        old = failure.items[1]
        return _explain(None if old is None else to_header(old), partial(transitions.deliver, key=header.key, now=now))

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
        items = self._scan(name, status, started_after)
        order: Callable[[Item], Any] = lambda item: (int(item["started"]["N"]), item["pk"]["S"])
        newest = sorted(items, key=order, reverse=True) if limit is None else heapq.nlargest(limit, items, key=order)
        for item in newest:
            yield self._filled(item)

    def _scan(self, name: str | None, status: str | None, started_after: int | None) -> Iterator[Item]:
        wanted = [("sk", "=", text(HEADER))]
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
        for name in large_values(item):
            found = self._get(value_key(header.key, name))
            setattr(header, name, None if found is None else body_of(found))
        return header


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

    def number(self, field: str, value: int | None) -> _Change:
        return self.remove(field) if value is None else self.set(field, number(value))

    @property
    def expression(self) -> str:
        return f"SET {', '.join(self._set)}" + (f" REMOVE {', '.join(self._remove)}" if self._remove else "")


def _owner(key: Key, writer: str) -> Item:
    return {":run": text(key.run), ":gen": number(key.gen), ":own": text(writer)}


def _item(failure: ConditionFailed) -> Item:
    item = failure.items[0]
    assert item is not None, "a condition that wants nothing there failed, and nothing is there"
    return item


def _explain(old: Header | None, transition: Callable[[Header | None], Header | Refusal]) -> Header | Refusal:
    reply = transition(old)
    if isinstance(reply, Header) and reply is not old:
        raise RuntimeError(f"the table refused a change of {old!r} that should be allowed; is another version at work?")
    return reply
