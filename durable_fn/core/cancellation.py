"""A cancellation or timeout that is raised at an operation: once, recorded there before it is raised."""

from __future__ import annotations

import json

from ..errors import ExecutionCancelled, ExecutionTimedOut
from ..log.events import RAISED
from ..log.journal import Record
from .cancel_scope import Doom
from .effects import Call, Decide, Effect, Expire, Launch, Operation, Park, Room, Settle
from .scope import Op

_INTERRUPTED = (Call, Room, Park, Launch, Expire)
"""Live effects before which it is raised. What has happened is committed first, and a fan ends its branches by itself first."""

Raised = ExecutionCancelled | ExecutionTimedOut


def strikes_before(op: Op, effect: Effect) -> bool:
    """Whether the operation is to end here instead of doing this."""
    return op.scope.branch.doomed and isinstance(effect, _INTERRUPTED)


def doom_text(doom: Doom) -> str:
    """As the log has it."""
    return json.dumps([doom.kind, doom.reason], ensure_ascii=False)


def error_of(doom: Doom) -> Raised:
    if doom.kind == "timed out":
        return ExecutionTimedOut("the execution's time is over (execution_timeout); it ends as TIMED_OUT")
    if doom.kind == "lost":
        return ExecutionCancelled("the fan that this branch belongs to is over", reason=doom.reason)
    return ExecutionCancelled(
        f"the execution was cancelled{f': {doom.reason}' if doom.reason else ''}", reason=doom.reason
    )


def raised_at(op: Op) -> Operation[None]:
    """Records it. That a deadline is over is decided from absence: nothing may have come that is not in hand."""
    doom = op.scope.branch.doom
    assert doom is not None
    op.turn.drop_pending(op.id)
    value = doom_text(doom)
    if doom.kind == "timed out":
        event = op.turn.draft(op, RAISED, value=value)
        while not (yield Decide(event, op.turn.inbox.version)):
            pass
    else:
        event = op.turn.record(op, RAISED, value=value)
        yield Settle(event, durable=True)
    op.record = op.turn.journal.remember(event)
    op.scope.branch.raised = True
    op.turn.show(op, event)


def replayed_at(op: Op) -> Raised:
    """As it was raised the first time. What was recorded inside the operation is passed over."""
    record = op.record
    assert record is not None
    assert record.done is not None
    op.turn.journal.skip_below(f"{op.id}/")
    op.turn.deliver(op, record)
    branch = op.scope.branch
    branch.doom, branch.raised = doom_of(record), True
    return error_of(branch.doom)


def doom_of(record: Record) -> Doom:
    """What was raised at an operation."""
    assert record.done is not None
    kind, reason = json.loads(record.done.value)
    return Doom(kind, reason)
