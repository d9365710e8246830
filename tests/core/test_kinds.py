"""Each kind of entry has a row in log/kinds.py, and nobody else compares kinds with words of his own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import durable_fn
from durable_fn.log import kinds
from durable_fn.log.kinds import KINDS, LINES

PACKAGE = Path(durable_fn.__file__).parent
KIND_AT = {"Event": 1, "Op": 1, "enter": 0, "_enter": 1}
"""Which argument is the kind, of the calls that make an operation or an entry."""
FACE = {"cli", "ext", "testing/ledger.py"}
"""These read the history as users do: its kinds are public words."""


def _trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE), ast.parse(path.read_text())


def _word(node: ast.expr) -> str | None:
    """A literal, or a constant of log/kinds.py; None for what is only passed on."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    return getattr(kinds, node.id, None) if isinstance(node, ast.Name) else None


def made_kinds(tree: ast.Module) -> set[str]:
    """Of the entries and operations that this code makes."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            place = KIND_AT.get(name)
            if place is not None and len(node.args) > place and (word := _word(node.args[place])) is not None:
                found.add(word)
    return found


def compared_words(tree: ast.Module) -> set[str]:
    """Words that something's `kind` is compared with, or looked up in."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if any(getattr(side, "attr", getattr(side, "id", "")) == "kind" for side in sides):
                inner = (part for side in sides for part in ast.walk(side) if isinstance(part, ast.Constant))
                found |= {str(part.value) for part in inner}
    return found


def test_each_kind_that_is_made_has_a_row() -> None:
    made = {word for _, tree in _trees() for word in made_kinds(tree)}
    assert made - LINES == set(KINDS), "a new kind needs a row in log/kinds.py, and a row needs a kind"
    assert not LINES & set(KINDS)


@pytest.mark.parametrize(
    "code",
    ['self._enter("quiet", "new", name)', 'scope.enter("new", part)', 'Op(scope, "new", id)', 'Event(id, "new", 0)'],
)
def test_a_new_kind_is_found_wherever_it_is_made(code: str) -> None:
    assert made_kinds(ast.parse(code)) == {"new"}


def test_nobody_else_has_a_list_of_kinds() -> None:
    known = set(KINDS) | LINES
    for path, tree in _trees():
        if not FACE & {path.parts[0], str(path)}:
            assert not compared_words(tree) & known, path


@pytest.mark.parametrize("code", ['event.kind == "step"', 'record.kind in ("step", "x")', '"step" != kind'])
def test_a_comparison_is_found(code: str) -> None:
    assert "step" in compared_words(ast.parse(code))


def test_the_rows_fit_together() -> None:
    for kind, row in KINDS.items():
        assert row.code or not row.fan, f"{kind}: the branches of a fan run handler code"
        assert row.moves or not row.consequence, f"{kind}: only a line can be the consequence of another"
        assert row.called or not (row.effect or row.acts or row.outside), f"{kind}: code calls what has an effect"
        assert row.outside or row.renewed != "always", f"{kind}: only what waits for the outside is given new time"
