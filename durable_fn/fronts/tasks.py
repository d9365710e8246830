"""The driver of `async def` handlers: operations' effects on an event loop of ours, branches as tasks."""

from __future__ import annotations

import asyncio
import collections.abc
import contextlib
import contextvars
import sys
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

from ..core.causes import blame
from ..core.current import current_scope, running_step
from ..core.dooms import error_of, raised_at, replayed_at, strikes_before
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
from ..core.events import BEGUN, Event
from ..core.failures import own_cancellation
from ..core.fan import Fan, Strand
from ..core.journal import Record
from ..core.operations.branches import inherit_doom, next_strand, strand_ended, strand_walked
from ..core.scope import Branch, Doom, Op
from ..errors import ExecutionCancelled, ExecutionTimedOut, StepTimeout
from .director import TurnDirector, Waiting
from .forgotten import Forgotten
from .loop import DurableLoop, inline
from .session import Session

T = TypeVar("T")

_WALKED: Final = frozenset({"child", "parallel", "map", "race", "poll"})
"""Operations with operations inside, which are walked before it is their own turn."""


class AsyncExecutionCancelled(ExecutionCancelled, asyncio.CancelledError):
    """What native code takes for a cancellation of the task, and handlers for one of the execution. Journals and logs call it
    by the name that handlers know."""


AsyncExecutionCancelled.__module__, AsyncExecutionCancelled.__qualname__ = "durable_fn.errors", "ExecutionCancelled"


def _let_through_groups() -> None:
    """Up to Python 3.12 a TaskGroup whose body is cancelled looks whether the error IS a CancelledError, and wraps a subclass
    into an exception group. Ours comes out of it as it does since 3.13: after its tasks have ended, unwrapped."""
    known: Callable[[asyncio.TaskGroup, BaseException], bool] = asyncio.TaskGroup._is_base_error  # type: ignore[attr-defined]

    def is_base_error(group: asyncio.TaskGroup, error: BaseException) -> bool:
        return isinstance(error, AsyncExecutionCancelled) or known(group, error)

    asyncio.TaskGroup._is_base_error = is_base_error  # type: ignore[attr-defined]


if sys.version_info < (3, 13):
    _let_through_groups()


class BranchCoroutine(collections.abc.Coroutine[Any, Any, Any]):
    """The coroutine of a branch's own task. A native cancellation that we asked for arrives in it as `doom`, so that
    `gather`, `TaskGroup` and `asyncio.timeout` on the way pass it on as they pass cancellations."""

    def __init__(self, inner: collections.abc.Coroutine[Any, Any, Any]) -> None:
        self.inner = inner
        self.doom: BaseException | None = None
        self.task: asyncio.Task[Any] | None = None

    def send(self, value: Any) -> Any:
        return self.inner.send(value)

    def throw(self, type: Any, value: Any = None, traceback: Any = None) -> Any:
        error = type if value is None else value
        if self.doom is not None and isinstance(error, asyncio.CancelledError):
            error, self.doom = self.doom, None
            assert self.task is not None
            self.task.uncancel()
        return self.inner.throw(error)

    def close(self) -> None:
        self.inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self.inner.__await__()

    def cancel(self, error: BaseException) -> None:
        self.doom = error
        assert self.task is not None
        self.task.cancel()


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
        record = op.record
        if record is not None and record.done is not None:
            if record.cancelled and op.kind == "child":
                record = None  # its code runs again: what ended it may be recorded inside
            elif record.raised or record.cancelled:
                driver.turn.journal.skip_below(f"{op.id}/")
            elif op.kind in _WALKED:
                record = None
            if record is not None and driver.out_of_turn(record):
                await driver.turn_of(op, record)
            if record is not None and record.raised:
                operation.close()
                await driver.raise_in_branch(op, replayed_at(op))
        while True:
            effect = send(value)
            send = operation.send
            try:
                if strikes_before(op, effect) and await driver.claims(op):
                    await driver.doom(op, operation)
                value = await driver.perform(op, effect)
            except asyncio.CancelledError:
                if op.scope.branch.raised and not cleans_up and driver.turn.closed is None:
                    await driver.unwind(op, operation)  # it goes down with its branch, which was cancelled elsewhere
                driver.cancelled(op, effect)
                operation.close()
                raise
            except BaseException as error:
                value, send = error, operation.throw
    except StopIteration as stop:
        return stop.value
    except Exception as error:
        blame(op.turn, error, op.id)
        raise
    finally:
        driver.settle()


