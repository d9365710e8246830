"""Ids that every invocation works out again, so that all spans of an execution find each other without a stored context."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.id_generator import IdGenerator
else:
    IdGenerator = object  # the SDK is the application's; only the API is ours to need

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class SpanIds(NamedTuple):
    trace_id: int
    span_id: int


class ExecutionIds:
    """Of one execution. The trace id begins with the second in which it started, as X-Ray asks of a trace id."""

    def __init__(self, execution_id: str, started_at: datetime) -> None:
        started = (started_at - _EPOCH) // _MILLISECOND
        self._seed = f"{execution_id}\0{started}"
        seconds = (started // 1000) & 0xFFFF_FFFF
        self.trace_id = seconds << 96 | (_hash(self._seed, 12) or 1)

    @property
    def execution(self) -> SpanIds:
        return self._span("execution")

    def invocation(self, number: int) -> SpanIds:
        return self._span(f"invocation\0{number}")

    def attempt(self, invocation: int, operation_id: str, attempt: int) -> SpanIds:
        """With the invocation: a body that ran, and whose process died before that was recorded, runs again."""
        return self._span(f"attempt\0{invocation}\0{operation_id}\0{attempt}")

    def operation(self, generation: int, key: str) -> SpanIds:
        """`key`: of its id, by `durable_fn.hooks.operation_key`."""
        return self._span(f"operation\0{generation}\0{key}")

    def _span(self, what: str) -> SpanIds:
        return SpanIds(self.trace_id, _hash(f"{self._seed}\0{what}", 8) or 1)


def _hash(text: str, size: int) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=size).digest())


_next: ContextVar[SpanIds | None] = ContextVar("durable_fn_span_ids", default=None)


class DurableIdGenerator(IdGenerator):
    """Gives the ids that a durable execution asks for, and all others as `base` does.

    The hooks put one into the tracer that they get from your provider, so you need it only for a provider whose tracers
    have no `id_generator`, and that takes one in its own way.
    """

    def __init__(self, base: IdGenerator) -> None:
        self._base = base

    def generate_span_id(self) -> int:
        asked = _next.get()
        return self._base.generate_span_id() if asked is None else asked.span_id

    def generate_trace_id(self) -> int:
        asked = _next.get()
        return self._base.generate_trace_id() if asked is None else asked.trace_id

    def is_trace_id_random(self) -> bool:
        """Its low 56 bits are a hash, as good as random; but the base decides, because that is what samplers saw before."""
        known = getattr(self._base, "is_trace_id_random", None)
        return _next.get() is None and known is not None and bool(known())


@contextlib.contextmanager
def ids_for_next_span(ids: SpanIds) -> Iterator[None]:
    token = _next.set(ids)
    try:
        yield
    finally:
        _next.reset(token)
