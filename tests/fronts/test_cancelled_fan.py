"""A cancellation that reaches a fan: one branch is cancelled, another takes it and ends well, and so the fan has ended."""

from __future__ import annotations

from typing import Any

import pytest

from durable_fn import AsyncDurableContext, DurableContext, ExecutionCancelled, durable, step
from durable_fn.testing import Execution, LocalRunner, crash_everywhere


def work() -> None:
    """What steps do."""


cleaned, following, last = (step(work, name=name) for name in ("cleaned", "following", "last"))


@durable(name="cancelled_fan")
def sync(_event: None, ctx: DurableContext) -> None:
    def takes_it(c: DurableContext) -> str:
        try:
            return str(c.wait_for_signal("never"))
        except ExecutionCancelled:
            c.step(cleaned)
            return "went on"

    try:
        ctx.parallel([lambda c: c.sleep(1000), takes_it])
        ctx.step(following)
    finally:
        ctx.step(last)


@durable(name="cancelled_fan")
async def asyn(_event: None, ctx: AsyncDurableContext) -> None:
    async def takes_it(c: AsyncDurableContext) -> str:
        try:
            return str(await c.wait_for_signal("never"))
        except ExecutionCancelled:
            await c.step(cleaned)
            return "went on"

    try:
        await ctx.parallel([lambda c: c.sleep(1000), takes_it])
        await ctx.step(following)
    finally:
        await ctx.step(last)


@pytest.mark.parametrize("fan", ["parallel", "race"])
def test_a_branch_that_takes_it_inside_another_fan_may_wait_again(fan: str) -> None:
    """Of the branches around it the cancellation is known already: they are not walked again because of it, over and over."""

    def takes_it(c: DurableContext) -> str:
        try:
            c.wait_for_signal("never")
        except ExecutionCancelled:
            c.step(cleaned)
        return c.wait_for_signal("go", result_type=str)

    @durable(name="cancelled_fan")
    def handler(_event: None, ctx: DurableContext) -> str:
        def around(c: DurableContext) -> list[str]:
            return c.parallel([takes_it]).results

        return str(ctx.race([around]) if fan == "race" else ctx.parallel([around]).results)

    with LocalRunner(handler) as runner:
        execution = runner.start(None)
        runner.run_until_idle()
        runner.cancel(execution.id)
        runner.run_until_idle()
        assert execution.status == "SUSPENDED"
        runner.signal(execution.id, "go", "went")
        runner.run_until_idle()
        assert execution.status != "SUSPENDED"
        assert steps(execution) == ["cleaned"]


def steps(execution: Execution[Any]) -> list[str]:
    return [e.name for e in execution.history if e.kind == "step" and e.status == "SUCCEEDED"]


@pytest.mark.parametrize("handler", [sync, asyn], ids=["sync", "async"])
def test_the_cancellation_is_raised_once_at_what_follows_the_fan(handler: Any) -> None:
    with LocalRunner(handler, always_suspend=True) as runner:
        execution = runner.start(None)
        runner.run_until_idle()
        runner.client.cancel(execution.id)
        runner.advance(5)
        assert execution.status == "CANCELLED", execution.error
        assert steps(execution) == ["cleaned", "last"]


@pytest.mark.parametrize("handler", [sync, asyn], ids=["sync", "async"])
def test_also_wherever_the_process_dies(handler: Any) -> None:
    def ended(execution: Execution[Any]) -> None:
        assert execution.status == "CANCELLED"
        assert steps(execution) == ["cleaned", "last"]

    report = crash_everywhere(handler, None, drive=lambda run, execution: run.cancel(execution.id), check=ended)
    assert report.ok, report
