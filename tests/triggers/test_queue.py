"""SQS: messages of yours and wake messages, through the event source of the local cloud."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from durable_fn import AsyncDurableContext, DurableContext, DurableFunction, durable
from durable_fn.log.wake import Wake
from durable_fn.testing.cloud import LocalCloud
from durable_fn.testing.moto_account import client as _client
from tests.environments import World
from tests.triggers.samples import SEEN, Order, echo, executions, orders, see, several

FIFO = "arn:aws:sqs:us-east-1:123456789012:orders.fifo"


@pytest.fixture
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud() as cloud:
        yield cloud


def put(cloud: LocalCloud, function: Any, *bodies: Any) -> list[str]:
    """Into the function's own queue. The message ids."""
    with cloud.wire.aside():
        return [
            _client("sqs").send_message(
                QueueUrl=cloud.queue_url(function), MessageBody=body if isinstance(body, str) else json.dumps(body)
            )["MessageId"]
            for body in bodies
        ]


def batch(*bodies: Any, **changes: list[Any]) -> dict[str, Any]:
    """Messages m0, m1, ..."""
    texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
    return several("sqs", body=texts, messageId=[f"m{n}" for n in range(len(bodies))], **changes)


def failures(*ids: str) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": id} for id in ids]}


def test_one_queue_carries_both_kinds(cloud: LocalCloud, front: str) -> None:
    """The business message starts the execution, and the wake message of its sleep finishes it, in batches with others."""
    function = orders(front)
    cloud.attach(function)
    started = cloud.client.start(function, Order(sku="by client"))
    ids = put(cloud, function, {"sku": "a"}, {"sku": "b", "amount": 60}, {"sku": "c"})
    cloud.run_until_idle()
    assert [cloud.client.describe(id).status for id in (*ids, started)] == [
        "SUCCEEDED", "SUSPENDED", "SUCCEEDED", "SUCCEEDED",
    ]  # fmt: skip
    cloud.advance(60)
    assert cloud.client.result(ids[1]) == "b"
    assert sorted(SEEN) == ["a", "b", "by client", "c"]
    assert cloud.deaths == []


def test_a_message_that_does_not_fit_is_a_failed_record(
    world: World, front: str, caplog: pytest.LogCaptureFixture
) -> None:
    event = batch({"sku": "a"}, {"skuu": "s3cret"}, {"sku": "c"}, "not json")
    with caplog.at_level(logging.ERROR, "durable_fn"):
        assert world.invoke(orders(front), event) == failures("m1", "m3")
    assert executions(world) == ["m0", "m2"]
    assert "aws:sqs record 'm1' is refused by durable function 'orders', now and whenever it comes again" in caplog.text
    assert "sku: Field required" in caplog.text
    assert "s3cret" not in caplog.text


def test_it_ends_in_the_dead_letter_queue(cloud: LocalCloud, front: str) -> None:
    function = orders(front)
    cloud.attach(function)
    put(cloud, function, {"skuu": "a"}, {"sku": "b"})
    cloud.advance(6 * 3600)
    assert cloud.dead_letters(function) == ['{"skuu": "a"}']
    assert SEEN == ["b"]
    assert cloud.deaths == []


