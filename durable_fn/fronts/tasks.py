"""Branches of `async def` handlers: a task each, and a fan that waits for them.

The counterpart of `threads`. A branch that waits costs a task that is parked, so nothing unwinds and nothing is walked twice.
"""

from __future__ import annotations

import asyncio
import collections.abc
import contextvars
from functools import partial
from typing import TYPE_CHECKING, Any

from ..core.current import current_scope
from ..core.failures import own_cancellation
from ..core.fan import Fan, Strand
from ..core.operations.branches import inherit_doom, next_strand, strand_ended, strand_walked
from ..core.scope import Doom, Op
from .native import is_foreign

if TYPE_CHECKING:
    from .driver import Driver


async def run_fan(driver: Driver, op: Op, fan: Fan) -> None:
    """Until every branch has ended. Raises what ends the turn, or a cancellation that came meanwhile."""
    await _Run(driver, op, fan).run()


class _Run:
    """One fan while it runs."""

    def __init__(self, driver: Driver, op: Op, fan: Fan) -> None:
        self.driver = driver
        self.director = driver.director
        self.dooms = driver.dooms
        self.op = op
        self.fan = fan
        self.running: dict[asyncio.Task[Any], Strand] = {}
        self.ended = _Ended(driver.loop)
        self.past = self._past()

    def _past(self) -> collections.deque[Strand]:
        """Of a fan of limited width: branches that ended before this turn and are not walked. Each keeps its place until it is
        the turn of its end, for the next one began then: native timers in that one are set at that time."""
        past: collections.deque[Strand] = collections.deque()
        if self.fan.width >= len(self.fan.strands) or self.fan.next_new() is None:
            return past
        journal = self.op.turn.journal
        for strand in self.fan.strands:
            if strand.record is not None and not strand.walk:
                journal.take_back(strand.record)
                past.append(strand)
        return past

    async def run(self) -> None:
        try:
            await self._coordinate()
        except BaseException:
            await self._cancel()
            raise
        finally:
            self._finish()
        if self.op.scope.branch.doomed and not self.fan.over:
            await self.dooms.join_branch(self.op)

    async def _coordinate(self) -> None:
        while True:
            if self.fan.over:
                self._cancel_losers()
            while len(self.running) < self.fan.width and (strand := self._next()) is not None:
                task = self._start(strand)
                task.add_done_callback(self.ended.add)
                self.running[task] = strand
            if not self.running:
                break
            for task in sorted(await self.ended.some(), key=lambda t: self.running[t].index):
                self._forget_loser(self.running[task])
                self._end(self.running.pop(task), task)

    def _next(self) -> Strand | None:
        new = self.fan.next_new()
        if self.past and (new is None or self.past[0].index < new.index):
            return self.past.popleft()
        return next_strand(self.op, self.fan)

    async def _cancel(self) -> None:
        """A native cancellation of the fan reaches its branches natively."""
        for task in self.running:
            task.cancel()
        if self.running and not self.director.closing:
            await asyncio.wait(self.running)

    def _finish(self) -> None:
        for strand in self.fan.strands:
            self._forget_loser(strand)
            if strand.branch is not None:
                self.op.scope.branch.inner.discard(strand.branch)

    # -- losers ----------------------------------------------------------------------------------------------------

    def _cancel_losers(self) -> None:
        for strand in self.running.values():
            if strand.status is None and strand.branch is not None:
                self.dooms.condemn(strand.branch, Doom("lost", f"the fan is over: {self.fan.reason}"))
                self.director.losers[strand.branch] = partial(self.dooms.end_natively, strand.branch)

    def _forget_loser(self, strand: Strand) -> None:
        if strand.branch is not None:
            self.director.losers.pop(strand.branch, None)

    # -- one branch ------------------------------------------------------------------------------------------------

    def _start(self, strand: Strand) -> asyncio.Task[Any]:
        if self._is_past(strand):
            return asyncio.Task(self._pass(strand), loop=self.driver.loop)
        scope = self.op.scope.fork(self.op, strand.component)
        strand.started, strand.branch = True, scope.branch
        if not strand.walk:
            self.op.scope.branch.inner.add(scope.branch)
            inherit_doom(self.op, self.fan, scope.branch)
        context = contextvars.copy_context()
        context.run(current_scope.set, scope)
        return self.driver.tasks.start(self._walk(strand), context, scope.branch)

    @staticmethod
    def _is_past(strand: Strand) -> bool:
        return strand.record is not None and not strand.walk

    async def _pass(self, strand: Strand) -> None:
        record, turn = strand.record, self.op.turn
        assert record is not None
        assert record.done is not None
        await self.driver.order.take(record)
        turn.journal.hand_out(record)
        turn.at = max(turn.at, record.done.at)

    async def _walk(self, strand: Strand) -> Any:
        """One that is walked again ends when it is the turn of its record: in its own task, for others may end before it."""
        try:
            value = strand.fn(*strand.args)
            value = await value if isinstance(value, collections.abc.Awaitable) else value
        except Exception:
            await self._take_end(strand)
            raise
        await self._take_end(strand)
        return value

    async def _take_end(self, strand: Strand) -> None:
        if strand.walk and strand.record is not None:
            await self.driver.order.take(strand.record)

    def _end(self, strand: Strand, task: asyncio.Task[Any]) -> None:
        if self._is_past(strand):
            task.result()
            return
        value, error = self._outcome(strand, task)
        if error is not None and strand.branch is not None:
            self.driver.forgotten.ended(strand.branch)
        if strand.walk:
            strand_walked(self.op, strand, value, error if isinstance(error, Exception) else None)
            if strand.record is not None:
                self.op.turn.journal.skip(strand.record)
        elif self.fan.over or isinstance(error, asyncio.CancelledError):
            self.fan.end(strand, "CANCELLED")
        else:
            value, failure = strand_ended(self.op, strand, value, error)
            self.fan.end(strand, "FAILED" if failure else "SUCCEEDED", value, failure)

    def _outcome(
        self, strand: Strand, task: asyncio.Task[Any]
    ) -> tuple[Any, Exception | asyncio.CancelledError | None]:
        """Raises what ends more than the branch. One that ends itself by a native cancellation has failed."""
        try:
            return task.result(), None
        except (Exception, asyncio.CancelledError) as error:
            unasked = is_foreign(error) and (strand.branch is None or strand.branch.doom is None)
            return None, own_cancellation(error) if unasked else error


class _Ended:
    """Tasks in the order in which they end. `asyncio.wait` looks at all of them each time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tasks: list[asyncio.Task[Any]] = []
        self._waiter: asyncio.Future[None] | None = None

    def add(self, task: asyncio.Task[Any]) -> None:
        self._tasks.append(task)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def some(self) -> list[asyncio.Task[Any]]:
        """Those that have ended since the last time, at least one."""
        if not self._tasks:
            self._waiter = self._loop.create_future()
            await self._waiter
        tasks, self._tasks = self._tasks, []
        return tasks
