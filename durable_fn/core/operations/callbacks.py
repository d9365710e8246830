"""callback, wait_for_callback: a promise that somebody outside completes.

Written to the log: that it was opened, with its times; its outcome, once, when a wait first takes it; and the end of each wait
for it. A wait is an operation of its own in the scope that waits ("approval.result"); its beginning is written too where a
native timer runs beside it. None of these has a write of its own. The outcome itself, also a timeout, is one write-once entry
of the inbox, so that a completion and a timeout cannot both count.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ...errors import CallbackFailed, CallbackTimeout
from ...log import failures, tokens
from ...log.events import BEGUN, FAILED, SUCCEEDED, Event, component, escaped, key_part
from ...log.inbox import FAILURE, NO_HEARTBEAT, SUCCESS, TIMEOUT, arrived
from ...log.journal import Record
from ...log.kinds import WAIT
from ...log.outcomes import callback_place, expiry
from ...values.adapters import Adapter
from ..effects import Expire, Operation, Park, Settle, Take, until
from ..scope import Op, Scope
from ..step_options import StepPlan
from .reading import check_adapter, recorded, taken, taken_down
from .step import step

_LONGEST_NAME: Final = 240
_NO_ANSWER = "no answer came in time. Wait longer with timeout="
_NO_HEARTBEAT = (
    "no heartbeat came in time. The other side must call heartbeat_callback(token) more often, or give it a longer "
    "heartbeat_timeout="
)
_TIMED_OUT = "durable_fn.errors.CallbackTimeout"


class Promise:
    """An opened callback. `due`: epoch milliseconds; `heartbeat_ms`: between two heartbeats."""

    def __init__(self, op: Op, name: str, adapter: Adapter, due: int | None, heartbeat_ms: int | None) -> None:
        self.op = op
        self.name = name
        self.adapter = adapter
        self.due = due
        self.heartbeat_ms = heartbeat_ms
        header = op.turn.header
        self.operation, self.key = callback_place(op.turn.journal, header.gen, op.id)
        limited = due is not None or heartbeat_ms is not None
        self.token = tokens.make(
            header.id, header.run, header.gen, self.operation, header.proof_secret, limited=limited
        )

    @property
    def record(self) -> Record:
        """Where its outcome is found."""
        record = self.op.record
        assert record is not None
        return record

    @property
    def what(self) -> str:
        return f"the result of callback {self.name!r}"

    def next_due(self) -> int | None:
        """The earlier of the timeout and of the next missing heartbeat."""
        turn, record = self.op.turn, self.record
        assert record.begun is not None
        return expiry(record.begun, turn.inbox, turn.header.gen, self.operation)

    def patience(self, due: int | None) -> str:
        """The outcome if nothing has come when `due` passes."""
        return TIMEOUT if due == self.due else NO_HEARTBEAT


def callback(op: Op, name: str, adapter: Adapter, timeout_ms: int | None, heartbeat_ms: int | None) -> Promise:
    """Opens it. Nothing is written yet: the token is the same after a death."""
    record = op.record
    check_adapter(op, adapter, f"the result of callback {name!r}", outside=True)
    if record is None or record.begun is None:
        now = op.turn.time()
        due = None if timeout_ms is None else now + timeout_ms
        event = op.turn.record(op, BEGUN, due=due or 0, value="" if heartbeat_ms is None else str(heartbeat_ms))
        op.record = op.turn.journal.remember(event)
        return Promise(op, name, adapter, due, heartbeat_ms)
    begun = record.begun
    return Promise(op, name, adapter, begun.due or None, int(begun.value) if begun.value else None)


def waiting(promise: Promise, scope: Scope) -> Op:
    """The operation of one wait, in the scope that waits, so that each wait can be cancelled by itself. Its key is that of its
    callback, or the callback's id where another branch opened it."""
    opened, part = promise.op, component(f"{promise.name[:_LONGEST_NAME]}.result")
    key = key_part(opened.id)
    if key is not None and opened.scope.home.path != scope.home.path:
        key = escaped(opened.id)
    return scope.enter(WAIT, part, key, repeats=True)


