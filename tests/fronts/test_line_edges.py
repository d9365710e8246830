"""Edges of the rule by lines (decision 18), each of them met by a small program that went wrong."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import logging
import math
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from durable_fn import (
    AsyncDurableContext,
    Completion,
    DurableContext,
    DurableFunction,
    ExecutionCancelled,
    RetryPolicy,
    durable,
    step,
)
from durable_fn.core.turn import Turn
from durable_fn.errors import ExecutionTimedOut, NonDeterminismError
from durable_fn.testing import LocalRunner
from durable_fn.testing.crashes import _RunningFan
from durable_fn.testing.lambda_context import FakeLambdaContext
from tests.effects import EFFECTS, effect

Ctx = AsyncDurableContext
ONCE = RetryPolicy(max_attempts=1)
PATIENCE = 20


class Killed(BaseException):
    """The process is gone."""


@pytest.fixture(autouse=True)
def _fresh() -> None:
    EFFECTS.clear()


async def note(name: str) -> str:
    return effect(name)


def result_of(handler: DurableFunction[Any, Any]) -> Any:
    with LocalRunner(handler) as runner:
        return runner.run(None).result


# -- a suspension unwinds code, and the code makes something else of it ----------------------------------------------


async def translates(c: Ctx) -> str:
    try:
        await c.sleep(100)
    except BaseException as error:
        raise RuntimeError("translated") from error
    return "slept"


async def swallows(c: Ctx) -> str:
    try:
        await c.sleep(100)
    except BaseException:
        return "gave up"
    return "slept"


async def has_a_group(c: Ctx) -> str:
    """The group has an error already, and makes a group of errors of any cancellation."""

    async def cleans_up() -> None:
        try:
            await c.sleep(1000)
        finally:
            await c.sleep(100)  # the execution suspends here

    async def fails() -> None:
        await c.sleep(10)
        raise ValueError

    with contextlib.suppress(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(cleans_up())
            group.create_task(fails())
    await c.sleep(50)
    return "slept"


@pytest.mark.parametrize("part", [translates, swallows, has_a_group])
def test_a_child_has_not_ended_because_a_suspension_unwound_it(part: Callable[[Ctx], Awaitable[str]]) -> None:
    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> str:
        return await ctx.child(part)

    assert result_of(handler) == "slept"


def test_nor_has_one_of_a_def_handler() -> None:
    def part(c: DurableContext) -> str:
        try:
            c.sleep(100)
        except BaseException:
            return "gave up"
        return "slept"

    @durable(name="h")
    def handler(event: None, ctx: DurableContext) -> str:
        return ctx.child(part)

    assert result_of(handler) == "slept"


@pytest.mark.parametrize("native", [False, True])
def test_a_mismatch_is_told_once_to_code_that_tries_again(native: bool) -> None:
    version = [1]

    @durable(name="h")
    async def asyn(event: None, ctx: Ctx) -> None:
        while True:
            try:
                await ctx.step(step(note, name=f"version {version[0]}"), "x")
                break
            except Exception:
                continue
        await ctx.sleep(100)

    @durable(name="h")
    def plain(event: None, ctx: DurableContext) -> None:
        while True:
            try:
                ctx.step(step(effect, name=f"version {version[0]}"), "x")
                break
            except Exception:
                continue
        ctx.sleep(100)

    with LocalRunner(asyn if native else plain) as runner:
        execution = runner.start(None)
        runner.run_until_idle()
        version[0] = 2
        runner.advance(200)
        assert execution.status == "SUSPENDED"
        assert isinstance(execution.error, NonDeterminismError)
    assert EFFECTS == ["x"]


# -- signals and threads ---------------------------------------------------------------------------------------------


def test_a_timeout_that_does_not_stand_takes_no_signal_out_of_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal comes while the timeout is being written, and behind a result that makes the handler leave the wait."""
    deciding, left = threading.Event(), threading.Event()

    async def body() -> None:
        await asyncio.get_running_loop().run_in_executor(None, deciding.wait, PATIENCE)
        asyncio.get_running_loop().call_later(0.05, left.set)

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> str:
        async def first() -> None:
            await ctx.wait_for_signal("s", timeout=0.5)

        task = asyncio.create_task(first())
        await ctx.step(body)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return await ctx.wait_for_signal("s", timeout=5, result_type=str)

    with LocalRunner(handler) as runner:
        journal: Any = runner._journal
        journal.local = False  # its writes go to another thread, as those to DynamoDB
        decide = journal.decide

        def slowly(*args: Any) -> Any:
            if not deciding.is_set():
                runner.signal("x", "s", "hello")
                deciding.set()
                left.wait(PATIENCE)  # the step's result comes meanwhile
            return decide(*args)

        monkeypatch.setattr(journal, "decide", slowly)
        execution = runner.start(None, "x")
        runner.run_on(execution)
        runner.advance(60)
        assert execution.result == "hello"


