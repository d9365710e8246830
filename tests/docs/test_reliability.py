"""docs/reliability.md shows what was kept, and all that it names exists."""

from __future__ import annotations

import re

from tests.torture.kept import load
from tests.torture.report import PAGE, ROOT, made


def test_its_figures_are_those_that_were_kept() -> None:
    """If not: `make reliability`."""
    assert made(PAGE.read_text()) == PAGE.read_text()


def test_nothing_that_was_kept_went_wrong() -> None:
    assert all(one.lost == one.repeated == one.wrong == 0 for one in load().values())


def test_what_it_names_exists() -> None:
    text = PAGE.read_text()
    files = [name for name in re.findall(r"`(tests/[\w/.]+)`", text) if "/" in name]
    assert files
    assert not [name for name in files if not (ROOT / name).exists()]
    makefile = (ROOT / "Makefile").read_text()
    assert not [target for target in re.findall(r"`make ([\w-]+)`", text) if f"\n{target}:" not in makefile]
