"""A partition as it is read, item by item."""

from __future__ import annotations

from ...errors import SerializationError
from ...log.events import Segment
from ...log.header import Header
from ...log.inbox import Entry, belongs
from ...log.requests import Key
from ..ports import Loaded
from .items import (
    HEADER,
    Item,
    body_of,
    damaged,
    horizon_of,
    inbox_prefix,
    large_values,
    segment_prefix,
    snapshot_prefix,
    to_entry,
    to_header,
    to_segment,
    value_key,
)


class Reading:
    """The items of a partition, in the order of their keys, as one execution. Copies of the log come before the header, that
    before the inbox, that before the log."""

    def __init__(self, key: Key) -> None:
        self._key = key
        self._header: Header | None = None
        self._large: dict[str, str] = {}
        self._values: dict[str, tuple[str, int]] = {}  # with the time at which it may be removed, here and below
        self._copies: dict[str, list[tuple[str, int]]] = {}
        self._tail: list[tuple[Segment, int]] = []
        self._inbox: dict[str, Entry] = {}
        self._log, self._entries = segment_prefix(key), inbox_prefix(key)
        self._copied, self._named = snapshot_prefix(key), value_key(key, "")["sk"]["S"]

    def add(self, item: Item) -> None:
        """Raises JournalDamaged."""
        try:
            self._add(item)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError, SerializationError) as error:
            raise damaged(item, error) from error

    def _add(self, item: Item) -> None:
        sk = item["sk"]["S"]
        if sk.startswith(self._log):
            self._tail.append((to_segment(item), horizon_of(item)))
        elif sk.startswith(self._entries):
            entry = to_entry(self._key, item)
            if belongs(entry.key, self._key.gen):
                self._inbox[entry.key] = entry
        elif sk.startswith(self._copied):
            snapshot = sk.removeprefix(self._copied).partition("#")[0]
            self._copies.setdefault(snapshot, []).append((body_of(item), horizon_of(item)))
        elif sk.startswith(self._named):
            self._values[sk.removeprefix(self._named)] = (body_of(item), horizon_of(item))
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
        tail = [(segment, stamp) for segment, stamp in self._tail if segment.seq >= header.copied]
        copied = self._copies.get(header.edition, []) if header.edition else []
        large = [self._values[called] for called in self._large.values()]
        for name, called in self._large.items():
            setattr(header, name, self._values[called][0])
        stamps = [stamp for _, stamp in (*copied, *tail, *large)]
        horizon = min((stamp for stamp in stamps if stamp), default=0)
        return Loaded(header, [segment for segment, _ in tail], self._inbox, [text for text, _ in copied], horizon)
