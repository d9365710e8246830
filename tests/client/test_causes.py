"""What an error says of the errors behind it: to its handler, to `describe`, and to callers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from durable_fn import AsyncDurableContext, DurableContext, DurableFunction, RetryPolicy, durable, step
from durable_fn.errors import BatchError, CallError, StepError
from durable_fn.types import Cause
from tests.environments import World

Ctx = AsyncDurableContext
ONCE = RetryPolicy(max_attempts=1)
BOTH: list[Cause] = [
    {"error_type": "LookupError", "message": "order 7 is unknown"},
    {"error_type": "LookupError", "message": "order 8 is unknown"},
]


class Declined(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(f"declined, code {code}")
        self.data = {"code": code}


@step(retry=ONCE)
def look_up(n: int) -> None:
    raise LookupError(f"order {n} is unknown")


@step(retry=ONCE)
def pay() -> None:
    raise Declined(51)


@step(retry=ONCE)
def several() -> None:
    raise ExceptionGroup("both", [LookupError("order 7 is unknown"), LookupError("order 8 is unknown")])


async def a_look_up(ctx: Ctx, n: int) -> None:
    await ctx.step(look_up, n)


@durable(name="group")
async def group(event: None, ctx: Ctx) -> None:
    async with asyncio.TaskGroup() as tasks:
        for n in (7, 8):
            tasks.create_task(a_look_up(ctx, n))


@durable(name="race")
def race(event: None, ctx: DurableContext) -> None:
    ctx.race([lambda c: c.step(look_up, 7), lambda c: c.step(look_up, 8)])


@durable(name="race")
async def a_race(event: None, ctx: Ctx) -> None:
    await ctx.race([lambda c: a_look_up(c, 7), lambda c: a_look_up(c, 8)])


@durable(name="batch")
def batch(event: None, ctx: DurableContext) -> None:
    from durable_fn import Completion

    _ = ctx.map(lambda c, n: c.step(look_up, n), [7, 8], completion=Completion.all_settled()).results


@durable(name="nested")
async def nested(event: None, ctx: Ctx) -> None:
    """A group that holds a batch."""
    from durable_fn import Completion

    async def fan() -> None:
        _ = (await ctx.map(a_look_up, [7, 8], completion=Completion.all_settled())).results

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fan())


@durable(name="body")
def body(event: None, ctx: DurableContext) -> None:
    ctx.step(several)


HANDLERS: list[DurableFunction[Any, Any]] = [group, race, a_race, batch, nested, body]
each = pytest.mark.parametrize("handler", HANDLERS, ids=["group", "race", "async-race", "batch", "nested", "body"])


@each
def test_describe_and_callers_see_all_causes(world: World, handler: DurableFunction[Any, Any]) -> None:
    """The message ends with the first."""

    @durable(name="caller")
    def caller(event: None, ctx: DurableContext) -> Any:
        try:
            ctx.call(handler, None, id="callee")
        except CallError as error:
            return [error.error_type, error.causes, str(error), error.message]
        return None

    id = world.run(caller, None, None, handler)
    world.advance(60)
    told = world.client.describe("callee").error
    assert told is not None
    both = BOTH[:1] if handler is group else BOTH  # a TaskGroup cancels the others
    assert told["causes"] == both
    assert told["message"].endswith("order 7 is unknown")
    kind, causes, text, message = world.client.result(id)
    assert (causes, kind) == (both, "ExceptionGroup" if handler is body else "LookupError")
    assert text.endswith("order 7 is unknown")
    assert message == told["message"]
    with pytest.raises(CallError) as caught:
        world.client.result("callee")
    assert (caught.value.causes, caught.value.error_type) == (both, kind)


def test_the_handler_sees_them_too(world: World) -> None:
    @durable(name="sees")
    def sees(event: None, ctx: DurableContext) -> Any:
        found: list[Any] = []
        try:
            ctx.race([lambda c: c.step(look_up, 7), lambda c: c.step(look_up, 8)])
        except BatchError as error:
            found.append(error.causes)
        try:
            ctx.step(several)
        except StepError as error:
            found.append(error.causes)
        ctx.sleep(100)
        return found

    id = world.run(sees, None)
    world.advance(200)
    assert world.client.result(id) == [BOTH, BOTH], "on a replay as the first time"


@durable(name="payer")
def payer(event: None, ctx: DurableContext) -> None:
    ctx.step(pay)


@durable(name="payer")
async def a_payer(event: None, ctx: Ctx) -> None:
    await ctx.step(pay)


@durable(name="broker")
def broker(event: None, ctx: DurableContext) -> None:
    ctx.call("payer", None)


def wrong_itself(event: None, ctx: DurableContext) -> None:
    raise Declined(51)


@pytest.mark.parametrize("front", ["def", "async def"])
@pytest.mark.parametrize("through", ["payer", "broker", "itself"])
def test_a_caller_sees_what_failed(world: World, front: str, through: str) -> None:
    """However many executions are between: the class and the data of what the step raised."""

    @durable(name="buyer")
    def buyer(event: None, ctx: DurableContext) -> Any:
        try:
            ctx.call(through, None)
        except CallError as error:
            ctx.sleep(100)
            return [error.error_type, error.data, error.status, error.causes]
        return None

    others = (payer if front == "def" else a_payer, broker, durable(name="itself")(wrong_itself))
    id = world.run(buyer, None, None, *others)
    world.advance(200)
    assert world.client.result(id) == [f"{__name__}.Declined", {"code": 51}, "FAILED", []]


def test_a_call_that_ended_without_an_error_of_its_own(world: World) -> None:
    @durable(name="sleeps")
    def sleeps(event: None, ctx: DurableContext) -> None:
        ctx.wait_for_signal("go")

    @durable(name="asks")
    def asks(event: None, ctx: DurableContext) -> Any:
        try:
            ctx.call(sleeps, None, id="callee")
        except CallError as error:
            return [error.status, error.data, error.causes]
        return None

    id = world.run(asks, None, None, sleeps)
    world.client.terminate("callee", "enough")
    world.advance(5)
    assert world.client.result(id) == ["TERMINATED", None, []]
