"""One execution of a case, from its start to its end, over as many invocations, deaths and generations as it takes."""

from __future__ import annotations

import contextlib
import gc
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

from durable_fn import AsyncDurableContext, DurableContext, DurableFunction, current_step, durable
from durable_fn.errors import CallbackError, ExecutionConflict
from durable_fn.log.header import LIVE, Header
from durable_fn.log.inbox import signal_prefix
from durable_fn.runtime.aio import run as runs
from durable_fn.testing import LocalRunner
from durable_fn.testing.crashes import DyingStore
from durable_fn.testing.lambda_context import FakeLambdaContext
from tests.fuzz.async_front import AsyncProgram
from tests.fuzz.bodies import AsyncBodies, PlainBodies
from tests.fuzz.def_front import PlainProgram
from tests.fuzz.ledger import Ledger, Watched
from tests.fuzz.nodes import Case
from tests.fuzz.traces import Trace
from tests.fuzz.world import Loop, World

ID = "random"
_MOST_INVOCATIONS = 600


class Handlers:
    """The functions of a case. `trace`: of the run of the program that goes on; `began`: of those of the whole execution."""

    def __init__(self, case: Case, around: Any, *, native: bool) -> None:
        self.case = case
        self.around = around
        self.traces: list[Trace] = []
        self.walks: list[dict[str, str]] = []
        self.problems: list[str] = []
        self.generation: dict[str, int] = {}
        self.program, self.child = self._async() if native else self._plain()

    def _async(self) -> tuple[DurableFunction[Any, Any], DurableFunction[Any, Any]]:
        case, bodies = self.case, AsyncBodies(self.around)

        @durable(name="child")
        async def child(event: Any, ctx: AsyncDurableContext) -> Any:
            self.generation[ctx.execution_id] = ctx._turn.header.gen
            seconds, fails = event
            await ctx.step(bodies.work, "child")
            await ctx.sleep(seconds)
            if fails:
                raise ValueError("the child fails")
            return "grown up"

        @durable(name="program", execution_timeout=case.timeout)
        async def program(event: Any, ctx: AsyncDurableContext) -> Any:
            if case.eager and sys.version_info >= (3, 12):
                import asyncio

                asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
            trace = Trace(ctx._turn.front, ctx._turn.header.gen)
            self.generation[ctx.execution_id] = trace.gen
            self.traces.append(trace)
            run = AsyncProgram(ctx, bodies, trace.see, child, quick=case.quick)
            result = await run.run(ctx, case.program, "")
            if event < case.generations:
                ctx.continue_as_new(event + 1)
            return result

        return program, child

    def _plain(self) -> tuple[DurableFunction[Any, Any], DurableFunction[Any, Any]]:
        case, bodies = self.case, PlainBodies(self.around)

        @durable(name="child")
        def child(event: Any, ctx: DurableContext) -> Any:
            self.generation[ctx.execution_id] = ctx._turn.header.gen
            seconds, fails = event
            ctx.step(bodies.work, "child")
            ctx.sleep(seconds)
            if fails:
                raise ValueError("the child fails")
            return "grown up"

        @durable(name="program", execution_timeout=case.timeout)
        def program(event: Any, ctx: DurableContext) -> Any:
            self.generation[ctx.execution_id] = ctx._turn.header.gen
            seen: dict[str, str] = {}
            self.walks.append(seen)

            def see(path: str, text: str) -> None:
                if seen.setdefault(path, text) != text:
                    self.problems.append(f"a branch saw {seen[path]} at {path}, and then {text}")

            result = PlainProgram(bodies, see, child, quick=case.quick).run(ctx, case.program, "")
            if event < case.generations:
                ctx.continue_as_new(event + 1)
            return result

        return program, child


class _Dying(DyingStore):
    """As the package's, with the points of the world: those before bodies count, too."""

    def __init__(self, store: Any, world: World) -> None:
        super().__init__(store, None)
        self._world = world

        self.invoked = True

    def _point(self, where: str) -> None:
        self._world.point(where)


