"""SQS: our own wake messages and messages of yours, also mixed in one batch.

Each by itself (ReportBatchItemFailures): one that fails goes back to the queue, and to its dead-letter queue when it failed often
enough; the others are done.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ..backends.ports import Backend
from ..log.header import Header, Refusal
from ..log.wake import Wake, is_wake_message, parse_wake
from ..runtime.invocation import WAIT_IN_PLACE_MS, Invocation
from ..runtime.lambda_time import remaining_ms
from ..runtime.session import Outage
from ..types import LambdaContext

if TYPE_CHECKING:
    from ..core.function import DurableFunction

_log = logging.getLogger("durable_fn")


def queue(function: DurableFunction[Any, Any], backend: Backend, event: Any, context: LambdaContext) -> Any:
    """What failed, and, of a FIFO queue, what came after it in its message group: that must not overtake it."""
    enough = remaining_ms(context) / 2
    failed: list[dict[str, str]] = []
    held: set[str] = set()
    for record in batch(event):
        group = _group(record)
        if group in held or not _done(function, backend, context, record, enough, bare=isinstance(event, list)):
            id = record.get("messageId") if isinstance(record, dict) else None
            # An empty identifier is a failure of the whole batch, which is right for a message that cannot be named.
            failed.append({"itemIdentifier": id if isinstance(id, str) else ""})
            if group is not None:
                held.add(group)
    return {"batchItemFailures": failed}


def batch(event: Any) -> list[Any]:
    """Its records: EventBridge Pipes hands over nothing else."""
    return event if isinstance(event, list) else event["Records"]


def _is_empty(body: str) -> bool:
    """Whether it is only S3's test, directly or through a topic."""
    if "s3:TestEvent" not in body:
        return False
    from .wrapped import is_test

    return is_test(body)


def _group(record: Any) -> str | None:
    """The message group of a FIFO queue. A standard queue has groups too, for fairness, and no order in them."""
    if not isinstance(record, dict) or not str(record.get("eventSourceARN")).endswith(".fifo"):
        return None
    attributes = record.get("attributes")
    group = attributes.get("MessageGroupId") if isinstance(attributes, dict) else None
    return group if isinstance(group, str) else ""


def _done(
    function: DurableFunction[Any, Any],
    backend: Backend,
    context: LambdaContext,
    record: Any,
    enough: float,
    *,
    bare: bool,
) -> bool:
    try:
        body = record.get("body") if isinstance(record, dict) else None
        if isinstance(body, str) and is_wake_message(body):
            hint = parse_wake(body)
            if hint is None:
                _log.info("a wake message of another version is dropped; the sweeper sends again: %s", body[:200])
            else:
                _woken(function, backend, context, hint, enough)
        elif not (isinstance(body, str) and _is_empty(body)):
            from .records import accept

            accept(function, backend, context, record, "aws:sqs", enough=enough, bare=bare)
    except (Exception, Outage) as error:
        from .records import report

        report(function, record, error)
        return False
    return True


def _woken(
    function: DurableFunction[Any, Any], backend: Backend, context: LambdaContext, hint: Wake, enough: float
) -> None:
    if remaining_ms(context) < enough:
        # A turn could be cut off in the middle. Not handed back: that would take the visibility timeout and count as a failure
        # on the way to the dead-letter queue.
        backend.wakeups.send(hint, backend.clock.now())
    else:
        _wake(function, backend, hint, context)


def _wake(function: DurableFunction[Any, Any], backend: Backend, hint: Wake, context: LambdaContext) -> None:
    """Goes on with the execution, if there is anything to do. A stale hint is dropped: the table is the truth."""
    now = backend.clock.now()
    if hint.fn != function.name:
        _log.warning("message for durable function %r came to %r: passed on", hint.fn, function.name)
        backend.wakeups.forward(hint)
        return
    if hint.due - now > WAIT_IN_PLACE_MS:
        _pass_on(backend, hint, now)
        return
    reply = Invocation(function, backend, context).resume(hint.id)
    if isinstance(reply, Refusal):
        _log.info("nothing to do for execution %r: %s", hint.id, reply.reason)


def _pass_on(backend: Backend, hint: Wake, now: int) -> None:
    """The first leg of a long wait: the rest is a delay now. Only where the table says that the execution waits for this very
    message: whoever can write to the queue could else have messages sent for ever."""
    header = backend.store.head(hint.id)
    if header is None or not header.live or not _is_awaited(header, hint):
        _log.info("nothing to do for execution %r: it waits for no message at that time", hint.id)
        return
    backend.wakeups.send(hint, now)


def _is_awaited(header: Header, hint: Wake) -> bool:
    """One that has not begun is due at a time, and nothing else says that a message is out."""
    return (header.run, header.fn) == (hint.run, hint.fn) and hint.due in (header.hint, header.due)
