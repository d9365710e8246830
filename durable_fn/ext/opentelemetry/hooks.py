"""Spans of what really ran or was recorded in this invocation, all in the execution's own trace.

execution                 once, when it ends, with its true start
+- invocation 1..n
|  +- attempt of a step, in the invocation that ran it
+- wait, call, branches   once, when its end is recorded, from when it began
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from ... import __version__
from ...hooks import AttemptInfo, Hooks, InvocationInfo, operation_key
from ...types import HistoryEvent
from .ids import DurableIdGenerator, ExecutionIds, SpanIds, ids_for_next_span
from .links import SAMPLED, incoming, to_caller

_log = logging.getLogger("durable_fn")

_SCOPE: Final = "durable_fn"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_GOOD_ENDS: Final = frozenset({"SUCCEEDED", "CANCELLED"})


class _Running:
    """An invocation under way. The execution's span is not there before its end; its context is."""

    def __init__(self, info: InvocationInfo, tracer: trace.Tracer) -> None:
        self.info = info
        self.tracer = tracer
        self.ids = ExecutionIds(info.execution_id, info.started_at)
        self.attributes = {"durable.execution_id": info.execution_id, "durable.function": info.name}
        ids = self.ids.execution
        flags = self._flags(ids.trace_id)
        root = SpanContext(ids.trace_id, ids.span_id, is_remote=True, trace_flags=flags)
        self.root = trace.set_span_in_context(NonRecordingSpan(root), contexts.Context())
        mine = self.ids.invocation(info.number)
        links = [*incoming(ids.trace_id), *(to_caller(info.caller) if info.number == 1 else [])]
        more = {"durable.invocation": info.number, "faas.invocation_id": info.request_id}
        name = f"{info.name} invocation"
        self.span = self.start(mine, name, self.root, more, kind=SpanKind.SERVER, links=links)
        self.exact = self.span.get_span_context().span_id == mine.span_id

    def _flags(self, trace_id: int) -> TraceFlags:
        """Whether this trace is sampled, as the provider's own sampler says of its root: the same in every invocation for
        samplers that go by the trace id."""
        sampler: Any = getattr(self.tracer, "sampler", None)
        if sampler is None:
            return SAMPLED
        result = sampler.should_sample(
            contexts.Context(), trace_id, self.info.name, SpanKind.INTERNAL, dict(self.attributes), ()
        )
        return SAMPLED if result.decision.is_sampled() else TraceFlags(TraceFlags.DEFAULT)

    def start(
        self,
        ids: SpanIds,
        name: str,
        parent: contexts.Context,
        attributes: dict[str, Any],
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        links: list[Link] | None = None,
        start: datetime | None = None,
    ) -> Span:
        with ids_for_next_span(ids):
            return self.tracer.start_span(
                name,
                context=parent,
                kind=kind,
                attributes={**self.attributes, **attributes},
                links=links,
                start_time=None if start is None else _nanoseconds(start),
            )

    def parent_of_attempt(self) -> contexts.Context:
        """The span around it, if it is of this trace: the invocation's, or one that the handler opened."""
        here = contexts.get_current()
        if trace.get_current_span(here).get_span_context().trace_id == self.ids.trace_id:
            return here
        return trace.set_span_in_context(self.span, here)

    def end_execution(self) -> None:
        info = self.info
        assert info.finished_at is not None
        more = {
            "durable.status": info.status,
            "durable.invocations": info.number,
            "durable.generation": info.generation,
        }
        # Where the ids are not ours to give, it stays in the trace as a child of the one that the others call their parent.
        parent = contexts.Context() if self.exact else self.root
        links = to_caller(info.caller)
        span = self.start(self.ids.execution, info.name, parent, more, links=links, start=info.started_at)
        _finish(span, info)
        span.end(_nanoseconds(info.finished_at))


