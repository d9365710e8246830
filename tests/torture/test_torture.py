"""A slice of `make torture`, and that its judges see what they are there for."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from durable_fn import sweeper
from durable_fn.backends.aws import table
from durable_fn.backends.aws.table import new
from durable_fn.core.operations import step as steps
from tests.torture import kept, plans
from tests.torture.__main__ import Endless
from tests.torture.fates import BadDay, Deaths, Storm
from tests.torture.lives import Life, reference
from tests.torture.plans import Lived
from tests.torture.programs import Oracle, program, workflow
from tests.torture.workflows.all import WORKFLOWS

HARD = [(of, front) for of in WORKFLOWS for front in of.fronts]
HARD_IDS = [f"{of.name}-{front}" for of, front in HARD]


def check(lives: Any) -> list[Lived]:
    found = list(lives)
    wrong = [f"{lived.what}: {lived.problems[0]}" for lived in found if lived.problems]
    assert not wrong, "\n".join(wrong)
    return found


@pytest.mark.parametrize(("of", "front"), HARD, ids=HARD_IDS)
def test_a_hard_workflow_without_trouble(of: Any, front: str) -> None:
    end, points = reference(of, front)
    assert not end.problems, end
    assert points >= 18


def test_a_death_at_some_points_of_all_workflows() -> None:
    lives = check(plans.singles(plans.jobs()[::6] + HARD, every=29))
    assert len(lives) > 100
    assert {lived.deaths for lived in lives} == {1}


def test_two_deaths() -> None:
    lives = check(plans.pairs(plans.jobs()[::17] + HARD, every=13))
    assert len(lives) > 30
    assert {lived.deaths for lived in lives} == {2}


def test_storms_of_deaths() -> None:
    lives = check(itertools.chain.from_iterable(plans.storm(seed) for seed in range(8)))
    assert sum(lived.deaths for lived in lives) > 80


def test_bad_days() -> None:
    lives = check(itertools.chain.from_iterable(plans.day(seed) for seed in range(12)))
    met = sum((lived.faults for lived in lives), Counter())
    assert met.keys() >= {
        "copy",
        "died after",
        "died before",
        "frozen",
        "killed in a body",
        "no reply",
        "reply lost",
        "throttled",
    }


def test_what_only_looked_wrong() -> None:
    """An operation of the next generation has the id of another one in the last: a late copy of its end, or its marker, says
    nothing of it. Two branches of a race may both have answered when it is decided. A thread of a dead process ends late. An
    execution whose owners die too often in a row is stalled."""
    check(itertools.chain(plans.storm(911), *(plans.day(seed) for seed in (698, 789, 3491, 9408))))


def test_a_loser_whose_process_died_some_turns_before() -> None:
    check(plans.day(6746))


@pytest.mark.parametrize("seed", range(3))
def test_a_seed_is_the_same_life_each_time(seed: int) -> None:
    one, other = (BadDay(seed) for _ in range(2))
    ends = [Life(workflow(seed), "async", fate, **plans.conditions(seed)).run() for fate in (one, other)]
    assert ends[0] == ends[1]
    assert one.faults == other.faults


def test_random_workflows_are_of_all_kinds() -> None:
    kinds = {node.kind for seed in range(60) for node in program(seed).nodes()}
    assert len(kinds) == 22
    assert all(len(Oracle(program(seed)).result) == len(program(seed).generations) for seed in range(60))


# -- the judges --------------------------------------------------------------------------------------------------------


def problems_of(lives: Callable[[int], Iterator[Lived]], seeds: int) -> str:
    found = itertools.chain.from_iterable(lives(seed) for seed in range(seeds))
    return " ".join(problem for lived in found for problem in lived.problems)


def test_a_replay_with_other_results_is_seen() -> None:
    with mock.patch.object(steps, "recorded", return_value="another"):
        assert "JUDGE" in problems_of(plans.storm, 2)


def test_a_segment_that_is_written_over_is_seen() -> None:
    def over(item: Any) -> dict[str, Any]:
        return {"Item": item} if item["sk"]["S"].startswith("L#") else new(item)

    with mock.patch.object(table, "new", over):
        assert "LINEAR" in problems_of(plans.day, 1)


def test_an_execution_that_nobody_wakes_is_seen() -> None:
    with mock.patch.object(sweeper, "sweep", return_value=SimpleNamespace(sent=0)):
        assert "LOST" in problems_of(plans.storm, 2)


def test_points_are_counted() -> None:
    fate = Deaths(3)
    Life(*HARD[0], fate).run()
    assert len(fate.died) == 1
    assert "(point 3)" in fate.died[0]
    assert fate.count > reference(*HARD[0])[1], "after a death it has more to do"


def test_a_storm_lets_every_execution_go_on() -> None:
    fate = Storm(3)
    life = Life(*HARD[0], fate)
    life.run()
    assert fate.died > 3
    assert max(life.judge.fences.values()) <= Storm.IN_A_ROW + 1


# -- the kept counts ---------------------------------------------------------------------------------------------------


def test_counts_add_up_over_runs(tmp_path: Path) -> None:
    file = tmp_path / "counts.json"
    for _ in range(2):
        counts = kept.load(file)
        counts["days"].add(deaths=2, faults=Counter(frozen=1), problems=[])
        counts["pairs"].add(deaths=2, faults=Counter(), problems=["LOST all", "REPEATED one"])
        kept.save(counts, file)
    days, pairs = kept.load(file)["days"], kept.load(file)["pairs"]
    assert (days.lives, days.deaths, days.faults, days.wrong) == (2, 4, {"frozen": 2}, 0)
    assert (pairs.lost, pairs.repeated, pairs.wrong) == (2, 2, 2)


def test_an_enumeration_goes_on_where_it_was() -> None:
    whole = [lived.what for lived in itertools.islice(plans.singles(), 6)]
    endless = Endless("singles", kept.Kept(next=4))
    assert [endless.batch()[0].what for _ in range(2)] == whole[4:]
