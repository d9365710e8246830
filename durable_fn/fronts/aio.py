"""`async def` handlers: operations are driven on an event loop of ours; native tasks, groups and timeouts work."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, ParamSpec, TypeVar, overload

from ..core.current import current_scope, running_step
from ..core.durations import milliseconds, moment
from ..core.effects import Call, Commit, Effect, Operation
from ..core.events import component
from ..core.journal import Record
from ..core.operations.sleep import sleep as sleep_operation
from ..core.operations.step import step as step_operation
from ..core.scope import Op
from ..core.steps import plan_of
from ..errors import StepTimeout
from ..types import Duration, LambdaContext
from .context import BaseContext
from .director import TurnDirector
from .loop import DurableLoop, inline
from .session import Session

P = ParamSpec("P")
T = TypeVar("T")


class AsyncDurableContext(BaseContext):
    """Handed to `async def` handlers. An operation id is assigned when the method is CALLED, in program order.

    A method returns a coroutine: await it once, or hand it to gather / TaskGroup / create_task. No await for what does no
    I/O: now, uuid4, random. A durable call inside a step body raises RuntimeError.
    """

    def __init__(self, driver: Driver, lambda_context: LambdaContext) -> None:
        super().__init__(driver.session.turn, lambda_context)
        self._driver = driver

    @overload
    def step(
        self, fn: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[object, None, T]: ...
    @overload
    def step(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[object, None, T]: ...
    def step(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Coroutine[object, None, Any]:
        """Runs `fn(*args, **kwargs)` once, durably: when this returns, the result is stored and the body never runs again.

        `fn` may be `async def` or `def`; a `def` runs in a worker thread (contextvars are copied), so it does not block
        the loop. Options travel with the function (`@step(...)` or `step(fn, name=...)`). The value went through
        encode/decode, so mutations and identity are lost, the types stay. Raises StepError, StepTimeout, StepInterrupted,
        a class named in `raises=`, SerializationError. The arguments are not recorded.
        """
        plan = plan_of(fn)
        op = self._scope("step").enter("step", plan.component)
        return drive(self._driver, op, step_operation(op, plan, fn, args, kwargs))

    def sleep(self, duration: Duration, *, name: str | None = None) -> Coroutine[object, None, None]:
        """Seconds or timedelta. Suspends, unless it is short (about a second)."""
        delay = milliseconds(duration, "the duration of ctx.sleep")
        op = self._scope("sleep").enter("sleep", component(name or "sleep"))
        return drive(self._driver, op, sleep_operation(op, self._turn.time() + delay))

    def sleep_until(self, when: datetime, *, name: str | None = None) -> Coroutine[object, None, None]:
        """ValueError for a naive datetime; a past one returns at once."""
        due = moment(when, "the time of ctx.sleep_until")
        op = self._scope("sleep_until").enter("sleep", component(name or "sleep_until"))
        return drive(self._driver, op, sleep_operation(op, due))


@inline
async def drive(driver: Driver, op: Op, operation: Operation[Any]) -> Any:
    """Performs an operation's effects. A replayed one has none, and ends at the first `send`."""
    send: Callable[[Any], Effect] = operation.send
    value: Any = None
    try:
        record = op.record
        if record is not None and record.done is not None and driver.out_of_turn(record):
            await driver.turn_of(op, record)
        while True:
            effect = send(value)
            send = operation.send
            try:
                value = await driver.perform(effect)
            except asyncio.CancelledError:
                driver.cancelled(op)
                operation.close()
                raise
            except BaseException as error:
                value, send = error, operation.throw
    except StopIteration as stop:
        return stop.value
    finally:
        driver.settle()