class ThreadedBody:
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


class Ended:
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


class Driver:
    """Performs effects on the loop of one turn."""

    def __init__(self, session: Session, loop: DurableLoop) -> None:
        self.session = session
        self.turn = session.turn
        self.loop = loop
        self.director = TurnDirector(session, loop)
        self.coroutines: dict[Branch, BranchCoroutine] = {}
        self._raising: dict[Branch, asyncio.Future[None]] = {}  # set when the branch's cancellation is recorded
        self.forgotten = Forgotten()
        self._flusher: asyncio.Task[None] | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._writing = asyncio.Lock()
        self.ended = False  # the handler has returned or raised

    # -- replay ----------------------------------------------------------------------------------------------------

    def out_of_turn(self, record: Record) -> bool:
        """Whether a recorded result must wait. Results are handed out in journal order, and only when every other task
        waits too: so it was when they came, and code that cancels or counts tasks must find them as they were then."""
        if record.handed_out:
            return False
        return bool(self.loop._ready) or record is not self.turn.journal.next_record() or record.cancelled

    async def turn_of(self, op: Op | None, record: Record) -> None:
        """Waits for its turn; an operation that was cancelled waits for that. No operation: a branch's end."""
        queue = self.director.perishing if record.cancelled else self.director.waiting
        future = self.loop.create_future()
        queue.setdefault(record.id, []).append(future)
        try:
            await future
        except asyncio.CancelledError:
            if op is not None:
                self.cancelled(op)
            raise
        finally:
            queue[record.id].remove(future)
            if not queue[record.id]:
                del queue[record.id]

    async def take(self, op: Op | None, record: Record) -> None:
        if self.out_of_turn(record):
            await self.turn_of(op, record)

    def settle(self) -> None:
        """After each operation: was it the last recorded one?"""
        if not self.director.live and self.turn.journal.over and not self.director.parked:
            self.director.go_live()

    def cancelled(self, op: Op, effect: Effect | None = None) -> None:
        """Native cancellation reached this operation before its result reached the handler. When the handler has ended, that
        only matters of results that are recorded already."""
        if self.turn.closed is None or (self.ended and (effect is None or isinstance(effect, Commit | Deliver | Take))):
            record = op.record
            if record is not None and record.done is not None and (record.raised or not record.handed_out):
                self.turn.journal.hand_out(record)
                self.turn.pass_time(op.scope, max(record.done.at, record.resumed))
            elif not (op.kind == "child" and op.scope.branch.raised):  # a replay is cancelled inside it again
                self.turn.abandon(op)

    # -- cancellation of the execution, and of branches ------------------------------------------------------------

    async def doom(self, op: Op, operation: Operation[Any] | None = None) -> None:
        """Recorded at this operation, then raised in the branch's own task."""
        doom = op.scope.branch.doom
        assert doom is not None
        try:
            if self.turn.replaying and not self.director.live:
                await self._gate()  # what is recorded came before it
            if self.loop.late():  # and so does a timeout that passed while nothing ran
                await self._gate()
            if operation is not None:
                await self.unwind(op, operation)
            await self._record_doom(op)
        finally:
            claim = self._raising[op.scope.branch]
            if not op.scope.branch.raised:  # this operation ended otherwise meanwhile: it is raised at another one
                del self._raising[op.scope.branch]
            if not claim.done():
                claim.set_result(None)
        await self.raise_in_branch(op, error_of(doom))

    async def _record_doom(self, op: Op) -> None:
        recording = raised_at(op)
        value: Any = None
        with contextlib.suppress(StopIteration):
            while True:
                value = await self.perform(op, recording.send(value))

    async def claims(self, op: Op) -> bool:
        """Whether its branch's cancellation is to be raised at this operation: at one only, though others may come to that point
        while it is being recorded. They wait until it is, and then they are as any operation of a cancelled task."""
        while (raising := self._raising.get(op.scope.branch)) is not None:
            await asyncio.shield(raising)
            if not op.scope.branch.doomed:
                return False
        self._raising[op.scope.branch] = self.loop.create_future()
        return True

    async def unwind(self, op: Op, operation: Operation[Any]) -> None:
        """Lets the operation do what it does when it is ended from above."""
        doom = op.scope.branch.doom
        assert doom is not None
        value: Any = error_of(doom)
        send: Callable[[Any], Effect] = operation.throw
        try:
            while True:
                effect = send(value)
                value, send = await self.perform(op, effect), operation.send
        except (StopIteration, ExecutionCancelled, ExecutionTimedOut):
            return

    async def raise_in_branch(self, op: Op, error: BaseException) -> None:
        if isinstance(error, ExecutionCancelled):
            error = AsyncExecutionCancelled(str(error), reason=error.reason)
        blame(op.turn, error, op.id)
        self.coroutines[op.scope.branch].cancel(error)
        await self.struck(error)

    async def struck(self, error: BaseException) -> None:
        """The cancellation that was raised in the branch arrives here, or in the task that waits for this one. Where neither
        can be, in a task that is shielded or that nobody awaits, it is raised when all has come to rest."""
        struck = self.loop.create_future()
        self.director.struck[struck] = error
        try:
            await struck
        finally:
            self.director.struck.pop(struck, None)

    def condemn(self, branch: Branch, doom: Doom) -> None:
        branch.condemn(doom)
        self.director.news()

    # -- effects ---------------------------------------------------------------------------------------------------

    async def perform(self, op: Op, effect: Effect) -> Any:
        if isinstance(effect, Call):
            return await self._call(op, effect)
        if isinstance(effect, Room):
            return await self._room(op, effect.timeout)
        if isinstance(effect, Commit):
            return await self._commit()
        if isinstance(effect, Park):
            return await self._park(op, effect)
        if isinstance(effect, Take):
            return await self.take(op, effect.record)
        if isinstance(effect, Deliver):
            return await self._in_line(self._join_line())
        if isinstance(effect, Inside):
            return await self._inside(effect)
        if isinstance(effect, Fork):
            return await self._fork(op, effect.fan)
        if isinstance(effect, Decide):
            return await self._decide(effect.event)
        if isinstance(effect, Expire):
            return await self._ask(lambda: self.session.expire(effect.key, effect.body))
        if isinstance(effect, Launch):
            return await self._ask(lambda: self.session.launch(effect))
        assert isinstance(effect, Tell)
        return await self._ask(lambda: self.session.tell(effect.id, effect.reason))

    async def _decide(self, decision: Event) -> bool:
        """A decision that stands has its place in the log behind what is written with it."""
        place: asyncio.Future[None] = self.loop.create_future()
        pending: list[Event] = []

        def begin() -> None:
            self.director.line.append(place)
            pending.extend(self.session.take())

        try:
            stands = await self._ask(lambda: self.session.decide(decision, pending), begin)
            if stands:
                await self._in_line(place)
            return stands
        finally:
            place.cancel()

    async def _ask(self, ask: Callable[[], T], begin: Callable[[], None] | None = None) -> T:
        """A request in the middle of a turn, and not while a segment is being written."""
        if self.turn.replaying and not self.director.live:
            await self._gate()
        self.director.go_live()
        if self.session.store.local:
            if begin is not None:
                begin()
            reply = ask()
        else:
            self.director.busy += 1
            try:
                async with self._writing:
                    if self.turn.closed is not None:
                        raise self.turn.closed
                    if begin is not None:
                        begin()
                    reply = await _to_its_end(self.loop.run_in_executor(None, ask))
            finally:
                self.director.busy -= 1
        self.director.news()
        return reply

    async def _inside(self, effect: Inside) -> Any:
        token = current_scope.set(effect.scope)
        try:
            value = effect.fn(*effect.args, **effect.kwargs)
            return await value if isinstance(value, collections.abc.Awaitable) else value
        finally:
            current_scope.reset(token)

    async def _call(self, op: Op, call: Call) -> Any:
        if call.begun:
            self.session.look_at_lease()
        else:
            await self._room(op, call.timeout)
        self.director.busy += 1
        scope, step = current_scope.set(None), running_step.set(call.info)
        asked = _cancellations()
        try:
            if not self.session.hooks:
                return await self._body(call)
            from .hooking import attempt

            with attempt(self.session.hooks, call.info):
                return await self._body(call)
        except BaseException as death:
            if _own(death) and self.turn.closed is None and _cancellations() == asked:
                raise own_cancellation(death) from death
            if not isinstance(death, Exception | asyncio.CancelledError | GeneratorExit) and self.turn.closed is None:
                self.turn.closed = death  # like a death: nothing more is committed, also not by `finally` blocks
            raise
        finally:
            running_step.reset(step)
            current_scope.reset(scope)
            self.director.busy -= 1

    async def _room(self, op: Op, timeout: float | None) -> None:
        if self.turn.replaying and not self.director.live:
            await self._gate()
        self.director.go_live()
        if (
            self.loop.late()
        ):  # a timeout that passed while nothing ran ends this step before its body begins, not by chance
            await self._gate()
        if self.turn.closed is not None:
            raise self.turn.closed
        if self.session.news_are_old:
            await self._ask(self.session.look_for_news)
        if not self.session.read_only:
            self.turn.look_at_deadline()
        if op.scope.branch.doomed and await self.claims(op):
            await self.doom(op)
        self.session.look_at_lease()
        if self.session.must_yield(timeout):
            self.director.yielding = True  # suspends as soon as the bodies of other branches are done
            await self.loop.create_future()

    async def _gate(self) -> None:
        gate = self.loop.create_future()
        self.director.gate.append(gate)
        await gate

    async def _body(self, call: Call) -> Any:
        if call.timeout is None:
            return await self._run(call)
        limit = asyncio.timeout(call.timeout)
        try:
            async with limit:
                return await self._run(call)
        except TimeoutError:
            if not limit.expired():
                raise
            info = call.info
            raise StepTimeout(
                f"attempt {info.attempt} of step {info.name!r} ran longer than {call.timeout:g} s"
            ) from None

    async def _run(self, call: Call) -> Any:
        if call.is_async:
            return await call.fn(*call.args, **call.kwargs)
        body = ThreadedBody(call)
        try:
            value = await asyncio.to_thread(body.run)
        except asyncio.CancelledError:
            body.forget()
            raise
        return await value if asyncio.iscoroutine(value) else value

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

    # -- branches --------------------------------------------------------------------------------------------------

    def start_branch(self, inner: Any, context: contextvars.Context, branch: Branch) -> asyncio.Task[Any]:
        coroutine = BranchCoroutine(inner)
        coroutine.task = task = asyncio.Task(coroutine, loop=self.loop, context=context)
        self.coroutines[branch] = coroutine
        return task

    async def _fork(self, op: Op, fan: Fan) -> None:
        """Until every branch has ended. A native cancellation of the fan reaches its branches natively."""
        running: dict[asyncio.Task[Any], Strand] = {}
        ended = Ended(self.loop)
        branch = op.scope.branch
        try:
            while True:
                if fan.over:
                    for strand in running.values():
                        if strand.status is None and strand.branch is not None:
                            self.condemn(strand.branch, Doom("lost", f"the fan is over: {fan.reason}"))
                            self.director.losers[strand.branch] = partial(self._end_loser, strand.branch)
                while len(running) < fan.width and (strand_ := next_strand(op, fan)) is not None:
                    task = self._start_strand(op, fan, strand_)
                    task.add_done_callback(ended.add)
                    running[task] = strand_
                if not running:
                    break
                for task in sorted(await ended.some(), key=lambda t: running[t].index):
                    self._forget_loser(running[task])
                    self._end_strand(op, fan, running.pop(task), task)
        except BaseException:
            for task in running:
                task.cancel()
            if running and not self.director.closing:
                await asyncio.wait(running)
            raise
        finally:
            for strand in fan.strands:
                self._forget_loser(strand)
                if strand.branch is not None:
                    branch.inner.discard(strand.branch)
        if branch.doomed and not fan.over:
            if await self.claims(op):
                await self.doom(op)
            assert branch.doom is not None
            await self.struck(AsyncExecutionCancelled(str(error_of(branch.doom)), reason=branch.doom.reason))

    def _end_loser(self, branch: Branch) -> None:
        """Natively, where it waits for nothing durable that its end could be raised at."""
        doom = branch.doom
        if branch.doomed and doom is not None:
            branch.raised = True
            error = error_of(doom)
            self.coroutines[branch].cancel(AsyncExecutionCancelled(str(error), reason=doom.reason))

    def _forget_loser(self, strand: Strand) -> None:
        if strand.branch is not None:
            self.director.losers.pop(strand.branch, None)

    def _start_strand(self, op: Op, fan: Fan, strand: Strand) -> asyncio.Task[Any]:
        scope = op.scope.fork(op, strand.component)
        strand.started, strand.branch = True, scope.branch
        if not strand.walk:
            op.scope.branch.inner.add(scope.branch)
            inherit_doom(op, fan, scope.branch)
        context = contextvars.copy_context()
        context.run(current_scope.set, scope)
        return self.start_branch(self._strand(strand), context, scope.branch)

    async def _strand(self, strand: Strand) -> Any:
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
            await self.take(None, strand.record)

    def _end_strand(self, op: Op, fan: Fan, strand: Strand, task: asyncio.Task[Any]) -> None:
        error: BaseException | None
        value: Any = None
        try:
            value, error = task.result(), None
        except BaseException as raised:
            error = raised
        if error is not None and not isinstance(error, Exception | asyncio.CancelledError):
            raise error
        if error is not None and self._unasked(strand, error):
            error = own_cancellation(error)
        if error is not None and strand.branch is not None:
            self.forgotten.ended(strand.branch)
        if strand.walk:
            strand_walked(op, strand, value, error if isinstance(error, Exception) else None)
            if strand.record is not None:
                self.turn.journal.skip(strand.record)
        elif fan.over or isinstance(error, asyncio.CancelledError):
            fan.end(strand, "CANCELLED")
        else:
            value, failure = strand_ended(op, strand, value, error)
            fan.end(strand, "FAILED" if failure else "SUCCEEDED", value, failure)

    def _unasked(self, strand: Strand, error: BaseException) -> bool:
        """A branch that ends itself by a native cancellation has failed."""
        branch = strand.branch
        return _own(error) and (branch is None or branch.doom is None)

    # -- commits ---------------------------------------------------------------------------------------------------

    async def _commit(self) -> None:
        """Returns when all that is pending now is durable. Branches that come together share a segment."""
        place = self._join_line()
        try:
            await self._write()
        except BaseException:
            place.cancel()
            raise
        await self._in_line(place)

    def _join_line(self) -> asyncio.Future[None]:
        """The place of a result that is recorded now. Live results reach the handler in the order of the log, each when
        what the one before set off has come to rest: that is how a replay hands them out."""
        place = self.loop.create_future()
        self.director.line.append(place)
        return place

    async def _in_line(self, place: asyncio.Future[None]) -> None:
        """Until it is its turn. With nobody before it and nothing else that could run, that is now."""
        self.director.arrived.add(place)
        try:
            if self.director.first_in_line(place) and not self.loop._ready:
                return
            await place
        finally:
            place.cancel()
            self.director.arrived.discard(place)

    async def rest(self) -> None:
        """Until nothing is being written: the same journal must not be written from two sides."""
        if self._flusher is not None:
            await asyncio.wait([self._flusher])
        async with self._writing:
            pass

    async def _write(self) -> None:
        local = self.session.store.local
        if local and not self._waiters and not self.loop._ready:
            self.session.commit()
            return
        waiter = self.loop.create_future()
        self._waiters.append(waiter)
        if local:
            if len(self._waiters) == 1:
                self.loop.call_soon(self._write_here)  # after those that can run now
        elif self._flusher is None:
            self._flusher = contextvars.Context().run(self.loop.create_task, self._flush())
        await waiter

    def _write_here(self) -> None:
        """An embedded journal is written in this thread."""
        waiters, self._waiters = self._waiters, []
        try:
            self.session.commit()
        except BaseException as error:
            _settle(waiters, error)
        else:
            _settle(waiters, None)

    async def _flush(self) -> None:
        """One append in flight at a time; what becomes pending meanwhile makes the next segment."""
        self.director.busy += 1
        try:
            while self._waiters:
                waiters: list[asyncio.Future[None]] = []
                try:
                    async with (
                        self._writing
                    ):  # and then taken: a decision that is written before takes what was before it
                        waiters, self._waiters = self._waiters, []
                        if self.turn.closed is not None:
                            raise self.turn.closed
                        batch = self.session.take()
                        await _to_its_end(self.loop.run_in_executor(None, self.session.write, batch))
                except BaseException as error:
                    _settle(waiters, error)
                else:
                    _settle(waiters, None)
        finally:
            self.director.busy -= 1
            self._flusher = None


