"""OpenAI Agents SDK: what holds of its agents. It is imported in the tests: not every worker runs one."""

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
    from tests.ext.agents.openai_shapes import SHAPES

    proof(next(shape for shape in SHAPES if shape.name == name))


CASES = [
    "a_def_handler_is_told_to_be_async",
    "outside_of_a_handler_it_is_the_runner_of_the_sdk",
    "in_a_step_it_is_a_part_of_the_step",
    "errors_of_the_sdk_come_back_by_their_class",
    "what_a_tool_raises_is_tried_again_before_it_is_a_text",
    "a_tool_without_words_for_its_errors_ends_the_run",
    "what_a_tool_returns_keeps_its_type",
    "a_guardrail_stops_the_run",
    "all_are_asked_before_the_first_answer",
    "nobody_answers_in_time",
    "who_is_asked_may_refuse",
    "without_somebody_to_ask_there_are_interruptions",
    "a_tool_of_an_agent_that_is_a_tool_may_ask",
    "an_agent_that_is_a_tool_is_a_branch",
    "tools_that_act_where_the_agent_runs_are_refused",
    "options_that_make_no_sense_are_refused",
    "an_agent_that_no_longer_fits_is_held",
    "a_replay_is_not_traced",
    "adapters_are_made_before_the_answer",
    "a_conversation_goes_on_over_executions",
    "an_append_happens_once_wherever_the_process_dies",
    "a_session_can_be_read_in_part_and_taken_back",
    "two_who_talk_at_once_lose_nothing",
    "what_does_not_fit_a_table_is_refused",
    "what_is_over_is_not_read",
    "another_session_is_kept_in_steps",
    "the_sdk_is_still_as_it_was",
]


@pytest.mark.parametrize("name", CASES)
def test_cases(name: str) -> None:
    from tests.ext.agents import openai_cases

    getattr(openai_cases, name)()


def test_every_case_is_run() -> None:
    text = (Path(__file__).parent / "openai_cases.py").read_text()
    assert re.findall(r"^def ([a-z]\w+)\(\) -> None:", text, re.M) == CASES
