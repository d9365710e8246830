"""An async handler moves by lines of the log, one at a time, when it rests: live as in a replay."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import threading
import time
from datetime import datetime
from typing import Any

import pytest

from durable_fn import AsyncDurableContext, RetryPolicy, durable, step
from durable_fn.errors import ExecutionCancelled, SignalTimeout, StepError
from durable_fn.testing import LocalRunner, crash_everywhere, replay
from durable_fn.testing.cloud import LocalCloud
from durable_fn.testing.crashes import SimulatedDeath, _Plan, _Run

Ctx = AsyncDurableContext


async def work(x: Any = None) -> Any:
    return x


# -- native timers are durable timers ------------------------------------------------------------------------------


def test_a_native_sleep_alone_suspends() -> None:
    @durable(name="rests")
    async def rests(event: Any, ctx: Ctx) -> Any:
        await asyncio.sleep(3600)
        return await ctx.step(work, "done")

    began = time.monotonic()
    with LocalRunner(rests) as runner:
        first = runner.now()
        execution = runner.run(None)
        assert execution.result == "done"
        assert execution.invocations == 2
        assert (runner.now() - first).total_seconds() >= 3600
        assert [(e.id, e.status) for e in execution.history if e.kind == "timer"] == [
            ("$t1", "STARTED"),
            ("$t1", "SUCCEEDED"),
        ]
    assert time.monotonic() - began < 60, "nobody waited in real time"


def test_a_native_timeout_keeps_its_deadline_over_a_death() -> None:
    walks: list[int] = []

    class Killed(BaseException):
        pass

    @durable(name="approval")
    async def approval(event: Any, ctx: Ctx) -> str:
        walks.append(1)
        if len(walks) == 2:  # woken for the timeout
            raise Killed
        try:
            async with asyncio.timeout(86_400):
                return await ctx.wait_for_signal("approved", result_type=str)
        except TimeoutError:
            return await ctx.step(work, "escalated")

    with LocalCloud() as cloud:
        cloud.attach(approval)
        started = cloud.now()
        cloud.client.start(approval, None, id="x")
        cloud.advance(3 * 86_400)
        info = cloud.client.describe("x")
        assert info.status == "SUCCEEDED"
        assert info.finished_at is not None
        assert (info.finished_at - started).total_seconds() < 25 * 3600


@durable(name="bounded")
async def bounded(event: Any, ctx: Ctx) -> str:
    try:
        async with asyncio.timeout(10):
            await ctx.sleep(100)
        return "slept"
    except TimeoutError:
        return "timed out"


@durable(name="waiter")
async def waiter(event: Any, ctx: Ctx) -> str:
    came = asyncio.Event()

    async def wait_5_s() -> str:
        try:
            async with asyncio.timeout(5):
                await came.wait()
            return "it came"
        except TimeoutError:
            return "timed out"

    async def after_10_s() -> None:
        await ctx.sleep(10)
        came.set()

    said, _ = await asyncio.gather(wait_5_s(), after_10_s())
    await ctx.sleep(60, name="apologise" if said == "timed out" else "celebrate")
    return said


@durable(name="later")
async def later(event: Any, ctx: Ctx) -> list[str]:
    """Timers of all kinds, and a step between them."""
    loop, seen, over = asyncio.get_running_loop(), [], asyncio.Event()
    loop.call_later(30, seen.append, "call_later")
    loop.call_at(loop.time() + 40, over.set)
    cancelled = loop.call_later(20, seen.append, "cancelled")
    await asyncio.sleep(10)
    seen.append(await ctx.step(work, "step"))
    cancelled.cancel()
    await over.wait()
    seen.append(f"{loop.time():.0f}")
    return seen


@pytest.mark.parametrize(
    ("handler", "result"),
    [(bounded, "timed out"), (waiter, "timed out"), (later, ["step", "call_later", "40"])],
    ids=lambda x: getattr(x, "name", ""),
)
def test_native_timers_fire_where_they_fired_first(handler: Any, result: Any) -> None:
    with LocalRunner(handler) as runner:
        execution = runner.run(None)
        assert execution.result == result
        assert replay(handler, execution.history) == result
    with LocalRunner(handler, always_suspend=True) as runner:
        assert runner.run(None).result == result


@pytest.mark.parametrize("handler", [bounded, waiter], ids=lambda handler: handler.name)
def test_the_process_may_die_around_native_timers(handler: Any) -> None:
    report = crash_everywhere(handler, None)
    assert report.ok, report


def test_a_timer_counts_from_where_the_log_stands() -> None:
    """The timeout was set before a long step, whose result is recorded; then the process dies, and nothing says when it ends."""
    died: list[int] = []

    async def takes_five_minutes() -> None:
        runner._clock.sleep(300)

    async def dies() -> None:
        if not died:
            died.append(1)
            raise SimulatedDeath

    @durable(name="set_long_ago")
    async def handler(event: Any, ctx: Ctx) -> str:
        await ctx.step(work, "first")
        try:
            async with asyncio.timeout(600):
                await ctx.step(takes_five_minutes)
                await ctx.step(dies)
                await asyncio.Event().wait()
        except TimeoutError:
            return ctx.now().isoformat()
        return "never"

    with LocalRunner(handler) as runner:
        began = runner.now()
        execution = runner.start(None, "x")
        with pytest.raises(SimulatedDeath):
            runner.run_until_idle()
        runner.run_on(execution)
        later = datetime.fromisoformat(str(execution.result)) - began
        assert 600 <= later.total_seconds() < 1200, (
            "a new owner comes after 15 minutes, and finds that the time is over"
        )


def test_virtual_time_goes_on_while_a_body_runs() -> None:
    @durable(name="limits_a_body")
    async def handler(event: Any, ctx: Ctx) -> str:
        async def hangs() -> None:
            await asyncio.sleep(3600)

        try:
            await asyncio.wait_for(ctx.step(hangs), 0.05)
        except TimeoutError:
            return await ctx.step(work, "given up")
        return "never"

    with LocalRunner(handler) as runner:
        assert runner.run(None).result == "given up"


# -- order ---------------------------------------------------------------------------------------------------------


def test_tasks_of_a_group_see_its_end_in_one_order() -> None:
    @durable(name="group")
    async def group(event: Any, ctx: Ctx) -> list[int]:
        order: list[int] = []

        async def waits(who: int) -> None:
            try:
                await ctx.sleep(500)
            except asyncio.CancelledError:
                order.append(who)
                if len(order) == 1:
                    order[0] = await ctx.step(work, who) * 100 + who
                raise

        async def fails() -> None:
            await ctx.sleep(2)
            raise ValueError

        try:
            async with asyncio.TaskGroup() as tasks:
                for who in range(8):
                    tasks.create_task(waits(who))
                tasks.create_task(fails())
        except* ValueError:
            pass
        await ctx.sleep(50)
        return order

    for _ in range(4):
        with LocalRunner(group) as runner:
            execution = runner.run(None)
            first = execution.result[0]
            assert first // 100 == first % 100
            assert replay(group, execution.history) == execution.result


def test_sets_of_futures_have_one_order() -> None:
    """Tasks, gathers and shields stand in the sets of `asyncio.wait`; they are cancelled in the order of the set."""
    ballast: list[Any] = []

    @durable(name="sets")
    async def sets(event: Any, ctx: Ctx) -> list[str]:
        order: list[str] = []
        ballast.append([object() for _ in range(997 * len(ballast))])  # addresses differ from walk to walk

        async def one(name: str) -> None:
            try:
                await ctx.sleep(900)
            finally:
                order.append(name)

        waits: list[Any] = [asyncio.create_task(one("task")), asyncio.gather(one("gathered"), one("too"))]
        shielded = asyncio.create_task(one("shielded"))
        waits += [asyncio.shield(shielded), asyncio.create_task(ctx.sleep(5))]
        _, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for future in pending:
            future.cancel()
        shielded.cancel()
        await asyncio.sleep(1)
        await ctx.step(step(work, name="-".join(order)))
        await ctx.sleep(60)
        return order

    for _ in range(3):
        with LocalRunner(sets) as runner:
            execution = runner.run(None)
            assert execution.status == "SUCCEEDED", execution.error
            assert replay(sets, execution.history) == execution.result


def test_a_generator_that_is_collected_is_no_part_of_the_handler() -> None:
    walks: list[int] = []

    @durable(name="pages")
    async def pages(event: Any, ctx: Ctx) -> list[str]:
        walks.append(1)

        async def items() -> Any:
            try:
                yield "one"
                yield "two"
            finally:
                await asyncio.sleep(0)

        kept: Any = items()

        async def job(text: str) -> Any:
            return await ctx.step(work, text)

        await anext(kept)
        if len(walks) % 2:  # collected now on one walk, later on the other
            del kept
            gc.collect()
            await asyncio.sleep(0)
        found = await asyncio.gather(job("a"), job("b"))
        await ctx.sleep(100)
        return found + await asyncio.gather(job("c"), job("d"))

    with LocalRunner(pages) as runner:
        assert runner.run(None).result == ["a", "b", "c", "d"]


# -- nothing is consumed by who did not get it -----------------------------------------------------------------------


@durable(name="entity")
async def entity(seen: list[int], ctx: Ctx) -> list[int]:
    limit, full = len(seen) + 4, asyncio.Event()

    async def mailbox() -> None:
        while True:
            seen.append(await ctx.wait_for_signal("add", result_type=int))
            if seen[-1] < 0 or len(seen) >= limit:
                full.set()

    task = asyncio.create_task(mailbox())
    await full.wait()
    task.cancel()
    if seen[-1] < 0:
        return seen
    return ctx.continue_as_new(seen)


@durable(name="impatient")
async def impatient(event: Any, ctx: Ctx) -> list[Any]:
    """Waits that time out natively and by themselves, and one that loses a race, beside a signal that comes late."""
    got: list[Any] = []
    for _ in range(2):
        try:
            got.append(await asyncio.wait_for(ctx.wait_for_signal("s", result_type=int), 5))
        except TimeoutError:
            got.append("natively")
    try:
        got.append(await ctx.wait_for_signal("s", result_type=int, timeout=5))
    except SignalTimeout:
        got.append("by itself")
    got.append((await ctx.race({"signal": lambda c: c.wait_for_signal("s"), "timer": lambda c: c.sleep(5)}))[0])
    got.append(await ctx.wait_for_signal("s", result_type=int))
    return got


def test_signals_survive_a_wait_that_is_cancelled() -> None:
    sent = [*range(10), -1]
    with LocalRunner(entity) as runner:
        execution = runner.start([], "x")
        runner.run_until_idle()
        for n in sent:
            runner.signal("x", "add", n)
        runner.run_until_idle()
        assert execution.result == sent


def test_signals_survive_waits_that_end_without_them() -> None:
    with LocalRunner(impatient) as runner:
        execution = runner.start(None, "x")
        runner.run_until_idle()
        runner.advance(21)
        runner.signal("x", "s", 7)
        runner.run_until_idle()
        assert execution.result == ["natively", "natively", "by itself", "timer", 7]
        assert replay(impatient, execution.history) == execution.result


# -- durability ------------------------------------------------------------------------------------------------------


def test_a_result_is_durable_before_the_handler_sees_it() -> None:
    seen: list[Any] = []

    @durable(name="sees")
    async def sees(event: Any, ctx: Ctx) -> None:
        seen.append(await ctx.step(work, "result"))
        await ctx.sleep(100)

    for die_at in (3, 4):  # before and after the write of the step
        seen.clear()
        runner = _Run(_Plan(sees), die_at, False)
        with runner:
            runner.start(None, "x")
            runner.run_until_idle()
            assert runner.dying.where.startswith(("before append", "after append"))
            assert seen == []


@pytest.mark.parametrize("rival", [True, False])
def test_no_body_begins_on_a_decision_that_a_death_can_revoke(rival: bool) -> None:
    """That the timer was first, and not the signal, is durable before what follows from it begins; where nothing else could have
    been first, it is not written by itself."""
    durable_then: list[bool] = []

    @durable(name="gate")
    async def gate(event: Any, ctx: Ctx) -> Any:
        timer = asyncio.create_task(ctx.sleep(100))
        tasks = [timer, *([asyncio.create_task(ctx.wait_for_signal("s"))] if rival else [])]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)

        async def body() -> bool:
            history = runner.client.history("x")
            durable_then.append(("sleep", "SUCCEEDED") in [(e.id, e.status) for e in history])
            return timer in done

        return await ctx.step(body)

    with LocalRunner(gate) as runner:
        assert runner.run(None, "x").result is True
        assert durable_then == [rival]


def test_a_death_does_not_revoke_what_a_body_began_on() -> None:
    """The process dies in the body that followed from the timer; then the signal comes, too."""
    bodies: list[str] = []

    @durable(name="revoked")
    async def revoked(event: Any, ctx: Ctx) -> str:
        timer, signal = asyncio.create_task(ctx.sleep(100)), asyncio.create_task(ctx.wait_for_signal("s"))
        await asyncio.wait([timer, signal], return_when=asyncio.FIRST_COMPLETED)
        first = "timer" if timer.done() else "signal"

        async def body() -> str:
            bodies.append(first)
            if len(bodies) == 1:
                raise SimulatedDeath
            return first

        return await ctx.step(body)

    with LocalRunner(revoked) as runner:
        execution = runner.start(None, "x")
        runner.run_until_idle()
        with pytest.raises(SimulatedDeath):
            runner.advance(100)
        runner.signal("x", "s")
        runner.advance(3600)
        assert execution.result == "timer"
        assert bodies == ["timer", "timer"]


# -- mismatches ------------------------------------------------------------------------------------------------------


def test_a_task_in_front_is_a_mismatch_before_anything_runs(caplog: pytest.LogCaptureFixture) -> None:
    charged: list[int] = []
    version = 1

    async def charge() -> str:
        charged.append(version)
        return "receipt"

    @durable(name="order")
    async def order(event: Any, ctx: Ctx) -> str:
        async def paid() -> str:
            receipt = await ctx.step(charge)
            return receipt + str(await ctx.wait_for_signal("approved"))

        if version == 2:
            await asyncio.create_task(work())
        return await asyncio.create_task(paid())

    with LocalRunner(order) as runner:
        execution = runner.run(None, "x")
        version = 2
        runner.signal("x", "approved", ", approved")
        runner.run_on(execution)
        assert charged == [1]
        assert execution.status == "SUSPENDED"
        text = str(execution.error)
        assert "recorded step '~1/charge', attempted step '~2/charge'" in text
        assert "ctx.patched(" in text
        version = 1
        runner.advance(3600)
        assert execution.result == "receipt, approved"


def test_a_recorded_wait_that_nobody_asks_for_is_a_mismatch_at_once() -> None:
    version = 1

    @durable(name="waits")
    async def waits(event: Any, ctx: Ctx) -> None:
        async def naps() -> None:
            await ctx.sleep(10)

        if version == 2:
            await asyncio.create_task(work())
        await asyncio.create_task(naps())
        await ctx.wait_for_signal("go")

    with LocalRunner(waits) as runner:
        execution = runner.run(None, "x")
        version = 2
        runner.signal("x", "go")
        runner.run_until_idle()
        assert "recorded sleep '~1/sleep', attempted sleep '~2/sleep'" in str(execution.error)
        version = 1
        runner.advance(3600)
        assert execution.status == "SUCCEEDED"


def test_a_marker_that_nobody_asks_for_is_a_mismatch_before_a_body() -> None:
    """An at-most-once step began and its process died. New code must not run it under another name."""
    ran: list[int] = []
    version = 1

    async def pay() -> None:
        ran.append(version)
        if version == 1:
            raise SimulatedDeath

    @durable(name="once")
    async def once(event: Any, ctx: Ctx) -> None:
        async def task() -> None:
            await ctx.step(step(pay, semantics="at_most_once"))

        if version == 2:
            await asyncio.create_task(work())
        await asyncio.create_task(task())

    with LocalRunner(once) as runner:
        execution = runner.start(None, "x")
        with pytest.raises(SimulatedDeath):
            runner.run_until_idle()
        version = 2
        runner.advance(3600)
        assert ran == [1]
        assert execution.status == "SUSPENDED"
        assert "recorded step '~1/pay'" in str(execution.error)


# -- bodies ----------------------------------------------------------------------------------------------------------


tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")


@pytest.mark.parametrize("native", [True, False])
def test_contextvars_of_a_body_do_not_leak(native: bool) -> None:
    seen: list[str] = []

    def login() -> str:
        seen.append(tenant.get())
        tenant.set("blue")
        return "token"

    async def a_login() -> str:
        return login()

    @durable(name="leaks")
    async def leaks(event: Any, ctx: Ctx) -> None:
        tenant.set("handler")
        await ctx.step(a_login if native else login)
        seen.append(tenant.get())
        await ctx.sleep(100)

    with LocalRunner(leaks) as runner:
        runner.run(None)
    assert seen == ["handler", "handler", "handler"]


def test_stop_iteration_fails_a_step() -> None:
    @step(retry=RetryPolicy(max_attempts=1))
    def first(numbers: list[int]) -> int:
        return next(n for n in numbers if n > 10)

    @durable(name="finds")
    async def finds(event: Any, ctx: Ctx) -> str:
        try:
            return str(await ctx.step(first, [1, 2, 3]))
        except StepError as error:
            return error.error_type

    with LocalRunner(finds) as runner:
        assert runner.run(None).result == "StopIteration"


@pytest.mark.parametrize("stubborn", [True, False])
def test_no_body_begins_before_one_that_was_cancelled_has_unwound(stubborn: bool) -> None:
    events: list[str] = []

    async def slow() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)
            events.append("unwound")
            if not stubborn:
                raise

    async def next_one() -> None:
        events.append("next")

    @durable(name="unwinds")
    async def unwinds(event: Any, ctx: Ctx) -> str:
        try:
            await asyncio.wait_for(ctx.step(slow), 0.02)
        except TimeoutError:
            events.append("left")
        await ctx.step(next_one)
        return "done"

    with LocalRunner(unwinds) as runner:
        assert runner.run(None).result == "done"
    assert events == ["left", "unwound", "next"]


# -- cancellation ----------------------------------------------------------------------------------------------------


def test_a_cancellation_that_was_swallowed_on_the_way_arrives_all_the_same() -> None:
    @durable(name="swallows")
    async def swallows(event: Any, ctx: Ctx) -> str:
        async def inner() -> str:
            try:
                await ctx.sleep(1000)
            except asyncio.CancelledError:
                return "took it for itself"
            return "slept"

        try:
            await asyncio.create_task(inner())
            await ctx.step(work)
        except ExecutionCancelled:
            return await ctx.step(work, "cleaned up")
        return "never"

    with LocalRunner(swallows) as runner:
        execution = runner.start(None, "x")
        runner.run_until_idle()
        runner.cancel("x", "no need")
        runner.run_until_idle()
        assert execution.result == "cleaned up"
        assert [e.id for e in execution.history if e.kind == "end"] == ["$end"]
        assert replay(swallows, execution.history) == "cleaned up"


# -- handlers that cannot go on --------------------------------------------------------------------------------------


def test_a_handler_that_spins_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("durable_fn.runtime.aio.pump.MOST_ROUNDS", 500)

    @durable(name="spins")
    async def spins(event: Any, ctx: Ctx) -> None:
        task = asyncio.create_task(ctx.step(work))
        while not task.done():
            await asyncio.sleep(0)

    with LocalRunner(spins) as runner:
        error = runner.run(None).error
        assert "rounds without waiting for anything durable, at spins (test_lines.py" in str(error), error


def test_time_stands_between_lines() -> None:
    @durable(name="stands")
    async def stands(event: Any, ctx: Ctx) -> list[Any]:
        loop, seen = asyncio.get_running_loop(), []
        for _ in range(2):
            time.sleep(0.01)
            seen.append((loop.time(), str(ctx.now())))
        await ctx.sleep(60)
        return [seen[0] == seen[1], loop.time() - seen[0][0] >= 60]

    with LocalRunner(stands) as runner:
        assert runner.run(None).result == [True, True]


def test_a_wake_up_without_a_place_in_the_log_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "durable_fn")

    @durable(name="woken")
    async def woken(event: Any, ctx: Ctx) -> str:
        loop, came = asyncio.get_running_loop(), asyncio.Event()
        await ctx.step(work)
        context = contextvars.Context()
        thread = threading.Thread(target=context.run, args=(loop.call_soon_threadsafe, came.set))
        thread.start()
        await came.wait()
        return await ctx.step(work, "came")

    with LocalRunner(woken) as runner:
        assert runner.run(None).result == "came"
    assert "was woken by a socket, a subprocess or a thread of its own, at woken (test_lines.py" in caplog.text


def test_tasks_that_outlive_the_handler_are_cancelled_and_named(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "durable_fn")
    ends: list[str] = []

    @durable(name="outlived")
    async def outlived(event: Any, ctx: Ctx) -> str:
        async def background() -> None:
            try:
                await ctx.sleep(1000)
            except asyncio.CancelledError:
                ends.append("cancelled")
                try:
                    await ctx.step(work)
                except RuntimeError as error:
                    ends.append(str(error))

        task = asyncio.create_task(background())
        await ctx.step(work)
        return f"done, and the task {'has' if task.done() else 'has not'}"

    with LocalRunner(outlived) as runner:
        assert runner.run(None).result == "done, and the task has not"
    assert ends[0] == "cancelled"
    assert "made a durable call after the handler returned" in ends[1]
    assert "whose sagas can undo nothing any more: background (test_lines.py" in caplog.text


def test_a_call_in_a_thread_has_its_place_in_the_log() -> None:
    calls: list[str] = []

    def look(name: str) -> str:
        calls.append(name)
        return name

    @durable(name="threads")
    async def threads(event: Any, ctx: Ctx) -> list[Any]:
        found = await asyncio.gather(*(asyncio.to_thread(look, name) for name in "ab"))
        found.append(await ctx.step(work, "c"))
        await ctx.sleep(100)
        return found

    with LocalRunner(threads) as runner:
        execution = runner.run(None)
        assert execution.result == ["a", "b", "c"]
        assert sorted(calls) == ["a", "a", "b", "b"], "made again in each invocation: it is no step"
        assert sorted(e.id for e in execution.history if e.kind == "thread") == ["~1/$x1", "~2/$x1"]


# -- a wait that was left, of a callback whose outcome is recorded behind it ----------------------------------------


@durable
async def waits_twice(event: None, ctx: Ctx) -> str:
    answer = await ctx.callback("answer", result_type=str)
    TOKENS.append(answer.token)
    try:
        async with asyncio.timeout(10):
            return await answer.result()
    except TimeoutError:
        value = await answer.result()
    await ctx.sleep(100)
    return value


TOKENS: list[str] = []


def test_a_wait_that_was_left_is_not_over_in_a_replay() -> None:
    TOKENS.clear()
    with LocalRunner(waits_twice) as runner:
        execution = runner.start(None, "x")
        runner.advance(20)
        runner.client.complete_callback(TOKENS[0], "yes")
        runner.run_until_idle()
        runner.advance(200)
        assert execution.result == "yes"
        waits = [
            event.id for event in runner.client.history("x") if event.kind == "wait" and event.status == "SUCCEEDED"
        ]
    assert waits == ["answer.result#2"]
