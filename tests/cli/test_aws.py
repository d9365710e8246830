"""Commands on a table: what `cost` reckons is what went over the wire, what `doctor` finds, and lists with and without the
index."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from durable_fn import DurableContext, durable, step
from durable_fn.cli import doctors
from durable_fn.cli.bills import bill
from durable_fn.cli.costs import _loaded
from durable_fn.testing.cloud import TABLE, LocalCloud
from durable_fn.testing.moto_account import REGION
from durable_fn.testing.moto_account import client as _client

from .shop import run

TARGET = ("--table", TABLE, "--region", REGION)


def work(n: int) -> int:
    return n


@step
def big(n: int) -> str:
    return "x" * n


@durable(name="straight")
def straight(event: int, ctx: DurableContext) -> int:
    return sum(ctx.step(work, n) for n in range(event))


@durable(name="naps")
def naps(event: float, ctx: DurableContext) -> int:
    ctx.step(work, 1)
    ctx.sleep(event)
    return ctx.step(work, 2)


@durable(name="asks")
def asks(event: Any, ctx: DurableContext) -> Any:
    return ctx.wait_for_callback(lambda token: None, name="answer", timeout=timedelta(hours=1))


@durable(name="large")
def large(event: int, ctx: DurableContext) -> int:
    return len(ctx.step(big, event))


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCloud]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.delenv("DURABLE_FN_BACKEND", raising=False)
    with LocalCloud(straight, naps, asks, large) as cloud:
        yield cloud


def _answered(cloud: LocalCloud, id: str) -> None:
    cloud.client.complete_callback(cloud.client.callback_token(id, "answer"), "yes")


@pytest.mark.parametrize(
    ("function", "event", "between", "operations"),
    [
        (straight, 10, None, 10),
        (naps, 300, None, 3),
        (naps, 7200, None, 3),
        (asks, None, _answered, 2),
        (large, 5000, None, 1),
    ],
    ids=["steps", "nap", "long nap", "callback", "large"],
)
def test_what_is_reckoned_is_what_was_sent(
    cloud: LocalCloud, function: Any, event: Any, between: Callable[[LocalCloud, str], None] | None, operations: int
) -> None:
    cloud.client.start(straight, 0)
    cloud.run_until_idle()
    cloud.requests.clear()
    id = cloud.client.start(function, event, id="x")
    cloud.run(id)
    if between is not None:
        token = cloud.client.callback_token(id, "answer")
        cloud.client.complete_callback(token, "yes")
        cloud.run(id)
    seen = [*cloud.requests]
    header = cloud.backend.store.get(id)
    assert header is not None
    assert header.status == "SUCCEEDED"
    found = bill(_loaded(cloud.backend.store, id), _loaded(cloud.store, id))
    writes = [r for r in seen if r.is_write]
    assert found.write_units == sum(r.units for r in writes)
    assert found.listing_units == sum(r.listing_units for r in writes)
    assert found.index_units == sum(r.index_units - r.listing_units for r in writes)
    assert found.schedules == sum(r.action == "CreateSchedule" for r in seen)
    assert found.messages == sum(r.action == "SendMessage" for r in seen)
    assert found.operations == operations
    assert found.dollars > 0


def test_the_bill_is_shown(cloud: LocalCloud) -> None:
    cloud.run(cloud.client.start(straight, 10, id="x"))
    told = json.loads(run("cost", "x", *TARGET, "--json").stdout)
    assert told["write_units"] == 13
    assert {other["name"]: other["units"] for other in told["elsewhere"]} == {
        "AWS Lambda durable functions": 11, "AWS Step Functions": 10,
    }  # fmt: skip
    assert told["dollars"] < min(other["dollars"] for other in told["elsewhere"]) / 5
    said = run("cost", "x", *TARGET).output
    for words in ("13 units", "https://aws.amazon.com/lambda/pricing/", "a million times: 10 state transitions"):
        assert words in said


def test_a_list_says_what_it_read(cloud: LocalCloud) -> None:
    for n in range(3):
        cloud.client.start(straight, n, id=f"id-{n}")
    said = run("list", *TARGET).output
    assert "id-2" in said
    assert "read units." in said
    assert "index" not in said
    said = run("list", "--scan", *TARGET).output
    assert "id-2" in said
    assert "index" not in said, "it was asked for"


def test_a_table_without_the_index_is_scanned_and_that_is_said(cloud: LocalCloud) -> None:
    for n in range(3):
        cloud.client.start(straight, n, id=f"id-{n}")
    with cloud.wire.aside():
        change = [{"Delete": {"IndexName": "listing"}}]
        _client("dynamodb").update_table(TableName=TABLE, GlobalSecondaryIndexUpdates=change)
    said = run("list", *TARGET).output
    assert "id-2" in said
    assert "The whole table was read" in said
    assert "docs/guide/listing.md" in said
    told = json.loads(run("list", "--limit", "2", *TARGET, "--json").stdout)
    assert ([row["id"] for row in told["executions"]], told["scanned"]) == (["id-2", "id-1"], True)
    told = json.loads(run("list", "--cursor", told["cursor"], *TARGET, "--json").stdout)
    assert [row["id"] for row in told["executions"]] == ["id-0"]
    assert [info.id for info in cloud.client.list()] == ["id-2", "id-1", "id-0"]


def test_a_sweep(cloud: LocalCloud) -> None:
    cloud.client.start(straight, 1, id="x")
    told = json.loads(run("sweep", *TARGET, "--json", code=1).stdout)
    assert (told["format"], told["due"], told["failed"]) == ("durable_fn.swept", 1, 1), "nobody knows its queue"
    cloud.store.register("straight", cloud.queue_url(straight))
    cloud.client.start(straight, 1, id="y")
    assert "sent    1" in run("sweep", *TARGET).output


# -- the doctor ------------------------------------------------------------------------------------------------------------


class Lambdas:
    """What Lambda's API says of a function: moto has no recursion config."""

    def __init__(self, **changes: Any) -> None:
        self.mapping = {
            "FunctionArn": "arn:f",
            "State": "Enabled",
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
        }
        self.mapping |= {key: value for key, value in changes.items() if key in self.mapping}
        self.loop, self.timeout = changes.get("loop", "Allow"), changes.get("timeout", 60)
        self.there = changes.get("there", True)

    def list_event_source_mappings(self, EventSourceArn: str) -> Any:
        return {"EventSourceMappings": [self.mapping] if self.there else []}

    def get_function_configuration(self, FunctionName: str) -> Any:
        return {"Timeout": self.timeout}

    def get_function_recursion_config(self, FunctionName: str) -> Any:
        return {"RecursiveLoop": self.loop}


