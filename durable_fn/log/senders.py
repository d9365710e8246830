"""Who sent what an execution took: the log says what came, and the inbox from whom."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import cached_property

from .events import FAILED, REDRIVE_ID, SUCCEEDED, Event, Segment, parse_body
from .inbox import Entry
from .journal import Journal, signal_key
from .kinds import CALLBACK, SIGNAL
from .outcomes import callback_place
from .writers import actor_of


class Senders:
    """Of one execution. A redrive may give a callback's outcome another key, so each stretch between two of them is read by
    itself."""

    def __init__(self, segments: Sequence[Segment], inbox: Mapping[str, Entry], gen: int) -> None:
        self._segments = segments
        self._inbox = inbox
        self._gen = gen
        self._journals: dict[int, Journal] = {}

    def of(self, number: int, event: Event) -> str | None:
        """Of an entry in the segment of this number."""
        entry = self._inbox.get(self._key(number, event))
        actor = None if entry is None else actor_of(entry.writer)
        return None if actor is None else actor.by

    def _key(self, number: int, event: Event) -> str:
        if event.kind == SIGNAL and event.status == SUCCEEDED:
            return signal_key(event)
        if event.kind == CALLBACK and event.status in (SUCCEEDED, FAILED) and self._inbox:
            return callback_place(self._journal(number), self._gen, event.id)[1]
        return ""

    def _journal(self, number: int) -> Journal:
        later = bisect_right(self._redrives, number)
        end = self._redrives[later] if later < len(self._redrives) else len(self._segments)
        if end not in self._journals:
            self._journals[end] = Journal(self._segments[:end])
        return self._journals[end]

    @cached_property
    def _redrives(self) -> list[int]:
        rows = (parse_body(segment.body) for segment in self._segments)
        return [number for number, events in enumerate(rows) if any(event.id == REDRIVE_ID for event in events)]