def test_which_call_in_a_thread_was_first_is_durable_before_a_body(caplog: pytest.LogCaptureFixture) -> None:
    known: list[list[str]] = []
    first, gates = ["a"], {name: threading.Event() for name in "ab"}

    def thread(name: str) -> str:
        if name != first[0]:
            gates[name].wait(PATIENCE)
        return name

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> str:
        async def pay(name: str) -> str:
            EFFECTS.append(name)
            known.append([row.id for row in runner.client.history("x") if row.kind == "thread"])
            if len(known) == 1:
                raise Killed
            return name

        tasks = [asyncio.create_task(asyncio.to_thread(thread, name)) for name in "ab"]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        paid = await ctx.step(pay, next(task.result() for task in tasks if task in done))
        for gate in gates.values():
            gate.set()
        return paid

    with LocalRunner(handler) as runner:
        runner.start(None, "x")
        with pytest.raises(Killed):
            runner.run_until_idle()
        first[0] = "b"
        gates["a"].set()
        runner.advance(3600)
        assert EFFECTS == ["a", "a"]
    assert known[0] == ["~1/$x1"]
    assert "a thread of its own" not in caplog.text


@step(timeout=0.2, retry=ONCE)
def hangs(until: Any) -> None:
    HANGING.wait(PATIENCE)


HANGING = threading.Event()


def test_bodies_that_hang_hold_up_neither_the_journal_nor_others() -> None:
    """More than an executor of asyncio has threads."""

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> list[str]:
        found = await asyncio.gather(*(ctx.step(hangs, n) for n in range(40)), return_exceptions=True)
        return sorted({type(error).__name__ for error in found})

    HANGING.clear()
    try:
        with LocalRunner(handler) as runner:
            runner._journal.local = False  # type: ignore[misc]
            assert runner.run(None).result == ["StepTimeout"]
            assert not HANGING.is_set()
    finally:
        HANGING.set()


def test_the_time_of_a_body_counts_from_its_beginning() -> None:
    """64 bodies of which no more than 31 run beside each other, each as long as half its timeout."""
    began: list[int] = []

    @step(timeout=1, retry=ONCE)
    def half(n: int) -> None:
        began.append(n)
        threading.Event().wait(0.4)

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        await asyncio.gather(*(ctx.step(half, n) for n in range(96)))

    assert result_of(handler) is None
    assert sorted(began) == list(range(96))


def test_a_child_that_kept_a_cancellation_keeps_it_on_a_replay() -> None:
    seen = []

    async def part(c: Ctx) -> str:
        try:
            await c.sleep(100)
        except asyncio.CancelledError:
            await c.step(note, "cleaned")
            return "partial"
        return "full"

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        try:
            async with asyncio.timeout(10):
                seen.append(await ctx.child(part))
        except TimeoutError:
            seen.append("too late")
        await ctx.sleep(50)

    assert result_of(handler) is None
    assert set(seen) == {"partial"}
    assert len(seen) > 1


def test_a_cancelled_execution_whose_child_kept_that_goes_on_the_same_on_a_replay() -> None:
    seen = []

    async def part(c: Ctx) -> str:
        try:
            await c.sleep(100)
        except ExecutionCancelled:
            await c.step(note, "cleaned")
            return "stopped"
        return "full"

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        seen.append(await ctx.child(part))
        await ctx.sleep(50)

    with LocalRunner(handler) as runner:
        execution = runner.start(None)
        runner.run_until_idle()
        runner.cancel(execution.id)
        runner.advance(100)
        assert execution.status == "SUCCEEDED"
    assert set(seen) == {"stopped"}
    assert len(seen) > 1


