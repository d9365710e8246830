"""Which tests a mutation is likeliest to be noticed by: those that speak of the same things. It only saves time: the others are
asked after them."""

from __future__ import annotations

import ast
import functools
import math
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_MOST: Final = 30
_STEM: Final = 5  # letters
_APART: Final = ("browser", "deploy", "docs", "e2e", "lambda_runtime", "limits", "site", "template", "upgrades")
"""Folders whose tests need an environment of their own, or say nothing of the protocol."""


def likely(tests: Path, text: str) -> list[str]:
    """Their ids, the likeliest first. `text`: what the mutation is called, and what it changes."""
    known, rarity = _tests(tests)
    words = _words(text)
    scores = {id: sum(rarity[word] for word in words & there) for id, there in known.items()}
    return sorted((id for id in scores if scores[id]), key=lambda id: -scores[id])[:_MOST]


@functools.cache
def _tests(tests: Path) -> tuple[dict[str, set[str]], dict[str, float]]:
    paths = (path for path in sorted(tests.rglob("test_*.py")) if path.parent.name not in _APART)
    known = {id: _words(text) for path in paths for id, text in _functions(tests, path)}
    counts = Counter(word for words in known.values() for word in words)
    return known, {word: math.log(len(known) / count) for word, count in counts.items()}


def _functions(tests: Path, path: Path) -> Iterator[tuple[str, str]]:
    file = f"{tests.name}/{path.relative_to(tests)}"
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield f"{file}::{node.name}", f"{path.stem} {node.name} {ast.get_docstring(node) or ''} {ast.unparse(node)}"


def _words(text: str) -> set[str]:
    return {word[:_STEM].lower() for word in re.findall(r"[A-Za-z]{3,}", text.replace("_", " "))}
