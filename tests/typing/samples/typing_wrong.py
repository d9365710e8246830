"""What a checker must refuse. Each marked line is an error; with the marks in place there is none left, and an unused mark
is an error too."""

from models import Order
from s01_order_saga import charge, handler, reserve

from durable_fn import AsyncDurableContext, DurableContext, durable


def wrong(ctx: DurableContext, order: Order) -> None:
    ctx.step(reserve)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ctx.step(reserve, "order")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ctx.step(charge(order))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    ctx.sleep("5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@durable
async def other(event: Order, ctx: AsyncDurableContext) -> None:
    reservation = await ctx.step(reserve, event)
    number: int = reservation  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(number, handler.name)
