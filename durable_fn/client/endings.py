"""Executions that end, or are removed, because somebody outside says so."""

from __future__ import annotations

import logging
from dataclasses import replace

from ..errors import ExecutionConflict
from ..log import failures
from ..log.events import Segment, fence
from ..log.header import Header, Refusal
from ..log.requests import Ending
from ..runtime.calls import notice_of
from ..runtime.wakes import send_told
from .executions import TRIES, Executions, actor

_log = logging.getLogger("durable_fn")


def terminate(executions: Executions, id: str, reason: str | None, by: str | None) -> None:
    """Whatever is in its journal, for nothing of it is read."""
    message = failures.readable(f"terminated{f': {reason}' if reason else ''}")
    failure = failures.Failure("durable_fn.errors.ExecutionTerminated", message, "", None, None)
    ending = Ending("TERMINATED", executions.clock.now(), error=failures.encode(failure))
    own = executions.writer(by)
    for _ in range(TRIES):
        header = executions.head(id)
        tombstone = Segment(executions.store.tail(header), own, fence(ending.finished))
        ended = replace(header, status=ending.status, error=ending.error)
        note = None if header.parent is None else notice_of(ended, own, executions.clock.now())
        reply = executions.store.terminate(header, ending, tombstone, note)
        if not isinstance(reply, Refusal):
            if note is not None:
                send_told(executions.backend, note, executions.clock.now())
            return
        if reply.reason == "finished":
            return
    raise RuntimeError(f"execution {id!r} makes progress too quickly to be terminated; try again")


def purge(executions: Executions, id: str, reason: str | None, by: str | None) -> None:
    """As `terminate`, nothing of its journal is read. Nothing is left of it but a line in this process's log."""
    reply = executions.store.retire(executions.head(id))
    if isinstance(reply, Header):
        executions.store.remove(reply)
        _log.info("execution %r was purged by %r: %r", id, actor(by), reason)
    elif reply.reason == "live":
        raise ExecutionConflict(f"execution {id!r} is under way; cancel or terminate it first", execution_id=id)
