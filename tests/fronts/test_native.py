"""Native asyncio over durable operations: gather, TaskGroup, wait_for, timeout, wait, as_completed, cancellation."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from durable_fn import AsyncDurableContext, RetryPolicy, StepError, durable, step
from durable_fn.runtime.aio.loop import DurableLoop
from durable_fn.testing import LocalRunner, crash_everywhere
from tests.effects import EFFECTS, add, effect

Ctx = AsyncDurableContext


async def at_once(a: int) -> int:
    """In no thread: those that begin together end together, and a death finds all of their results recorded, or none."""
    return add(a)


async def branch(ctx: Ctx, i: int) -> int:
    first = await ctx.step(at_once, i)
    await ctx.sleep(10 * (3 - i))
    return await ctx.step(at_once, first)


async def over_gather(event: Any, ctx: Ctx) -> Any:
    return await asyncio.gather(*(branch(ctx, i) for i in range(3)))


async def over_steps(event: Any, ctx: Ctx) -> Any:
    return await asyncio.gather(*(ctx.step(add, i) for i in range(3)), ctx.sleep(50), ctx.step(add, 7))


async def over_group(event: Any, ctx: Ctx) -> Any:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(branch(ctx, i)) for i in range(3)]
        await ctx.step(add, 100)
    return [task.result() for task in tasks] + [await ctx.step(add, 200)]


async def over_nested(event: Any, ctx: Ctx) -> Any:
    async def outer(i: int) -> list[int]:
        return await asyncio.gather(branch(ctx, i), branch(ctx, i + 1))

    return await asyncio.gather(outer(0), outer(1))


async def over_wait_for(event: Any, ctx: Ctx) -> Any:
    kept = await asyncio.wait_for(ctx.step(add, 1), 5)
    try:
        await asyncio.wait_for(ctx.sleep(1000), 7)
        late = "slept"
    except TimeoutError:
        late = "timeout"
    await ctx.sleep(60)
    return [kept, late, await asyncio.wait_for(branch(ctx, 1), 100), await ctx.step(add, 9)]


async def over_timeout(event: Any, ctx: Ctx) -> Any:
    done = []
    try:
        async with asyncio.timeout(100):
            for i in range(5):
                await ctx.sleep(30)
                done.append(await ctx.step(add, i))
    except TimeoutError:
        done.append(await ctx.step(add, 50))
    await ctx.sleep(3600)
    return done


async def over_first(event: Any, ctx: Ctx) -> Any:
    """Which branch is first decides the way, so replay must hand results out in the recorded order."""
    tasks = [asyncio.ensure_future(branch(ctx, i)) for i in range(3)]
    order = []
    pending = set(tasks)
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in sorted(done, key=tasks.index):
            order.append(await ctx.step(add, 10 * task.result()))
    return order


async def over_as_completed(event: Any, ctx: Ctx) -> Any:
    order = []
    for future in asyncio.as_completed([asyncio.create_task(branch(ctx, i)) for i in range(3)]):
        order.append(await ctx.step(add, await future))
    return order


async def over_failure(event: Any, ctx: Ctx) -> Any:
    """A failing branch cancels its siblings, which wait; the group's error is handled, and the journal goes on."""
    cleaned: list[str] = []

    async def waits(i: int) -> None:
        try:
            await ctx.sleep(500 + i)
        finally:
            cleaned.append(f"{i}")

    async def fails() -> None:
        await ctx.sleep(20)
        await ctx.step(step(broken, retry=RetryPolicy(max_attempts=1)))

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(waits(1))
            group.create_task(fails())
            group.create_task(waits(2))
    except* StepError as errors:
        caught = [error.error_type for error in errors.exceptions if isinstance(error, StepError)]
    await ctx.sleep(100)
    return [caught, sorted(cleaned), await ctx.step(add, 1)]


def broken() -> None:
    raise ZeroDivisionError("broken")


async def over_cancel(event: Any, ctx: Ctx) -> Any:
    async def long() -> int:
        await ctx.step(add, 0)
        await ctx.sleep(10_000_000)
        return 0

    task = asyncio.ensure_future(long())
    await ctx.sleep(5)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return await ctx.step(add, 3)
    return None


async def over_body_sleep(event: Any, ctx: Ctx) -> Any:
    """Plain asyncio waits between durable operations."""
    await asyncio.sleep(0.002)
    first = await ctx.step(add, 1)
    await asyncio.gather(asyncio.sleep(0.001), ctx.step(add, first))
    await ctx.sleep(30)
    return await ctx.step(add, first)


