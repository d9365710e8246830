"""What the pages of docs/guide show is run, and prints what they say; so is what assistants are told."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs import values_table

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [
    *sorted((DOCS / "guide").glob("*.md")),
    DOCS / "index.md",
    DOCS / "llms.txt",
    DOCS / "skill" / "durable-fn" / "SKILL.md",
]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.S | re.M)
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def blocks(page: Path, language: str) -> list[str]:
    return [text for found, text in BLOCK.findall(page.read_text()) if found == language]


@pages
def test_its_programs_run(page: Path, tmp_path: Path) -> None:
    """One after the other, as a reader would. A `text` block is what the programs before it print."""
    programs = blocks(page, "python")
    assert programs
    (tmp_path / "page.py").write_text("\n".join(programs))
    run = subprocess.run(
        [sys.executable, "-W", "error", "page.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "".join(blocks(page, "text")), "")


@pages
def test_its_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_assistants_are_told_of_every_page() -> None:
    told = (DOCS / "llms.txt").read_text()
    nav = re.findall(r"^ +- [^#\n]*guide/([\w-]+)\.md$", (ROOT / "mkdocs.yml").read_text(), re.M)
    assert len(nav) > 15
    assert [name for name in nav if f"(guide/{name}.md)" not in told] == []


def test_the_table_of_values_is_what_comes_back() -> None:
    """`python -m tests.docs.values_table` writes it."""
    page = values_table.PAGE.read_text()
    assert page.partition(values_table.BEGIN)[2].partition(values_table.END)[0] == values_table.table()
