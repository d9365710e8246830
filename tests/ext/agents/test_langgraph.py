"""LangGraph: what holds of its graphs. It is imported in the tests: not every worker runs one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.effects import EFFECTS
from tests.ext.agents.proofs import PROOFS, Proof

SHAPES = ["parallel-tools", "parallel-questions", "side-by-side", "sub-agent", "long-wait"]


@pytest.fixture(autouse=True)
def _fresh() -> None:
    EFFECTS.clear()


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.__name__)
def test_shapes(name: str, proof: Proof) -> None:
    from tests.ext.agents.langgraph_shapes import SHAPES

    proof(next(shape for shape in SHAPES if shape.name == name))


CASES = [
    "another_context_is_refused",
    "a_plain_entrypoint_is_refused",
    "a_nodes_policy_becomes_its_steps",
    "errors_come_back_by_their_class",
    "without_somebody_to_ask_there_is_an_interrupt",
    "nobody_answers_in_time",
    "an_attempt_counts_its_questions_anew",
    "a_graph_that_a_node_calls_must_not_ask",
    "what_a_node_does_to_its_state_is_done_once",
    "a_class_that_the_state_does_not_name_is_refused",
    "no_other_class_is_made_of_what_is_recorded",
    "a_task_outside_of_a_durable_run_is_plain",
    "a_graph_that_no_longer_fits_is_held",
    "nothing_of_a_graph_has_a_place_among_its_tasks",
    "options_that_make_no_sense_are_refused",
    "langgraph_is_still_as_it_was",
]


@pytest.mark.parametrize("name", CASES)
def test_cases(name: str) -> None:
    from tests.ext.agents import langgraph_cases

    getattr(langgraph_cases, name)()


def test_every_case_is_run() -> None:
    text = (Path(__file__).parent / "langgraph_cases.py").read_text()
    assert re.findall(r"^def ([a-z]\w+)\(\) -> None:", text, re.M) == CASES
