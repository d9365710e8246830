"""Lambda events: what an invocation is asked to do, and what it answers."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from .core import failures
from .core.header import Header, Refusal
from .core.hint import Hint, parse_hint
from .core.ids import checked_id, new_id
from .core.values import plain
from .errors import DurableError
from .fronts.session import Outage
from .invocation import WAIT_IN_PLACE_MS, Invocation
from .ports import Backend
from .types import LambdaContext
from .wiring import backend as configured_backend

if TYPE_CHECKING:
    from .handler import DurableFunction

_log = logging.getLogger("durable_fn")


def handle(function: DurableFunction[Any, Any], event: Any, context: Any) -> Any:
    """The Lambda entry point of a durable function."""
    backend = configured_backend()
    backend.wakeups.serve(function.name)
    lambda_context = context if context is not None else _NoLambda(backend)
    try:
        if is_sqs(event):
            return _batch(function, backend, event["Records"], lambda_context)
        return _direct(function, backend, event, lambda_context)
    except Outage as outage:
        raise (outage.__cause__ or RuntimeError(str(outage))) from None


# -- direct invocation ---------------------------------------------------------------------------------------------


def _direct(function: DurableFunction[Any, Any], backend: Backend, event: Any, context: LambdaContext) -> Any:
    from .starting import encode_event, new_header

    input = encode_event(function, event)
    id = execution_id(function, event, input, getattr(context, "aws_request_id", None))
    wanted = new_header(
        backend, id, function.name, input, retention_ms=function.retention_ms, timeout_ms=function.timeout_ms
    )
    invocation = Invocation(function, backend, context)
    header = invocation.start(wanted)
    if function.envelope:
        return envelope(header)
    return _bare(function, header, invocation.raised)


def execution_id(function: DurableFunction[Any, Any], event: Any, input: str, default: str | None) -> str:
    """The idempotency key of an event, by the function's own rule. Raises ValueError for one that is no valid id."""
    rule = function.execution_id
    what = f"the execution id of {function.name!r}"
    if rule is None:
        return checked_id(default or new_id(), what)
    if callable(rule):
        return checked_id(rule(function.event_adapter.decode(input, f"the event for {function.name!r}")), what)
    import jmespath

    found = jmespath.search(rule, event)
    if found is None:
        raise ValueError(f"{what} is the JMESPath {rule!r}, and the event has nothing there: {str(event)[:200]}")
    return checked_id(found if isinstance(found, str) else json.dumps(found), what)


def envelope(header: Header) -> dict[str, Any]:
    """What a direct caller gets."""
    answer: dict[str, Any] = {"execution_id": header.id, "status": header.status}
    if header.status == "SUCCEEDED":
        answer["result"] = plain(header.result or "null")
    elif header.error is not None:
        answer["error"] = failures.info(failures.decode(header.error))
    return answer


def _bare(function: DurableFunction[Any, Any], header: Header, raised: BaseException | None) -> Any:
    """`envelope=False`: the plain result or the error, if the execution has ended."""
    if header.status == "SUCCEEDED":
        return plain(header.result or "null")
    if header.live:
        return envelope(header)
    if raised is not None:
        raise raised
    failure = failures.decode(header.error or "")
    raise DurableError(f"execution {header.id!r} ended {header.status}: {failure.error_type}: {failure.message}")


# -- wake messages from SQS ----------------------------------------------------------------------------------------


def is_sqs(event: Any) -> bool:
    """Whether this is a batch of SQS messages as Lambda's event source mapping delivers it."""
    if not isinstance(event, dict):
        return False
    records = event.get("Records")
    return (
        isinstance(records, list)
        and bool(records)
        and all(isinstance(r, dict) and r.get("eventSource") == "aws:sqs" for r in records)
    )


def _batch(
    function: DurableFunction[Any, Any], backend: Backend, records: list[Any], context: LambdaContext
) -> dict[str, Any]:
    """Each message by itself: one that fails goes back to the queue, the others are done (ReportBatchItemFailures)."""
    failed: list[dict[str, str]] = []
    enough = context.get_remaining_time_in_millis() / 2
    for record in records:
        try:
            hint = parse_hint(record.get("body"))
            if context.get_remaining_time_in_millis() < enough:
                # A turn could be cut off in the middle. Not handed back: that would take the visibility timeout and count
                # as a failure on the way to the dead-letter queue.
                backend.wakeups.send(hint, backend.clock.now())
            else:
                _wake(function, backend, hint, context)
        except (Exception, Outage):
            _log.exception("message %r for durable function %r failed", record.get("messageId"), function.name)
            failed.append({"itemIdentifier": str(record.get("messageId", ""))})
    return {"batchItemFailures": failed}


def _wake(function: DurableFunction[Any, Any], backend: Backend, hint: Hint, context: LambdaContext) -> None:
    """Goes on with the execution, if there is anything to do. A stale hint is dropped: the table is the truth."""
    now = backend.clock.now()
    if hint.due - now > WAIT_IN_PLACE_MS:
        backend.wakeups.send(hint, now)  # the first leg of a long wait: the rest is a delay now
        return
    if hint.fn != function.name:
        _log.warning("message for durable function %r came to %r: passed on", hint.fn, function.name)
        backend.wakeups.forward(hint)
        return
    reply = Invocation(function, backend, context).resume(hint.id)
    if isinstance(reply, Refusal):
        _log.info("nothing to do for execution %r: %s", hint.id, reply.reason)


class _NoLambda:
    """Stands in for a Lambda context where there is none, in a script or a test."""

    def __init__(self, backend: Backend) -> None:
        self._clock = backend.clock
        self._ends = backend.clock.now() + 60_000
        self.aws_request_id = new_id()
        self.function_name = "local"
        self.invoked_function_arn = "arn:aws:lambda:local:000000000000:function:local"
        self.log_stream_name = "local"

    def get_remaining_time_in_millis(self) -> int:
        return max(0, self._ends - self._clock.now())