def test_a_cancellation_between_the_end_of_a_child_and_its_line_is_the_same_on_a_replay() -> None:
    """Two results come at once: the first one's task cancels the one that the second one's child is in, which has ended."""
    seen: list[str] = []
    go = asyncio.Event()

    async def waits(n: int) -> int:
        await go.wait()
        return n

    async def opens() -> None:
        go.set()

    async def part(c: Ctx) -> int:
        return await c.step(waits, 2)

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        async def has_a_child() -> None:
            try:
                seen.append(str(await ctx.child(part)))
            except asyncio.CancelledError:
                seen.append("cancelled")
            await ctx.step(note, seen[-1])

        async def cancels() -> None:
            await ctx.step(waits, 1)
            await asyncio.sleep(0)
            beside.cancel()

        beside = asyncio.create_task(has_a_child())
        first = asyncio.create_task(cancels())
        await ctx.step(opens)
        await asyncio.gather(first, beside, return_exceptions=True)
        await ctx.sleep(100)

    assert result_of(handler) is None
    assert len(set(seen)) == 1
    assert len(seen) > 1


def test_a_mismatch_says_when_something_was_run_before(caplog: pytest.LogCaptureFixture) -> None:
    version = [1]

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        async def changes() -> None:
            await ctx.sleep(10)
            if version[0] == 2:
                await asyncio.sleep(0.05)
            await ctx.sleep(1000, name=f"version {version[0]}")

        async def runs() -> None:
            if version[0] == 2:
                await ctx.step(slow)

        await asyncio.gather(changes(), runs())

    async def slow() -> None:
        effect("ran")
        await asyncio.sleep(0.2)

    with LocalRunner(handler) as runner:
        execution = runner.start(None)
        runner.run_until_idle()
        runner.advance(15)
        version[0] = 2
        runner.advance(1000)
        assert "What ran in this invocation before stays" in str(execution.error)
    assert set(EFFECTS) == {"ran"}


def test_a_generator_that_a_suspension_cuts_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> list[int]:
        async def pages() -> AsyncIterator[int]:
            try:
                for n in range(2):
                    yield n
            finally:
                await ctx.step(note, "closed")

        found = []
        async for n in pages():
            await ctx.sleep(100)
            found.append(n)
        return found

    assert result_of(handler) == [0, 1]
    gc.collect()
    assert result_of(handler) == [0, 1]
    assert caplog.text == ""


def test_a_body_whose_marker_is_written_is_not_put_off() -> None:
    """Beside it there is too little Lambda time for another one."""

    @step(semantics="at_most_once")
    async def once() -> str:
        return effect("once")

    @step(timeout=899)
    async def long() -> str:
        return effect("long")

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> list[str]:
        await ctx.step(note, "first")
        return list(await asyncio.gather(ctx.step(once), ctx.step(long)))

    assert result_of(handler) == ["once", "long"]
    assert EFFECTS == ["first", "once", "long"]


def test_no_body_begins_when_one_has_ended_the_process() -> None:
    async def ends(n: str) -> None:
        effect(n)
        raise SystemExit

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        await asyncio.gather(*(ctx.step(ends, n) for n in "abc"))

    with pytest.raises(SystemExit):
        result_of(handler)
    assert EFFECTS == ["a"]


# -- what is left when the handler is at its end ---------------------------------------------------------------------


def test_a_body_that_was_cancelled_unwinds_before_its_execution_ends() -> None:
    async def body() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            effect("released")

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> str | None:
        try:
            async with asyncio.timeout(0.05):
                await ctx.step(body)
        except TimeoutError:
            return "late"

    with LocalRunner(handler) as runner:
        assert runner.run(None).result == "late"
        assert EFFECTS == ["released"]


class _Short(LocalRunner[Any, Any]):
    """Invocations of two seconds."""

    def _context(self, function: DurableFunction[Any, Any]) -> FakeLambdaContext:
        return FakeLambdaContext(self._backend.clock, timeout=2, function_name=function.name)


def test_a_body_that_cannot_unwind_in_time_is_named(caplog: pytest.LogCaptureFixture) -> None:
    async def stubborn() -> None:
        while not HANGING.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> str | None:
        try:
            async with asyncio.timeout(0.05):
                await ctx.step(stubborn)
        except TimeoutError:
            return "late"

    HANGING.clear()
    try:
        with _Short(handler) as runner:
            assert runner.run(None).result == "late"
    finally:
        HANGING.set()
    assert "bodies still unwind, that were cancelled and have no time left: 'stubborn'" in caplog.text


