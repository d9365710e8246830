"""Waits for callbacks: each an operation of its own, where it waits; the outcome is the callback's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durable_fn import AsyncDurableContext, Completion, DurableContext, durable
from durable_fn.errors import CallbackFailed, CallbackTimeout, NonDeterminismError
from durable_fn.testing import LocalRunner, crash_everywhere, replay


def work(x: Any) -> Any:
    return x


def rows(runner: LocalRunner[Any, Any], id: str) -> list[tuple[str, str, str]]:
    return [(e.id, e.kind, e.status) for e in runner.client.history(id) if e.kind != "execution"]


@durable(name="reminding")
async def reminding(event: Any, ctx: AsyncDurableContext) -> Any:
    callback = await ctx.callback("ok")
    for reminders in range(5):
        try:
            return [reminders, await asyncio.wait_for(callback.result(), 10)]
        except TimeoutError:
            await ctx.step(work, reminders)
    return "never"


@pytest.mark.parametrize("always_suspend", [False, True])
def test_a_wait_that_was_given_up_is_followed_by_another_one(always_suspend: bool) -> None:
    with LocalRunner(reminding, always_suspend=always_suspend) as runner:
        execution = runner.start(None, id="x")
        runner.run_until_idle()
        runner.advance(25)
        runner.complete_callback(execution.callback_token("ok"), "yes")
        runner.run_until_idle()
        runner.advance(100)
        assert execution.result == [2, "yes"]
        assert rows(runner, "x") == [
            ("ok", "callback", "STARTED"),
            ("$t1", "timer", "STARTED"),
            ("$t1", "timer", "SUCCEEDED"),
            ("ok.result", "wait", "FAILED"),
            ("work", "step", "SUCCEEDED"),
            ("$t2", "timer", "STARTED"),
            ("$t2", "timer", "SUCCEEDED"),
            ("ok.result#2", "wait", "FAILED"),
            ("work#2", "step", "SUCCEEDED"),
            ("$t3", "timer", "STARTED"),
            ("ok", "callback", "SUCCEEDED"),
            ("ok.result#3", "wait", "SUCCEEDED"),
        ]
        assert replay(reminding, runner.client.history("x")) == [2, "yes"]


def test_the_process_may_die_between_reminders() -> None:
    def drive(runner: LocalRunner[Any, Any], execution: Any) -> None:
        runner.advance(25)
        if any(e.id == "work#2" for e in execution.history) and execution.status == "SUSPENDED":
            runner.complete_callback(execution.callback_token("ok"), "yes")

    report = crash_everywhere(reminding, None, drive=drive)
    assert report.ok, report


@durable(name="outside")
def outside(event: Any, ctx: DurableContext) -> Any:
    callback = ctx.callback("ok")

    def late(c: DurableContext) -> Any:
        c.sleep(60)
        return c.step(work, "late")

    return list(ctx.race([lambda c: callback.result(), late]))


@durable(name="outside")
async def a_outside(event: Any, ctx: AsyncDurableContext) -> Any:
    callback = await ctx.callback("ok")

    async def waits(c: AsyncDurableContext) -> Any:
        return await callback.result()

    async def late(c: AsyncDurableContext) -> Any:
        await c.sleep(60)
        return await c.step(work, "late")

    return list(await ctx.race([waits, late]))


@pytest.mark.parametrize("handler", [outside, a_outside])
@pytest.mark.parametrize("answered", [False, True])
def test_a_callback_from_outside_of_the_branch_that_awaits_it(handler: Any, answered: bool) -> None:
    with LocalRunner(handler) as runner:
        execution = runner.start(None, id="x")
        runner.run_until_idle()
        if answered:
            runner.complete_callback(execution.callback_token("ok"), "yes")
        runner.run_on(execution)
        assert execution.result == ([0, "yes"] if answered else [1, "late"])
        assert ("race/0/ok.result", "wait", "SUCCEEDED" if answered else "FAILED") in rows(runner, "x")


@durable(name="twice")
def twice(event: Any, ctx: DurableContext) -> Any:
    callback = ctx.callback("ok", timeout=100)
    waits = [lambda c: callback.result()] * 2
    both = ctx.parallel(waits, completion=Completion.all_settled())
    seen = [item.result if item.error is None else type(item.error).__name__ for item in both]
    try:
        return [*seen, callback.result()]
    except (CallbackFailed, CallbackTimeout) as error:
        return [*seen, type(error).__name__]


@durable(name="twice")
async def a_twice(event: Any, ctx: AsyncDurableContext) -> Any:
    callback = await ctx.callback("ok", timeout=100)

    async def waits(c: AsyncDurableContext) -> Any:
        return await callback.result()

    both = await ctx.parallel([waits, waits], completion=Completion.all_settled())
    seen = [item.result if item.error is None else type(item.error).__name__ for item in both]
    try:
        return [*seen, await callback.result()]
    except (CallbackFailed, CallbackTimeout) as error:
        return [*seen, type(error).__name__]


@pytest.mark.parametrize("how", ["completed", "failed", "timed out"])
def test_all_that_wait_get_the_same(how: str) -> None:
    seen = []
    for handler in (twice, a_twice):
        with LocalRunner(handler) as runner:
            execution = runner.start(None, id="x")
            runner.run_until_idle()
            if how == "completed":
                runner.complete_callback(execution.callback_token("ok"), 1)
            elif how == "failed":
                runner.fail_callback(execution.callback_token("ok"), "no")
            else:
                runner.advance(101)
            runner.run_on(execution)
            told = {"completed": 1, "failed": "CallbackFailed", "timed out": "CallbackTimeout"}[how]
            assert execution.result == [told, told, told]
            found = rows(runner, "x")
            assert [row for row in found if row[0] == "ok"] == [
                ("ok", "callback", "STARTED"),
                ("ok", "callback", "SUCCEEDED" if how == "completed" else "FAILED"),
            ], "the outcome is written once"
            seen.append([row for row in found if row[1] in ("callback", "wait")])
            with pytest.raises(LookupError):
                execution.callback_token("ok")
    assert sorted(seen[0]) == sorted(seen[1])


def test_a_wait_takes_no_other_callbacks_outcome() -> None:
    first = True

    @durable(name="swapped")
    def handler(event: Any, ctx: DurableContext) -> Any:
        one, two = ctx.callback("ok"), ctx.callback("ok")
        awaited = one if first else two
        ctx.step(work, awaited.result())
        ctx.sleep(1000)

    with LocalRunner(handler) as runner:
        execution = runner.start(None, id="x")
        runner.run_until_idle()
        for _ in range(2):
            runner.complete_callback(execution.callback_token("ok"), 1)
            runner.run_until_idle()
            if execution.status == "SUSPENDED" and any(e.kind == "sleep" for e in execution.history):
                break
        first = False
        runner.run_on(execution)
        assert isinstance(execution.error, NonDeterminismError)
        assert execution.error.recorded == "wait 'ok.result' for callback 'ok'"
        assert execution.error.attempted == "wait 'ok.result' for callback 'ok#2'"


def test_a_wait_in_a_step_body_is_refused() -> None:
    @durable(name="inside")
    def handler(event: Any, ctx: DurableContext) -> Any:
        callback = ctx.callback("ok")
        ctx.step(lambda: callback.result())

    with LocalRunner(handler) as runner:
        execution = runner.run(None)
        assert "inside the body of step" in str(execution.error)
