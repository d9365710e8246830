"""Kinesis and DynamoDB streams, and SNS and S3 notifications."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from durable_fn import DurableContext, durable
from durable_fn.errors import ExecutionConflict, SerializationError
from durable_fn.testing.cloud import LocalCloud
from durable_fn.testing.moto_account import client as _client
from durable_fn.triggers.images import plain_item
from tests.environments import World
from tests.triggers.samples import SEEN, echo, executions, orders, sample, several


def kinesis(*orders: Any) -> dict[str, Any]:
    data = [base64.b64encode(json.dumps(order).encode()).decode() for order in orders]
    sequence = [str(100 + n) for n in range(len(data))]
    ids = [f"shardId-000000000000:{number}" for number in sequence]
    return several("kinesis", kinesis__data=data, kinesis__sequenceNumber=sequence, eventID=ids)


def dynamodb(*images: Any) -> dict[str, Any]:
    numbers = [str(100 + n) for n in range(len(images))]
    ids = [f"id-{number}" for number in numbers]
    return several("dynamodb", dynamodb__NewImage=list(images), dynamodb__SequenceNumber=numbers, eventID=ids)


class Shard:
    """Delivers as the event source does: from the record that was reported on, and after some tries without the first one, which
    goes to the failure destination."""

    def __init__(self, world: World, function: Any, event: dict[str, Any], attempts: int = 3) -> None:
        self.batches: list[int] = []
        self.discarded: list[str] = []
        records, tries = event["Records"], 0
        while records:
            self.batches.append(len(records))
            answer = world.invoke(function, {"Records": records})
            failed = [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
            assert len(failed) <= 1
            at = next((n for n, record in enumerate(records) if self._number(record) in failed), len(records))
            tries = tries + 1 if at == 0 else 1
            records = records[at:]
            if records and tries >= attempts:
                self.discarded.append(self._number(records[0]))
                records, tries = records[1:], 0

    def _number(self, record: dict[str, Any]) -> str:
        return str((record.get("kinesis") or {}).get("sequenceNumber") or record["dynamodb"]["SequenceNumber"])


def test_a_shard_goes_on_from_the_record_that_failed(world: World, front: str) -> None:
    event = kinesis({"sku": "a"}, {"sku": "b", "amount": 60}, {"skuu": "c"}, {"sku": "d"}, {"sku": "e", "amount": 13})
    function = orders(front)
    assert world.invoke(function, event) == {"batchItemFailures": [{"itemIdentifier": "102"}]}
    assert SEEN == ["a", "b"], "nothing after it was touched"
    shard = Shard(world, function, event)
    assert (shard.batches, shard.discarded) == ([5, 3, 3, 2], ["102"])
    assert SEEN == ["a", "b", "d", "e"], "in order, and once each"
    world.advance(60)
    ends = {info.id.partition(":")[2]: info.status for info in world.client.list()}
    assert ends == {"100": "SUCCEEDED", "101": "SUCCEEDED", "103": "SUCCEEDED", "104": "FAILED"}


def test_a_changed_item_that_does_not_fit(world: World, front: str) -> None:
    def image(**values: str) -> dict[str, Any]:
        return {name: {"S": value} for name, value in values.items()}

    @durable(execution_id="NewImage.sku")
    def changed(event: dict[str, Any], ctx: DurableContext) -> Any:
        return event["NewImage"]["sku"]

    event = dynamodb(image(sku="a"), image(skuu="b"), image(sku="c"))
    shard = Shard(world, changed, event)
    assert shard.discarded == ["101"]
    assert sorted(executions(world)) == ["a", "c"]


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ({"S": ""}, ""), ({"N": "1"}, 1), ({"N": "-1.5"}, -1.5), ({"N": "1E+3"}, 1000), ({"N": "0.1"}, 0.1), ({"N": "0.0"}, 0),
        ({"N": "3.14159265358979323846264338327950288419"}, "3.14159265358979323846264338327950288419"),
        ({"N": "99999999999999999999999999999999999999"}, 99999999999999999999999999999999999999), ({"N": "1e-130"}, 1e-130),
        ({"B": "AAE="}, "AAE="), ({"BOOL": False}, False), ({"NULL": True}, None), ({"SS": ["b", "a"]}, ["b", "a"]),
        ({"NS": ["1", "2.5"]}, [1, 2.5]), ({"BS": ["AA=="]}, ["AA=="]), ({"L": [{"N": "1"}, {"L": []}]}, [1, []]),
        ({"M": {"a": {"M": {"b": {"NULL": True}}}}}, {"a": {"b": None}}),
    ],
)  # fmt: skip
def test_attribute_values(value: Any, plain: Any) -> None:
    found = plain_item({"x": value})
    assert found == {"x": plain}
    assert type(found["x"]) is type(plain)


@pytest.mark.parametrize(
    "value",
    [
        None, "S", [], {}, {"S": "a", "N": "1"}, {"X": 1}, {"N": "many"}, {"N": "NaN"}, {"N": "Infinity"}, {"N": "1e999999999"},
        {"N": "1" * 5000}, {"N": 5}, {"N": None}, {"L": 5}, {"M": []}, {"L": [1]}, {"NS": [[]]}, {"SS": None},
    ],
)  # fmt: skip
def test_what_is_no_attribute_value(value: Any) -> None:
    with pytest.raises(SerializationError, match="a stream record's image holds no attribute value"):
        plain_item({"x": value})


def test_binary_data_is_base64_text(world: World, front: str) -> None:
    event = several("kinesis", kinesis__data=["//4="])
    assert world.invoke(echo(front), event) == {"batchItemFailures": []}
    assert SEEN == ["//4="]


def test_an_event_for_several_functions_starts_each(front: str) -> None:
    """Ids share one space per table, and a topic, a bus or a stream may go to several functions that share one."""
    events = ["sns", "s3-put", "eventbridge-scheduled", "kinesis", "dynamodb"]
    with LocalCloud() as cloud:
        for name in ("one", "two", "two", "one"):
            for event in events:
                cloud.invoke(echo(front, name=name), sample(event))
        counts = {name: sum(1 for _ in cloud.client.list(name=name)) for name in ("one", "two")}
        assert counts == {"one": 7, "two": 7}
        assert len(SEEN) == 14, "the second time each attached to its own"
        sns = sample("sns")["Records"][0]["Sns"]["MessageId"]
        assert cloud.client.describe(sns).name == "one"
        assert cloud.client.describe(f"two:{sns}").name == "two"


# -- SNS and S3 ----------------------------------------------------------------------------------------------------


def test_a_notification_that_fails_is_raised_so_that_lambda_tries_again(world: World, front: str) -> None:
    with pytest.raises(SerializationError, match="does not fit its annotation"):
        world.invoke(orders(front), several("sns", Sns__Message=['{"skuu": "a"}']))
    function = orders(front, execution_id="sku", name="routed")
    event = several("sns", Sns__Message=['{"sku": "a"}'])
    assert world.invoke(function, event)["status"] == "SUCCEEDED"
    other = several("sns", Sns__Message=['{"sku": "a", "amount": 2}'])
    with pytest.raises(ExecutionConflict, match="'a' was started with another payload"):
        world.invoke(function, other)


def test_the_journal_being_away_is_raised() -> None:
    with LocalCloud() as cloud:
        with cloud.wire.aside():
            _client("dynamodb").delete_table(TableName="durable-fn")
        with pytest.raises(Exception, match="ResourceNotFoundException"):
            cloud.invoke(echo("def"), sample("sns"))
        with pytest.raises(Exception, match="ResourceNotFoundException"):
            cloud.invoke(echo("def"), sample("function-url"))


def test_all_records_are_tried_before_an_error_is_raised(world: World, front: str) -> None:
    messages = ['{"sku": "a"}', '{"skuu": "b"}', '{"sku": "c"}']
    event = several("sns", Sns__Message=messages, Sns__MessageId=["m0", "m1", "m2"])
    function = orders(front)
    for _ in range(3):  # Lambda's own two retries
        with pytest.raises(SerializationError, match="for 'orders' does not fit"):
            world.invoke(function, event)
    assert SEEN == ["a", "c"]
    answers = world.invoke(function, {"Records": event["Records"][::2]})
    assert [answer["execution_id"] for answer in answers] == ["m0", "m2"]


def test_without_an_envelope_the_handlers_error_is_raised(world: World) -> None:
    @durable(envelope=False)
    def refuses(event: Any, ctx: DurableContext) -> Any:
        ctx.step(SEEN.append, 1)
        raise LookupError("not this object")

    for _ in range(3):
        with pytest.raises(Exception, match="not this object"):
            world.invoke(refuses, sample("s3-put"))
    assert SEEN == [1], "the failure destination gets it; nothing runs again"


@pytest.mark.parametrize(
    ("change", "id"),
    [
        ({}, "example-bucket/test/key:0A1B2C3D4E5F678901:ObjectCreated:Put"),
        ({"versionId": "v1"}, "example-bucket/test/key:v1:0A1B2C3D4E5F678901:ObjectCreated:Put"),
        ({"versionId": "v1", "sequencer": None}, "example-bucket/test/key:v1:ObjectCreated:Put"),
        ({"sequencer": None}, "example-bucket/test/key:1970-01-01T00:00:00.000Z:EXAMPLE123456789:ObjectCreated:Put"),
        ({"key": "k" * 1024}, "s3:"),
        ({"key": "a\nb"}, "s3:"),
    ],
)
def test_ids_of_objects(world: World, change: dict[str, Any], id: str) -> None:
    event = sample("s3-put")
    event["Records"][0]["s3"]["object"].update(change)
    function = echo("def")
    first, again = world.invoke(function, event), world.invoke(function, event)
    assert first == again
    if id.startswith("s3:"):
        assert first["execution_id"].startswith("s3:")
        assert len(first["execution_id"]) == 67
    else:
        assert first["execution_id"] == id
