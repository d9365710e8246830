"""How long items live: kept longer, or removed before their time."""

from __future__ import annotations

import contextlib

from ...log.header import Header
from ...log.inbox import Entry
from ...log.requests import Key
from ...log.retention import Snapshot
from .expressions import Change, Condition, expressed
from .items import (
    HEADER,
    MARKS,
    Item,
    entry_key,
    from_chunk,
    header_key,
    inbox_prefix,
    is_large,
    large_values,
    number,
    segment_prefix,
    snapshot_prefix,
    value_key,
)
from .requests import ConditionFailed
from .table import Table
from .transitions import retired


class Retention:
    """What is missed when something dies in between goes by the table's TTL."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def keep(self, header: Header, snapshot: Snapshot, chunks: list[str], entries: list[Entry]) -> None:
        for part, chunk in enumerate(chunks):
            self._table.put(from_chunk(header, snapshot, part, chunk))
        keys = [entry_key(header.key, entry.key) for entry in entries]
        if chunks and is_large(header.input):
            there = self._table.get(header_key(header.id)) or {}
            keys += [value_key(header.key, called) for called in large_values(there).values()]
        for key in keys:
            self._stamp(key, snapshot.horizon)

    def prolong(self, header: Header, horizon: int) -> None:
        run = f"#{header.run}#"
        for item in self._table.keys(header.id):
            if run in item["sk"]["S"] and not item["sk"]["S"].startswith(MARKS):
                self._stamp({"pk": item["pk"], "sk": item["sk"]}, horizon)

    def _stamp(self, key: Item, horizon: int) -> None:
        """[there, and earlier]: a copy of an older request that comes late must not shorten a life."""
        earlier = Condition("attribute_exists(pk) AND #ttl < :ttl", {":ttl": number(horizon)})
        with contextlib.suppress(ConditionFailed):
            self._table.update(Key=key, **expressed(earlier, Change().number("#ttl", horizon)))

    def forget(self, key: Key, entries: tuple[str, ...]) -> None:
        """Of a generation that is over: its log, its values, what only it read."""
        closed = tuple(inbox_prefix(key) + entry for entry in entries)
        whole = (segment_prefix(key), snapshot_prefix(key), value_key(key, "")["sk"]["S"])
        for item in self._table.partition(key.id):
            sk = item["sk"]["S"]
            if sk.startswith(whole) or sk in closed:
                self._delete(item)

    def remove(self, header: Header) -> None:
        for item in self._table.keys(header.id):
            if item["sk"]["S"] != HEADER:
                self._delete(item)
        with contextlib.suppress(ConditionFailed):  # another purge may have been quicker, and the id be in use again
            self._table.delete(header_key(header.id), **expressed(retired(header.run)))

    def _delete(self, item: Item) -> None:
        self._table.delete({"pk": item["pk"], "sk": item["sk"]})
