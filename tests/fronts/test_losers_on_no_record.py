"""A branch did something, its process died before that was written, and another branch won before this one was walked again: its
saga is undone all the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from durable_fn import Completion, DurableContext, DurableFunction, RetryPolicy, durable, step
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


def idle(c: DurableContext) -> Any:
    return c.sleep(10_000)


def told(c: DurableContext) -> Any:
    return c.wait_for_signal("go")


@durable(name="races_at_once")
def races_at_once(event: Any, ctx: DurableContext) -> Any:
    return ctx.race([told, idle, reserves])


@durable(name="races_at_once")
def nests(event: Any, ctx: DurableContext) -> Any:
    def inner(c: DurableContext) -> Any:
        return c.parallel([reserves])

    return ctx.race([told, idle, inner])


def frozen(part: str) -> Callable[[LocalRunner[Any, Any]], None]:
    """The process that has taken over stands still beyond its lease, once it has written this, and makes way then."""

    def trouble(runner: LocalRunner[Any, Any]) -> None:
        runner.client.signal("x", "go", "won")
        journal: Any = runner._journal
        append = journal.append

        def then_frozen(header: Any, segment: Any) -> Any:
            written = append(header, segment)
            if part in segment.body:
                journal.append = append
                runner.backend.clock.sleep(2000)
            return written

        journal.append = then_frozen

    return trouble


@pytest.mark.parametrize("function", [races_at_once, nests])
@pytest.mark.parametrize("part", ["fence", "won"])
def test_also_where_the_race_itself_was_not_on_record(function: DurableFunction[Any, Any], part: str) -> None:
    """The first process died before it had written anything. The second one wrote that it has taken over, or who has won, and
    made way then."""
    assert run(function, frozen(part)) == (0, "won")
    assert EFFECTS == ["reserved", "given back"]


def terminated_and_redriven(runner: LocalRunner[Any, Any]) -> None:
    runner.client.terminate("x")
    runner.client.redrive("x")
    runner.client.signal("x", "go", "won")


def test_also_where_it_was_terminated_and_is_redriven() -> None:
    assert run(races_at_once, terminated_and_redriven) == (0, "won")
    assert EFFECTS == ["reserved", "given back"]


@durable(name="waits_and_races")
def waits_and_races(event: Any, ctx: DurableContext) -> Any:
    ctx.sleep(1)
    return ctx.race([told, idle, reserves])


def suspends_at_the_sleep(runner: LocalRunner[Any, Any]) -> None:
    """The process that died had waited for it in place, and recorded nothing of it."""
    runner._lambda_timeout = 1.2
    runner.client.signal("x", "go", "won")


def test_also_where_the_next_process_does_not_come_so_far() -> None:
    assert run(waits_and_races, suspends_at_the_sleep) == (0, "won")
    assert EFFECTS == ["reserved", "given back"]


def at_once(c: DurableContext) -> str:
    return "at once"


def fails(c: DurableContext) -> str:
    raise ValueError("of the handler")


def signalled(runner: LocalRunner[Any, Any]) -> None:
    runner.client.signal("x", "go", "won")


@pytest.mark.parametrize(("first", "needed"), [((at_once, told), 2), ((told, fails), 1)])
def test_a_branch_that_began_when_another_had_ended(first: tuple[Any, Any], needed: int) -> None:
    """That one's end was not on record either. If it comes too late the next time, it was in time for the process that died."""

    @durable(name="widens")
    def widens(event: Any, ctx: DurableContext) -> Any:
        completion = Completion(min_successful=needed, max_failures=3)
        return ctx.parallel([*first, reserves, untouched], max_concurrency=2, completion=completion)[2].status

    assert run(widens, signalled) == "CANCELLED"
    assert EFFECTS == ["reserved", "given back"]


# -- what never began --------------------------------------------------------------------------------------------------


def cleans_up_slowly(c: DurableContext) -> None:
    with c.saga() as saga:
        saga.add_compensation(effect, "undone")
        c.step(effect, "done")
        try:
            c.sleep(10_000)
        except BaseException:
            with c.shielded():
                c.sleep(600)
            raise


@durable(name="dies_before")
def dies_before(event: Any, ctx: DurableContext) -> Any:
    ctx.step(dies_once, "first")
    return ctx.race([at_once, untouched])


def test_a_death_before_the_fan_is_none_in_it() -> None:
    """A step's end is on record before anything behind it begins, so the process that died in it began no branch."""
    assert run(dies_before) == (0, "at once")
    assert EFFECTS == ["first", "first"]


@durable(name="narrow_and_dies")
def narrow_and_dies(event: Any, ctx: DurableContext) -> Any:
    def wins_after_death(c: DurableContext) -> str:
        return c.step(dies_once, "won")

    branches = [cleans_up_slowly, wins_after_death, untouched, untouched, untouched]
    batch = ctx.parallel(branches, max_concurrency=2, completion=Completion(min_successful=1))
    return [item.status for item in batch]


def test_a_loser_that_is_undone_lets_no_other_begin() -> None:
    """It takes some turns, and each of them looks for those that may have begun."""
    assert run(narrow_and_dies) == ["CANCELLED", "SUCCEEDED", *["CANCELLED"] * 3]
    assert EFFECTS == ["done", "won", "won", "undone"]


def test_what_a_redrive_forgot_is_no_death() -> None:
    """A segment of which it leaves nothing is no sign of a new owner."""
    up = [False]

    @step(retry=RetryPolicy(max_attempts=4, initial_delay=0.2, backoff=8, jitter="none"))
    def flaky() -> None:
        if not up[0]:
            raise OSError("down")

    def breaks(c: DurableContext) -> None:
        c.step(flaky)

    def races_on_its_own(c: DurableContext) -> Any:
        c.sleep(600)
        return c.race([at_once, untouched])

    @durable(name="redriven")
    def redriven(event: Any, ctx: DurableContext) -> Any:
        return ctx.parallel([breaks, races_on_its_own], completion=Completion.all_successful()).results

    with LocalRunner(redriven) as runner:
        runner._in_order = True
        runner.start(None, "x")
        runner.advance(60)
        assert runner.client.describe("x").status == "FAILED"
        up[0] = True
        runner.client.redrive("x")
        runner.advance(7200)
        assert runner.client.result("x") == [None, (0, "at once")]
    assert EFFECTS == []


def test_what_a_fork_leaves_out_is_no_death() -> None:
    """A call that is open begins anew in it."""

    @durable(name="child")
    def child(event: Any, ctx: DurableContext) -> Any:
        return ctx.wait_for_signal("go")

    def calls(c: DurableContext) -> Any:
        c.step(effect, "before")
        return c.call(child, None)

    def races_on_its_own(c: DurableContext) -> Any:
        c.step(effect, "here")
        c.sleep(600)
        return c.race([at_once, untouched])

    def goes_on(c: DurableContext) -> Any:
        c.sleep(60)
        return c.step(effect, "again")

    @durable(name="forked")
    def forked(event: Any, ctx: DurableContext) -> Any:
        return ctx.parallel([races_on_its_own, goes_on, calls]).results

    with LocalRunner(forked, child) as runner:
        runner._in_order = True
        runner.start(None, "x")
        runner.advance(100)
        runner.client.fork("x", from_step="parallel/1/effect", new_id="y")
        segments = runner._journal.load(runner._header("y").key).segments  # type: ignore[union-attr]
        assert any(segment.body.startswith("\tgap") for segment in segments)
        runner.advance(7200)
        assert runner.client.describe("y").status == "SUSPENDED"
    assert EFFECTS == ["here", "before", "again", "again"]
