"""The mutations of `make mutations` apply to the code as it is; that each is noticed, that command shows."""

from __future__ import annotations

import ast

import pytest

from tests.protocol.mutations import MUTATIONS, ROOT, Mutation


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_it_applies(mutation: Mutation) -> None:
    text = (ROOT / "durable_fn" / mutation.file).read_text()
    assert text.count(mutation.old) == 1
    ast.parse(text.replace(mutation.old, mutation.new))


def test_each_has_a_name_of_its_own() -> None:
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)
