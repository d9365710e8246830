"""Executions that cannot be read: held with the reason shown, tried less and less often, ended or removed by whoever likes, and
going on by themselves when they are mended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from durable_fn import DurableContext, DurableFunction, durable
from durable_fn.errors import ExecutionConflict, ExecutionNotFound, JournalDamaged
from durable_fn.testing.cloud import BUCKET, LocalCloud
from durable_fn.testing.moto_account import client as _client
from durable_fn.types import ExecutionInfo
from tests.faults.damages import (
    DAMAGES,
    NO_JSON,
    RAN,
    Damage,
    a_works,
    body,
    changed,
    header_field,
    items,
    key,
    large,
    works,
)
from tests.torture.emulator.cloud import MemoryCloud


@pytest.fixture(autouse=True)
def _fresh() -> None:
    RAN.clear()


@pytest.fixture
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud(bucket=True, shards=2) as cloud:
        yield cloud


@pytest.fixture
def memory() -> Iterator[LocalCloud]:
    """For a thousand attempts."""
    with MemoryCloud(bucket=True, shards=2) as cloud:
        yield cloud


def start(cloud: LocalCloud, function: DurableFunction[Any, Any]) -> None:
    cloud.attach(function)
    cloud.client.start(function, "large", id="x")
    cloud.run_until_idle()
    cloud.client.signal("x", "go", 10)
    cloud.run_until_idle()
    assert RAN == [0, 1, 2]


def count(cloud: LocalCloud, seconds: float) -> int:
    """Invocations in that time."""
    before, calls, invoke = cloud.invoke, [0], cloud.invoke

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        return invoke(*args, **kwargs)

    cloud.invoke = counted  # type: ignore[method-assign]
    try:
        cloud.advance(seconds)
    finally:
        cloud.invoke = before  # type: ignore[method-assign]
    return calls[0]


def said(info: ExecutionInfo) -> str:
    assert info.held is not None
    assert info.held["error_type"] == "durable_fn.errors.JournalDamaged"
    return info.held["message"]


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_cannot_be_read_is_held_and_goes_on_when_it_is_mended(cloud: LocalCloud, damage: str) -> None:
    function = (works, a_works)[list(DAMAGES).index(damage) % 2]
    start(cloud, function)
    mend = DAMAGES[damage](cloud)
    assert count(cloud, 3 * 3600) <= 15, "in three hours; it was one each minute"
    info = cloud.client.describe("x")
    assert info.status == "SUSPENDED"
    assert "`terminate` ends it now" in said(info) or "`terminate` ends the execution now" in said(info)
    assert "no longer matches" not in said(info)
    (listed,) = list(cloud.client.list())
    assert listed.held is not None
    assert RAN == [0, 1, 2], "nothing was run on it"
    with cloud.wire.aside():
        mend()
    assert count(cloud, 3700) >= 1
    info = cloud.client.describe("x")
    assert (info.status, info.held, RAN) == ("SUCCEEDED", None, [0, 1, 2, 3])


@pytest.mark.parametrize(
    "damage",
    [NO_JSON, DAMAGES["a segment is empty"], DAMAGES["a segment with a time that is none"]],
    ids=["a result that is no JSON", "an empty segment", "a time that is none"],
)
def test_who_asks_for_what_cannot_be_read_is_told_so(cloud: LocalCloud, damage: Damage) -> None:
    start(cloud, works)
    damage(cloud)
    for ask in (cloud.client.history, cloud.client.document):
        with pytest.raises(JournalDamaged, match=r"execution 'x'.*is damaged"):
            ask("x")


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_cannot_be_read_can_be_ended_and_removed(cloud: LocalCloud, damage: str) -> None:
    start(cloud, works)
    DAMAGES[damage](cloud)
    cloud.advance(600)
    with pytest.raises(ExecutionConflict):
        cloud.client.purge("x")
    cloud.client.cancel("x", "enough")
    cloud.client.signal("x", "any")
    cloud.run_until_idle()
    assert cloud.client.describe("x").status == "SUSPENDED"
    cloud.client.terminate("x", "it is lost")
    assert cloud.client.describe("x").status == "TERMINATED" if "input" not in damage else True
    cloud.client.purge("x")
    with pytest.raises(ExecutionNotFound):
        cloud.client.describe("x")
    with cloud.wire.aside():
        assert items(cloud.store.table, "") == []
        assert _client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", []) == []


def test_what_is_held_for_months_is_still_there_to_be_mended(memory: LocalCloud) -> None:
    start(memory, works)
    mend = DAMAGES["a segment is empty"](memory)
    for _ in range(15):  # its items were stamped for 38 days
        memory.advance(3 * 86_400)
    assert memory.client.describe("x").status == "SUSPENDED"
    (old,) = [item for item in items(memory.store.table, "L#") if item["sk"]["S"].endswith("00000001")]
    assert int(old["ttl"]["N"]) * 1000 > memory.clock.now()
    memory.store.table.update(
        Key=key(old), UpdateExpression="SET b = :b", ExpressionAttributeValues={":b": {"S": _text(mend)}}
    )
    memory.advance(3700)
    assert RAN == [0, 1, 2, 3]


def test_a_header_that_counts_too_few_entries_makes_no_owner_give_way_for_ever(cloud: LocalCloud) -> None:
    start(cloud, works)
    cloud.client.signal("x", "another", 1)
    there = cloud.client.describe("x")
    (item,) = items(cloud.store.table, "H")
    count_ = int(item["n"]["N"])
    cloud.store.table.update(Key=key(item), UpdateExpression="SET n = :n", ExpressionAttributeValues={":n": {"N": "0"}})
    cloud.run_until_idle()
    held = cloud.client.describe("x")
    assert there.status == held.status == "SUSPENDED"
    assert held.error is not None
    assert "counts 0 inbox entries" in held.error["message"]
    cloud.store.table.update(
        Key=key(item), UpdateExpression="SET n = :n", ExpressionAttributeValues={":n": {"N": str(count_)}}
    )
    cloud.advance(3700)
    assert cloud.client.describe("x").status == "SUCCEEDED"


def _text(mend: Any) -> str:
    """What the item that `mend` puts back has in it."""
    (item,) = [cell.cell_contents for cell in mend.__closure__ if isinstance(cell.cell_contents, dict)]
    return str(item["b"]["S"])


def test_a_cancel_takes_effect_once_it_can_be_read(cloud: LocalCloud) -> None:
    start(cloud, works)
    mend = DAMAGES["a hole in the log"](cloud)
    cloud.advance(600)
    cloud.client.cancel("x", "enough")
    cloud.run_until_idle()
    assert cloud.client.describe("x").status == "SUSPENDED"
    mend()
    cloud.advance(3700)
    assert cloud.client.describe("x").status == "CANCELLED"


def test_a_redrive_tries_it_at_once_and_begins_the_pauses_anew(cloud: LocalCloud) -> None:
    start(cloud, works)
    mend = DAMAGES["a hole in the log"](cloud)
    cloud.advance(3 * 3600)
    cloud.client.redrive("x")
    assert count(cloud, 1) == 1
    assert count(cloud, 100) >= 1, "after 30 seconds, not after an hour"
    mend()
    cloud.client.redrive("x")
    cloud.run_until_idle()
    assert cloud.client.describe("x").status == "SUCCEEDED"


def test_the_reason_is_shown_although_the_codec_is_broken(cloud: LocalCloud) -> None:
    """What says why it is held goes through the codec too, and must not need it."""

    class Broken:
        def encode(self, data: bytes, context: str, /) -> bytes:
            raise PermissionError("no right to use the key")

        decode = encode

    start(cloud, works)
    DAMAGES["a hole in the log"](cloud)
    for backend in (*cloud._environments.values(), cloud.backend):
        backend.store.packing.codec = Broken()  # type: ignore[attr-defined]
    cloud.advance(600)
    info = cloud.client.describe("x")
    assert info.status == "SUSPENDED"
    assert info.held is not None


def test_a_status_of_another_version_can_be_ended(cloud: LocalCloud) -> None:
    """After a downgrade. It is not taken for one that has ended: nothing removes it or goes on with it."""
    start(cloud, works)
    header_field("status", {"S": "PAUSED"})(cloud)
    cloud.advance(3600)
    info = cloud.client.describe("x")
    assert info.status == "PAUSED"
    assert "its status 'PAUSED' is of another version" in said(info)
    for refused in (cloud.client.purge, cloud.client.redrive):
        with pytest.raises(ExecutionConflict):
            refused("x")
    cloud.client.terminate("x")
    assert cloud.client.describe("x").status == "TERMINATED"
    cloud.client.purge("x")


def test_a_caller_of_what_is_damaged_is_held_too() -> None:
    """It asks for the result of one that has ended, and cannot be given it."""

    @durable(name="asks")
    def asks(event: Any, ctx: DurableContext) -> int:
        return len(ctx.call(gives, None, id="x"))

    @durable(name="gives")
    def gives(event: Any, ctx: DurableContext) -> str:
        return large()[:3000]

    with LocalCloud(shards=1) as cloud:
        cloud.attach(asks)
        cloud.attach(gives)
        cloud.client.start(gives, None, id="x")
        cloud.run("x")
        mend = changed("V#", -1, body(lambda text: text[:-9]))(cloud)
        id = cloud.client.start(asks, None)
        cloud.advance(600)
        info = cloud.client.describe(id)
        assert info.status == "SUSPENDED"
        assert "damaged" in said(info)
        mend()
        cloud.advance(3700)
        assert cloud.client.result(id) == 3000


def test_an_event_that_fits_no_more_is_no_damage(cloud: LocalCloud) -> None:
    """The code changed, not the journal: it fails, as before."""

    @durable(name="typed")
    def typed(event: int, ctx: DurableContext) -> int:
        return event

    cloud.attach(typed)
    id = cloud.client.start("typed", "text", id="x")
    cloud.run(id)
    info = cloud.client.describe(id)
    assert info.error is not None
    assert (info.status, info.error["error_type"]) == ("FAILED", "durable_fn.errors.SerializationError")
