"""What the fuzzer found: small async programs that once went another way in a replay than in their first run, one per cause."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

import pytest

from durable_fn import AsyncDurableContext, durable
from durable_fn.testing import LocalRunner, replay
from tests.fuzz.checks import problems_everywhere
from tests.fuzz.life import silent
from tests.fuzz.nodes import Case, Node

Ctx = AsyncDurableContext
STEP = Node("step")


def _case(*program: Node, **what: Any) -> Case:
    return Case(list(program), **what)


FAIL, FLAKY = Node("fail", flag=True), Node("flaky", 3)
FOUND = {
    "a native timer fired while a decision was being written": _case(
        Node("spoiled", 4, blocks=([Node("timeout", 4, blocks=([Node("signal", 4, "a")],)), STEP],))
    ),
    "a fan that was over was cancelled once more in a replay": _case(
        Node("parallel", 1, "ratio", ([Node("sleep", 5)], [Node("swallowed", blocks=([Node("callback", 8)],))])),
        Node("saga", blocks=([STEP],)),
        cancelled_at=4.2,
        always_suspend=True,
    ),
    "two native timers for one moment fired in another order": _case(
        Node(
            "first",
            blocks=(
                [Node("reminded", 2, "a")],
                [Node("spoiled", 4, blocks=([STEP],)), Node("wait_for", 1, blocks=([FLAKY],))],
            ),
        ),
        FLAKY,
    ),
    "a branch began too early in a replay, and so did its timer": _case(
        Node(
            "parallel",
            1,
            "ratio",
            (
                [FAIL, Node("flaky", 1)],
                [Node("reminded", 2, "a")],
                [Node("timeout", 1, blocks=([STEP, STEP],)), Node("signal", 9, "a")],
            ),
            2,
            True,
        )
    ),
    "the end of a branch was written, and its fan was cancelled": _case(
        FAIL, Node("first", blocks=([STEP], [Node("map", 1, "ratio", ([Node("now")], [STEP]), 2, True)]))
    ),
    "and the next branch had begun in its place": _case(
        FAIL, Node("first", blocks=([STEP], [Node("map", 1, "ratio", ([Node("now")], [STEP]), 1, True)]))
    ),
    "a part of an operation was written, and the operation was cancelled": _case(
        FAIL, Node("first", blocks=([Node("first", blocks=([Node("callback", 8)],))], [STEP]))
    ),
    "the last sleep woke late, and the handler looked at the time": _case(
        STEP, Node("callback", 3), FAIL, Node("sleep", 11), Node("now")
    ),
}


@pytest.mark.parametrize("found", FOUND)
def test_found(found: str) -> None:
    with silent():
        assert not problems_everywhere(FOUND[found], "async")


async def work(x: Any) -> Any:
    return x


class SlowDecisions:
    """A journal whose decisions take longer than the timers that are due with them are late."""

    local = False

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def decide(self, *args: Any) -> Any:
        threading.Event().wait(0.02)
        return self._store.decide(*args)


def replays(handler: Any, change: Callable[[LocalRunner[Any, Any]], None] | None = None) -> Any:
    """The result of a run, which its history must replay to."""
    with LocalRunner(handler) as runner:
        if change is not None:
            change(runner)
        execution = runner.start(None)
        runner.run_until_idle()
        runner.advance(2000)
        assert execution.status == "SUCCEEDED", execution.error
        assert replay(handler, execution.history) == execution.result
        return execution.result


def test_timers_for_one_moment_fire_in_the_order_in_which_they_were_set() -> None:
    @durable(name="together")
    async def handler(event: Any, ctx: Ctx) -> Any:
        """A signal's timeout, a sleep and a native timer are due at one moment."""

        async def limited() -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(4):
                    await ctx.wait_for_signal("x", timeout=4)
            await ctx.step(work, 1)

        async def spoils() -> None:
            await ctx.sleep(4)
            raise ValueError("spoiled")

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(limited())
                group.create_task(spoils())
        except ExceptionGroup as errors:
            return [type(error).__name__ for error in errors.exceptions]

    def slow(runner: LocalRunner[Any, Any]) -> None:
        runner._backend.store = SlowDecisions(runner._journal)  # type: ignore[assignment]

    assert replays(handler, slow) == ["ValueError"], "the native timer was set first, and leaves nothing of the wait"


def test_a_result_waits_until_what_a_timer_set_off_has_come_to_rest() -> None:
    @durable(name="settles")
    async def handler(event: Any, ctx: Ctx) -> Any:
        loop, awaited, seen = asyncio.get_running_loop(), asyncio.Event(), []

        async def body() -> None:
            await awaited.wait()

        async def stepping() -> None:
            await ctx.step(body)
            seen.append("step")

        async def sleeping() -> None:
            try:
                await ctx.sleep(1000)
            except asyncio.CancelledError:
                seen.append("cancelled")

        def over() -> None:
            """The body ends first, and the task is cancelled a few rounds of the loop later."""
            awaited.set()
            loop.call_soon(loop.call_soon, loop.call_soon, loop.call_soon, asleep.cancel)

        asleep = asyncio.create_task(sleeping())
        loop.call_later(0.01, over)
        await asyncio.gather(asleep, stepping())
        await ctx.sleep(10)
        return seen

    assert replays(handler) == ["cancelled", "step"]


def test_a_fan_that_is_over_early_reaches_the_handler_at_its_place() -> None:
    @durable(name="early")
    async def handler(event: Any, ctx: Ctx) -> Any:
        async def raced() -> None:
            await ctx.race([lambda c: c.step(work, 1), lambda c: c.sleep(1000)])

        async def stepped() -> None:
            for n in range(20):
                await ctx.step(work, n)
                seen.append(n)

        seen: list[int] = []
        tasks = [asyncio.create_task(raced()), asyncio.create_task(stepped())]
        _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        await ctx.sleep(10)
        return seen

    replays(handler)


def test_the_last_sleeps_end_in_the_order_in_which_they_ended() -> None:
    @durable(name="sleeps")
    async def handler(event: Any, ctx: Ctx) -> Any:
        seen: list[int] = []

        async def sleeping(seconds: int) -> None:
            await ctx.sleep(seconds)
            seen.append(seconds)

        await asyncio.gather(sleeping(20), sleeping(10), sleeping(15))
        return seen

    with LocalRunner(handler) as runner:
        execution = runner.start(None)
        runner.run_until_idle()
        runner._clock.advance_to(runner._clock.now() + 100_000)  # no wake-up came in between
        runner.run_until_idle()
        assert execution.result == [10, 15, 20]
        assert replay(handler, execution.history) == [10, 15, 20]
