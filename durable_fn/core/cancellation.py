"""A cancellation or timeout that is raised at an operation: once, recorded there before it is raised."""

from __future__ import annotations

import json

from ..errors import ExecutionCancelled, ExecutionTimedOut
from ..log.events import RAISED
from ..log.journal import Record
from .cancel_scope import Cancellation
from .effects import Call, CheckTime, Decide, Effect, Expire, Launch, Operation, Park, Post, Settle
from .scope import Op

_INTERRUPTED = (Call, CheckTime, Park, Launch, Post, Expire)
"""Live effects before which it is raised. The other effects run first: they commit what has happened, or let a fan end its
branches."""

Raised = ExecutionCancelled | ExecutionTimedOut


def is_raised_before(op: Op, effect: Effect) -> bool:
    """Whether the cancellation is raised here, in place of this effect."""
    return op.scope.cancel_scope.cancel_pending and isinstance(effect, _INTERRUPTED)


def cancellation_text(cancellation: Cancellation) -> str:
    """As the log has it."""
    return json.dumps([cancellation.kind, cancellation.reason], ensure_ascii=False)


def error_of(cancellation: Cancellation) -> Raised:
    if cancellation.kind == "timed out":
        return ExecutionTimedOut("the execution's time is over (execution_timeout); it ends as TIMED_OUT")
    if cancellation.kind == "lost":
        return ExecutionCancelled("the fan that this branch belongs to is over", reason=cancellation.reason)
    return ExecutionCancelled(
        f"the execution was cancelled{f': {cancellation.reason}' if cancellation.reason else ''}",
        reason=cancellation.reason,
    )


def raise_at(op: Op) -> Operation[None]:
    """Records the cancellation. A timeout is a decision from absence: the table accepts it only if the inbox holds nothing
    unread."""
    cancellation = op.scope.cancel_scope.cancellation
    assert cancellation is not None
    op.turn.drop_pending(op.id)
    value = cancellation_text(cancellation)
    if cancellation.kind == "timed out":
        event = op.turn.draft(op, RAISED, value=value)
        while not (yield Decide(event, op.turn.inbox.version)):
            pass
        op.turn.journal.passed(event)
    else:
        event = op.turn.record(op, RAISED, value=value)
        yield Settle(event, durable=True)
    op.record = op.turn.journal.remember(event)
    op.scope.cancel_scope.raised = True
    op.turn.show(op, event)


def raise_again_at(op: Op) -> Raised:
    """The error as it was raised the first time. What the operation recorded inside itself is skipped."""
    record = op.record
    assert record is not None
    assert record.done is not None
    op.turn.journal.skip_below(f"{op.id}/")
    op.turn.deliver(op, record)
    cancel_scope = op.scope.cancel_scope
    cancel_scope.cancellation, cancel_scope.raised = cancellation_of(record), True
    return error_of(cancel_scope.cancellation)


def cancellation_of(record: Record) -> Cancellation:
    """What was raised at an operation."""
    assert record.done is not None
    kind, reason = json.loads(record.done.value)
    return Cancellation(kind, reason)
