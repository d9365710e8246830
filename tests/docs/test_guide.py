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
WIDTH = int(re.findall(r"line-length = (\d+)", (DOCS / "ruff.toml").read_text())[0])
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
    pages = [name for name in in_nav() if not name.startswith(("reference/", "index."))]
    assert len(pages) > 35
    assert [name for name in pages if f"({name})" not in told] == []


def in_nav() -> list[str]:
    return re.findall(r"^ +- (?:[^#\n]*: )?([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M)


def test_every_page_is_in_the_navigation() -> None:
    """mkdocs only warns of one that is not, and counts no warning that `--quiet` keeps from it."""
    apart = ("decisions", "skill", "_site")
    pages = {
        path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md") if path.relative_to(DOCS).parts[0] not in apart
    }
    assert pages == set(in_nav())
    build = next(line for line in (ROOT / "Makefile").read_text().splitlines() if "mkdocs build" in line)
    assert "--strict" in build
    assert "--quiet" not in build


@pytest.mark.parametrize("page", [page for page in PAGES if page.suffix == ".md"], ids=lambda page: page.stem)
@pytest.mark.parametrize("language", ["python", "sh", "hcl", "json"])
def test_its_programs_fit_on_a_screen(page: Path, language: str) -> None:
    """docs/ruff.toml says how wide that is, and wraps code, but no comments."""
    texts = re.findall(rf"^```{language}\b[^\n]*\n(.*?)^```", page.read_text(), re.S | re.M)
    wide = [line for text in texts for line in text.splitlines() if len(line) > WIDTH]
    assert wide == []


def test_the_table_of_values_is_what_comes_back() -> None:
    """`python -m tests.docs.values_table` writes it."""
    page = values_table.PAGE.read_text()
    assert page.partition(values_table.BEGIN)[2].partition(values_table.END)[0] == values_table.table()
