"""call, send: other executions.

Written to the log: that the other one exists, after its header does; its outcome, when the handler takes it; that it could not
be started. The other one's end and its entry in this execution's inbox are one transaction. The SDK derives its id from the
operation, so that a replay finds the same execution, and from the secret, so that nobody else can guess it.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...errors import (
    CallError,
    CallTimeout,
    CallTooDeep,
    DurableError,
    ExecutionCancelled,
    ExecutionConflict,
    ExecutionNotFound,
    ExecutionTimedOut,
    PayloadTooLarge,
    UnknownFunction,
)
from ...log import failures
from ...log.events import BEGUN, FAILED, SUCCEEDED, Event
from ...log.ids import checked_id
from ...log.inbox import SUCCESS, TIMEOUT, short
from ...log.inputs import Input, admitted, unseen
from ...log.outcomes import call_place
from ...values.adapters import Adapter
from ...values.parts import class_name
from ..effects import NOT_THERE, Decide, Launch, Operation, Park, Settle, Tell
from ..scope import Op
from ..turn import Turn
from .reading import check_adapter, recorded, taken_down, taken_result

if TYPE_CHECKING:
    from ..function import DurableFunction

_TIMED_OUT = "durable_fn.errors.CallTimeout"
_CONFLICT = "durable_fn.errors.ExecutionConflict"
_NOT_FOUND = "durable_fn.errors.ExecutionNotFound"
_TOO_LARGE = "durable_fn.errors.PayloadTooLarge"
_UNKNOWN = "durable_fn.errors.UnknownFunction"
_TOO_DEEP = "durable_fn.errors.CallTooDeep"
_NO_ID = "ValueError"
_REFUSALS = (ExecutionConflict, PayloadTooLarge, UnknownFunction, CallTooDeep)
"""Nothing was started, and another try would not help."""
_LONGEST_ID = 400
_OWN_DIGITS = 16


class NoId(DurableError):
    """The function's own rule gives no id here. The handler sees a ValueError, as elsewhere."""


class Target:
    """What is called, and with what. `input_adapter` None: its types are unknown here."""

    def __init__(
        self,
        fn: str,
        payload: object,
        adapter: Adapter,
        input_adapter: Adapter | None,
        *,
        retention_ms: int | None,
        timeout_ms: int | None,
        function: DurableFunction[Any, Any] | None = None,
    ) -> None:
        self.function = function
        self.fn = fn
        self.payload = payload
        self.adapter = adapter
        self.input_adapter = input_adapter
        self.retention_ms = retention_ms
        self.timeout_ms = timeout_ms
        self._input: Input | None = None

    @property
    def what(self) -> str:
        return f"the result of {self.fn!r}"

    def input(self, turn: Turn) -> Input:
        """The payload, validated now where its types are known. Raises SerializationError."""
        if self._input is None:
            adapter, what = self.input_adapter, f"the payload for {self.fn!r}"
            self._input = unseen(self.payload) if adapter is None else admitted(adapter, self.payload, what, turn.terms)
        return self._input


def call(op: Op, target: Target, id: str | None, timeout_ms: int | None) -> Operation[Any]:
    turn, record = op.turn, op.record
    if record is not None and record.done is not None:
        return _unwrap(op, target, turn.deliver(op, record))
    check_adapter(op, target.adapter, target.what, outside=True)
    begun = record.begun if record is not None else None
    if begun is not None:
        child, due = begun.value, begun.due or None
    else:
        again = turn.journal.epochs.get(op.id, "")
        child = derived_id(op, len(again)) if id is None else checked_id(id, "the id of ctx.call")
        due = None if timeout_ms is None else turn.time() + timeout_ms
    outcome: str | None = None
    try:
        if begun is None:
            earlier = _earlier(op) if id is None else []
            child, outcome = yield from _begin(op, target, child, earlier)
            turn.record(op, BEGUN, due=due or 0, value=child)
        elif turn.journal.revived and turn.inbox.get(_key(op, child)) is None:
            # It may have ended while this execution was over: then no entry came here.
            outcome = yield _launch(op, target, child)
        event, decided = yield from _end(op, target, child, due, outcome)
    except (
        ExecutionCancelled,
        ExecutionTimedOut,
    ) as ended:  # also before the launch: an owner that died may have made it
        why = getattr(ended, "reason", None) or ended
        yield Tell(child, f"its caller {turn.header.id!r} was cancelled: {why}")
        raise
    except _REFUSALS as refused:
        event, decided = turn.record(op, FAILED, value=failures.encode(refusal(refused))), False
    if not decided:
        yield Settle(event)
    turn.show(op, event)
    return _unwrap(op, target, event)


