"""Events that nobody should send. Whatever comes, the entry point answers, or raises an error that says what is wrong."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from durable_fn import DurableFunction
from durable_fn.errors import DurableError
from durable_fn.testing import LocalRunner
from tests.environments import World
from tests.triggers.samples import EVENTS, echo, orders, sample

DEEP: Any = []
for _ in range(10_000):
    DEEP = [DEEP]
DEEP_TEXT = "[" * 10_000 + "]" * 10_000
STATUSES = {200, 202, 400, 409, 413, 500}


def functions() -> list[DurableFunction[Any, Any]]:
    return [
        echo("def"),
        orders("async def"),
        echo("async def", envelope=False),
        orders("def", envelope=False),
        echo("def", execution_id="sku"),
        echo("def", execution_id=lambda event: event["sku"]),
        orders("def", execution_id=lambda order: order.sku),
    ]


FUNCTIONS = functions()


def invoked(function: DurableFunction[Any, Any], event: Any) -> Any:
    """The answer, which Lambda could write; None for a documented error, which says something."""
    with LocalRunner(function) as runner:
        try:
            answer = runner.invoke(event)
        except (DurableError, ValueError) as error:
            if not str(error) or not (isinstance(error, DurableError) or type(error) is ValueError):
                raise  # a ValueError of some library says nothing about the event
            return None
        if event is not DEEP:
            json.dumps(answer)
        runner.run_until_idle()
        return answer


NAMES = st.sampled_from(
    ["Records", "eventSource", "EventSource", "body", "messageId", "requestContext", "http", "method", "httpMethod", "path",
     "rawPath", "headers", "multiValueHeaders", "isBase64Encoded", "detail", "detail-type", "source", "id", "Sns", "MessageId",
     "Message", "s3", "object", "bucket", "key", "name", "kinesis", "data", "dynamodb", "NewImage", "Keys", "eventID", "sku",
     "attributes", "sequenceNumber", "SequenceNumber", "Prefer", "prefer", "Idempotency-Key", "content-type", "$durable", "N"]
)  # fmt: skip
WORDS = st.sampled_from(
    ["aws:sqs", "aws:sns", "aws:s3", "aws:kinesis", "aws:dynamodb", "GET", "wait=3", "respond-async", "application/json", "",
     '{"durable_fn":1}', '{"sku":"a"}', "AAE=", "\ud800", "a\nb", "x" * 600, "1e99999", "application/x-www-form-urlencoded"]
)  # fmt: skip
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=5), inner, max_size=5),
    max_leaves=20,
)
QUICK = settings(max_examples=120, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@QUICK
@given(st.sampled_from(FUNCTIONS), ANY_JSON)
def test_any_json(function: DurableFunction[Any, Any], event: Any) -> None:
    invoked(function, event)


SAMPLES = [sample(path.stem) for path in sorted(EVENTS.glob("*.json"))]


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in inner for found in _paths(item, (*path, key)))]


@st.composite
def broken_samples(draw: st.DrawFn) -> Any:
    """A real event in which something was removed, or is something else."""
    event = copy.deepcopy(draw(st.sampled_from(SAMPLES)))
    for _ in range(draw(st.integers(1, 3))):
        paths = [path for path in _paths(event) if path]
        if not paths:
            break
        *parents, last = draw(st.sampled_from(paths))
        place = event
        for part in parents:
            place = place[part]
        if isinstance(place, dict) and draw(st.booleans()):
            del place[last]
        else:
            place[last] = draw(ANY_JSON)
    return event


@settings(QUICK, max_examples=400)
@given(st.sampled_from(FUNCTIONS), broken_samples())
def test_events_with_broken_parts(function: DurableFunction[Any, Any], event: Any) -> None:
    answer = invoked(function, event)
    if not isinstance(answer, dict) or not function.envelope:
        return  # an error, several notifications, or whatever the handler returned
    if "batchItemFailures" in answer:
        assert all(isinstance(row["itemIdentifier"], str) for row in answer["batchItemFailures"])
    elif "statusCode" in answer:
        assert answer["statusCode"] in STATUSES
    else:
        assert {"execution_id", "status"} <= set(answer)


# -- by hand -------------------------------------------------------------------------------------------------------


def _in(name: str, *path: Any, value: Any) -> dict[str, Any]:
    event = sample(name)
    place: Any = event
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return event


@pytest.mark.parametrize("function", FUNCTIONS, ids=range(len(FUNCTIONS)))
@pytest.mark.parametrize(
    "event",
    [
        DEEP,
        {"Records": DEEP},
        {"requestContext": DEEP, "detail-type": DEEP},
        {"id": "i", "source": "s", "detail-type": "t", "detail": DEEP},
        _in("function-url", "body", value=DEEP_TEXT),
        _in("function-url", "body", value=DEEP),
        _in("function-url", "headers", value=DEEP),
        _in("function-url", "headers", "prefer", value=DEEP),
        _in("function-url", "queryStringParameters", value={"a": 1}),
        _in("apigateway-v1", "multiValueHeaders", value={"Prefer": DEEP}),
        _in("apigateway-v1", "body", value="%%%"),
        _in("sqs", "Records", 0, "body", value=DEEP_TEXT),
        _in("sqs", "Records", 0, "messageAttributes", value=DEEP),
        _in("sqs", "Records", 0, "attributes", value=DEEP),
        _in("sqs", "Records", 0, "body", value='{"durable_fn":' + DEEP_TEXT),
        _in("sns", "Records", 0, "Sns", "Message", value=DEEP_TEXT),
        _in("sns", "Records", 0, "Sns", value=DEEP),
        _in("s3-put", "Records", 0, "s3", "object", "versionId", value=DEEP),
        _in("s3-put", "Records", 0, "s3", "object", "key", value=DEEP),
        _in("kinesis", "Records", 0, "kinesis", "data", value=base64.b64encode(DEEP_TEXT.encode()).decode()),
        _in("dynamodb", "Records", 0, "dynamodb", "NewImage", value={"a": {"L": DEEP}}),
        _in("dynamodb", "Records", 0, "eventName", value=DEEP),
    ],
    ids=range(22),
)  # fmt: skip
def test_what_is_nested_without_end(function: DurableFunction[Any, Any], event: Any) -> None:
    invoked(function, event)


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("sqs", ("messageId",), None),
        ("sqs", ("messageId",), "x" * 600),
        ("sqs", ("body",), 5),
        ("kinesis", ("eventID",), ""),
        ("kinesis", ("kinesis", "data"), "not base64"),
        ("kinesis", ("kinesis",), None),
        ("dynamodb", ("eventID",), ["x"]),
        ("dynamodb", ("dynamodb",), "x"),
        ("dynamodb", ("dynamodb", "Keys"), []),
    ],
)
def test_a_record_that_lacks_something_fails_and_no_other(
    world: World, front: str, name: str, path: tuple[str, ...], value: Any
) -> None:
    good, bad = sample(name)["Records"][0], _in(name, "Records", 0, *path, value=value)["Records"][0]
    function = echo(front)
    answer = world.invoke(function, {"Records": [good, bad]})
    assert len(answer["batchItemFailures"]) == 1
    assert len(list(world.client.list())) == 1


@pytest.mark.parametrize("junk", [None, 5, "text", [], {}, {"eventSource": "aws:s3"}, {"eventSource": {}}])
def test_junk_between_records(world: World, front: str, junk: Any) -> None:
    """It has no name that Lambda knows, so the whole batch comes again; what was started stays started, once."""
    good = sample("sqs")["Records"][0]
    assert world.invoke(echo(front), {"Records": [good, junk]}) == {"batchItemFailures": [{"itemIdentifier": ""}]}
    assert [info.id for info in world.client.list()] == [good["messageId"]]
    with pytest.raises(DurableError, match="a record in a batch of aws:sns is none of aws:sns"):
        world.invoke(echo(front, name="sns"), {"Records": [*sample("sns")["Records"], junk]})


@pytest.mark.parametrize(
    ("header", "body", "code"),
    [
        ({"Content-Type": "text/plain", "CONTENT-TYPE": "application/json"}, '{"sku": "a"}', 400),
        ({"content-type": 5, "CONTENT-type": "application/json"}, '{"sku": "a"}', 200),
        ({"content-type": None, "Idempotency-Key": "a", "IDEMPOTENCY-KEY": "b"}, '{"sku": "a"}', 200),
        ({"": "x", " ": "y", "content-type": "application/json;" * 1000}, '{"sku": "a"}', 200),
    ],
)
def test_names_of_headers_in_several_cases(sqlite_world: World, header: dict[str, Any], body: str, code: int) -> None:
    event = sample("apigateway-v2") | {"headers": header, "body": body, "isBase64Encoded": False}
    assert sqlite_world.invoke(orders("def"), event)["statusCode"] == code


def test_an_id_never_breaks_a_header(sqlite_world: World) -> None:
    event = sample("apigateway-v2") | {"body": '{"sku": "ä☃"}', "isBase64Encoded": False}
    answer = sqlite_world.invoke(orders("def", execution_id="sku"), event)
    assert answer["statusCode"] == 200
    assert "durable-execution-id" not in answer["headers"]
    event["body"] = json.dumps({"sku": "a\r\nset-cookie: x"})
    assert sqlite_world.invoke(orders("def", execution_id="sku"), event)["statusCode"] == 400
