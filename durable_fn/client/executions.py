"""Executions as somebody outside finds them."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from ..backends.ports import Backend, Loaded
from ..errors import ExecutionConflict
from ..log.durations import aware
from ..log.foreign import require_own
from ..log.header import Header, Refusal
from ..log.ids import checked_id
from ..log.inbox import Entry
from ..log.retention import DAY_MS
from ..log.writers import with_actor
from ..runtime.signalling import not_found
from ..runtime.wakes import send_wake

TRIES = 20
"""Of what another writer can be in the way of."""
ACTOR: Final = "DURABLE_FN_ACTOR"


class Executions:
    """What the client's parts have in common. Every method with an id raises ExecutionNotFound."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.store = backend.store
        self.clock = backend.clock

    def header(self, id: str) -> Header:
        return self._found(id, self.store.get)

    def head(self, id: str) -> Header:
        """Without its values: none of them is read."""
        return self._found(id, self.store.head)

    def _found(self, id: str, read: Callable[[str], Header | None]) -> Header:
        header = read(checked_id(id))
        if header is None:
            raise not_found(id)
        return header

    def loaded(self, id: str) -> Loaded:
        """Raises FormatError."""
        while True:  # it may go on as the next generation between the two
            header = self.head(id)
            require_own(header)
            loaded = self.store.load(header.key)
            if loaded is not None:
                return loaded

    def kept(self, id: str) -> Loaded:
        """Of which nothing can have been removed yet: going on without a part of it would do things twice."""
        loaded = self.loaded(id)
        horizon = loaded.header.horizon
        if self.clock.now() > horizon * 1000 - DAY_MS > 0:
            raise ExecutionConflict(
                f"the steps of execution {id!r} are recorded until {aware(horizon * 1000):%Y-%m-%d %H:%M} UTC, which is "
                "over or nearly so: it cannot go on from them any more. Start it anew under another id",
                execution_id=id,
            )
        return loaded

    def writer(self, by: str | None = None) -> str:
        """The id of a writer that is none of the invocations. It says when this was, and who asks."""
        return with_actor(secrets.token_hex(6), self.clock.now(), actor(by))

    def deliver(self, header: Header, new: Entry) -> Header | Refusal:
        """Into the inbox, and wakes it."""
        now = self.clock.now()
        return self._woken(self.store.deliver(header, new, now), now)

    def beat(self, header: Header, new: Entry) -> Header | Refusal:
        """As `deliver`, in the place of the one before."""
        now = self.clock.now()
        return self._woken(self.store.beat(header, new, now), now)

    def _woken(self, reply: Header | Refusal, now: int) -> Header | Refusal:
        if isinstance(reply, Header):
            send_wake(self.backend, replace(reply, due=now), now)
        return reply


def actor(by: str | None) -> str | None:
    """Who asks, as the history names them."""
    return by if by is not None else os.environ.get(ACTOR) or None