async def _to_its_end(request: asyncio.Future[T]) -> T:
    """A task may be cancelled while it waits for a request in another thread; the request cannot. Nobody may write meanwhile."""
    try:
        return await asyncio.shield(request)
    except asyncio.CancelledError:
        while not request.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([request])
        raise


def _own(error: BaseException) -> bool:
    """Whether it is a native cancellation, and none of ours."""
    return isinstance(error, asyncio.CancelledError) and not isinstance(error, ExecutionCancelled)


def _cancellations() -> int:
    """How often this task was asked to end, as far as it knows of it: a request that is on its way counts when it arrives."""
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling() - bool(getattr(task, "_must_cancel", False))


def _settle(waiters: list[asyncio.Future[None]], error: BaseException | None) -> None:
    for waiter in waiters:
        if not waiter.done():
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)


# -- running a handler ---------------------------------------------------------------------------------------------

_loops = threading.local()


Handler = Callable[[Driver], Any]


def execute(session: Session, handler: Handler) -> Any:
    """The handler's return value, or what it raised. Also from a thread that already runs a loop of its own."""
    if not _in_loop():
        return _run(session, handler)
    with ThreadPoolExecutor(1, "durable_fn") as pool:  # a loop cannot run inside another one
        return pool.submit(contextvars.copy_context().run, _run, session, handler).result()


