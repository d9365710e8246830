"""Direct invocations: what does not look like an event of a service is the payload."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from durable_fn.errors import ExecutionConflict
from tests.triggers.samples import echo, executions, orders, sample
from tests.worlds import World


def test_a_result_that_fits_no_header_comes_back(world: World, front: str) -> None:
    """On DynamoDB results above 1 KB are kept in an item of their own."""
    large = {"text": "x" * 5000}
    assert world.invoke(echo(front), large)["result"] == large
    assert world.invoke(echo(front, name="bare", envelope=False), large) == large


def test_the_error_of_a_failed_execution_comes_back(world: World, front: str) -> None:
    answer = world.invoke(orders(front), {"sku": "a", "amount": 13})
    assert (answer["status"], answer["error"]["error_type"]) == ("FAILED", "LookupError")
    with pytest.raises(LookupError, match="no thirteenth"):
        world.invoke(orders(front, envelope=False), {"sku": "a", "amount": 13})


@pytest.mark.parametrize(
    "event",
    [
        {"Records": "text"}, {"Records": []}, {"Records": [1, 2]}, {"Records": {"0": {"eventSource": "aws:sqs"}}},
        {"Records": [{"eventSource": "aws:ses"}]}, {"Records": [{"eventSource": ["aws:sqs"]}]}, {"Records": None},
        {"requestContext": {"http": {"method": 3}}, "rawPath": "/"}, {"requestContext": "x", "httpMethod": "GET", "path": "/"},
        {"requestContext": {"http": {"method": "GET"}}}, {"requestContext": {}, "httpMethod": "GET"},
        {"requestContext": {"eventType": "MESSAGE", "connectionId": "c"}, "body": "x"},
        {"detail-type": "x", "source": "y", "id": "z"}, {"detail-type": "x", "source": "y", "id": 7, "detail": {}},
        {"detail": {}}, {"httpMethod": "GET", "path": "/"}, [], None, "text", 3.5, [{"eventSource": "aws:sqs"}],
    ],
)  # fmt: skip
def test_what_only_resembles_an_event_is_a_payload(sqlite_world: World, event: Any) -> None:
    assert sqlite_world.invoke(echo("def"), event)["result"] == event


def test_an_event_bus_event_is_not_an_error_twice(world: World, front: str) -> None:
    """Lambda retries an asynchronous event that raised; the execution that was started first is the one."""
    event = sample("eventbridge-scheduled") | {"detail": {"sku": "a", "amount": 13}}
    function = orders(front)
    first = world.invoke(function, event)
    assert (first["status"], first["execution_id"]) == ("FAILED", event["id"])
    assert world.invoke(function, event) == first
    assert executions(world) == [event["id"]]


def test_the_same_bus_event_with_another_detail_is_a_conflict(world: World, front: str) -> None:
    event = sample("eventbridge-scheduled") | {"detail": {"sku": "a"}}
    function = orders(front)
    world.invoke(function, event)
    with pytest.raises(ExecutionConflict, match=event["id"]):
        world.invoke(function, event | {"detail": {"sku": "b"}})


def test_a_direct_invocation_loads_no_other_trigger() -> None:
    """A cold start pays for what it loads."""
    code = (
        "import sys\n"
        "from durable_fn import DurableContext, durable\n"
        "from durable_fn.testing.lambda_context import FakeLambdaContext\n"
        "from durable_fn.wiring import sqlite, using\n"
        "@durable\n"
        "def f(event, ctx: DurableContext): return event\n"
        "with using(sqlite(':memory:')) as backend:\n"
        "    from durable_fn.clocks import SystemClock\n"
        "    assert f({'a': 1}, FakeLambdaContext(SystemClock()))['result'] == {'a': 1}\n"
        "print(*(name for name in sys.modules if name.startswith('durable_fn.triggers.') or 'powertools' in name))\n"
        "print('durable_fn.http_events' in sys.modules, 'jmespath' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["durable_fn.triggers.direct", "False False"]
