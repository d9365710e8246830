"""A slice of `make agents`: a run of each framework whose workers are killed with SIGKILL, beside a ledger outside."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.timeout(300)  # three frameworks are imported, in a process that forks
def test_killed_agents() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.agents.kills", "1", "--seed", "11"],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    told = [line for line in run.stdout.splitlines() if "0 wrong" in line]
    assert len(told) == 3
    assert not any(" 0 workers killed" in line for line in told)
