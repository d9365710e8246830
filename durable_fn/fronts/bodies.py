"""Step bodies in an async turn: what is looked at before one runs, and how it runs."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from ..core.current import current_scope, running_step
from ..core.effects import Call
from ..core.failures import own_cancellation
from ..core.scope import Op
from ..errors import StepTimeout
from .director import TurnDirector
from .dooms import Dooms
from .native import cancellations, is_foreign
from .order import ResultOrder
from .writer import Writer


class Bodies:
    """Those of one turn. While one runs the turn does not suspend."""

    def __init__(self, director: TurnDirector, order: ResultOrder, writer: Writer, dooms: Dooms) -> None:
        self._director = director
        self._order = order
        self._writer = writer
        self._dooms = dooms
        self._session = director.session
        self._turn = director.turn

    async def room(self, op: Op, timeout: float | None) -> None:
        """Whether a body may begin now, of an execution that is still ours and not cancelled. Without Lambda time enough it
        never does: the turn suspends as soon as the bodies of other branches are done."""
        if self._order.waits_for_replay:
            await self._order.gate()
        self._director.go_live()
        if self._order.waits_for_timeouts:
            await self._order.gate()
        if self._turn.closed is not None:
            raise self._turn.closed
        if self._session.news_are_old:
            await self._writer.ask(self._session.look_for_news)
        if not self._session.read_only:
            self._turn.look_at_deadline()
        if op.scope.branch.doomed and await self._dooms.claims(op):
            await self._dooms.strike(op)
        self._session.look_at_lease()
        if self._session.must_yield(timeout):
            self._director.yielding = True
            await self._director.loop.create_future()

    async def call(self, op: Op, call: Call) -> Any:
        """A native cancellation that nobody asked for is the body's own failure."""
        if call.begun:
            self._session.look_at_lease()
        else:
            await self.room(op, call.timeout)
        self._director.busy += 1
        scope, step = current_scope.set(None), running_step.set(call.info)
        asked = cancellations()
        try:
            if not self._session.hooks:
                value = await _in_time(call)
            else:
                from .hooking import attempt

                with attempt(self._session.hooks, call.info):
                    value = await _in_time(call)
            if self._director.unsettled:
                await self._director.settled()
            return value
        except BaseException as death:
            if self._director.unsettled and isinstance(death, Exception):
                await self._director.settled()
            if is_foreign(death) and self._turn.closed is None and cancellations() == asked:
                raise own_cancellation(death) from death
            if not isinstance(death, Exception | asyncio.CancelledError | GeneratorExit) and self._turn.closed is None:
                self._turn.closed = death  # like a death: nothing more is committed, also not by `finally` blocks
            raise
        finally:
            running_step.reset(step)
            current_scope.reset(scope)
            self._director.busy -= 1


async def _in_time(call: Call) -> Any:
    if call.timeout is None:
        return await _run(call)
    limit = asyncio.timeout(call.timeout)
    try:
        async with limit:
            return await _run(call)
    except TimeoutError:
        if not limit.expired():
            raise
        info = call.info
        raise StepTimeout(f"attempt {info.attempt} of step {info.name!r} ran longer than {call.timeout:g} s") from None


async def _run(call: Call) -> Any:
    if call.is_async:
        return await call.fn(*call.args, **call.kwargs)
    body = _ThreadedBody(call)
    try:
        value = await asyncio.to_thread(body.run)
    except asyncio.CancelledError:
        body.forget()
        raise
    return await value if asyncio.iscoroutine(value) else value


class _ThreadedBody:
    """A `def` body in a thread, whose coroutine, if it returns one, somebody awaits or closes."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._made: list[Any] = []
        self._forgotten = False

    def run(self) -> Any:
        value = self._call.fn(*self._call.args, **self._call.kwargs)
        if asyncio.iscoroutine(value):
            self._made.append(value)
            if self._forgotten:
                self.forget()
        return value

    def forget(self) -> None:
        """Nobody waits any more; the thread may be done already or not."""
        self._forgotten = True
        with contextlib.suppress(IndexError):
            self._made.pop().close()
