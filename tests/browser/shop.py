"""Handlers for the browser's tests: they do what files beside them say."""

import time
from pathlib import Path
from typing import Any

from durable_fn import DurableContext, RetryPolicy, StepError, durable, step

HERE = Path(__file__).parent
NAME = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'`&amp;{{7*7}}${1}"
HOSTILE = NAME + "\u202egnp.exe\x1b[2J"


def is_there(name: str) -> bool:
    return (HERE / name).exists()


def until(name: str) -> str:
    while not is_there(name):
        time.sleep(0.02)
    return name


def charge(order: Any) -> dict[str, Any]:
    return {"charge_id": "ch_1", "amount": 4200}


@step(retry=RetryPolicy(max_attempts=2, initial_delay=0.1))
def ship(order: Any) -> str:
    if is_there("warehouse-down"):
        raise ConnectionError("the warehouse answers 503")
    return "shipment-1"


def resize(ctx: DurableContext, n: int, *_: Any) -> int:
    ctx.step(charge, n)
    return ctx.step(step(lambda n: n * n, name="square"), n)


@durable(name="orders")
def orders(order: dict[str, Any], ctx: DurableContext) -> str:
    ctx.set_status("charging")
    ctx.step(charge, order)
    return ctx.step(ship, order)


@durable(name="approvals")
def approvals(event: dict[str, Any], ctx: DurableContext) -> Any:
    ctx.set_status({"at": "begin"})
    ctx.step(step(until, name="first"), event.get("first", "shop.py"))
    answer = ctx.callback("boss", timeout=3600)
    ctx.set_status({"at": "asked the boss"})
    said = answer.result()
    ctx.step(charge, said)
    return said


@durable(name="wide")
def wide(event: int, ctx: DurableContext) -> int:
    ctx.map(resize, range(event), name="resize")
    ctx.sleep(3600)
    return event


@durable(name=NAME)
def hostile(event: Any, ctx: DurableContext) -> None:
    ctx.set_status(HOSTILE)
    ctx.step(step(charge, name=NAME), event)

    def breaks() -> None:
        raise ValueError(HOSTILE)

    try:
        ctx.step(step(breaks, name="breaks", retry=RetryPolicy(max_attempts=1)))
    except StepError:
        ctx.wait_for_signal(NAME)
        raise