SHAPES: list[tuple[Callable[[Any, Ctx], Coroutine[Any, Any, Any]], Any]] = [
    (over_gather, [2, 3, 4]),
    (over_steps, [1, 2, 3, None, 8]),
    (over_group, [2, 3, 4, 201]),
    (over_nested, [[2, 3], [3, 4]]),
    (over_wait_for, [2, "timeout", 3, 10]),
    (over_timeout, [1, 2, 3, 51]),
    (over_first, [41, 31, 21]),
    (over_as_completed, [5, 4, 3]),
    (over_failure, [["ZeroDivisionError"], ["1", "2"], 2]),
    (over_cancel, 4),
    (over_body_sleep, 3),
]
every_shape = pytest.mark.parametrize(("shape", "expected"), SHAPES, ids=lambda x: getattr(x, "__name__", ""))


@every_shape
def test_result(shape: Any, expected: Any) -> None:
    with LocalRunner(durable(shape)) as runner:
        execution = runner.run(None)
        assert execution.result == expected
        bodies = [e for e in execution.history if e.kind == "step" and e.status == "SUCCEEDED"]
        assert len(EFFECTS) == len(bodies), "no body ran twice"


@every_shape
def test_the_process_may_die_anywhere(shape: Any, expected: Any) -> None:
    report = crash_everywhere(durable(shape), None)
    assert report.ok, report


def test_as_completed_over_bare_coroutines_is_refused() -> None:
    """It makes tasks of them in the order of their addresses: replay would hand the results to the wrong branches."""

    async def shuffled(event: Any, ctx: Ctx) -> Any:
        branches = [branch(ctx, i) for i in range(3)]
        try:
            return [await future for future in asyncio.as_completed(branches)]
        finally:
            for coroutine in branches:
                coroutine.close()

    with LocalRunner(durable(shuffled)) as runner:
        error = runner.run(None).error
    assert isinstance(error, RuntimeError)
    assert "create_task" in str(error)


def test_as_completed_inside_a_step_body_is_nobody_elses_business() -> None:
    async def one(i: int) -> int:
        return i

    async def body() -> int:
        return sum([await future for future in asyncio.as_completed([one(1), one(2)])])

    async def handler(event: Any, ctx: Ctx) -> int:
        return await ctx.step(body)

    with LocalRunner(durable(handler)) as runner:
        assert runner.run(None).result == 3


def test_what_asyncio_is_asked_for() -> None:
    """These are asyncio's own: they must stay what the loop takes them for."""
    loop = DurableLoop()
    assert loop.is_idle
    assert not loop.expects_something

    async def inside() -> None:
        assert loop._thread_id == threading.get_ident()
        assert asyncio.gather(loop.create_future())._children

    loop.run_until_complete(inside())
    assert isinstance(loop._asyncgens, weakref.WeakSet)
    loop.close()


@pytest.mark.parametrize("shape", [over_gather, over_first, over_wait_for, over_group])
def test_on_aws(shape: Any, aws_world: Any) -> None:
    expected = dict(SHAPES)[shape]
    id = aws_world.run(durable(shape), None)
    assert aws_world.client.result(id) == expected


def test_replay_does_not_depend_on_how_long_bodies_take() -> None:
    """The first run's order is decided by real time; every later turn replays it, twenty times over."""

    async def slow(i: int) -> int:
        await asyncio.sleep(0.002 * ((i * 7) % 5))
        return i

    @durable
    async def race(event: Any, ctx: Ctx) -> list[list[int]]:
        rounds = []
        for _ in range(4):
            tasks = [asyncio.ensure_future(ctx.step(slow, i)) for i in range(5)]
            done, _pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            rounds.append(sorted(task.result() for task in done))
            await asyncio.gather(*tasks)
            await ctx.sleep(100)
        return rounds

    for _ in range(5):
        with LocalRunner(race) as runner:
            execution = runner.run(None)
            assert execution.status == "SUCCEEDED", execution.error
            assert execution.invocations == 5


def test_a_waiting_branch_does_not_hold_up_a_running_one() -> None:
    seen: list[str] = []

    async def slow() -> str:
        await asyncio.sleep(0.01)
        seen.append("body")
        return "body"

    @durable
    async def both(event: Any, ctx: Ctx) -> Any:
        async def naps() -> str:
            await ctx.sleep(3600)
            seen.append("woke")
            return "nap"

        return await asyncio.gather(naps(), ctx.step(slow))

    with LocalRunner(both) as runner:
        assert runner.run(None).result == ["nap", "body"]
    assert seen == ["body", "woke"], "the body was finished before the execution was suspended"


def test_def_steps_run_in_worker_threads() -> None:
    @durable
    async def threads(event: Any, ctx: Ctx) -> list[bool]:
        main = threading.get_ident()
        barrier = threading.Barrier(3, timeout=5)

        def body() -> bool:
            barrier.wait()
            return threading.get_ident() != main

        return await asyncio.gather(*(ctx.step(body) for _ in range(3)))

    with LocalRunner(threads) as runner:
        assert runner.run(None).result == [True, True, True]


