"""Spans of other traces that an execution's spans point to."""

from __future__ import annotations

import os
import re
from typing import Final

from opentelemetry.trace import Link, SpanContext, TraceFlags, get_current_span

from ...hooks import Caller
from .ids import ExecutionIds

_X_RAY: Final = re.compile(r"Root=1-([0-9a-f]{8})-([0-9a-f]{24});.*?Parent=([0-9a-f]{16})(?=;|$)")
SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


def incoming(trace_id: int) -> list[Link]:
    """What this invocation came from: the span around it (the Lambda instrumentation's, which reads `traceparent` and whatever
    else your propagators know), and Lambda's own segment, if X-Ray samples it."""
    found = [get_current_span().get_span_context(), _lambda_segment()]
    links, seen = [], {trace_id}
    for context in found:
        if context is not None and context.is_valid and context.trace_id not in seen:
            seen.add(context.trace_id)
            links.append(Link(context))
    return links


def _lambda_segment() -> SpanContext | None:
    header = os.environ.get("_X_AMZN_TRACE_ID", "")
    found = _X_RAY.search(header)
    if found is None or "Sampled=1" not in header:
        return None
    second, unique, parent = found.groups()
    return SpanContext(int(second + unique, 16), int(parent, 16), is_remote=True, trace_flags=SAMPLED)


def to_caller(caller: Caller | None) -> list[Link]:
    """The span of the call that waits for this execution."""
    if caller is None or caller.started_at is None:
        return []
    ids = ExecutionIds(caller.execution_id, caller.started_at).operation(caller.generation, caller.operation)
    attributes = {
        "durable.link": "caller",
        "durable.execution_id": caller.execution_id,
        "durable.function": caller.name,
    }
    return [Link(SpanContext(ids.trace_id, ids.span_id, is_remote=True, trace_flags=SAMPLED), attributes)]
