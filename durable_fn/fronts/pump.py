"""What moves an async handler: the entries of its line, one at a time, each handed out when the handler rests.

All tasks of the handler together move only by lines of the log, in its order, live exactly as in a replay. What comes for the
first time (a body's result, a signal, a time) becomes a line, and is handed out like a recorded one. So a replay is right by
construction, and no code here only replays. See ARCHITECTURE in docs/decisions/015-replay.md.
"""

from __future__ import annotations

import asyncio
import collections
import contextvars
import json
import math
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol

from ..core.causes import blame
from ..core.current import current_scope
from ..core.dooms import error_of
from ..core.events import BEGUN, END_ID, NO_PLACE, SUCCEEDED, Event, is_keyed
from ..core.scope import Branch, Doom, Scope
from ..core.turn import Suspension
from ..errors import NonDeterminismError
from .agenda import Agenda, Timer
from .bodies import Bodies
from .commits import Commits
from .forgotten import Forgotten
from .line import Line
from .loop import DurableLoop, HandlerTask, number
from .native import BranchCoroutine, native
from .operation import RunningOperation
from .places import waiting_places, warn_of_foreign
from .session import RECORDED_END, Session

STUCK: Final = "$stuck"
_EFFECTIVE: Final = frozenset({"step", "callback", "call"})
"""Kinds that may have had an effect before they have a result."""
_MOST_ROUNDS: Final = 100_000
"""Rounds that the handler may go between two lines: one that never rests would keep the Lambda busy to its end."""
_PATIENCE: Final = 10.0
"""Seconds that a replay waits for sockets or threads of the handler's own to ask for the next line."""


class Target(Protocol):
    """Who waits for a line."""

    def hand(self, event: Event) -> bool | None:
        """True: the handler goes on by it. False: nobody waits any more. None: not yet."""


