"""What the README shows is run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.S | re.M)


def test_every_python_block_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, as a reader would."""
    monkeypatch.chdir(tmp_path)
    blocks = [code for language, code in BLOCKS if language == "python"]
    assert len(blocks) == 3
    program = tmp_path / "readme.py"
    program.write_text("\n".join(blocks))
    run = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}
    )
    assert (run.returncode, run.stdout) == (0, "PENDING\n"), run.stderr


def test_the_other_blocks_are_commands_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for language, code in BLOCKS:
        if language == "python":
            continue
        assert language == "sh"
        for line in code.splitlines():
            words = line.split()
            assert words[0] == "make"
            assert re.search(rf"^{words[1]}: \$\(STAMP\)", makefile, re.M)


def test_two_screens() -> None:
    assert len(README.splitlines()) < 110


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target
