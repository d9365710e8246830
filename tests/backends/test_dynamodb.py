"""DynamoDB: the contract in moto, lost replies, conflicts, throttling, and what people get wrong."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import botocore.endpoint
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from hypothesis import given
from hypothesis import strategies as st
from moto.core.models import botocore_stubber

from durable_fn.backends.aws.dynamodb import DynamoStore
from durable_fn.backends.aws.items import stored, told
from durable_fn.backends.ports import JournalStore
from durable_fn.log.events import Segment
from durable_fn.log.header import Header
from durable_fn.log.inbox import Entry
from durable_fn.log.requests import Ending, Lease, ParentNotice, Parking, Renewal
from durable_fn.log.retention import Snapshot, packed_log
from durable_fn.testing.cloud import LocalCloud
from durable_fn.testing.moto_account import client as _client

from .contract import LARGE, NOW, StoreContract, accepted, header, reason
from .lists import ListContract


@pytest.fixture
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud() as cloud:
        yield cloud


class TestListsOfATable(ListContract):
    @pytest.fixture
    def store(self, cloud: LocalCloud) -> JournalStore:
        return DynamoStore(cloud.store.table.client, cloud.store.table.name, shards=2)

    def test_an_index_has_no_order_among_equals(self, cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
        """Moto has the one of the ids; here it is the reverse within each page."""
        client = cloud.store.table.client
        store, query = DynamoStore(client, cloud.store.table.name, shards=2), client.query

        def reversed_among_equals(**arguments: Any) -> Any:
            reply = query(**arguments)
            if "IndexName" in arguments:
                reply["Items"].reverse()
                reply["Items"].sort(key=lambda item: item["shelf"]["S"], reverse=True)
            return reply

        monkeypatch.setattr(client, "query", reversed_among_equals)
        self.test_many_of_one_time_and_a_cursor_between_them(store)


class TestDynamoDB(StoreContract):
    @pytest.fixture
    def store(self, cloud: LocalCloud) -> JournalStore:
        return cloud.store

    def test_shards_spread_the_index(self, cloud: LocalCloud) -> None:
        for n in range(64):
            cloud.store.create(header(f"id-{n}"))
        used = [len(cloud.store.due(shard, NOW, 100)) for shard in range(16)]
        assert sum(used) == 64
        assert sum(n > 0 for n in used) > 10

    def test_shards_may_grow(self, cloud: LocalCloud) -> None:
        """Rows that were written with fewer are still found by readers that look at more."""
        client = cloud.store.table.client
        few, many = (DynamoStore(client, cloud.store.table.name, shards=n) for n in (4, 16))
        few.create(header("old"))
        many.create(header("new"))
        found = sorted(row.id for shard in range(16) for row in many.due(shard, NOW, 10))
        assert found == ["new", "old"]

    def test_a_header_stays_one_unit_while_values_grow(self, cloud: LocalCloud) -> None:
        owned = self.owned(cloud.store, input=LARGE)
        cloud.requests.clear()
        accepted(cloud.store.suspend(owned, "w", Parking(NOW + 60, NOW + 60, 0)))
        assert [(r.action, r.units) for r in cloud.requests] == [("UpdateItem", 1)]


# -- lost replies --------------------------------------------------------------------------------------------------


@contextmanager
def network(fault: Callable[[Any], Any], nth: int = 1) -> Iterator[list[str]]:
    """`fault(request)` runs in place of the nth request, the botocore way: moto's own hook is called by the fault."""
    calls: list[str] = []
    process = botocore_stubber.process_request

    def pass_on(request: Any) -> Any:
        calls.append(str(request.headers.get("X-Amz-Target")))
        return fault(lambda: process(request)) if len(calls) == nth else process(request)

    botocore_stubber.process_request = pass_on  # type: ignore[method-assign]
    try:
        yield calls
    finally:
        botocore_stubber.process_request = process  # type: ignore[method-assign]


def loses_the_reply(process: Callable[[], Any]) -> Any:
    process()
    raise ReadTimeoutError(endpoint_url="https://dynamodb")


def answers(status: int, type: str, **more: Any) -> Callable[[Any], Any]:
    body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{type}", "message": "no", **more})

    def fault(process: Callable[[], Any]) -> Any:
        return (status, {"x-amzn-errortype": type}, body)

    return fault


