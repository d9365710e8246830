"""Sends wake messages. They are hints: the table is the truth."""

from __future__ import annotations

import logging

from ..backends.ports import Backend
from ..log.header import Header
from ..log.requests import ParentNotice
from ..log.wake import Wake

_log = logging.getLogger("durable_fn")


def send_wake(backend: Backend, header: Header, now: int) -> None:
    """Sends a message for the header's due time."""
    send(backend, Wake(header.id, header.run, header.fn, header.due or now), now)


def wake(backend: Backend, header: Header, already: int | None) -> None:
    """Sends a message for the header's due time, after the state is written. `already`: the time of the last message: if it is
    the same, and still ahead, no second one is needed."""
    if header.due is None or header.timer is not None:
        return
    now = backend.clock.now()
    if already == header.due and header.due > now:
        return
    send_wake(backend, header, now)


def send_told(backend: Backend, note: ParentNotice, now: int) -> None:
    """Sends a message to the parent that was notified of an end."""
    send(backend, Wake(note.waiting.id, note.waiting.run, note.fn, note.now), now)


def send(backend: Backend, hint: Wake, now: int) -> None:
    """A message may be lost, so failing to send one is no error: the sweeper finds the execution by its due time."""
    try:
        backend.wakeups.send(hint, now)
    except Exception:
        _log.warning("no wake-up could be sent for execution %r; the sweeper will", hint.id, exc_info=True)
