"""The executions of a table, for people.

The index `listing` (hash key `shard`, range key `shelf`, with `fn`) has a row for each execution, by its coarse state and
its start (`log/selection.py`). A list asks each shard for each state that may match, merges what comes by time, and reads
the headers. A table without the index is scanned.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from typing import Any, Final, NamedTuple

from ...log.header import Header
from ...log.selection import Position, Selection, position, shelf
from ..ports import Found
from .items import FUNCTIONS, HEADER, Item, body_of, header_key, large_values, number, text, to_header, value_key
from .requests import code_of
from .table import Table

_log = logging.getLogger("durable_fn")

INDEX: Final = "listing"
_AT_ONCE: Final = 16
_LAST: Final = 10**15 - 1
_MOST_KEYS: Final = 2000
"""Rows of the index that a page looks at, and as many headers as are wanted, twice: what a page costs is bounded by both."""


class Key(NamedTuple):
    """A row of the index. It may be stale."""

    started: int
    id: str
    fn: str


class Listing:
    """One list, or a page of it. `units`: read units so far, as DynamoDB told."""

    def __init__(self, table: Table, shards: int) -> None:
        self._table = table
        self._shards = shards
        self.units = 0.0

    def find(self, wanted: Selection, after: Position | None, limit: int | None, *, scan: bool) -> Found:
        if not scan:
            try:
                return self._by_index(wanted, after, limit)
            except Exception as error:
                if not _lacks_index(error):
                    raise
                _log.debug("the table has no index %r that can be read: it is scanned", INDEX)
        return self._by_scan(wanted, after, limit)

    # -- by the index ----------------------------------------------------------------------------------------------

    def _by_index(self, wanted: Selection, after: Position | None, limit: int | None) -> Found:
        keys, seen = self._keys(wanted, after, limit), 0
        headers: list[Header] = []
        last = after
        most = None if limit is None else 2 * limit
        while limit is None or (len(headers) < limit and seen < _MOST_KEYS and most):
            size = 100 if limit is None else min(100, limit - len(headers))
            looked = 0
            batch = []
            for key in islice(keys, _MOST_KEYS if limit is None else _MOST_KEYS - seen):
                looked, last = looked + 1, Position(key.started, key.id)
                if wanted.may_match(key.fn, key.id):
                    batch.append(key.id)
                if len(batch) == (size if most is None else min(size, most)):
                    break
            if not looked:
                return Found(headers, None, self.units)
            seen += looked
            most = None if most is None else most - len(batch)
            headers += [header for header in self._headers(batch) if wanted.matches(header)]
        return Found(headers, last, self.units)

    def _keys(self, wanted: Selection, after: Position | None, limit: int | None) -> Iterator[Key]:
        """Newest first. One that moves meanwhile may stand in the index twice."""
        rows = [
            _Shelf(self, shard, state, wanted, after, 250 if limit is None else limit // 4 + 5)
            for state in wanted.states()
            for shard in range(self._shards)
        ]
        self._begin(rows)
        merged = heapq.merge(*rows, key=lambda key: key[:2], reverse=True)
        return (next(same) for _, same in groupby(merged, key=lambda key: key[:2]))

    def _begin(self, rows: list[_Shelf]) -> None:
        """The first page of each, several at once: they take as long as the slowest."""
        from concurrent.futures import ThreadPoolExecutor

        if rows:
            rows[0].read()  # alone: a table without the index says so once
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(_Shelf.read, rows[1:]))

    def query(self, **arguments: Any) -> dict[str, Any]:
        reply = self._table.request(
            "query", TableName=self._table.name, IndexName=INDEX, ReturnConsumedCapacity="TOTAL", **arguments
        )
        self._count(reply.get("ConsumedCapacity"))
        return reply

    def _headers(self, ids: list[str]) -> list[Header]:
        """In this order, with their errors."""
        found = {item["pk"]["S"]: item for item in self._batch([header_key(id) for id in ids])}
        return self._read([found[id] for id in ids if id in found])

    def _read(self, items: Iterable[Item]) -> list[Header]:
        """One damaged header, which this version did not write, must not hide the other executions."""
        headers: list[Header] = []
        large: dict[tuple[str, str], Header] = {}
        for item in items:
            try:
                header = to_header(item)
                called = None if header.foreign else large_values(item).get("error")
            except Exception as error:
                id = item.get("pk", {}).get("S")
                _log.warning("execution %r is left out: its header cannot be read: %r", id, error)
                continue
            headers.append(header)
            if called is not None:
                key = value_key(header.key, called)
                large[key["pk"]["S"], key["sk"]["S"]] = header
        for item in self._batch([{"pk": text(pk), "sk": text(sk)} for pk, sk in large]):
            header = large[item["pk"]["S"], item["sk"]["S"]]
            try:
                header.error = body_of(item)
            except (KeyError, TypeError, ValueError) as error:
                _log.warning("the error of execution %r cannot be read: %r", header.id, error)
        return headers

    def _batch(self, keys: list[Item]) -> Iterator[Item]:
        """A hundred at a time. What the table has no time for is asked for again."""
        for start in range(0, len(keys), 100):
            left = {self._table.name: {"Keys": keys[start : start + 100]}}
            while left:
                reply = self._table.request("batch_get_item", RequestItems=left, ReturnConsumedCapacity="TOTAL")
                for capacity in reply.get("ConsumedCapacity", []):
                    self._count(capacity)
                yield from reply["Responses"].get(self._table.name, [])
                left = reply.get("UnprocessedKeys") or {}

    def _count(self, capacity: dict[str, Any] | None) -> None:
        self.units += float((capacity or {}).get("CapacityUnits", 0))

    # -- by a scan -------------------------------------------------------------------------------------------------

    def _by_scan(self, wanted: Selection, after: Position | None, limit: int | None) -> Found:
        conditions: list[tuple[str, str, dict[str, Any]]] = [
            ("sk", "=", text(HEADER)),
            ("pk", "<>", text(FUNCTIONS)),  # a function may be called "H"
        ]
        conditions += [("fn", "=", text(wanted.fn))] if wanted.fn is not None else []
        if wanted.started_after is not None:
            conditions.append(("started", ">=", number(wanted.started_after)))
        items = self._scanned(
            FilterExpression=" AND ".join(f"#{field} {sign} :{field}" for field, sign, _ in conditions),
            ExpressionAttributeNames={f"#{field}": field for field, _, _ in conditions},
            ExpressionAttributeValues={f":{field}": value for field, _, value in conditions},
        )
        matching = (header for header in self._outlines(items) if wanted.matches(header))
        rest = (header for header in matching if after is None or position(header) < after)
        if limit is None:
            headers = sorted(rest, key=position, reverse=True)
        else:
            headers = heapq.nlargest(limit + 1, rest, key=position)
        more = limit is not None and len(headers) > limit
        headers = headers[:limit]
        last = position(headers[-1]) if more and headers else None
        read = {header.id: header for header in self._headers([h.id for h in headers if h.error == _CUT])}
        whole = [header if header.error != _CUT else read.get(header.id) for header in headers]
        return Found([header for header in whole if header is not None], last, self.units, scanned=True)

    def _scanned(self, **arguments: Any) -> Iterator[Item]:
        while True:
            page = self._table.request("scan", TableName=self._table.name, ReturnConsumedCapacity="TOTAL", **arguments)
            self._count(page.get("ConsumedCapacity"))
            yield from page["Items"]
            if not page.get("LastEvaluatedKey"):
                return
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def _outlines(self, items: Iterable[Item]) -> Iterator[Header]:
        """A large error counts as one, before it is read."""
        for item in items:
            try:
                header = to_header(item)
                if "error" in large_values(item):
                    header.error = _CUT
            except Exception as error:
                id = item.get("pk", {}).get("S")
                _log.warning("execution %r is left out: its header cannot be read: %r", id, error)
            else:
                yield header


_CUT: Final = "\x00"


class _Shelf:
    """The rows of one shard in one state, newest first; of one time, the largest id first."""

    def __init__(
        self, listing: Listing, shard: int, state: str, wanted: Selection, after: Position | None, size: int
    ) -> None:
        self._listing = listing
        self._after = after
        newest = _LAST if wanted.started_before is None else wanted.started_before - 1
        newest = newest if after is None else min(newest, after.started)
        self._arguments: dict[str, Any] = {
            "KeyConditionExpression": "shard = :shard AND shelf BETWEEN :first AND :last",
            "ExpressionAttributeValues": {
                ":shard": number(shard),
                ":first": text(shelf(state, max(0, wanted.started_after or 0))),
                ":last": text(shelf(state, max(0, newest))),
            },
            "ScanIndexForward": False,
            "Limit": size,
        }
        self._items: list[Item] = []
        self._more = (wanted.started_after or 0) <= newest

    def read(self) -> None:
        if not self._more:
            return
        reply = self._listing.query(**self._arguments)
        self._items += reply["Items"]
        self._more = bool(reply.get("LastEvaluatedKey"))
        self._arguments["ExclusiveStartKey"] = reply.get("LastEvaluatedKey")

    def __iter__(self) -> Iterator[Key]:
        for _, same in groupby(self._rows(), key=lambda key: key.started):
            for key in sorted(same, reverse=True):
                if self._after is None or key[:2] < self._after:
                    yield key

    def _rows(self) -> Iterator[Key]:
        while self._items or self._more:
            if not self._items:
                self.read()
            items, self._items = self._items, []
            for item in items:
                yield Key(int(item["shelf"]["S"].rpartition("#")[2]), item["pk"]["S"], item.get("fn", text(""))["S"])


def _lacks_index(error: Exception) -> bool:
    """Whether the table has none of this name, or one that is still being filled. Emulators say the first in their own words."""
    cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
    said = str(cause).lower()
    told = "specified index" in said or "backfilling" in said or "invalid index" in said
    return told and code_of(cause) in ("ValidationException", "ResourceNotFoundException")
