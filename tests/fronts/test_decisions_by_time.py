"""Time as a reason: what a handler does because of the time that it was told, it does again after a death, in both fronts."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import traceback
from typing import Any

import pytest

from durable_fn import AsyncDurableContext, DurableContext, durable
from durable_fn.errors import SignalTimeout
from durable_fn.runtime.session import Session
from durable_fn.testing import LocalRunner
from tests.effects import EFFECTS


@pytest.fixture(autouse=True)
def _fresh() -> None:
    EFFECTS.clear()


class Killed(BaseException):
    """The process is gone."""


def pay(how: str) -> str:
    EFFECTS.append(how)
    if len(EFFECTS) == 1:
        raise Killed
    return how


def how(seconds: float) -> str:
    return "late" if seconds > 60 else "early"


@durable(name="by_time")
def plain(event: None, ctx: DurableContext) -> str:
    began = ctx.now()
    ctx.sleep(10)
    return ctx.step(pay, how((ctx.now() - began).total_seconds()))


@durable(name="by_time")
async def native(event: None, ctx: AsyncDurableContext) -> str:
    began = ctx.now()
    await ctx.sleep(10)
    return await ctx.step(pay, how((ctx.now() - began).total_seconds()))


@durable(name="by_time")
async def by_the_loop(event: None, ctx: AsyncDurableContext) -> str:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.sleep(10)
    return await ctx.step(pay, how(loop.time() - began))


@durable(name="by_time")
def in_a_branch(event: None, ctx: DurableContext) -> str:
    return ctx.map(lambda c, _: plain.__wrapped__(None, c), [1]).results[0]


@durable(name="by_time")
def after_a_step(event: None, ctx: DurableContext) -> str:
    """The time moves with results, not with owners."""
    began = ctx.now()
    ctx.step(work)
    return ctx.step(pay, how((ctx.now() - began).total_seconds()))


def work() -> None: ...


@durable(name="by_time")
async def by_what_was_due_first(event: None, ctx: AsyncDurableContext) -> str:
    """The log knows when the older sleep ends, and not yet when the younger one does: it would end later after a death."""

    async def older() -> str:
        await ctx.sleep(5)
        return "late"

    async def younger() -> str:
        await ctx.step(work)  # the older one's beginning is written with it
        await ctx.sleep(1)
        return "early"

    tasks = [asyncio.create_task(older()), asyncio.create_task(younger())]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    paid = await ctx.step(pay, next(task for task in tasks if task in done).result())
    await asyncio.gather(*tasks)
    return paid


HANDLERS = [plain, native, by_the_loop, in_a_branch, after_a_step, by_what_was_due_first]


@pytest.mark.parametrize("handler", HANDLERS, ids=lambda h: h.__name__)
def test_no_body_begins_on_a_time_that_a_death_can_change(handler: Any) -> None:
    with LocalRunner(handler) as runner:
        execution = runner.start(None)
        with pytest.raises(Killed):
            runner.advance(3600)
        runner.advance(3600)
        assert execution.status == "SUCCEEDED"
    assert EFFECTS == ["early", "early"]


# -- two decisions from absence at once ----------------------------------------------------------------------------

RUNNERS: list[LocalRunner[Any, Any]] = []


def tell_both() -> None:
    RUNNERS[0].signal("x", "a", 1)
    RUNNERS[0].signal("x", "b", 2)


@durable(name="both_due")
def both_due(event: None, ctx: DurableContext) -> list[Any]:
    def waits(c: DurableContext, name: str) -> Any:
        try:
            return c.wait_for_signal(name, timeout=1)
        except SignalTimeout:
            return "nothing came"

    return list(ctx.parallel([lambda c: waits(c, "a"), lambda c: waits(c, "b"), lambda c: c.step(tell_both)]).results)


def _another_thread_decides() -> bool:
    """Whether one has decided that nothing has come, and waits for its turn to write that."""
    mine = threading.get_ident()
    stacks = [stack for thread, stack in sys._current_frames().items() if thread != mine]
    return any(frame.f_code is Session.decide.__code__ for stack in stacks for frame, _ in traceback.walk_stack(stack))


def test_a_decision_does_not_stand_once_another_branch_has_read_what_came() -> None:
    """Both waits are due, and neither has seen its signal. The first decision is refused and reads the inbox again; the second,
    which looked at the old one, must not be written on the ground of the new one."""
    with LocalRunner(both_due) as runner:
        RUNNERS[:] = [runner]
        journal: Any = runner._journal
        decide = journal.decide

        def once_both_have_decided(*args: Any) -> Any:
            journal.decide = decide
            end = time.monotonic() + 10
            while not _another_thread_decides():
                assert time.monotonic() < end, "the branches decide one after the other"
                time.sleep(0)
            return decide(*args)

        journal.decide = once_both_have_decided
        execution = runner.start(None, "x")
        runner.run_until_idle()
        runner.advance(60)
        assert execution.result == [1, 2, None]
        assert journal.decide == decide, "somebody decided"
