"""Direct invocations: what does not look like an event of a service is the payload."""

from __future__ import annotations

import subprocess
import sys
import types
from typing import Any
from unittest.mock import MagicMock

import pytest

from durable_fn import AsyncDurableContext, DurableContext, durable
from durable_fn.errors import ExecutionConflict
from durable_fn.testing import LocalRunner
from durable_fn.wiring import using
from tests.environments import World
from tests.triggers.samples import echo, executions, orders, sample


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
        {"Records": "text"}, {"Records": [1, 2]}, {"Records": {"0": {"eventSource": "aws:sqs"}}},
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


@pytest.mark.parametrize(
    "event", [{"Records": []}, {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b", "RequestId": "r"}]
)
def test_what_is_no_work_starts_nothing(sqlite_world: World, event: Any) -> None:
    assert sqlite_world.invoke(echo("def"), event) == {"batchItemFailures": []}
    assert list(sqlite_world.client.list()) == []


class Odd:
    """A context whose time is odd."""

    aws_request_id = "r-1"

    def __init__(self, left: Any) -> None:
        self.left = left

    def get_remaining_time_in_millis(self) -> Any:
        return self.left


@pytest.mark.parametrize(
    ("context", "complaint"),
    [
        ({}, "got a dict"), ("context", "got a str"),
        (types.SimpleNamespace(get_remaining_time_in_millis=60_000), "got a SimpleNamespace"),
        (Odd(None), "must give milliseconds, got NoneType"), (Odd("60000"), "got str '60000'"), (Odd(True), "got bool"),
        (Odd(float("nan")), "got float 'nan'"), (Odd(float("inf")), "got float 'inf'"), (MagicMock(), "got MagicMock"),
    ],
)  # fmt: skip
def test_an_odd_context_is_refused_in_words(front: str, context: Any, complaint: str) -> None:
    """Before anything is written."""
    function = echo(front)
    with LocalRunner(function) as runner, using(runner.backend):
        with pytest.raises(TypeError, match=complaint):
            function({}, context)
        assert list(runner.client.list()) == []


@pytest.mark.parametrize(("left", "lease_s"), [(1_609_409_415_355, 900), (1e18, 900), (60_000.7, 60), (-5, 0), (0, 0)])
def test_a_lease_never_lasts_longer_than_a_lambda(front: str, left: float, lease_s: int) -> None:
    """Some emulators pass the Unix time as the time that is left."""
    leases: list[float] = []

    def look() -> None:
        header = runner.backend.store.get("r-1")
        assert header is not None
        leases.append((header.lease - runner.backend.clock.now()) // 1000)

    @durable(name="looks")
    def looks(event: Any, ctx: DurableContext) -> None:
        ctx.step(look)

    @durable(name="looks")
    async def a_looks(event: Any, ctx: AsyncDurableContext) -> None:
        await ctx.step(look)

    function = looks if front == "def" else a_looks
    with LocalRunner(function) as runner, using(runner.backend):
        function({}, Odd(left))
        runner.run_until_idle()
    assert leases[0] == pytest.approx(lease_s, abs=1)


def test_a_context_may_have_nothing_else(front: str) -> None:
    class Bare:
        def get_remaining_time_in_millis(self) -> int:
            return 10_000

    function = echo(front)
    with LocalRunner(function) as runner, using(runner.backend):
        assert function({"a": 1}, Bare())["result"] == {"a": 1}


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
        "    from durable_fn.backends.clocks import SystemClock\n"
        "    assert f({'a': 1}, FakeLambdaContext(SystemClock()))['result'] == {'a': 1}\n"
        "print(*(name for name in sys.modules if name.startswith('durable_fn.triggers.') or 'powertools' in name))\n"
        "print('durable_fn.triggers.http_events' in sys.modules, 'jmespath' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["durable_fn.triggers.dispatch durable_fn.triggers.direct", "False False"]