def test_a_task_that_a_body_left_behind_holds_up_no_suspension() -> None:
    background: list[asyncio.Task[None]] = []

    async def poll() -> None:
        while True:
            await asyncio.sleep(0)

    async def work(n: int) -> int:
        if not background:
            background.append(asyncio.create_task(poll()))
        return n

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> int:
        await ctx.step(work, 1)
        beside = asyncio.create_task(ctx.sleep(1000))
        await ctx.sleep(50)
        beside.cancel()
        return await ctx.step(work, 2)

    try:
        assert result_of(handler) == 2
    finally:
        background[0].cancel()


# -- contexts and native cancellations -------------------------------------------------------------------------------

tenant = contextvars.ContextVar("tenant", default="nobody")


def test_what_a_child_sets_in_its_context_ends_with_it() -> None:
    seen = []

    async def part(c: Ctx) -> str:
        tenant.set("acme")
        await c.sleep(1)
        assert tenant.get() == "acme"
        return "x"

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        await ctx.child(part)
        seen.append(tenant.get())
        await ctx.sleep(100)

    assert result_of(handler) is None
    assert set(seen) == {"nobody"}
    assert len(seen) > 1


def test_a_child_may_be_any_awaitable() -> None:
    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> list[Any]:
        return [
            await ctx.child(lambda c: c.step(note, "a")),
            await ctx.child(lambda c: asyncio.gather(c.step(note, "b"), c.step(note, "c"))),
        ]

    assert result_of(handler) == ["a", ["b", "c"]]


def test_a_native_cancellation_keeps_its_message() -> None:
    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> list[Any]:
        task = asyncio.create_task(ctx.sleep(5))
        await asyncio.sleep(0)
        task.cancel("why")
        try:
            await task
        except asyncio.CancelledError as error:
            return list(error.args)
        return []

    assert result_of(handler) == ["why"]


def test_a_cancelled_execution_comes_out_of_a_timeout_that_had_fired() -> None:
    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> str | None:
        try:
            async with asyncio.timeout(10):
                try:
                    await ctx.sleep(100)
                finally:
                    await ctx.sleep(50)
        except TimeoutError:
            await ctx.step(note, "went on")
            return "as if nobody had cancelled it"

    with LocalRunner(handler) as runner:
        execution = runner.start(None)
        runner.run_until_idle()
        runner.advance(20)
        runner.cancel(execution.id)
        runner.advance(200)
        assert execution.status == "CANCELLED"
    assert EFFECTS == []


@pytest.mark.parametrize("in_a_branch", [False, True])
def test_compensations_run_in_full_whatever_cancels_them(in_a_branch: bool) -> None:
    tries: list[int] = []

    @step(retry=RetryPolicy(max_attempts=5, initial_delay=20, backoff=1, jitter="none"))
    async def refund(n: str) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("the bank is down")
        effect(f"refund {n}")

    async def part(c: Ctx) -> None:
        async with c.saga() as saga:
            for n in "ab":
                saga.add_compensation(refund, n)
            raise ValueError

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> str:
        try:
            async with asyncio.timeout(10):
                if in_a_branch:
                    await ctx.parallel([part])
                else:
                    await part(ctx)
        except TimeoutError:
            return "late"
        return "?"

    assert result_of(handler) == "late"
    assert EFFECTS == ["refund b", "refund a"]


@pytest.mark.parametrize("limit", [math.inf, 1e12])
def test_asyncio_may_wait_for_ever(limit: float) -> None:
    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> str:
        async with asyncio.timeout(limit):
            return await ctx.wait_for_signal("go", result_type=str)

    with LocalRunner(handler) as runner:
        execution = runner.start(None, "x")
        runner.run_until_idle()
        runner.signal("x", "go", "went")
        runner.run_until_idle()
        assert execution.result == "went"
        assert execution.history


# -- code that changed -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step_first", [False, True])
def test_patched_knows_what_native_tasks_behind_it_did(step_first: bool) -> None:
    version = [1]

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        async def part(n: str) -> None:
            if step_first:
                await ctx.step(note, n)
            await ctx.sleep(100)
            if not step_first:
                await ctx.step(note, n)

        await asyncio.gather(part("a"), part("b"))
        if version[0] == 2 and await ctx.patched("check"):
            await ctx.step(note, "check")
        await asyncio.gather(part("c"), part("d"))

    def lives(until: int) -> list[str]:
        version[0] = 1
        EFFECTS.clear()
        with LocalRunner(handler) as runner:
            execution = runner.start(None)
            runner.run_until_idle()
            runner.advance(until)
            version[0] = 2
            runner.advance(500)
            assert execution.status == "SUCCEEDED"
        return EFFECTS

    assert "check" not in lives(110)
    assert "check" in lives(10)