WRITES: dict[str, Callable[[JournalStore, Header], Any]] = {
    "create": lambda store, owned: accepted(store.create(header("fresh", run="r7"))).run == "r7",
    "create large": lambda store, owned: accepted(store.create(header("fresh", input=LARGE))).run == "r1",
    "acquire": lambda store, owned: accepted(store.acquire("idle", Lease("w", NOW, NOW + 9))).turns == 1,
    "append": lambda store, owned: store.append(owned, Segment(0, "w", "line")),
    "suspend": lambda store, owned: accepted(store.suspend(owned, "w", Parking(NOW + 60, None, 0))).lease == 0,
    "complete": lambda store, owned: accepted(store.complete(owned, "w", Ending("SUCCEEDED", NOW, "1"))).result == "1",
    "deliver": lambda store, owned: accepted(store.deliver(owned, Entry("k", "o", "d", "1"), NOW + 5)).id == "x",
    "cancel": lambda store, owned: accepted(store.deliver(owned, Entry("cancel/0", "o", "d", ""), NOW + 5)).cancel,
    "expire": lambda store, owned: accepted(store.expire(owned, "w", Entry("callback/1/k", "w", "d", "T"))).id == "x",
    "decide": lambda store, owned: accepted(store.decide(owned, Segment(0, "w", "none came"), 0)).id == "x",
    "complete and tell": lambda store, owned: (
        accepted(store.complete(owned, "w", Ending("SUCCEEDED", NOW, LARGE), NOTE)).status == "SUCCEEDED"
        and accepted(store.acquire("idle", Lease("w", NOW + 8, NOW + 9))).n == 1
    ),
    "terminate": lambda store, owned: (
        accepted(store.terminate(owned, Ending("TERMINATED", NOW), Segment(0, "t", "end"))).status == "TERMINATED"
    ),
    "revive": lambda store, owned: _revived(store, owned).status == "PENDING",
    "renew": lambda store, owned: accepted(store.renew(owned, "w", RENEWAL)).gen == 2,
    "keep": lambda store, owned: _kept(store, owned),
    "retire": lambda store, owned: _retired(store, owned),
}
NOTE = ParentNotice(header("idle").key, "f", Entry("call/1/k", "w", "d", "S1"), NOW + 7)
RENEWAL = Renewal(LARGE, Segment(0, "w", "new"), ("signal/1",), (), 0, NOW + 5, None, NOW)


def _revived(store: JournalStore, owned: Header) -> Header:
    accepted(store.complete(owned, "w", Ending("FAILED", NOW)))
    return accepted(store.revive(owned, Segment(0, "c", "rewind"), NOW + 20))


def _kept(store: JournalStore, owned: Header) -> bool:
    store.append(owned, Segment(0, "w", "line"))
    snapshot = Snapshot("e", 1, NOW)
    store.keep(owned, snapshot, packed_log([Segment(0, "w", "line")]), [])
    accepted(store.suspend(owned, "w", Parking(NOW + 60, None, 0, snapshot=snapshot)))
    loaded = store.load(owned.key)
    return loaded is not None and loaded.segments == [Segment(0, "w", "line")] and bool(loaded.copied)


def _retired(store: JournalStore, owned: Header) -> bool:
    accepted(store.complete(owned, "w", Ending("FAILED", NOW)))
    store.remove(accepted(store.retire(owned)))
    gone = store.get("x") is None
    accepted(store.create(header()))
    accepted(store.acquire("x", Lease("w", NOW, NOW + 9)))
    return gone


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("nth", range(1, 6))
def test_a_lost_reply_is_recognised_as_a_success(cloud: LocalCloud, write: str, nth: int) -> None:
    """botocore sends again by itself, and the second copy meets what the first one wrote. Some take several requests."""
    store = cloud.store
    store.create(header("idle"))
    owned = TestDynamoDB().owned(store)
    with network(loses_the_reply, nth) as calls:
        assert WRITES[write](store, owned)
    assert len(calls) >= 2 or nth > 1
    there = store.get("x")
    assert there is not None
    assert there.n == (write in ("deliver", "cancel", "expire"))
    assert there.turns == 1


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize(
    "fault",
    [
        answers(400, "ProvisionedThroughputExceededException"),
        answers(400, "ThrottlingException"),
        answers(500, "InternalServerError"),
        answers(503, "ServiceUnavailable"),
    ],
    ids=["capacity", "throttled", "500", "503"],
)
def test_an_overloaded_table_is_asked_again(
    cloud: LocalCloud, write: str, fault: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=pauses.append))
    store = cloud.store
    store.create(header("idle"))
    owned = TestDynamoDB().owned(store)
    with network(fault) as calls:
        assert WRITES[write](store, owned)
    assert len(calls) >= 2
    assert len(pauses) == 1


def test_a_transaction_conflict_is_tried_again_with_jitter(cloud: LocalCloud) -> None:
    slept: list[float] = []
    store = DynamoStore(cloud.store.table.client, cloud.store.table.name, sleep=slept.append)
    owned = TestDynamoDB().owned(store)
    cancelled = answers(
        400, "TransactionCanceledException", CancellationReasons=[{"Code": "None"}, {"Code": "TransactionConflict"}]
    )
    with network(cancelled) as calls:
        accepted(store.deliver(owned, Entry("k", "o", "d", "1"), NOW + 5))
    assert len(calls) == 2
    with network(answers(400, "TransactionConflictException")) as calls:
        assert store.append(owned, Segment(0, "w", "line"))
    assert len(calls) == 2
    assert len(slept) == 2
    assert all(0 <= seconds < 1 for seconds in slept)


