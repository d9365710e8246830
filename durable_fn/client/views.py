"""Executions as people are shown them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

from ..errors import CallError, CallTimeout, DurableError, JournalDamaged
from ..log import failures
from ..log.damage import reading
from ..log.durations import aware
from ..log.foreign import recorded_error, require_own
from ..log.header import ENDED, Header, outlined
from ..log.journal import Journal
from ..log.selection import is_overdue
from ..log.waiting import callback_tokens, waits
from ..types import ErrorInfo, ExecutionInfo, ExecutionStatus, HistoryEvent, Wait
from ..values.adapters import UNTYPED, adapter, result_of
from ..values.parts import class_name
from ..values.plain import plain
from .executions import Executions

_FIRST_LOOK_S = 0.05
_LONGEST_LOOK_S = 2.0


def snapshot(executions: Executions, id: str) -> ExecutionInfo:
    """Of a live one that is damaged: what can be read of it, and why the rest cannot."""
    try:
        return _snapshot(executions, executions.header(id))
    except (DurableError, ValueError) as error:
        outline = executions.head(id)
        if outline.ended:
            raise
        return damaged(outline, executions.clock.now(), error)


def _snapshot(executions: Executions, header: Header) -> ExecutionInfo:
    now = executions.clock.now()
    if header.foreign or header.ended:
        return info(header, now)
    loaded = executions.store.load(header.key) if header.turns or header.gen > 1 else None
    if loaded is None:
        return info(header, now)
    with reading(header.id):
        journal = Journal(loaded.segments)
        if header.status != "SUSPENDED":
            header.custom = journal.custom or header.custom
            return info(header, now)
        open_ = waits(header, journal, loaded.inbox)
    return replace(info(header, now), waiting_for=tuple(wait.id for wait in open_))


def damaged(header: Header, now: int, error: Exception) -> ExecutionInfo:
    return replace(info(outlined(header), now), held=_with_advice(_told(JournalDamaged(str(error)))))


def waited_for(
    executions: Executions, id: str, wait_ms: int, until_it: Callable[[Header], bool] = lambda header: not header.live
) -> Header:
    """Looks again and again, a little later each time, until it has ended, or is as it is wanted, or the time is over."""
    clock = executions.clock
    until = clock.now() + wait_ms
    pause = _FIRST_LOOK_S
    while True:
        header = executions.header(id)
        left = (until - clock.now()) / 1000
        if until_it(header) or left <= 0:
            return header
        clock.sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_LOOK_S)


def awaited(executions: Executions, id: str, status: Collection[ExecutionStatus] | None, wait_ms: int) -> ExecutionInfo:
    """Raises CallTimeout."""
    wanted = ENDED if status is None else frozenset([status] if isinstance(status, str) else status)
    header = waited_for(executions, id, wait_ms, lambda header: header.status in wanted or header.ended)
    if header.status in wanted:
        return snapshot(executions, id)
    raise CallTimeout(
        f"execution {id!r} is {header.status}, not {' or '.join(sorted(wanted))}"
        + (", and has ended" if header.ended else f", after {wait_ms / 1000:g} s"),
        execution_id=id,
        status=header.status,
    )


def open_waits(executions: Executions, id: str) -> list[Wait]:
    loaded = executions.loaded(id)
    with reading(id):
        return waits(loaded.header, Journal(loaded.segments), loaded.inbox)


def callback_token(executions: Executions, id: str, name: str) -> str:
    """Raises LookupError, with the names of those that are open."""
    loaded = executions.loaded(id)
    with reading(id):
        open_ = callback_tokens(loaded.header, Journal(loaded.segments), loaded.inbox)
    if name not in open_:
        names = ", ".join(map(repr, open_)) or "none"
        raise LookupError(f"execution {id!r} has no open callback {name!r}; open: {names}")
    return open_[name]


def behind(events: list[HistoryEvent], after: str | None) -> list[HistoryEvent]:
    """Raises ValueError."""
    if after is None:
        return events
    last = next((place for place in range(len(events) - 1, -1, -1) if events[place].id == after), None)
    if last is None:
        raise ValueError(f"the history has no entry of an operation {after!r}")
    return events[last + 1 :]


def result(header: Header, result_type: object) -> Any:
    """Raises CallTimeout while it is live, CallError if it ended otherwise, FormatError if its end cannot be read."""
    id = header.id
    if not header.live:
        require_own(header)
    if header.status == "SUCCEEDED":
        kind = adapter(UNTYPED if result_type is None else result_type)
        return result_of(kind, header.result or "null", f"the result of execution {id!r}")
    if header.live:
        raise CallTimeout(
            f"execution {id!r} is {header.status} and has no result yet; it goes on, ask again later",
            execution_id=id,
            status=header.status,
        )
    failure = failures.decode(header.error or failures.NOTHING)
    raise CallError(
        f"execution {id!r} ended {header.status}: {failure.error_type}: {failure.message}",
        execution_id=id,
        status=header.status,
        error_type=failure.root or failure.error_type or None,
        message=failure.message,
        data=failure.data,
        causes=list(failure.several),
    )


def info(header: Header, now: int) -> ExecutionInfo:
    """Of one of another format: what its header says, without values."""
    read: Callable[[str], Any] = (lambda text: None) if header.foreign else plain
    error = recorded_error(header)
    return ExecutionInfo(
        id=header.id,
        name=header.fn,
        status=header.status,
        custom_status=None if header.custom is None else read(header.custom),
        started_at=aware(header.started),
        finished_at=None if header.finished is None else aware(header.finished),
        next_due_at=_next_due(header),
        parent_id=header.parent_id,
        generation=header.gen,
        invocations=header.turns,
        input=None if header.input is None else read(header.input),
        error=error,
        held=_held(header, error),
        updated_at=aware(header.updated) if header.updated else None,
        overdue=is_overdue(header, now),
        result=None if header.result is None or header.status != "SUCCEEDED" else read(header.result),
    )


def _held(header: Header, error: ErrorInfo | None) -> ErrorInfo | None:
    """Why a live one does not go on, and what can be done, whatever the reason."""
    if header.ended:
        return None
    if header.held or header.foreign:
        return _with_advice(error or _told(JournalDamaged("the reason cannot be read; `describe` says why")))
    if not header.live:
        text = f"its status {header.status!r} is of another version of durable_fn, which goes on with it"
        return _with_advice(_told(JournalDamaged(text)))
    return None


def _told(error: Exception) -> ErrorInfo:
    return {"error_type": class_name(type(error)), "message": failures.readable(str(error))}


def _with_advice(error: ErrorInfo) -> ErrorInfo:
    told = f"{error['message'].rstrip('.')}. It is tried again by itself, and at once by `redrive`; `terminate` ends it now"
    return {**error, "message": told}


def _next_due(header: Header) -> datetime | None:
    """The earliest timer; that items have to be stamped anew is nobody's business."""
    due = header.due if header.timer is None else header.timer
    return None if not due or header.status == "RUNNING" else aware(due)