def test_patched_at_the_end_of_a_task_that_ended_before() -> None:
    version = [1]

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        async def part() -> None:
            await ctx.step(note, "a")
            if version[0] == 2 and await ctx.patched("more"):
                await ctx.step(note, "more")

        await asyncio.gather(part())
        await ctx.step(note, "b")
        await ctx.sleep(100)

    with LocalRunner(handler) as runner:
        execution = runner.start(None)
        runner.run_until_idle()
        version[0] = 2
        runner.advance(500)
        assert execution.status == "SUCCEEDED"
    assert EFFECTS == ["a", "b"]


@pytest.mark.parametrize(("before", "after"), [(None, "c-1"), ("c-1", None)])
def test_an_attempt_under_way_that_gets_a_key_or_loses_it_runs_nothing_twice(
    before: str | None, after: str | None
) -> None:
    key = [before]

    async def charge() -> None:
        effect("charge")
        if len(EFFECTS) == 1:
            raise Killed

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        keyed: dict[str, Any] = {"key": key[0]} if key[0] else {}
        await ctx.step(step(charge, semantics="at_most_once", **keyed))

    with LocalRunner(handler) as runner:
        execution = runner.start(None)
        with pytest.raises(Killed):
            runner.run_until_idle()
        key[0] = after
        runner.advance(3600)
        assert isinstance(execution.error, NonDeterminismError)
        assert "got a key, or lost it" in str(execution.error)
    assert EFFECTS == ["charge"]


def test_children_with_keys_may_come_in_another_order() -> None:
    orders = ["7", "8"]

    async def settle(c: Ctx, order: str) -> str:
        charged = await c.step(note, order)
        await c.sleep(60)
        return charged

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> list[str]:
        return [await ctx.child(settle, order, key=order) for order in orders]

    with LocalRunner(handler) as runner:
        execution = runner.start(None)
        runner.run_until_idle()
        orders.insert(0, "6")
        runner.advance(600)
        assert execution.result == ["6", "7", "8"]
    assert sorted(EFFECTS) == ["6", "7", "8"]


def test_a_timeout_that_never_fired_may_go() -> None:
    version = [1]

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> str:
        async with asyncio.timeout(1000) if version[0] == 1 else contextlib.nullcontext():
            await ctx.wait_for_signal("s")
        await ctx.step(note, "1")
        await ctx.sleep(50)
        return await ctx.step(note, "2")

    with LocalRunner(handler) as runner:
        execution = runner.start(None, "x")
        runner.run_until_idle()
        runner.signal("x", "s")
        runner.advance(10)
        version[0] = 2
        runner.advance(100)
        assert execution.result == "2"


# -- redrives --------------------------------------------------------------------------------------------------------


def test_a_handler_that_was_stuck_is_mended_and_redriven() -> None:
    version = [1]

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> str:
        came = asyncio.Event()
        await ctx.step(note, "1")
        if version[0] == 2:
            came.set()
        await came.wait()
        return await ctx.step(note, "2")

    with LocalRunner(handler) as runner:
        execution = runner.run(None, "x")
        assert execution.status == "FAILED"
        version[0] = 2
        runner.client.redrive("x")
        runner.advance(10)
        assert execution.result == "2"
    assert EFFECTS == ["1", "2"]


@pytest.mark.parametrize("gathered", [False, True])
def test_tasks_that_a_cancellation_ended_are_redriven_as_the_handler_is(gathered: bool) -> None:
    @step(retry=ONCE)
    async def ship() -> None:
        raise OSError("no lorry")

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        async def order(n: str) -> None:
            async with ctx.saga() as saga:
                saga.add_compensation(note, f"refund {n}")
                await ctx.step(note, f"pay {n}")
                await ctx.sleep(100)
                await ctx.step(ship)

        await (asyncio.gather(order("a"), order("b")) if gathered else order("a"))

    with LocalRunner(handler) as runner:
        execution = runner.start(None, "x")
        runner.run_until_idle()
        runner.advance(10)
        runner.cancel("x")
        runner.run_until_idle()
        assert execution.status == "CANCELLED"
        runner.client.redrive("x")
        runner.advance(1000)
        assert execution.status == "FAILED"
    paid = ["pay a", "pay b"] if gathered else ["pay a"]
    undone = ["refund a", "refund b"] if gathered else ["refund a"]
    assert paid + undone * 2 == EFFECTS


