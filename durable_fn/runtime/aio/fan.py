"""Branches of `async def` handlers: a task each, and a fan that waits for their lines.

The counterpart of `threads`. The end of a branch is a line. Handing it out wakes the fan: when the fan is over, which branches
are cancelled and which begin next are consequences of lines, so they need no lines of their own.
"""

from __future__ import annotations

import asyncio
import collections
import collections.abc
import contextvars
from typing import TYPE_CHECKING, Any

from ...core.cancel_scope import Cancellation, CancelScope
from ...core.cancellation import error_of
from ...core.current import current_scope
from ...core.fan import Branch, Fan
from ...core.operations.fans import branch_cancelled, branch_ended, branch_walked
from ...core.operations.reading import recorded
from ...core.scope import Op, Scope
from ...errors import ExecutionCancelled
from ...log.events import CANCELLED, FAILED, SUCCEEDED, Event
from ...log.failures import own_cancellation
from ...values.adapters import UNTYPED_ADAPTER
from .loop import HandlerTask
from .native import is_foreign, native

if TYPE_CHECKING:
    from .mover import Mover


async def run_fan(pump: Mover, op: Op, fan: Fan) -> None:
    """Runs until every branch that began has ended. Raises a cancellation that came meanwhile."""
    await _RunningFan(pump, op, fan).run()


class _RunningFan:
    """One fan while it runs."""

    def __init__(self, pump: Mover, op: Op, fan: Fan) -> None:
        self.pump = pump
        self.op = op
        self.fan = fan
        self._new = iter(fan.branches)
        self._running: dict[int, _RunningBranch] = {}
        self._ended: collections.deque[_RunningBranch] = collections.deque()
        self._waiter: asyncio.Future[None] | None = None

    async def run(self) -> None:
        cancelled: BaseException | None = None
        while True:
            while cancelled is None and not self.fan.over and len(self._running) < self.fan.width:
                if not self._start_next():
                    break
            if not self._running:
                break
            try:
                await self._some_end()
            except BaseException as error:
                if self.pump.over:
                    raise
                cancelled = error
                self._cancel_all(error)
            while self._ended:
                self._end(self._ended.popleft())
        for branch in self.fan.branches:
            branch.status = branch.status or "CANCELLED"
        if cancelled is not None:
            raise cancelled

    async def _some_end(self) -> None:
        if not self._ended:
            self._waiter = self.pump.loop.plain_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def ended(self, lane: _RunningBranch) -> None:
        """The line of its end was handed out."""
        self._ended.append(lane)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _start_next(self) -> bool:
        branch = next(self._new, None)
        if branch is None:
            return False
        lane = _RunningBranch(self, branch)
        self._running[branch.index] = lane
        lane.start()
        return True

    def _end(self, lane: _RunningBranch) -> None:
        del self._running[lane.branch.index]
        self.op.scope.cancel_scope.inner.discard(lane.cancel_scope)
        branch = lane.branch
        was_over = self.fan.over
        if branch.status == "CANCELLED":
            self.fan.end(branch, "CANCELLED")
        else:
            self.fan.end(branch, "FAILED" if lane.failed else "SUCCEEDED", branch.value, branch.error)
        if self.fan.early and lane.end is not None:
            self.pump.decided = lane.end  # which branches were first must not change
        if self.fan.over and not was_over:
            for other in self._running.values():
                other.cancel(Cancellation("lost", f"the fan is over: {self.fan.reason}"))

    def _cancel_all(self, error: BaseException) -> None:
        """The fan itself is cancelled: natively, or with the branch that it is in."""
        above = self.op.scope.cancel_scope
        for lane in self._running.values():
            if above.raised and above.cancellation is not None:
                cancellation = above.cancellation
                lane.cancel(cancellation if cancellation.kind != "timed out" else Cancellation("cancelled", None))
            else:
                lane.cancel_natively()


