"""Drives an async handler: hands out the lines of the log, one at a time, each when the handler rests.

All tasks of the handler together go on only by lines of the log, in its order, in a live turn exactly as in a replay. What
comes for the first time (a body's result, a signal, a time) becomes a line, and is handed out like a recorded one. So a replay
is right by construction, and there is no code for replays only. See docs/decisions/018-replay.md.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ...core.cancel_scope import CancelScope
from ...core.current import current_scope
from ...core.scope import Scope
from ...core.unwinding import Suspension
from ...errors import NonDeterminismError
from ...log.events import BEGUN, STUCK_ID, SUCCEEDED, Event
from ...log.kinds import STUCK, TIMER
from ...log.origins import mark
from ..session import LEAST_TIME, RECORDED_END, Session
from .agenda import Timer
from .delivery import Delivery
from .ending import ExecutionEnd
from .loop import DurableLoop, HandlerTask
from .native import BranchCoroutine
from .places import warn_of_foreign
from .stuck import MOST_ROUNDS, spins, stuck, tell_left_behind
from .unawaited import Unawaited

if TYPE_CHECKING:
    from .waiting import Runnable, Waiter


class Pump(Delivery):
    """For one turn."""

    def __init__(self, session: Session, loop: DurableLoop) -> None:
        super().__init__(session, loop)
        self.clock = session.clock
        self.unawaited = Unawaited()
        self.outcome: BaseException | None = None
        self.held_back: dict[CancelScope, Callable[[], None]] = {}  # cancellations that wait for a shielded block
        self._noted = (
            self.commits.position
        )  # how many entries have to be durable before a body begins: the pending event is among them
        self.end = ExecutionEnd(self)
        self._stuck = False
        if STUCK_ID in self.line.known:
            self.targets[STUCK_ID] = self
        self._pumping = False
        self._scheduled = False
        self._started = False
        self._alarm: asyncio.TimerHandle | None = None
        self.turn.front = self
        self.turn.at = max(self.turn.started, self.turn.journal.generation)

    # -- what the core asks ----------------------------------------------------------------------------------------

    def replays(self) -> bool:
        if isinstance(self.turn.closed, Suspension):
            return True  # code that unwinds runs again in the next turn
        return self.line.replaying or not self._live

    def commits_before_a_body(self) -> None:
        """A replay depends on something that is pending, or might record it differently."""
        self._noted = self.commits.position

    def looked_at_time(self) -> None:
        last = self.line.last
        if last is not None and last.id not in self.line.known:
            self.decided = last

    def leftover(self) -> NonDeterminismError | None:
        return self.mismatches.leftover()

    # -- a run -----------------------------------------------------------------------------------------------------

    def run(self, handler: Any) -> Any:
        """What the coroutine of the handler returns or raises, or what ends the turn."""
        context = contextvars.copy_context()
        root = Scope.of_handler(self.turn)
        context.run(current_scope.set, root)
        self.loop.pump = self
        self._finished = self.loop.plain_future()
        self.main = self.start(handler, context, root)
        self.loop.run_until_complete(self._finished)
        if self.outcome is None:
            return self.main.result()
        if self.main.done() and not self.main.cancelled():
            self.main.exception()  # retrieved, so that asyncio does not log it: `outcome` is raised
        raise self.outcome

    def start(self, coroutine: Any, context: contextvars.Context, scope: Scope) -> HandlerTask[Any]:
        """Starts the task of a branch, or of the handler itself."""
        branch = BranchCoroutine(coroutine, self.goes_on)
        task: HandlerTask[Any] = HandlerTask(branch, scope=scope, loop=self.loop, context=context)
        branch.task = task
        return task

    def finish(self, outcome: BaseException | None) -> None:
        """The turn is over: the handler has ended, or `outcome` is raised in place of its result."""
        if not self.over:
            self.over, self.outcome = True, outcome
            if isinstance(outcome, Suspension):
                self.turn.end(outcome)
            if not self._finished.done():
                self._finished.set_result(None)

    def leave(self) -> None:
        """The loop has nothing more to do for this turn."""
        self.over = True
        self._patience.end()
        self._silence()

    def close(self) -> None:
        """The rest of the handler unwinds now, with a fresh count of rounds."""
        self.over, self._rounds = True, 0

    def die(self, death: BaseException) -> None:
        """Ends the turn, and the loop, by this error."""
        self.turn.end(death)
        self.finish(death)

    # -- moving the handler ----------------------------------------------------------------------------------------

    def wake(self, handle: Runnable) -> None:
        """A callback of the handler is ready to run."""
        self.ready.append(handle)
        if not self._pumping or self.bodies.starting:
            self._foreign = self._foreign or self._started
            if not self._pumping:
                self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self.loop.ours(self.pump)

    def stir(self, work: Callable[[], object]) -> None:
        """Runs `work`, which is not the handler's, and then the handler."""
        if self.over:
            return
        self._pumping = True
        try:
            work()
        except BaseException as error:
            self.finish(error)
        finally:
            self._pumping = False
        self.pump()

    def pump(self) -> None:
        """Runs the handler as far as it can go. Called only from callbacks of the base loop, never inside a task."""
        self._scheduled = False
        if self._pumping or self.over:
            return
        self._started = True
        self._pumping = True
        try:
            while self._go_on():
                pass
        except BaseException as error:
            self.finish(error)
        finally:
            self._pumping = False

    def _go_on(self) -> bool:
        if self._foreign:
            self._foreign = False
            warn_of_foreign(self.turn, self.loop)
        self.run_ready()
        if self.over:
            return False
        if self.turn.closed is not None:
            self.finish(self.turn.closed)
            return False
        if self.main.done():
            return self._end()
        return self._deliver() or self._rest()

    def run_ready(self) -> None:
        """Runs the handler's callbacks until it rests."""
        ready = self.ready
        while ready:
            self._rounds += 1
            if self._rounds > MOST_ROUNDS:
                raise RuntimeError(spins(self.turn, self.loop))
            for _ in range(len(ready)):
                handle = ready.popleft()
                if not handle._cancelled:
                    handle._run()

    def _end(self) -> bool:
        """The handler has returned or raised. Waits for a write that is under way, so that no two run at once."""
        if self.commits.at_work:
            return False
        if not self.line.replaying:
            self._goes_live()
        unwinding = self.bodies.unwinding
        if unwinding and self.session.time_left() > LEAST_TIME:  # it may hold a lock or a connection
            return self._wait(self.turn.time() + round(self.session.time_left() * 1000))
        if unwinding:
            tell_left_behind(self.turn, unwinding)
        if self.bodies.takes_leave and not self.session.read_only:
            return self.bodies.say_farewell() if self._is_decided() else self.commits.flush()
        self.finish(None)
        return False

    # -- what the loop asks ----------------------------------------------------------------------------------------

    def set_timer(
        self, scope: Scope, when: float, callback: Callable[..., object], args: Any, context: contextvars.Context | None
    ) -> Timer:
        from .outside import set_timer

        return set_timer(self, scope, when, callback, args, context)

    def call_in_thread(self, scope: Scope, inner: asyncio.Future[Any]) -> asyncio.Future[Any]:
        from .outside import ThreadCall

        return ThreadCall(self, scope, inner).future

    # -- what comes for the first time -----------------------------------------------------------------------------

    def _stimulate(self) -> bool:
        """No line waits to be handed out: makes the next one if something has come. False: nothing has."""
        turn = self.turn
        if not self._live or turn.said is not None:
            self._goes_live()
        if (turn.cancel_scope.cancellation is not None or turn.header.deadline is not None) and self.end.look():
            return True
        if self.agenda.empty:
            return False
        arrived = self.agenda.arrived()
        if arrived is not None:
            arrived.resume()
            return True
        due = self.agenda.next_due()
        if due is None or due > turn.time():
            return False
        self._pass(due, self.agenda.pop())
        return True

    def _pass(self, due: int, late: Waiter | Timer) -> None:
        """The due time of a wait or timer has come."""
        lines = len(self.line.events)
        if isinstance(late, Timer):
            recorded = late.written
            self.new_line(Event(late.id, TIMER, -1, SUCCEEDED, 1, self.turn.time()), late)
        else:
            recorded = late.is_due_on_record(due)
            late.resume()
        if recorded and len(self.line.events) > lines:
            self._on_time = self.line.events[-1]

    def hand(self, event: Event) -> bool:
        """The line that the handler is stuck is handed out."""
        self._stuck = True
        self.cancel_main(RuntimeError(event.value), STUCK_ID)
        return True

    def cancel_main(self, error: BaseException, id: str) -> None:
        """Raises `error` in the handler's own task. `id`: of the line for it."""
        mark(self.turn, error, id)
        self.cancel(self.main, error)

    @staticmethod
    def cancel(task: asyncio.Task[Any], error: BaseException) -> None:
        """Cancels a branch's own task natively; the task sees `error`."""
        coroutine = task.get_coro()
        assert isinstance(coroutine, BranchCoroutine)
        coroutine.cancel(error)

    def unshielded(self) -> None:
        """A shielded block is over: raises the cancellations that waited for it."""
        for branch in [branch for branch in self.held_back if not branch.sheltered]:
            self.held_back.pop(branch)()

    # -- rest ------------------------------------------------------------------------------------------------------

    def _rest(self) -> bool:
        """No callback is ready, and no line can be handed out. True: look again."""
        if self.line.replaying:
            return False  # a thread or a socket of the handler's own has to do something first
        if self.session.read_only:
            self.finish(Suspension(RECORDED_END))
            return False
        if self.bodies.waiting and self._begin_bodies():
            return True
        if self.line.head is not None:
            return False  # it is being written
        if self.commits.awaited and self.commits.flush():
            return True
        due = self._next_due()
        if self.bodies.at_work or self.commits.at_work or self.threads:
            return self._wait(due)
        return self._sleep(due)

    def _begin_bodies(self) -> bool:
        if self.line.aside or self.turn.journal.untaken:
            self.mismatches.check_called()
        if not self._is_decided():
            return self.commits.flush()
        if self.session.news_are_old:
            return not self.commits.busy and self.commits.ask(self.session.look_for_news, self._answered)
        return self.bodies.open()

    def _is_decided(self) -> bool:
        """Whether a crash could no longer change the order of what was handed out."""
        noted = self._noted <= self.commits.written
        return noted and (self.decided is None or self.commits.covers(self.decided))

    def _answered(self, _: object, error: Exception | None) -> None:
        if error is not None:
            raise error

    def _sleep(self, due: int | None) -> bool:
        """Nothing is under way: waits in place if the next time is near; else ends the turn."""
        now = self.turn.time()
        if self.bodies.yielding:
            self._suspend("too little Lambda time is left", now)
            return False
        if self.agenda.empty:
            return self._is_stuck()
        if due is not None and due <= now:
            return True
        if due is None or not self.session.fits_in_place(due - now):
            self._suspend("waits for the outside" if due is None else "waits for a time", due)
            return False
        if not self.clock.virtual:
            return self._wait(due)
        self.clock.sleep((due - now) / 1000)
        return True

    def _is_stuck(self) -> bool:
        """Nothing durable can wake the handler any more, though its own sockets and threads may. The first time this raises an
        error in it, by a line; the second time the execution fails."""
        if self._patience.lasts(self.session.time_left()):
            return False
        text = stuck(self.turn, self.loop)
        if self._stuck:
            raise RuntimeError(text)
        self._stuck = True
        self.new_line(Event(STUCK_ID, STUCK, -1, SUCCEEDED, 1, self.turn.time(), 0, text), self)
        return True

    def _next_due(self) -> int | None:
        due = self.agenda.next_due()
        deadline = self.turn.next_deadline if self.end.may_come else None
        times = [time for time in (due, deadline) if time is not None]
        return min(times, default=None)

    def _wait(self, due: int | None) -> bool:
        """Waits for a callback of the loop, until `due`."""
        self._silence()
        if due is not None:
            self._alarm = self.loop.ours_later((due - self.turn.time()) / 1000, partial(self._rang, due))
        return False

    def _silence(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _rang(self, due: int) -> None:
        """While something is under way, virtual time advances with real time."""
        if self.clock.virtual:
            self.clock.sleep((due - self.turn.time()) / 1000)
        self.pump()

    def _suspend(self, why: str, due: int | None) -> None:
        """Records the due times of the timers that are set, so that the replay of the code that set them does not start them
        anew."""
        for timer in self.agenda.timers():
            if not timer.written:
                timer.written = True
                self.turn.pending.append(Event(timer.id, TIMER, -1, BEGUN, 1, self.turn.at, timer.due))
        self.finish(Suspension(why, due))
