"""Retention and generations in the model: every promise is kept, and every rule is needed."""

from __future__ import annotations

import pytest

from tests.protocol.life_model import LONG, LOOPING, RULES, Lives


@pytest.mark.parametrize("shape", [LONG, LOOPING])
def test_every_promise_is_kept_with_any_one_fault(shape: tuple[int, int]) -> None:
    states, way = Lives(shape, faults=1).search()
    assert way is None, "\n".join(way)
    assert states > 10_000


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_needed(rule: str) -> None:
    ways = [Lives(shape, (rule,), faults=1).search()[1] for shape in (LONG, LOOPING)]
    assert any(ways), f"without {rule!r} nothing breaks"
