"""The event loop of async handlers: native tasks get scopes of their own, time follows the journal while it replays, and
the moment at which the loop would block is where an execution suspends.

Three facts shape it. Raising a suspension inside a task would cancel its siblings in `gather` and `TaskGroup`, so a
waiting operation only parks on a future. A task that two branches make has to number its operations by itself, so every
task started by handler code gets a child scope. And `asyncio.timeout` sets loop timers: while replaying, `time()` is the
journal's time, so such a timer stands at the same moment on every replay and ends a durable wait at its due time.
"""

from __future__ import annotations

import asyncio
import collections
import contextvars
import math
import selectors
import sys
import time
from collections.abc import Callable, Coroutine
from functools import partial
from types import CodeType
from typing import Any, Final, NamedTuple, Protocol, TypeVar, TypeVarTuple

from ..core.current import current_scope

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
_RESOLUTION: Final = time.get_clock_info("monotonic").resolution

_MOST_LAG: Final = 1.0
"""Seconds that the handler's code may have run since the last result, for a timer to count from that all the same."""

INLINE: set[CodeType] = set()
"""Code of our own operation coroutines: a task around one of them is not a branch and takes no scope."""


def just_after(moment: float) -> float:
    """Seconds that take loop time past a moment, also where it has run so far that a float has no microseconds left."""
    return max(1e-6, 4 * math.ulp(moment))


def _rounded(delay: float) -> float:
    """Up, as a delay was before a moment passed between the caller's look at the time and ours."""
    grid = 0.01 if delay >= 1 else 0.001
    return math.ceil(delay / grid - 1e-3) * grid


def _apart(moment: float) -> float:
    """Seconds by which two timers for one moment are told apart."""
    return max(1e-8, 8 * math.ulp(moment))


class Director(Protocol):
    """Who decides what the loop does when nothing is ready."""

    base: float
    live: bool
    """Whether time runs; in a replay it stands where the log is."""
    unsettled: bool
    """Whether a timer of the handler has fired, and what it set off has not come to rest."""

    def time(self) -> float:
        """Loop time in seconds, `base` at the start of the turn."""

    def stands(self) -> float:
        """Loop time that a replay shows here."""

    def block(self, timeout: float | None) -> float | None:
        """The loop would block for `timeout` seconds (None: for ever). Returns how long it may; may raise to end it."""

    def late(self, timeout: float | None) -> float | None:
        """Nothing is ready, and a timer of the handler is late: what came before it goes first. As `block`."""

    def restless(self) -> None:
        """A timer of the handler is late or has fired, and something is ready still."""

    def blocked(self, events: int) -> None:
        """The wait is over, with so many I/O events."""


class _Selector(selectors.DefaultSelector):
    """Asks the director before every wait."""

    loop: DurableLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        director = self.loop.director
        if director is None:
            return super().select(timeout)
        held = bool(self.loop.held)
        if timeout is not None and timeout <= 0:
            if self.loop._ready and (held or director.unsettled):
                director.restless()
            return super().select(timeout)
        ready = super().select(0)
        if not ready and held:
            return super().select(director.late(timeout))
        if not ready:
            ready = super().select(director.block(timeout))
            director.blocked(len(ready))
        return ready


class _Late(NamedTuple):
    """A timer of the handler whose time is over, and what it calls."""

    timer: asyncio.TimerHandle
    call: Callable[[], object]
    context: contextvars.Context

    def fire(self) -> None:
        """Unless it was cancelled since."""
        if not self.timer.cancelled():
            self.call()


