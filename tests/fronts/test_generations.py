"""Time in a generation that `continue_as_new` began: it begins when the generation does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from durable_fn import AsyncDurableContext, DurableContext, durable
from durable_fn.testing import LocalRunner
from durable_fn.testing.cloud import LocalCloud

seen: list[tuple[int, timedelta]] = []
fronts = pytest.mark.parametrize("front", ["def", "async def"])


@pytest.fixture(autouse=True)
def _anew() -> None:
    seen.clear()


@durable(name="rounds")
def rounds(event: int, ctx: DurableContext) -> str:
    began = ctx.now()
    ctx.sleep(100)
    seen.append((event, ctx.now() - began))
    if event < 3:
        ctx.continue_as_new(event + 1)
    return began.isoformat()


@durable(name="rounds")
async def a_rounds(event: int, ctx: AsyncDurableContext) -> str:
    began = ctx.now()
    await ctx.sleep(100)
    seen.append((event, ctx.now() - began))
    if event < 3:
        ctx.continue_as_new(event + 1)
    return began.isoformat()


def handler(front: str) -> Any:
    return rounds if front == "def" else a_rounds


@fronts
def test_time_begins_with_the_generation(front: str) -> None:
    with LocalRunner(handler(front)) as runner:
        began = runner.now()
        assert runner.run(1).result == (began + timedelta(seconds=200)).isoformat()
    assert seen == [(event, timedelta(seconds=100)) for event in (1, 2, 3)]


@fronts
def test_the_same_on_aws(front: str) -> None:
    with LocalCloud(handler(front)) as cloud:
        began = cloud.now()
        id = cloud.client.start(handler(front), 1)
        cloud.run(id)
        assert cloud.client.result(id) == (began + timedelta(seconds=200)).isoformat()


@fronts
def test_a_fork_has_the_time_of_the_generation_that_it_was_copied_from(front: str) -> None:
    with LocalRunner(handler(front)) as runner:
        began = runner.run(1, "x").result
        runner.advance(3600)
        fork = runner.client.fork("x", from_step="sleep")
        runner.advance(3600)
        assert runner.client.result(fork) == began
