"""A few of many bad days: `make worlds` runs hundreds. Nothing is lost, nothing is done twice that was recorded."""

from __future__ import annotations

import pytest

from .worlds import World

SEEDS = range(1, 9)
_EACH = 2


@pytest.mark.parametrize("first", SEEDS[::_EACH])
def test_a_bad_day_loses_nothing(first: int) -> None:
    for seed in range(first, first + _EACH):
        World(seed).run()
