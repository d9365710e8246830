"""SQS: our own wake messages and messages of yours, also mixed in one batch.

Each by itself (ReportBatchItemFailures): one that fails goes back to the queue, and to its dead-letter queue when it failed often
enough; the others are done.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from ..core.header import Refusal
from ..core.hint import Hint, parse_hint
from ..fronts.session import Outage
from ..invocation import WAIT_IN_PLACE_MS, Invocation
from ..ports import Backend
from ..types import LambdaContext

if TYPE_CHECKING:
    from ..handler import DurableFunction

_log = logging.getLogger("durable_fn")

_WAKE_KEY: Final = '"durable_fn"'
"""The first key of a wake message. No message of yours may begin with it."""


def queue(function: DurableFunction[Any, Any], backend: Backend, event: Any, context: LambdaContext) -> Any:
    """What failed, and, of a FIFO queue, what came after it in its message group: that must not overtake it."""
    enough = context.get_remaining_time_in_millis() / 2
    failed: list[dict[str, str]] = []
    held: set[str] = set()
    for record in event["Records"]:
        group = _group(record)
        if group in held or not _done(function, backend, context, record, enough):
            id = record.get("messageId") if isinstance(record, dict) else None
            # An empty identifier is a failure of the whole batch, which is right for a message that cannot be named.
            failed.append({"itemIdentifier": id if isinstance(id, str) else ""})
            if group is not None:
                held.add(group)
    return {"batchItemFailures": failed}


def _group(record: Any) -> str | None:
    """The message group of a FIFO queue. A standard queue has groups too, for fairness, and no order in them."""
    if not isinstance(record, dict) or not str(record.get("eventSourceARN")).endswith(".fifo"):
        return None
    attributes = record.get("attributes")
    group = attributes.get("MessageGroupId") if isinstance(attributes, dict) else None
    return group if isinstance(group, str) else ""


def _done(
    function: DurableFunction[Any, Any], backend: Backend, context: LambdaContext, record: Any, enough: float
) -> bool:
    try:
        body = record.get("body") if isinstance(record, dict) else None
        if isinstance(body, str) and _is_wake_message(body):
            hint = parse_hint(body)
            if hint is None:
                _log.info("a wake message of another version is dropped; the sweeper sends again: %s", body[:200])
            else:
                _woken(function, backend, context, hint, enough)
        else:
            from .records import accept

            accept(function, backend, context, record, "aws:sqs", enough=enough)
    except (Exception, Outage) as error:
        from .records import report

        report(function, record, error)
        return False
    return True


def _is_wake_message(body: str) -> bool:
    start = body.lstrip()
    return start.startswith("{") and start[1:].lstrip().startswith(_WAKE_KEY)


def _woken(
    function: DurableFunction[Any, Any], backend: Backend, context: LambdaContext, hint: Hint, enough: float
) -> None:
    if context.get_remaining_time_in_millis() < enough:
        # A turn could be cut off in the middle. Not handed back: that would take the visibility timeout and count as a failure
        # on the way to the dead-letter queue.
        backend.wakeups.send(hint, backend.clock.now())
    else:
        _wake(function, backend, hint, context)


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