def test_a_conflict_that_does_not_end_is_an_error(cloud: LocalCloud) -> None:
    slept: list[float] = []
    store = DynamoStore(cloud.store.table.client, cloud.store.table.name, sleep=slept.append)
    owned = TestDynamoDB().owned(store)
    with pytest.MonkeyPatch.context() as patch:
        conflict = answers(400, "TransactionConflictException")
        patch.setattr(botocore_stubber, "process_request", conflict)
        with pytest.raises(ClientError, match="TransactionConflict"):
            store.append(owned, Segment(0, "w", "line"))
    assert len(slept) == 11


def test_cancel_keeps_a_completion_out_until_it_was_seen(cloud: LocalCloud) -> None:
    store = cloud.store
    owned = TestDynamoDB().owned(store)
    store.table.client.update_item(
        TableName=store.table.name,
        Key={"pk": {"S": "x"}, "sk": {"S": "H"}},
        UpdateExpression="SET cancel = :yes",
        ExpressionAttributeValues={":yes": {"BOOL": True}},
    )
    assert reason(store.complete(owned, "w", Ending("SUCCEEDED", NOW))) == "cancelled"
    accepted(store.complete(owned, "w", Ending("SUCCEEDED", NOW, cancel_seen=True)))


def test_a_finished_one_is_not_acquired_even_where_a_due_time_was_left(cloud: LocalCloud) -> None:
    store = cloud.store
    accepted(store.complete(TestDynamoDB().owned(store), "w", Ending("SUCCEEDED", NOW)))
    store.table.client.update_item(
        TableName=store.table.name,
        Key={"pk": {"S": "x"}, "sk": {"S": "H"}},
        UpdateExpression="SET due = :due",
        ExpressionAttributeValues={":due": {"N": str(NOW)}},
    )
    assert reason(store.acquire("x", Lease("late", NOW + 60_000, NOW + 120_000))) == "finished"


# -- hostile and foreign items -------------------------------------------------------------------------------------


def test_items_of_others_in_the_partition_are_left_out(cloud: LocalCloud) -> None:
    store = cloud.store
    owned = TestDynamoDB().owned(store)
    store.append(owned, Segment(0, "w", "mine"))
    store.append(header(run="r0"), Segment(0, "w", "an earlier run's"))
    store.append(header(gen=2), Segment(0, "w", "another generation's"))
    for sk in ("ZZZ", "L#", "I#r0#k", "H2"):
        store.table.client.put_item(
            TableName=store.table.name, Item={"pk": {"S": "x"}, "sk": {"S": sk}, "junk": {"N": "1"}}
        )
    loaded = store.load(owned.key)
    assert loaded is not None
    assert ([s.body for s in loaded.segments], loaded.inbox) == (["mine"], {})


# -- what people get wrong -----------------------------------------------------------------------------------------


def test_a_missing_table_is_named(cloud: LocalCloud) -> None:
    store = DynamoStore(cloud.store.table.client, "nowhere")
    with pytest.raises(RuntimeError, match=r"'nowhere' \(DURABLE_FN_TABLE\).*does not exist"):
        store.get("x")


def test_a_table_without_the_index_is_named(cloud: LocalCloud) -> None:
    client = _client("dynamodb")
    with cloud.wire.aside():
        client.create_table(
            TableName="plain",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "sk")],
        )
    with pytest.raises(RuntimeError, match="index"):
        DynamoStore(client, "plain").due(0, NOW, 10)


def test_a_table_with_other_keys_is_named(cloud: LocalCloud) -> None:
    client = _client("dynamodb")
    with cloud.wire.aside():
        client.create_table(
            TableName="other",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        )
    with pytest.raises(RuntimeError, match=r"pk.*sk"):
        DynamoStore(client, "other").get("x")


def test_a_role_without_rights_is_told_which(cloud: LocalCloud) -> None:
    denied = answers(400, "AccessDeniedException")
    with network(denied), pytest.raises(RuntimeError, match=r"no right to call GetItem on the DynamoDB table"):
        cloud.store.get("x")


@given(
    st.one_of(
        st.text(), st.binary(min_size=150, max_size=400).map(lambda data: f"\x02zc:{base64.b64encode(data).decode()}")
    )
)
def test_what_is_packed_stands_as_bytes_and_comes_back_as_it_was(value: str) -> None:
    assert told(stored(value)) == value


@pytest.mark.parametrize(
    "value", ["\x02c:####", "\x02c:QQ", "\x02c:QR==", "\x02cb:durable-fn/a", "\x02\u00e9:QQ==", "\x02"]
)
def test_what_only_looks_packed_stands_as_it_is(value: str) -> None:
    assert stored(value) == {"S": value}
