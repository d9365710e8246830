"""Executions as people are shown them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from ..errors import CallError, CallTimeout, DurableError, JournalDamaged
from ..log import failures
from ..log.durations import aware, moment
from ..log.foreign import recorded_error, require_own
from ..log.header import Header, outlined
from ..log.journal import Journal
from ..types import ErrorInfo, ExecutionInfo, ExecutionStatus
from ..values.adapters import UNTYPED, adapter, plain, result_of
from ..values.parts import class_name
from .executions import Executions

_log = logging.getLogger("durable_fn")

_FIRST_LOOK_S = 0.05
_LONGEST_LOOK_S = 2.0


def snapshot(executions: Executions, id: str) -> ExecutionInfo:
    """Of a live one that is damaged: what can be read of it, and why the rest cannot."""
    try:
        header = executions.header(id)
        if header.foreign:
            return _info(header)
        if header.status == "RUNNING" or (header.status == "PENDING" and header.gen > 1):
            loaded = executions.store.load(header.key)
            if loaded is not None:
                header.custom = Journal(loaded.segments).custom or header.custom
        return _info(header)
    except (DurableError, ValueError) as error:
        outline = executions.head(id)
        if outline.ended:
            raise
        return _damaged(outline, error)


def _damaged(header: Header, error: Exception) -> ExecutionInfo:
    return replace(_info(outlined(header)), held=_with_advice(_told(JournalDamaged(str(error)))))


def listed(
    executions: Executions,
    name: str | None,
    status: ExecutionStatus | None,
    started_after: datetime | None,
    limit: int | None,
) -> Iterator[ExecutionInfo]:
    if limit is not None and limit < 0:
        raise ValueError(f"limit must be 0 or more, got {limit}")
    after = None if started_after is None else moment(started_after, "started_after")
    for header in executions.store.executions(name, status, after, limit):
        try:
            shown = _info(header)
        except Exception as error:  # one damaged item must not hide the others
            if not header.ended:
                yield _damaged(header, error)
                continue
            _log.warning("execution %r is left out of the list: %s: %s", header.id, type(error).__name__, error)
        else:
            yield shown


def waited_for(executions: Executions, id: str, wait_ms: int) -> Header:
    """Looks again and again, a little later each time, until it has ended or the time is over."""
    clock = executions.clock
    until = clock.now() + wait_ms
    pause = _FIRST_LOOK_S
    while True:
        header = executions.header(id)
        left = (until - clock.now()) / 1000
        if not header.live or left <= 0:
            return header
        clock.sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_LOOK_S)


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


def _info(header: Header) -> ExecutionInfo:
    """Of one of another format: what its header says, without values."""
    read = (lambda text: None) if header.foreign else plain
    error = recorded_error(header)
    return ExecutionInfo(
        id=header.id,
        name=header.fn,
        status=header.status,
        custom_status=None if header.custom is None else read(header.custom),
        started_at=aware(header.started),
        finished_at=None if header.finished is None else aware(header.finished),
        next_due_at=_next_due(header),
        parent_id=None if header.parent is None else json.loads(header.parent)["id"],
        generation=header.gen,
        invocations=header.turns,
        input=read(header.input or "null"),
        error=error,
        held=_held(header, error),
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
    told = f"{error['message']}. It is tried again by itself, and at once by `redrive`; `terminate` ends it now"
    return {**error, "message": told}


def _next_due(header: Header) -> datetime | None:
    """The earliest timer; that items have to be stamped anew is nobody's business."""
    due = header.due if header.timer is None else header.timer
    return None if not due or header.status == "RUNNING" else aware(due)
