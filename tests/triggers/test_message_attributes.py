"""The attributes of a message, beside its body, for a handler that asks for them: the same on every replay."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel

from durable_fn import AsyncDurableContext, DurableContext, DurableFunction, durable
from durable_fn.errors import SerializationError
from durable_fn.types import Message
from tests.environments import World
from tests.triggers.samples import SEEN, sample, see
from tests.triggers.test_queue import batch
from tests.triggers.test_wrapped import notification

SQS = {
    "tenant": {"stringValue": "acme", "dataType": "String"},
    "count": {"stringValue": "3", "dataType": "Number"},
    "raw": {"binaryValue": "AAE=", "dataType": "Binary"},
}
TEXTS = {"tenant": "acme", "count": "3", "raw": "AAE="}


class Order(BaseModel):
    sku: str


def orders(front: str) -> DurableFunction[Any, Any]:
    """Looks at its event again after a replay, where there is no record any more."""
    if front == "def":

        @durable(name="orders")
        def plain(event: Message[Order], ctx: DurableContext) -> list[Any]:
            ctx.sleep(60)
            return ctx.step(see, [event.body.sku, event.attributes])

        return plain

    @durable(name="orders")
    async def native(event: Message[Order], ctx: AsyncDurableContext) -> list[Any]:
        await ctx.sleep(60)
        return await ctx.step(see, [event.body.sku, event.attributes])

    return native


def with_attributes(attributes: Any, *bodies: Any) -> dict[str, Any]:
    found = batch(*bodies)
    for record in found["Records"]:
        record["messageAttributes"] = attributes
    return found


def test_a_message_of_a_queue(world: World, front: str) -> None:
    function = orders(front)
    for _ in range(2):  # the second delivery is the same work
        assert world.invoke(function, with_attributes(SQS, {"sku": "a"})) == {"batchItemFailures": []}
    world.advance(60)
    assert [["a", TEXTS]] == SEEN


def test_a_message_of_a_topic(world: World, front: str) -> None:
    event = sample("sns")
    event["Records"][0]["Sns"] |= {
        "Message": json.dumps({"sku": "a"}),
        "MessageAttributes": {"tenant": {"Type": "String", "Value": "acme"}},
    }
    world.invoke(orders(front), event)
    world.advance(60)
    assert SEEN == [["a", {"tenant": "acme"}]]


def test_a_topic_that_puts_messages_into_a_queue(sqlite_world: World, front: str) -> None:
    body = notification({"sku": "a"}) | {"MessageAttributes": {"tenant": {"Type": "String", "Value": "acme"}}}
    sqlite_world.invoke(orders(front), with_attributes({"hop": {"stringValue": "2"}}, body))
    sqlite_world.advance(60)
    assert SEEN == [["a", {"tenant": "acme", "hop": "2"}]]


def test_sources_without_attributes_bring_the_body_alone(sqlite_world: World, front: str) -> None:
    function = orders(front)
    event = {"version": "0", "id": "e", "source": "shop", "detail-type": "Order", "detail": {"sku": "bus"}}
    sqlite_world.invoke(function, event)
    kinesis = sample("kinesis")
    kinesis["Records"] = kinesis["Records"][:1]
    kinesis["Records"][0]["kinesis"]["data"] = "eyJza3UiOiAic3RyZWFtIn0="
    sqlite_world.invoke(function, kinesis)
    sqlite_world.advance(60)
    assert SEEN == [["bus", {}], ["stream", {}]]


def test_code_sends_a_message(sqlite_world: World, front: str) -> None:
    function = orders(front)
    sqlite_world.run(function, Message(Order(sku="object"), {"tenant": "acme"}), "1")
    sqlite_world.run(function, {"body": {"sku": "data"}}, "2")
    sqlite_world.advance(60)
    assert SEEN == [["object", {"tenant": "acme"}], ["data", {}]]
    with pytest.raises(SerializationError):
        sqlite_world.client.start(function, {"sku": "a"})


@pytest.mark.parametrize("attributes", [None, [], "x", {"a": None, "b": {}, "c": {"stringValue": 1}, "d": "text"}])
def test_what_is_no_attribute_is_left_out(sqlite_world: World, front: str, attributes: Any) -> None:
    sqlite_world.invoke(orders(front), with_attributes(attributes, {"sku": "a"}))
    sqlite_world.advance(60)
    assert SEEN == [["a", {}]]


@pytest.mark.parametrize(
    ("annotation", "body", "seen"),
    [(str, "42", "42"), (int, "42", 42), (bytes, "42", b"42"), (Any, "42", 42), (Any, "hello", "hello")],
)
def test_bodies_that_are_no_objects(sqlite_world: World, annotation: Any, body: str, seen: Any) -> None:
    def handler(event: Any, ctx: DurableContext) -> None:
        SEEN.append(event.body)

    handler.__annotations__["event"] = Message[annotation]
    sqlite_world.invoke(durable(name="bodies")(handler), batch(body))
    assert [seen] == SEEN


def test_a_rule_reads_them(sqlite_world: World) -> None:
    """One execution for each order of a tenant, whatever message brings it."""

    @durable(name="rule", execution_id=lambda event: f"{event.attributes['tenant']}/{event.body.sku}")
    def rule(event: Message[Order], ctx: DurableContext) -> str:
        return ctx.step(see, event.body.sku)

    sqlite_world.invoke(rule, with_attributes(SQS, {"sku": "a"}))
    assert [info.id for info in sqlite_world.client.list()] == ["acme/a"]


def test_raw_events_have_them_as_they_are(sqlite_world: World) -> None:
    @durable(name="raw", envelope=False)
    def raw(event: Any, ctx: DurableContext) -> None:
        SEEN.append(event["Records"][0]["messageAttributes"])

    sqlite_world.invoke(raw, with_attributes(SQS, {"sku": "a"}))
    assert [SQS] == SEEN
