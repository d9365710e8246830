"""LangGraph: what holds of its graphs. It is imported in the tests: not every worker runs one."""

from __future__ import annotations

import pytest

from tests.effects import EFFECTS
from tests.ext.agents import cases
from tests.ext.agents.proofs import PROOFS, Proof

SHAPES = ["parallel-tools", "parallel-questions", "stream-mcp-approval", "side-by-side", "sub-agent", "long-wait"]


@pytest.fixture(autouse=True)
def _fresh() -> None:
    EFFECTS.clear()


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.__name__)
def test_shapes(name: str, proof: Proof) -> None:
    from tests.ext.agents.langgraph_shapes import SHAPES

    proof(next(shape for shape in SHAPES if shape.name == name))


@pytest.mark.parametrize(("module", "name"), cases.named("langgraph_cases"))
def test_cases(module: str, name: str) -> None:
    cases.run(module, name)
