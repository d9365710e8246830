"""Everything the package can do, played once on the local cloud, and the IAM permissions that it took."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from durable_fn import DurableContext, DurableFunction, callback_api, durable, sweeper
from durable_fn.log.selection import ALL
from durable_fn.testing.cloud import LocalCloud
from durable_fn.testing.lambda_context import FakeLambdaContext
from durable_fn.testing.permissions import Permission
from durable_fn.ui import function as web_dashboard
from durable_fn.ui.views import VIEWS
from durable_fn.wiring import using
from handlers_demo.order_fulfilment.handler import handler as order
from tests.corpus.outside import TOKENS, keep
from tests.corpus.shape import Shape
from tests.corpus.topics import SHAPES

ORDER = json.loads((Path(__file__).parents[2] / "handlers_demo" / "order_fulfilment" / "event.json").read_text())
FAMILIES = [{shape.name, *(other.name for other in shape.others)} for shape in SHAPES if shape.others]
"""Durable functions that call each other. What they need for that is in docs/add-to-a-stack.md."""


def incompressible(size: int) -> str:
    """Text that no compression brings below what an item takes."""
    return base64.b64encode(random.Random(1).randbytes(size * 3 // 4)).decode()


@durable(name="waits")
def waits(event: Any, ctx: DurableContext) -> Any:
    ctx.step(lambda: len(str(event)))
    return ctx.wait_for_callback(keep("answer"), name="answer")


@durable(name="large")
def large(event: int, ctx: DurableContext) -> str:
    text: str = ctx.step(lambda: incompressible(event))
    ctx.sleep(3600)
    return text


@contextmanager
def _cloud(found: set[Permission]) -> Iterator[LocalCloud]:
    with LocalCloud(bucket=True) as cloud:
        yield cloud
        found |= cloud.permissions


def play() -> set[Permission]:
    """All of it. Deterministic, a few seconds."""
    found: set[Permission] = set()
    for act in (
        *(_shape(shape) for shape in _some_of_each_theme()),
        _orders,
        _values,
        _steering,
        _callbacks,
        _looking,
        _sweeping,
    ):
        with _cloud(found) as cloud:
            act(cloud)
    return found


def _some_of_each_theme() -> list[Shape]:
    """Three of each: the corpus's own tests are held to the template's actions too (watch.py)."""
    able = [shape for shape in SHAPES if shape.cloud and "sync" in shape.fronts]
    themes = dict.fromkeys(shape.theme for shape in able)
    return [shape for theme in themes for shape in [one for one in able if one.theme == theme][:3]]


def _shape(shape: Shape) -> Callable[[LocalCloud], None]:
    def act(cloud: LocalCloud) -> None:
        TOKENS.clear()
        function = shape.fronts["sync"]
        for one in (function, *shape.others):
            cloud.attach(one)
        cloud.client.start(function, shape.event, id="x")
        if shape.early is not None:
            shape.early(cloud.client, "x")
        for _ in range(30):
            if not cloud.run("x").live:
                break
            if shape.outside is not None:
                shape.outside(cloud.client, "x")
            else:
                cloud.advance(3600)
        assert cloud.client.describe("x").status == shape.status

    return act


def _start(cloud: LocalCloud, function: DurableFunction[Any, Any], event: Any, id: str) -> None:
    cloud.attach(function)
    cloud.client.start(function, event, id=id)
    cloud.run(id)


def _orders(cloud: LocalCloud) -> None:
    """By the client, and by a direct invocation of a function that nobody registered."""
    _start(cloud, order, order.event_adapter.decode(json.dumps(ORDER), "the order"), "order-1001")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_LAMBDA_FUNCTION_NAME", "order")
        cloud.store.register("order-fulfilment", "elsewhere")
        answer = cloud.invoke(order, ORDER | {"order_id": "order-1002"})
    assert answer["status"] == "SUCCEEDED"


def _values(cloud: LocalCloud) -> None:
    _start(cloud, large, 600_000, "x")
    assert len(cloud.client.result("x")) == 600_000
    cloud.client.purge("x")
    _start(cloud, waits, incompressible(600_000), "y")
    assert len(cloud.client.describe("y").input) == 600_000


def _steering(cloud: LocalCloud) -> None:
    client = cloud.client
    cloud.attach(waits)
    client.start(waits, 1, id="later", delay=3600)
    for id in ("cancelled", "terminated", "beaten", "failed", "done"):
        _start(cloud, waits, id, id)
    client.cancel("cancelled", "enough")
    client.terminate("terminated")
    client.heartbeat_callback(_token("beaten"))
    client.fail_callback(_token("failed"), "no")
    client.complete_callback(_token("done"), "yes")
    client.signal("beaten", "anything", incompressible(600_000))
    cloud.run_until_idle()
    assert [client.describe(id).status for id in ("cancelled", "terminated", "failed", "done")] == [
        "CANCELLED", "TERMINATED", "FAILED", "SUCCEEDED",
    ]  # fmt: skip
    client.redrive("terminated")
    client.fork("done", from_step="answer", new_id="again")
    cloud.run_until_idle()
    assert len(list(client.list(limit=100))) == 7
    assert len(cloud.backend.store.find(ALL, None, 100, scan=True).headers) == 7
    assert [event.kind for event in client.history("done")]
    assert client.result("done") == "yes"
    client.purge("done")


def _token(id: str) -> str:
    return TOKENS[id, "answer"]


def _callbacks(cloud: LocalCloud) -> None:
    """The callback API, also for an execution and with an answer that fit no item."""
    _start(cloud, waits, incompressible(600_000), "x")
    token = _token("x")
    with using(cloud.backend), cloud.wire.acting("callback-api"):
        for path, body in (("/heartbeat", ""), ("", json.dumps(incompressible(395_000)))):
            event = {"httpMethod": "POST", "path": f"/callbacks/{token}{path}", "body": body}
            answer = callback_api.handler(event | {"pathParameters": {"token": token}}, None)
            assert answer["statusCode"] == 200, answer
    assert cloud.run("x").status == "SUCCEEDED"


def _looking(cloud: LocalCloud) -> None:
    """All that the page reads, of the function behind its URL; also where there is no index for lists, and large values."""
    _start(cloud, large, 600_000, "x")
    answers = []
    with using(cloud.backend), cloud.wire.acting("web-dashboard"), pytest.MonkeyPatch.context() as patch:
        patch.delenv("DURABLE_FN_UI_CHANGES", raising=False)
        web_dashboard._dashboard.cache_clear()
        for name in VIEWS:
            http = {"method": "GET", "path": f"/api/{name}"}
            event = {
                "rawPath": http["path"],
                "headers": {"host": "x"},
                "queryStringParameters": {"id": "x", "what": "input"},
            }
            context = {"http": http, "authorizer": {"iam": {"userArn": "arn:aws:iam::123456789012:user/ada"}}}
            answers.append(web_dashboard.handler({**event, "requestContext": context}, None)["statusCode"])
        assert cloud.backend.store.find(ALL, None, 100, scan=True).scanned
    web_dashboard._dashboard.cache_clear()
    assert set(answers) == {200}


def _sweeping(cloud: LocalCloud) -> None:
    """The first message is lost; the sweeper, a process of its own, sends it again."""
    cloud.attach(order)
    cloud.client.start(order, order.event_adapter.decode(json.dumps(ORDER), "the order"), id="order-1001")
    cloud._moto_queue(cloud.queue_url(order))._messages.clear()
    cloud.clock.sleep(1)
    with using(cloud._backend(None)), cloud.wire.acting("sweeper"):
        assert sweeper.handler({}, FakeLambdaContext(cloud.clock))["sent"] == 1
    cloud.advance(60)
    assert cloud.client.describe("order-1001").status == "SUCCEEDED"
