"""The SAM command, in an environment of its own (`make .venv-sam/.installed`): it pins what we do not want to."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.template.cloudformation import ROOT

SAM = Path(os.environ.get("SAM", ROOT / ".venv-sam" / "bin" / "sam"))


def sam(*arguments: str, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs it. Without AWS credentials: what it does here needs none."""
    assert SAM.exists(), f"{SAM} is missing: run `make .venv-sam/.installed`, or set SAM"
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "DURABLE_FN_"))}
    environment |= {"SAM_CLI_TELEMETRY": "0", "AWS_EC2_METADATA_DISABLED": "true", **variables}
    return subprocess.run([str(SAM), *arguments], capture_output=True, text=True, cwd=cwd, env=environment, timeout=100)
