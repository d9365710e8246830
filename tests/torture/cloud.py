"""A local cloud in memory whose every request, and every beginning and end of a body, meets its fate."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol
from unittest import mock

from durable_fn import DurableFunction, sweeper
from durable_fn.backends.clocks import VirtualClock
from durable_fn.backends.ports import Backend
from durable_fn.log.header import LIVE
from durable_fn.runtime.aio import run as runs
from durable_fn.runtime.invocation import Invocation
from durable_fn.testing.cloud import LocalCloud
from durable_fn.testing.crashes import SimulatedDeath
from tests.fuzz.world import Loop
from tests.torture.books import Judge
from tests.torture.emulator.account import MemoryAccount

_PATIENCE = 600


class Fate(Protocol):
    """`meet` makes the request of this caller, or not, or twice; `body` is told of a body's beginning and end. Either may let
    the cloud's present process die."""

    def meet(self, cloud: TortureCloud, service: str, operation: str, request: Callable[[], Any]) -> Any: ...

    def body(self, cloud: TortureCloud, where: str) -> None: ...


class Process:
    """An environment of a function, while it runs. Dead, it sends nothing any more."""

    def __init__(self, function: str, ends_at: int) -> None:
        self.function, self.ends_at = function, ends_at
        self.dead = False


class Surroundings:
    """What the loop of an async handler asks of a world (tests/fuzz/world.py): nobody really waits."""

    def __init__(self, clock: VirtualClock, chance: random.Random, latency_ms: int, ends_at: int) -> None:
        self.clock, self.chance, self._latency, self._ends_at = clock, chance, latency_ms, ends_at

    def write_takes(self) -> float:
        return self.chance.randrange(self._latency) / 1000 if self._latency else 0.0

    def pass_time(self, until: int | None) -> bool:
        if until is None:
            return False
        self.clock.advance_to(min(until, self._ends_at))
        if self.clock.now() >= self._ends_at:
            raise SimulatedDeath("Lambda's time is over")
        return True


