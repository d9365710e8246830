"""Test tools tell the truth: what is not deterministic is found, what is nobody's fault is not, and runners end."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from typing import Any

import pytest

from durable_fn import (
    AsyncDurableContext,
    CallbackTimeout,
    Completion,
    DurableContext,
    SignalTimeout,
    current_step,
    durable,
    step,
)
from durable_fn.testing import Execution, LocalRunner, crash_everywhere
from durable_fn.testing.cloud import LocalCloud


def work(*args: object) -> int:
    return 1


def shaky() -> int:
    if current_step().attempt < 3:
        raise ConnectionError
    return 1


def drawn_in_def(event: Any, ctx: DurableContext) -> float:
    number = random.random()
    ctx.step(work)
    return number


async def drawn_in_async(event: Any, ctx: AsyncDurableContext) -> float:
    now = time.time()
    await ctx.step(work)
    return now


def handed_to_a_step(event: Any, ctx: DurableContext) -> None:
    ctx.step(work, uuid.uuid4())


def as_a_status(event: Any, ctx: DurableContext) -> None:
    ctx.step(work)
    ctx.set_status(random.random())


def in_an_error(event: Any, ctx: DurableContext) -> None:
    ctx.step(work)
    raise ValueError(str(uuid.uuid4()))


@pytest.mark.parametrize("shape", [drawn_in_def, drawn_in_async, handed_to_a_step, as_a_status, in_an_error])
def test_what_is_drawn_outside_a_step_is_found(shape: Any) -> None:
    report = crash_everywhere(durable(name="draws")(shape), None)
    assert not report.ok
    assert all(told.startswith("not deterministic: ") and "drawn outside a step?" in told for told in report.failures)


@durable(name="kid")
def kid(event: Any, ctx: DurableContext) -> int:
    ctx.sleep(20)
    return ctx.step(work)


def handed_to_a_call(event: Any, ctx: DurableContext) -> Any:
    return ctx.call(kid, str(uuid.uuid4()))


async def handed_to_an_async_call(event: Any, ctx: AsyncDurableContext) -> Any:
    return await ctx.call(kid, {"at": time.time()})


def sent(event: Any, ctx: DurableContext) -> None:
    ctx.send(kid, str(uuid.uuid4()))


def handed_on(event: Any, ctx: DurableContext) -> None:
    if event is None:
        ctx.continue_as_new(random.random())


async def handed_on_async(event: Any, ctx: AsyncDurableContext) -> None:
    if event is None:
        await ctx.continue_as_new(random.random())


@pytest.mark.parametrize("shape", [handed_to_a_call, handed_to_an_async_call, sent, handed_on, handed_on_async])
def test_what_executions_are_started_with_is_compared(shape: Any) -> None:
    report = crash_everywhere(durable(name="draws")(shape), None, kid)
    assert len(report.failures) == 1
    assert report.failures[0].startswith("not deterministic: execution 'crash-everywhere")
    assert "was started with" in report.failures[0]


def in_steps(event: Any, ctx: DurableContext) -> dict[str, Any]:
    number = ctx.step(step(random.random, name="draw"))
    ctx.step(work, number)
    return {"number": number}


def of_the_context(event: Any, ctx: DurableContext) -> list[Any]:
    ctx.step(shaky)  # its delays have jitter
    return [str(ctx.uuid4()), ctx.random(), ctx.now(), ctx.callback("x").token]


def surplus(event: Any, ctx: DurableContext) -> list[int]:
    def branch(inner: DurableContext, n: int) -> int:
        if n == 0:
            inner.sleep(10)
        return inner.step(work, n)

    batch = ctx.map(branch, range(6), completion=Completion(min_successful=3))
    return [item.index for item in batch.succeeded]


async def in_any_order(event: Any, ctx: AsyncDurableContext) -> set[str]:
    found: dict[str, int] = {}

    async def branch(name: str) -> None:
        found[name] = await ctx.step(work, name)

    await asyncio.gather(*map(branch, "abcd"))
    await ctx.sleep(5)
    return set(found)


def drawn_in_a_step_for_a_call(event: Any, ctx: DurableContext) -> Any:
    return ctx.call(kid, ctx.step(step(random.random, name="draw")))


def beside_a_call(event: Any, ctx: DurableContext) -> Any:
    def nap(inner: DurableContext) -> str:
        inner.sleep(1)
        return "nap"

    def call(inner: DurableContext) -> str:
        inner.call(kid, None)
        return "call"

    return ctx.race([nap, call])


async def beside_an_async_call(event: Any, ctx: AsyncDurableContext) -> Any:
    async def nap(inner: AsyncDurableContext) -> str:
        await inner.sleep(1)
        return "nap"

    async def call(inner: AsyncDurableContext) -> str:
        await inner.call(kid, None)
        return "call"

    return await ctx.race([nap, call])


@pytest.mark.parametrize(
    "shape",
    [
        in_steps,
        of_the_context,
        surplus,
        in_any_order,
        drawn_in_a_step_for_a_call,
        beside_a_call,
        beside_an_async_call,
    ],
)
def test_what_is_nobodys_fault_is_not_told(shape: Any) -> None:
    report = crash_everywhere(durable(name="fair")(shape), None, kid)
    assert report.ok, report


@durable(name="asks")
def asks(event: None, ctx: DurableContext) -> str:
    try:
        return ctx.wait_for_callback(lambda token: None, name="answer", timeout=30, result_type=str)
    except CallbackTimeout:
        return "timed out"


def answer(runner: LocalRunner[Any, Any], execution: Execution[Any]) -> None:
    runner.complete_callback(execution.callback_token("answer"), "yes")


@pytest.mark.parametrize("jump", [True, False])
def test_a_death_costs_the_time_of_its_lease(jump: bool) -> None:
    assert crash_everywhere(asks, None, drive=answer, lambda_timeout=5, jump=jump).ok
    report = crash_everywhere(asks, None, drive=answer, jump=jump)
    assert any("the result is 'timed out' instead of 'yes'" in told for told in report.failures)
    assert all("crash point" in told for told in report.failures)
    with pytest.raises(ValueError, match="lambda_timeout"):
        crash_everywhere(asks, None, lambda_timeout=0)


def test_setup_comes_before_each_run() -> None:
    taken: list[int] = []

    def take() -> int:
        taken.append(1)
        return min(len(taken), 1)

    report = crash_everywhere(durable(name="h")(lambda event, ctx: ctx.step(take)), None, setup=taken.clear)
    assert report.ok, report
    assert len(taken) == 1


def counts_its_runs(event: Any, ctx: DurableContext) -> None:
    BEGUN.append(1)
    ctx.step(work)


async def counts_its_async_runs(event: Any, ctx: AsyncDurableContext) -> None:
    BEGUN.append(1)
    await ctx.step(work)


@pytest.mark.parametrize("shape", [counts_its_runs, counts_its_async_runs])
def test_the_first_check_sees_one_run(shape: Any) -> None:
    runs: list[int] = []
    handler = durable(name="counts")(shape)
    report = crash_everywhere(handler, None, setup=BEGUN.clear, check=lambda _: runs.append(len(BEGUN)))
    assert report.ok, report
    assert (runs[0], max(runs[1:])) == (1, 2)


@durable(name="ticks")
async def ticks(event: None, ctx: AsyncDurableContext) -> str:
    async def ticker() -> None:
        while True:
            await ctx.step(work)
            await ctx.sleep(600)

    task = asyncio.create_task(ticker())
    message: str = await ctx.wait_for_signal("go", result_type=str)
    task.cancel()
    return message


def test_a_ticker_is_moved_by_drive_alone() -> None:
    def drive(runner: LocalRunner[Any, Any], execution: Execution[Any]) -> None:
        runner.signal(execution.id, "go", "ready")
        runner.advance(90)

    report = crash_everywhere(ticks, None, drive=drive, jump=False)
    assert report.ok, report


def test_a_run_that_is_never_idle_ends_with_a_word() -> None:
    with (
        LocalRunner(ticks) as runner,
        pytest.raises(RuntimeError, match=r"never idle: it waits for signal 'go'.*advance"),
    ):
        runner.run(None)


def two_waits(event: Any, ctx: DurableContext) -> list[Any]:
    first, second = ctx.callback("first", timeout=100), ctx.callback("second", timeout=900)
    try:
        found = first.result()
    except CallbackTimeout:
        found = "timed out"
    return [found, second.result()]


async def two_async_waits(event: Any, ctx: AsyncDurableContext) -> list[Any]:
    first, second = await ctx.callback("first", timeout=100), await ctx.callback("second", timeout=900)
    try:
        found = await first.result()
    except CallbackTimeout:
        found = "timed out"
    return [found, await second.result()]


@pytest.mark.parametrize("shape", [two_waits, two_async_waits])
def test_another_answer_moves_no_clock(shape: Any) -> None:
    with LocalRunner(durable(name="waits")(shape)) as runner:
        execution = runner.run(None)
        runner.complete_callback(execution.callback_token("second"), 2)
        before = runner.now()
        runner.run_on(execution)
        assert (execution.status, runner.now()) == ("SUSPENDED", before)
        runner.complete_callback(execution.callback_token("first"), 1)
        runner.run_on(execution)
        assert execution.result == [1, 2]


def test_another_execution_moves_no_clock_over_a_timeout() -> None:
    @durable(name="parent")
    def parent(event: Any, ctx: DurableContext) -> Any:
        ctx.send(naps, None)
        try:
            return ctx.wait_for_signal("s", timeout=30)
        except SignalTimeout:
            return "timed out"

    @durable(name="naps")
    def naps(event: Any, ctx: DurableContext) -> None:
        ctx.sleep(1000)

    with LocalRunner(parent, naps) as runner:
        execution = runner.run(None)
        assert execution.status == "SUSPENDED"
        runner.signal(execution.id, "s", 7)
        runner.run_on(execution)
        assert execution.result == 7


@durable(name="order")
def version_1(event: Any, ctx: DurableContext) -> str:
    ctx.sleep(60)
    return "one"


@durable(name="order")
def version_2(event: Any, ctx: DurableContext) -> str:
    ctx.sleep(60)
    return "two"


def test_deploy_reaches_executions_under_way() -> None:
    with LocalRunner(version_1) as runner:
        execution = runner.start(None)
        runner.run_until_idle()
        runner.deploy(version_2)
        runner.advance(60)
        assert execution.result == "two"
        assert runner.run(None).result == "two"
        with pytest.raises(TypeError, match="decorated"):
            runner.deploy(lambda event, ctx: None)  # type: ignore[arg-type]


def test_a_cloud_has_the_verbs_of_a_runner() -> None:
    with LocalCloud(version_1, asks) as cloud:
        assert [verb for verb in vars(LocalRunner) if verb[0] != "_" and not hasattr(cloud, verb)] == []
        execution = cloud.start(version_1, None, "o-1")
        cloud.run_until_idle()
        cloud.deploy(version_2)
        cloud.advance(120)
        assert (execution.status, execution.result) == ("SUCCEEDED", "two")
        asked = cloud.start(asks, None, "a-1")
        cloud.run("a-1")
        cloud.complete_callback(asked.callback_token("answer"), "yes")
        cloud.run("a-1")
        assert asked.result == "yes"


def nested(event: Any, ctx: DurableContext) -> Any:
    def outer() -> int:
        BEGUN.append(1)
        return ctx.step(work)

    return ctx.step(outer)


async def nested_async(event: Any, ctx: AsyncDurableContext) -> Any:
    async def outer() -> Any:
        BEGUN.append(1)
        return await ctx.step(work)

    return await ctx.step(outer)


BEGUN: list[int] = []


@pytest.mark.parametrize("shape", [nested, nested_async])
def test_a_step_in_a_step_fails_at_once(shape: Any) -> None:
    BEGUN.clear()
    with LocalRunner(durable(name="nested")(shape)) as runner:
        execution = runner.run(None)
        assert execution.status == "FAILED"
        assert "RuntimeError: ctx.step was called inside the body of step 'outer'" in str(execution.error)
        assert BEGUN == [1]
