"""Which lives there are to run, of each kind, by number: the same number is the same life each time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from tests.corpus.shape import Shape
from tests.corpus.topics import SHAPES
from tests.torture.cloud import Fate
from tests.torture.fates import BadDay, Deaths, Storm
from tests.torture.lives import Life, reference, wrong_with
from tests.torture.programs import workflow
from tests.torture.workflows.all import WORKFLOWS
from tests.torture.workflows.hard import Hard

SMALL = 40
"""Points of a workflow that is small enough for all its pairs."""
Job = tuple[Shape | Hard, str]


class Lived(NamedTuple):
    what: str
    deaths: int
    faults: Counter[str]
    problems: list[str]


def jobs() -> list[Job]:
    """All workflows, those of the corpus and the hard ones, in all their fronts."""
    return [(of, front) for of in (*WORKFLOWS, *SHAPES) for front in of.fronts]


def live(of: Shape | Hard, front: str, fate: Fate, **options: int) -> Lived:
    end = Life(of, front, fate, **options).run()
    problems = wrong_with(of, front, end, deaths=deaths_of(fate))
    faults = Counter(fate.faults) if isinstance(fate, BadDay) else Counter()
    return Lived(f"{of.name} ({front})", deaths_of(fate), faults, problems)


def deaths_of(fate: Fate) -> int:
    if isinstance(fate, Deaths):
        return len(fate.died)
    if isinstance(fate, Storm):
        return fate.died
    assert isinstance(fate, BadDay)
    return sum(count for kind, count in fate.faults.items() if kind in BadDay.DEATHS)


def singles(own: list[Job] | None = None, every: int = 1) -> Iterator[Lived]:
    """A death at each point of each workflow; of these, and at each `every`th point."""
    for number, (of, front) in enumerate(own or jobs()):
        points = reference(of, front)[1]
        for at in range(1 + number % every, points + 1, every):
            yield _at(of, front, at)


def pairs(own: list[Job] | None = None, every: int = 1) -> Iterator[Lived]:
    """Two deaths, at each pair of points of each small workflow. The second may be there only because of the first death."""
    for number, (of, front) in enumerate(own or jobs()):
        points = reference(of, front)[1]
        if points > SMALL or not bears_two(of):
            continue
        for first in range(1 + number % every, points + 1, every):
            for second in range(first + 1, 3 * points, every):
                lived = _at(of, front, first, second)
                if lived.deaths < 2:
                    break
                yield lived


def bears_two(of: Shape | Hard) -> bool:
    """Whether what it comes to depends on no time that two deaths may pass over."""
    return isinstance(of, Hard) or not of.death_changes


def _at(of: Shape | Hard, front: str, *points: int) -> Lived:
    lived = live(of, front, Deaths(*points))
    return lived._replace(what=f"{lived.what}, dying at {points}")


def storm(seed: int) -> Iterator[Lived]:
    """Random workflows, and one of the hard ones, whose processes mostly die."""
    for of in (workflow(seed), WORKFLOWS[seed % len(WORKFLOWS)]):
        for front in of.fronts:
            lived = live(of, front, Storm(seed), seed=seed)
            yield lived._replace(what=f"{lived.what} in storm {seed}")


def day(seed: int) -> Iterator[Lived]:
    """The same on a bad day: slow writes of async handlers, a lagging index, messages in no order and sometimes twice, clocks
    that differ."""
    for of in (workflow(seed), WORKFLOWS[seed % len(WORKFLOWS)]):
        for front in of.fronts:
            lived = live(of, front, BadDay(seed), **conditions(seed))
            yield lived._replace(what=f"{lived.what} on bad day {seed}")


def conditions(seed: int) -> dict[str, int]:
    """Of the cloud on the bad day of this seed."""
    return {
        "seed": seed, "latency_ms": (0, 50, 400)[seed % 3], "skew_ms": (0, 900)[seed % 2],
        "lag_ms": (0, 0, 3_000, 40_000)[seed % 4], "torn": seed % 5 // 4, "deliveries": 1 + (seed % 6 == 0), "shuffled": seed % 2,
    }  # fmt: skip
