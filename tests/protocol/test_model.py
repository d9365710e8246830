"""The model of the protocol: every promise is kept with any one fault, and every rule is needed."""

from __future__ import annotations

import pytest

from tests.protocol.model import Model, proved
from tests.protocol.modelled.rules import GIVES_BACK, HANDS_OUT, PROOFS, RULES, WRITTEN, Proof
from tests.protocol.modelled.search import Found
from tests.protocol.modelled.shapes import FRONTS, SHAPES, WAITS, Front, waits


def check(found: Found) -> None:
    assert not found.ways, "\n".join([*found.ways, *next(iter(found.ways.values()))])


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "cancel a parent"])  # that one takes minutes
def test_every_promise_is_kept_with_any_one_fault(name: str) -> None:
    """`make model` also searches queue, index and sweeper."""
    check(Model(SHAPES[name]._replace(messages=False)).search())


def test_a_message_that_is_lost_doubled_or_early_breaks_nothing() -> None:
    found = Model(SHAPES["step"], lagging=True).search()
    check(found)
    assert found.states > 3_000


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("name", WAITS)
def test_no_accepted_signal_is_lost_or_handed_out_twice(name: str, front: Front) -> None:
    found = Model(waits(name, front), faults=("die", "lost", "hidden")).search()
    check(found)
    assert found.states > 400


@pytest.mark.parametrize("name", ["a timer is first", "one read, one goes along"])
def test_nor_beside_an_owner_whose_lease_is_over(name: str) -> None:
    check(Model(waits(name, "async def"), faults=("zombie",)).search())


@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: f"{proof.without[0]}-{proof.breaks}")
def test_every_rule_is_needed(proof: Proof) -> None:
    ways = proved(proof).ways
    assert any(promise.startswith(proof.breaks) for promise in ways), f"without {proof.without} breaks {[*ways]}"


def test_every_rule_is_tried() -> None:
    assert {rule for proof in PROOFS for rule in proof.without} == set(RULES)


@pytest.mark.parametrize("rule", [HANDS_OUT, GIVES_BACK])
def test_a_loser_that_keeps_what_it_consumed_loses_a_signal_without_any_fault(rule: str) -> None:
    front: Front = "async def" if rule == HANDS_OUT else "def"
    for name in ("a timer is first", "a callback is first", "two waits, one signal first", "a wait is cancelled"):
        found = Model(waits(name, front), [rule], count=0).search()
        assert "LIVE no fair run reaches an end" in found.ways, "the next wait never gets it"
    found = Model(waits("nobody asks again", front), [rule], count=0).search()
    assert "LOST a signal was consumed by a wait that did not get it" in found.ways


def test_a_body_that_begins_before_the_line_is_written_sees_another_history_after_a_death() -> None:
    way = Model(waits("a timer is first", "async def"), [WRITTEN], faults=("die",)).search(first=True).ways
    assert any(promise.startswith("REPLAY") for promise in way)


def test_rules_have_names() -> None:
    with pytest.raises(ValueError, match="no such rules"):
        Model(SHAPES["step"], ["a rule that nobody knows"])
