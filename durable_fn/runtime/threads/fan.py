"""Branches of `def` handlers: a bounded number of threads, however many branches there are.

The thread that called the fan runs branches itself; helpers join it while there is something to run. A branch that waits does
not keep a thread: it unwinds, and is walked again from its beginning when it can go on (what it did is recorded, so that costs
microseconds). When all branches wait, the fan waits: in place, or by suspending the execution.
"""

from __future__ import annotations

import collections
import contextvars
import heapq
import threading
from typing import Any

from ...core.cancel_scope import Cancellation
from ...core.cancellation import error_of
from ...core.current import current_scope
from ...core.fan import Branch, Fan
from ...core.operations.fans import branch_cancelled, branch_ended, branch_walked, inherit_cancellation, next_branch
from ...core.scope import Op
from ...core.unwinding import Suspension
from ...errors import ExecutionCancelled
from ...log.failures import is_native_cancellation, own_cancellation
from ..session import Session
from .waits import Parked, plain, ready, wait_for


def run_fan(session: Session, op: Op, fan: Fan) -> None:
    """Runs until every branch has ended. Raises what ends the turn, or a cancellation that came meanwhile."""
    _RunningFan(session, op, fan).run()


class _RunningFan:
    """One fan while it runs. Everything is guarded by `changed`."""

    def __init__(self, session: Session, op: Op, fan: Fan) -> None:
        self.session = session
        self.turn = session.turn
        self.op = op
        self.fan = fan
        self.changed = threading.Condition()
        self.running = 0
        self.watched = False  # a thread waits for the next due time
        self.parked: dict[int, tuple[Branch, Parked]] = {}
        self.dues: list[
            tuple[int, int]
        ] = []  # a heap of due times and branch indexes; some branches may have gone on already
        self.wakes: dict[str, set[int]] = {}  # by inbox key: the branches that wait for it
        self.awake: collections.deque[int] = collections.deque()  # parked branches that can go on
        self.version = session.turn.inbox.version
        self.told = False  # the branches know that the fan is over
        self.cancellation: Cancellation | None = None  # one that reached the branches from above
        self.fatal: BaseException | None = None
        self.context = contextvars.copy_context()

    def run(self) -> None:
        try:
            with self.changed:
                self._coordinate()
        finally:
            self._finish()
        if self.op.scope.cancel_scope.cancel_pending and not self.fan.over:
            cancellation = self.op.scope.cancel_scope.cancellation
            assert cancellation is not None
            raise error_of(cancellation)

    def _coordinate(self) -> None:
        while self.fatal is None:
            self._cancel_losers()
            branch = self._next()
            if branch is not None:
                self._invite()
                self._run_unlocked(branch)
            elif self.running:
                watched, self.watched = self.watched, True
                with self.session.activity.rest():
                    self.changed.wait(self._patience())
                self.watched = watched
            elif self.turn.closed is not None:
                self.fatal = self.turn.closed
            elif self.parked:
                self._wait_together()
            else:
                return

    def _finish(self) -> None:
        """Waits until no thread of the fan runs any more."""
        with self.changed:
            if self.fatal is None and (self.running or self.parked) and self.turn.closed is not None:
                self.fatal = self.turn.closed
            with self.session.activity.rest():
                while self.running:
                    self.changed.wait()
            for branch in self.fan.branches:
                if branch.cancel_scope is not None:
                    self.op.scope.cancel_scope.inner.discard(branch.cancel_scope)
        if self.fatal is not None:
            raise self.fatal

    # -- what runs next --------------------------------------------------------------------------------------------

    def _cancel_losers(self) -> None:
        """Cancels the other branches, once the fan is over. A branch that starts later inherits it."""
        if not self.fan.over or self.told:
            return
        self.told = True
        for branch in self.fan.branches:
            if branch.started and branch.status is None and branch.cancel_scope is not None:
                branch.cancel_scope.cancel(Cancellation("lost", f"the fan is over: {self.fan.reason}"))
        self._wake_cancelled()

    def _wake_cancelled(self) -> None:
        self.awake.extend(
            i
            for i, (branch, _) in self.parked.items()
            if branch.cancel_scope is not None and branch.cancel_scope.cancel_pending
        )

    def _look_around(self) -> None:
        """Finds the waiting branches that can go on: whose time has come, whose inbox entry is there, or which are cancelled.
        It looks at a branch only when something about it has changed, so that 10,000 branches cost one look each."""
        now, inbox = self.session.clock.now(), self.turn.inbox
        while self.dues and self.dues[0][0] <= now:
            self.awake.append(heapq.heappop(self.dues)[1])
        if inbox.version is not self.version:
            self.version = inbox.version
            for wake in [wake for wake in self.wakes if inbox.waits_for(wake)]:
                self.awake.extend(sorted(self.wakes[wake]))
        if self.op.scope.cancel_scope.cancellation is not self.cancellation:
            self.cancellation = self.op.scope.cancel_scope.cancellation
            self._wake_cancelled()

    def _park(self, branch: Branch, parked: Parked) -> None:
        parked.forget()
        self.parked[branch.index] = (branch, parked)
        if parked.due is not None:
            heapq.heappush(self.dues, (parked.due, branch.index))
        for wake in parked.wakes:
            self.wakes.setdefault(wake, set()).add(branch.index)
        if self._can_go_on(branch, parked):
            self.awake.append(branch.index)  # what it waits for came while it unwound

    def _unpark(self, index: int) -> Branch | None:
        if index not in self.parked:
            return None  # it went on for another reason
        branch, parked = self.parked[index]
        if not self._can_go_on(branch, parked):
            return None
        del self.parked[index]
        for wake in parked.wakes:
            self.wakes[wake].discard(index)
            if not self.wakes[wake]:
                del self.wakes[wake]
        return branch

    def _can_go_on(self, branch: Branch, parked: Parked) -> bool:
        assert branch.cancel_scope is not None
        ends = branch.cancel_scope.cancel_pending and not parked.told
        return ends or any(ready(self.session, parked.due, wake) for wake in parked.wakes or (None,))

    def _next(self) -> Branch | None:
        """A waiting branch that can go on, or a new one if the fan is not too wide."""
        if self.turn.closed is not None or self.fatal is not None:
            return None
        self._look_around()
        while self.awake:
            branch = self._unpark(self.awake.popleft())
            if branch is not None:
                return self._begin(branch)
        if self.running + len(self.parked) >= self.fan.width:
            return None
        new = next_branch(self.op, self.fan)
        return None if new is None else self._begin(new)

    def _begin(self, branch: Branch) -> Branch:
        branch.started = True
        self.running += 1
        return branch

    def _invite(self) -> None:
        """Starts a helper, if there is more to run than this thread can run now."""
        if not self.awake and self.running + len(self.parked) >= min(self.fan.width, len(self.fan.branches)):
            return
        if not self.session.activity.take_helper():
            return
        thread = threading.Thread(target=self._help, name=f"branch of {self.op.id}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no more threads: the running ones do all the work
            self.session.activity.give_helper_back()

    def _help(self) -> None:
        with self.changed:
            try:
                while True:
                    branch = self._next()
                    if branch is not None:
                        self._invite()
                        self._run_unlocked(branch)
                        self._cancel_losers()
                    elif not self._keep_watch():
                        break
            finally:
                self.session.activity.give_helper_back()
                self.changed.notify_all()

    def _keep_watch(self) -> bool:
        """One helper watches the waiting branches while the thread that called the fan runs a body."""
        patience = self._patience()
        if (
            patience is None
            or self.watched
            or not self.running
            or self.fatal is not None
            or self.turn.closed is not None
        ):
            return False
        self.watched = True
        with self.session.activity.rest():
            self.changed.wait(patience)
        self.watched = False
        return True

    def _patience(self) -> float | None:
        """How long to wait for running branches until a waiting one is due. Virtual time does not advance meanwhile."""
        due = self._first_due()
        if due is None or self.session.clock.virtual or self.running + len(self.parked) > self.fan.width:
            return None
        return max(0.001, (due - self.session.clock.now()) / 1000)

    def _first_due(self) -> int | None:
        """The earliest due time of the waiting branches."""
        while self.dues:
            due, index = self.dues[0]
            if index in self.parked and self.parked[index][1].due == due:
                return due
            heapq.heappop(self.dues)
        return None

    def _wait_together(self) -> None:
        due, wakes = self._first_due(), tuple(self.wakes)
        cancel_scope = self.op.scope.cancel_scope
        if cancel_scope is not self.turn.cancel_scope:
            woken = (
                cancel_scope.cancel_pending and cancel_scope.cancellation is self.cancellation
            )  # those inside, by it
            told = woken or cancel_scope.shields > 0
            cancel_scope.closed = self.fatal = Parked(due, wakes, told=told)
            return
        try:
            wait_for(self.session, due, wakes)
        except Suspension as suspension:
            self.fatal = suspension

    # -- one branch ------------------------------------------------------------------------------------------------

    def _run_unlocked(self, branch: Branch) -> None:
        """Called with the lock held; releases it while the branch runs."""
        scope = self.op.scope.fork(self.op, branch.component)
        if branch.cancel_scope is not None:
            self.op.scope.cancel_scope.inner.discard(branch.cancel_scope)  # of the walk before
        branch.cancel_scope = cancel_scope = scope.cancel_scope
        if not branch.walk:
            self.op.scope.cancel_scope.inner.add(cancel_scope)
            inherit_cancellation(self.op, self.fan, cancel_scope)
        self.changed.release()
        try:
            outcome = self.context.copy().run(self._walk, scope, branch)
        finally:
            self.changed.acquire()
            self.running -= 1
        self._settle(branch, outcome)
        self.changed.notify_all()

    def _walk(self, scope: Any, branch: Branch) -> tuple[Any, BaseException | None]:
        current_scope.set(scope)
        try:
            return plain(branch.fn(*branch.args), "branch", branch.fn), None
        except BaseException as error:
            return None, own_cancellation(error) if is_native_cancellation(error) else error

    def _settle(self, branch: Branch, outcome: tuple[Any, BaseException | None]) -> None:
        value, error = outcome
        cancel_scope = branch.cancel_scope
        assert cancel_scope is not None
        if cancel_scope.closed is not None and self.turn.closed is None:
            assert isinstance(cancel_scope.closed, Parked)
            self._park(branch, cancel_scope.closed)
        elif self.turn.closed is not None and (
            cancel_scope.leaving or error is self.turn.closed or isinstance(error, Suspension)
        ):
            self.op.scope.cancel_scope.inner.discard(cancel_scope)
        elif error is not None and not isinstance(error, Exception | ExecutionCancelled):
            self.fatal = error
            self.turn.end(error)
        else:
            self.op.scope.cancel_scope.inner.discard(cancel_scope)
            self._end(branch, value, error)

    def _end(self, branch: Branch, value: Any, error: BaseException | None) -> None:
        if branch.walk:
            branch_walked(self.op, branch, value, error if isinstance(error, Exception) else None)
            if branch.record is not None:
                self.turn.journal.skip(branch.record)
        elif isinstance(error, ExecutionCancelled) or self.fan.over:
            told = branch.cancel_scope is not None and branch.cancel_scope.raised
            self.fan.late += not (told or isinstance(error, ExecutionCancelled))
            self._lose(branch)
        else:
            assert error is None or isinstance(error, Exception)
            end = branch_ended(self.op, branch, value, error)
            self.fan.end(branch, "FAILED" if branch.error else "SUCCEEDED", branch.value, branch.error)
            if self.fan.early:  # after a crash other branches may be first
                self.turn.chosen.add(end)

    def _lose(self, branch: Branch) -> None:
        """The branch was cancelled, or ended too late: its result is dropped, and its signals are given back. Both under one
        lock, so that one write has both."""
        decided = self.fan.decided
        with self.turn.lock:
            self.turn.give_back(f"{self.op.id}/{branch.component}")
            branch_cancelled(self.op, branch, f"{self.op.id}/{decided.component}" if decided is not None else "")
        self.fan.end(branch, "CANCELLED")
