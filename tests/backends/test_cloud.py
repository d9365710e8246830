"""The AWS code path between its parts: batches, redelivery, dead letters, duplicates, deaths, the wrong queue."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from durable_fn import DurableContext, RetryPolicy, current_step, durable, step, sweeper
from durable_fn.backends.aws.items import Item
from durable_fn.errors import SerializationError
from durable_fn.log.wake import Wake, is_wake_message, parse_wake
from durable_fn.testing.cloud import LocalCloud
from durable_fn.testing.lambda_context import FakeLambdaContext
from durable_fn.testing.moto_account import REGION
from durable_fn.testing.moto_account import client as _client

RAN: list[str] = []


def ran(what: str) -> str:
    RAN.append(what)
    return what


@durable
def two(event: Any, ctx: DurableContext) -> str:
    return ctx.step(ran, "a") + ctx.step(ran, "b")


@durable
def nap(event: Any, ctx: DurableContext) -> str:
    ctx.sleep(event)
    return ctx.step(ran, "up")


@pytest.fixture(autouse=True)
def _fresh() -> None:
    RAN.clear()


@pytest.fixture
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud() as cloud:
        cloud.attach(two)
        cloud.attach(nap)
        yield cloud


BAD = '{"durable_fn":"wake/1","id":7}'


@pytest.mark.parametrize("body", ["", "not json", "null", "[]", "{}", "[" * 5000])
def test_what_is_no_wake_message(body: str) -> None:
    assert not is_wake_message(body)
    with pytest.raises(SerializationError, match="not a wake message of durable_fn"):
        parse_wake(body)


def put(cloud: LocalCloud, function: Any, *bodies: str) -> None:
    for body in bodies:
        with cloud.wire.aside():
            _client("sqs").send_message(QueueUrl=cloud.queue_url(function), MessageBody=body)


def record(body: str, id: str) -> dict[str, Any]:
    return {"messageId": id, "body": body, "eventSource": "aws:sqs", "eventSourceARN": f"arn:aws:sqs:{REGION}:1:q"}


# -- messages ------------------------------------------------------------------------------------------------------


MALFORMED = [
    '{"durable_fn":"wake/1"', '{"durable_fn":"wake/1"}', '{"durable_fn":"wake/',
    '{"durable_fn":"wake/1","id":"x","run":"r","fn":"two"}', '{"durable_fn":"wake/1","id":7,"run":"r","fn":"two","due":0}',
    '{"durable_fn":"wake/1","id":"x","run":"r","fn":"two","due":"soon"}',
    '{"durable_fn":"wake/1","id":"x","run":"r","fn":"two","due":true}', '{"durable_fn":"wake/1","id":' + "[" * 5000,
    '{"durable_fn":"wake/1","id":"x","run":"r","fn":"two","due":0,"order":"tea"}',
    '{"durable_fn":"wake/1","id":"' + "x" * 2000 + '","run":"r","fn":"two","due":0}',
]  # fmt: skip


@pytest.mark.parametrize("body", MALFORMED)
def test_a_malformed_message_ends_in_the_dead_letter_queue(
    cloud: LocalCloud, body: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert is_wake_message(body)
    with pytest.raises(SerializationError, match="not a wake message of durable_fn"):
        parse_wake(body)
    put(cloud, two, body)
    with caplog.at_level(logging.ERROR, "durable_fn"):
        cloud.advance(6 * 3600)
    assert cloud.dead_letters(two) == [body]
    assert "not a wake message of durable_fn" in caplog.text
    assert RAN == []


OTHER_VERSIONS = [
    '{"durable_fn":1,"id":"x","run":"r","fn":"two","due":0}', '{"durable_fn":"wake/0","id":"x","run":"r","fn":"two","due":0}',
    '{"durable_fn":"wake/2","execution":"x","at":"soon"}', '{"durable_fn":"wake/99"}',
]  # fmt: skip


@pytest.mark.parametrize("body", OTHER_VERSIONS)
def test_a_message_of_another_version_is_acknowledged_and_the_sweeper_sends_again(
    cloud: LocalCloud, body: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert parse_wake(body) is None
    cloud.client.start(two, None, id="x")
    cloud._moto_queue(cloud.queue_url(two))._messages.clear()
    put(cloud, two, body)
    with caplog.at_level(logging.INFO, "durable_fn"):
        cloud.run_until_idle()
    assert "a wake message of another version is dropped" in caplog.text
    cloud.advance(6 * 3600)
    assert (cloud.dead_letters(two), cloud.deaths, RAN) == ([], [], ["a", "b"])


@pytest.mark.parametrize("arn", ["q", "q.fifo"])
@pytest.mark.parametrize("left", [60, 0.1])
def test_it_is_acknowledged_beside_others_whatever_time_is_left(
    cloud: LocalCloud, left: float, arn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither handed back, nor passed on, nor taken for a message of yours."""
    monkeypatch.setattr(cloud, "_timeout", left)
    bodies = [*OTHER_VERSIONS, BAD]
    records = [
        record(body, f"m{n}") | {"eventSourceARN": f"arn:aws:sqs:{REGION}:1:{arn}"} for n, body in enumerate(bodies)
    ]
    cloud.requests.clear()
    assert cloud.invoke(two, {"Records": records}) == {"batchItemFailures": [{"itemIdentifier": "m4"}]}
    assert not [r for r in cloud.requests if r.action == "SendMessage"]
    assert list(cloud.client.list()) == []


