"""wait_for_signal: messages to an execution, buffered, in order, each consumed once.

Written to the log: which one was consumed, by the line that hands it out, with the value as it was validated then, or that it
does not fit; that none came, on the condition that the inbox holds nothing which is not in hand; and that a branch took one, did
nothing with it and lost (see `log/unread.py`).
"""

from __future__ import annotations

from typing import Any

from ...errors import SignalTimeout
from ...log import failures
from ...log.events import BEGUN, FAILED, SUCCEEDED, Event
from ...log.inbox import signal_prefix
from ...values.adapters import Adapter
from ..effects import Decide, Operation, Park, Settle
from ..scope import Op
from .reading import check_adapter, recorded, taken, taken_down

_LATE = (
    "no signal {name} came in time; one that comes later stays buffered for the next wait. Wait longer with timeout=, or catch "
    "SignalTimeout and go on without it"
)
_TIMED_OUT = "durable_fn.errors.SignalTimeout"


def wait_for_signal(op: Op, name: str, adapter: Adapter, timeout_ms: int | None) -> Operation[Any]:
    turn, record, what = op.turn, op.record, f"the payload of signal {name!r}"
    if record is not None and record.done is not None:
        return _unwrap(op, name, adapter, turn.deliver(op, record))
    check_adapter(op, adapter, what, outside=True)
    if record is not None and record.begun is not None:
        due = record.begun.due or None
    else:
        due = None if timeout_ms is None else turn.time() + timeout_ms
        turn.record(op, BEGUN, due=due or 0)
    prefix = signal_prefix(name)
    while True:
        yield Park(due, prefix)  # also when something came before a timeout was decided: others may be first to go on
        with turn.lock:
            version, there = turn.inbox.version, turn.inbox.take(prefix)
        if there is not None:
            event = turn.record(op, SUCCEEDED, value=f"{there.key}\t{taken(turn, adapter, there.body, what)}")
            taken_down(turn, adapter, event)
            yield Settle(event)
            break
        if due is not None and turn.time() >= due:
            failure = failures.Failure(_TIMED_OUT, _LATE.format(name=repr(name)), "", None, None)
            event = turn.draft(op, FAILED, value=failures.encode(failure))
            if (yield Decide(event, version)):
                turn.recorded(op, event)
                break
    turn.show(op, event)
    return _unwrap(op, name, adapter, event)


def _unwrap(op: Op, name: str, adapter: Adapter, event: Event) -> Any:
    if event.status == SUCCEEDED:
        return recorded(op.turn, adapter, event.value.partition("\t")[2], f"the payload of signal {name!r}")
    raise SignalTimeout(failures.decode(event.value).message, name=name)
