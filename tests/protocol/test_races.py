"""Two invocations at the same instant, fans on DynamoDB, and what they cost."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest

from durable_fn import AsyncDurableContext, DurableContext, DurableFunction, durable
from durable_fn.log.header import Header, Refusal
from durable_fn.testing.cloud import LocalCloud
from tests.intercepted import Bench

RAN: Counter[str] = Counter()
_lock = threading.Lock()


def ran(what: str) -> str:
    with _lock:
        RAN[what] += 1
    return what


@durable(name="raced")
def raced(event: Any, ctx: DurableContext) -> str:
    return ctx.step(ran, f"{ctx.execution_id} a") + ctx.step(ran, f"{ctx.execution_id} b")


@durable(name="raced")
async def a_raced(event: Any, ctx: AsyncDurableContext) -> str:
    return await ctx.step(ran, f"{ctx.execution_id} a") + await ctx.step(ran, f"{ctx.execution_id} b")


@pytest.mark.parametrize("function", [raced, a_raced], ids=["sync", "async"])
def test_two_invocations_at_the_same_instant_five_hundred_times(function: DurableFunction[Any, Any]) -> None:
    RAN.clear()
    bench = Bench(function)
    times = 500
    for n in range(times):
        bench.start(id=f"x{n}")
    barrier = threading.Barrier(2)
    replies: list[list[Header | Refusal]] = [[], []]

    def invoke(which: int) -> None:
        for n in range(times):
            barrier.wait()
            replies[which].append(bench.resume(id=f"x{n}"))

    threads = [threading.Thread(target=invoke, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n in range(times):
        assert bench.header(f"x{n}").status == "SUCCEEDED"
        both = [replies[0][n], replies[1][n]]
        quiet = [reply.reason for reply in both if isinstance(reply, Refusal)]
        assert len(quiet) == 1, both
        assert quiet[0] in ("held", "finished")
    assert set(RAN.values()) == {1}
    assert len(RAN) == 2 * times


def item(ctx: DurableContext, n: int) -> int:
    return ctx.step(lambda: n)


@durable(name="wide")
def wide(event: int, ctx: DurableContext) -> int:
    return sum(ctx.map(item, range(event)).results)


async def a_item(ctx: AsyncDurableContext, n: int) -> int:
    async def body() -> int:
        return n

    return await ctx.step(body)


@durable(name="wide")
async def a_wide(event: int, ctx: AsyncDurableContext) -> int:
    return sum((await ctx.map(a_item, range(event))).results)


@pytest.mark.parametrize("function", [wide, a_wide], ids=["sync", "async"])
def test_a_wide_map_shares_its_writes(function: DurableFunction[Any, Any]) -> None:
    """At most a tenth of what one write per step would be."""
    with LocalCloud() as cloud:
        cloud.attach(function)
        answer = cloud.invoke(function, 1000)
        assert (answer["status"], answer["result"]) == ("SUCCEEDED", 499_500)
        writes = [request for request in cloud.requests if request.is_write]
        assert len(writes) <= 100


@pytest.mark.parametrize("function", [wide, a_wide], ids=["sync", "async"])
def test_ten_thousand_items_in_bounded_threads(function: DurableFunction[Any, Any]) -> None:
    bench = Bench(function)
    bench.start("10000")
    most = [0]
    append = bench.sqlite.append

    def counting(*args: Any) -> bool:
        most[0] = max(most[0], threading.active_count())
        return append(*args)

    before = threading.active_count()
    bench.sqlite.append = counting  # type: ignore[method-assign]
    header = bench.resume(timeout=900)
    assert header.result == str(sum(range(10_000)))
    assert most[0] - before <= 40