def examined(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch, code: int = 0, **changes: Any) -> dict[str, Any]:
    """By part; the worst of each."""
    own = Lambdas(**changes)
    client = doctors.client
    monkeypatch.setattr(doctors, "client", lambda service: own if service == "lambda" else client(service))
    with cloud.wire.acting("doctor"):
        rows = json.loads(run("doctor", *TARGET, "--json", code=code).stdout)["findings"]
    worst = {"ok": 0, "warn": 1, "fail": 2}
    found: dict[str, Any] = {}
    for row in rows:
        if row["part"] not in found or worst[row["state"]] > worst[found[row["part"]]["state"]]:
            found[row["part"]] = row
    assert all(row["fix"] or row["state"] == "ok" for row in rows), "each with its fix"
    return found


@pytest.fixture
def well(cloud: LocalCloud) -> LocalCloud:
    """With one function that has registered itself."""
    with cloud.wire.aside():
        recovery = {"PointInTimeRecoveryEnabled": True}
        _client("dynamodb").update_continuous_backups(TableName=TABLE, PointInTimeRecoverySpecification=recovery)
    cloud.store.register("straight", cloud.queue_url(straight))
    return cloud


def test_all_is_well(well: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    found = examined(well, monkeypatch)
    assert {part: row["state"] for part, row in found.items()} == dict.fromkeys(
        [
            "environment", "table", "index due", "index listing", "TTL", "backups", "permissions", "queue of straight",
            "Lambda of straight", "values", "registry", "held", "overdue",
        ],
        "ok",
    )  # fmt: skip
    with well.wire.acting("doctor"):
        assert "✔ index listing: shard, shelf" in run("doctor", *TARGET).output
    assert [item for item in well.store.table.pages("scan") if item["pk"]["S"].startswith(" doctor")] == []


@pytest.mark.parametrize(
    ("changes", "state", "told"),
    [
        ({"loop": "Terminate"}, "fail", "RecursiveLoop is Terminate"),
        ({"there": False}, "fail", "no event source"),
        ({"State": "Disabled"}, "fail", "is disabled"),
        ({"FunctionResponseTypes": []}, "fail", "does not report single failures"),
        ({"timeout": 900}, "fail", "come again after 360 s"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_function_that_is_set_up_wrongly(
    well: LocalCloud, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], state: str, told: str
) -> None:
    row = examined(well, monkeypatch, code=1, **changes)["Lambda of straight"]
    assert row["state"] == state
    assert told in row["told"]


def test_a_table_that_is_set_up_wrongly(well: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    dynamodb = _client("dynamodb")
    with well.wire.aside():
        for index in ("listing", "due"):
            dynamodb.update_table(TableName=TABLE, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": index}}])
        off = {"AttributeName": "ttl", "Enabled": False}
        dynamodb.update_time_to_live(TableName=TABLE, TimeToLiveSpecification=off)
    found = examined(well, monkeypatch, code=1)
    assert [found[part]["state"] for part in ("index due", "index listing", "TTL")] == ["fail", "warn", "fail"]


def test_no_table(cloud: LocalCloud) -> None:
    with cloud.wire.acting("doctor"):
        said = run("doctor", "--table", "nix", "--region", REGION, code=1).output
    assert "✘ table:" in said
    assert "fix: deploy the stack, or correct DURABLE_FN_TABLE" in said


def test_no_queue(well: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    well.store.register("gone", "https://sqs.eu-central-1.amazonaws.com/123456789012/gone")
    assert examined(well, monkeypatch, code=1)["queue of gone"]["state"] == "fail"


def test_executions_that_nobody_takes(well: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cloud's clock is behind the wall's."""
    well.client.start(straight, 1, id="x")
    assert "'x'" in examined(well, monkeypatch, code=1)["overdue"]["told"]


def test_values_that_cannot_be_read_here(well: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cryptography")
    from durable_fn.codecs import AesGcm

    well.backend.store.packing.codec = AesGcm(b"k" * 32)  # type: ignore[attr-defined]
    well.run(well.client.start(straight, 1, id="x"))
    found = examined(well, monkeypatch, code=1)["values"]
    assert found["state"] == "fail"
    assert "codec" in found["told"]
    assert "DURABLE_FN_KMS_KEY" in found["fix"]
