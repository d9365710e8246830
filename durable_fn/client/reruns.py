"""Executions that go on from what they have done: themselves, or a copy of them."""

from __future__ import annotations

import json
import logging

from ..backends.ports import Loaded
from ..errors import ExecutionConflict
from ..log import failures
from ..log.draws import seed_of
from ..log.events import Segment
from ..log.fork import Copy, copied, limit_of
from ..log.header import Header, Refusal
from ..log.ids import checked_id
from ..log.ids import new_id as fresh_id
from ..log.inbox import REDRIVE, entry, numbered
from ..log.inputs import Input
from ..log.redrive import asked_line, cut_by, redrive_line
from ..log.retention import OF_FUNCTION
from ..log.writers import token_of
from ..runtime.executions import new_header
from ..runtime.wakes import send_wake
from .executions import TRIES, Executions, actor

_log = logging.getLogger("durable_fn")


def redrive(executions: Executions, id: str, from_step: str | None, reason: str | None, by: str | None) -> str:
    """Gives the operation at which it was cut; empty where nothing is forgotten."""
    own = executions.writer(by)
    for _ in range(TRIES):
        header, now = executions.head(id), executions.clock.now()
        if header.held:
            why = "" if reason is None else json.dumps({"reason": failures.readable(reason)}, ensure_ascii=False)
            executions.deliver(header, entry(numbered(REDRIVE, header.n, token_of(own)), own, why))
            return ""
        if not header.ended or (header.status == "SUCCEEDED" and from_step is None):
            raise ExecutionConflict(
                f"execution {id!r} is {header.status}: there is nothing to redrive", execution_id=id
            )
        loaded = executions.kept(id)
        header, segments = loaded.header, loaded.segments
        cancelled = header.status in ("CANCELLED", "TIMED_OUT")
        line = redrive_line(segments, from_step, now, header.error, cancelled=cancelled)
        cut = cut_by(segments, line)
        asked = asked_line(now, actor(by), reason)
        text = line if asked is None else f"{line}\n{asked}"
        reply = executions.store.revive(header, Segment(len(segments), own, text), now)
        if not isinstance(reply, Refusal):
            _say(id, from_step, cut)
            send_wake(executions.backend, reply, now)
            return cut
    raise RuntimeError(f"execution {id!r} could not be redriven; try again")


def _say(id: str, from_step: str | None, cut: str) -> None:
    if from_step not in (None, cut):
        _log.warning(
            "execution %r is redriven from %r, not from %r: a saga there was undone, so it is done anew from its beginning, or "
            "the callback of a wait is asked anew",
            id,
            cut,
            from_step,
        )


def fork(
    executions: Executions, id: str, from_step: str, new_id: str | None, reason: str | None, by: str | None
) -> str:
    loaded = executions.kept(id)
    header, now = loaded.header, executions.clock.now()
    copy = copied(header, loaded.segments, loaded.inbox, from_step, seed_of(header), now)
    asked = asked_line(now, actor(by), reason, of=id, from_step=from_step)
    last = copy.segments[-1]
    copy.segments[-1] = last._replace(body=f"{last.body}\n{asked}")
    wanted = _wanted(executions, loaded, new_id)
    if executions.store.head(wanted.id) is not None:
        raise _in_use(wanted.id)
    _write(executions, wanted, copy)
    reply = executions.store.create(wanted)
    if isinstance(reply, Refusal):
        raise _in_use(wanted.id)
    send_wake(executions.backend, reply, now)
    return wanted.id


def _wanted(executions: Executions, loaded: Loaded, new_id: str | None) -> Header:
    header = loaded.header
    input = header.input or "null"
    return new_header(
        executions.backend,
        fresh_id() if new_id is None else checked_id(new_id, "new_id"),
        header.fn,
        Input(input, None, input),
        retention_ms=header.retention * 1000 if header.retention != OF_FUNCTION else None,
        timeout_ms=limit_of(header, loaded.segments),
    )


def _write(executions: Executions, wanted: Header, copy: Copy) -> None:
    """All but the header, which goes last: without it nobody sees the rest."""
    for segment in copy.segments:
        executions.store.append(wanted, segment._replace(writer=wanted.run))
    executions.store.leave(wanted, copy.entries)
    wanted.n, wanted.gone = copy.seen, copy.gone
    wanted.turns = 1  # there is a log to read, though nobody ran this one yet


def _in_use(id: str) -> ExecutionConflict:
    return ExecutionConflict(f"execution id {id!r} is in use", execution_id=id)
