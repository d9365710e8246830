"""What a journal was told and which bodies ran, side by side: what `crash_everywhere` holds against each other."""

from __future__ import annotations

import contextlib
from collections import Counter
from contextlib import AbstractContextManager
from typing import Any

from ..core import failures
from ..core.events import BEGUN, FAILED, RETRY, REWIND_ID, SUCCEEDED, Event, is_fence, parse_body
from ..core.header import Header
from ..core.journal import Segment
from ..hooks import AttemptInfo, Hooks

_INTERRUPTED = "durable_fn.errors.StepInterrupted"


class Ledger(Hooks):
    """Keys are (execution id, operation id), with the attempt where that matters. `problems`: in words."""

    def __init__(self) -> None:
        self.bodies: Counter[tuple[str, str, int]] = Counter()
        self.interrupted: set[str] = set()
        self.problems: list[str] = []
        self._succeeded: set[tuple[str, str]] = set()
        self._once: Counter[tuple[str, str, int]] = Counter()  # bodies of at-most-once attempts, by their markers

    def attempt(self, info: AttemptInfo, /) -> AbstractContextManager[object]:
        """A body begins."""
        key = (info.execution_id, info.operation_id, info.attempt)
        self.bodies[key] += 1
        if key[:2] in self._succeeded:
            self._tell(key, "ran again though its success was recorded")
        if key in self._once:
            self._once[key] += 1
            if self._once[key] > 1:
                self._tell(key, "ran again though it is at_most_once")
        return contextlib.nullcontext()

    def _tell(self, key: tuple[str, str, int], what: str) -> None:
        self.problems.append(f"the body of step {key[1]!r} of {key[0]!r} {what} (attempt {key[2]})")

    def recorded_segment(self, id: str, segment: Segment) -> None:
        """It is durable now."""
        if not is_fence(segment.body):
            for event in parse_body(segment.body):
                if event.kind == "step":
                    self._step(id, event)
                elif event.id == REWIND_ID:
                    self.forget(id)

    def _step(self, id: str, event: Event) -> None:
        key = (id, event.id, event.attempt)
        if event.status in (FAILED, RETRY, SUCCEEDED) and key[:2] in self._succeeded:
            self._tell(key, "came to another end though its success was recorded")
        if event.status == SUCCEEDED:
            self._succeeded.add(key[:2])
        elif event.status == BEGUN:
            self._once.setdefault(key, 0)
        elif event.status == FAILED:
            failure = failures.decode(event.value)
            if failure.own and failure.error_type == _INTERRUPTED:
                self.interrupted.add(event.id)

    def forget(self, id: str) -> None:
        """Another generation, or a redrive: operations of the same ids are others now."""
        self._succeeded = {key for key in self._succeeded if key[0] != id}
        self._once = Counter({key: ran for key, ran in self._once.items() if key[0] != id})


class LedgerStore:
    """A journal that tells a ledger what became durable."""

    def __init__(self, store: Any, ledger: Ledger) -> None:
        self._store = store
        self._ledger = ledger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def append(self, header: Header, segment: Segment) -> bool:
        mine: bool = self._store.append(header, segment)
        if mine:
            self._ledger.recorded_segment(header.id, segment)
        return mine

    def decide(self, header: Header, segment: Segment, seen: int) -> Any:
        reply = self._store.decide(header, segment, seen)
        if isinstance(reply, Header):
            self._ledger.recorded_segment(header.id, segment)
        return reply

    def renew(self, header: Header, *args: Any) -> Any:
        reply = self._store.renew(header, *args)
        if isinstance(reply, Header):
            self._ledger.forget(header.id)
        return reply

    def revive(self, header: Header, segment: Segment, now: int) -> Any:
        reply = self._store.revive(header, segment, now)
        if isinstance(reply, Header):
            self._ledger.forget(header.id)
        return reply
