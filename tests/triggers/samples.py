"""AWS's own sample events, and handlers in both fronts that tell what they were given."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from durable_fn import AsyncDurableContext, DurableContext, DurableFunction, durable

EVENTS = Path(__file__).resolve().parent.parent / "events"
FRONTS = ("def", "async def")


def sample(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return found


def several(name: str, **changes: list[Any]) -> dict[str, Any]:
    """A batch of copies of a sample's first record, each with the n-th value of each change ("kinesis.data" is a path)."""
    first = sample(name)["Records"][0]
    records = [copy.deepcopy(first) for _ in next(iter(changes.values()))]
    for path, values in changes.items():
        *parts, last = path.split("__")
        for record, value in zip(records, values, strict=True):
            place = record
            for part in parts:
                place = place[part]
            place[last] = value
    return {"Records": records}


class Order(BaseModel):
    sku: str
    amount: int = 1


SEEN: list[Any] = []
"""What steps were given, in order."""


def see(event: Any) -> Any:
    SEEN.append(event)
    return event


def echo(front: str, **options: Any) -> DurableFunction[Any, Any]:
    """Takes anything, and returns it after a step."""
    options.setdefault("name", "echo")
    if front == "def":

        @durable(**options)
        def plain(event: Any, ctx: DurableContext) -> Any:
            return ctx.step(see, event)

        return plain

    @durable(**options)
    async def native(event: Any, ctx: AsyncDurableContext) -> Any:
        return await ctx.step(see, event)

    return native


def orders(front: str, **options: Any) -> DurableFunction[Any, Any]:
    """Takes an Order. An amount of seconds passes before it is done; amount 13 fails."""
    options.setdefault("name", "orders")
    if front == "def":

        @durable(**options)
        def plain(event: Order, ctx: DurableContext) -> str:
            ctx.step(see, event.sku)
            if event.amount == 13:
                raise LookupError("no thirteenth")
            if event.amount > 1:
                ctx.sleep(event.amount)
            return event.sku

        return plain

    @durable(**options)
    async def native(event: Order, ctx: AsyncDurableContext) -> str:
        await ctx.step(see, event.sku)
        if event.amount == 13:
            raise LookupError("no thirteenth")
        if event.amount > 1:
            await ctx.sleep(event.amount)
        return event.sku

    return native


def executions(world: Any) -> list[str]:
    """Ids, oldest first."""
    return [info.id for info in sorted(world.client.list(), key=lambda info: (info.started_at, info.id))]