def test_a_failed_execution_is_no_failed_message(
    cloud: LocalCloud, front: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The message would attach to it each time it came; the table has it, to be redriven."""
    function = orders(front)
    cloud.attach(function)
    (id,) = put(cloud, function, {"sku": "a", "amount": 13})
    with caplog.at_level(logging.WARNING, "durable_fn"):
        cloud.advance(6 * 3600)
    assert (cloud.client.describe(id).status, cloud.client.describe(id).invocations) == ("FAILED", 1)
    assert cloud.dead_letters(function) == []
    assert f"execution {id!r} of 'orders' ended FAILED: LookupError" in caplog.text


def test_a_message_that_comes_again_goes_on_where_its_first_delivery_died(cloud: LocalCloud, front: str) -> None:
    dies = [True]

    def second(event: Any) -> Any:
        if dies:
            dies.clear()
            raise SystemExit("the process ends")
        return see(f"{event} twice")

    if front == "def":

        @durable(name="mortal")
        def plain(event: Any, ctx: DurableContext) -> Any:
            ctx.step(see, event)
            return ctx.step(second, event)

        function: DurableFunction[Any, Any] = plain
    else:

        @durable(name="mortal")
        async def native(event: Any, ctx: AsyncDurableContext) -> Any:
            await ctx.step(see, event)
            return await ctx.step(second, event)

        function = native
    cloud.attach(function)
    (id,) = put(cloud, function, "x")
    cloud.run_until_idle()
    assert [type(death) for death in cloud.deaths] == [SystemExit]
    assert cloud.client.describe(id).status == "RUNNING"
    cloud.advance(3600)
    assert cloud.client.result(id) == "x twice"
    assert SEEN == ["x", "x twice"]
    assert cloud.dead_letters(function) == []


def test_a_message_whose_execution_another_invocation_holds_is_done(cloud: LocalCloud, front: str) -> None:
    function = orders(front)
    cloud.attach(function)
    inner: list[Any] = []

    @durable(name="outer")
    def outer(event: Any, ctx: DurableContext) -> Any:
        return ctx.step(lambda: inner.append(cloud.invoke(outer, batch("x"))))

    assert cloud.invoke(outer, batch("x")) == failures()
    assert inner == [failures()], "delivered twice at the same time"
    assert cloud.client.describe("m0").invocations == 1


def test_the_same_id_with_another_body_fails(world: World, front: str, caplog: pytest.LogCaptureFixture) -> None:
    function = orders(front, execution_id="sku")
    event = batch({"sku": "a"}, {"sku": "a", "amount": 5}, {"sku": "a", "amount": 1})
    with caplog.at_level(logging.ERROR, "durable_fn"):
        assert world.invoke(function, event) == failures("m1")
    assert "ExecutionConflict: execution id 'a' was started with another payload" in caplog.text


def test_what_it_was_started_with_outlives_its_first_generation(world: World) -> None:
    """Also the message of an execution that went on as new may be delivered twice."""

    @durable
    def counts(event: int, ctx: DurableContext) -> int:
        return event if event >= 3 else ctx.continue_as_new(event + 1)

    assert world.invoke(counts, batch("1")) == failures()
    world.advance(1)
    assert world.invoke(counts, batch("1")) == failures()
    assert world.client.result("m0") == 3
    assert world.invoke(counts, batch("2")) == failures("m0")


def test_with_little_time_left_a_message_is_only_written_down(cloud: LocalCloud, front: str) -> None:
    slow = [40.0]

    @durable(name="slow")
    def plain(event: Any, ctx: DurableContext) -> Any:
        ctx.step(lambda: cloud.clock.sleep(slow[0]))
        return ctx.step(see, event)

    @durable(name="slow")
    async def native(event: Any, ctx: AsyncDurableContext) -> Any:
        await ctx.step(lambda: cloud.clock.sleep(slow[0]))
        return await ctx.step(see, event)

    function: Any = plain if front == "def" else native
    cloud.attach(function)
    assert cloud.invoke(function, batch("a", "b", "c")) == failures()
    assert [cloud.client.describe(f"m{n}").status for n in range(3)] == ["SUCCEEDED", "PENDING", "PENDING"]
    slow[0] = 0
    cloud.run_until_idle()
    assert sorted(SEEN) == ["a", "b", "c"], "wake messages were sent"


@pytest.mark.parametrize(
    ("arn", "expected", "done"),
    [
        (FIFO, ["m0", "m2", "m4"], ["m1", "m3"]),
        (FIFO.removesuffix(".fifo"), ["m0"], ["m1", "m2", "m3", "m4"]),
    ],
)
def test_nothing_overtakes_a_failed_message_of_its_group(
    world: World, front: str, arn: str, expected: list[str], done: list[str]
) -> None:
    """A standard queue may have groups too, for fairness; there is no order in them."""
    groups = [{"MessageGroupId": group} for group in "abaca"]
    event = batch({"skuu": "a0"}, *({"sku": f"s{n}"} for n in range(1, 5)), attributes=groups, eventSourceARN=[arn] * 5)
    assert world.invoke(orders(front), event) == failures(*expected)
    assert sorted(executions(world)) == done


def test_a_wake_message_for_another_function_is_passed_on_beside_yours(cloud: LocalCloud, front: str) -> None:
    one, two = orders(front, name="one"), orders(front, name="two")
    cloud.attach(one)
    cloud.attach(two)
    id = cloud.client.start(two, Order(sku="of two"))
    header = cloud.store.get(id)
    assert header is not None
    answer = cloud.invoke(one, batch({"sku": "of one"}, Wake(id, header.run, "two", 0).body()))
    assert answer == failures()
    cloud.run_until_idle()
    assert [cloud.client.result(found) for found in ("m0", id)] == ["of one", "of two"]


@pytest.mark.parametrize(
    ("body", "given"),
    [
        ("plain text", "plain text"), ('"quoted"', "quoted"), ("12", 12), ("null", None), (" [1] ", [1]), ("NaN", "NaN"),
        ("{", "{"), ('{"a": {"durable_fn": 1}}', {"a": {"durable_fn": 1}}),
        ('{"a": 1, "durable_fn": 1}', {"a": 1, "durable_fn": 1}),
        ('{"$durable": 1, "v": {"$": "bytes", "v": "00"}}', {"$durable": 1, "v": {"$": "bytes", "v": "00"}}),
        ('"durable_fn"', "durable_fn"), ('["durable_fn"]', ["durable_fn"]),
    ],
)  # fmt: skip
def test_bodies(sqlite_world: World, body: str, given: Any) -> None:
    assert sqlite_world.invoke(echo("def"), batch(body)) == failures()
    assert [given] == SEEN


def test_a_transient_error_is_logged_with_its_cause(cloud: LocalCloud, caplog: pytest.LogCaptureFixture) -> None:
    function = orders("def")
    cloud.attach(function)
    with cloud.wire.aside():
        _client("dynamodb").delete_table(TableName="durable-fn")
    with caplog.at_level(logging.ERROR, "durable_fn"):
        assert cloud.invoke(function, batch({"sku": "a"}, {"sku": "b"})) == failures("m0", "m1")
    assert "failed in durable function 'orders'; it comes again" in caplog.text
    assert "ResourceNotFoundException" in caplog.text
