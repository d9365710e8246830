"""Each program of a page of whole programs runs by itself, and prints what stands below it."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.test_guide import BLOCK, ROOT

PAGES = ("recipes",)
BETWEEN = "-- the next program --"


def programs(page: str) -> list[tuple[str, str]]:
    """Each with what it prints."""
    found: list[tuple[str, str]] = []
    for language, text in BLOCK.findall((ROOT / "docs" / "guide" / f"{page}.md").read_text()):
        if language == "python":
            found.append((text, ""))
        elif language == "text":
            found[-1] = (found[-1][0], text)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_each_runs_by_itself(page: str, tmp_path: Path) -> None:
    """One process for all, a namespace for each."""
    wanted = programs(page)
    for number, (program, _) in enumerate(wanted):
        (tmp_path / f"program_{number}.py").write_text(program)
    run = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.docs.test_recipes", str(tmp_path), str(len(wanted))],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.split(f"{BETWEEN}\n")[:-1] == [printed for _, printed in wanted]


def main(folder: str, count: int) -> None:
    for number in range(count):
        runpy.run_path(f"{folder}/program_{number}.py")
        print(BETWEEN)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
