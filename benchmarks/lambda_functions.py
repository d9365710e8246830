"""What is measured in real environments: the same work, plain, with one item stored by boto3, and as a durable step."""

from __future__ import annotations

import os
from typing import Any

from durable_fn import DurableContext, durable

TABLE: list[Any] = []


def work(order: dict[str, Any]) -> str:
    return f"charged {order['total']}"


def plain(event: dict[str, Any], context: Any) -> dict[str, Any]:
    return {"status": "SUCCEEDED", "result": work(event)}


def storing(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """What a handler does that keeps its result by itself."""
    if not TABLE:
        import boto3

        TABLE.append(boto3.resource("dynamodb").Table(os.environ["DURABLE_FN_TABLE"]))
    answer = plain(event, context)
    TABLE[0].put_item(Item={"pk": f"plain-{event['id']}", "sk": "result", "result": answer["result"]})
    return answer


@durable(name="one-step", execution_id="id")
def one_step(event: dict[str, Any], ctx: DurableContext) -> str:
    return ctx.step(work, event)
