"""Code that no longer matches the journal is caught in every direction, says what to do, and harms nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from durable_fn import AsyncDurableContext, DurableContext, DurableFunction, durable, step
from durable_fn.errors import NonDeterminismError
from durable_fn.testing import Execution, LocalRunner
from tests.effects import EFFECTS, effect

Plan = list[tuple[str, str]]

OLD: Plan = [("step", "a"), ("step", "b"), ("sleep", "nap"), ("step", "c")]
RECORDED = 3  # a, b and the beginning of the nap are in the journal when the code changes


def handlers(plan: Callable[[], Plan]) -> list[DurableFunction[Any, Any]]:
    """A handler in each front that does what the plan says."""

    @durable(name="plan")
    def sync(event: Any, ctx: DurableContext) -> str:
        for kind, name in plan():
            if kind == "step":
                ctx.step(step(effect, name=name), name)
            else:
                ctx.sleep(timedelta(hours=1), name=name)
        return "done"

    @durable(name="plan")
    async def asyn(event: Any, ctx: AsyncDurableContext) -> str:
        for kind, name in plan():
            if kind == "step":
                await ctx.step(step(effect, name=name), name)
            else:
                await ctx.sleep(timedelta(hours=1), name=name)
        return "done"

    return [sync, asyn]


CHANGES: list[tuple[str, Plan, str, str, int]] = [
    ("changed kind", [("step", "a"), ("sleep", "b"), ("sleep", "nap"), ("step", "c")], "step 'b'", "sleep 'b'", 1),
    ("changed name", [("step", "a"), ("step", "B"), ("sleep", "nap"), ("step", "c")], "step 'b'", "step 'B'", 1),
    ("changed first name", [("step", "A"), ("step", "b"), ("sleep", "nap"), ("step", "c")], "step 'a'", "step 'A'", 0),
    ("removed in the middle", [("step", "a"), ("sleep", "nap"), ("step", "c")], "step 'b'", "sleep 'nap'", 1),
    ("removed at the end", [("step", "a"), ("step", "b")], "sleep 'nap'", "the end of the handler", 2),
    ("removed everything", [], "step 'a'", "the end of the handler", 0),
    ("added before", [("step", "new"), *OLD], "step 'a'", "step 'new'", 0),
    ("added in the middle", [OLD[0], ("step", "new"), *OLD[1:]], "step 'b'", "step 'new'", 1),
    ("added twin", [OLD[0], OLD[0], *OLD[1:]], "step 'b'", "step 'a#2'", 1),
    ("added before the open wait", [*OLD[:2], ("sleep", "new"), *OLD[2:]], "sleep 'nap'", "sleep 'new'", 2),
    ("swapped", [OLD[1], OLD[0], *OLD[2:]], "step 'a'", "step 'b'", 0),
    ("replaced the open wait", [*OLD[:2], ("step", "c")], "sleep 'nap'", "step 'c'", 2),
]


@pytest.mark.parametrize("front", [0, 1], ids=["sync", "async"])
@pytest.mark.parametrize(("change", "new", "recorded", "attempted", "position"), CHANGES, ids=[c[0] for c in CHANGES])
def test_caught(change: str, new: Plan, recorded: str, attempted: str, position: int, front: int) -> None:
    plan = OLD
    with LocalRunner(handlers(lambda: plan)[front]) as runner:
        execution = runner.start(None, id="x")
        runner.run_until_idle()
        before = runner.backend.store.load(runner._header("x").key)
        plan = new
        ran = list(EFFECTS)
        runner.advance(timedelta(hours=1))
        assert ran == EFFECTS, "nothing ran"
        after = runner.backend.store.load(runner._header("x").key)
        assert before is not None
        assert after is not None
        assert after.segments == before.segments, "nothing was recorded"
        error = _error(execution)
        assert (error.recorded, error.attempted, error.position) == (recorded, attempted, position)
        for words in ("'plan'", "'x'", f"operation {position + 1}", recorded, attempted, "Likely cause:", "Way out:"):
            assert words in str(error)

        plan = OLD  # the fixed deployment picks it up by itself
        runner.advance(timedelta(minutes=2))
        assert execution.result == "done"
        assert EFFECTS == ["a", "b", "c"]
        assert runner.client.describe("x").error is None


def _error(execution: Execution[Any]) -> NonDeterminismError:
    assert execution.status == "SUSPENDED"
    error = execution.error
    assert isinstance(error, NonDeterminismError)
    return error


def test_it_is_tried_again_with_growing_delays_up_to_an_hour() -> None:
    plan = OLD
    with LocalRunner(handlers(lambda: plan)[0]) as runner:
        runner.start(None, id="x")
        runner.run_until_idle()
        plan = []
        runner.advance(timedelta(hours=1))
        delays = []
        for _ in range(10):
            header = runner._header("x")
            assert header.due is not None
            delays.append((header.due - runner._clock.now()) / 1000)
            runner.advance(timedelta(seconds=delays[-1]))
        assert delays == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]


@pytest.mark.parametrize("front", [0, 1], ids=["sync", "async"])
def test_a_handler_that_swallows_it_does_not_succeed(front: int) -> None:
    changed = False

    @durable(name="s")
    def sync(event: Any, ctx: DurableContext) -> str:
        try:
            ctx.step(step(effect, name="new" if changed else "old"), "x")
            ctx.sleep(60)
        except Exception:
            ctx.step(effect, "fallback")
        return "swallowed"

    @durable(name="s")
    async def asyn(event: Any, ctx: AsyncDurableContext) -> str:
        try:
            await ctx.step(step(effect, name="new" if changed else "old"), "x")
            await ctx.sleep(60)
        except Exception:
            await ctx.step(effect, "fallback")
        return "swallowed"

    with LocalRunner([sync, asyn][front]) as runner:
        execution = runner.start(None)
        runner.run_until_idle()
        changed = True
        runner.advance(60)
        assert _error(execution).attempted == "step 'new'"
        assert EFFECTS == ["x"]


@pytest.mark.parametrize("front", [0, 1], ids=["sync", "async"])
def test_a_failing_handler_with_recorded_entries_left_is_a_mismatch(front: int) -> None:
    changed = False

    @durable(name="s")
    def sync(event: Any, ctx: DurableContext) -> None:
        if changed:
            raise LookupError("new code")
        ctx.sleep(60)

    @durable(name="s")
    async def asyn(event: Any, ctx: AsyncDurableContext) -> None:
        if changed:
            raise LookupError("new code")
        await ctx.sleep(60)

    with LocalRunner([sync, asyn][front]) as runner:
        execution = runner.start(None)
        runner.run_until_idle()
        changed = True
        runner.advance(60)
        assert _error(execution).attempted == "the end of the handler"


def test_operations_added_after_the_recorded_ones_are_fine() -> None:
    plan = OLD
    for handler in handlers(lambda: plan):
        plan = OLD
        EFFECTS.clear()
        with LocalRunner(handler) as runner:
            execution = runner.start(None)
            runner.run_until_idle()
            plan = [*OLD, ("step", "d")]
            runner.advance(timedelta(hours=1))
            assert execution.result == "done"
            assert EFFECTS == ["a", "b", "c", "d"]


def test_an_execution_of_an_async_handler_with_a_cancelled_wait_is_not_replayed_by_a_def_handler() -> None:
    import asyncio

    @durable(name="h")
    async def asyn(event: Any, ctx: AsyncDurableContext) -> None:
        try:
            await asyncio.wait_for(ctx.sleep(100), 10)
        except TimeoutError:
            await ctx.sleep(1000, name="later")

    @durable(name="h")
    def sync(event: Any, ctx: DurableContext) -> None:
        ctx.sleep(100)

    with LocalRunner(asyn) as runner:
        execution = runner.start(None)
        runner.advance(20)
        runner._functions["h"] = sync
        runner.advance(1000)
        assert "an async def handler became a def handler" in str(_error(execution))
