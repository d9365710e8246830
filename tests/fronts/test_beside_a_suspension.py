"""A branch that is at its end, and what it still has to do, while a branch beside it ends the turn (`def` handlers: threads)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from durable_fn import DurableContext, ExecutionCancelled, durable
from durable_fn.testing import LocalRunner
from tests.effects import EFFECTS, effect

PATIENCE = 20
began, ended = threading.Event(), threading.Event()
"""The other branch runs; the turn was ended once."""


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    EFFECTS.clear()
    began.clear()
    ended.clear()
    yield
    ended.set()


def ends_the_turn(c: DurableContext) -> None:
    """One operation per turn: a step suspends."""
    assert began.wait(PATIENCE)
    try:
        c.step(effect, "a")
        c.step(effect, "b")
    finally:
        ended.set()


def wait_for_the_end() -> None:
    began.set()
    assert ended.wait(PATIENCE)


def result_of(handler: Any) -> Any:
    with LocalRunner(handler, always_suspend=True) as runner:
        return runner.run(None).result


def test_a_saga_that_is_cancelled_beside_is_undone_in_the_next_turn() -> None:
    def wait(c: DurableContext) -> None:
        try:
            c.wait_for_signal("never")
        except ExecutionCancelled:
            wait_for_the_end()
            raise

    def unwinds(c: DurableContext) -> None:
        with c.saga() as saga:
            saga.add_compensation(effect, "undo")
            wait(c)

    def cleans(c: DurableContext) -> None:
        try:
            c.wait_for_signal("never")
        except ExecutionCancelled:
            ends_the_turn(c)

    @durable(name="beside")
    def handler(event: None, ctx: DurableContext) -> None:
        ctx.parallel([cleans, unwinds])

    with LocalRunner(handler, always_suspend=True) as runner:
        execution = runner.start(None)
        runner.run_on(execution)
        runner.cancel(execution.id)
        runner.run_on(execution)
        assert (
            execution.status != "SUSPENDED"
        )  # CANCELLED, or SUCCEEDED if the branch that took it well was the last to end
    assert sorted(EFFECTS) == ["a", "b", "undo"]


def test_a_branch_that_swallows_the_end_of_the_turn_has_not_ended_by_that() -> None:
    def swallows(c: DurableContext) -> str:
        wait_for_the_end()
        try:
            return c.step(effect, "c")
        except BaseException:
            return "swallowed"

    @durable(name="beside")
    def handler(event: None, ctx: DurableContext) -> Any:
        return ctx.parallel([ends_the_turn, swallows]).results

    assert result_of(handler) == [None, "c"]
    assert sorted(EFFECTS) == ["a", "b", "c"]


def test_a_branch_that_ends_by_itself_beside_has_ended() -> None:
    def returns(c: DurableContext) -> str:
        wait_for_the_end()
        return "by itself"

    @durable(name="beside")
    def handler(event: None, ctx: DurableContext) -> Any:
        return ctx.parallel([ends_the_turn, returns]).results

    assert result_of(handler) == [None, "by itself"]
