"""Fans with very many branches, and with no threads to spare."""

from __future__ import annotations

import sys
import threading
import time
import tracemalloc
from typing import Any

import pytest

from durable_fn import AsyncDurableContext, DurableContext, durable
from durable_fn.runtime.activity import MOST_HELPERS
from durable_fn.testing import LocalRunner, replay


def work(x: Any) -> Any:
    return x


@durable(name="sleepers")
def sleepers(event: int, ctx: DurableContext) -> int:
    def one(c: DurableContext, n: int) -> int:
        c.sleep(100 + n % 7)
        return n

    return len(ctx.map(one, range(event)).results)


def test_branches_that_waited_go_on_beside_each_other() -> None:
    together = threading.Barrier(4)

    def meet(n: int) -> int:
        together.wait(20)
        return n

    @durable(name="sleepers")
    def handler(event: None, ctx: DurableContext) -> list[int]:
        def one(c: DurableContext, n: int) -> int:
            c.sleep(0.1)
            return c.step(meet, n)

        return ctx.map(one, range(4)).results

    with LocalRunner(handler) as runner:
        assert runner.run(None).result == [0, 1, 2, 3]


def test_ten_thousand_branches_that_wait_cost_once_each() -> None:
    """Work that grew with the square would be five times as much per branch."""
    costs = []
    for count in (2_000, 10_000):
        with LocalRunner(sleepers) as runner:
            began = time.process_time()
            assert runner.run(count).result == count
            costs.append((time.process_time() - began) / count)
    assert costs[1] < 2.5 * costs[0], costs


def test_ten_thousand_branches_that_wait_take_little_memory_and_few_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    started = 0
    start = threading.Thread.start

    def counted(thread: threading.Thread) -> None:
        nonlocal started
        started = max(started, sum(t.name.startswith("branch of") for t in threading.enumerate()))
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", counted)
    tracemalloc.start()
    try:
        with LocalRunner(sleepers) as runner:
            assert runner.run(10_000).result == 10_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 60_000_000, f"{peak / 1e6:.0f} MB"
    assert started <= MOST_HELPERS


def test_a_race_of_thousands_of_waiting_losers() -> None:
    @durable(name="losers")
    def handler(event: int, ctx: DurableContext) -> Any:
        def one(c: DurableContext, n: int) -> int:
            c.sleep(10 if n == 0 else 1000)
            return n

        return list(ctx.race([lambda c, n=n: one(c, n) for n in range(event)]))

    with LocalRunner(handler) as runner:
        execution = runner.run(2_000)
        assert execution.result == [0, 0]
        assert replay(handler, execution.history) == [0, 0]


def test_where_no_thread_can_be_started_the_branches_run_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    @durable(name="alone")
    def handler(event: Any, ctx: DurableContext) -> Any:
        def one(c: DurableContext, n: int) -> int:
            return sum(c.map(lambda c, m: c.step(work, n * m), range(3)).results)

        first = sum(ctx.map(one, range(50)).results)
        return first + sum(ctx.map(one, range(50)).results)

    monkeypatch.setattr(threading.Thread, "start", refused)
    with LocalRunner(handler) as runner:
        assert runner.run(None).result == 2 * sum(n * m for n in range(50) for m in range(3))


@durable(name="signals")
def signals(event: int, ctx: DurableContext) -> Any:
    return sorted(ctx.map(lambda c, n: c.wait_for_signal("x"), range(event)).results)


@durable(name="signals")
async def a_signals(event: int, ctx: AsyncDurableContext) -> Any:
    return sorted((await ctx.map(lambda c, n: c.wait_for_signal("x"), range(event))).results)


@pytest.mark.parametrize("handler", [signals, a_signals])
def test_branches_that_wait_for_the_same_signals_are_woken_as_they_come(handler: Any) -> None:
    with LocalRunner(handler) as runner:
        execution = runner.start(40)
        runner.run_until_idle()
        for first in (0, 1, 20):
            for n in range(first, {0: 1, 1: 20, 20: 40}[first]):
                runner.signal(execution.id, "x", n)
            runner.run_until_idle()
        assert execution.result == list(range(40))


@durable(name="threads")
async def threads(event: int, ctx: AsyncDurableContext) -> int:
    return len((await ctx.map(lambda c, n: c.step(abs, n), range(event))).results)


def calls_for(items: int) -> int:
    """Of Python functions in the thread that moves the handler."""
    counted = [0]

    def count(frame: object, kind: str, value: object) -> None:
        counted[0] += kind == "call"

    with LocalRunner(threads) as runner:
        sys.setprofile(count)
        try:
            assert runner.run(items).result == items
        finally:
            sys.setprofile(None)
    return counted[0]


def test_bodies_that_wait_for_a_thread_are_not_looked_at_again_and_again() -> None:
    """31 run at a time. To look through all others whenever one ends would cost more for each, the more there are."""
    calls_for(10)
    assert calls_for(1200) / 1200 < 1.6 * calls_for(300) / 300
