"""Gives what is due to the worker processes: what SQS, schedules and the sweeper do on AWS, an embedded journal does by its
due index."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Mapping
from typing import Final

from ..backends.ports import Backend
from .journal import embedded
from .pool import Pool, WorkerEnded

_log = logging.getLogger("durable_fn")

_LONGEST_PAUSE_S: Final = 0.05
"""Other processes write to the journal, too: so long a signal of theirs may be unseen."""
_SHARE: Final = 10
"""Looking takes at most this fraction of the time, however long one look is."""
_OUTAGE_S: Final = 1
_CLEAN_EVERY_MS: Final = 3_600_000


class Dispatcher:
    """`timeout_of`: the Lambda timeout of a function, in seconds."""

    def __init__(self, backend: Backend, pool: Pool, timeout_of: Callable[[str], float]) -> None:
        self._store = embedded(backend)
        self._clock = backend.clock
        self._pool = pool
        self._timeout_of = timeout_of
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._cleaned = 0
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Gives nothing more; what is under way goes on."""
        self._stopped.set()
        self._pool.freed.set()

    async def run(self) -> None:
        """Until `stop`."""
        while not self._stopped.is_set():
            began = time.monotonic()
            self._pool.freed.clear()
            try:
                self._clean()
                given = self._give()
            except sqlite3.Error:
                _log.exception("the journal cannot be read; it is looked at again in %d s", _OUTAGE_S)
                await asyncio.sleep(_OUTAGE_S)
                continue
            if not given:
                took = time.monotonic() - began
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._pool.freed.wait(), max(self._pause(), took * _SHARE))
            else:
                await asyncio.sleep(0)

    def _give(self) -> int:
        room, served = self._pool.room, self._pool.served
        if room <= 0 or not served:
            return 0
        due = self._store.due_of(served, self._clock.now(), room + len(self._under_way))
        new = [row for row in due if row[0] not in self._under_way][:room]
        for id, fn in new:
            self._under_way[id] = asyncio.ensure_future(self._turn(id, fn))
        return len(new)

    async def _turn(self, id: str, fn: str) -> None:
        try:
            await self._pool.do(fn, {"do": "wake", "id": id}, self._timeout_of(fn))
        except WorkerEnded as error:
            _log.debug("execution %r goes on in another process: %s", id, error)
        finally:
            del self._under_way[id]
            self._pool.freed.set()

    def _pause(self) -> float:
        due = self._store.after_now(self._clock.now())
        if due is None:
            return _LONGEST_PAUSE_S
        return min(max((due - self._clock.now()) / 1000, 0.001), _LONGEST_PAUSE_S)

    def _clean(self) -> None:
        """What DynamoDB's TTL does on AWS."""
        now = self._clock.now()
        if now - self._cleaned >= _CLEAN_EVERY_MS:
            self._cleaned = now
            self._store.remove_expired(now)

    # -- processes that died ---------------------------------------------------------------------------------------

    def bury(self, held: Mapping[str, str]) -> None:
        """Executions whose process is dead go on at once: the leases of these writers end now."""
        for id, own in held.items():
            if own:
                self._store.lapse(id, own, self._clock.now())
        self._pool.freed.set()

    def adopt(self) -> int:
        """As `bury`, for what the server before had. How many."""
        now = self._clock.now()
        return sum(self._store.lapse(id, own, now) for id, own in self._store.leased(self._pool.served, now))
