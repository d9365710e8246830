"""ctx.signal: a signal to another execution, once.

Written to the log: that it was taken, or that the other one had ended, or why it could not be sent. The SDK derives the id of
the signal, so that after a crash the next owner sends the same one again, and the mark of the first one makes it a no-op. An
answer that may be another one the next time (it has ended, it does not exist) is durable before the handler sees it.
"""

from __future__ import annotations

from collections.abc import Callable

from ...errors import ExecutionNotFound, PayloadTooLarge, UnknownFunction
from ...log import failures
from ...log.events import FAILED, SUCCEEDED, Event
from ...values.terms import Terms
from ..effects import Operation, Post, Settle
from ..scope import Op
from .calls import refusal, refused_by

_REFUSALS = (ExecutionNotFound, PayloadTooLarge, UnknownFunction)
"""Nothing was sent, and another try would not help."""


def post(op: Op, target: str, name: str, text: Callable[[Terms], str]) -> Operation[bool]:
    """`text`: the payload as it is sent, made when it is needed. Raises SerializationError before anything is written."""
    turn, record = op.turn, op.record
    if record is not None and record.done is not None:
        event = turn.deliver(op, record)
    else:
        try:
            taken = yield Post(target, name, text(turn.terms), signal_id(op))
            event = turn.record(op, SUCCEEDED, value="true" if taken else "false")
        except _REFUSALS as refused:
            event, taken = turn.record(op, FAILED, value=failures.encode(refusal(refused))), False
        yield Settle(event, durable=not taken)
        turn.show(op, event)
    if event.status == SUCCEEDED:
        return event.value == "true"
    raise _error(event)


def signal_id(op: Op) -> str:
    """The same on every replay; another one in every generation, after a redrive that makes the operation send again, and for
    clean-up code behind a cancellation."""
    again = len(op.turn.journal.epochs.get(op.id, ""))
    return f"post {op.turn.derive(f'signal {op.id} {again}' + ' cleaning up' * op.cleans_up).hex()}"


def _error(event: Event) -> Exception:
    failure = failures.decode(event.value)
    error = refused_by(failure, failure.data if isinstance(failure.data, dict) else {})
    assert error is not None  # nothing else is recorded for a signal
    return error