# -- cancellations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", [False, True])
def test_a_def_child_that_took_a_cancellation_is_the_last_to_see_it(typed: bool) -> None:
    seen: list[str] = []

    def stops(c: DurableContext) -> str:
        try:
            c.sleep(100)
        except ExecutionCancelled:
            c.step(effect, "cleaned")
            return "stopped"
        return "full"

    def untyped(c: DurableContext):  # type: ignore[no-untyped-def]
        return stops(c)

    @durable(name="h")
    def handler(event: None, ctx: DurableContext) -> None:
        seen.append(ctx.child(stops if typed else untyped))
        ctx.sleep(50)

    with LocalRunner(handler) as runner:
        execution = runner.start(None)
        runner.run_until_idle()
        runner.cancel(execution.id)
        runner.advance(500)
        assert execution.status == "SUCCEEDED"
    assert set(seen) == {"stopped"}


@pytest.mark.parametrize("in_a_child", [False, True])
def test_a_group_that_aborts_already_takes_no_cancellation_of_the_execution(in_a_child: bool) -> None:
    async def part(c: Ctx) -> str:
        async def cleans() -> None:
            try:
                await c.sleep(1000)
            finally:
                await c.sleep(50)

        async def fails() -> None:
            await c.sleep(10)
            raise ValueError

        with contextlib.suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(cleans())
                group.create_task(fails())
        await c.sleep(500)
        return "went on"

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> str:
        return await (ctx.child(part) if in_a_child else part(ctx))

    with LocalRunner(handler) as runner:
        execution = runner.start(None)
        runner.run_until_idle()
        runner.advance(20)
        runner.cancel(execution.id)
        runner.advance(1000)
        assert execution.status == "CANCELLED"


def test_a_group_that_waits_for_its_tasks_is_told_once() -> None:
    """The error is raised at its end, and what the handler cleans up then is not cancelled again."""

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        async def cleans() -> None:
            try:
                await ctx.sleep(1000)
            finally:
                await ctx.sleep(50)
                await ctx.sleep(50)

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(cleans())
                group.create_task(cleans())
        finally:
            await ctx.step(note, "a")
            await ctx.step(note, "b")

    with LocalRunner(handler) as runner:
        execution = runner.start(None)
        runner.run_until_idle()
        runner.cancel(execution.id)
        runner.advance(1000)
        assert execution.status == "CANCELLED"
    assert EFFECTS == ["a", "b"]


def test_a_turn_that_is_over_is_not_kept_by_its_alarms() -> None:
    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        async with asyncio.timeout(30 * 86_400):
            await ctx.step(asyncio.sleep, 0.001)

    for _ in range(10):
        result_of(handler)
    gc.collect()
    assert sum(isinstance(one, Turn) and one.header.fn == "h" for one in gc.get_objects()) <= 2


# -- what others read ------------------------------------------------------------------------------------------------


def test_wait_for_is_called_the_same_on_every_python() -> None:
    """Up to 3.11 it makes a task, since 3.12 it does not: a runtime is upgraded under live executions."""

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        async def part() -> None:
            await ctx.step(note, "x")
            await asyncio.create_task(ctx.sleep(1))

        async def other() -> None:
            await ctx.step(note, "y")

        await asyncio.wait_for(part(), 1000)
        await asyncio.create_task(other())

    with LocalRunner(handler) as runner:
        ids = [row.id for row in runner.run(None, "x").history]
    assert ids == ["x", "note", "sleep", "sleep", "~1/note", "x"]


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """What handlers of the name "h" log."""
    handler, logger = _Lines(), logging.getLogger("durable_fn.handler.h")
    logger.addHandler(handler)
    yield handler.lines
    logger.removeHandler(handler)


