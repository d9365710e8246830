"""Serves durable functions on this machine: worker processes, timers, reloading. `durable-fn dev` and `worker` are its
commands."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..backends.ports import Backend
from ..client import DurableClient
from ..wiring import BACKEND_VARIABLE, sqlite_from_url
from .discovery import NothingFound, watched
from .dispatcher import Dispatcher
from .journal import path_of
from .locks import JournalLocks
from .plan import Plan
from .pool import Pool

_log = logging.getLogger("durable_fn")

Tell = Callable[[dict[str, Any]], None]


class Service:
    """`tell` gets a dictionary for all that happens: `event` is one of loaded, broken, changed, adopted, waiting, turn, left,
    died, stopping."""

    def __init__(self, plan: Plan, tell: Tell) -> None:
        self.plan = plan
        self.tell = tell
        self.backend: Backend = sqlite_from_url(plan.url)
        self._locks = JournalLocks(path_of(plan.url))
        self._killing: asyncio.Future[None] | None = None
        self._stopped = asyncio.Event()
        self.pool = Pool(
            plan.targets,
            size=plan.size,
            environment={**plan.environment, BACKEND_VARIABLE: plan.url},
            inherited=self._locks.workers,
            tell=tell,
            buried=self._bury,
        )
        self.dispatcher = Dispatcher(self.backend, self.pool, plan.timeout_of)

    def _bury(self, held: Mapping[str, str]) -> None:
        try:
            self.dispatcher.bury(held)
        except sqlite3.Error:
            _log.exception("executions of a dead process go on when their leases are over: %s", ", ".join(held))

    # -- life ------------------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serves inside of it. Raises NothingFound where the code cannot be loaded, but not with `reload`: that waits for a
        change. On leaving, what runs is done to its end, or killed after a second `stop`."""
        tasks: list[asyncio.Task[None]] = []
        try:
            await self._alone()
            await self._begin()
            tasks.append(asyncio.ensure_future(self.dispatcher.run()))
            if self.plan.reload:
                tasks.append(asyncio.ensure_future(self._reloading()))
            yield
        finally:
            self._stopped.set()
            self.dispatcher.stop()
            await self.pool.drain()
            for task in tasks:
                await task
            self._locks.close()

    async def until_stopped(self) -> None:
        await self._stopped.wait()

    def stop(self) -> None:
        """Once: gracefully, when all that runs is done. Again: at once, by SIGKILL."""
        if self._stopped.is_set():
            self._killing = asyncio.ensure_future(self.pool.kill())
            return
        self._stopped.set()
        self.dispatcher.stop()
        self.tell({"event": "stopping", "running": self.plan.size - self.pool.room})

    def listen_to_signals(self) -> None:
        """SIGTERM and SIGINT (Ctrl-C) stop it."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.stop)

    async def _alone(self) -> None:
        """Worker processes of a server that was killed may be about to end."""
        waiting = asyncio.ensure_future(asyncio.to_thread(self._locks.await_workers))
        done, _ = await asyncio.wait({waiting}, timeout=1)
        if not done:
            self.tell({"event": "waiting"})
        await waiting

    async def _begin(self) -> None:
        generation = await self.pool.load()
        if generation.served is None:
            if not self.plan.reload:
                raise NothingFound(generation.broken or "the handlers could not be loaded")
            self.tell({"event": "broken", "error": generation.broken})
            return
        self._loaded()

    def _loaded(self) -> None:
        adopted = self.dispatcher.adopt() if self.pool.generation.number == 1 else 0
        if self.pool.generation.number > 1:
            self._retry_held()
        self.tell({"event": "loaded", "functions": self.pool.served, "number": self.pool.generation.number})
        if adopted:
            self.tell({"event": "adopted", "count": adopted})

    # -- new code --------------------------------------------------------------------------------------------------

    def _retry_held(self) -> None:
        """What could not go on may, with the code of now: nobody has to ask for it where code is tried out."""
        client = DurableClient(self.backend)
        for name in self.pool.served:
            for held in client.list(name=name, held=True):
                client.redrive(held.id, by="durable-fn dev", reason="the code has changed")

    async def _reloading(self) -> None:
        from watchfiles import PythonFilter, awatch

        folders = _existing(self.plan.targets)
        async for changes in awatch(*folders, watch_filter=PythonFilter(), stop_event=self._stopped):
            files = sorted({os.path.relpath(path) for _, path in changes})
            self.tell({"event": "changed", "files": files})
            generation = await self.pool.load()
            if generation.served is not None:
                self._loaded()
            elif not self._stopped.is_set():
                self.tell({"event": "broken", "error": generation.broken})


def _existing(targets: Sequence[str]) -> list[Path]:
    try:
        return watched(targets)
    except NothingFound:
        return [Path.cwd()]
