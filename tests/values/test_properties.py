"""A slice of what `python -m tests.values FIRST-LAST` runs at length."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.environments import SqliteWorld, World
from tests.values import properties
from tests.values.handlers import FRONTS

SEEDS = range(300)
front = pytest.mark.parametrize("front", FRONTS)


def test_values_of_random_annotations_come_back() -> None:
    answers = [properties.written_and_read(case) for case in properties.drawn_many(SEEDS)]
    assert [answer for answer in answers if answer not in (None, properties.REFUSED)] == []
    assert answers.count(None) > 0.95 * len(answers)


def test_values_of_other_annotations_are_refused() -> None:
    answers = [properties.misfit_is_refused(seed) for seed in SEEDS]
    assert [answer for answer in answers if answer not in (None, properties.REFUSED)] == []
    assert answers.count(properties.REFUSED) > 0.5 * len(answers)


def test_what_was_recorded_for_another_annotation_is_read_or_refused() -> None:
    cases = properties.drawn_many(SEEDS)
    for case, other in itertools.pairwise(cases):
        properties.read_by_another(case, other)


@pytest.mark.parametrize("annotation", [Any, object, dict, dict[str, Any]])
def test_data_from_outside_that_looks_like_a_tag(annotation: Any) -> None:
    for seed in SEEDS:
        properties.taken_as_it_is(seed, annotation)


@front
def test_in_executions(world: World, front: str) -> None:
    """Fewer where each request costs more."""
    seeds = range(60) if isinstance(world, SqliteWorld) else range(60, 80)
    assert properties.come_back(world, front, seeds, "x") == []


@front
def test_as_the_event(front: str) -> None:
    for case in properties.drawn_many(range(60)):
        assert properties.started_with(front, case) == []
