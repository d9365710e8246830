"""template.yaml, built and deployed with SAM onto ministack, with IAM enforced, and used by the same script as on LocalStack."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.emulator import ministack
from tests.deploy.emulator import runtime
from tests.template.cloudformation import ROOT
from tests.template.sam import SAM

SMOKE = ROOT / "localstack" / "smoke.py"


def smoke(directory: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "DURABLE_FN_"))}
    return subprocess.run(
        [sys.executable, str(SMOKE), *arguments],
        capture_output=True, text=True, cwd=directory, env={**kept, "TMPDIR": str(directory), **variables},
    )  # fmt: skip


@pytest.mark.timeout(300)
def test_the_smoke_test_passes_on_ministack(tmp_path: Path) -> None:
    with ministack(tmp_path) as endpoint:
        run = smoke(tmp_path, "--sam", str(SAM), "--runtime", runtime(), AWS_ENDPOINT_URL=endpoint)
    log = (tmp_path / "ministack.log").read_text()
    print(run.stdout)
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr[-4000:]}\n{log[-4000:]}"
    assert run.stdout.count("\nok ") + run.stdout.startswith("ok ") == len(run.stdout.splitlines())


def test_it_does_not_touch_aws_by_accident(tmp_path: Path) -> None:
    run = smoke(tmp_path)
    assert (run.returncode, "AWS_ENDPOINT_URL is not set" in run.stderr) == (2, True)


def test_an_endpoint_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    run = smoke(tmp_path, "--sam", "/bin/false", AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert run.returncode == 1
    assert run.stdout.startswith("FAILED")
