"""What docs/observability.md shows is run, and prints what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "observability.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.S | re.M)
PROGRAMS = [code for language, code in BLOCKS if language == "python"]


@pytest.mark.parametrize("number", range(3))
def test_every_program_runs(number: int, tmp_path: Path) -> None:
    assert len(PROGRAMS) == 3
    run = subprocess.run(
        [sys.executable, "-c", PROGRAMS[number]],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert (run.returncode, run.stderr) == (0, "")
    if number == 0:
        lines = run.stdout.splitlines()
        assert [line for line in lines if "new order" in line] == lines[:1]
        assert '"operation_id":"charge"' in lines[1]
        assert sum('"Charged":[1.0]' in line for line in lines) == 1
    if number == 2:
        assert run.stdout == BLOCKS[-1][1]