class DurableLoop(asyncio.SelectorEventLoop):
    """One per thread, reused by all its invocations, so that clients made at module level keep working.

    `_ready` and `_scheduled`, the base loop's queues of callbacks and of timers, tell whether any other task can run now;
    they have had these names and meanings since Python 3.4, and a test holds them.
    """

    _ready: collections.deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]
    _selector: selectors.BaseSelector

    def __init__(self) -> None:
        self.director: Director | None = None
        self.threads = 0  # calls in executors that have not ended
        self.held: collections.deque[_Late] = collections.deque()  # until it is their turn
        self._last = 0.0
        self._set = 0  # timers that the handler has set in this turn
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)
        self.set_task_factory(_scoped_task)

    def enter(self, director: Director) -> None:
        """A turn begins. Loop time goes on from where it stands: timers of module-level clients are in it."""
        director.base = self._last
        self.director = director
        self._set = 0

    def leave(self) -> None:
        self.held.clear()
        self._last = self.time()
        self.director = None

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """A timer of the handler counts from where the log stands, live as in a replay, and of two for one moment the one that
        was set first is the first. It is held when its time is over, and fires when it is its turn among all that moves the
        handler. Timers of step bodies and of clients are asyncio's own."""
        director = self.director
        if director is None or (current_scope.get() if context is None else context.get(current_scope)) is None:
            return super().call_at(when, callback, *args, context=context)
        now, stands = self.time(), director.stands()
        if now - stands <= min(_MOST_LAG, (when - now) / 4):
            when = stands + _rounded(when - now)
        self._set += 1
        inside = contextvars.copy_context() if context is None else context
        timer = super().call_at(when + self._set * _apart(when), lambda: self._hold(late), context=inside)
        late: _Late = _Late(timer, partial(callback, *args), inside)
        return timer

    def _hold(self, late: _Late) -> None:
        if self.director is None:
            late.fire()
        else:
            self.held.append(late)

    def fire(self) -> float:
        """The first timer that is held. Gives the loop time that it was set for, 0 if all were cancelled."""
        while self.held:
            late = self.held.popleft()
            if not late.timer.cancelled():
                self.call_soon(late.fire, context=late.context)
                return late.timer.when()
        return 0.0

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        future = super().run_in_executor(executor, func, *args)
        self.threads += 1
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, future: asyncio.Future[Any]) -> None:
        self.threads -= 1

    @property
    def _clock_resolution(self) -> float:
        """What the base loop adds to the present to find the timers that are late: enough for a float to tell the difference."""
        return just_after(self._scheduled[0].when()) if self._scheduled else _RESOLUTION

    @_clock_resolution.setter
    def _clock_resolution(self, value: float) -> None:
        """The base loop's own."""

    @property
    def expects_something(self) -> bool:
        """Whether a socket, a pipe or a call in another thread may bring something. One descriptor is the loop's own."""
        return self.threads > 0 or len(self._selector.get_map()) > 1

    @property
    def has_timers(self) -> bool:
        return any(not timer.cancelled() for timer in (*self._scheduled, *(late.timer for late in self.held)))

    def late(self) -> bool:
        """Whether a timer's time is over that has not fired."""
        while self.held and self.held[0].timer.cancelled():
            self.held.popleft()
        return bool(self.held) or (bool(self._scheduled) and self._scheduled[0].when() <= self.time())

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Silent about tasks that were unwound by a suspension, a fence or an outage: that is no error of the handler."""
        error = context.get("exception")
        if error is None or isinstance(error, Exception):
            super().call_exception_handler(context)

    def time(self) -> float:
        director = self.director
        return self._last if director is None else director.time()


def _scoped_task(loop: asyncio.AbstractEventLoop, coro: Any, **kwargs: Any) -> asyncio.Task[Any]:
    """A task started by handler code runs in a child scope, numbered in the order of creation."""
    scope = current_scope.get()
    if scope is not None and getattr(coro, "cr_code", None) not in INLINE:
        context = kwargs.get("context") or contextvars.copy_context()
        inner = context.get(current_scope)
        if inner is scope:
            _refuse_shuffled()
            context = context.copy()
            context.run(current_scope.set, scope.task())
            kwargs["context"] = context
    return asyncio.Task(coro, loop=loop, **kwargs)


def _as_completed() -> CodeType:
    """Where `asyncio.as_completed` makes its tasks: a function up to Python 3.12, a class since 3.13."""
    iterator = getattr(asyncio.tasks, "_AsCompletedIterator", None)
    code: CodeType = (iterator.__init__ if iterator else asyncio.as_completed).__code__
    return code


_AS_COMPLETED: Final = _as_completed()
_FRAMES_BETWEEN: Final = 5


def _refuse_shuffled() -> None:
    """`as_completed` makes tasks of bare coroutines in the order of a set, that is of their addresses in memory, and
    `ensure_future` tells nobody. Branches numbered by chance would take each other's results on replay."""
    frame = sys._getframe(1)
    for _ in range(_FRAMES_BETWEEN):
        if frame.f_back is None:
            return
        frame = frame.f_back
        if frame.f_code is _AS_COMPLETED:
            raise RuntimeError(
                "asyncio.as_completed starts coroutines in an order that differs from run to run, so their durable "
                "operations cannot be replayed; hand it tasks: as_completed([asyncio.create_task(c) for c in ...])"
            )


def inline(fn: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """Marks a coroutine function of ours as one operation, not a branch."""
    INLINE.add(fn.__code__)
    return fn
