"""A run waits for a human while its framework is upgraded by a minor version: nothing that is recorded runs again.

    python -m tests.upgrades

In an environment of its own, `.venv-upgrades`: the releases of `before.txt` are installed and runs begin; the newest releases
that the extras allow are installed over them, and the runs go on to their ends.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
VENV: Final = ROOT / ".venv-upgrades"
PYTHON: Final = VENV / "bin" / "python"
BEFORE: Final = Path(__file__).parent / "before.txt"
FRAMEWORKS: Final = {"pydantic_ai": "pydantic-ai-slim", "openai_agents": "openai-agents", "langgraph": "langgraph"}


def main() -> None:
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    with tempfile.TemporaryDirectory(prefix="durable-fn-upgrades-") as directory:
        _install("--editable", ".", "--requirement", str(BEFORE))
        before = _versions()
        for framework in FRAMEWORKS:
            _run("begin", framework, directory)
        _install("--upgrade", "--editable", ".[pydantic-ai,openai-agents,langgraph]", *FRAMEWORKS.values())
        after = _versions()
        for framework, package in FRAMEWORKS.items():
            if _minor(before[package]) == _minor(after[package]):
                raise SystemExit(f"{package} {before[package]} and {after[package]} are no minor version apart")
            _run("end", framework, directory)
            print(f"{package} {before[package]} -> {after[package]}: nothing ran again")


def _install(*what: str) -> None:
    command = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what]
    subprocess.run(command, cwd=ROOT, check=True)


def _versions() -> dict[str, str]:
    command = [PYTHON, "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"]
    listed = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {package["name"]: package["version"] for package in listed}


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]


def _run(phase: str, framework: str, directory: str) -> None:
    command = [PYTHON, "-m", "tests.upgrades.runs", phase, framework, directory]
    subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
