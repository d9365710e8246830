"""Each of AWS's own sample events starts the executions it should: in both fronts, on both journals."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aws_lambda_powertools.utilities import data_classes

from durable_fn.triggers.http_events import HttpEvent
from durable_fn.triggers.images import plain_item
from tests.environments import World
from tests.triggers.samples import SEEN, echo, sample

_IMAGES = [record["dynamodb"] for record in sample("dynamodb")["Records"]]
_KINESIS_ID = "shardId-000000000000:49545115243490985018280067714973144582180062593244200961"

CASES: dict[str, list[tuple[str | None, Any]]] = {
    "apigateway-v1": [(None, {"test": "body"})],
    "apigateway-v2": [(None, {"test": "body"})],
    "function-url": [(None, {"test": "body"})],
    "sqs": [("19dd0b57-b21e-4ac1-bd88-01bbb068cb78", "Hello from SQS!")],
    "sns": [("95df01b4-ee98-5cb9-9903-4c221d41eb5e", "example message")],
    "eventbridge-scheduled": [("cdc73f9d-aea9-11e3-9d5a-835b769c0d9c", {})],
    "s3-put": [("example-bucket/test/key:0A1B2C3D4E5F678901:ObjectCreated:Put", sample("s3-put")["Records"][0])],
    "s3-delete": [
        ("example-bucket/test/key:0A1B2C3D4E5F678901:ObjectRemoved:Delete", sample("s3-delete")["Records"][0])
    ],
    "kinesis": [(_KINESIS_ID, "Hello, this is a test 123.")],
    "dynamodb": [
        (
            "c4ca4238a0b923820dcc509a6f75849b",
            {"eventName": "INSERT", "Keys": {"Id": 101}, "NewImage": {"Id": 101, "Message": "New item!"}},
        ),
        (
            "c81e728d9d4c2f636f067f89cc14862c",
            {
                "eventName": "MODIFY",
                "Keys": {"Id": 101},
                "NewImage": {"Id": 101, "Message": "This item has changed"},
                "OldImage": {"Id": 101, "Message": "New item!"},
            },
        ),
        (
            "eccbc87e4b5ce2fe28308fd9f2a7baf3",
            {"eventName": "REMOVE", "Keys": {"Id": 101}, "OldImage": {"Id": 101, "Message": "This item has changed"}},
        ),
    ],
    # Kinds that are not recognised are what somebody invoked the function with.
    "apigateway-request-authorizer": [(None, sample("apigateway-request-authorizer"))],
    "cloudwatch-logs": [(None, sample("cloudwatch-logs"))],
    "kinesis-firehose": [(None, sample("kinesis-firehose"))],
}
HTTP = ("apigateway-v1", "apigateway-v2", "function-url")
QUEUES_AND_STREAMS = ("sqs", "kinesis", "dynamodb")


@pytest.mark.parametrize("name", CASES)
def test_the_handler_gets_the_payload_and_the_record_names_the_execution(world: World, front: str, name: str) -> None:
    function = echo(front)
    answer = world.invoke(function, sample(name))
    assert [payload for _, payload in CASES[name]] == SEEN
    for id, payload in CASES[name]:
        if id is not None:
            assert world.client.result(id) == payload
            assert world.client.describe(id).name == "echo"
    assert len(list(world.client.list())) == len(CASES[name])
    _check_answer(name, answer)


def _check_answer(name: str, answer: Any) -> None:
    first_id, payload = CASES[name][0]
    if name in HTTP:
        assert (answer["statusCode"], json.loads(answer["body"])) == (200, payload)
        assert answer["headers"]["content-type"] == "application/json"
    elif name in QUEUES_AND_STREAMS:
        assert answer == {"batchItemFailures": []}
    else:
        assert (answer["status"], answer["result"]) == ("SUCCEEDED", payload)
        assert first_id in (None, answer["execution_id"])


@pytest.mark.parametrize("name", CASES)
def test_without_an_envelope_it_gets_the_event_cut_to_one_record(world: World, front: str, name: str) -> None:
    function = echo(front, envelope=False)
    event = sample(name)
    answer = world.invoke(function, event)
    cut = [{"Records": [record]} for record in event["Records"]] if "Records" in event else [event]
    assert cut == SEEN
    if name in QUEUES_AND_STREAMS:
        assert answer == {"batchItemFailures": []}
    else:
        assert answer == cut[0], "the plain result"


@pytest.mark.parametrize("envelope", [True, False])
@pytest.mark.parametrize("name", [name for name in CASES if CASES[name][0][0]])
def test_the_same_delivery_again_attaches(world: World, front: str, name: str, envelope: bool) -> None:
    function = echo(front, envelope=envelope)
    again = sample(name)
    for record in again.get("Records", []):  # what SQS counts up, and hands out anew
        record.get("attributes", {}).update(ApproximateReceiveCount="2")
        if "receiptHandle" in record:
            record["receiptHandle"] = "another"
    assert world.invoke(function, sample(name)) == world.invoke(function, again) or not envelope
    assert len(SEEN) == len(CASES[name]), "nothing ran twice"
    assert all(world.client.describe(str(id)).invocations == 1 for id, _ in CASES[name])


@pytest.mark.parametrize(
    ("name", "rule", "id"),
    [
        ("apigateway-v1", "test", "body"),
        ("sqs", "@", "Hello from SQS!"),
        ("eventbridge-scheduled", '`"nightly"`', "nightly"),
        ("s3-put", "s3.object.key", "test/key"),
        ("dynamodb", "join(':', [eventName, to_string(Keys.Id)])", "MODIFY:101"),
        ("kinesis", lambda text: text.split()[-1], "123."),
        ("sns", lambda text: text.replace(" ", "-"), "example-message"),
    ],
)
def test_a_rule_reads_the_payload(world: World, front: str, name: str, rule: Any, id: str) -> None:
    world.invoke(echo(front, execution_id=rule), sample(name))
    assert world.client.describe(id).status == "SUCCEEDED"


@pytest.mark.parametrize(
    ("name", "rule", "id"),
    [
        ("function-url", "requestContext.requestId", "e1506fd5-9e7b-434f-bd42-4f8fa224b599"),
        ("sqs", "Records[0].md5OfBody", "7b270e59b47ff90a553787216d55d91d"),
        ("sns", lambda event: event["Records"][0]["Sns"]["Subject"], "example subject"),
        ("eventbridge-scheduled", lambda event: event["source"], "aws.events"),
    ],
)
def test_without_an_envelope_a_rule_reads_the_event(world: World, front: str, name: str, rule: Any, id: str) -> None:
    world.invoke(echo(front, execution_id=rule, envelope=False), sample(name))
    assert world.client.describe(id).status == "SUCCEEDED"


# -- Powertools reads the same -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("apigateway-v1", data_classes.APIGatewayProxyEvent),
        ("apigateway-v2", data_classes.APIGatewayProxyEventV2),
        ("function-url", data_classes.LambdaFunctionUrlEvent),
    ],
)
def test_powertools_reads_requests_the_same(name: str, cls: Any) -> None:
    ours, theirs = HttpEvent(sample(name)), cls(sample(name))
    assert ours.method == theirs.http_method
    assert ours.path == theirs.path
    assert ours.body().decode() == (theirs.decoded_body if ours.is_base64 else theirs.body)
    assert ours.query == theirs.query_string_parameters
    for header, value in theirs.headers.items():
        assert ours.headers[header.lower()] in (value, "0123456789.execute-api.us-east-1.amazonaws.com")


def test_powertools_reads_records_the_same(sqlite_world: World) -> None:
    for name in ("sqs", "sns", "s3-put", "kinesis"):
        sqlite_world.invoke(echo("def", name=name), sample(name))
        (id, _), *_ = CASES[name]
        info = sqlite_world.client.describe(str(id))
        if name == "sqs":
            message = next(data_classes.SQSEvent(sample(name)).records)
            assert (info.id, info.input) == (message.message_id, message.body)
        elif name == "sns":
            notification = next(data_classes.SNSEvent(sample(name)).records).sns
            assert (info.id, info.input) == (notification.message_id, notification.message)
        elif name == "kinesis":
            record = next(data_classes.KinesisStreamEvent(sample(name)).records)
            assert (info.id, info.input) == (record.event_id, record.kinesis.data_as_text())
        else:
            stored = next(data_classes.S3Event(sample(name)).records).s3
            assert info.id.startswith(f"{stored.bucket.name}/{stored.get_object.key}:{stored.get_object.sequencer}:")


def test_powertools_reads_images_the_same() -> None:
    for record, change in zip(data_classes.DynamoDBStreamEvent(sample("dynamodb")).records, _IMAGES, strict=True):
        assert record.dynamodb is not None
        assert plain_item(change["Keys"]) == record.dynamodb.keys
        for name, theirs in (("NewImage", record.dynamodb.new_image), ("OldImage", record.dynamodb.old_image)):
            assert (plain_item(change[name]) if name in change else {}) == theirs