def _begin(op: Op, target: Target, child: str, earlier: list[str]) -> Operation[tuple[str, str | None]]:
    """The execution to wait for, and its outcome if it has one. After a redrive that is an execution which this operation
    started before, if that one was redriven meanwhile; else a new one."""
    for id in earlier:
        outcome = yield _launch(op, target, id, attach=True)
        if outcome != NOT_THERE:
            return id, outcome
    return child, (yield _launch(op, target, child))


def _end(op: Op, target: Target, child: str, due: int | None, outcome: str | None) -> Operation[tuple[Event, bool]]:
    """Waits. Returns the entry, and whether it is in the log already. A timeout is written on the condition that the inbox
    holds nothing unread: the key of the outcome stays free, because another wait may want it."""
    turn, key = op.turn, _key(op, child)
    while outcome is None:
        version = turn.inbox.version
        there, cancel_pending = turn.inbox.get(key), _is_cancelled_next(op)
        if there is not None and not cancel_pending:  # its end may be what this very cancellation led to
            outcome = there.body
        elif cancel_pending or due is None or turn.time() < due:
            yield Park(due, key)
        else:
            event = turn.draft(op, FAILED, value=_value(turn, target, child, TIMEOUT))
            if (yield Decide(event, version)):
                turn.recorded(op, event)
                return event, True
            yield Park(due, key)  # it came meanwhile; others may be first to go on
    status = SUCCEEDED if outcome[0] == SUCCESS else FAILED
    event = turn.record(op, status, value=_value(turn, target, child, outcome))
    return taken_down(turn, target.adapter, event), False


def _is_cancelled_next(op: Op) -> bool:
    """Whether a cancellation comes before anything else. In an async handler it reaches no task while one of them is in a
    shielded block; the others go on until then."""
    return op.scope.cancel_scope.cancel_pending and (op.turn.front is None or not op.turn.shields)


def send(op: Op, target: Target, id: str | None, delay_ms: int) -> Operation[str]:
    turn, record = op.turn, op.record
    if record is not None and record.done is not None:
        event = turn.deliver(op, record)
    else:
        child = derived_id(op, turn.journal.again.get(op.id, 0)) if id is None else checked_id(id, "the id of ctx.send")
        try:
            limits = target.retention_ms, target.timeout_ms, delay_ms
            child = yield Launch(
                target.fn, child, target.input(turn), None, *limits, target.input_adapter,
                ruled=id is None, function=target.function,
            )  # fmt: skip
            event = turn.record(op, SUCCEEDED, value=child)
        except (*_REFUSALS, NoId) as refused:
            event = turn.record(op, FAILED, value=failures.encode(refusal(refused)))
        yield Settle(event, durable=event.status == FAILED)  # by the next try it may be there, and known
        turn.show(op, event)
    if event.status == SUCCEEDED:
        return event.value
    raise _error(target, failures.decode(event.value))


def _launch(op: Op, target: Target, child: str, *, attach: bool = False) -> Launch:
    key, adapter = _key(op, child), target.input_adapter
    limits = target.retention_ms, target.timeout_ms
    return Launch(target.fn, child, target.input(op.turn), key, *limits, 0, adapter, attach, short(op.id))


def _key(op: Op, child: str) -> str:
    """The key of the inbox entry that the end of execution `child` writes."""
    return call_place(op.turn.journal, op.turn.header.gen, child)


def derived_id(op: Op, again: int = 0) -> str:
    """The same on every replay, another in every generation, and another for each `again` after a redrive. Readable as long as
    it is short. Its last part is derived from the secret: nobody outside can start, signal or look up an execution of this id
    before it exists."""
    header = op.turn.header
    suffix = f"{op.id}" if header.gen == 1 else f"{op.id}@{header.gen}"
    own = op.turn.derive(f"child {op.id} {again}").hex()[:_OWN_DIGITS]
    id = f"{header.id}/{suffix}" + (f"!{again + 1}" if again else "") + f"~{own}"
    if len(id.encode()) <= _LONGEST_ID:
        return id
    return f"{header.id[:80]}/{hashlib.sha256(id.encode()).hexdigest()[:32]}"