class Pump:
    """Of one turn. `ready`: callbacks of the handler that can run; empty means that it rests."""

    def __init__(self, session: Session, loop: DurableLoop) -> None:
        self.session = session
        self.loop = loop
        self.turn = session.turn
        self.clock = session.clock
        self.line = Line(self.turn.journal)
        self.targets: dict[str, Target] = {}
        self.ready: collections.deque[asyncio.Handle] = collections.deque()
        self.agenda = Agenda(self.turn.inbox, self.ready.append)
        self.bodies = Bodies(self)
        self.commits = Commits(session, loop, self.line, self.stir, self.bodies.may_share)
        self.unawaited = Forgotten()
        self.over = False
        self.outcome: BaseException | None = None
        self.held_back: dict[Branch, Callable[[], None]] = {}  # cancellations that wait for a shielded block
        self._decided: Event | None = None  # the last line by which another way may have been taken
        self._live = session.took_over or not self.turn.journal.records  # whether what runs now runs for the first time
        self._ended = END_ID in self.line.known
        self._pumping = False
        self._scheduled = False
        self._started = False
        self._foreign = False
        self._rounds = 0
        self._patience: float | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._others = frozenset(threading.enumerate())
        self._threads = 0  # calls in other threads that the handler awaits
        self.turn.front = self
        self.turn.at = max(self.turn.started, self.turn.journal.generation)
        for record in self.turn.journal.records.values():
            if record.kind in ("branch", "end", "stuck"):
                self.turn.journal.untaken.discard(record.id)

    # -- what the core asks ----------------------------------------------------------------------------------------

    def replays(self) -> bool:
        return self.line.replaying or not self._live

    def leftover(self) -> NonDeterminismError | None:
        """Lines that nobody asked for, and operations that nobody called, when the handler ended."""
        journal = self.turn.journal
        for event in (*self.line.aside, *self.line.events[self.line.cursor : self.line.recorded]):
            if not self._is_asked(event):
                return self.mismatch(event, "the end of the handler")
        return self._not_called("the end of the handler") if journal.untaken else None

    # -- a run -----------------------------------------------------------------------------------------------------

    def run(self, handler: Any) -> Any:
        """What the coroutine of the handler returns or raises, or what ends the turn."""
        context = contextvars.copy_context()
        context.run(current_scope.set, self.turn.root)
        self.loop.pump = self
        self._finished = self.loop.plain_future()
        self.main = self.start(handler, context, self.turn.root)
        self.loop.run_until_complete(self._finished)
        if self.outcome is not None:
            raise self.outcome
        return self.main.result()

    def start(self, coroutine: Any, context: contextvars.Context, scope: Scope) -> HandlerTask[Any]:
        """A task of a branch's own, the handler's included."""
        branch = BranchCoroutine(coroutine)
        task: HandlerTask[Any] = HandlerTask(branch, number=number(scope), loop=self.loop, context=context)
        branch.task = task
        return task

    def finish(self, outcome: BaseException | None) -> None:
        """The turn is over: by the end of the handler, or by what is raised in its place."""
        if not self.over:
            self.over, self.outcome = True, outcome
            if self.turn.closed is None and isinstance(outcome, Suspension):
                self.turn.closed = outcome
            if not self._finished.done():
                self._finished.set_result(None)

    def die(self, death: BaseException) -> None:
        """Like a death: nothing more is committed, also not by `finally` blocks."""
        if self.turn.closed is None:
            self.turn.closed = death
        self.finish(death)

    # -- moving the handler ----------------------------------------------------------------------------------------

    def wake(self, handle: asyncio.Handle) -> None:
        """A callback of the handler's can run."""
        self.ready.append(handle)
        if not self._pumping:
            self._foreign = self._foreign or self._started
            self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self.loop.ours(self.pump)

    def stir(self, work: Callable[[], object]) -> None:
        """Does what came from outside the handler, then moves it on."""
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
        """Only from callbacks of the base loop, never inside a task."""
        self._scheduled = False
        if self._pumping or self.over:
            return
        if self._foreign:
            self._foreign = False
            warn_of_foreign(self.turn.header.fn, self.loop)
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
        """Until the handler rests."""
        ready = self.ready
        while ready:
            self._rounds += 1
            if self._rounds > _MOST_ROUNDS:
                self._stop_spinning()
            for _ in range(len(ready)):
                handle = ready.popleft()
                if not handle._cancelled:
                    handle._run()

    def _end(self) -> bool:
        """The handler has returned or raised. What is being written must not be written from two sides."""
        if self.commits.at_work:
            return False
        if self.bodies.takes_leave and not self.session.read_only:
            return self.bodies.say_farewell() if self._is_decided() else self.commits.flush()
        self.finish(None)
        return False

    # -- lines -----------------------------------------------------------------------------------------------------

    def enqueue(self, event: Event, target: Target, *, held: bool) -> None:
        """A new line, which is pending already. `held`: it is durable before the handler sees it."""
        self.targets[event.id] = target
        self.line.append(event, self.commits.position, held=held)

    def await_line(self, id: str, target: Target) -> None:
        """Of what is recorded. What a redrive kept by its id alone becomes a line again."""
        self.targets[id] = target
        record = self.turn.journal.records[id]
        if record.aside and record.done is not None:
            record.aside = False
            done, now = record.done, self.turn.time()
            event = Event(
                id, done.kind, done.position, done.status, done.attempt, now, done.due, done.value, done.asked
            )
            self.turn.pending.append(event)
            self.line.append(event, self.commits.position, held=False)

    def decide(self, event: Event, operation: RunningOperation | _Deadline) -> None:
        """A new line that is decided because something did not come: it is written on that condition."""
        self.targets[event.id] = operation
        self.line.append(event, self.commits.position, held=True)
        self.commits.decide(event, operation)

    def _deliver(self) -> bool:
        """Hands out the next line, or looks for the next that could be one. False: there is nothing now."""
        line, turn = self.line, self.turn
        event = self._next()
        if self.session.read_only and (event is None or event.id not in line.known):
            return False  # what is new is no part of the recorded history
        if event is None:
            return self._stimulate()
        if line.is_held(event) and not self.commits.covers(event):
            return self.commits.flush()
        before = turn.at
        turn.at = max(before, event.at)
        handed = self._hand(event)
        if handed is None:
            turn.at = before
            return False
        if event.id not in line.known:
            self._weigh(event)
        line.handed(event)
        self._rounds, self._patience = 0, None
        return True

    def _next(self) -> Event | None:
        """The next line; of operations with keys the first that is asked for, wherever it stands."""
        line = self.line
        for event in line.aside:
            if self._is_asked(event):
                return event
        while (head := line.head) is not None and line.replaying and not self._is_asked(head):
            for event in line.events[line.cursor : line.recorded]:
                if is_keyed(event.id) and self._is_asked(event):
                    return event
            if not is_keyed(head.id):
                break
            line.lay_aside()
        return head

    def _is_asked(self, event: Event) -> bool:
        return event.id in self.targets or event.kind in ("end", "stuck") or self._is_skipped(event)

    def _hand(self, event: Event) -> bool | None:
        target = self.targets.pop(event.id, None)
        if target is not None:
            handed = target.hand(event)
            if handed is None:
                self.targets[event.id] = target
            return handed
        if event.kind == "end":
            return self._raise_end(event)
        if event.kind == "stuck":
            return self._cancel_main(RuntimeError(event.value))
        if self._is_skipped(event):
            return False
        if self._is_patient():
            return None
        raise self.mismatch(event, self._waits_for())

    def _is_skipped(self, event: Event) -> bool:
        """Whether it is of a branch whose result is recorded: it is not walked again."""
        record = self.turn.journal.records.get(event.id)
        return record is not None and record.handed_out

    def _weigh(self, event: Event) -> None:
        """Of a live line that rides along: could anything else have come in its place?"""
        if not self.line.is_held(event) and (
            not self.agenda.empty or self.bodies.at_work or self.bodies.waiting or self.line.events[-1] is not event
        ):
            self._decided = event

    # -- what comes for the first time -----------------------------------------------------------------------------

    def _stimulate(self) -> bool:
        """Nothing is in line. Whether something came that makes one."""
        turn = self.turn
        self._live = True
        if self._execution_ends():
            return True
        arrived = self.agenda.arrived()
        if arrived is not None:
            arrived.resume()
            return True
        late = self.agenda.late(turn.time())
        if late is None:
            return False
        if isinstance(late, Timer):
            event = Event(late.id, "timer", -1, SUCCEEDED, 1, turn.time())
            turn.pending.append(event)
            self.enqueue(event, late, held=False)
        else:
            late.resume()
        return True

    def _execution_ends(self) -> bool:
        """By a cancellation, or by its deadline: then nothing may have come that is not in hand."""
        turn = self.turn
        if self._ended or turn.shields:
            return False
        turn.look_at_deadline()
        doom = turn.branch.doom
        if doom is None:
            return False
        self._ended = True
        event = Event(END_ID, "end", -1, SUCCEEDED, 1, turn.time(), 0, _doom_text(doom, turn.tasks))
        if doom.kind == "timed out":
            self.decide(event, _Deadline(self))
        else:
            turn.pending.append(event)
            self.line.append(event, self.commits.position, held=False)
        return True

    def reconsider_end(self) -> None:
        """Something came at the last moment."""
        self._ended = False
        self.turn.branch.doom = None
        self.turn.notice()

    def _raise_end(self, event: Event) -> bool:
        branch = self.turn.branch
        branch.doom, branch.raised = _doom_of(event.value), True
        self._ended = True
        return self._cancel_main(native(error_of(branch.doom)))

    def _cancel_main(self, error: BaseException) -> bool:
        blame(self.turn, error, END_ID)
        self.cancel(self.main, error)
        return True

    @staticmethod
    def cancel(task: asyncio.Task[Any], error: BaseException) -> None:
        """Cancels a branch's own task natively; `error` arrives in it."""
        coroutine = task.get_coro()
        assert isinstance(coroutine, BranchCoroutine)
        coroutine.cancel(error)

    def unshielded(self) -> None:
        """A shielded block is over: what waited for it is raised now."""
        for branch in [branch for branch in self.held_back if not branch.sheltered]:
            self.held_back.pop(branch)()

    # -- rest ------------------------------------------------------------------------------------------------------

    def _rest(self) -> bool:
        """Nothing is ready, and nothing is in line that can be handed out. True: look again."""
        if self.line.replaying:
            return False  # a thread or a socket of the handler's own has to bring something again
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
        if self.bodies.at_work or self.commits.at_work or self._threads:
            return self._wait(due)
        return self._sleep(due)

    def _begin_bodies(self) -> bool:
        if (self.line.aside or self.turn.journal.untaken) and self.bodies.has_place:
            self._check_called()
        if not self._is_decided():
            return self.commits.flush()
        if self.session.news_are_old:
            return not self.commits.busy and self.commits.ask(self.session.look_for_news, self._answered)
        return self.bodies.open()

    def _check_called(self) -> None:
        """The handler rests at the end of the log. What began there, and may have had an effect, is called by now: else a body that
        begins now could be its double. Where only operations with keys would begin, it may be behind them."""
        for event in self.line.aside:
            raise self.mismatch(event, self._waits_for())
        error = self._not_called(self._waits_for(), _EFFECTIVE)
        if error is not None:
            raise error

    def _is_decided(self) -> bool:
        """Whether no death can make it be decided otherwise what was handed out."""
        return self._decided is None or self.commits.covers(self._decided)

    def _answered(self, _: object, error: Exception | None) -> None:
        if error is not None:
            raise error

    def _sleep(self, due: int | None) -> bool:
        """Nothing is under way: a time in place, if it is near; else the turn ends."""
        now = self.turn.time()
        if self.bodies.yielding:
            self._suspend("too little Lambda time is left", now)
            return False
        if self.agenda.empty:
            return self._strand()
        if due is not None and due <= now:
            return True
        if due is None or not self.session.fits_in_place(due - now):
            self._suspend("waits for the outside" if due is None else "waits for a time", due)
            return False
        if not self.clock.virtual:
            return self._wait(due)
        self.clock.sleep((due - now) / 1000)
        return True

    def _next_due(self) -> int | None:
        due = self.agenda.next_due()
        deadline = None if self._ended or self.turn.shields else self.turn.next_deadline
        times = [time for time in (due, deadline) if time is not None]
        return min(times, default=None)

    def _wait(self, due: int | None) -> bool:
        """For the loop to bring something, until then."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if due is not None:
            self._alarm = self.loop.ours_later((due - self.turn.time()) / 1000, partial(self._rang, due))
        return False

    def _rang(self, due: int) -> None:
        """Virtual time goes as real time does while something is under way."""
        if self.clock.virtual:
            self.clock.sleep((due - self.turn.time()) / 1000)
        self.pump()

    def _suspend(self, why: str, due: int | None) -> None:
        """Timers that are set say when they end: the code that set them is not run again at another time."""
        for timer in self.agenda.timers():
            if not timer.written:
                timer.written = True
                self.turn.pending.append(Event(timer.id, "timer", -1, BEGUN, 1, self.turn.at, timer.due))
        self.finish(Suspension(why, due))

    # -- native timers and threads of the handler ------------------------------------------------------------------

    def set_timer(
        self, scope: Scope, when: float, callback: Callable[..., object], args: Any, context: contextvars.Context | None
    ) -> Timer:
        """It counts from where the log stands; from the present, if nothing says yet that it was set: a slow handler, a death."""
        turn = self.turn
        scope.timers += 1
        id = f"{scope.path}$t{scope.timers}"
        record = turn.journal.records.get(id)
        if record is not None:
            turn.journal.untaken.discard(id)
        if record is not None and record.begun is not None:
            due = record.begun.due
        else:
            due = turn.started + math.ceil(when * 1000 - 1e-3)
            if not self.line.goes_on:
                due += max(0, turn.time() - turn.at)
        timer = Timer(self.agenda, id, due, when, callback, args, self.loop, context)
        timer.written = record is not None and record.begun is not None
        self.targets[id] = timer
        self.agenda.set(timer)
        return timer

    def outside(self, scope: Scope, inner: asyncio.Future[Any]) -> asyncio.Future[Any]:
        """A call in another thread that the handler awaits: its place is recorded, its result is not."""
        scope.threads += 1
        call = _ThreadCall(self, f"{scope.path}$x{scope.threads}", inner)
        self.turn.journal.untaken.discard(call.id)
        self.targets[call.id] = call
        self._threads += 1
        inner.add_done_callback(lambda _: self.stir(call.ended), context=self.loop.engine)
        return call.future

    def thread_ended(self, call: _ThreadCall) -> None:
        self._threads -= 1
        if call.id not in self.line.known:
            event = Event(call.id, "thread", -1, SUCCEEDED, 1, self.turn.time())
            self.turn.pending.append(event)
            self.enqueue(event, call, held=False)

    # -- handlers that cannot go on --------------------------------------------------------------------------------

    def _strand(self) -> bool:
        """Nothing durable could ever wake the handler. Its own sockets and threads may."""
        if self._is_patient(self.session.time_left()):
            return False
        places = ", ".join(sorted(waiting_places(self.loop)))
        text = (
            f"nothing can wake the handler of execution {self.turn.header.id!r}: no durable operation waits, no step runs and "
            f"no timer is set, and it waits at {places}. What an event, a queue or a lock waits for must come from a branch "
            "that still runs; what comes from outside comes by a signal, a callback or a step"
        )
        if STUCK in self.line.known:
            raise RuntimeError(text)
        self.line.known.add(STUCK)
        event = Event(STUCK, "stuck", -1, SUCCEEDED, 1, self.turn.time(), 0, text)
        self.turn.pending.append(event)
        self.line.append(event, self.commits.position, held=False)
        return True

    def _stop_spinning(self) -> None:
        places = ", ".join(sorted(waiting_places(self.loop)))
        raise RuntimeError(
            f"the handler of execution {self.turn.header.id!r} went {_MOST_ROUNDS:,} rounds without waiting for anything durable, "
            f"at {places}. Time stands between durable operations, and nothing else can run meanwhile: wait with ctx.sleep, "
            "asyncio.sleep of more than 0 seconds, an asyncio.Event or the task itself"
        )

    def _is_patient(self, seconds: float = _PATIENCE) -> bool:
        """Whether I/O of the handler's own may still bring something."""
        if not self.loop.expects_something and not self._has_foreign_threads():
            return False
        now = self.loop.real_time()
        if self._patience is None:
            self._patience = now + seconds
        if now >= self._patience:
            return False
        self.loop.ours_later(self._patience - now, self.pump)
        return True

    def _has_foreign_threads(self) -> bool:
        """Threads that began in this turn and are not the loop's own: the handler's, which may call it back."""
        pool = getattr(self.loop, "_default_executor", None)
        own = set() if pool is None else pool._threads
        return any(thread.is_alive() for thread in {*threading.enumerate()} - self._others - own)

    # -- mismatches ------------------------------------------------------------------------------------------------

    def _not_called(self, attempted: str, kinds: frozenset[str] | None = None) -> NonDeterminismError | None:
        """A recorded operation that nobody called, and that is in no branch which is passed over. `kinds`: only those, and only
        where they have a place."""
        journal = self.turn.journal
        for id in [id for id in journal.records if id in journal.untaken]:
            record = journal.records[id]
            if not record.handed_out and (kinds is None or (record.kind in kinds and record.position != NO_PLACE)):
                event = record.done or record.begun or record.retry
                assert event is not None
                return self.mismatch(event, attempted)
        return None

    def _waits_for(self) -> str:
        waiting = [
            id
            for id, target in self.targets.items()
            if not getattr(target, "gone", False) and not isinstance(target, Timer)
        ]
        if waiting:
            return ", ".join(repr(id) for id in waiting[:3]) + (", ..." if len(waiting) > 3 else "")
        return "nothing: it waits at " + ", ".join(sorted(waiting_places(self.loop)))

    def mismatch(self, event: Event, attempted: str) -> NonDeterminismError:
        return self.turn.mismatch(
            f"{event.kind} {event.id!r}",
            attempted,
            max(0, event.position),
            event.id.rpartition("/")[0],
            "an operation was removed or added, a condition around it changed, or the order depends on something that is not "
            "recorded",
        )


