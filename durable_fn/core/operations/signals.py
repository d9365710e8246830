"""wait_for_signal, wait_for_any_signal: messages to an execution, buffered, in order, each consumed once.

Written to the log: which signal a wait consumed, with the value as validated then, or why it does not fit; that none came in
time, on the condition that the inbox holds nothing unread; and that a branch took one, did nothing with it and lost, so that it
is unread again (see `log/unread.py`).
"""

from __future__ import annotations

from typing import Any

from ...errors import SignalTimeout
from ...log import failures
from ...log.events import BEGUN, FAILED, SUCCEEDED, Event
from ...log.inbox import Entry, any_of, signal_prefix
from ..effects import Decide, Operation, Park, Settle
from ..scope import Op
from ..signal import Named
from .reading import check_adapter, recorded, taken, taken_down

_LATE = (
    "no signal {name} came in time; one that comes later stays buffered for the next wait. Wait longer with timeout=, or catch "
    "SignalTimeout and go on without it"
)
_TIMED_OUT = "durable_fn.errors.SignalTimeout"


def wait_for_signal(op: Op, signal: Named, timeout_ms: int | None) -> Operation[Any]:
    _, payload = yield from wait_for_any_signal(op, (signal,), timeout_ms)
    return payload


def wait_for_any_signal(op: Op, signals: tuple[Named, ...], timeout_ms: int | None) -> Operation[tuple[str, Any]]:
    """The name and the payload of the oldest signal that has one of these names."""
    turn, record = op.turn, op.record
    if record is not None and record.done is not None:
        return _unwrap(op, signals, turn.deliver(op, record))
    for signal in signals:
        check_adapter(op, signal.adapter, signal.what, outside=True)
    if record is not None and record.begun is not None:
        due = record.begun.due or None
    else:
        due = None if timeout_ms is None else turn.time() + timeout_ms
        turn.record(op, BEGUN, due=due or 0)
    prefixes = {signal_prefix(signal.name): signal for signal in signals}
    while True:
        yield Park(
            due, any_of(prefixes)
        )  # also when a signal came before the timeout was decided: another operation may be the first to go on
        with turn.lock:
            version, there = turn.inbox.version, turn.inbox.take_any(prefixes)
        if there is not None:
            event = _got(op, signals, there)
            yield Settle(event)
            break
        if due is not None and turn.time() >= due:
            names = " or ".join(repr(signal.name) for signal in signals)
            failure = failures.Failure(_TIMED_OUT, _LATE.format(name=names), "", None, None)
            event = turn.draft(op, FAILED, value=failures.encode(failure))
            if (yield Decide(event, version)):
                turn.recorded(op, event)
                break
    turn.show(op, event)
    return _unwrap(op, signals, event)


def _got(op: Op, signals: tuple[Named, ...], there: Entry) -> Event:
    signal = _of_key(signals, there.key)
    assert signal is not None
    body = taken(op.turn, signal.adapter, there.body, signal.what)
    return taken_down(op.turn, signal.adapter, op.turn.record(op, SUCCEEDED, value=f"{there.key}\t{body}"))


def _of_key(signals: tuple[Named, ...], key: str) -> Named | None:
    """The signal that an entry of this key belongs to."""
    return next((signal for signal in signals if key.startswith(signal_prefix(signal.name))), None)


def _unwrap(op: Op, signals: tuple[Named, ...], event: Event) -> tuple[str, Any]:
    if event.status != SUCCEEDED:
        raise SignalTimeout(failures.decode(event.value).message, name=", ".join(signal.name for signal in signals))
    key, _, text = event.value.partition("\t")
    signal = _of_key(signals, key)
    if signal is None:
        asked = " or ".join(repr(one.name) for one in signals)
        raise op.turn.mismatch(
            f"a wait {op.id!r} that got another signal",
            f"a wait {op.id!r} for {asked}",
            op.position,
            op.scope.path,
            "the wait names other signals than before; one that was taken must stay among them",
        )
    return signal.name, recorded(op.turn, signal.adapter, text, signal.what)
