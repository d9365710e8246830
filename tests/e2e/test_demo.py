"""The main job as people start it: real processes, a real file, SIGKILL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def cli(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "150", "NO_COLOR": "1", **variables}
    environment.pop("DURABLE_FN_BACKEND", None) if "DURABLE_FN_BACKEND" not in variables else None
    return subprocess.run(
        [sys.executable, "-m", "durable_fn.cli", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=110,
    )


def demo(*arguments: str) -> dict[str, Any]:
    run = cli("demo", "--speed", "20", "--json", *arguments)
    assert run.returncode == 0, run.stderr + run.stdout
    report: dict[str, Any] = json.loads(run.stdout)
    return report


def effects(report: dict[str, Any]) -> dict[str, tuple[int, int]]:
    return {row["what"]: (row["calls"], row["effects"]) for rows in report["effects"].values() for row in rows}


def test_the_order_is_finished_by_another_worker() -> None:
    report = demo()
    assert (report["status"], report["ok"], report["result"]["status"]) == ("SUCCEEDED", True, "fulfilled")
    assert [worker["killed"] for worker in report["workers"]] == [True, False]
    pids = [worker["pid"] for worker in report["workers"]]
    assert len(set(pids)) == 2
    assert effects(report) == dict.fromkeys(("charge", "reserve", "ship", "mail"), (1, 1))
    done = {row["step"]: row["pid"] for row in report["timeline"] if row["what"] == "done"}
    assert done == {
        "charge_customer": pids[0], "reserve_inventory": pids[1], "notify_warehouse": pids[1], "send_confirmation": pids[1],
    }  # fmt: skip
    over = next(row for row in report["timeline"] if row["what"] == "takes over")
    assert (over["pid"], over["replayed"]) == (pids[1], ["charge_customer"])
    failed = [row for row in report["timeline"] if row["what"] == "failed"]
    assert [(row["step"], row["attempt"]) for row in failed] == [("notify_warehouse", 1)]


def test_the_order_is_taken_back_when_the_warehouse_stays_down() -> None:
    report = demo("--fail-warehouse")
    assert (report["ok"], report["result"]["status"]) == (True, "refunded")
    assert effects(report) == dict.fromkeys(("charge", "reserve", "release", "refund"), (1, 1))
    failed = [row["attempt"] for row in report["timeline"] if row["what"] == "failed"]
    assert failed == [1, 2, 3, 4, 5]
    assert [row["step"] for row in report["timeline"] if row["what"] == "done"][-2:] == [
        "release_inventory",
        "refund_charge",
    ]


def test_the_screen_and_the_other_commands() -> None:
    run = cli("demo", "--speed", "--keep")
    assert run.returncode == 0, run.stderr
    for text in ("SIGKILL", "worker 1", "worker 2", "charge_customer", "notify_warehouse", "replayed"):
        assert text in run.stdout
    url = run.stdout.split("--backend ")[1].split()[0]
    listed = json.loads(cli("list", "--backend", url, "--json").stdout)["executions"]
    assert [(row["id"], row["status"]) for row in listed] == [("order-1001", "SUCCEEDED")]
    described = json.loads(cli("describe", "order-1001", "--backend", url, "--json").stdout)["execution"]
    assert (described["name"], described["invocations"] >= 2) == ("order-fulfilment", True)
    history = json.loads(cli("history", "order-1001", "--backend", url, "--json").stdout)["events"]
    assert [row["name"] for row in history if row["kind"] != "execution"] == [
        "charge_customer", "reserve_inventory", "notify_warehouse", "notify_warehouse", "send_confirmation",
    ]  # fmt: skip
    for command in (["list"], ["describe", "order-1001"], ["history", "order-1001"]):
        shown = cli(*command, "--backend", url)
        assert shown.returncode == 0
        assert "order-1001" in shown.stdout or "charge_customer" in shown.stdout
    assert "No executions." in cli("list", "--backend", url, "--status", "failed").stdout


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["describe", "x"], "DURABLE_FN_TABLE is not set"),
        (["list", "--backend", "mysql://x"], "must look like sqlite:///path/to/file.db"),
        (["describe", "never", "--backend", "sqlite:///:memory:"], "there is no execution 'never'"),
        (["list", "--status", "BROKEN", "--backend", "sqlite:///:memory:"], "no status 'BROKEN'; there are PENDING"),
        (["history", "a\nb", "--backend", "sqlite:///:memory:"], "printable"),
    ],
)
def test_what_people_get_wrong(arguments: list[str], why: str) -> None:
    run = cli(*arguments)
    assert run.returncode == 1
    assert run.stderr.startswith("Error: ")
    assert why in run.stderr
    assert "Traceback" not in run.stderr


def test_without_the_extra_it_says_what_to_install() -> None:
    code = (
        "import sys\n"
        "sys.modules['typer'] = None\n"
        "from durable_fn.cli import main\n"
        "main()"
    )  # fmt: skip
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert run.returncode == 1
    assert "pip install 'durable-fn[cli]'" in run.stderr
    assert "Traceback" not in run.stderr


# -- the worker ----------------------------------------------------------------------------------------------------


def worker(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DURABLE_FN_")}
    return subprocess.run(
        [sys.executable, "-m", "durable_fn.local.worker", *arguments],
        capture_output=True, text=True, env={**environment, "PYTHONPATH": str(ROOT), **variables}, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("nowhere:handler", "no handler 'nowhere:handler'"),
        ("handlers_demo.order_fulfilment.handler:nothing", "has no attribute 'nothing'"),
        ("handlers_demo.order_fulfilment.handler:charge_customer", "not a function decorated with @durable"),
    ],
)
def test_a_worker_for_nothing(target: str, why: str, tmp_path: Path) -> None:
    run = worker(target, DURABLE_FN_BACKEND=f"sqlite:///{tmp_path}/journal.db")
    assert run.returncode == 1
    assert why in run.stderr
    assert "Traceback" not in run.stderr


def test_a_worker_without_a_journal() -> None:
    run = worker("handlers_demo.order_fulfilment.handler:handler")
    assert (run.returncode, "DURABLE_FN_BACKEND is not set" in run.stderr) == (1, True)
