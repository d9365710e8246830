"""A branch did something, its process died before that was written, and another branch won before this one was walked again: its
saga is undone all the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from durable_fn import Completion, DurableContext, DurableFunction, durable
from durable_fn.testing import LocalRunner
from tests.effects import EFFECTS, effect
from tests.fronts.edges import Killed


def dies_once(name: str) -> str:
    EFFECTS.append(name)
    if EFFECTS.count(name) == 1:
        raise Killed
    return name


def quick(c: DurableContext) -> str:
    c.step(effect, "asked")
    c.sleep(30)
    c.step(effect, "answered")
    return "quick"


def slow(c: DurableContext) -> str:
    """Its step's end is written together with the beginning of the sleep before it."""
    c.step(effect, "slow")
    c.sleep(10_000)
    return "never"


def reserves(c: DurableContext) -> str:
    with c.saga() as saga:
        saga.add_compensation(effect, "given back")
        c.step(dies_once, "reserved")
        c.sleep(10_000)
    return "never"


def untouched(c: DurableContext) -> str:
    with c.saga() as saga:
        saga.add_compensation(effect, "what was never begun")
        c.sleep(10_000)
    return "never"


@durable(name="races")
def races(event: Any, ctx: DurableContext) -> Any:
    return ctx.race([quick, slow, reserves])


@durable(name="maps")
def maps(event: Any, ctx: DurableContext) -> Any:
    branches = [quick, slow, reserves, untouched]
    batch = ctx.parallel(branches, max_concurrency=3, completion=Completion(min_successful=1))
    return [item.status for item in batch]


def run(function: DurableFunction[Any, Any], trouble: Callable[[LocalRunner[Any, Any]], None] | None = None) -> Any:
    with LocalRunner(function) as runner:
        runner._in_order = True
        execution = runner.start(None, "x")
        with pytest.raises(Killed):
            runner.run_until_idle()
        if trouble is not None:
            trouble(runner)
        runner.advance(3600)
        return execution.result


def test_the_loser_of_a_race_gives_back_what_nobody_knows_of() -> None:
    assert run(races) == (0, "quick")
    assert EFFECTS == ["asked", "slow", "reserved", "answered", "given back"]


def undone(c: DurableContext) -> str:
    with c.saga() as saga:
        saga.add_compensation(effect, "undone")
        c.step(effect, "slow")
        c.sleep(10_000)
    return "never"


@durable(name="races")
def races_on(event: Any, ctx: DurableContext) -> Any:
    return ctx.race([quick, undone, reserves])


def frozen_once_undone(runner: LocalRunner[Any, Any]) -> None:
    """The process stands still beyond its lease, once it has written what a loser undid, and makes way then."""
    journal: Any = runner._journal
    append = journal.append

    def then_frozen(*args: Any) -> Any:
        written = append(*args)
        if EFFECTS[-1] == "undone" and journal.append is then_frozen:
            journal.append = append
            runner.backend.clock.sleep(2000)
        return written

    journal.append = then_frozen


def test_it_does_so_when_the_death_was_some_turns_ago() -> None:
    """The turn that goes on with the losers has taken over from nobody: the one before it suspended."""
    assert run(races_on, frozen_once_undone) == (0, "quick")
    assert EFFECTS == ["asked", "slow", "reserved", "answered", "undone", "given back"]


def test_a_branch_that_could_not_have_begun_yet_undoes_nothing() -> None:
    assert run(maps) == ["SUCCEEDED", "CANCELLED", "CANCELLED", "CANCELLED"]
    assert EFFECTS == ["asked", "slow", "reserved", "answered", "given back"]


@durable(name="races")
def races_and_dies(event: Any, ctx: DurableContext) -> Any:
    def dies_undone(name: str) -> str:
        return dies_once(name)

    def loses(c: DurableContext) -> str:
        with c.saga() as saga:
            saga.add_compensation(dies_undone, "slow given back")
            c.step(effect, "slow")
            c.sleep(10_000)
        return "never"

    return ctx.race([quick, loses, reserves])


def test_also_where_the_process_dies_again_when_the_race_is_won() -> None:
    """That the first has won is on record, and what the last did is not."""
    with LocalRunner(races_and_dies) as runner:
        runner._in_order = True
        execution = runner.start(None, "x")
        with pytest.raises(Killed):
            runner.run_until_idle()
        with pytest.raises(Killed):
            runner.advance(3600)
        runner.advance(3600)
        assert execution.result == (0, "quick")
    assert EFFECTS[:4] == ["asked", "slow", "reserved", "answered"]
    assert sorted(EFFECTS[4:]) == ["given back", "slow given back", "slow given back"]