class _RunningBranch:
    """One branch while it runs."""

    def __init__(self, run: _RunningFan, branch: Branch) -> None:
        self.run = run
        self.branch = branch
        self.id = f"{run.op.id}/{branch.component}"
        self.cancel_scope = CancelScope()
        self.task: HandlerTask[Any] | None = None
        self._asked = False
        self.end: Event | None = None  # new in this turn
        self.failed = False
        self._recorded = False  # its end is in the log
        self._by = ""  # the line by which it was cancelled

    @property
    def gone(self) -> bool:
        return False

    def start(self) -> None:
        pump, op, branch = self.run.pump, self.run.op, self.branch
        branch.started = True
        record = pump.turn.journal.records.get(self.id)
        end = record.done if record is not None else None
        self._recorded = end is not None
        if end is not None:
            pump.await_line(self.id, self)
        if end is not None and branch.adapter is not None and end.status != FAILED:
            pump.turn.journal.skip_below(f"{self.id}/")  # its result is recorded: it is not walked again
            return
        scope = Scope(pump.turn, f"{self.id}/", pump.turn.at, self.cancel_scope)
        op.scope.cancel_scope.inner.add(self.cancel_scope)
        context = contextvars.copy_context()
        context.run(current_scope.set, scope)
        self.task = pump.start(self._walk(), context, scope)
        self.task.add_done_callback(self._ended, context=context)

    async def _walk(self) -> Any:
        value = self.branch.fn(*self.branch.args)
        return await value if isinstance(value, collections.abc.Awaitable) else value

    def _ended(self, task: asyncio.Task[Any]) -> None:
        """Runs in the handler's own queue, before the handler rests. The end becomes a line, unless it is recorded."""
        pump = self.run.pump
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if pump.over or pump.turn.closed is not None:
            return
        if error is not None:
            pump.unawaited.ended(self.cancel_scope)
        if self.id in pump.targets:
            return  # it is recorded
        if error is not None and not isinstance(error, Exception | asyncio.CancelledError):
            pump.die(error)
            return
        if isinstance(error, asyncio.CancelledError) and self._asked:
            pump.bodies.when_left(self._was_cancelled)
        else:
            event = branch_ended(self.run.op, self.branch, None if error else task.result(), _failure(error))
            pump.enqueue(event, self, held=False)

    def _was_cancelled(self) -> None:
        self.run.pump.enqueue(branch_cancelled(self.run.op, self.branch, self._by), self, held=False)

    def hand(self, event: Event) -> bool:
        """The line of its end is handed out: the branch gets what a replay gets."""
        branch = self.branch
        self.end = None if self._recorded else event
        self.failed = event.status == FAILED
        if event.status == CANCELLED:
            branch.status = "CANCELLED"
        elif self.task is None:
            turn = self.run.pump.turn
            branch.value = recorded(turn, branch.adapter or UNTYPED_ADAPTER, event.value, branch.what)
        elif self._recorded:
            self._walked_again(event)
        if self.task is not None and not self.task.done():
            raise self.run.pump.mismatches.of(event, f"branch {self.id!r}, which goes on")
        self.run.ended(self)
        return True

    def _walked_again(self, event: Event) -> None:
        assert self.task is not None
        if not self.task.done():
            return
        error = asyncio.CancelledError() if self.task.cancelled() else self.task.exception()
        branch_walked(self.run.op, self.branch, None if error else self.task.result(), _failure(error))
        if self.branch.error is not None and event.status == SUCCEEDED:
            raise self.run.pump.mismatches.of(event, f"branch {self.id!r}, which failed with {self.branch.error!r}")

    # -- its cancellation ------------------------------------------------------------------------------------------

    def cancel(self, cancellation: Cancellation) -> None:
        """For a branch that lost, or whose fan ends: cancels it once no shielded block runs in it any more."""
        self.cancel_scope.cancellation = cancellation
        if self.cancel_scope.sheltered:
            self.run.pump.held_back[self.cancel_scope] = self._cancel_now
        else:
            self._cancel_now()

    def _cancel_now(self) -> None:
        if self.task is None or self.task.done() or self.cancel_scope.cancellation is None:
            return
        self.cancel_scope.raised = True
        self._mark()
        self.run.pump.cancel(self.task, native(error_of(self.cancel_scope.cancellation)))

    def cancel_natively(self) -> None:
        if self.task is not None and not self.task.done():
            self._mark()
            self.task.cancel()

    def _mark(self) -> None:
        self._asked = True
        last = self.run.pump.line.last
        self._by = last.id if last is not None else ""


def _failure(error: BaseException | None) -> Exception | None:
    """The error of a branch that failed; None for a cancellation by the SDK. A branch that cancels itself natively has
    failed."""
    if error is None or isinstance(error, Exception):
        return error
    return own_cancellation(error) if is_foreign(error) or isinstance(error, ExecutionCancelled) else None
