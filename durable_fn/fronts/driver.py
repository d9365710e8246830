"""The driver of `async def` handlers: operations' effects on an event loop of ours."""

from __future__ import annotations

import asyncio
import collections.abc
from collections.abc import Callable
from typing import Any, Final

from ..core.causes import blame
from ..core.current import current_scope
from ..core.dooms import replayed_at, strikes_before
from ..core.effects import (
    Call,
    Commit,
    Decide,
    Deliver,
    Effect,
    Expire,
    Fork,
    Inside,
    Launch,
    Operation,
    Park,
    Room,
    Take,
    Tell,
)
from ..core.events import BEGUN
from ..core.journal import Record
from ..core.scope import Op
from .bodies import Bodies
from .director import TurnDirector, Waiting
from .dooms import Dooms
from .forgotten import Forgotten
from .loop import DurableLoop, inline
from .native import BranchTasks
from .order import ResultOrder
from .session import Session
from .writer import Writer

_WALKED: Final = frozenset({"child", "parallel", "map", "race", "poll"})
"""Operations with operations inside, which are walked before it is their own turn."""


def drive(driver: Driver, op: Op, operation: Operation[Any]) -> collections.abc.Coroutine[Any, Any, Any]:
    """To be awaited once."""
    coroutine = _drive(driver, op, operation)
    driver.forgotten.called(operation, f"{op.kind} {op.id!r}", op.scope.branch, coroutine)
    return coroutine


@inline
async def _drive(driver: Driver, op: Op, operation: Operation[Any]) -> Any:
    """Performs an operation's effects. A replayed one has none, and ends at the first `send`."""
    driver.forgotten.begun(operation)
    send: Callable[[Any], Effect] = operation.send
    value: Any = None
    cleans_up = op.scope.branch.raised
    try:
        record = _whole(op)
        if record is not None:
            if driver.order.out_of_turn(record):
                await driver.order.turn_of(op, record)
            if record.raised:
                operation.close()
                await driver.dooms.raise_in_branch(op, replayed_at(op))
        while True:
            effect = send(value)
            send = operation.send
            try:
                if strikes_before(op, effect) and await driver.dooms.claims(op):
                    await driver.dooms.strike(op, operation)
                value = await driver.perform(op, effect)
            except asyncio.CancelledError:
                await driver.cancelled(op, operation, effect, cleans_up)
                raise
            except BaseException as error:
                value, send = error, operation.throw
    except StopIteration as stop:
        return stop.value
    except Exception as error:
        blame(op.turn, error, op.id)
        raise
    finally:
        driver.order.settle()


def _whole(op: Op) -> Record | None:
    """Its record, if that is handed out as it is. What is recorded inside the operation is passed over then."""
    record = op.record
    if record is None or record.done is None:
        return None
    if record.cancelled and op.kind == "child":
        return None  # its code runs again: what ended it may be recorded inside
    if record.raised or record.cancelled:
        op.turn.journal.skip_below(f"{op.id}/")
        return record
    return None if op.kind in _WALKED else record


class Driver:
    """One turn's: its parts, and which of them does what."""

    def __init__(self, session: Session, loop: DurableLoop) -> None:
        self.session = session
        self.turn = session.turn
        self.loop = loop
        self.director = TurnDirector(session, loop)
        self.forgotten = Forgotten()
        self.order = ResultOrder(self.director)
        self.tasks = BranchTasks(loop)
        self.writer = Writer(self.director, self.order)
        self.dooms = Dooms(self.director, self.order, self.tasks, self.perform)
        self.bodies = Bodies(self.director, self.order, self.writer, self.dooms)

    async def perform(self, op: Op, effect: Effect) -> Any:
        if isinstance(effect, Call):
            return await self.bodies.call(op, effect)
        if isinstance(effect, Room):
            return await self.bodies.room(op, effect.timeout)
        if isinstance(effect, Commit):
            return await self.writer.commit()
        if isinstance(effect, Park):
            return await self._park(op, effect)
        if isinstance(effect, Take):
            return await self.order.take(effect.record)
        if isinstance(effect, Deliver):
            return await self.order.reach(self.order.join())
        if isinstance(effect, Inside):
            return await _inside(effect)
        if isinstance(effect, Fork):
            from .tasks import run_fan

            return await run_fan(self, op, effect.fan)
        if isinstance(effect, Decide):
            return await self.writer.decide(effect.event)
        if isinstance(effect, Expire):
            return await self.writer.ask(lambda: self.session.expire(effect.key, effect.body))
        if isinstance(effect, Launch):
            return await self.writer.ask(lambda: self.session.launch(effect))
        assert isinstance(effect, Tell)
        return await self.writer.ask(lambda: self.session.tell(effect.id, effect.reason))

    async def cancelled(self, op: Op, operation: Operation[Any], effect: Effect, cleans_up: bool) -> None:
        """Native cancellation reached this effect. An operation that began while its branch was being cancelled cleans up, and
        is not unwound as the others are."""
        if op.scope.branch.raised and not cleans_up and self.turn.closed is None:
            await self.dooms.unwind(op, operation)  # it goes down with its branch, which was cancelled elsewhere
        self.order.cancelled(op, effect)
        operation.close()

    async def _park(self, op: Op, park: Park) -> None:
        wake = park.wake
        if self.director.live:  # before that, what is recorded comes first
            if wake is not None and self.turn.inbox.waits_for(wake):
                return
            if park.due is not None and park.due <= self.session.clock.now() and not self.loop._ready:
                return
        if op.kind == "wait" and op.record is None and self.loop.has_timers:
            # A timer that began before this wait must begin then on replay, too: not now, where the log ends.
            op.record = self.turn.journal.remember(self.turn.record(op, BEGUN))
        future = self.loop.create_future()
        self.director.parked[future] = Waiting(park.due, wake, op.scope.branch)
        try:
            await future
        finally:
            del self.director.parked[future]
        if self.director.unsettled:
            await self.director.settled()


async def _inside(effect: Inside) -> Any:
    token = current_scope.set(effect.scope)
    try:
        value = effect.fn(*effect.args, **effect.kwargs)
        return await value if isinstance(value, collections.abc.Awaitable) else value
    finally:
        current_scope.reset(token)
