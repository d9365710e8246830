"""Signals, bodies and calls in threads that come beside each other."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from durable_fn import (
    AsyncDurableContext,
    ExecutionCancelled,
    durable,
    step,
)
from durable_fn.runtime.activity import MOST_HELPERS
from durable_fn.testing import LocalRunner
from tests.effects import EFFECTS, effect
from tests.torture.emulator.cloud import MemoryCloud

from .edges import ONCE, PATIENCE, Killed, note, result_of

Ctx = AsyncDurableContext


@pytest.fixture(autouse=True)
def _fresh() -> None:
    EFFECTS.clear()


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


OPEN = threading.Event()


def waits_for_the_opening() -> bool:
    return OPEN.wait(1)


async def nothing() -> None: ...


async def opens() -> None:
    OPEN.set()


@durable(name="crowded")
async def crowded(event: None, ctx: AsyncDurableContext) -> bool:
    """More threads of the handler's own than asyncio's executor has, until a step has run."""
    crowd = [asyncio.create_task(asyncio.to_thread(waits_for_the_opening)) for _ in range(40)]
    await ctx.step(nothing)
    await ctx.step(opens)
    return all(await asyncio.gather(*crowd))


def test_a_journal_writes_though_all_of_asyncios_threads_are_busy() -> None:
    OPEN.clear()
    with MemoryCloud() as cloud:
        cloud.attach(crowded)
        id = cloud.client.start(crowded, None)
        cloud.run(id)
        assert cloud.client.result(id) is True


class Crowd:
    """How many `def` bodies ran at once."""

    lock = threading.Lock()
    running = 0
    most = 0
    too_many = threading.Event()


def joins(n: int) -> int:
    with Crowd.lock:
        Crowd.running += 1
        Crowd.most = max(Crowd.most, Crowd.running)
        if Crowd.running > MOST_HELPERS:
            Crowd.too_many.set()
    Crowd.too_many.wait(0.05)  # the others join meanwhile
    with Crowd.lock:
        Crowd.running -= 1
    return n


@durable(name="joined")
async def joined(event: None, ctx: AsyncDurableContext) -> int:
    return sum(await asyncio.gather(*(ctx.step(joins, n) for n in range(MOST_HELPERS + 9))))


def test_a_body_begins_once_it_has_a_thread() -> None:
    """Its timeout counts from then."""
    Crowd.most = 0
    with LocalRunner(joined) as runner:
        assert runner.run(None).result == sum(range(MOST_HELPERS + 9))
    assert Crowd.most == MOST_HELPERS
