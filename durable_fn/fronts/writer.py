"""Who writes the journal in an async turn, and asks it in the middle of one: one request at a time."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Callable
from typing import TypeVar

from ..core.events import Event
from .director import TurnDirector
from .order import ResultOrder

T = TypeVar("T")


class Writer:
    """Commits and requests of one turn. To an embedded journal they go from this thread, to another one from a second
    thread, so that the loop goes on; a journal must not be written from two sides."""

    def __init__(self, director: TurnDirector, order: ResultOrder) -> None:
        self._director = director
        self._order = order
        self._loop = director.loop
        self._session = director.session
        self._turn = director.turn
        self._flusher: asyncio.Task[None] | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._writing = asyncio.Lock()

    # -- requests --------------------------------------------------------------------------------------------------

    async def ask(self, ask: Callable[[], T], begin: Callable[[], None] | None = None) -> T:
        """A request in the middle of a turn, and not while a segment is being written. `begin`: just before it."""
        if self._order.waits_for_replay:
            await self._order.gate()
        self._director.go_live()
        if self._session.store.local:
            if begin is not None:
                begin()
            reply = ask()
        else:
            reply = await self._ask_apart(ask, begin)
        self._director.news()
        return reply

    async def _ask_apart(self, ask: Callable[[], T], begin: Callable[[], None] | None) -> T:
        self._director.busy += 1
        try:
            async with self._writing:
                if self._turn.closed is not None:
                    raise self._turn.closed
                if begin is not None:
                    begin()
                return await _to_its_end(self._loop.run_in_executor(None, ask))
        finally:
            self._director.busy -= 1

    async def decide(self, decision: Event) -> bool:
        """A decision that stands has its place in the log behind what is written with it."""
        place: asyncio.Future[None] = self._loop.create_future()
        pending: list[Event] = []

        def begin() -> None:
            self._order.join(place)
            pending.extend(self._session.take())

        try:
            stands = await self.ask(lambda: self._session.decide(decision, pending), begin)
            if stands:
                await self._order.reach(place)
            return stands
        finally:
            place.cancel()

    async def rest(self) -> None:
        """Until nothing is being written: the same journal must not be written from two sides."""
        if self._flusher is not None:
            await asyncio.wait([self._flusher])
        async with self._writing:
            pass

    # -- commits ---------------------------------------------------------------------------------------------------

    async def commit(self) -> None:
        """Returns when all that is pending now is durable. Branches that come together share a segment."""
        place = self._order.join()
        try:
            await self._write()
        except BaseException:
            place.cancel()
            raise
        await self._order.reach(place)

    async def _write(self) -> None:
        local = self._session.store.local
        if local and not self._waiters and not self._loop._ready:
            self._session.commit()
            return
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        if local:
            if len(self._waiters) == 1:
                self._loop.call_soon(self._write_here)  # after those that can run now
        elif self._flusher is None:
            self._flusher = contextvars.Context().run(self._loop.create_task, self._flush())
        await waiter

    def _write_here(self) -> None:
        waiters, self._waiters = self._waiters, []
        try:
            self._session.commit()
        except BaseException as error:
            _release(waiters, error)
        else:
            _release(waiters, None)

    async def _flush(self) -> None:
        """One append in flight at a time; what becomes pending meanwhile makes the next segment."""
        self._director.busy += 1
        try:
            while self._waiters:
                await self._append()
        finally:
            self._director.busy -= 1
            self._flusher = None

    async def _append(self) -> None:
        waiters: list[asyncio.Future[None]] = []
        try:
            async with self._writing:  # and then taken: a decision that is written before takes what was before it
                waiters, self._waiters = self._waiters, []
                if self._turn.closed is not None:
                    raise self._turn.closed
                batch = self._session.take()
                await _to_its_end(self._loop.run_in_executor(None, self._session.write, batch))
        except BaseException as error:
            _release(waiters, error)
        else:
            _release(waiters, None)


async def _to_its_end(request: asyncio.Future[T]) -> T:
    """A task may be cancelled while it waits for a request in another thread; the request cannot. Nobody may write meanwhile."""
    try:
        return await asyncio.shield(request)
    except asyncio.CancelledError:
        while not request.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([request])
        raise


def _release(waiters: list[asyncio.Future[None]], error: BaseException | None) -> None:
    for waiter in waiters:
        if not waiter.done():
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)