def test_what_follows_a_call_is_logged_and_said(logged: list[str]) -> None:
    @durable(name="callee")
    async def callee(event: None, ctx: Ctx) -> None:
        await ctx.sleep(5)

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        ctx.logger.warning("before")
        await ctx.call(callee, None)
        ctx.logger.warning("after")
        await ctx.set_status("paid")
        await ctx.sleep(100)

    with LocalRunner(handler, callee) as runner:
        assert runner.run(None).custom_status == "paid"
    assert logged == ["before", "after"]


def test_code_that_a_suspension_unwinds_logs_nothing(logged: list[str]) -> None:
    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        try:
            await ctx.sleep(100)
        except asyncio.CancelledError:
            ctx.logger.warning("cancelled")
            raise
        finally:
            ctx.logger.warning("released")

    assert result_of(handler) is None
    assert logged == ["released"]


@pytest.mark.parametrize("dies_at", range(1, 14))
def test_a_status_is_not_lost_in_a_death(dies_at: int) -> None:
    """Two results come together: one is handed out, the status is set, and the process dies."""

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        async def says() -> None:
            await ctx.step(note, "a")
            await ctx.set_status("said")

        await asyncio.gather(says(), ctx.step(note, "b"), ctx.step(note, "c"))
        await ctx.sleep(100)

    with _RunningFan(handler, (), dies_at, False) as runner:
        execution = runner.run(None)
        assert execution.status == "SUCCEEDED"
        assert execution.custom_status == "said"


def test_a_fork_from_the_result_of_a_callback_asks_anew() -> None:
    tokens: list[str] = []

    async def submit(token: str) -> None:
        tokens.append(token)

    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> int:
        return await ctx.wait_for_callback(submit, result_type=int)

    with LocalRunner(handler) as runner:
        runner.start(None, "x")
        runner.run_until_idle()
        runner.complete_callback(tokens.pop(), 1)
        runner.run_until_idle()
        runner.client.fork("x", from_step="callback/result", new_id="y")
        runner.run_until_idle()
        runner.complete_callback(tokens.pop(), 2)
        runner.run_until_idle()
        assert runner.client.result("y") == 2


def test_what_tasks_log_that_the_end_of_the_handler_cancels(logged: list[str]) -> None:
    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        async def left() -> None:
            try:
                await ctx.sleep(100)
            finally:
                ctx.logger.warning("left")

        beside = asyncio.create_task(left())
        await ctx.sleep(0.1)
        assert not beside.done()

    assert result_of(handler) is None
    assert logged == ["left"]


def test_a_child_that_kept_the_deadline_keeps_it_on_a_replay() -> None:
    seen: list[str] = []

    async def part(c: Ctx) -> str:
        try:
            await c.sleep(100)
        except ExecutionTimedOut:
            await c.step(note, "cleaned")
            return "late"
        return "full"

    @durable(name="h", execution_timeout=10)
    async def handler(event: None, ctx: Ctx) -> None:
        seen.append(await ctx.child(part))
        await ctx.sleep(20)

    with LocalRunner(handler) as runner:
        assert runner.run(None).status == "TIMED_OUT"
    assert set(seen) == {"late"}
    assert len(seen) > 1


def test_a_redrive_leaves_alone_what_a_fan_that_was_over_had_tolerated() -> None:
    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> None:
        async def branch(c: Ctx, n: int) -> None:
            if n == 0:
                raise LookupError
            await c.step(note, str(n))

        async def fan() -> None:
            batch = await ctx.map(branch, [0, 1, 2], max_concurrency=2, completion=Completion(max_failures=3))
            assert len(batch.failed) == 1

        await asyncio.gather(fan())
        await ctx.sleep(100)

    with LocalRunner(handler) as runner:
        execution = runner.start(None, "x")
        runner.run_until_idle()
        runner.advance(10)
        runner.cancel("x")
        runner.run_until_idle()
        runner.client.redrive("x")
        runner.advance(1000)
        assert execution.status == "SUCCEEDED"
    assert EFFECTS == ["1", "2"]


def test_what_a_group_refuses_that_shuts_down_is_not_awaited_by_anybody() -> None:
    @durable(name="h")
    async def handler(event: None, ctx: Ctx) -> str:
        async def fails() -> None:
            raise ValueError

        with contextlib.suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(fails())
                try:
                    await ctx.sleep(10)
                finally:
                    with contextlib.suppress(RuntimeError):
                        group.create_task(ctx.sleep(1))
        return "went on"

    assert result_of(handler) == "went on"