class TortureCloud(LocalCloud):
    """`latency_ms`: what a write of an async handler takes at most. `skew_ms`: how far the clocks of two invocations may
    differ from the true time; `lag_ms`: how late the index is at most; `torn`: whether queries meet half of a transaction;
    `shuffled`: messages come in no order. Branches run in their order, so that a seed is the same life each time."""

    _account = MemoryAccount

    def __init__(
        self,
        fate: Fate,
        judge: Judge,
        *,
        seed: int = 0,
        latency_ms: int = 0,
        skew_ms: int = 0,
        lag_ms: int = 0,
        torn: int = 0,
        shuffled: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(shards=2, **options)
        self.fate, self.judge = fate, judge
        self.chance = random.Random(f"{seed} cloud")
        self._latency, self._most_skew = latency_ms, skew_ms
        self._processes: list[Process] = []
        self.on = True
        judge.on_body = self._body
        self.account.table.watch.append(judge.stored)
        self.account.table.chance = random.Random(f"{seed} table")
        self.account.queues.chance = random.Random(f"{seed} queues")
        self.account.table.lag_ms, self.account.table.torn = lag_ms, 0.3 * torn
        self.account.queues.shuffled = bool(shuffled)
        self.account.wire.meet = self._meet

    # -- requests and bodies ---------------------------------------------------------------------------------------

    @property
    def process(self) -> Process | None:
        return self._processes[-1] if self._processes else None

    @property
    def caller(self) -> str | None:
        return self.wire.caller

    def _meet(self, service: str, operation: str, request: Callable[[], Any]) -> Any:
        if self.process is not None and self.process.dead:
            raise SimulatedDeath
        return self.fate.meet(self, service, operation, request) if self.on else request()

    def _body(self, where: str) -> None:
        if self.process is not None and self.process.dead:
            raise SimulatedDeath
        if self.on and self.process is not None:
            self.fate.body(self, where)

    def die(self, where: str) -> None:
        """The present process, or who asks from outside."""
        if self.process is not None:
            self.process.dead = True
        raise SimulatedDeath(where)

    @contextlib.contextmanager
    def spared(self) -> Iterator[None]:
        """What happens meanwhile meets nothing."""
        before, self.on = self.on, False
        try:
            yield
        finally:
            self.on = before

    # -- invocations -----------------------------------------------------------------------------------------------

    def invoke(self, function: DurableFunction[Any, Any], event: Any, **options: Any) -> Any:
        process = Process(function.name, self.clock.now() + round(self._timeout * 1000))
        self._processes.append(process)
        try:
            with self._loop(function, process), mock.patch.object(Invocation, "in_order", True):
                return super().invoke(function, event, **options)
        finally:
            self._processes.pop()
            if process.dead:  # the next environment is a cold one
                self._environments = {key: kept for key, kept in self._environments.items() if key[0] != function.name}

    def _environment(self, fn: str) -> Backend:
        kept = super()._environment(fn)
        clock: Any = self.clock
        if self._most_skew:
            clock = SkewedClock(self.clock, self.chance.randint(-self._most_skew, self._most_skew))
        return Backend(kept.store, kept.wakeups, clock, kept.kind, (self.judge,), seed="torture")

    @contextlib.contextmanager
    def _loop(self, function: DurableFunction[Any, Any], process: Process) -> Iterator[None]:
        if not function.is_async:
            yield
            return
        loop: Any = _free_loop()
        before = getattr(runs._loops, "loop", None)
        runs._loops.loop = loop
        loop.enter(Surroundings(self.clock, self.chance, self._latency, process.ends_at))
        try:
            yield
        finally:
            loop.enter(None)
            runs._loops.loop = before
            _LOOPS.append(loop)

    def frozen(self, seconds: float) -> None:
        """The present process stands still; everybody else goes on."""
        trouble: list[BaseException] = []

        def others() -> None:
            try:
                self.advance(seconds)
            except BaseException as error:
                trouble.append(error)

        processes, self._processes = self._processes, []
        before = (self.wire.caller, self.wire.hops)
        thread = threading.Thread(target=others)
        try:
            self.wire.caller, self.wire.hops = None, None
            thread.start()
            thread.join()
        finally:
            self._processes = processes
            self.wire.caller, self.wire.hops = before
        if trouble:
            raise trouble[0]

    # -- what AWS does by itself -----------------------------------------------------------------------------------

    def _sweep(self) -> bool:
        """One that dies or fails is a failed invocation of its Lambda: the next comes a minute later."""
        now, due = self.clock.now(), self.account.first_due()
        if now % 60_000 or due is None or due > now:
            return False
        try:
            with self.wire.acting("sweeper"):
                return sweeper.sweep(self.backend).sent > 0
        except (Exception, SimulatedDeath):
            return False

    def _goes_on(self) -> bool:
        """As its own, of the emulator's items."""
        with self.wire.aside():
            return super()._goes_on()

    def live_ids(self) -> list[str]:
        found = (partition.items.get("H") for partition in self.account.table.partitions.values())
        return [item["pk"]["S"] for item in found if item is not None and item["status"]["S"] in LIVE]

    def insist(self, happens: Callable[[], object]) -> None:
        """Somebody outside, who does it until it was done."""
        for _ in range(_PATIENCE):
            try:
                with self.wire.acting("client"):
                    happens()
            except (Exception, SimulatedDeath) as error:
                trouble = error
                self.advance(30)
            else:
                return
        raise AssertionError(f"it never worked: {trouble!r}")


class SkewedClock:
    """Goes as another one does, by so many milliseconds apart."""

    virtual = True

    def __init__(self, clock: VirtualClock, skew: int) -> None:
        self._clock, self._skew = clock, skew

    def now(self) -> int:
        return self._clock.now() + self._skew

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)


_LOOPS: list[Loop] = []


def _free_loop() -> Loop:
    """A loop is dear; two invocations of one time, where one of them is frozen, have one each."""
    return _LOOPS.pop() if _LOOPS else Loop()
