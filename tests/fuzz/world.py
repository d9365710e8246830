"""The world of one execution: its clock, what happens outside at which time, how long things take, where the process dies.

On the async front all of it runs in one thread, the loop's selector included, so that a seed is the same run each time: when
nobody has anything to do, time passes.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
import random
import selectors
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from durable_fn.runtime.aio.loop import DurableLoop
from durable_fn.testing.crashes import SimulatedDeath
from tests.fuzz.nodes import Case

START = 1_767_225_600_000  # 2026


class Hang(BaseException):
    """Nothing will ever happen in a turn that has not ended."""


class Clock:
    """`passes`: like the machine's, it goes on while bodies run."""

    def __init__(self, *, virtual: bool, happen: Callable[[], None]) -> None:
        self.virtual = virtual
        self._now = START
        self._happen = happen

    def now(self) -> int:
        return self._now

    def monotonic(self) -> float:
        return (self._now - START) / 1000

    def sleep(self, seconds: float) -> None:
        self.advance_to(self._now + max(0, round(seconds * 1000)))

    def advance_to(self, epoch_ms: int) -> None:
        if epoch_ms > self._now:
            self._now = epoch_ms
            self._happen()


class World:
    """`chance`: of this run."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.chance = random.Random(f"{case.chance} world")
        self.clock = Clock(virtual=case.virtual, happen=self.happen)
        self.latency = self.chance.choice(((0, 0), (0, 8), (0, 8), (3, 300))) if not case.quick else (0, 0)
        self.ends_at: int | None = None  # of the Lambda invocation that runs
        self.invoked = False
        self.dead = False
        self.died = ""
        self.points = 0
        self._events: list[tuple[int, int, Callable[[], object]]] = []
        self._order = itertools.count()
        self._lock = threading.RLock()
        self._outside = threading.local()  # threads that do what others ask for

    # -- time and what happens outside -----------------------------------------------------------------------------

    def at(self, seconds: float, happens: Callable[[], object]) -> None:
        self.later(START + round(seconds * 1000) - self.clock.now(), happens)

    def later(self, ms: int, happens: Callable[[], object]) -> None:
        with self._lock:
            heapq.heappush(self._events, (self.clock.now() + max(0, ms), next(self._order), happens))

    def happen(self) -> None:
        """What is due."""
        with self._lock:
            before, self._outside.now = getattr(self._outside, "now", False), True
            try:
                while self._events and self._events[0][0] <= self.clock.now():
                    heapq.heappop(self._events)[2]()
            finally:
                self._outside.now = before

    def hasten(self) -> None:
        """All that is to come comes now."""
        with self._lock:
            self._events = [(self.clock.now(), order, happens) for _, order, happens in self._events]
            heapq.heapify(self._events)
        self.happen()

    def next_event(self) -> int | None:
        with self._lock:
            return self._events[0][0] if self._events else None

    def pass_time(self, until: int | None) -> bool:
        """Nobody has anything to do before then. False: nothing will ever happen."""
        times = [t for t in (until, self.next_event(), self.ends_at) if t is not None]
        if not times:
            return False
        self.clock.advance_to(min(times))
        self.happen()
        if self.ends_at is not None and self.clock.now() >= self.ends_at:
            self.die("Lambda's time is over")
        return True

    def body_takes(self) -> float:
        """Seconds."""
        return 0 if self.case.quick else self.chance.choice((0, 0, 0, 0.01, 0.05, 0.3, 1.2, 3))

    def write_takes(self) -> float:
        return self.chance.randint(*self.latency) / 1000

    # -- deaths ----------------------------------------------------------------------------------------------------

    def point(self, where: str) -> None:
        """The process may die here. Once dead, nothing of it reaches anybody."""
        if not self.invoked or getattr(self._outside, "now", False):
            return
        with self._lock:
            if not self.dead:
                self.points += 1
                if self.points != self.case.dies_at:
                    return
                where = f"{where} (point {self.points})"
        self.die(where)

    def die(self, where: str) -> None:
        if not self.dead:
            self.dead, self.died = True, where
        raise SimulatedDeath(self.died)


class Selector(selectors.DefaultSelector):
    """Waits for nothing real: time passes instead."""

    world: World | None = None

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        world = self.world
        until = None if timeout is None or world is None else world.clock.now() + max(1, round(timeout * 1000))
        if world is None or not world.pass_time(until):
            raise Hang("the loop waits, and nothing will ever happen")
        return []


class _Timed(asyncio.SelectorEventLoop):
    """A standard loop on the world's clock. Without a world time stands."""

    def __init__(self) -> None:
        self.waits = Selector()
        super().__init__(self.waits)

    def time(self) -> float:
        return 0.0 if self.world is None else self.world.clock.monotonic()


class Loop(DurableLoop, _Timed):
    """The package's loop on the world's clock. What it hands to threads runs in its own, after a while."""

    def __init__(self) -> None:
        super().__init__()
        self.executor = Executor(self)
        self._bodies = self._journal = self.executor
        self.set_default_executor(self.executor)

    def enter(self, world: World | None) -> None:
        """Another process, or none. What the one before had under way never ends."""
        self.world = self.waits.world = world
        self.executor.drop()


class Executor(ThreadPoolExecutor):
    """No threads: each call is done at the beginning or at the end of the time that it takes."""

    def __init__(self, loop: Loop) -> None:
        super().__init__(1)
        self._loop = loop
        self._age = 0

    def drop(self) -> None:
        self._age += 1

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        world, age = self._loop.world, self._age
        if world is None:
            seconds, early = 0.0, True
        else:
            seconds, early = world.write_takes(), world.chance.random() < 0.5
        done = _Done(fn, args, kwargs)
        if early:
            done.run()

        def ends() -> None:
            if age == self._age:
                done.run()
                done.tell(future)

        self._loop.ours_later(seconds, ends)
        return future


class _Done:
    def __init__(self, fn: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self._call = (fn, args, kwargs)
        self._ran = False
        self._value: Any = None
        self._error: BaseException | None = None

    def run(self) -> None:
        if not self._ran:
            self._ran = True
            fn, args, kwargs = self._call
            try:
                self._value = contextvars.Context().run(fn, *args, **kwargs)
            except BaseException as error:
                self._error = error

    def tell(self, future: Future[Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        if self._error is not None:
            future.set_exception(self._error)
        else:
            future.set_result(self._value)
