"""Shielded blocks: what comes from above waits for their end, and is raised there; in both fronts, over deaths and replays."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from durable_fn import AsyncDurableContext, DurableContext, DurableFunction, ExecutionCancelled, durable, step
from durable_fn.errors import ExecutionTimedOut, SignalTimeout
from durable_fn.testing import LocalRunner, crash_everywhere, replay

DONE: list[str] = []


def note(what: str) -> str:
    DONE.append(what)
    return what


@pytest.fixture(autouse=True)
def _fresh() -> None:
    DONE.clear()


suspended = pytest.mark.parametrize("always_suspend", [False, True])


def cancelled(function: DurableFunction[Any, Any], *, always_suspend: bool = False) -> LocalRunner[Any, Any]:
    """An execution "x" that is cancelled while it first waits, after an hour."""
    runner = LocalRunner(function, always_suspend=always_suspend)
    runner.start(None, "x")
    runner.run_until_idle()
    runner.cancel("x", "rain")
    runner.run_until_idle()
    runner.advance(3600)
    return runner


def status(runner: LocalRunner[Any, Any]) -> str:
    return str(runner.client.describe("x").status)


# -- the end of a block --------------------------------------------------------------------------------------------


@durable(name="returns")
def returns(event: None, ctx: DurableContext) -> Any:
    try:
        with ctx.shielded():
            ctx.sleep(60)
            return ctx.step(note, "inside")
    except ExecutionCancelled as error:
        ctx.step(note, f"caught {error.reason}")
        raise


@durable(name="returns")
async def a_returns(event: None, ctx: AsyncDurableContext) -> Any:
    try:
        async with ctx.shielded():
            await ctx.sleep(60)
            return await ctx.step(note, "inside")
    except ExecutionCancelled as error:
        await ctx.step(note, f"caught {error.reason}")
        raise


@suspended
@pytest.mark.parametrize("handler", [returns, a_returns])
def test_it_is_raised_at_the_end_though_nothing_follows(
    handler: DurableFunction[Any, Any], always_suspend: bool
) -> None:
    runner = cancelled(handler, always_suspend=always_suspend)
    assert (status(runner), DONE) == ("CANCELLED", ["inside", "caught rain"])
    with pytest.raises(ExecutionCancelled):
        replay(handler, runner.client.history("x"))


@pytest.mark.parametrize("handler", [returns, a_returns])
def test_a_redrive_goes_on_behind_the_block(handler: DurableFunction[Any, Any]) -> None:
    """What was done inside stays done."""
    runner = cancelled(handler)
    runner.client.redrive("x")
    runner.run_until_idle()
    assert (status(runner), runner.client.result("x")) == ("SUCCEEDED", "inside")
    assert DONE.count("inside") == 1


@durable(name="timed", execution_timeout=30)
def timed(event: None, ctx: DurableContext) -> Any:
    try:
        with ctx.shielded():
            ctx.sleep(60)
            ctx.step(note, "inside")
    except ExecutionTimedOut:
        ctx.step(note, "too late")
        raise


@durable(name="timed", execution_timeout=30)
async def a_timed(event: None, ctx: AsyncDurableContext) -> Any:
    try:
        async with ctx.shielded():
            await ctx.sleep(60)
            await ctx.step(note, "inside")
    except ExecutionTimedOut:
        await ctx.step(note, "too late")
        raise


@suspended
@pytest.mark.parametrize("handler", [timed, a_timed])
def test_a_deadline_waits_too(handler: DurableFunction[Any, Any], always_suspend: bool) -> None:
    runner = LocalRunner(handler, always_suspend=always_suspend)
    runner.start(None, "x")
    runner.advance(3600)
    assert (status(runner), DONE) == ("TIMED_OUT", ["inside", "too late"])


@durable(name="quiet")
def quiet(event: None, ctx: DurableContext) -> Any:
    with ctx.shielded():
        ctx.step(note, "one")
        with ctx.shielded():
            ctx.step(note, "two")
        ctx.step(note, "three")
    return ctx.step(note, "four")


@durable(name="quiet")
async def a_quiet(event: None, ctx: AsyncDurableContext) -> Any:
    async with ctx.shielded():
        await ctx.step(note, "one")
        async with ctx.shielded():
            await ctx.step(note, "two")
        await ctx.step(note, "three")
    return await ctx.step(note, "four")


@pytest.mark.parametrize("handler", [quiet, a_quiet])
def test_a_block_leaves_nothing_in_the_log(handler: DurableFunction[Any, Any]) -> None:
    """Nor does it take a place: it may be put around code that is under way."""
    with LocalRunner(handler) as runner:
        execution = runner.run(None)
        assert execution.result == "four"
        assert [e.id for e in execution.history if e.kind != "execution"] == ["note", "note#2", "note#3", "note#4"]


@durable(name="nests")
def nests(event: None, ctx: DurableContext) -> Any:
    with ctx.shielded():
        with ctx.shielded():
            ctx.sleep(60)
        ctx.step(note, "still inside")
    ctx.step(note, "never")


@durable(name="nests")
async def a_nests(event: None, ctx: AsyncDurableContext) -> Any:
    async with ctx.shielded():
        async with ctx.shielded():
            await ctx.sleep(60)
        await ctx.step(note, "still inside")
    await ctx.step(note, "never")


@pytest.mark.parametrize("handler", [nests, a_nests])
def test_the_outermost_block_counts(handler: DurableFunction[Any, Any]) -> None:
    runner = cancelled(handler)
    assert (status(runner), DONE) == ("CANCELLED", ["still inside"])


@durable(name="fails")
def fails(event: None, ctx: DurableContext) -> Any:
    try:
        with ctx.shielded():
            ctx.sleep(60)
            raise ValueError("its own")
    except ValueError:
        note("its own")
    ctx.step(note, "never")


@durable(name="fails")
async def a_fails(event: None, ctx: AsyncDurableContext) -> Any:
    try:
        async with ctx.shielded():
            await ctx.sleep(60)
            raise ValueError("its own")
    except ValueError:
        note("its own")
    await ctx.step(note, "never")


@pytest.mark.parametrize("handler", [fails, a_fails])
def test_the_blocks_own_error_goes_first(handler: DurableFunction[Any, Any]) -> None:
    runner = cancelled(handler)
    assert status(runner) == "CANCELLED"
    assert set(DONE) == {"its own"}


@durable(name="earlier")
def earlier(event: None, ctx: DurableContext) -> Any:
    with ctx.shielded():
        ctx.step(note, "inside")
    ctx.sleep(60)
    with ctx.shielded():
        ctx.step(note, "never")


@durable(name="earlier")
async def a_earlier(event: None, ctx: AsyncDurableContext) -> Any:
    async with ctx.shielded():
        await ctx.step(note, "inside")
    await ctx.sleep(60)
    async with ctx.shielded():
        await ctx.step(note, "never")


@suspended
@pytest.mark.parametrize("handler", [earlier, a_earlier])
def test_a_block_that_is_replayed_does_not_raise_what_came_behind_it(
    handler: DurableFunction[Any, Any], always_suspend: bool
) -> None:
    runner = cancelled(handler, always_suspend=always_suspend)
    assert (status(runner), DONE) == ("CANCELLED", ["inside"])
    asleep = [e.status for e in runner.client.history("x") if e.kind == "sleep"]
    assert asleep == ["STARTED", "FAILED"], "it was raised in the sleep"


@pytest.mark.parametrize("handler", [returns, a_returns, nests, a_nests, fails, a_fails, timed, a_timed])
def test_the_process_may_die_anywhere(handler: DurableFunction[Any, Any]) -> None:
    def drive(runner: LocalRunner[Any, Any], execution: Any) -> None:
        runner.cancel(execution.id, "rain")
        runner.advance(600)

    report = crash_everywhere(handler, None, drive=drive)
    assert report.ok, report


# -- branches and tasks --------------------------------------------------------------------------------------------


@step
def slow(what: str) -> str:
    return note(what)


@durable(name="racing")
def racing(event: None, ctx: DurableContext) -> Any:
    def move(c: DurableContext) -> str:
        try:
            with c.shielded():
                c.sleep(6000)
                c.step(note, "moved")
        except ExecutionCancelled:
            note("lost")
            raise
        return c.step(note, "never")

    return ctx.race({"move": move, "clock": lambda c: c.sleep(5)})


@durable(name="racing")
async def a_racing(event: None, ctx: AsyncDurableContext) -> Any:
    async def move(c: AsyncDurableContext) -> str:
        try:
            async with c.shielded():
                await c.sleep(6000)
                await c.step(note, "moved")
        except ExecutionCancelled:
            note("lost")
            raise
        return await c.step(note, "never")

    return await ctx.race({"move": move, "clock": lambda c: c.sleep(5)})


@pytest.mark.parametrize("handler", [racing, a_racing])
def test_a_branch_that_has_lost_ends_its_block_first(handler: DurableFunction[Any, Any]) -> None:
    with LocalRunner(handler) as runner:
        assert runner.run(None).result == ("clock", None)
    assert (DONE[0], set(DONE)) == ("moved", {"moved", "lost"})
    DONE.clear()
    report = crash_everywhere(handler, None)
    assert report.ok, report


@durable(name="fanned")
def fanned(event: None, ctx: DurableContext) -> Any:
    def one(c: DurableContext, n: int) -> str:
        c.sleep(60 + n)
        return c.step(note, f"branch {n}")

    with ctx.shielded():
        ctx.map(one, [1, 2]).results
        ctx.race({"quick": lambda c: c.step(note, "quick"), "slow": lambda c: c.sleep(9000)})
    ctx.step(note, "never")


@durable(name="fanned")
async def a_fanned(event: None, ctx: AsyncDurableContext) -> Any:
    async def one(c: AsyncDurableContext, n: int) -> str:
        await c.sleep(60 + n)
        return await c.step(note, f"branch {n}")

    async with ctx.shielded():
        (await ctx.map(one, [1, 2])).results
        await ctx.race({"quick": lambda c: c.step(note, "quick"), "slow": lambda c: c.sleep(9000)})
    await ctx.step(note, "never")


@suspended
@pytest.mark.parametrize("handler", [fanned, a_fanned])
def test_branches_begun_inside_are_shielded_and_their_own_races_are_not(
    handler: DurableFunction[Any, Any], always_suspend: bool
) -> None:
    runner = cancelled(handler, always_suspend=always_suspend)
    assert (status(runner), DONE) == ("CANCELLED", ["branch 1", "branch 2", "quick"])


@durable(name="told inside")
def told_inside(event: None, ctx: DurableContext) -> Any:
    def cancels(c: DurableContext) -> str:
        c.step(RUNNERS[0].cancel, "x", "rain")
        with contextlib.suppress(SignalTimeout):
            c.wait_for_signal(
                "never", timeout=1
            )  # that nothing has come is decided here: this turn learns of the cancellation
        return c.step(note, "first")

    def works(c: DurableContext) -> str:
        c.sleep(2)
        return c.step(note, "second")

    with ctx.shielded():
        ctx.parallel([cancels, works]).results
    ctx.step(note, "never")


@durable(name="told inside")
async def a_told_inside(event: None, ctx: AsyncDurableContext) -> Any:
    async def cancels(c: AsyncDurableContext) -> str:
        await c.step(RUNNERS[0].cancel, "x", "rain")
        with contextlib.suppress(SignalTimeout):
            await c.wait_for_signal("never", timeout=1)
        return await c.step(note, "first")

    async def works(c: AsyncDurableContext) -> str:
        await c.sleep(2)
        return await c.step(note, "second")

    async with ctx.shielded():
        (await ctx.parallel([cancels, works])).results
    await ctx.step(note, "never")


RUNNERS: list[LocalRunner[Any, Any]] = []


@suspended
@pytest.mark.parametrize("handler", [told_inside, a_told_inside])
def test_a_cancellation_that_comes_while_branches_of_a_block_run_waits_for_them(
    handler: DurableFunction[Any, Any], always_suspend: bool
) -> None:
    runner = LocalRunner(handler, always_suspend=always_suspend)
    RUNNERS[:] = [runner]
    runner.start(None, "x")
    runner.run_until_idle()
    runner.advance(100)
    assert (status(runner), DONE) == ("CANCELLED", ["first", "second"])


@durable(name="tasks")
async def tasks(event: None, ctx: AsyncDurableContext) -> Any:
    async def careful() -> None:
        async with ctx.shielded():
            await asyncio.sleep(60)
            await ctx.step(note, "careful")
        await ctx.step(note, "never")

    async def careless() -> None:
        await asyncio.sleep(90)
        await ctx.step(note, "never")

    async with asyncio.TaskGroup() as group:
        group.create_task(careful())
        group.create_task(careless())


@suspended
def test_while_any_task_is_inside_it_is_handed_out_to_none(always_suspend: bool) -> None:
    runner = cancelled(tasks, always_suspend=always_suspend)
    assert (status(runner), DONE) == ("CANCELLED", ["careful"])
    DONE.clear()
    report = crash_everywhere(tasks, None, drive=lambda r, e: (r.cancel(e.id), r.advance(600)))
    assert report.ok, report


@durable(name="kid")
def kid(event: Any, ctx: DurableContext) -> Any:
    return ctx.wait_for_signal("go")


async def _asked(n: int) -> int:
    return n + 1


WAITS: dict[str, Any] = {
    "call": lambda ctx: ctx.call(kid, None, id="kid", timeout=50),
    "signal": lambda ctx: ctx.wait_for_signal("s", timeout=50),
    "any signal": lambda ctx: ctx.wait_for_any_signal("s", "t", timeout=50),
    "callback": lambda ctx: ctx.wait_for_callback(print, timeout=50),
    "poll": lambda ctx: ctx.poll(_asked, initial=0, until=lambda n: False, every=20, timeout=50),
    "sleep": lambda ctx: ctx.sleep(50),
    "native sleep": lambda ctx: asyncio.sleep(50),
    "native timeout": lambda ctx: asyncio.wait_for(ctx.wait_for_signal("s"), 50),
}


def _beside(wait: str, together: str) -> DurableFunction[Any, Any]:
    @durable(name="beside")
    async def handler(event: None, ctx: AsyncDurableContext) -> Any:
        async def inside(ctx: AsyncDurableContext) -> None:
            async with ctx.shielded():
                await ctx.sleep(100)

        async def outside(ctx: AsyncDurableContext) -> None:
            try:
                got = await WAITS[wait](ctx)
            except Exception as error:
                got = type(error).__name__
            await ctx.step(note, f"{got} at {ctx.now().timestamp() - began:.0f}")

        began = ctx.now().timestamp()
        if together == "branches":
            await ctx.parallel([inside, outside])
        else:
            await asyncio.gather(inside(ctx), outside(ctx))

    return handler


def _held_back(wait: str, together: str, always_suspend: bool) -> LocalRunner[Any, Any]:
    """It is cancelled while one task is in a shielded block, and another one waits."""
    runner = LocalRunner(_beside(wait, together), kid, always_suspend=always_suspend)
    runner.start(None, "x")
    runner.run_until_idle()
    runner.advance(10)
    runner.cancel("x", "rain")
    runner.run_until_idle()
    return runner


@suspended
@pytest.mark.timeout(10)
@pytest.mark.parametrize("together", ["branches", "tasks"])
@pytest.mark.parametrize("wait", WAITS)
def test_what_waits_beside_a_block_times_out_meanwhile(wait: str, together: str, always_suspend: bool) -> None:
    runner = _held_back(wait, together, always_suspend)
    runner.advance(60)
    ends = {
        "call": "CallTimeout",
        "signal": "SignalTimeout",
        "any signal": "SignalTimeout",
        "callback": "CallbackTimeout",
    }
    ends |= {"poll": "PollTimeout", "native timeout": "TimeoutError"}
    assert [f"{ends.get(wait)} at 50"] == DONE
    assert status(runner) == "SUSPENDED"
    runner.advance(60)
    assert status(runner) == "CANCELLED"


@suspended
@pytest.mark.timeout(10)
@pytest.mark.parametrize("together", ["branches", "tasks"])
@pytest.mark.parametrize("wait", ["call", "signal"])
def test_what_comes_beside_a_block_is_taken(wait: str, together: str, always_suspend: bool) -> None:
    runner = _held_back(wait, together, always_suspend)
    runner.client.signal("kid" if wait == "call" else "x", "go" if wait == "call" else "s", 7)
    runner.run_until_idle()
    runner.advance(1)
    assert (DONE, status(runner)) == (["7 at 10"], "SUSPENDED")
    runner.advance(120)
    assert (DONE, status(runner)) == (["7 at 10"], "CANCELLED")


@pytest.mark.timeout(10)
@pytest.mark.parametrize("together", ["branches", "tasks"])
@pytest.mark.parametrize("wait", ["call", "answered call", "signal"])
def test_what_waits_beside_a_block_goes_on_in_the_turn_that_hears_of_the_cancellation(wait: str, together: str) -> None:
    def cancelled() -> None:
        runner.client.cancel("x")
        if wait == "answered call":
            runner.client.terminate("kid")

    @durable(name="beside")
    async def handler(event: None, ctx: AsyncDurableContext) -> Any:
        async def inside(ctx: AsyncDurableContext) -> None:
            async with ctx.shielded():
                await ctx.sleep(0.1)
                await ctx.step(cancelled)
                await ctx.step(note, "heard")  # before a body, what came is looked at
                await ctx.sleep(0.8)
                await ctx.step(note, "inside")

        async def outside(ctx: AsyncDurableContext) -> None:
            try:
                await (
                    ctx.wait_for_signal("s", timeout=0.5)
                    if wait == "signal"
                    else ctx.call(kid, 0, id="kid", timeout=0.5)
                )
            except Exception as error:
                await ctx.step(note, type(error).__name__)

        if together == "branches":
            await ctx.parallel([inside, outside])
        else:
            await asyncio.gather(inside(ctx), outside(ctx))

    runner = LocalRunner(handler, kid)
    runner.start(None, "x")
    runner.run_until_idle()
    runner.advance(5)
    assert status(runner) == "CANCELLED"
    ends = {"call": "CallTimeout", "answered call": "CallError", "signal": "SignalTimeout"}
    assert ["heard", ends[wait], "inside"] == DONE


@durable(name="left")
async def left(event: None, ctx: AsyncDurableContext) -> Any:
    """Its own task takes the cancellation for itself, and goes on to wait for the one whose block ended."""

    async def careful() -> str:
        async with ctx.shielded():
            await asyncio.sleep(60)
        return await ctx.step(note, "went on")

    task = asyncio.create_task(careful())
    try:
        await ctx.wait_for_signal("never")
    except ExecutionCancelled:
        return await task


def test_a_task_that_is_not_the_handlers_own_goes_on() -> None:
    runner = cancelled(left)
    assert (status(runner), runner.client.result("x")) == ("SUCCEEDED", "went on")
    assert replay(left, runner.client.history("x")) == "went on"


@durable(name="native")
async def native(event: None, ctx: AsyncDurableContext) -> Any:
    try:
        async with asyncio.timeout(30):
            async with ctx.shielded():
                await ctx.sleep(60)
    except TimeoutError:
        return await ctx.step(note, "in time")


def test_what_the_code_itself_cancels_is_not_held_back() -> None:
    with LocalRunner(native) as runner:
        assert runner.run(None).result == "in time"


@pytest.mark.parametrize("handler", [returns, a_returns])
def test_terminate_is_not_held_back(handler: DurableFunction[Any, Any]) -> None:
    with LocalRunner(handler) as runner:
        runner.start(None, "x")
        runner.run_until_idle()
        runner.client.terminate("x")
        runner.advance(600)
        assert (status(runner), DONE) == ("TERMINATED", [])
