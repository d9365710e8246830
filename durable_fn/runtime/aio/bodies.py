"""Step bodies and requests of an async turn. They wait at the gate: none begins before the replay is over, or while a crash
could still change the order of the lines that led to it. So no effect follows from a decision that can be revoked."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import contextvars
import inspect
import itertools
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from ...core.current import running_arguments, running_step
from ...core.effects import Call, CheckTime, Effect, Expire, Launch, Post, Tell
from ...core.turn import Progress
from ...errors import StepTimeout
from ...log.events import is_keyed
from ...log.failures import own_cancellation
from ..activity import MOST_HELPERS
from ..session import Session
from .native import is_foreign

if TYPE_CHECKING:
    from .commits import Commits
    from .loop import DurableLoop
    from .waiting import Waiter


Request = Launch | Expire | Post | Tell


class Gatekeeper(Protocol):
    """What decides when bodies may begin, and takes their outcomes: `pump.py`."""

    session: Session
    loop: DurableLoop
    commits: Commits
    over: bool

    def stir(self, work: Callable[[], object]) -> None: ...
    def die(self, death: BaseException) -> None: ...


class Bodies:
    """The bodies of one turn. `yielding`: too little Lambda time is left for another one."""

    def __init__(self, pump: Gatekeeper) -> None:
        self._pump = pump
        self._session = pump.session
        self._gate: dict[Waiter, Effect] = {}
        self._for_threads: collections.OrderedDict[Waiter, Effect] = (
            collections.OrderedDict()
        )  # operations whose body waits for a free thread
        self._farewells: list[tuple[Waiter, Request]] = []  # last requests of operations that the handler left
        self.running: dict[Waiter, asyncio.Task[Any]] = {}
        self.leaving = 0  # operations that the handler left and that have not made their last request
        self._after: list[Callable[[], None]] = []
        self._unwinding: dict[asyncio.Task[Any], Waiter] = {}  # bodies whose operation the handler left
        self._threaded: set[Waiter] = set()  # operations whose body runs in a thread
        self._threads = 0  # threads with bodies whose outcome somebody waits for
        self.yielding = False
        self.starting = False  # a body runs up to its first wait

    def queue(self, operation: Waiter, effect: Effect) -> None:
        if operation.gone:
            assert isinstance(effect, Request)
            self._farewells.append((operation, effect))
        else:
            self._gate[operation] = effect

    @property
    def waiting(self) -> bool:
        return bool(self._gate or self._for_threads or self._farewells)

    def waiting_operations(self) -> list[Waiter]:
        return [*self._for_threads, *self._gate]

    def operations(self) -> list[Waiter]:
        """The operations that wait at the gate, and those whose body runs."""
        return [*self.waiting_operations(), *self.running]

    @property
    def has_place(self) -> bool:
        """Whether an operation that waits has no key, and none around it has one: it is identified by its place in the code."""
        return any(not is_keyed(operation.op.id) for operation in itertools.chain(self._for_threads, self._gate))

    @property
    def takes_leave(self) -> bool:
        """Whether an operation that the handler left has still to make its last request."""
        return bool(self._farewells)

    def when_left(self, then: Callable[[], None]) -> None:
        """Calls `then` once every operation that the handler left has made its last request: the end of its branch implies
        that."""
        if self.leaving:
            self._after.append(then)
        else:
            then()

    def has_left(self) -> None:
        self.leaving -= 1
        while self._after and not self.leaving:
            self._after.pop(0)()

    def say_farewell(self) -> bool:
        """Makes the next of these last requests. False: it cannot begin now."""
        return self._request(*self._farewells.pop(0)) if not self._pump.commits.busy else False

    @property
    def at_work(self) -> bool:
        return bool(self.running or self._unwinding)

    @property
    def unwinding(self) -> list[str]:
        """Operations that the handler left, and whose body is a coroutine that has not ended. Threads are not among them,
        because nothing can end a thread."""
        return [operation.op.id for operation in self._unwinding.values() if operation not in self._threaded]

    def may_share(self) -> bool:
        """Whether bodies run that may end in this round of the loop."""
        return bool(self.running)

    def drop(self, operation: Waiter) -> None:
        """The handler left this operation: its body unwinds in the background, and its result is dropped."""
        self._gate.pop(operation, None)
        self._for_threads.pop(operation, None)
        body = self.running.pop(operation, None)
        if body is not None:
            self._unwinding[body] = operation
            body.cancel()

    def left(self) -> list[asyncio.Task[Any]]:
        """Bodies that still run when the turn is over."""
        return [*self.running.values()]

    # -- the gate --------------------------------------------------------------------------------------------------

    def open(self) -> bool:
        """Begins the bodies and requests that wait. False: nothing could begin now."""
        if self._farewells:
            return self.say_farewell()
        if self._unwinding:
            return False
        gate, self._gate = collections.deque(self._gate.items()), {}
        if self._for_threads:
            gate.extendleft(reversed(self._with_a_thread()))
        later: dict[Waiter, Effect] = {}
        began = False
        while gate and not self._pump.over:
            operation, effect = gate.popleft()
            if self._waits_for_a_thread(effect):
                self._for_threads[operation] = effect
            elif not (self.yielding and self._is_put_off(effect)) and self._begin(operation, effect):
                began = True
            else:
                later[operation] = effect
                if isinstance(effect, Request):  # another one is under way
                    break
        if later or gate:
            self._gate = {**later, **dict(gate), **self._gate}
        return began

    def _with_a_thread(self) -> list[tuple[Waiter, Effect]]:
        """The operations that waited for a thread and get one now, in order."""
        free = min(self._most_threads - self._threads, len(self._for_threads))
        return [self._for_threads.popitem(last=False) for _ in range(free)]

    def _waits_for_a_thread(self, effect: Effect) -> bool:
        """Whether it has to wait for a thread. Its timeout counts from when it gets one."""
        return isinstance(effect, Call) and not effect.is_async and self._threads >= self._most_threads

    @property
    def _most_threads(self) -> int:
        return 1 if self._session.activity.in_order else MOST_HELPERS

    def _is_put_off(self, effect: Effect) -> bool:
        """Whether it has to wait for the next invocation, where too little time is left. A body whose marker is written
        already does not."""
        return isinstance(effect, Call | CheckTime) and not (isinstance(effect, Call) and effect.begun)

    def _begin(self, operation: Waiter, effect: Effect) -> bool:
        """False: not now."""
        if isinstance(effect, Request):
            return self._request(operation, effect)
        assert isinstance(effect, Call | CheckTime)
        if not self._session.admits(effect.timeout, begun=isinstance(effect, Call) and effect.begun):
            self.yielding = True  # too little Lambda time is left: no other body begins in this turn
            return False
        if isinstance(effect, CheckTime):
            operation.resume()
        else:
            self._start(operation, effect)
        return True

    def _request(self, operation: Waiter, effect: Request) -> bool:
        if self._pump.commits.busy:
            return False
        session = self._session
        if not isinstance(effect, Expire):
            session.turn.made(Progress.ACTED)
        if isinstance(effect, Launch):
            ask: Any = partial(session.launch, effect)
        elif isinstance(effect, Expire):
            ask = partial(session.expire, effect.key, effect.body)
        elif isinstance(effect, Post):
            ask = partial(session.post, effect)
        else:
            ask = partial(session.tell, effect.id, effect.reason)
        self._pump.commits.ask(ask, operation.answer())
        return True

    # -- bodies ----------------------------------------------------------------------------------------------------

    def _start(self, operation: Waiter, call: Call) -> None:
        assert operation.context is not None
        loop = self._pump.loop
        self._session.turn.made(Progress.ACTED)
        self.starting = True
        body = loop.start_task(self._attempt(operation, call), operation.context.copy())
        self.starting = False
        if body.done():
            self._take(operation, *body.result())
        else:
            self.running[operation] = body
            if not call.is_async:
                self._threaded.add(operation)
            body.add_done_callback(partial(self._ended, operation), context=loop.engine)

    async def _attempt(self, operation: Waiter, call: Call) -> tuple[Any, BaseException | None]:
        """What the body returned, or raised. It is returned as a value, because a task cannot end with StopIteration,
        SystemExit or KeyboardInterrupt."""
        running_step.set(call.info)
        running_arguments.set((call.args, call.kwargs))
        try:
            if not self._session.hooks:
                if call.is_async and call.timeout is None:  # the usual case, without two more coroutines
                    return await call.fn(*call.args, **call.kwargs), None
                return await self._in_time(operation, call)
            from ..hooking import attempt

            with attempt(self._session.hooks, call.info):
                value, stop = await self._in_time(operation, call)
                if stop is not None:
                    raise stop
                return value, None
        except GeneratorExit:
            raise
        except BaseException as error:
            return None, error

    async def _in_time(self, operation: Waiter, call: Call) -> tuple[Any, StopIteration | None]:
        if call.timeout is None:
            return await self._run(operation, call)
        limit = asyncio.timeout(call.timeout)
        try:
            async with limit:
                return await self._run(operation, call)
        except TimeoutError:
            if not limit.expired():
                raise
            info = call.info
            raise StepTimeout(
                f"attempt {info.attempt} of step {info.name!r} ran longer than {call.timeout:g} s"
            ) from None

    async def _run(self, operation: Waiter, call: Call) -> tuple[Any, StopIteration | None]:
        """What the body returned, or the StopIteration that it raised, because no coroutine can raise that."""
        if call.is_async:
            return await call.fn(*call.args, **call.kwargs), None
        body = _ThreadedBody(call)
        self._threads += 1
        try:
            await self._in_thread(operation, body)
        finally:
            self._threads -= 1
        if isinstance(body.error, StopIteration):
            return None, body.error
        value = body.outcome()
        return (await value if inspect.iscoroutine(value) else value), None

    async def _in_thread(self, operation: Waiter, body: _ThreadedBody) -> None:
        thread = self._pump.loop.in_thread(contextvars.copy_context().run, body.run)
        try:
            await asyncio.shield(thread)
        except asyncio.CancelledError:
            body.forget()
            if operation.gone:  # nothing can end a thread, and no other body begins before it has ended
                await asyncio.wait([thread])
            raise

    def _ended(self, operation: Waiter, body: asyncio.Task[Any]) -> None:
        dropped = self.running.pop(operation, None) is None
        self._unwinding.pop(body, None)
        self._threaded.discard(operation)
        value, error = (None, asyncio.CancelledError()) if body.cancelled() else body.result()
        self._pump.stir(partial(self._take, operation, value, error, dropped=dropped))

    def _take(self, operation: Waiter, value: Any, error: BaseException | None, *, dropped: bool = False) -> None:
        """Takes a body's outcome. A native cancellation that nobody requested is a failure of the body."""
        if error is not None and not isinstance(error, Exception | asyncio.CancelledError):
            self._pump.die(error)
        elif not dropped:
            operation.resume(value, own_cancellation(error) if error is not None and is_foreign(error) else error)


class _ThreadedBody:
    """A `def` body in a thread, whose coroutine, if it returns one, somebody awaits or closes."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._made: list[Any] = []
        self.error: BaseException | None = None
        self._forgotten = False

    def run(self) -> None:
        """Keeps what the body raises, because a future cannot hold StopIteration."""
        try:
            value = self._call.fn(*self._call.args, **self._call.kwargs)
        except BaseException as error:
            self.error = error
            return
        self._made.append(value)
        if self._forgotten:
            self.forget()

    def outcome(self) -> Any:
        if self.error is not None:
            raise self.error
        return self._made.pop()

    def forget(self) -> None:
        """Nobody waits for the body any more. The thread may have ended already, or not."""
        self._forgotten = True
        with contextlib.suppress(IndexError):
            value = self._made.pop()
            if inspect.iscoroutine(value):
                value.close()
