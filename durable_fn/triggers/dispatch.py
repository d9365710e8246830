"""Lambda events: what an invocation is asked to do, and what it answers.

An event is recognised by its documented shape; one that has none of them is the payload of a direct invocation. Each kind is a
file of its own, loaded when the first such event comes, because a cold start pays for what it loads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..log.ids import rule_text
from ..runtime.lambda_time import remaining_ms
from ..runtime.session import Outage
from ..wiring import backend as configured_backend
from . import is_test_event

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from ..backends.ports import Backend
    from ..core.function import DurableFunction
    from ..types import LambdaContext

    Trigger: TypeAlias = Callable[[DurableFunction[Any, Any], Backend, Any, LambdaContext], Any]


def handle(function: DurableFunction[Any, Any], event: Any, context: Any) -> Any:
    """The Lambda entry point of a durable function."""
    backend = configured_backend()
    backend.wakeups.serve(function.name, rule_text(function.execution_id))
    if context is None:
        from .no_lambda import NoLambda

        context = NoLambda(backend.clock)
    remaining_ms(context)  # what is no Lambda context is said before anything is written
    try:
        return _trigger(event)(function, backend, event, context)
    except Outage as outage:
        raise (outage.__cause__ or RuntimeError(str(outage))) from None


def _trigger(event: Any) -> Trigger:
    found = _recognised(event) if isinstance(event, dict) else None
    if isinstance(event, list) and _is_of_a_pipe(event):
        found = _of_records(event)
    if found is not None:
        return found
    from .direct import direct

    return direct


def _recognised(event: dict[str, Any]) -> Trigger | None:
    if "Records" in event:
        return _of_records(event["Records"])
    if is_test_event(event):
        return _nothing
    if "requestContext" in event:
        from .http_events import is_http

        if is_http(event):
            from .http import http

            return http
    elif "detail-type" in event:
        from .bus import event_bridge, is_event_bridge

        return event_bridge if is_event_bridge(event) else None
    return None


def _is_of_a_pipe(event: list[Any]) -> bool:
    """EventBridge Pipes hands over a bare list of records."""
    first = event[0] if event else None
    return isinstance(first, dict) and isinstance(first.get("eventSourceARN"), str)


def _nothing(function: DurableFunction[Any, Any], backend: Backend, event: Any, context: LambdaContext) -> Any:
    """There is no work in it."""
    return {"batchItemFailures": []}


def _of_records(records: Any) -> Trigger | None:
    """By the first record: one that does not fit the others is a record that fails."""
    if records == []:
        return _nothing
    first = records[0] if isinstance(records, list) and records else None
    source = (first.get("eventSource") or first.get("EventSource")) if isinstance(first, dict) else None
    if source == "aws:sqs":
        from .queue import queue

        return queue
    if source in ("aws:kinesis", "aws:dynamodb"):
        from .streams import stream

        return stream
    if source in ("aws:sns", "aws:s3"):
        from .sns_s3 import notices

        return notices
    return None
