"""The order on the embedded journal: what a user's own test of a durable function looks like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from durable_fn.testing import DurableRunner, crash_everywhere
from handlers_demo.order_fulfilment.handler import handler
from handlers_demo.order_fulfilment.models import Order
from handlers_demo.order_fulfilment.systems import DIRECTORY_VARIABLE, SYSTEMS, WAREHOUSE

ORDER = Order.model_validate_json((Path(__file__).parent / "event.json").read_text())


@pytest.fixture(autouse=True)
def _own_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path))


def effects() -> dict[str, int]:
    return {count.what: count.effects for system in SYSTEMS for count in system.counts()}


def test_an_order_is_fulfilled(durable_runner: DurableRunner) -> None:
    receipt = durable_runner(handler).run(ORDER).result
    assert (receipt.order_id, receipt.status) == ("order-1001", "fulfilled")
    assert effects() == {"charge": 1, "reserve": 1, "ship": 1, "mail": 1}


def test_a_busy_warehouse_is_asked_again(durable_runner: DurableRunner) -> None:
    WAREHOUSE.refuse(4)
    execution = durable_runner(handler).run(ORDER)
    assert execution.result.status == "fulfilled"
    attempts = [(e.attempt, e.status) for e in execution.history if e.name == "notify_warehouse"]
    assert attempts == [(1, "FAILED"), (2, "FAILED"), (3, "FAILED"), (4, "FAILED"), (5, "SUCCEEDED")]
    assert effects() == {"charge": 1, "reserve": 1, "ship": 1, "mail": 1}


def test_a_warehouse_that_is_down_takes_the_order_back(durable_runner: DurableRunner) -> None:
    WAREHOUSE.refuse(5)
    receipt = durable_runner(handler).run(ORDER).result
    assert (receipt.status, receipt.reason) == ("refunded", "the warehouse answers 503")
    assert effects() == {"charge": 1, "refund": 1, "reserve": 1, "release": 1}


@pytest.mark.parametrize("refusals", [0, 1000])
def test_nothing_happens_twice_wherever_the_process_dies(refusals: int, tmp_path: Path) -> None:
    def reset_and_count(execution: Any) -> None:
        assert set(effects().values()) == {1}
        for system in SYSTEMS:
            system.path.unlink(missing_ok=True)
        WAREHOUSE.refuse(refusals)

    WAREHOUSE.refuse(refusals)
    report = crash_everywhere(handler, ORDER, id="order-1001", check=reset_and_count)
    # References are drawn by the systems, so the results differ between runs; everything else must not.
    assert not [failure for failure in report.failures if "the result" not in failure]


def test_the_same_order_twice_is_one_order(durable_runner: DurableRunner) -> None:
    runner = durable_runner(handler)
    event = json.loads(ORDER.model_dump_json())
    first, second = runner.invoke(event), runner.invoke(event)
    assert first == second
    assert effects()["charge"] == 1
    with pytest.raises(Exception, match="another payload"):
        runner.invoke(event | {"customer": "eve@example.com"})