def _in_loop() -> bool:
    """Apart, so that the handler does not run inside an `except`: its own errors would show that one as their context."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _run(session: Session, handler: Handler) -> Any:
    loop = _loop()
    driver = Driver(session, loop)
    turn = session.turn
    inside = contextvars.copy_context()
    inside.run(current_scope.set, turn.root)
    loop.enter(driver.director)
    driver.settle()
    try:
        main = driver.start_branch(handler(driver), inside, turn.branch)
        driver.director.give_up = driver.coroutines[turn.branch].cancel
        value = loop.run_until_complete(main)
    except Exception:
        if turn.closed is None:
            driver.forgotten.failed(loop)
        raise
    else:
        if turn.closed is None:
            driver.forgotten.check(loop)
        return value
    finally:
        _close(loop, driver)
        loop.leave()


def _close(loop: DurableLoop, driver: Driver) -> None:
    """Cancels what is left of a turn, so that `async with` blocks of the handler clean up; whoever still waits for
    something then is dropped."""
    if not asyncio.all_tasks(loop):
        return
    turn, reason = driver.turn, driver.turn.closed
    if reason is None:
        turn.closed = RuntimeError(
            f"a task of execution {turn.header.id!r} made a durable call after the handler returned; await the task, or "
            "use asyncio.TaskGroup"
        )
        driver.ended = True
        if not driver.session.store.local:
            _rest(loop, driver)
    driver.director.closing = True
    for task in asyncio.all_tasks(loop):
        task.cancel()
    try:
        loop.run_until_complete(asyncio.gather(*asyncio.all_tasks(loop), return_exceptions=True))
    except BaseException:
        for task in asyncio.all_tasks(loop):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
    finally:
        turn.closed = reason
        driver.ended = False


def _rest(loop: DurableLoop, driver: Driver) -> None:
    """What ends this turn meanwhile is found out by the next request."""
    with contextlib.suppress(BaseException):
        loop.run_until_complete(loop.create_task(driver.rest(), context=contextvars.Context()))


def _loop() -> DurableLoop:
    loop: DurableLoop | None = getattr(_loops, "loop", None)
    if loop is None or loop.is_closed():
        loop = _loops.loop = DurableLoop()
    return loop
