"""Executions that cannot go on here, whatever the reason: each waits, shows why, and is tried again after pauses that grow."""

from __future__ import annotations

import logging

from ..backends.ports import Backend
from ..log import failures
from ..log.header import Header, Refusal, held
from ..log.retention import Snapshot, keep_at, next_horizon
from .wakes import wake

_log = logging.getLogger("durable_fn")


def hold(
    backend: Backend,
    header: Header,
    writer: str,
    why: Exception,
    *,
    fenced: bool,
    custom: str | None = None,
    snapshot: Snapshot | None = None,
) -> Header:
    """Suspends an execution that cannot go on here, with the reason in its header."""
    _log.error("%s", why)
    reason = failures.encode(failures.capture(why))
    parking = held(header, backend.clock.now(), reason, fenced=fenced, custom=custom, snapshot=snapshot)
    reply = backend.store.suspend(header, writer, parking)
    if isinstance(reply, Refusal):
        return reply.header or header
    wake(backend, reply, header.hint)
    return reply


def prolonged(backend: Backend, header: Header) -> Snapshot | None:
    """A log that cannot be read cannot be copied: before its items would be removed, each gets a later TTL as it is. The new
    horizon counts from the old one, so that a run that is interrupted has done part of the work."""
    due = keep_at(header.horizon)
    if due > backend.clock.now():
        return None
    horizon = next_horizon(due, header.started, header.retention * 1000)
    backend.store.prolong(header, horizon)
    return Snapshot(header.edition, header.copied, horizon)
