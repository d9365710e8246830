"""ARCHITECTURE.md and CONTRIBUTING.md: every file, folder and name that they mention is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md")


def spoken(text: str) -> str:
    """Without blocks of code: those are tried, or drawn."""
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def mentions(text: str) -> list[tuple[str, str | None]]:
    """Paths in backticks, and the name in the file where one stands behind a colon."""
    spans = re.findall(r"`([^`\n]+)`", spoken(text))
    found = (
        re.fullmatch(r"(?P<path>(?:[\w.-]+/)+|(?:[\w.-]+/)*[\w.-]+\.(?:py|md|yaml|toml))(?::(?P<name>\w[\w.]*))?", s)
        for s in spans
    )
    return [(match["path"], match["name"]) for match in found if match is not None]


def place(path: str) -> Path | None:
    """Below the package, or at the top of the repository."""
    return next((there for base in (ROOT / "durable_fn", ROOT) if (there := base / path).exists()), None)


@cache
def names(path: Path) -> frozenset[str]:
    return frozenset(_defined(ast.parse(path.read_text()), ""))


def _defined(node: ast.AST, prefix: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}{child.name}"
            if isinstance(child, ast.ClassDef):
                yield from _defined(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.Assign | ast.AnnAssign):
            targets = child.targets if isinstance(child, ast.Assign) else [child.target]
            yield from (f"{prefix}{target.id}" for target in targets if isinstance(target, ast.Name))


def missing(text: str) -> list[str]:
    wrong = []
    for path, name in mentions(text):
        there = place(path)
        if there is None or (name is not None and name not in names(there)):
            wrong.append(f"{path}:{name}" if name else path)
    return wrong


@pytest.mark.parametrize("page", PAGES)
def test_all_that_is_mentioned_is_there(page: str) -> None:
    text = (ROOT / page).read_text()
    assert not missing(text)


def test_the_pages_mention_the_code() -> None:
    found = mentions((ROOT / "ARCHITECTURE.md").read_text())
    assert len(found) > 80
    assert sum(name is not None for _, name in found) > 50


@pytest.mark.parametrize("gone", ["core/nowhere.py", "nowhere/", "core/scope.py:Nobody", "core/scope.py:Scope.nothing"])
def test_what_is_gone_is_found(gone: str) -> None:
    assert missing(f"see `{gone}`") == [gone]


def test_every_layer_is_drawn() -> None:
    """A folder or file of the package that the drawing leaves out is a room nobody is told of."""
    drawing = (ROOT / "ARCHITECTURE.md").read_text().split("```")[1]
    rooms = {
        path.stem for path in (ROOT / "durable_fn").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert not rooms - set(re.findall(r"\w+", drawing))