class Life(LocalRunner[Any, Any]):
    """`problems` says what must not have happened."""

    def __init__(self, case: Case, *, native: bool, loop: Loop | None) -> None:
        self.case, self.native, self.loop = case, native, loop
        self.world = World(case)
        self.ledger = Ledger()
        self.handlers = Handlers(case, self, native=native)
        super().__init__(self.handlers.program, self.handlers.child, always_suspend=case.always_suspend)
        self._journal.local = case.local
        watched: Any = Watched(self._journal, self.ledger)
        self._clock = self._backend.clock = self.world.clock  # type: ignore[assignment]
        self._client._executions.store = watched
        self._client._callbacks._executions.store = watched
        self._backend.store = _Dying(watched, self.world)  # type: ignore[assignment]
        self.invocations = 0
        self.problems: list[str] = []
        self.unwinding: set[object] = set()
        self._waits: dict[tuple[int, str], int] = {}

    # -- what bodies act on ----------------------------------------------------------------------------------------

    def begins(self, *, threaded: bool = False) -> None:
        info = current_step()
        self.world.point(f"body {info.operation_id}")
        handed_over = threaded or self.ledger.is_marked(info, self.handlers.generation[ID])  # before
        if self.native and info.execution_id == ID and not handed_over:
            trace = self.handlers.traces[-1]
            trace.began = trace.end
        if self.unwinding and not threaded:
            self.problems.append(f"the body of {info.operation_id} began while another one unwound")
        self.ledger.begins(info, self.handlers.generation[info.execution_id])

    def wait_began(self, path: str) -> None:
        self._waits.setdefault((self.handlers.traces[-1].gen, path), self.world.clock.now())

    def wait_ended(self, path: str, seconds: float) -> None:
        began = self._waits.get((self.handlers.traces[-1].gen, path))
        if began is not None and self.world.clock.now() - began < round(seconds * 1000):
            self.problems.append(f"the wait {path} of {seconds} s took {self.world.clock.now() - began} ms")

    @contextlib.contextmanager
    def unwinds(self) -> Iterator[None]:
        unwinding, body = self.unwinding, object()
        unwinding.add(body)
        try:
            yield
        finally:
            unwinding.discard(body)

    def takes(self) -> float:
        return self.world.body_takes()

    def wait(self, seconds: float) -> None:
        if seconds and not self.native:
            self.world.clock.sleep(seconds)

    def submitted(self, token: str, delay: float) -> None:
        def answers() -> None:
            with contextlib.suppress(CallbackError):
                self.client.complete_callback(token, "done")

        self.world.later(round(delay * 1000), answers)
        self.world.happen()

    # -- a life ----------------------------------------------------------------------------------------------------

    def live(self) -> None:
        execution = self.start(1, id=ID)
        self._happens()
        while self._header(ID).status in LIVE:
            if self.invocations > _MOST_INVOCATIONS:
                self.problems.append(f"it has not ended after {self.invocations} invocations")
                return
            if not self._go_on():
                self.problems.append(f"it is {execution.status}, and nothing will wake it")
                return
            header = self._header(ID)
            if header.live and header.strikes:
                self.problems.append(f"it is held: {header.error}")
                return

    def _happens(self) -> None:
        for at, name, n in self.case.signals:
            self.world.at(at, lambda name=name, n=n: self._ask(lambda: self.client.signal(ID, name, n)))
        if self.case.cancelled_at is not None:
            self.world.at(self.case.cancelled_at, lambda: self._ask(lambda: self.client.cancel(ID)))
        self.world.happen()

    def _ask(self, ask: Callable[[], object]) -> None:
        with contextlib.suppress(ExecutionConflict):
            ask()

    def _go_on(self) -> bool:
        """Runs what is due; else time passes. False: nothing will ever happen."""
        clock = self.world.clock
        rows = self._store.due(0, clock.now(), 100)
        if rows:
            for row in rows:
                self._wake(row.id)
            return True
        times = [t for t in (self._store.next_due(clock.now()), self.world.next_event()) if t is not None]
        if not times:
            return False
        clock.advance_to(min(times) + (0 if self.case.quick else self.world.chance.choice((0, 0, 3, 700))))
        self.world.happen()
        return True

    def _wake(self, id: str) -> None:
        world = self.world
        self.invocations += 1
        self.unwinding = set()  # what a process that died left unwinds beside no body
        world.invoked, world.dead = True, False
        try:
            with own_loop(self.loop, world):
                super()._wake(id)
        except BaseException:  # a death in a step body may come wrapped in an exception group
            if not world.dead:
                raise
        finally:
            world.invoked, world.ends_at = False, None
        if world.dead:
            self._after_death()

    def _after_death(self) -> None:
        """What could make the next owner decide otherwise, if anything can."""
        for name in "ab":
            if not self.case.quick and self.world.chance.random() < 0.5:
                self._ask(lambda name=name: self.client.signal(ID, name, "after death"))
        if self.world.chance.random() < 0.3:
            self.world.hasten()

    def _context(self, function: DurableFunction[Any, Any]) -> FakeLambdaContext:
        context = FakeLambdaContext(self.world.clock, timeout=self.case.lambda_timeout, function_name=function.name)
        self.world.ends_at = context._ends
        return context

    # -- how it came out -------------------------------------------------------------------------------------------

    @property
    def header(self) -> Header:
        return self._header(ID)

    def unread(self) -> set[str]:
        """Keys of signals in the inbox."""
        loaded = self._journal.load(self.header.key)
        assert loaded is not None
        return {key for key in loaded.inbox if key.startswith(signal_prefix("x")[:7])}


@contextlib.contextmanager
def own_loop(loop: Loop | None, world: World | None) -> Iterator[None]:
    """The thread's loop is this one, in this world."""
    if loop is None:
        yield
        return
    before = getattr(runs._loops, "loop", None)
    runs._loops.loop = loop
    loop.enter(world)
    try:
        yield
    finally:
        loop.set_task_factory(None)
        loop.enter(None)
        runs._loops.loop = before


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """No logs: also not of tasks that a death left behind, when they are collected."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        gc.collect()
        logging.disable(logging.NOTSET)
