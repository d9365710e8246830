"""Handlers that were written for Lambda, with nothing but the decorator added."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2, SQSEvent, event_source
from aws_lambda_powertools.utilities.typing import LambdaContext
from typing_extensions import TypedDict

from durable_fn import AsyncDurableContext, DurableContext, DurableFunction, RetryPolicy, durable, step
from durable_fn.testing.cloud import LocalCloud
from tests.environments import World
from tests.triggers.samples import SEEN, see, several
from tests.triggers.test_http import request
from tests.triggers.test_queue import batch, failures, put

if TYPE_CHECKING:
    import nowhere  # type: ignore[import-not-found]


class SqsTyped(TypedDict):
    """As aws-lambda-typing has it."""

    Records: list[Any]


SqsTyped.__module__ = "aws_lambda_typing.events.sqs"


class MyEvent(SQSEvent):
    pass


def plain(event, context): ...  # type: ignore[no-untyped-def]
def anything(event: dict[str, Any], context: Any) -> None: ...
def annotated(event: dict[str, Any], lambda_context: LambdaContext) -> None: ...
def for_checkers(event: dict[str, Any], ctx: nowhere.LambdaContext) -> None: ...
def event_class(event: SQSEvent, context: DurableContext) -> None: ...
def of_a_subclass(event: MyEvent, ctx: DurableContext) -> None: ...
def typed_dict(event: SqsTyped, ctx: DurableContext) -> None: ...
async def native(event: APIGatewayProxyEventV2, ctx: AsyncDurableContext) -> None: ...


def durable_context(event: dict[str, Any], context: DurableContext) -> None: ...
def another_name(event: dict[str, Any], ctx: Any) -> None: ...
def nothing_said(event, ctx): ...  # type: ignore[no-untyped-def]
def another_class(event: dict[str, Any], context: nowhere.Other) -> None: ...


RAW = [plain, anything, annotated, for_checkers, event_class, of_a_subclass, typed_dict, native]
PAYLOAD = [durable_context, another_name, nothing_said, another_class]


@pytest.mark.parametrize("fn", [*RAW, *PAYLOAD])
def test_who_gets_the_event_as_lambda_delivered_it(fn: Any) -> None:
    assert durable(fn).envelope is (fn in PAYLOAD)


@pytest.mark.parametrize("envelope", [True, False])
def test_what_is_said_counts(envelope: bool) -> None:
    for fn in (plain, durable_context):
        assert durable(envelope=envelope)(fn).envelope is envelope


def test_a_request_in_its_event_class(sqlite_world: World) -> None:
    @durable(name="api")
    def api(event: APIGatewayProxyEventV2, context: LambdaContext) -> Any:
        return {"statusCode": 201, "body": event.raw_path}

    event = request("v2", {"a": 1})
    assert sqlite_world.invoke(api, event) == {"statusCode": 201, "body": event["rawPath"]}


def test_the_decorator_of_powertools(sqlite_world: World) -> None:
    @durable(name="queue")
    @event_source(data_class=SQSEvent)
    def queue(event: SQSEvent, context: LambdaContext) -> Any:
        SEEN.extend(record.body for record in event.records)

    assert sqlite_world.invoke(queue, batch("one", "two")) == failures()
    assert SEEN == ["one", "two"]


def test_a_typed_dict(sqlite_world: World) -> None:
    @durable(name="typed")
    def typed(event: SqsTyped, ctx: DurableContext) -> Any:
        return ctx.step(see, event["Records"][0]["body"])

    sqlite_world.invoke(typed, batch("one"))
    assert SEEN == ["one"]


def test_an_event_that_is_no_object_is_refused_in_words(sqlite_world: World) -> None:
    @durable(name="queue")
    def queue(event: SQSEvent, context: LambdaContext) -> Any: ...

    with pytest.raises(Exception, match="its class reads an object"):
        sqlite_world.invoke(queue, "text")


# -- records that their handler reports as failed ------------------------------------------------------------------

ON = {"fails": True}


@pytest.fixture(autouse=True)
def _fails() -> None:
    ON["fails"] = True


@step(retry=RetryPolicy(max_attempts=1))
def fragile(body: str) -> str:
    SEEN.append(f"try {body}")
    if ON["fails"]:
        raise ValueError("not yet")
    return body


def reporting(front: str) -> DurableFunction[Any, Any]:
    if front == "def":

        @durable(name="reports", envelope=False)
        def reports(event: Any, ctx: DurableContext) -> Any:
            record = event["Records"][0]
            ctx.step(see, record["body"])
            try:
                ctx.step(fragile, record["body"])
            except Exception:
                return {"batchItemFailures": [{"itemIdentifier": record["messageId"]}]}
            return {"batchItemFailures": []}

        return reports

    @durable(name="reports", envelope=False)
    async def a_reports(event: Any, ctx: AsyncDurableContext) -> Any:
        record = event["Records"][0]
        await ctx.step(see, record["body"])
        try:
            await ctx.step(fragile, record["body"])
        except Exception:
            return {"batchItemFailures": [{"itemIdentifier": record["messageId"]}]}
        return {"batchItemFailures": []}

    return a_reports


def test_its_record_comes_again_and_only_the_rest_is_done_again(world: World, front: str) -> None:
    function = reporting(front)
    event = batch("one")
    assert world.invoke(function, event) == failures("m0")
    info = world.client.describe("m0")
    assert info.error is not None
    assert (info.status, info.error["error_type"]) == ("FAILED", "durable_fn.errors.RecordFailed")
    tried = SEEN.count("try one")
    assert world.invoke(function, event) == failures("m0")
    assert SEEN.count("try one") == 2 * tried
    ON["fails"] = False
    for _ in range(2):
        assert world.invoke(function, event) == failures()
    assert SEEN.count("try one") == 2 * tried + 1
    assert SEEN.count("one") == 1, "what had succeeded stays recorded"
    assert world.client.describe("m0").status == "SUCCEEDED"


def early(front: str) -> DurableFunction[Any, Any]:
    """Fails before it does anything, while it fails."""
    if front == "def":

        @durable(name="early")
        def handler(event: Any, ctx: DurableContext) -> Any:
            SEEN.append("called")
            if ON["fails"]:
                raise LookupError("no such order")
            return ctx.step(see, event)

        return handler

    @durable(name="early")
    async def a_handler(event: Any, ctx: AsyncDurableContext) -> Any:
        SEEN.append("called")
        if ON["fails"]:
            raise LookupError("no such order")
        return await ctx.step(see, event)

    return a_handler


def test_a_handler_that_fails_at_once_has_failed_its_record(world: World, front: str) -> None:
    function, event = early(front), batch("one")
    for n in (1, 2, 3):
        assert world.invoke(function, event) == failures("m0")
        assert ["called"] * n == SEEN
    info = world.client.describe("m0")
    assert info.error is not None
    assert (info.status, info.error["error_type"]) == ("FAILED", "LookupError")
    ON["fails"] = False
    for _ in range(2):
        assert world.invoke(function, event) == failures()
    assert world.client.result("m0") == "one"
    assert SEEN.count("one") == 1


def test_one_that_fails_later_is_in_the_table_to_be_redriven(sqlite_world: World, front: str) -> None:
    """As before: the record is done, and comes no more."""

    @durable(name="later")
    def later(event: Any, ctx: DurableContext) -> None:
        ctx.step(see, event)
        raise LookupError

    @durable(name="later")
    async def a_later(event: Any, ctx: AsyncDurableContext) -> None:
        await ctx.step(see, event)
        raise LookupError

    function = later if front == "def" else a_later
    for _ in range(2):
        assert sqlite_world.invoke(function, batch("one")) == failures()
    assert SEEN == ["one"]
    assert sqlite_world.client.describe("m0").status == "FAILED"


def test_a_shard_waits_for_its_record(sqlite_world: World, front: str) -> None:
    function = early(front)
    event = several("dynamodb", eventID=["e0", "e1"])
    first = event["Records"][0]["dynamodb"]["SequenceNumber"]
    assert sqlite_world.invoke(function, event) == failures(first)
    assert len(list(sqlite_world.client.list())) == 1
    ON["fails"] = False
    assert sqlite_world.invoke(function, event) == failures()
    assert len(list(sqlite_world.client.list())) == 2


def test_the_queue_brings_it_again_and_gives_up_in_the_end(front: str) -> None:
    with LocalCloud() as cloud:
        function = early(front)
        cloud.attach(function)
        (id,) = put(cloud, function, "one")
        cloud.advance(6 * 3600)
        assert SEEN.count("called") > 1
        assert cloud.dead_letters(function) == ["one"]
        assert cloud.client.describe(id).status == "FAILED"


def test_a_direct_invocation_has_no_record(sqlite_world: World, front: str) -> None:
    function = early(front)
    answer = sqlite_world.invoke(function, {"a": 1})
    assert (answer["status"], json.dumps(answer).count("reported")) == ("FAILED", 0)


def test_an_empty_list_reports_nothing(sqlite_world: World) -> None:
    @durable(name="fine")
    def fine(event: Any, context: Any) -> Any:
        return {"batchItemFailures": []}

    assert sqlite_world.invoke(fine, batch("one")) == failures()
    assert sqlite_world.client.result("m0") == {"batchItemFailures": []}
