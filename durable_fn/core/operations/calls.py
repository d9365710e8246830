"""call, send: other executions.

Written to the log: that the other one exists, after its header does; its outcome, when the handler takes it. The other one's
end and its entry in this execution's inbox are one transaction. Its id is derived, so a replay finds the one it made.
"""

from __future__ import annotations

import hashlib
from typing import Any

from ...errors import CallError, CallTimeout, ExecutionCancelled, ExecutionTimedOut
from .. import failures
from ..effects import DELIVER, Expire, Launch, Operation, Park, Tell
from ..events import BEGUN, FAILED, SUCCEEDED, Event
from ..ids import checked_id
from ..inbox import SUCCESS, TIMEOUT, call_key, short
from ..scope import Op
from ..values import Adapter

_TIMED_OUT = "durable_fn.errors.CallTimeout"
_LONGEST_ID = 400


class Target:
    """What is called: its name and its encoded input."""

    def __init__(
        self,
        fn: str,
        input: str,
        adapter: Adapter,
        input_adapter: Adapter,
        *,
        retention_ms: int,
        timeout_ms: int | None,
    ) -> None:
        self.fn = fn
        self.input = input
        self.adapter = adapter
        self.input_adapter = input_adapter
        self.retention_ms = retention_ms
        self.timeout_ms = timeout_ms


def call(op: Op, target: Target, id: str | None, timeout_ms: int | None) -> Operation[Any]:
    turn, record = op.turn, op.record
    if record is not None and record.done is not None:
        return _unwrap(op, target, turn.deliver(op, record))
    key = call_key(turn.header.gen, short(op.id))
    outcome: str | None = None
    begun = record.begun if record is not None else None
    if begun is not None:
        child, due = begun.value, begun.due or None
    else:
        child = derived_id(op) if id is None else checked_id(id, "the id of ctx.call")
        due = None if timeout_ms is None else turn.time() + timeout_ms
    try:
        if begun is None:
            outcome = yield _launch(target, child, key)
            turn.record(op, BEGUN, due=due or 0, value=child)
        while outcome is None:
            there = turn.inbox.get(key)
            if there is not None and not op.scope.branch.doomed:  # its end may be what this very cancellation led to
                outcome = there.body
            elif due is not None and turn.time() >= due:
                yield Expire(key, TIMEOUT)
            else:
                yield Park(due, key)
    except (
        ExecutionCancelled,
        ExecutionTimedOut,
    ) as ended:  # also before the launch: an owner that died may have made it
        why = getattr(ended, "reason", None) or ended
        yield Tell(child, f"its caller {turn.header.id!r} was cancelled: {why}")
        raise
    event = turn.record(op, SUCCEEDED if outcome[0] == SUCCESS else FAILED, value=_value(op, target, child, outcome))
    yield DELIVER
    turn.show(op, event)
    return _unwrap(op, target, event)


def send(op: Op, target: Target, id: str | None, delay_ms: int) -> Operation[str]:
    turn, record = op.turn, op.record
    if record is not None and record.done is not None:
        return turn.deliver(op, record).value
    child = derived_id(op) if id is None else checked_id(id, "the id of ctx.send")
    yield _launch(target, child, None, delay_ms)
    event = turn.record(op, SUCCEEDED, value=child)
    yield DELIVER
    turn.show(op, event)
    return child


def _launch(target: Target, id: str, key: str | None, delay_ms: int = 0) -> Launch:
    return Launch(
        target.fn, id, target.input, key, target.retention_ms, target.timeout_ms, delay_ms, target.input_adapter
    )


def derived_id(op: Op) -> str:
    """The same on every replay, another in every generation. Readable as long as it is short."""
    header = op.turn.header
    suffix = f"{op.id}" if header.gen == 1 else f"{op.id}@{header.gen}"
    id = f"{header.id}/{suffix}"
    if len(id.encode()) <= _LONGEST_ID:
        return id
    return f"{header.id[:80]}/{hashlib.sha256(id.encode()).hexdigest()[:32]}"


def _value(op: Op, target: Target, child: str, outcome: str) -> str:
    """As the log has it: an encoded result, or a failure that names the other execution and its status."""
    if outcome[0] == SUCCESS:
        return outcome[1:]
    if outcome[0] == TIMEOUT:
        text = f"execution {child!r} of {target.fn!r} gave no result in time; it goes on"
        return failures.encode(failures.Failure(_TIMED_OUT, text, "", {"id": child, "status": "RUNNING"}, None))
    status, _, error = outcome[1:].partition(" ")
    failure = failures.decode(error)
    data = {"id": child, "status": status}
    return failures.encode(failures.Failure(failure.error_type, failure.message, "", data, None))


def _unwrap(op: Op, target: Target, event: Event) -> Any:
    if event.status == SUCCEEDED:
        return target.adapter.decode(event.value, f"the result of {target.fn!r}")
    raise _error(target, failures.decode(event.value))


def _error(target: Target, failure: failures.Failure) -> Exception:
    data = failure.data if isinstance(failure.data, dict) else {}
    id, status = str(data.get("id", "")), data.get("status", "FAILED")
    if failure.error_type == _TIMED_OUT:
        return CallTimeout(failure.message, execution_id=id, status=status, error_type=None, message=failure.message)
    return CallError(
        f"execution {id!r} of {target.fn!r} ended {status}: {failure.error_type}: {failure.message}",
        execution_id=id,
        status=status,
        error_type=failure.error_type or None,
        message=failure.message,
    )
