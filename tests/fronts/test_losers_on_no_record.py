"""A branch did something, its process died before that was written, and another branch won before this one was walked again: its
saga is undone all the same."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from durable_fn import Completion, DurableContext, DurableFunction, ExecutionCancelled, durable, step
from durable_fn.errors import NonDeterminismError
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


@pytest.mark.parametrize("front", ["handler", "branch"])
def test_also_where_a_cancellation_is_raised_before_what_the_dead_process_had_reached(front: str) -> None:
    """The end of a sleep in place was not on record."""

    def reaches(c: DurableContext) -> Any:
        try:
            c.sleep(0.5)
        except ExecutionCancelled:
            if front == "branch":
                return c.race([at_once, idle, reserves])
        return c.race([told, idle, reserves])

    @durable(name="reaches")
    def function(event: Any, ctx: DurableContext) -> Any:
        return reaches(ctx) if front == "handler" else ctx.race([told, reaches])

    def trouble(runner: LocalRunner[Any, Any]) -> None:
        signalled(runner)
        if front == "handler":
            runner.client.cancel("x")

    assert run(function, trouble)[1] == "won"
    assert EFFECTS == ["reserved", "given back"]


@durable(name="one_is_late")
def one_is_late(event: Any, ctx: DurableContext) -> Any:
    def tidies(c: DurableContext) -> Any:
        try:
            c.wait_for_signal("never")
        finally:
            c.step(dies_once, "tidied")

    completion = Completion(min_successful=1, max_failures=3)
    ctx.parallel([told, fails, tidies, reserves], max_concurrency=3, completion=completion)


def test_who_ended_too_late_is_known_to_later_turns() -> None:
    """The process dies once that one has ended, in the clean-up of the next."""
    with LocalRunner(one_is_late) as runner:
        runner._in_order = True
        execution = runner.start(None, "x")
        with pytest.raises(Killed):
            runner.run_until_idle()
        signalled(runner)
        with pytest.raises(Killed):
            runner.advance(3600)
        runner.advance(3600)
        assert execution.status == "SUCCEEDED"
    assert EFFECTS == ["reserved", "tidied", "tidied", "given back"]


@durable(name="on_threads")
def on_threads(event: Any, ctx: DurableContext) -> Any:
    completion = Completion(min_successful=1, max_failures=3)
    ctx.parallel([told, fails, reserves], max_concurrency=2, completion=completion)


@pytest.mark.parametrize("_", range(8))
def test_on_threads_a_branch_is_asked_for_again_when_another_has_ended(_: int) -> None:
    with LocalRunner(on_threads) as runner:
        runner.start(None, "x")
        with pytest.raises(Killed):
            runner.run_until_idle()
        signalled(runner)
        runner.advance(3600)
    assert set(EFFECTS[:-1]) == {"reserved"}, "it may have begun in time, too"
    assert EFFECTS[-1] == "given back"


def test_also_where_a_patch_put_a_step_before_the_race() -> None:
    """That step's end says nothing of a process that ran the code without it."""

    @durable(name="races_at_once")
    def patched(event: Any, ctx: DurableContext) -> Any:
        if ctx.patched("check"):
            ctx.step(effect, "checked")
        return ctx.race([told, idle, reserves])

    def deployed(runner: LocalRunner[Any, Any]) -> None:
        signalled(runner)
        runner.deploy(patched)

    assert run(races_at_once, deployed) == (0, "won")
    assert EFFECTS == ["reserved", "checked", "given back"]


def test_also_where_the_process_stood_still_in_it_and_made_way() -> None:
    """It is alive, and wrote nothing of what it did."""
    runners: list[LocalRunner[Any, Any]] = []

    def stands_still() -> None:
        effect("reserved")
        if len(EFFECTS) == 1:
            runners[0].backend.clock.sleep(2000)

    def freezes(c: DurableContext) -> None:
        with c.saga() as saga:
            saga.add_compensation(effect, "given back")
            c.step(stands_still)
            c.sleep(10_000)

    @durable(name="freezes")
    def function(event: Any, ctx: DurableContext) -> Any:
        return ctx.race([told, idle, freezes])

    with LocalRunner(function) as runner:
        runners.append(runner)
        runner._in_order = True
        journal: Any = runner._journal
        suspend = journal.suspend

        def then_signalled(*args: Any) -> Any:
            reply = suspend(*args)
            journal.suspend = suspend
            signalled(runner)
            return reply

        journal.suspend = then_signalled
        execution = runner.start(None, "x")
        runner.advance(7200)
        assert execution.result == (0, "won")
    assert EFFECTS == ["reserved", "given back"]


def test_also_where_the_code_beside_it_did_not_match() -> None:
    """The execution was held while the body ran, and its end was not written."""
    begun, held = threading.Event(), threading.Event()

    @step
    def reserve() -> None:
        effect("reserved")
        begun.set()
        assert held.wait(30)

    def takes(c: DurableContext) -> None:
        with c.saga() as saga:
            saga.add_compensation(effect, "given back")
            c.step(reserve)
            c.sleep(10_000)

    def right(c: DurableContext) -> Any:
        return c.wait_for_signal("s")

    def wrong(c: DurableContext) -> Any:
        assert begun.wait(30)
        try:
            c.sleep(5)
        finally:
            held.set()

    def made(branch: Any) -> DurableFunction[Any, Any]:
        @durable(name="mended")
        def function(event: Any, ctx: DurableContext) -> Any:
            completion = Completion(min_successful=2)
            ctx.parallel([told, branch, takes], max_concurrency=2, completion=completion)

        return function

    with LocalRunner(made(right)) as runner:
        execution = runner.start(None, "x")
        runner.run_until_idle()
        runner.deploy(made(wrong))
        signalled(runner)
        runner.advance(0)
        assert isinstance(execution.error, NonDeterminismError)
        assert EFFECTS == ["reserved"]
        runner._in_order = True
        runner.client.signal("x", "s")
        runner.deploy(made(right))
        runner.advance(7200)
        assert execution.status == "SUCCEEDED"
    assert EFFECTS == ["reserved", "given back"]
