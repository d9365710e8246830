"""The emulator keeps the contract of all journals, answers as moto does, and is right under concurrency."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from durable_fn.backends.aws.dynamodb import DynamoStore
from durable_fn.backends.clocks import VirtualClock
from durable_fn.backends.ports import JournalStore
from durable_fn.testing.cloud import LocalCloud
from tests.backends.contract import NOW, StoreContract
from tests.torture.emulator.account import MemoryAccount
from tests.torture.emulator.cloud import MemoryCloud


class TestContract(StoreContract):
    @pytest.fixture
    def store(self) -> Iterator[JournalStore]:
        with MemoryCloud() as cloud:
            yield cloud.store


def counters(table: Any) -> list[dict[str, Any]]:
    key = {"pk": {"S": "x"}, "sk": {"S": "n"}}
    table.put_item(TableName="t", Item={**key, "n": {"N": "0"}})
    done: list[dict[str, Any]] = []

    def many() -> None:
        for _ in range(50):
            seen = table.get_item(TableName="t", Key=key)["Item"]["n"]
            change = {
                "TableName": "t", "Key": key, "UpdateExpression": "SET n = n + :one",
                "ConditionExpression": "n = :seen", "ExpressionAttributeValues": {":one": {"N": "1"}, ":seen": seen},
            }  # fmt: skip
            try:
                table.transact_write_items(TransactItems=[{"Update": change}])
            except ClientError:
                continue
            done.append(seen)

    threads = [threading.Thread(target=many) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert table.get_item(TableName="t", Key=key)["Item"]["n"] == {"N": str(len(done))}
    return done


def test_optimistic_transactions_lose_nothing_between_threads() -> None:
    seen = [int(value["N"]) for value in counters(MemoryAccount(VirtualClock(NOW)).table)]
    assert sorted(seen) == list(range(len(seen)))


def test_a_transaction_that_comes_again_with_its_token_is_done_once() -> None:
    clock = VirtualClock(NOW)
    table = MemoryAccount(clock).table
    item = {"pk": {"S": "x"}, "sk": {"S": "a"}}
    put = {"Put": {"TableName": "t", "Item": item, "ConditionExpression": "attribute_not_exists(pk)"}}
    table.transact_write_items(TransactItems=[put], ClientRequestToken="a")
    table.transact_write_items(TransactItems=[put], ClientRequestToken="a")
    clock.sleep(601)
    with pytest.raises(ClientError) as refused:
        table.transact_write_items(TransactItems=[put], ClientRequestToken="a")
    assert refused.value.response["CancellationReasons"][0]["Code"] == "ConditionalCheckFailed"


CONDITIONS = (
    "attribute_exists(a)", "attribute_not_exists(a)", "a = :x", "a <> :x", "a < :x", "a >= :x", "NOT (a IN (:x, :y))",
    "a IN (:x, :y)", "attribute_not_exists(a) OR a <= :y", "attribute_exists(a) AND (a > :x OR b = :y)", "#b = :x",
)  # fmt: skip
UPDATES = (
    "SET a = :x",
    "SET a = a + :x",
    "SET c = if_not_exists(a, :y) + :x",
    "SET b = a",
    "REMOVE a, #b",
    "SET c = :x REMOVE a",
)
VALUES = ({"N": "1"}, {"N": "2"}, {"N": "10"}, {"N": "-3"})  # moto breaks where types are mixed


def requests(chance: random.Random) -> Iterator[tuple[str, dict[str, Any]]]:
    for _ in range(260):
        key = {"pk": {"S": chance.choice("pq")}, "sk": {"S": chance.choice("12")}}
        condition, update = chance.choice(CONDITIONS), chance.choice(UPDATES)
        kind = chance.choice(("put_item", "update_item", "update_item", "delete_item", "get_item"))
        arguments: dict[str, Any] = {"TableName": "durable-fn"}
        if kind == "get_item":
            yield kind, {**arguments, "Key": key}
            continue
        text = condition
        if kind == "put_item":
            own = {name: chance.choice(VALUES) for name in "ab" if chance.random() < 0.7}
            arguments["Item"] = {**key, **own}
        else:
            arguments["Key"] = key
        if kind == "update_item":
            arguments |= {"UpdateExpression": update, "ReturnValues": "ALL_NEW"}
            text += update
        arguments |= {"ConditionExpression": condition, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
        values = {name: chance.choice(VALUES) for name in (":x", ":y") if name in text}
        if values:
            arguments["ExpressionAttributeValues"] = values
        if "#b" in text:
            arguments["ExpressionAttributeNames"] = {"#b": "b"}
        yield kind, arguments


def answered(client: Any, kind: str, arguments: dict[str, Any]) -> Any:
    try:
        reply = getattr(client, kind)(**arguments)
    except ClientError as error:
        code, response = error.response["Error"]["Code"], error.response
        return code, response.get("Item")
    return {name: reply[name] for name in ("Item", "Attributes") if name in reply}


def test_it_answers_as_moto_does() -> None:
    with LocalCloud() as moto, moto.wire.aside():
        mine, theirs = MemoryAccount(VirtualClock(NOW)).client("dynamodb"), moto.account.client("dynamodb")
        met = set()
        for kind, arguments in requests(random.Random(5)):
            one, other = answered(mine, kind, arguments), answered(theirs, kind, arguments)
            assert one == other, (kind, arguments)
            met.add((kind, one[0] if isinstance(one, tuple) else "ok"))
    assert {("update_item", "ValidationException"), ("put_item", "ConditionalCheckFailedException")} <= met


def test_the_index_may_lag_and_keeps_the_order_of_each_item() -> None:
    clock = VirtualClock(NOW)
    table = MemoryAccount(clock).table
    table.lag_ms = 5000
    for due in range(20):
        item = {"pk": {"S": "x"}, "sk": {"S": "H"}, "shard": {"N": "0"}, "due": {"N": str(due)}}
        table.put_item(TableName="t", Item=item)
        clock.sleep(0.1)
    shown: list[int] = []
    while 19 not in shown:
        clock.sleep(0.2)
        shown += [int(item["due"]["N"]) for item in table.index()]
    assert shown == sorted(shown)
    assert len(set(shown)) > 2
    assert DynamoStore(MemoryAccount(clock).client("dynamodb"), "t").get("x") is None
