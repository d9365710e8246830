"""Exact types: any drift to Any fails here. The part of the contract's samples that uses what exists so far."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, assert_type

from models import CardDeclined, Label, Order, Payment, Reservation

from durable_fn import AsyncDurableContext, DurableClient, DurableContext, DurableFunction, RetryPolicy, durable, step
from durable_fn.testing import Execution, LocalRunner


@step
def reserve(order: Order) -> Reservation:
    return Reservation(id=f"r-{order.order_id}")


@step(retry=RetryPolicy(max_attempts=6, give_up_on=CardDeclined), timeout=10, raises=(CardDeclined,))
def charge(order: Order) -> Payment:
    return Payment(id="p", amount=order.total)


@step(timeout=5)
async def areserve(order: Order) -> Reservation:
    return Reservation(id="r")


async def ship(order: Order) -> Label:
    return Label(tracking="t")


class Shop:
    @step(timeout=1)
    def price(self, sku: str) -> int:
        return 1

    @step
    async def stock(self, sku: str) -> float:
        return 1


@durable(execution_id=lambda o: o.order_id)
def handler(event: Order, ctx: DurableContext) -> Label:
    return Label(tracking=ctx.step(charge, event).id)


@durable(name="b", retention=3600)
async def ahandler(event: Order, ctx: AsyncDurableContext) -> Label | None:
    return None


@durable
def plain(event: Any, context: Any) -> Any: ...


def sync(ctx: DurableContext, order: Order, shop: Shop) -> None:
    assert_type(handler, DurableFunction[Order, Label])
    assert_type(plain, DurableFunction[Any, Any])
    assert_type(ctx.step(reserve, order), Reservation)
    assert_type(ctx.step(shop.price, "a"), int)
    assert_type(ctx.step(step(charge, name="x"), order), Payment)
    assert_type(ctx.step(lambda: 3), int)
    assert_type(ctx.step(partial(charge, order)), Payment)
    assert_type(ctx.step(step(lambda: {"id": 1}, result_type=Label)), Label)
    assert_type(ctx.step(step(lambda: [], result_type=list[Label])), list[Label])


async def asyn(ctx: AsyncDurableContext, order: Order, shop: Shop) -> None:
    assert_type(ahandler, DurableFunction[Order, Label | None])
    assert_type(await ctx.step(areserve, order), Reservation)
    assert_type(await ctx.step(charge, order), Payment)
    assert_type(await ctx.step(shop.price, "a"), int)
    assert_type(await ctx.step(shop.stock, "a"), float)
    assert_type(await asyncio.gather(ctx.step(ship, order), ctx.step(charge, order)), tuple[Label, Payment])
    assert_type(await asyncio.wait_for(ctx.step(ship, order), 5), Label)
    async with asyncio.TaskGroup() as tg:
        task = tg.create_task(ctx.step(ship, order))
    assert_type(task.result(), Label)


def outside(client: DurableClient, order: Order) -> None:
    assert_type(client.start(handler, order), str)
    assert_type(client.result("x", result_type=Label), Label)
    with LocalRunner(handler) as runner:
        execution = runner.run(order)
        assert_type(execution, Execution[Label])
        assert_type(execution.result, Label)


same: Callable[[Order], Reservation] = reserve