@pytest.mark.parametrize(
    "body",
    [
        {"durable_fn": 1, "id": "x", "run": "r", "fn": "business", "due": 0, "order": "tea"}, {"durable_fn": 1, "id": "x"},
        {"durable_fn": 2, "id": "x", "run": "r", "fn": "business", "due": 0}, {"durable_fn": "a setting of mine", "order": "tea"},
        {"durable_fn": None}, {"durable_fn": {"wake/1": 1}}, {"order": "tea", "durable_fn": "wake/1"}, {"durable_fn": "wake"},
        {"id": "x", "run": "r", "fn": "business", "due": 0, "durable_fn": "wake/1"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_a_business_message_is_never_taken_for_a_wake_message(
    cloud: LocalCloud, body: dict[str, Any], separators: tuple[str, str]
) -> None:
    seen: list[Any] = []

    @durable(name="business")
    def business(event: Any, ctx: DurableContext) -> None:
        seen.append(event)

    cloud.attach(business)
    put(cloud, business, json.dumps(body, separators=separators))
    cloud.run_until_idle()
    assert seen == [body]


@pytest.mark.parametrize("forged", ["far", "unknown", "other run", "finished", "other function"])
def test_a_forged_message_for_a_time_that_is_far_costs_a_read(cloud: LocalCloud, forged: str) -> None:
    """Whoever may write to the queue could else have a schedule made, or a message sent every 15 minutes for ever."""
    id = cloud.client.start(nap, 7200)
    cloud.run_until_idle()
    header = cloud.store.get(id)
    assert header is not None
    far = cloud.clock.now() + 10 * 365 * 86_400_000
    hint = Wake(id, header.run, "nap", far)
    if forged == "unknown":
        hint = hint._replace(id="nobody")
    elif forged == "other run":
        hint = hint._replace(run="0" * 16, due=header.due or 0)
    elif forged == "finished":
        cloud.client.terminate(id)
    elif forged == "other function":
        hint = hint._replace(id=cloud.client.start(two, None, id="two"))
    cloud.run_until_idle()
    put(cloud, nap, hint.body())
    cloud.requests.clear()
    cloud.run_until_idle()
    assert [request.action for request in cloud.requests] == ["GetItem"]


def test_a_start_that_is_put_off_for_long_needs_no_sweeper(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its schedule fires ahead of time, and the rest is a delay."""
    monkeypatch.setattr(LocalCloud, "_sweep", lambda _: False)
    id = cloud.client.start(two, None, delay=7200)
    cloud.run_until_idle()
    cloud.advance(7300)
    assert cloud.client.describe(id).status == "SUCCEEDED"


def test_one_bad_message_does_not_hold_up_its_batch(cloud: LocalCloud) -> None:
    good = [cloud.client.start(two, n, id=f"good-{n}") for n in range(3)]
    put(cloud, two, BAD)
    cloud.run_until_idle()
    assert [cloud.client.describe(id).status for id in good] == ["SUCCEEDED"] * 3
    cloud.advance(6 * 3600)
    assert cloud.dead_letters(two) == [BAD]


def test_the_answer_to_a_batch_names_what_failed(cloud: LocalCloud) -> None:
    id = cloud.client.start(two, None)
    header = cloud.store.get(id)
    assert header is not None
    body = Wake(id, header.run, "two", 0).body()
    answer = cloud.invoke(two, {"Records": [record(BAD, "m1"), record(body, "m2"), record(BAD, "m3")]})
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m1"}, {"itemIdentifier": "m3"}]}
    assert cloud.client.result(id) == "ab"


@pytest.mark.parametrize("copies", [2, 7])
def test_duplicates_do_nothing(cloud: LocalCloud, copies: int) -> None:
    id = cloud.client.start(two, None)
    put(cloud, two, *[message.body for message in cloud._moto_queue(cloud.queue_url(two))._messages] * copies)
    cloud.run(id)
    cloud.advance(60)
    assert RAN == ["a", "b"]
    assert cloud.dead_letters(two) == []


@pytest.mark.parametrize("id", ["never", "'; DROP TABLE executions; --", "H#r#1", "../../x", "x" * 512, "ünï ☃"])
def test_a_wake_for_nothing_is_dropped_quietly(cloud: LocalCloud, id: str, caplog: pytest.LogCaptureFixture) -> None:
    put(cloud, two, Wake(id, "r", "two", 0).body())
    with caplog.at_level(logging.INFO, "durable_fn"):
        cloud.advance(6 * 3600)
    assert cloud.dead_letters(two) == []
    assert f"nothing to do for execution {id!r}: unknown" in caplog.text
    assert not any(r.action == "PutItem" for r in cloud.requests)


def test_a_wake_for_a_finished_execution_is_dropped(cloud: LocalCloud) -> None:
    id = cloud.client.start(two, None)
    header = cloud.run(id)
    put(cloud, two, Wake(id, header.run, "two", 0).body())
    cloud.run_until_idle()
    assert RAN == ["a", "b"]
    assert cloud.client.describe(id).invocations == 1


def test_a_message_for_another_function_is_passed_on(cloud: LocalCloud) -> None:
    id = cloud.client.start(two, None)
    messages = cloud._moto_queue(cloud.queue_url(two))._messages
    put(cloud, nap, messages[0].body)
    messages.clear()
    cloud.run_until_idle()
    assert cloud.client.result(id) == "ab"


def test_a_message_for_a_function_that_nobody_knows_is_kept(
    cloud: LocalCloud, caplog: pytest.LogCaptureFixture
) -> None:
    body = Wake("x", "r", "ghost", 0).body()
    put(cloud, nap, body)
    with caplog.at_level(logging.ERROR, "durable_fn"):
        cloud.advance(6 * 3600)
    assert cloud.dead_letters(nap) == [body]
    assert "no queue is known for it" in caplog.text


def test_too_little_time_leaves_the_rest_of_a_batch_for_later(cloud: LocalCloud) -> None:
    @durable(name="slow")
    def slow(event: Any, ctx: DurableContext) -> str:
        return ctx.step(lambda: cloud.clock.sleep(40) or ran("slow"))  # type: ignore[func-returns-value]

    cloud.attach(slow)
    ids = [cloud.client.start(slow, n) for n in range(3)]
    began = cloud.now()
    for id in ids:
        cloud.run(id)
    assert [cloud.client.describe(id).status for id in ids] == ["SUCCEEDED"] * 3
    assert len(RAN) == 3, "each began with time enough"
    assert cloud.now() - began < timedelta(minutes=3), "and did not wait for a visibility timeout"


# -- deaths --------------------------------------------------------------------------------------------------------


class Death(BaseException): ...


def test_a_process_that_dies_in_a_batch_is_taken_over(cloud: LocalCloud) -> None:
    died: list[int] = []

    @durable(name="mortal")
    def mortal(event: Any, ctx: DurableContext) -> str:
        ctx.step(ran, "a")
        if not died:
            died.append(1)
            raise Death
        return ctx.step(ran, "b")

    cloud.attach(mortal)
    id = cloud.client.start(mortal, None)
    header = cloud.run(id)
    assert header.status == "SUCCEEDED"
    assert [type(death) for death in cloud.deaths] == [Death]
    assert RAN == ["a", "b"]
    assert header.turns == 2


def test_a_direct_start_that_dies_is_found_by_the_sweeper(cloud: LocalCloud) -> None:
    died: list[int] = []

    @durable(name="mortal")
    def mortal(event: Any, ctx: DurableContext) -> str:
        ctx.step(ran, "a")
        if not died:
            died.append(1)
            raise Death
        return ctx.step(ran, "b")

    cloud.attach(mortal)
    with pytest.raises(Death):
        cloud.invoke(mortal, None, request_id="x")
    assert cloud.run("x").status == "SUCCEEDED"
    assert RAN == ["a", "b"]


def test_lambda_retries_an_asynchronous_invocation_with_the_same_id(cloud: LocalCloud) -> None:
    """The request id is the execution id by default, so that the retry attaches."""
    first = cloud.invoke(two, {"order": 1}, request_id="r-1")
    again = cloud.invoke(two, {"order": 1}, request_id="r-1")
    assert first == again == {"execution_id": "r-1", "status": "SUCCEEDED", "result": "ab"}
    assert RAN == ["a", "b"]


# -- the deadline --------------------------------------------------------------------------------------------------


def test_a_long_run_yields_before_the_lambda_ends(cloud: LocalCloud) -> None:
    @durable(name="long")
    def long(event: Any, ctx: DurableContext) -> int:
        for n in range(12):
            ctx.step(lambda n=n: cloud.clock.sleep(20) or ran(str(n)))  # type: ignore[misc]
        return 12

    cloud.attach(long)
    id = cloud.client.start(long, None)
    header = cloud.run(id)
    assert header.status == "SUCCEEDED"
    assert [str(n) for n in range(12)] == RAN
    assert header.turns >= 4, "three steps of 20 s in 60 s"
    assert cloud.deaths == []


def test_a_step_with_a_timeout_is_not_begun_when_it_cannot_end(cloud: LocalCloud) -> None:
    seen: list[float] = []

    @step(timeout=30)
    def bounded() -> None:
        seen.append((current_step().deadline - cloud.now()).total_seconds())

    @durable(name="bounds")
    def bounds(event: Any, ctx: DurableContext) -> None:
        ctx.step(lambda: cloud.clock.sleep(40))
        ctx.step(bounded)

    cloud.attach(bounds)
    assert cloud.run(cloud.client.start(bounds, None)).turns == 2
    assert seen == [30.0]


# -- retries over invocations --------------------------------------------------------------------------------------


def test_attempts_are_counted_over_invocations(cloud: LocalCloud) -> None:
    attempts: list[tuple[int, int]] = []

    @step(retry=RetryPolicy(max_attempts=5, initial_delay=120, backoff=3, max_delay=3600, jitter="none"))
    def stubborn() -> str:
        attempts.append((current_step().attempt, cloud.clock.now()))
        if current_step().attempt < 5:
            raise ConnectionError("no")
        return "at last"

    @durable(name="tries")
    def tries(event: Any, ctx: DurableContext) -> str:
        return ctx.step(stubborn)

    cloud.attach(tries)
    id = cloud.client.start(tries, None)
    assert cloud.run(id).turns == 5
    assert [n for n, _ in attempts] == [1, 2, 3, 4, 5]
    times = [at for _, at in attempts]
    assert [(b - a) / 1000 for a, b in itertools.pairwise(times)] == [120, 360, 1080, 3240]


# -- the sweeper as a Lambda ---------------------------------------------------------------------------------------


def test_the_sweeper_is_a_lambda_handler(cloud: LocalCloud) -> None:
    from durable_fn.wiring import using

    cloud.client.start(two, None)
    cloud._moto_queue(cloud.queue_url(two))._messages.clear()
    cloud.clock.sleep(1)
    with using(cloud.backend):
        report = sweeper.handler({}, FakeLambdaContext(cloud.clock))
    assert report == {"due": 1, "sent": 1, "held": 0, "stale": 0, "failed": 0, "unseen": 0}


def test_a_damaged_item_does_not_stop_the_sweep(cloud: LocalCloud, caplog: pytest.LogCaptureFixture) -> None:
    """Everything else due is woken all the same, and the invocation fails at the end, so that an alarm tells."""
    from durable_fn.wiring import using

    ids = [cloud.client.start(two, n) for n in range(20)]
    for url in cloud._queues.values():
        cloud._moto_queue(url)._messages.clear()
    cloud.store.table.client.update_item(
        TableName=cloud.store.table.name,
        Key={"pk": {"S": ids[0]}, "sk": {"S": "H"}},
        UpdateExpression="SET turns = :junk REMOVE run",
        ExpressionAttributeValues={":junk": {"S": "many"}},
    )
    cloud.clock.sleep(1)
    with using(cloud.backend), pytest.raises(RuntimeError, match="1 of 20 due executions"):
        sweeper.handler({}, FakeLambdaContext(cloud.clock))
    assert repr(ids[0]) in caplog.text
    cloud.advance(30)
    assert all(cloud.client.describe(id).status == "SUCCEEDED" for id in ids[1:])


@pytest.mark.parametrize(
    "damage",
    [
        lambda item: item.pop("run"),
        lambda item: [item.pop(name) for name in ("fn", "started")],
        lambda item: item.update(gen={"S": "many"}),
        lambda item: item.update(n={"N": "0.5"}),
        lambda item: item.update(status={"M": {}}),
        lambda item: item.update(input={"N": "3"}),
        lambda item: item.update(input={"L": []}),
    ],
)
def test_a_damaged_header_is_named(cloud: LocalCloud, damage: Callable[[Item], object]) -> None:
    id = cloud.client.start(two, 1, id="broken")
    other = cloud.client.start(two, 2, id="whole")
    key = {"pk": {"S": id}, "sk": {"S": "H"}}
    item = cloud.store.table.get(key)
    assert item is not None
    damage(item)
    cloud.store.table.put({**item, **key})
    for ask in (
        cloud.client.describe,
        cloud.client.result,
        cloud.client.history,
        lambda id: cloud.client.signal(id, "s"),
    ):
        with pytest.raises(SerializationError, match=r"header of execution 'broken' in the table is damaged"):
            ask(id)
    assert [info.id for info in cloud.client.list()] == [other]
