"""The event loop of async handlers: the standard one, except for what belongs to the handler.

A callback, timer, task or future is the handler's if it was made where a scope of the turn is current. The handler's callbacks
never enter the base loop's queue: they go to the turn's own, so that "the handler rests" is exact. Its timers are durable.
Everything else (step bodies, clients) is plain asyncio: real time, real sockets. Each thread has one loop for all its
invocations, so that clients made at module level keep working.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
import zlib
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from types import CodeType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, TypeVarTuple

from ...core.current import current_scope
from .native import is_asyncio

if TYPE_CHECKING:
    from ...core.scope import Scope
    from ...core.turn import Turn

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

MOST_THREADS: Final = 10_000
"""The most threads for bodies, including bodies that were given up and hang; a thread is made only when none is free."""
INLINE: set[CodeType] = set()
"""Code of our own operation coroutines: a task around one of them is not a branch and takes no scope."""


def inline(fn: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Marks a coroutine function of ours as one operation, not a branch."""
    INLINE.add(fn.__code__)
    return fn


def number(scope: Scope) -> int:
    """A number for the task or future that the handler makes next, by its place in the program: the same in every process."""
    scope.made += 1
    return zlib.crc32(f"{scope.path}\0{scope.made}".encode())


class HandlerTask(asyncio.Task[T]):
    """Its hash is its place in the program, so that sets of tasks (a TaskGroup's, `asyncio.wait`'s) have one order in every
    process."""

    def __init__(self, coro: Any, *, scope: Scope, **kwargs: Any) -> None:
        self.number = number(scope)
        self.turn = scope.turn
        super().__init__(coro, **kwargs)

    def __hash__(self) -> int:
        return self.number


class HandlerFuture(asyncio.Future[T]):
    """As `HandlerTask`: `asyncio.shield` and the like return futures, which end up in sets, too."""

    def __init__(self, number: int, loop: asyncio.AbstractEventLoop) -> None:
        self.number = number
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self.number


def _hash_of_gathered(future: Any) -> int:
    """`asyncio.gather` makes its future by itself: the hash comes from what it gathers."""
    return hash(tuple(map(hash, future._children)))


asyncio.tasks._GatheringFuture.__hash__ = _hash_of_gathered  # type: ignore[attr-defined]


class Handled(Protocol):
    """The turn that runs on a loop: `pump.py`."""

    turn: Turn
    over: bool

    def wake(self, handle: asyncio.Handle) -> None: ...
    def set_timer(
        self, scope: Scope, when: float, callback: Callable[..., object], args: Any, context: contextvars.Context | None
    ) -> asyncio.TimerHandle: ...
    def call_in_thread(self, scope: Scope, inner: asyncio.Future[T]) -> asyncio.Future[T]: ...


