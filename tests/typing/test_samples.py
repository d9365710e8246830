"""The contract's samples type-check against the package, in both checkers, and run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from durable_fn.testing import LocalRunner

SAMPLES = Path(__file__).parent / "samples"
ROOT = Path(__file__).resolve().parents[2]


DECLINING = """
import pytest
import s01_order_saga


@pytest.fixture(autouse=True)
def a_payment_provider_that_is_down(request, monkeypatch):
    # s14a's test_failure wants six failed attempts, and s01's charge has no way to fail.
    def down(**fields):
        raise ConnectionError("down")

    if request.node.name == "test_failure":
        monkeypatch.setattr(s01_order_saga, "Payment", down)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The samples as a project of their own, so that `models` is a top-level module."""
    return Path(shutil.copytree(SAMPLES, tmp_path / "samples", ignore=shutil.ignore_patterns("__pycache__")))


def test_mypy_strict(project: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        "--python-version=3.11",
        "--exclude=typing_exact_pyright",
        ".",
    ]
    run = subprocess.run(command, cwd=project, capture_output=True, text=True, env=_environment(), check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_pyright(project: Path) -> None:
    """basedpyright is pyright's checker in a wheel: pyright itself is downloaded when it first runs."""
    settings = {
        "include": [str(project)],
        "extraPaths": [str(ROOT), str(project)],
        "typeCheckingMode": "standard",
        "reportUnnecessaryTypeIgnoreComment": False,
        "enableTypeIgnoreComments": False,
        "pythonVersion": "3.11",
    }
    config = project / "pyrightconfig.json"
    config.write_text(json.dumps(settings))
    run = subprocess.run(
        [sys.executable, "-m", "basedpyright", "--project", str(config), "--pythonpath", sys.executable, "--level", "error"],
        capture_output=True, text=True, env=_environment(), check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr


def _environment() -> dict[str, str]:
    return {**os.environ, "MYPYPATH": str(ROOT), "PYTHONPATH": str(ROOT), "MYPY_CACHE_DIR": str(ROOT / ".mypy_cache")}


@pytest.fixture
def sample(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SAMPLES))

    def load(name: str) -> ModuleType:
        import importlib

        return importlib.import_module(name)

    return load


def test_plain_handlers_run_under_the_decorator(sample: Any) -> None:
    s12 = sample("s12_plain_handler")
    with LocalRunner(s12.handler) as runner:
        answer = runner.invoke({"id": 7})
        assert answer == {"ok": True, "id": 7, "request": answer["request"]}, (
            "it answers as it did without the decorator"
        )
        assert runner.client.describe(answer["request"]).status == "SUCCEEDED", "the default id is the request id"
    with LocalRunner(s12.powertools_handler) as runner:
        plain = runner.invoke({"id": 7})
        assert plain["statusCode"] == 200
        assert int(plain["body"]) > 1000
    with LocalRunner(s12.grown) as runner:
        assert runner.invoke({"key": "k"})["result"]["rows"] == 0
    record = {"eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:orders", "attributes": {}}
    records = {"Records": [{**record, "messageId": "m1", "body": "x"}, {**record, "messageId": "m2", "body": ""}]}
    for reports in (s12.queue_handler, s12.event_class):
        with LocalRunner(reports) as runner:
            assert runner.invoke(records) == {"batchItemFailures": [{"itemIdentifier": "m2"}]}


def test_a_typed_handler_validates_a_discriminated_union(sample: Any) -> None:
    s13 = sample("s13_api_gateway")
    with LocalRunner(s13.handler) as runner:
        answer = runner.invoke({"kind": "sell", "sku": "a", "price": 3})
        assert answer == {"execution_id": "a", "status": "SUCCEEDED", "result": {"ticket": "a", "kind": "sell"}}
    with LocalRunner(s13.raw) as runner:
        event = {"body": '{"kind":"buy","sku":"a"}', "pathParameters": {"id": "9"}, "headers": {"idempotency-key": "k"}}
        assert runner.invoke(event) == {"statusCode": 201, "headers": {"location": "/9/a"}}
        assert runner.client.describe("k").status == "SUCCEEDED"


def test_the_samples_own_tests_run(project: Path) -> None:
    """s14a is a test file: it runs the order saga and the onboarding, their crashes, and recorded histories."""
    histories = project / "histories"
    histories.mkdir()
    record = (
        "import json, sys; from decimal import Decimal; from models import *; from s01_order_saga import handler;"
        "from durable_fn.testing import LocalRunner;"
        "order = Order(order_id='o-1', customer='c', lines=[], total=Decimal('9.90'));"
        "print(json.dumps([e.to_json() for e in LocalRunner(handler).run(order).history]))"
    )
    environment = {**_environment(), "PYTHONPATH": f"{ROOT}:{project}"}
    made = subprocess.run([sys.executable, "-c", record], capture_output=True, text=True, cwd=project, env=environment)
    assert made.returncode == 0, made.stderr
    (histories / "order.json").write_text(made.stdout)
    (project / "conftest.py").write_text(DECLINING)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "s14a_test_orders.py"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=project, env=environment)
    assert run.returncode == 0, run.stdout
    assert "5 passed" in run.stdout
