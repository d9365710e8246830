"""What became durable and which bodies began, side by side."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from durable_fn.core.current import StepInfo
from durable_fn.log.events import (
    BEGUN,
    FAILED,
    RETURNED,
    SUCCEEDED,
    Event,
    Segment,
    body,
    is_fence,
    moves,
    operation_name,
    parse_body,
)  # fmt: skip
from durable_fn.log.header import Header
from durable_fn.log.history import last_sleeps
from durable_fn.log.inbox import Entry, signal_prefix

SIGNAL = "signal/"


@dataclass
class Log:
    """Of one generation of one execution."""

    header: Header
    segments: list[Segment] = field(default_factory=list)
    renewed: set[str] | None = None
    """Signals that it consumed, if the next generation followed: then its last lines were not written."""

    def events(self) -> list[Event]:
        return [event for s in self.segments if not is_fence(s.body) for event in parse_body(s.body)]

    def signals(self) -> list[str]:
        """Keys of those that were handed out, and not given back by a branch that lost."""
        taken = [
            (e.id, e.value.partition("\t")[0]) for e in self.events() if e.kind == "signal" and e.status == SUCCEEDED
        ]
        for event in self.events():
            if event.status == RETURNED:
                place = next(n for n, (id, _) in enumerate(taken) if id == event.id)
                del taken[place]
        lines = [key for _, key in taken]
        return lines + sorted((self.renewed or set()) - set(lines))

    def whole(self, finished: int | None) -> list[Segment]:
        """With the ends of the last sleeps, which the end of the execution tells."""
        sleeps = [] if finished is None else last_sleeps(self.events(), finished)
        return [*self.segments, *[Segment(len(self.segments), "end", body(sleeps))][: len(sleeps)]]

    def line(self) -> list[Event]:
        """What moves an async handler."""
        return [event for event in self.events() if moves(event)]


class Ledger:
    """`problems`: in words."""

    def __init__(self) -> None:
        self.logs: dict[tuple[str, int], Log] = {}
        self.problems: list[str] = []
        self.signals: dict[str, str] = {}  # accepted: by key, of which execution
        self.bodies: Counter[tuple[str, int, str, int]] = Counter()
        self.started: set[tuple[str, int, str]] = set()
        self._ends: set[tuple[str, int, str]] = set()
        self._handed: set[str] = set()
        self._once: Counter[tuple[str, int, str, int]] = Counter()  # markers, and how often a body began behind them

    def log(self, header: Header) -> Log:
        return self.logs.setdefault((header.id, header.gen), Log(header))

    def generations(self, id: str) -> list[Log]:
        return [self.logs[key] for key in sorted(self.logs) if key[0] == id]

    # -- bodies ----------------------------------------------------------------------------------------------------

    def begins(self, info: StepInfo, gen: int) -> None:
        key = (info.execution_id, gen, info.operation_id, info.attempt)
        self.bodies[key] += 1
        self.started.add(key[:3])
        if key[:3] in self._ends:
            self.problems.append(f"a body began though its end was durable: {key}")
        if key in self._once:
            self._once[key] += 1
            if self._once[key] > 1:
                self.problems.append(f"an at-most-once body began twice: {key}")

    def is_marked(self, info: StepInfo, gen: int) -> bool:
        """Whether it is durable that this at-most-once body begins."""
        return (info.execution_id, gen, info.operation_id, info.attempt) in self._once

    # -- what is durable -------------------------------------------------------------------------------------------

    def segment(self, header: Header, segment: Segment) -> None:
        self.log(header).segments.append(segment)
        if is_fence(segment.body):
            return
        for event in parse_body(segment.body):
            if event.kind == "signal":
                self._signal(header, event)
            if event.kind != "step":
                continue
            if event.status in (SUCCEEDED, FAILED):
                if (header.id, header.gen, event.id) in self._ends:
                    self.problems.append(f"a step ended twice: {event.id}")
                self._ends.add((header.id, header.gen, event.id))
            elif event.status == BEGUN:
                self._once.setdefault((header.id, header.gen, event.id, event.attempt), 0)

    def _signal(self, header: Header, event: Event) -> None:
        """That none came in time stands only if none had come."""
        if event.status == SUCCEEDED:
            self._handed.add(event.value.partition("\t")[0])
        elif event.status == FAILED:
            prefix = signal_prefix(operation_name(event.id))
            there = {key for key, id in self.signals.items() if id == header.id and key.startswith(prefix)}
            if there - self._handed:
                self.problems.append(f"a signal had come, and {event.id} timed out")

    def delivered(self, header: Header, entry: Entry) -> None:
        if entry.key.startswith(SIGNAL):
            self.signals[entry.key] = header.id


class Watched:
    """A journal that tells a ledger what became durable."""

    def __init__(self, store: Any, ledger: Ledger) -> None:
        self._store = store
        self._ledger = ledger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def append(self, header: Header, segment: Segment) -> bool:
        mine: bool = self._store.append(header, segment)
        if mine:
            self._ledger.segment(header, segment)
        return mine

    def decide(self, header: Header, segment: Segment, seen: int) -> Any:
        reply = self._store.decide(header, segment, seen)
        if isinstance(reply, Header):
            self._ledger.segment(header, segment)
        return reply

    def renew(self, header: Header, writer: str, renewal: Any) -> Any:
        reply = self._store.renew(header, writer, renewal)
        if isinstance(reply, Header):
            self._ledger.log(header).renewed = set(renewal.used)
            self._ledger.segment(reply, renewal.segment)
        return reply

    def deliver(self, header: Header, entry: Entry, now: int) -> Any:
        reply = self._store.deliver(header, entry, now)
        if isinstance(reply, Header):
            self._ledger.delivered(header, entry)
        return reply
