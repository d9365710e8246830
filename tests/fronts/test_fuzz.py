"""Random workflows with deaths, cancellations and signals: a few hundred on every run; `make fuzz` for more. A failing seed is
shown with the smallest program that fails like it by

    python -m tests.fuzz async 255
"""

from __future__ import annotations

import pytest

from tests.fuzz.checks import Tally, differs_in_many_turns, problems_of_seed
from tests.fuzz.life import silent

CHUNKS = [range(first, first + 30) for first in range(0, 120, 30)]


@pytest.mark.parametrize("seeds", CHUNKS, ids=lambda seeds: f"{seeds.start}-{seeds.stop - 1}")
@pytest.mark.parametrize("front", ["def", "async"])
def test_random_programs(front: str, seeds: range) -> None:
    tally = Tally()
    with silent():
        for seed in seeds:
            case, wrong = problems_of_seed(seed, front, 1, tally, beginnings=4)
            assert not wrong, case
            if seed % 4 == 0:
                assert not differs_in_many_turns(seed, front, tally), seed
    assert tally.lives > len(seeds)