class _Deadline:
    """The line that ends an execution whose time is over, decided from absence."""

    gone = False

    def __init__(self, pump: Pump) -> None:
        self._pump = pump

    def hand(self, event: Event) -> bool:
        return self._pump._raise_end(event)

    def resume(self, value: Any = None) -> None:
        self._pump.reconsider_end()


class _ThreadCall:
    """What the handler awaits of a call in another thread."""

    def __init__(self, pump: Pump, id: str, inner: asyncio.Future[Any]) -> None:
        self._pump = pump
        self.id = id
        self.inner = inner
        self.future = pump.loop.create_future()

    @property
    def gone(self) -> bool:
        return self.future.cancelled()

    def ended(self) -> None:
        self._pump.thread_ended(self)

    def hand(self, event: Event) -> bool | None:
        if self.future.cancelled():
            return False
        if not self.inner.done():
            return None
        if self.inner.cancelled():
            self.future.cancel()
        elif (error := self.inner.exception()) is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(self.inner.result())
        return True


def _doom_text(doom: Doom, tasks: dict[str, int]) -> str:
    """With how many native tasks each scope had started: a redrive asks."""
    return json.dumps([doom.kind, doom.reason, tasks], ensure_ascii=False)


def _doom_of(text: str) -> Doom:
    kind, reason, _ = json.loads(text)
    return Doom(kind, reason)