def test_the_loop_is_kept_between_invocations() -> None:
    loops = []

    @durable
    async def keeps(event: Any, ctx: Ctx) -> None:
        loops.append(asyncio.get_running_loop())
        await ctx.sleep(60)

    with LocalRunner(keeps) as runner:
        runner.run(None)
        runner.run(None)
    assert len(loops) == 4
    assert len(set(loops)) == 1


def test_a_handler_may_be_called_inside_a_running_loop() -> None:
    @durable
    async def inner(event: int, ctx: Ctx) -> int:
        return await ctx.step(add, event)

    async def main() -> Any:
        with LocalRunner(inner) as runner:
            return runner.invoke(4)["result"]

    assert asyncio.run(main()) == 5


def test_tasks_that_nobody_awaits_are_cleaned_up() -> None:
    seen = []

    @durable
    async def forgetful(event: Any, ctx: Ctx) -> int:
        async def forgotten() -> None:
            try:
                await ctx.sleep(1000)
            finally:
                seen.append("cleaned")

        task = asyncio.ensure_future(forgotten())
        await ctx.step(add, 1)
        return 1 + (task is None)

    with LocalRunner(forgetful) as runner:
        execution = runner.run(None)
        assert execution.result == 1
    assert seen == ["cleaned"]


def test_context_managers_of_the_handler_are_left_at_a_suspension() -> None:
    seen: list[str] = []

    class Client:
        async def __aenter__(self) -> None:
            seen.append("open")

        async def __aexit__(self, *exc: object) -> None:
            await asyncio.sleep(0)
            seen.append("closed")

    @durable
    async def manages(event: Any, ctx: Ctx) -> None:
        async with Client():
            await ctx.sleep(60)

    with LocalRunner(manages) as runner:
        assert runner.run(None).status == "SUCCEEDED"
    assert seen == ["open", "closed"] * 2


def test_step_timeouts_measure_the_present_also_after_a_long_absence() -> None:
    """A turn that resumes days later replays at the journal's time; the body's timeout runs from now."""

    @step(timeout=5)
    async def quick() -> str:
        await asyncio.sleep(0.001)
        return effect("quick")

    @durable
    async def waits(event: Any, ctx: Ctx) -> str:
        await asyncio.gather(ctx.sleep(86_400), ctx.step(add, 1))
        return await ctx.step(quick)

    with LocalRunner(waits) as runner:
        assert runner.run(None).result == "quick"


def test_real_clock_parks_end_while_siblings_run() -> None:
    """On the real clock a branch whose short sleep is over goes on while its sibling's body still runs."""
    from durable_fn.testing.lambda_context import FakeLambdaContext
    from durable_fn.wiring import sqlite, using

    order: list[str] = []

    async def slow() -> None:
        await asyncio.sleep(0.25)
        order.append("body")

    @durable
    async def both(event: Any, ctx: Ctx) -> None:
        async def naps() -> None:
            await ctx.sleep(0.02)
            order.append("woke")

        await asyncio.gather(naps(), ctx.step(slow))

    backend = sqlite(":memory:")
    with using(backend):
        assert both(None, FakeLambdaContext(backend.clock))["status"] == "SUCCEEDED"
    assert order == ["woke", "body"]


def test_many_branches_share_segments_and_threads() -> None:
    @durable
    async def wide(event: int, ctx: Ctx) -> int:
        return sum(await asyncio.gather(*(ctx.step(add, i) for i in range(event))))

    with LocalRunner(wide) as runner:
        before = threading.active_count()
        assert runner.run(300).result == sum(range(1, 301))
        # A thread whose body has ended may not be idle yet when the next body begins, and the pool then makes one more.
        assert threading.active_count() - before < 150


def test_a_removed_concurrent_operation_is_caught() -> None:
    removed = False

    @durable
    async def changes(event: Any, ctx: Ctx) -> None:
        async def one() -> None:
            await ctx.sleep(10)
            if not removed:
                await ctx.step(add, 1)

        async def other() -> None:
            await ctx.sleep(20)
            await ctx.step(add, 2)

        await asyncio.gather(one(), other())
        await ctx.sleep(100)

    with LocalRunner(changes) as runner:
        execution = runner.start(None)
        runner.advance(30)
        removed = True
        runner.advance(100)
        assert execution.status == "SUSPENDED"
        assert "no longer matches" in str(execution.error)
        assert "step '~1/add'" in str(execution.error)
        removed = False
        runner.advance(3600)
        assert execution.status == "SUCCEEDED"


@durable(name="waited_for")
async def waited_for(event: None, ctx: Ctx) -> int:
    async def adds() -> int:
        return await ctx.step(add, 1)

    return await asyncio.wait_for(adds(), 5)


def test_wait_for_takes_no_number_of_a_task() -> None:
    """On Python 3.11 it makes a task and on later ones it does not: one reads the journal of the other."""
    with LocalRunner(waited_for) as runner:
        assert [entry.id for entry in runner.run(None).history if entry.kind == "step"] == ["add"]
