"""An id by the function's own rule is the same however the work comes."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from durable_fn import AsyncDurableContext, DurableContext, DurableFunction, durable
from tests.environments import World
from tests.triggers.samples import SEEN, Order, sample, see
from tests.triggers.test_http import SHAPES, request
from tests.triggers.test_queue import batch
from tests.triggers.test_wrapped import notification

RULES: list[Any] = ["sku", lambda order: order.sku]
rules = pytest.mark.parametrize("rule", RULES, ids=["path", "function"])
ORDER = {"sku": "order-1"}


def by_rule(front: str, rule: Any, name: str = "orders") -> DurableFunction[Any, Any]:
    if front == "def":

        @durable(name=name, execution_id=rule)
        def plain(event: Order, ctx: DurableContext) -> str:
            return ctx.step(see, event.sku)

        return plain

    @durable(name=name, execution_id=rule)
    async def native(event: Order, ctx: AsyncDurableContext) -> str:
        return await ctx.step(see, event.sku)

    return native


def _of_sns(order: Any) -> dict[str, Any]:
    event = sample("sns")
    event["Records"][0]["Sns"]["Message"] = json.dumps(order)
    return event


def _of_kinesis(order: Any) -> dict[str, Any]:
    event = sample("kinesis")
    event["Records"] = event["Records"][:1]
    event["Records"][0]["kinesis"]["data"] = base64.b64encode(json.dumps(order).encode()).decode()
    return event


def _of_bus(order: Any) -> dict[str, Any]:
    return {"version": "0", "id": "e", "source": "shop", "detail-type": "Order", "detail": order}


TRIGGERS: dict[str, Callable[[Any], Any]] = {
    "direct": lambda order: order,
    **{shape: lambda order, shape=shape: request(shape, order) for shape in SHAPES},  # type: ignore[misc]
    "with a key": lambda order: request(body=order, idempotency_key="other"),
    "queue": lambda order: batch(order),
    "topic in a queue": lambda order: batch(notification(order)),
    "topic": _of_sns,
    "bus": _of_bus,
    "stream": _of_kinesis,
}


@rules
def test_it_is_the_same_on_every_trigger_and_in_start(world: World, front: str, rule: Any) -> None:
    function = by_rule(front, rule)
    for make in TRIGGERS.values():
        world.invoke(function, make(ORDER))
    assert world.client.start(function, Order(sku="order-1")) == "order-1"
    assert world.client.start(function, ORDER) == "order-1"
    world.advance(1)
    assert (SEEN, [info.id for info in world.client.list()]) == (["order-1"], ["order-1"])
