"""Small ones of `make limits`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.limits import refusals, sizes
from tests.limits.__main__ import SCENARIOS
from tests.limits.measures import Measured
from tests.limits.soaking import Soak

SMALL: dict[str, Callable[[Path], Measured]] = {
    "steps def": lambda _: sizes.many_steps(1000, "def"),
    "steps async": lambda _: sizes.many_steps(1000, "async"),
    "timers def": lambda _: sizes.many_timers(20, "def"),
    "timers async": lambda _: sizes.many_timers(20, "async"),
    "signals": lambda _: sizes.many_signals(230),
    "inbox": lambda _: sizes.full_inbox(300),
    "full disk": lambda folder: refusals.full_disk(folder, 30),
    "read-only file": lambda folder: refusals.read_only_file(folder, 10),
    "throttled": lambda _: refusals.throttled(3),
    "soak": lambda folder: Soak(folder, 8, 2, every=1.5, seed=3).run(),
}


def test_each_scenario_has_a_small_one() -> None:
    assert SMALL.keys() == SCENARIOS.keys()


@pytest.mark.parametrize("name", SMALL)
def test_a_small_one(name: str, tmp_path: Path) -> None:
    found = SMALL[name](tmp_path)
    assert not found.wrong, found
    limits = {what: most for what, most in SCENARIOS[name].most.items() if what in ("requests each", "items read each")}
    assert all(found.figures[what] <= most for what, most in limits.items()), found.figures
    assert all(value > 0 for what, value in found.figures.items() if what not in ("growth", "killed")), found.figures


def test_a_throttled_table_refused_something() -> None:
    assert refusals.throttled(3).figures["refused requests"] >= 3
