"""What is built and installed: the wheel, its entry points, and what importing it loads."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Built in the environment that runs the tests: no index is asked."""
    target = tmp_path_factory.mktemp("dist")
    code = f"import os, hatchling.build as b; os.chdir({str(ROOT)!r}); print(b.build_wheel({str(target)!r}))"
    built = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return zipfile.ZipFile(target / built.stdout.split()[-1])


def test_the_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert {name.partition("/")[0] for name in names} == {"durable_fn", "handlers_demo", names[-1].partition("/")[0]}
    assert "durable_fn/py.typed" in names
    assert "handlers_demo/order_fulfilment/event.json" in names
    packed = {name for name in names if name.startswith("durable_fn/") and name.endswith(".py")}
    assert packed == {str(path.relative_to(ROOT)) for path in (ROOT / "durable_fn").rglob("*.py")}


def test_the_wheel_says_what_it_needs(wheel: zipfile.ZipFile) -> None:
    name = next(n for n in wheel.namelist() if n.endswith("METADATA"))
    data = HeaderParser().parsestr(wheel.read(name).decode())
    assert data["Requires-Python"] == ">=3.11"
    needed = data.get_all("Requires-Dist") or []
    assert sorted(n.split(">=")[0] for n in needed if "extra ==" not in n) == ["boto3", "pydantic"]
    assert set(data.get_all("Provides-Extra") or []) >= {"cli", "testing"}
    entries = wheel.read(name.replace("METADATA", "entry_points.txt")).decode()
    assert "durable-fn = durable_fn.cli:main" in entries
    assert "durable_fn = durable_fn.testing.plugin" in entries


def loaded_by(code: str) -> set[str]:
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return set(run.stdout.split())


def test_importing_it_loads_little() -> None:
    heavy = {
        "boto3",
        "botocore",
        "asyncio",
        "pydantic",
        "typer",
        "rich",
        "sqlite3",
        "pytest",
        "moto",
        "jmespath",
        "aws_lambda_powertools",
    }
    assert not heavy & loaded_by("import durable_fn")
    assert not heavy & loaded_by(
        "from durable_fn import durable, step, DurableContext, RetryPolicy\n"
        "@durable\n"
        "def handler(event, ctx: DurableContext): return ctx.step(len, event)"
    )


def test_a_lambda_on_aws_loads_no_test_tools() -> None:
    loaded = loaded_by(
        "import os\n"
        "os.environ.update(DURABLE_FN_TABLE='t', AWS_REGION='eu-central-1', AWS_ACCESS_KEY_ID='x', AWS_SECRET_ACCESS_KEY='x')\n"
        "from durable_fn.wiring import backend; backend()"
    )
    assert "botocore.client" in loaded
    assert (
        not {"boto3", "sqlite3", "asyncio", "typer", "rich", "moto", "durable_fn.testing", "durable_fn.backends.sqlite"}
        & loaded
    )
