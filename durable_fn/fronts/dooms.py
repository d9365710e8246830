"""Cancellations and timeouts in an async turn: recorded at one operation, then raised in its branch's own task.

Raised there, and not at the operation, because native code on the way (`gather`, `TaskGroup`, `asyncio.timeout`) must see
it come from outside. Which operation it is, and that it is recorded first, is `core.dooms`'.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from ..core.causes import blame
from ..core.dooms import error_of, raised_at
from ..core.effects import Effect, Operation
from ..core.scope import Branch, Doom, Op
from ..errors import ExecutionCancelled, ExecutionTimedOut
from .director import TurnDirector
from .native import AsyncExecutionCancelled, BranchTasks
from .order import ResultOrder


class Dooms:
    """Those of one turn. `perform`: does what is done on the way, an effect at a time."""

    def __init__(
        self,
        director: TurnDirector,
        order: ResultOrder,
        tasks: BranchTasks,
        perform: Callable[[Op, Effect], Awaitable[Any]],
    ) -> None:
        self._director = director
        self._order = order
        self._tasks = tasks
        self._perform = perform
        self._loop = director.loop
        self._raising: dict[Branch, asyncio.Future[None]] = {}  # set when the branch's cancellation is recorded

    def condemn(self, branch: Branch, doom: Doom) -> None:
        branch.condemn(doom)
        self._director.news()

    async def claims(self, op: Op) -> bool:
        """Whether its branch's cancellation is to be raised at this operation: at one only, though others may come to that point
        while it is being recorded. They wait until it is, and then they are as any operation of a cancelled task."""
        while (raising := self._raising.get(op.scope.branch)) is not None:
            await asyncio.shield(raising)
            if not op.scope.branch.doomed:
                return False
        self._raising[op.scope.branch] = self._loop.create_future()
        return True

    async def strike(self, op: Op, operation: Operation[Any] | None = None) -> None:
        """At this operation, which has claimed it. What is recorded came before it, and so did a timeout that has passed."""
        doom = op.scope.branch.doom
        assert doom is not None
        try:
            if self._order.waits_for_replay:
                await self._order.gate()
            if self._order.waits_for_timeouts:
                await self._order.gate()
            if operation is not None:
                await self.unwind(op, operation)
            await self._record(op)
        finally:
            claim = self._raising[op.scope.branch]
            if not op.scope.branch.raised:  # this operation ended otherwise meanwhile: it is raised at another one
                del self._raising[op.scope.branch]
            if not claim.done():
                claim.set_result(None)
        await self.raise_in_branch(op, error_of(doom))

    async def unwind(self, op: Op, operation: Operation[Any]) -> None:
        """Lets the operation do what it does when it is ended from above."""
        doom = op.scope.branch.doom
        assert doom is not None
        value: Any = error_of(doom)
        send: Callable[[Any], Effect] = operation.throw
        try:
            while True:
                effect = send(value)
                value, send = await self._perform(op, effect), operation.send
        except (StopIteration, ExecutionCancelled, ExecutionTimedOut):
            return

    async def _record(self, op: Op) -> None:
        recording = raised_at(op)
        value: Any = None
        with contextlib.suppress(StopIteration):
            while True:
                value = await self._perform(op, recording.send(value))

    async def raise_in_branch(self, op: Op, error: BaseException) -> None:
        if isinstance(error, ExecutionCancelled):
            error = AsyncExecutionCancelled(str(error), reason=error.reason)
        blame(op.turn, error, op.id)
        self._tasks.cancel(op.scope.branch, error)
        await self._arrival(error)

    async def join_branch(self, op: Op) -> None:
        """At the end of an operation that ended its inner branches itself: now it goes down with its own."""
        if await self.claims(op):
            await self.strike(op)
        assert op.scope.branch.doom is not None
        await self._arrival(_native(op.scope.branch.doom))

    def end_natively(self, branch: Branch) -> None:
        """Where it waits for nothing durable that its end could be raised at."""
        doom = branch.doom
        if branch.doomed and doom is not None:
            branch.raised = True
            self._tasks.cancel(branch, _native(doom))

    async def _arrival(self, error: BaseException) -> None:
        """The cancellation that was raised in the branch arrives here, or in the task that waits for this one. Where neither
        can be, in a task that is shielded or that nobody awaits, it is raised when all has come to rest."""
        struck = self._loop.create_future()
        self._director.struck[struck] = error
        try:
            await struck
        finally:
            self._director.struck.pop(struck, None)


def _native(doom: Doom) -> AsyncExecutionCancelled:
    return AsyncExecutionCancelled(str(error_of(doom)), reason=doom.reason)
