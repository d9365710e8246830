"""Kinds of damage to what an execution "x" has stored, each with what mends it, and executions to do that to."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from durable_fn import AsyncDurableContext, DurableContext, durable
from durable_fn.backends.aws.items import Item
from durable_fn.backends.aws.table import Table
from durable_fn.testing.cloud import BUCKET, LocalCloud
from durable_fn.testing.moto_account import client as _client

RAN: list[int] = []


def note(n: int) -> int:
    RAN.append(n)
    return n


def large() -> str:
    """Fits no item, and compresses to nothing smaller."""
    import random

    return base64.b64encode(random.Random(1).randbytes(400_000)).decode()


@durable(name="works")
def works(event: Any, ctx: DurableContext) -> int:
    for n in range(3):
        ctx.step(note, n)
    size = len(ctx.step(large)) if event == "large" else 0
    ctx.sleep(120)
    return ctx.step(note, 3) + ctx.wait_for_signal("go", result_type=int) + size


@durable(name="works")
async def a_works(event: Any, ctx: AsyncDurableContext) -> int:
    for n in range(3):
        await ctx.step(note, n)
    size = len(await ctx.step(large)) if event == "large" else 0
    await ctx.sleep(120)
    return await ctx.step(note, 3) + await ctx.wait_for_signal("go", result_type=int) + size


def items(table: Table, kind: str) -> list[Item]:
    return [item for item in table.partition("x") if item["sk"]["S"].startswith(kind)]


def key(item: Item) -> Item:
    return {"pk": item["pk"], "sk": item["sk"]}


Damage = Callable[[LocalCloud], Callable[[], object]]
"""Breaks execution "x" and returns what mends it."""


def missing(kind: str, place: int) -> Damage:
    def damage(cloud: LocalCloud) -> Callable[[], object]:
        item = items(cloud.store.table, kind)[place]
        cloud.store.table.delete(key(item))
        return lambda: cloud.store.table.put(item)

    return damage


def changed(kind: str, place: int, change: Callable[[Item], object]) -> Damage:
    def damage(cloud: LocalCloud) -> Callable[[], object]:
        item = items(cloud.store.table, kind)[place]
        other = {name: dict(value) for name, value in item.items()}
        change(other)
        cloud.store.table.put(other)
        return lambda: cloud.store.table.put(item)

    return damage


def body(change: Callable[[str], str]) -> Callable[[Item], object]:
    return lambda item: item.update(b={"S": change(item["b"]["S"])})


def header_field(name: str, value: dict[str, Any]) -> Damage:
    """As an update of this one field, there and back: the header goes on."""

    def damage(cloud: LocalCloud) -> Callable[[], object]:
        (item,) = [item for item in items(cloud.store.table, "H") if item["sk"]["S"] == "H"]
        before = item.get(name)

        def put(value: dict[str, Any] | None) -> None:
            change = "SET #f = :v" if value is not None else "REMOVE #f"
            values = {} if value is None else {"ExpressionAttributeValues": {":v": value}}
            cloud.store.table.update(
                Key=key(item), UpdateExpression=change, ExpressionAttributeNames={"#f": name}, **values
            )

        put(value)
        return lambda: put(before)

    return damage


def missing_blob(cloud: LocalCloud) -> Callable[[], object]:
    s3 = _client("s3")
    with cloud.wire.aside():
        (found,) = s3.list_objects_v2(Bucket=BUCKET)["Contents"]
        data = s3.get_object(Bucket=BUCKET, Key=found["Key"])["Body"].read()
        s3.delete_object(Bucket=BUCKET, Key=found["Key"])
    return lambda: s3.put_object(Bucket=BUCKET, Key=found["Key"], Body=data)


DAMAGES: dict[str, Damage] = {
    "a hole in the log": missing("L#", 1),
    "the log's beginning is gone": missing("L#", 0),
    "a segment is cut off": changed("L#", 1, body(lambda text: text[:-3])),
    "a segment is cut off between two lines": changed(
        "L#", -1, body(lambda text: text.rpartition("\n")[0] or text[:5])
    ),
    "a segment is empty": changed("L#", 1, body(lambda text: "")),
    "a segment has another result": changed("L#", 1, body(lambda text: text[:-1] + "7")),
    "a segment without a text": changed("L#", 1, lambda item: item.pop("b")),
    "a segment of another kind": changed("L#", 1, lambda item: item.update(b={"N": "3"})),
    "a segment with a time that is none": changed("L#", 1, lambda item: item.update(ttl={"N": "-1"})),
    "a packing that nobody knows": changed("L#", 1, lambda item: (item.update(b={"S": "\x02q:x"}), item.pop("c"))),
    "a codec that nobody has": changed("L#", 1, lambda item: (item.update(b={"S": "\x02c:AAAA"}), item.pop("c"))),
    "a signal is lost": missing("I#", 0),
    "a signal with a time that is none": changed("I#", 0, lambda item: item.update(ttl={"N": "-1"})),
    "a signal is cut off": changed("I#", 0, body(lambda text: text[:-1])),
    "the input is cut off": header_field("input", {"S": '"lar'}),
    "the input is in an item that is gone": header_field("input", {"L": [{"S": "gone"}]}),
    "a blob is gone": missing_blob,
}

NO_JSON = changed("L#", 1, lambda item: (body(lambda text: text + "]")(item), item.pop("c")))
"""A recorded result."""
