"""A recorded log, or the beginning of one, read again without effects."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

from durable_fn.backends.clocks import VirtualClock
from durable_fn.backends.ports import Backend, Loaded
from durable_fn.backends.sqlite import PollingWakeups
from durable_fn.core.scope import Op, Scope
from durable_fn.log import failures
from durable_fn.log.events import GENERATION_ID, Segment, is_fence, parse_body
from durable_fn.log.header import Header
from durable_fn.log.requests import Ending, Lease, Parking
from durable_fn.runtime.invocation import Invocation
from durable_fn.testing.lambda_context import FakeLambdaContext
from tests.fuzz.ledger import Log
from tests.fuzz.life import Handlers, own_loop
from tests.fuzz.nodes import Case
from tests.fuzz.traces import Trace
from tests.fuzz.world import Loop


class _Book:
    """A journal that is only read. It takes down how the reading ended."""

    local, max_body, skew_ms, shards = True, 1 << 30, 0, 1

    def __init__(self, header: Header, segments: list[Segment]) -> None:
        self.header = dataclasses.replace(
            header, status="SUSPENDED", turns=1, prev_lease=0, lease=0, due=0, cancel=False, n=0, gone=0
        )
        self.segments = segments
        self.end = "went on"
        self.value: str | None = None

        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        """A reading asks for nothing else."""

        def request(*args: Any) -> Any:
            self.asked.append(name)
            return None

        return request

    def fits(self, text: str) -> bool:
        return True

    def acquire(self, id: str, lease: Lease) -> Header:
        self.header = dataclasses.replace(
            self.header, status="RUNNING", own=lease.writer, lease=lease.end, turns=2, prev_lease=0
        )
        return self.head(id)

    def head(self, id: str) -> Header:
        return dataclasses.replace(self.header)

    def load(self, key: Any) -> Loaded:
        return Loaded(self.head(""), list(self.segments), {})

    def append(self, header: Header, segment: Segment) -> bool:
        return True

    def complete(self, header: Header, writer: str, ending: Ending, note: Any = None) -> Header:
        self.end, self.value = ending.status, ending.result
        if ending.error is not None:
            self.value = failures.decode(ending.error).error_type
        return dataclasses.replace(header, status=ending.status)

    def suspend(self, header: Header, writer: str, parking: Parking) -> Header:
        self.end = "SUSPENDED"
        if parking.error is not None:
            self.end, self.value = "MISMATCH", failures.decode(parking.error).message
        return dataclasses.replace(header, status="SUSPENDED")

    def renew(self, header: Header, writer: str, renewal: Any) -> Header:
        self.end, self.value = "RENEWED", renewal.input
        return dataclasses.replace(header, status="PENDING")


class _Reading(Invocation):
    read_only = True


class _Silent:
    """Nothing begins in a reading."""

    def __init__(self) -> None:
        self.bodies = 0

    def begins(self, *, threaded: bool = False) -> None:
        self.bodies += 1

    def takes(self) -> float:
        return 0

    def wait(self, seconds: float) -> None: ...

    def wait_began(self, path: str) -> None: ...

    def wait_ended(self, path: str, seconds: float) -> None: ...

    def unwinds(self) -> AbstractContextManager[None]:
        return nullcontext()

    def submitted(self, token: str, delay: float) -> None: ...


class Read(NamedTuple):
    """`end`: SUCCEEDED, FAILED, ..., SUSPENDED where the log ends before the handler, or MISMATCH."""

    end: str
    value: str | None
    trace: Trace | None
    walk: dict[str, str]
    bodies: int
    entered: set[str]
    problems: list[str]


class Reader:
    """Of one case."""

    def __init__(self, case: Case, *, native: bool) -> None:
        self._around = _Silent()
        self._loop = Loop() if native else None
        self._handlers = Handlers(case, self._around, native=native)
        self.count = 0

    def close(self) -> None:
        if self._loop is not None:
            self._loop.close()

    def read(self, log: Log, segments: list[Segment]) -> Read:
        handlers = self._handlers
        self.count += 1
        handlers.traces.clear()
        handlers.walks.clear()
        handlers.problems.clear()
        self._around.bodies = 0
        book: Any = _Book(log.header, segments)
        latest = max([log.header.started, *(e.at for s in segments for e in parse_body(s.body))])
        clock = VirtualClock(latest)
        invocation = _Reading(
            handlers.program, Backend(book, PollingWakeups(), clock, "sqlite"), FakeLambdaContext(clock)
        )
        with own_loop(self._loop, None), _asked_for() as entered:
            invocation.resume(log.header.id)
        return Read(
            book.end,
            book.value,
            handlers.traces[-1] if handlers.traces else None,
            handlers.walks[-1] if handlers.walks else {},
            self._around.bodies,
            set(entered),
            [*handlers.problems, *(f"a reading asked for {name}" for name in book.asked)],
        )


@contextlib.contextmanager
def _asked_for() -> Iterator[set[str]]:
    """Ids of the operations that the handler calls meanwhile."""
    found: set[str] = set()
    enter = Scope.enter

    def entering(scope: Scope, *args: Any, **kwargs: Any) -> Op:
        op = enter(scope, *args, **kwargs)
        found.add(op.id)
        return op

    Scope.enter = entering  # type: ignore[method-assign]
    try:
        yield found
    finally:
        Scope.enter = enter  # type: ignore[method-assign]


def cuts(segments: list[Segment]) -> Iterator[list[Segment]]:
    """Every beginning of a log, shorter than the whole: by segments, and by lines within them. One of a later generation begins
    with what the one before wrote."""
    for n, segment in enumerate(segments):
        if n or not _continues(segment):
            yield segments[:n]
        if is_fence(segment.body):
            continue
        lines = segment.body.split("\n")
        for m in range(1, len(lines)):
            yield [*segments[:n], segment._replace(body="\n".join(lines[:m]))]


def _continues(segment: Segment) -> bool:
    return not is_fence(segment.body) and any(event.id == GENERATION_ID for event in parse_body(segment.body))
