"""`sam validate --lint` and `sam build` on the real template, and what is in the packages that it makes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.template.cloudformation import TEMPLATE
from tests.template.sam import sam
from tests.template.stage import FUNCTIONS


def validate(path: Path) -> subprocess.CompletedProcess[str]:
    return sam("validate", "--lint", "--template", str(path), "--region", "eu-central-1")


def test_the_template_is_valid_and_clean() -> None:
    run = validate(TEMPLATE)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "is a valid SAM Template" in run.stdout


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("VisibilityTimeout: 360", "VisibilityTimeout: soon"), "is not of type 'integer'"),
        (("!Ref LargeValues\n", "!Ref LargeValue\n"), "LargeValue"),
    ],
)
def test_the_linter_is_on(tmp_path: Path, change: tuple[str, str], complaint: str) -> None:
    broken = tmp_path / "template.yaml"
    broken.write_text(TEMPLATE.read_text().replace(*change))
    run = validate(broken)
    assert run.returncode != 0
    assert complaint in run.stdout + run.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For the Python that runs the tests, so that what was built can be imported."""
    target = tmp_path_factory.mktemp("build")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    others = (
        "PydanticDependencies",
        "OpenaiDependencies",
    )  # the frameworks' layers, which take minutes: `make smoke`
    left_out = [argument for name in others for argument in ("--exclude", name)]
    run = sam("build", "--build-dir", str(target), *left_out, PYTHON_VERSION=version, PYTHON=sys.executable)
    assert run.returncode == 0, run.stderr
    return target


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_packages_hold_what_runs_and_nothing_else(built: Path) -> None:
    for name in (*FUNCTIONS, "Sweeper", "Callbacks", "WebDashboard"):
        package = built / name
        assert {path.name for path in package.iterdir()} == {"durable_fn", "handlers_demo"}
        assert (package / "durable_fn" / "ui" / "static" / "index.html").exists()
        assert (package / "handlers_demo" / "order_fulfilment" / "handler.py").exists()
        left_out = {"cli", "testing", "local", "__pycache__"}
        assert not left_out & {path.name for path in package.rglob("*") if path.is_dir()}
        assert not list(package.rglob("test_*.py"))
        assert size(package) < 1_700_000
    layer = built / "Dependencies" / "python"
    assert {path.name for path in layer.iterdir() if path.is_dir() and "dist-info" not in path.name} >= {"pydantic"}
    assert not {"boto3", "botocore"} & {path.name for path in layer.iterdir()}, "the Lambda runtime has it"
    assert size(layer) < 12_000_000


def test_the_package_runs_with_what_lambda_has(built: Path) -> None:
    """The code, the layer and botocore, without this environment's own packages."""
    code = (
        "import sys\n"
        f"sys.path[:0] = [{str(built / 'OrderFulfilment')!r}, {str(built / 'Dependencies' / 'python')!r}]\n"
        "import botocore, durable_fn.sweeper, durable_fn.callback_api, durable_fn.ui.function, durable_fn.wiring\n"
        "from handlers_demo.order_fulfilment.handler import handler\n"
        "from durable_fn.wiring import backend\n"
        "backend()\n"
        "import pydantic\n"
        "print(pydantic.__file__, handler.name)\n"
    )
    lambdas = {"AWS_REGION": "eu-central-1", "AWS_LAMBDA_FUNCTION_NAME": "f", "DURABLE_FN_TABLE": "t"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=lambdas, cwd=built)
    assert run.returncode == 0, run.stderr
    where, name = run.stdout.split()
    assert where.startswith(str(built))
    assert name == "order-fulfilment"