def _earlier(op: Op) -> list[str]:
    """Executions that this operation started before a redrive and that gave no result then, the last one first."""
    ends = op.turn.journal.epochs.get(op.id, "")
    return [derived_id(op, again) for again in reversed(range(len(ends))) if ends[again] != SUCCEEDED]


def refusal(
    error: ExecutionConflict | ExecutionNotFound | PayloadTooLarge | UnknownFunction | CallTooDeep | NoId,
) -> failures.Failure:
    """The refusal as it is recorded, so that a replay takes the same path, whatever has become of the other execution
    meanwhile."""
    if isinstance(error, NoId):
        return failures.Failure(_NO_ID, str(error), "", {}, None)
    if isinstance(error, ExecutionConflict):
        return failures.Failure(_CONFLICT, str(error), "", {"id": error.execution_id}, None)
    data = None if isinstance(error, ExecutionNotFound) else error.data
    return failures.Failure(class_name(type(error)), str(error), "", data, None)


def _value(turn: Turn, target: Target, child: str, outcome: str) -> str:
    """The outcome as the log stores it: the result as validated now, or a failure that names the other execution and its
    status."""
    if outcome[0] == SUCCESS:
        return taken_result(turn, target.adapter, outcome[1:], target.what)
    if outcome[0] == TIMEOUT:
        text = f"execution {child!r} of {target.fn!r} gave no result in time; it goes on"
        return failures.encode(failures.Failure(_TIMED_OUT, text, "", {"id": child, "status": "RUNNING"}, None))
    status, _, error = outcome[1:].partition(" ")
    failure = failures.decode(error)
    data = {"id": child, "status": status, "data": failure.data}
    passed = failures.Failure(failure.error_type, failure.message, "", data, None)
    return failures.encode(replace(passed, root=failure.root, several=failure.several))


def _unwrap(op: Op, target: Target, event: Event) -> Any:
    if event.status == SUCCEEDED:
        return recorded(op.turn, target.adapter, event.value, target.what)
    raise _error(target, failures.decode(event.value))


def _error(target: Target, failure: failures.Failure) -> Exception:
    data = failure.data if isinstance(failure.data, dict) else {}
    id, status = str(data.get("id", "")), data.get("status", "FAILED")
    if "status" not in data and (refused := refused_by(failure, data)) is not None:
        return refused
    if (
        failure.error_type == _TIMED_OUT and status == "RUNNING"
    ):  # a child that FAILED with one of its own is no timeout of ours
        return CallTimeout(failure.message, execution_id=id, status=status, error_type=None, message=failure.message)
    return CallError(
        f"execution {id!r} of {target.fn!r} ended {status}: {failure.error_type}: {failure.message}",
        execution_id=id,
        status=status,
        error_type=failure.root or failure.error_type or None,
        message=failure.message,
        data=data.get("data"),
        causes=list(failure.several),
    )


def refused_by(failure: failures.Failure, data: dict[str, Any]) -> Exception | None:
    """The error that kept the other execution from being started or reached, as it was raised the first time."""
    if failure.error_type == _NO_ID:
        return ValueError(failure.message)
    if failure.error_type == _CONFLICT:
        return ExecutionConflict(failure.message, execution_id=str(data.get("id", "")))
    if failure.error_type == _NOT_FOUND:
        return ExecutionNotFound(failure.message)
    if failure.error_type == _TOO_LARGE:
        return PayloadTooLarge(failure.message, size=int(data.get("size", 0)), limit=int(data.get("limit", 0)))
    if failure.error_type == _UNKNOWN:
        return UnknownFunction(failure.message, name=str(data.get("name", "")), known=tuple(data.get("known", ())))
    if failure.error_type == _TOO_DEEP:
        return CallTooDeep(failure.message, depth=int(data.get("depth", 0)), limit=int(data.get("limit", 0)))
    return None