def result(op: Op, promise: Promise) -> Operation[Any]:
    """Waits for the outcome. Every wait for one callback gets the same."""
    turn = op.turn
    if op.record is not None and op.record.done is not None:
        event = turn.deliver(op, op.record)
        if event.value != promise.op.id:
            raise _another(op, promise, event.value)
        return _unwrap(promise, _recorded(promise))
    if promise.record.outcome is None:
        yield Park(promise.next_due(), promise.key)
        while (there := turn.inbox.get(promise.key)) is None:
            due = promise.next_due()
            if due is not None and turn.time() >= due:
                yield Expire(promise.key, promise.patience(due))
            else:
                yield Park(due, promise.key)
        (at, body), due = arrived(there.body), promise.next_due()
        late = at is not None and due is not None and at >= due  # it came while nobody waited
        _settle(promise, promise.patience(due) if late else body)
    else:  # a replay may know it from an entry behind this place, though the handler did not wait that long the first time
        yield from until(turn, turn.time())
    event = turn.record(op, SUCCEEDED, value=promise.op.id)
    yield Settle(event)
    turn.show(op, event)
    return _unwrap(promise, _recorded(promise))


def _settle(promise: Promise, body: str) -> None:
    """Records the outcome once: by whichever wait is first."""
    turn = promise.op.turn
    with turn.lock:
        if promise.record.outcome is None:
            status = SUCCEEDED if body[0] == SUCCESS else FAILED
            event = turn.record(promise.op, status, value=_outcome(promise, body))
            turn.journal.remember(taken_down(turn, promise.adapter, event))


def _recorded(promise: Promise) -> Event:
    outcome = promise.record.outcome
    assert outcome is not None  # the log has it before every wait for it that is over
    return outcome


def _another(op: Op, promise: Promise, recorded: str) -> Exception:
    return op.turn.mismatch(
        f"wait {op.id!r} for callback {recorded!r}",
        f"wait {op.id!r} for callback {promise.op.id!r}",
        op.position,
        op.scope.path,
        "callbacks of one name are awaited in another order",
    )


def _outcome(promise: Promise, body: str) -> str:
    """The inbox entry as the log stores it: the value as validated now, or a failure."""
    if body[0] == SUCCESS:
        return taken(promise.op.turn, promise.adapter, body[1:], promise.what)
    if body[0] == FAILURE:
        return body[1:]
    beat = body[0] == NO_HEARTBEAT
    text = f"callback {promise.name!r}: {_NO_HEARTBEAT if beat else _NO_ANSWER}, or catch CallbackTimeout and go on without it"
    return failures.encode(failures.Failure(_TIMED_OUT, text, "", {"heartbeat": beat}, None))


def _unwrap(promise: Promise, event: Event) -> Any:
    if event.status == SUCCEEDED:
        return recorded(promise.op.turn, promise.adapter, event.value, promise.what)
    raise _error(promise, failures.decode(event.value))


def _error(promise: Promise, failure: failures.Failure) -> Exception:
    if failure.error_type == _TIMED_OUT and isinstance(failure.data, dict):  # fail_callback sends no data
        beat = bool(failure.data.get("heartbeat"))
        return CallbackTimeout(failure.message, name=promise.name, heartbeat=beat)
    text = f"callback {promise.name!r} failed: {failure.error_type}: {failure.message}"
    return CallbackFailed(text, name=promise.name, error_type=failure.error_type, message=failure.message)


def wait_for_callback(
    op: Op,
    name: str,
    adapter: Adapter,
    timeout_ms: int | None,
    heartbeat_ms: int | None,
    plan: StepPlan,
    submit: Callable[..., Any],
) -> Operation[Any]:
    """Opens it, hands the token out in a step, waits."""
    promise = callback(op, name, adapter, timeout_ms, heartbeat_ms)
    inner = op.scope.inside(op)
    try:
        yield from part(inner.enter("step", plan.component), step, plan, submit, (promise.token,), {})
        return (yield from part(inner.enter(WAIT, "result"), result, promise))
    finally:
        op.turn.pass_time(op.scope, inner.at)


def part(op: Op, operation: Callable[..., Operation[Any]], *args: Any) -> Operation[Any]:
    """An operation inside another one: a recorded result waits until it is the next in the log's order."""
    if op.record is not None and op.record.done is not None:
        yield Take(op.record)
    return (yield from operation(op, *args))
