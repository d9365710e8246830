"""What a journal was told and which bodies ran, side by side: what `crash_everywhere` holds against each other."""

from __future__ import annotations

import contextlib
from collections import Counter
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from ..core.current import running_arguments
from ..hooks import AttemptInfo, Hooks
from ..log import failures
from ..log.events import BEGUN, FAILED, REDRIVE_ID, RETRY, SUCCEEDED, Event, Segment, is_fence, parse_body
from ..log.header import Header
from ..log.history import shown
from ..log.kinds import CALLBACK, SIGNAL, STEP, THREAD
from ..log.requests import Renewal
from ..values.plain import plain
from .plain import as_text

_FROM_OUTSIDE = frozenset({STEP, CALLBACK, SIGNAL, THREAD})
_INTERRUPTED = "durable_fn.errors.StepInterrupted"


class Body(NamedTuple):
    """One attempt of a step."""

    id: str
    life: int
    operation: str
    attempt: int


class Ledger(Hooks):
    """Keys are (execution id, its life, operation id, attempt). A redrive, and the next generation, is another life: the same
    operation id is another operation then. `problems`: in words."""

    def __init__(self) -> None:
        self.bodies: Counter[Body] = Counter()
        self.interrupted: set[str] = set()
        self.problems: list[str] = []
        self.asked: dict[Body, str] = {}
        """What each body was called with."""
        self.told: dict[Body, str] = {}
        """What came from outside of the handler's code: the outcomes of bodies, answers, signals."""
        self.given: dict[tuple[str, int], str] = {}
        """What each life of an execution was started with."""
        self._lives: Counter[str] = Counter()
        self._succeeded: set[tuple[str, int, str]] = set()
        self._once: Counter[Body] = Counter()  # of at-most-once attempts, by their markers

    def attempt(self, info: AttemptInfo, /) -> AbstractContextManager[object]:
        """A body begins."""
        key = Body(info.execution_id, self._lives[info.execution_id], info.operation_id, info.attempt)
        self.bodies[key] += 1
        args, kwargs = running_arguments.get()
        self.asked.setdefault(key, as_text((*args, kwargs) if kwargs else args))
        if key[:3] in self._succeeded:
            self._tell(key, "ran again though its success was recorded")
        if key in self._once:
            self._once[key] += 1
            if self._once[key] > 1:
                self._tell(key, "ran again though it is at_most_once")
        return contextlib.nullcontext()

    def _tell(self, body: Body, what: str) -> None:
        self.problems.append(f"the body of step {body.operation!r} of {body.id!r} {what} (attempt {body.attempt})")

    def recorded_segment(self, id: str, segment: Segment) -> None:
        """It is durable now."""
        if not is_fence(segment.body):
            for event in parse_body(segment.body):
                if event.kind in _FROM_OUTSIDE and event.status != BEGUN:
                    self._outcome(id, event)
                if event.kind == STEP:
                    self._step(id, event)
                elif event.id == REDRIVE_ID:
                    self.begin_again(id)

    def _outcome(self, id: str, event: Event) -> None:
        entry = shown(event)
        error = entry.error and (entry.error["error_type"], entry.error["message"])
        key = Body(id, self._lives[id], event.id, event.attempt)
        self.told[key] = f"{entry.status} {as_text(entry.result)} {error}"

    def _step(self, id: str, event: Event) -> None:
        key = Body(id, self._lives[id], event.id, event.attempt)
        if event.status in (FAILED, RETRY, SUCCEEDED) and key[:3] in self._succeeded:
            self._tell(key, "came to another end though its success was recorded")
        if event.status == SUCCEEDED:
            self._succeeded.add(key[:3])
        elif event.status == BEGUN:
            self._once.setdefault(key, 0)
        elif event.status == FAILED:
            failure = failures.decode(event.value)
            if failure.own and failure.error_type == _INTERRUPTED:
                self.interrupted.add(event.id)

    def begin(self, id: str, input: str | None) -> None:
        self.given.setdefault((id, self._lives[id]), as_text(plain(input or "null")))

    def begin_again(self, id: str) -> None:
        """Another generation, or a redrive."""
        self._lives[id] += 1


class LedgerStore:
    """A journal that tells a ledger what became durable."""

    def __init__(self, store: Any, ledger: Ledger) -> None:
        self._store = store
        self._ledger = ledger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def create(self, header: Header) -> Any:
        reply = self._store.create(header)
        if isinstance(reply, Header):
            self._ledger.begin(header.id, header.input)
        return reply

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

    def renew(self, header: Header, writer: str, renewal: Renewal) -> Any:
        reply = self._store.renew(header, writer, renewal)
        if isinstance(reply, Header):
            self._ledger.begin_again(header.id)
            self._ledger.begin(header.id, renewal.input)
        return reply

    def revive(self, header: Header, segment: Segment, now: int) -> Any:
        reply = self._store.revive(header, segment, now)
        if isinstance(reply, Header):
            self._ledger.begin_again(header.id)
        return reply
