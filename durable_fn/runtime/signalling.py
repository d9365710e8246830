"""Sends signals to an execution: from a client, or from another execution."""

from __future__ import annotations

import secrets
from dataclasses import replace

from ..backends.ports import Backend
from ..errors import ExecutionNotFound
from ..log.foreign import require_own
from ..log.header import Header
from ..log.ids import checked_id
from ..log.inbox import entry, mark, numbered, signal_prefix
from ..log.writers import token_of
from .wakes import send_wake


def send_signal(
    backend: Backend, id: str, name: str, text: str, signal_id: str | None, writer: str | None = None
) -> bool:
    """The signal is durable when this returns. False: the execution has ended. With an id it is accepted once, whatever became
    of the first one. Raises ExecutionNotFound, FormatError, and UnknownFunction if no queue is known for it. `writer`: of
    somebody outside."""
    by, once = writer or secrets.token_hex(6), "" if signal_id is None else mark(name, signal_id)
    while True:
        header = backend.store.head(checked_id(id))  # no value is read: it may be damaged
        if header is None:
            raise not_found(id)
        require_own(header)
        backend.wakeups.check(header.fn, given=True)
        now = backend.clock.now()
        new = entry(numbered(signal_prefix(name), header.n, token_of(by)), by, text)
        deliver = backend.store.deliver
        reply = deliver(header, new, now, once) if once else deliver(header, new, now)
        if isinstance(reply, Header):
            send_wake(backend, replace(reply, due=now), now)
            return True
        if reply.reason not in ("moved", "unknown"):  # else something came first, or a new generation began
            return reply.reason == "repeated"


def not_found(id: str) -> ExecutionNotFound:
    return ExecutionNotFound(f"there is no execution {id!r}; it was never started, or its retention is over")
