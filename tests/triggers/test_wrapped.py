"""Messages that another service put into a queue, and batches that a pipe hands over."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from pydantic import BaseModel

from durable_fn import DurableContext, durable
from tests.environments import World
from tests.triggers.samples import SEEN, echo, orders, sample
from tests.triggers.test_queue import batch

S3 = sample("s3-put")
TEST = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2026-01-01T00:00:00.000Z", "Bucket": "b"}


def notification(message: Any) -> dict[str, Any]:
    text = message if isinstance(message, str) else json.dumps(message)
    return {"Type": "Notification", "MessageId": "n", "TopicArn": "arn:aws:sns:eu-central-1:1:t", "Message": text}


class ParentNotice(BaseModel):
    TopicArn: str


def event(detail: Any) -> dict[str, Any]:
    return {"version": "0", "id": "e", "source": "shop", "detail-type": "Order", "detail": detail}


@pytest.mark.parametrize(
    ("body", "payload"),
    [
        (notification({"sku": "a"}), {"sku": "a"}), (notification("hello"), "hello"), (event({"sku": "a"}), {"sku": "a"}),
        (S3, S3["Records"][0]), (notification(S3), S3["Records"][0]), (notification(event([1])), [1]),
        (notification(notification("twice")), "twice"),
    ],
)  # fmt: skip
def test_the_payload_is_what_was_sent_to_the_other_service(
    sqlite_world: World, front: str, body: Any, payload: Any
) -> None:
    assert sqlite_world.invoke(echo(front), batch(body)) == {"batchItemFailures": []}
    assert [payload] == SEEN
    assert [info.id for info in sqlite_world.client.list()] == ["m0"]


def test_it_is_validated(sqlite_world: World, front: str) -> None:
    sqlite_world.invoke(orders(front), batch(notification({"sku": "a"}), event({"sku": "b"})))
    assert SEEN == ["a", "b"]


def test_a_handler_that_takes_the_wrapping_gets_it(sqlite_world: World) -> None:
    @durable(name="notes")
    def notes(event: ParentNotice, ctx: DurableContext) -> str:
        SEEN.append(event.TopicArn)
        return event.TopicArn

    sqlite_world.invoke(notes, batch(notification({"sku": "a"})))
    assert SEEN == ["arn:aws:sns:eu-central-1:1:t"]


def test_raw_events_stay_as_they_are(sqlite_world: World, front: str) -> None:
    whole = batch(notification("hello"))
    sqlite_world.invoke(echo(front, envelope=False), whole)
    assert [whole] == SEEN


@pytest.mark.parametrize(
    "body",
    [
        {"Type": "Notification", "Message": "no topic"}, {"Type": "Other", "MessageId": "n", "TopicArn": "t", "Message": "m"},
        {"detail": {}, "id": "e"}, {"Records": [{"eventSource": "shop"}]}, {"Records": S3["Records"] * 2},
        {"Event": "s3:TestEvent", "order": "tea"},
    ],
)  # fmt: skip
def test_what_only_resembles_one_is_a_message_of_yours(sqlite_world: World, body: Any) -> None:
    sqlite_world.invoke(echo("def"), batch(body))
    assert [body] == SEEN


@pytest.mark.parametrize("envelope", [True, False])
@pytest.mark.parametrize("body", [TEST, notification(TEST)])
def test_a_test_of_s3_is_acknowledged(sqlite_world: World, body: Any, *, envelope: bool) -> None:
    answer = sqlite_world.invoke(echo("def", envelope=envelope), batch(body, "work"))
    assert answer == {"batchItemFailures": []}
    assert [info.id for info in sqlite_world.client.list()] == ["m1"]


# -- pipes ---------------------------------------------------------------------------------------------------------


def test_a_pipe_of_a_queue(sqlite_world: World, front: str) -> None:
    records = batch({"sku": "a"}, "not an order")["Records"]
    function = orders(front)
    for _ in range(2):
        assert sqlite_world.invoke(function, records) == {"batchItemFailures": [{"itemIdentifier": "m1"}]}
    assert SEEN == ["a"]


def test_a_pipe_of_kinesis_has_no_envelope(sqlite_world: World, front: str) -> None:
    """Its records are flat."""
    first = sample("kinesis")["Records"][0]
    data = base64.b64encode(b'{"sku": "a"}').decode()
    whole = {name: value for name, value in first.items() if name != "kinesis"} | first["kinesis"] | {"data": data}
    bad = whole | {"data": base64.b64encode(b"[]").decode(), "eventID": "other", "sequenceNumber": "77"}
    answer = sqlite_world.invoke(orders(front), [whole, bad])
    assert answer == {"batchItemFailures": [{"itemIdentifier": "77"}]}
    assert SEEN == ["a"]


def test_a_pipe_of_a_table(sqlite_world: World, front: str) -> None:
    records = sample("dynamodb")["Records"][:1]
    sqlite_world.invoke(echo(front), records)
    assert SEEN[0]["eventName"] == records[0]["eventName"]


def test_a_raw_event_of_a_pipe_is_a_list_of_one(sqlite_world: World, front: str) -> None:
    records = batch("a", "b")["Records"]
    sqlite_world.invoke(echo(front, envelope=False), records)
    assert [[record] for record in records] == SEEN


# -- schedules -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("source", "seen"), [("aws.scheduler", {"a": 1}), ("shop", '{"a": 1}')])
def test_the_scheduler_writes_its_detail_as_text(sqlite_world: World, front: str, source: str, seen: Any) -> None:
    sqlite_world.invoke(echo(front), event('{"a": 1}') | {"source": source})
    assert [seen] == SEEN