class OpenTelemetryHooks(Hooks):
    """Spans go to `tracer_provider`, or to the global one, as it is when an invocation begins.

    The handler's code and the bodies of steps run inside the spans, so that instrumented clients hang their own below. At the
    end of an invocation the provider is flushed, because Lambda freezes the process then; `flush_timeout` is in seconds, and 0
    leaves it out.
    """

    def __init__(self, tracer_provider: trace.TracerProvider | None = None, *, flush_timeout: float = 5.0) -> None:
        if flush_timeout < 0:
            raise ValueError(f"flush_timeout must be 0 or more seconds, got {flush_timeout!r}")
        self._given = tracer_provider
        self._flush_ms = round(flush_timeout * 1000)
        self._provider: trace.TracerProvider | None = None
        self._tracer: trace.Tracer | None = None
        self._running: dict[str, _Running] = {}

    def _tracer_of(self, provider: trace.TracerProvider) -> trace.Tracer:
        """A tracer that only we use, so that its ids can be ours for what we ask, and the provider's for all else."""
        if self._tracer is None or provider is not self._provider:
            tracer: Any = provider.get_tracer(_SCOPE, __version__)
            base = getattr(tracer, "id_generator", None)
            if base is not None and not isinstance(base, DurableIdGenerator):
                tracer.id_generator = DurableIdGenerator(base)
            self._provider, self._tracer = provider, tracer
        assert self._tracer is not None
        return self._tracer

    @contextlib.contextmanager
    def invocation(self, info: InvocationInfo, /) -> Iterator[None]:
        provider = self._given or trace.get_tracer_provider()
        running = _Running(info, self._tracer_of(provider))
        self._running[info.execution_id] = running
        try:
            with _inside(running.span, contexts.get_current()):
                yield
        finally:
            if self._running.get(info.execution_id) is running:
                del self._running[info.execution_id]
            self._leave(running, provider)

    def _leave(self, running: _Running, provider: trace.TracerProvider) -> None:
        """Also after a death or an error on its way out; each part, whatever becomes of the one before."""
        info = running.info
        with contextlib.ExitStack() as last:
            if self._flush_ms:
                last.callback(_flush, provider, self._flush_ms)
            if info.finished_at is not None:
                last.callback(running.end_execution)
            last.callback(running.span.end)
            running.span.set_attribute("durable.status", info.status)
            _finish(running.span, info)

    @contextlib.contextmanager
    def attempt(self, info: AttemptInfo, /) -> Iterator[None]:
        running = self._running.get(info.execution_id)
        if running is None:
            yield
            return
        ids = running.ids.attempt(running.info.number, info.operation_id, info.attempt)
        more = {"durable.operation_id": info.operation_id, "durable.kind": "step", "durable.attempt": info.attempt}
        parent = running.parent_of_attempt()
        span = running.start(ids, info.name, parent, more)
        try:
            with _inside(span, parent):
                yield
        finally:
            span.end()

    def recorded(self, execution_id: str, event: HistoryEvent, /) -> None:
        running = self._running.get(execution_id)
        if running is None or event.kind == "step" or event.status == "STARTED":
            return
        more = {"durable.operation_id": event.id, "durable.kind": event.kind, "durable.status": event.status}
        if event.began is None:
            running.span.add_event(f"{event.kind} {event.name}", more, _nanoseconds(event.at))
            return
        ids = running.ids.operation(running.info.generation, operation_key(event.id))
        span = running.start(ids, event.name, running.root, more, start=event.began)
        if event.error is not None:
            _failed(span, event)
        span.end(_nanoseconds(event.at))


@contextlib.contextmanager
def _inside(span: Span, around: contexts.Context) -> Iterator[None]:
    """The current span, and what is raised recorded in it. A native cancellation is no error of the code that it stops."""
    token = contexts.attach(trace.set_span_in_context(span, around))
    try:
        yield
    except BaseException as error:
        if _cancelled(error):
            span.set_attribute("durable.cancelled", True)
        else:
            span.record_exception(error)
            span.set_status(Status(StatusCode.ERROR, _text(error)))
        raise
    finally:
        contexts.detach(token)


def _cancelled(error: BaseException) -> bool:
    asyncio = sys.modules.get("asyncio")
    return isinstance(error, GeneratorExit) or (asyncio is not None and isinstance(error, asyncio.CancelledError))


def _finish(span: Span, info: InvocationInfo) -> None:
    """What the end of the execution says about a span."""
    if info.finished_at is None:
        return
    if info.error is not None:
        span.record_exception(info.error)
    if info.status not in _GOOD_ENDS:
        span.set_status(Status(StatusCode.ERROR, info.status if info.error is None else _text(info.error)))


def _failed(span: Span, event: HistoryEvent) -> None:
    error = event.error or {}
    kind, message = error.get("error_type", ""), error.get("message", "")
    span.add_event("exception", {"exception.type": kind, "exception.message": message}, _nanoseconds(event.at))
    if not kind.endswith("Cancelled") and not kind.endswith("CancelledError"):
        span.set_status(Status(StatusCode.ERROR, f"{kind}: {message}"))


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _flush(provider: trace.TracerProvider, timeout_ms: int) -> None:
    flush = getattr(provider, "force_flush", None)
    if flush is not None and not flush(timeout_ms):
        _log.warning("not all spans were exported within %d ms", timeout_ms)


def _nanoseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND * 1000