class DurableLoop(asyncio.SelectorEventLoop):
    """`pump`: of the turn that runs, or None between turns."""

    def __init__(self) -> None:
        self.pump: Handled | None = None
        self._starting: list[asyncio.Handle] | None = None  # the first step of a task that is being made
        self.threads = 0  # calls in executors that have not ended
        self.engine = contextvars.Context()  # the context of the SDK's own callbacks
        self._bodies: Executor | None = None
        self._journal: Executor | None = None
        super().__init__()

    def scope_of(self, context: contextvars.Context | None) -> Scope | None:
        """The handler's scope that a context belongs to; None for what is not the handler's."""
        pump = self.pump
        if pump is None:
            return None
        scope = current_scope.get() if context is None else context.get(current_scope)
        return scope if scope is not None and scope.turn is pump.turn else None

    # -- the handler's callbacks, timers, tasks and futures ---------------------------------------------------------

    def time(self) -> float:
        """In handler code: seconds of journal time since the execution started. It does not advance between two entries of the
        log."""
        scope = self.scope_of(None)
        if scope is None:
            return super().time()
        turn = scope.turn
        if not is_asyncio(sys._getframe(1)):  # asyncio only sets timers by it, and these are durable
            turn.look_at_time()
        return (turn.at - turn.started) / 1000

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        pump = self.pump
        if pump is not None:  # `scope_of`, inlined: this runs for every step of every task
            scope = current_scope.get() if context is None else context.get(current_scope)
            if scope is not None and scope.turn is pump.turn:
                handle = asyncio.Handle(callback, args, self, context)
                pump.wake(handle)
                return handle
            if self._starting is not None:
                handle = asyncio.Handle(callback, args, self, context)
                self._starting.append(handle)
                return handle
        return super().call_soon(callback, *args, context=context)

    def start_task(self, coroutine: Any, context: contextvars.Context) -> asyncio.Task[Any]:
        """Starts a task and runs it up to its first wait, without a round of the loop: most tasks are done then."""
        starting: list[asyncio.Handle] = []
        self._starting = starting
        try:
            task = asyncio.Task(coroutine, loop=self, context=context)
        finally:
            self._starting = None
        for handle in starting:
            handle._run()
        return task

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        if threading.get_ident() == getattr(self, "_thread_id", None) and self.scope_of(context) is not None:
            return self.call_soon(callback, *args, context=context)
        return super().call_soon_threadsafe(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        scope = self.scope_of(context)
        if scope is None:
            return super().call_at(when, callback, *args, context=context)
        assert self.pump is not None
        if self.pump.over:
            return super().call_at(super().time() + when - self.time(), callback, *args, context=context)
        return self.pump.set_timer(scope, when, callback, args, context)

    def create_future(self) -> asyncio.Future[Any]:
        scope = self.scope_of(None)
        return super().create_future() if scope is None else HandlerFuture(number(scope), self)

    def create_task(self, coro: Any, *, name: Any = None, context: Any = None, **kwargs: Any) -> asyncio.Task[Any]:
        """A task that handler code starts runs in a child scope, numbered in the order of creation."""
        scope = self.scope_of(context)
        if scope is None:
            return super().create_task(coro, name=name, context=context, **kwargs)
        inside = contextvars.copy_context() if context is None else context.copy()
        if getattr(coro, "cr_code", None) not in INLINE and not _waits_for(coro):
            inside.run(current_scope.set, scope.task())
        if sys.version_info >= (3, 12) and self.get_task_factory() is asyncio.eager_task_factory:
            kwargs["eager_start"] = True
        return HandlerTask(coro, scope=scope, loop=self, name=name, context=inside, **kwargs)

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        scope = self.scope_of(None)
        outside = contextvars.Context()  # the future is not the handler's
        future = outside.run(super().run_in_executor, executor, func, *args)
        self.threads += 1
        future.add_done_callback(self._thread_done, context=self.engine)
        if scope is None or self.pump is None or self.pump.over:
            return future
        return self.pump.call_in_thread(scope, future)

    def in_thread(self, fn: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Runs a `def` body in a thread. There is no limit here: the caller limits how many begin, and a body that hangs does
        not block others."""
        if self._bodies is None:
            self._bodies = ThreadPoolExecutor(MOST_THREADS, "durable_fn body")
        return super().run_in_executor(self._bodies, fn, *args)

    def for_journal(self, fn: Callable[[], T]) -> asyncio.Future[T]:
        """Runs a write or a request in a thread that is used for nothing else."""
        if self._journal is None:
            self._journal = ThreadPoolExecutor(1, "durable_fn journal")
        return super().run_in_executor(self._journal, fn)

    def own_threads(self) -> set[threading.Thread]:
        """The threads of the loop's executors. None of them calls the handler by itself."""
        executors: list[Any] = [self._bodies, self._journal, self._default_executor]  # type: ignore[attr-defined]
        return {thread for executor in executors if executor is not None for thread in executor._threads}

    def close(self) -> None:
        for executor in (self._bodies, self._journal):
            if executor is not None:
                executor.shutdown(wait=False)
        super().close()

    def _thread_done(self, future: asyncio.Future[Any]) -> None:
        self.threads -= 1

    def _asyncgen_finalizer_hook(self, agen: Any) -> None:
        """The garbage collector decides when this runs, so it must not run as part of the handler."""
        self._asyncgens.discard(agen)  # type: ignore[attr-defined]
        if not self.is_closed():
            over = self.pump is None or self.pump.over
            super().call_soon_threadsafe(self._close_generator, agen, over, context=self.engine)

    def _close_generator(self, agen: Any, over: bool) -> None:
        """`over`: the end of a turn cut the generator off, and a replay makes a new one."""
        closing = self.create_task(agen.aclose())
        if over:
            closing.add_done_callback(lambda task: task.cancelled() or task.exception())  # logs no error

    # -- ours ------------------------------------------------------------------------------------------------------

    def ours(self, callback: Callable[[*Ts], object], *args: *Ts) -> None:
        """Calls back in the base loop, after the callbacks that can run now."""
        super().call_soon(callback, *args, context=self.engine)

    def ours_later(self, seconds: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        return super().call_at(super().time() + max(0.0, seconds), callback, context=self.engine)

    def real_time(self) -> float:
        return super().time()

    def plain_future(self) -> asyncio.Future[Any]:
        """A future that never gets into a set of the handler's."""
        return asyncio.Future(loop=self)

    @property
    def expects_something(self) -> bool:
        """Whether a socket, a pipe or a call in another thread may bring something. One descriptor is the loop's own."""
        return self.threads > 0 or len(self._selector.get_map()) > 1  # type: ignore[attr-defined]

    @property
    def is_idle(self) -> bool:
        """Whether no other callback of the base loop can run now. The base loop's queue is `_ready`."""
        return not self._ready  # type: ignore[attr-defined]

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Does not log tasks that a suspension, a fence or an outage unwound: these are no errors of the handler."""
        error = context.get("exception")
        if error is None or isinstance(error, Exception):
            super().call_exception_handler(context)


def _as_completed() -> CodeType:
    """Where `asyncio.as_completed` makes its tasks: a function up to Python 3.12, a class since 3.13."""
    iterator = getattr(asyncio.tasks, "_AsCompletedIterator", None)
    code: CodeType = (iterator.__init__ if iterator else asyncio.as_completed).__code__
    return code


_AS_COMPLETED: Final = _as_completed()
_WAIT_FOR: Final = asyncio.wait_for.__code__
_FRAMES_BETWEEN: Final = 5


def _waits_for(coro: Any) -> bool:
    """Whether `asyncio.wait_for` makes the task: up to Python 3.11 it does, since 3.12 it awaits the coroutine itself, and a
    journal of the one is read by the other.

    Raises RuntimeError for `as_completed`, which makes tasks of bare coroutines in the order of a set, that is of their
    addresses in memory. Branches numbered by chance would take each other's results on replay."""
    frame = sys._getframe(1)
    for _ in range(_FRAMES_BETWEEN):
        if frame.f_back is None:
            return False
        frame = frame.f_back
        if frame.f_code is _WAIT_FOR:
            return frame.f_locals.get("fut") is coro  # false for a task that a callback makes
        if frame.f_code is _AS_COMPLETED:
            raise RuntimeError(
                "asyncio.as_completed starts coroutines in an order that differs from run to run, so their durable "
                "operations cannot be replayed; hand it tasks: as_completed([asyncio.create_task(c) for c in ...])"
            )
    return False
