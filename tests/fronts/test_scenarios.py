"""Every scenario: the same result and the same journal in both fronts, on both journals, whatever dies."""

from __future__ import annotations

import pytest

from durable_fn.testing import Execution, crash_everywhere
from tests.scenarios import EFFECTS, SCENARIOS, Scenario
from tests.worlds import AwsWorld, Outcome, SqliteWorld, World

every_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
both_fronts = pytest.mark.parametrize("front", ["sync", "asyn"])


@every_scenario
@both_fronts
def test_result_and_effects(scenario: Scenario, front: str, world: World) -> None:
    outcome = Outcome(world, world.run(getattr(scenario, front), scenario.event))
    if scenario.fails is None:
        assert (outcome.status, outcome.result) == ("SUCCEEDED", scenario.result), outcome.error
    else:
        assert outcome.status == "FAILED"
        assert outcome.error is not None
        assert outcome.error.error_type == scenario.fails
    assert scenario.effects == EFFECTS


@every_scenario
def test_both_fronts_and_both_journals_record_the_same(
    scenario: Scenario, sqlite_world: SqliteWorld, aws_world: AwsWorld
) -> None:
    worlds: list[World] = [sqlite_world, aws_world]
    outcomes = [
        Outcome(w, w.run(f, scenario.event, f"{f.is_async}")) for w in worlds for f in (scenario.sync, scenario.asyn)
    ]
    for outcome in outcomes[1:]:
        assert outcome.journal(results=not scenario.random) == outcomes[0].journal(results=not scenario.random)


@every_scenario
@both_fronts
def test_the_process_may_die_anywhere(scenario: Scenario, front: str) -> None:
    def at_most_once(execution: Execution[object]) -> None:
        assert EFFECTS.count("once_failing") <= 1
        EFFECTS.clear()

    report = crash_everywhere(getattr(scenario, front), scenario.event, check=at_most_once)
    assert report.ok or not scenario.same_after_death, report
    assert report.crash_points >= 4


@every_scenario
@both_fronts
def test_a_finished_execution_answers_from_its_record(scenario: Scenario, front: str, world: World) -> None:
    function = getattr(scenario, front)
    first = Outcome(world, world.run(function, scenario.event, "same"))
    ran = list(EFFECTS)
    again = Outcome(world, world.run(function, scenario.event, "same"))
    assert (again.result, again.journal(), ran) == (first.result, first.journal(), EFFECTS)
