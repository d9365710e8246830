"""Branches that meet: on threads that are switched all the time, and on a clock that does not wait for them."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from durable_fn import (
    AsyncDurableContext,
    Completion,
    DurableContext,
    DurableFunction,
    SignalTimeout,
    durable,
    step,
)
from durable_fn.backends.clocks import SystemClock
from durable_fn.testing import LocalRunner


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads are switched a thousand times as often as usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)


def remote(runner: LocalRunner[Any, Any]) -> LocalRunner[Any, Any]:
    """Its journal is treated as one over a network: requests go through threads, commits gather."""
    runner.backend.store.local = False
    return runner


def same(value: Any) -> Any:
    return value


@pytest.mark.usefixtures("restless")
def test_a_signal_goes_to_one_branch() -> None:
    @durable(name="drains")
    def drains(event: int, ctx: DurableContext) -> Any:
        return sorted(ctx.map(lambda c, n: c.wait_for_signal("s"), range(event)).results)

    for _ in range(25):
        with LocalRunner(drains) as runner:
            execution = runner.start(16, "x")
            for n in range(16):
                runner.signal("x", "s", n)
            runner.run_until_idle()
            assert execution.result == list(range(16))


def probe(ctx: DurableContext) -> list[str]:
    found = []
    for _ in range(5):
        try:
            found.append(ctx.wait_for_signal("s", timeout=0))
        except SignalTimeout:
            found.append("none")
    return found


def busy(ctx: DurableContext) -> int:
    return sum(ctx.step(same, n) for n in range(10))


async def a_probe(ctx: AsyncDurableContext) -> list[str]:
    found = []
    for _ in range(5):
        try:
            found.append(await ctx.wait_for_signal("s", timeout=0))
        except SignalTimeout:
            found.append("none")
    return found


async def a_busy(ctx: AsyncDurableContext) -> int:
    return sum([await ctx.step(same, n) for n in range(10)])


@durable(name="probes")
def probes(event: Any, ctx: DurableContext) -> Any:
    return [ctx.parallel([probe, busy, busy]).results for _ in range(4)]


@durable(name="probes")
async def a_probes(event: Any, ctx: AsyncDurableContext) -> Any:
    return [(await ctx.parallel([a_probe, a_busy, a_busy])).results for _ in range(4)]


@pytest.mark.usefixtures("restless")
@pytest.mark.parametrize("function", [probes, a_probes], ids=["def", "async def"])
def test_a_decision_is_not_written_by_a_siblings_commit(function: DurableFunction[Any, Any]) -> None:
    with remote(LocalRunner(function)) as runner:
        assert runner.run(None).result == [[["none"] * 5, 45, 45]] * 4


@pytest.mark.usefixtures("restless")
def test_branches_look_things_up_while_others_record() -> None:
    def branch(ctx: DurableContext, n: int) -> int:
        return sum(ctx.step(step(same, name=f"{n}-{m}"), m) for m in range(4))

    @durable(name="wide")
    def wide(event: int, ctx: DurableContext) -> Any:
        ctx.sleep(1)
        first = ctx.map(branch, range(event)).results
        ctx.sleep(10)
        return first + ctx.map(branch, range(event)).results

    for _ in range(8):
        with remote(LocalRunner(wide)) as runner:
            assert runner.run(30).result == [6] * 60


def test_a_branch_that_is_due_does_not_wait_for_its_siblings_body() -> None:
    """On the real clock: the body ends only when the other branch has gone on."""
    went_on = threading.Event()

    def long_body() -> bool:
        return went_on.wait(20)

    def naps(ctx: DurableContext) -> str:
        ctx.sleep(0.05)
        went_on.set()
        return "due"

    def works(ctx: DurableContext) -> bool:
        return ctx.step(long_body)

    @durable(name="both")
    def both(event: Any, ctx: DurableContext) -> Any:
        return ctx.parallel([naps, works]).results

    with LocalRunner(both) as runner:
        clock = SystemClock()
        runner._clock, runner.backend.clock = clock, clock  # type: ignore[assignment]
        execution = runner.start(None)
        runner.run_until_idle()
        assert execution.result == ["due", True]


def lies(ctx: DurableContext) -> int:
    ctx.step(same, 1)
    return "no number"  # type: ignore[return-value]


async def a_lies(ctx: AsyncDurableContext) -> int:
    await ctx.step(same, 1)
    return "no number"  # type: ignore[return-value]


@durable(name="lied to")
def lied_to(event: Any, ctx: DurableContext) -> Any:
    batch = ctx.parallel([lies], completion=Completion.all_settled())
    seen = [[item.status, item.result, type(item.error).__name__] for item in batch]
    ctx.sleep(100)
    return seen


@durable(name="lied to")
async def a_lied_to(event: Any, ctx: AsyncDurableContext) -> Any:
    batch = await ctx.parallel([a_lies], completion=Completion.all_settled())
    seen = [[item.status, item.result, type(item.error).__name__] for item in batch]
    await ctx.sleep(100)
    return seen


@pytest.mark.parametrize("function", [lied_to, a_lied_to], ids=["def", "async def"])
def test_a_result_that_does_not_fit_fails_the_branch_the_same_on_replay(function: DurableFunction[Any, Any]) -> None:
    with LocalRunner(function) as runner:
        execution = runner.run(None)
        assert execution.result == [["FAILED", None, "SerializationError"]]
        assert execution.invocations == 2