class Driver:
    """Performs effects on the loop of one turn."""

    def __init__(self, session: Session, loop: DurableLoop) -> None:
        self.session = session
        self.turn = session.turn
        self.loop = loop
        self.director = TurnDirector(session)
        self._flusher: asyncio.Task[None] | None = None
        self._waiters: list[asyncio.Future[None]] = []

    def out_of_turn(self, record: Record) -> bool:
        """Whether a recorded result must wait. Results are handed out in journal order, and only when every other task
        waits too: so it was when they came, and code that cancels or counts tasks must find them as they were then."""
        return bool(self.loop._ready) or record is not self.turn.journal.next_record() or record.cancelled

    async def turn_of(self, op: Op, record: Record) -> None:
        """Waits for its turn; an operation that was cancelled waits for that."""
        queue = self.director.perishing if record.cancelled else self.director.waiting
        queue[record.id] = future = self.loop.create_future()
        try:
            await future
        except asyncio.CancelledError:
            self.cancelled(op)
            raise
        finally:
            del queue[record.id]

    async def perform(self, effect: Effect) -> Any:
        if isinstance(effect, Call):
            return await self._call(effect)
        if isinstance(effect, Commit):
            return await self._commit()
        return await self._park(effect.due)

    def settle(self) -> None:
        """After each operation: was it the last recorded one?"""
        if not self.director.live and self.turn.journal.over and not self.director.parked:
            self.director.go_live()

    def cancelled(self, op: Op) -> None:
        """Native cancellation reached this operation before its result reached the handler."""
        if self.turn.closed is None:
            if op.record is not None and op.record.done is not None:
                self.turn.journal.discard(op.record)
            else:
                self.turn.abandon(op)

    # -- effects ---------------------------------------------------------------------------------------------------

    async def _call(self, call: Call) -> Any:
        if self.turn.replaying and not self.director.live:
            await self._gate()
        self.director.go_live()
        if (
            self.loop.late()
        ):  # a timeout that passed while nothing ran ends this step before its body begins, not by chance
            await self._gate()
        if self.turn.closed is not None:
            raise self.turn.closed
        self.session.look_at_lease()
        if self.session.must_yield(call.timeout):
            self.director.yielding = True  # suspends as soon as the bodies of other branches are done
            await self.loop.create_future()
        self.director.busy += 1
        scope, step = current_scope.set(None), running_step.set(call.info)
        try:
            return await self._body(call)
        finally:
            running_step.reset(step)
            current_scope.reset(scope)
            self.director.busy -= 1

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
        return await asyncio.to_thread(call.fn, *call.args, **call.kwargs)

    async def _park(self, due: int) -> None:
        if due <= self.session.clock.now() and not self.loop._ready:
            return
        future = self.loop.create_future()
        self.director.parked[future] = due
        try:
            await future
        finally:
            del self.director.parked[future]

    # -- commits ---------------------------------------------------------------------------------------------------

    async def _commit(self) -> None:
        """Returns when all that is pending now is durable. Branches that come together share a segment."""
        if self.session.store.local:
            self.session.commit()
            return
        waiter = self.loop.create_future()
        self._waiters.append(waiter)
        if self._flusher is None:
            self._flusher = contextvars.Context().run(self.loop.create_task, self._flush())
        await waiter

    async def _flush(self) -> None:
        """One append in flight at a time; what becomes pending meanwhile makes the next segment."""
        self.director.busy += 1
        try:
            while self._waiters:
                batch, waiters = self.session.take(), self._waiters
                self._waiters = []
                try:
                    if self.turn.closed is not None:
                        raise self.turn.closed
                    await self.loop.run_in_executor(None, self.session.write, batch)
                except BaseException as error:
                    _settle(waiters, error)
                else:
                    _settle(waiters, None)
        finally:
            self.director.busy -= 1
            self._flusher = None


def _settle(waiters: list[asyncio.Future[None]], error: BaseException | None) -> None:
    for waiter in waiters:
        if not waiter.done():
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)


# -- running a handler ---------------------------------------------------------------------------------------------

_loops = threading.local()


def run(session: Session, handler: Callable[[Any, Any], Any], event: Any, lambda_context: LambdaContext) -> Any:
    """The handler's return value, or what it raised. Also from a thread that already runs a loop of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run(session, handler, event, lambda_context)
    with ThreadPoolExecutor(1, "durable_fn") as pool:  # a loop cannot run inside another one
        return pool.submit(_run, session, handler, event, lambda_context).result()


def _run(session: Session, handler: Callable[[Any, Any], Any], event: Any, lambda_context: LambdaContext) -> Any:
    loop = _loop()
    driver = Driver(session, loop)
    context = AsyncDurableContext(driver, lambda_context)
    turn = session.turn
    inside = contextvars.copy_context()
    inside.run(current_scope.set, turn.root)
    loop.enter(driver.director)
    driver.settle()
    try:
        main = _start(loop, handler(event, context), inside)
        return loop.run_until_complete(main)
    finally:
        _close(loop, driver)
        loop.leave()


def _start(loop: DurableLoop, coroutine: Any, inside: contextvars.Context) -> asyncio.Task[Any]:
    """The handler's own task keeps the root scope."""
    return asyncio.Task(coroutine, loop=loop, context=inside)


def _close(loop: DurableLoop, driver: Driver) -> None:
    """Cancels what is left of a turn, so that `async with` blocks of the handler clean up; whoever still waits for
    something then is dropped."""
    tasks = asyncio.all_tasks(loop)
    if not tasks:
        return
    turn, reason = driver.turn, driver.turn.closed
    if reason is None:
        turn.closed = RuntimeError(
            f"a task of execution {turn.header.id!r} made a durable call after the handler returned; await the task, or "
            "use asyncio.TaskGroup"
        )
    driver.director.closing = True
    for task in tasks:
        task.cancel()
    try:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    except BaseException:
        for task in asyncio.all_tasks(loop):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
    finally:
        turn.closed = reason


def _loop() -> DurableLoop:
    loop: DurableLoop | None = getattr(_loops, "loop", None)
    if loop is None or loop.is_closed():
        loop = _loops.loop = DurableLoop()
    return loop
