"""Pydantic AI: what holds of its agents. The framework is imported in the tests: not every worker runs one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.effects import EFFECTS
from tests.ext.agents.proofs import PROOFS, Proof

SHAPES = ["parallel-tools", "stream-mcp-approval", "side-by-side", "sub-agent", "long-wait"]


@pytest.fixture(autouse=True)
def _fresh() -> None:
    EFFECTS.clear()


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.__name__)
def test_shapes(name: str, proof: Proof) -> None:
    from tests.ext.agents.pydantic_ai_shapes import SHAPES

    proof(next(shape for shape in SHAPES if shape.name == name))


CASES = [
    "a_def_handler_is_told_to_be_async",
    "outside_of_a_handler_it_is_a_plain_agent",
    "in_a_step_it_is_a_part_of_the_step",
    "an_error_of_the_framework_comes_back_by_its_class",
    "a_tool_has_options_of_its_own",
    "an_error_nobody_named_is_a_step_error",
    "a_busy_model_is_tried_again",
    "options_that_make_no_sense_are_refused",
    "a_human_may_answer_at_once",
    "nobody_answers_in_time",
    "who_is_asked_may_refuse",
    "a_stream_is_read_in_the_handler",
    "events_inline_are_no_steps",
    "a_tool_that_is_handler_code_is_a_branch",
    "ids_that_a_provider_makes_up_are_no_danger",
    "a_run_has_an_id_and_a_clock_of_the_execution",
    "a_run_may_not_take_longer_than_its_time",
    "another_model_by_its_id",
    "an_agent_without_a_name_is_refused",
    "an_agent_that_no_longer_fits_is_held",
    "what_is_built_is_built_before_the_answer",
]


@pytest.mark.parametrize("name", CASES)
def test_cases(name: str) -> None:
    from tests.ext.agents import pydantic_ai_cases

    getattr(pydantic_ai_cases, name)()


def test_every_case_is_run() -> None:
    text = (Path(__file__).parent / "pydantic_ai_cases.py").read_text()
    assert re.findall(r"^def ([a-z]\w+)\(\) -> None:", text, re.M) == CASES
