"""What a fork has behind it, and what begins anew in it: on both journals, in both fronts."""

from __future__ import annotations

from typing import Any

import pytest

from durable_fn import AsyncDurableContext, DurableContext, current_step, durable, step
from durable_fn.errors import CallbackError
from tests.effects import EFFECTS
from tests.environments import World, child_of

TOKENS: list[str] = []
fronts = pytest.mark.parametrize("front", ["def", "async def"])


@pytest.fixture(autouse=True)
def _fresh() -> None:
    TOKENS.clear()


def work(name: str) -> str:
    EFFECTS.append(name)
    return name


SEEN: list[Any] = []


def see(*values: Any) -> list[Any]:
    SEEN.append([*values, current_step().idempotency_key])
    return [str(value) for value in values]


@durable(name="draws")
def draws(event: Any, ctx: DurableContext) -> Any:
    before = [ctx.now(), ctx.uuid4(), ctx.random()]
    first = ctx.step(step(see, name="first"), *before)
    ctx.sleep(60)
    middle = [ctx.now(), ctx.uuid4()]
    last = ctx.step(step(see, name="last"), *before, *middle)
    return [first, last, ctx.step(step(see, name="new"), ctx.uuid4())]


@durable(name="draws")
async def a_draws(event: Any, ctx: AsyncDurableContext) -> Any:
    before = [ctx.now(), ctx.uuid4(), ctx.random()]
    first = await ctx.step(step(see, name="first"), *before)
    await ctx.sleep(60)
    middle = [ctx.now(), ctx.uuid4()]
    last = await ctx.step(step(see, name="last"), *before, *middle)
    return [first, last, await ctx.step(step(see, name="new"), ctx.uuid4())]


@fronts
def test_what_was_drawn_before_is_the_same_and_what_comes_is_new(world: World, front: str) -> None:
    SEEN.clear()
    id = world.run(draws if front == "def" else a_draws, None)
    first, last, new = SEEN
    world.advance(3600)
    copy = world.client.fork(id, from_step="last")
    world.advance(1)
    again, other = SEEN[3:]
    assert again[:-1] == last[:-1], "drawn before the fork point"
    assert again[0] == first[0], "the journal's time, which began with the original"
    assert again[-1] != last[-1], "its own idempotency keys: it is another execution"
    assert other[0] != new[0]
    assert world.client.result(copy)[0] == world.client.result(id)[0]
    second = world.client.fork(copy, from_step="new")
    world.advance(1)
    assert len(SEEN) == 6
    assert SEEN[5][0] == other[0], "a fork of a fork: drawn before"
    assert world.client.result(second)[:2] == world.client.result(copy)[:2]


@durable(name="kid")
def kid(event: Any, ctx: DurableContext) -> str:
    ctx.wait_for_signal("go")
    return ctx.step(work, "kid")


@durable(name="under-way")
def under_way(event: Any, ctx: DurableContext) -> list[Any]:
    def call(c: DurableContext) -> str:
        return c.call(kid, 1)

    def ask(c: DurableContext) -> Any:
        return c.wait_for_callback(TOKENS.append, name="cb", timeout=60)

    def do(c: DurableContext) -> str:
        c.sleep(5)
        return c.step(work, "do")

    return ctx.parallel({"call": call, "ask": ask, "do": do}).results


@durable(name="under-way")
async def a_under_way(event: Any, ctx: AsyncDurableContext) -> list[Any]:
    async def call(c: AsyncDurableContext) -> str:
        return await c.call(kid, 1)

    async def ask(c: AsyncDurableContext) -> Any:
        return await c.wait_for_callback(TOKENS.append, name="cb", timeout=60)

    async def do(c: AsyncDurableContext) -> str:
        await c.sleep(5)
        return await c.step(work, "do")

    return (await ctx.parallel({"call": call, "ask": ask, "do": do})).results


@fronts
def test_what_was_under_way_is_asked_anew(world: World, front: str) -> None:
    id = world.run(under_way if front == "def" else a_under_way, None, None, kid)
    copy = world.client.fork(id, from_step="parallel/do/work")
    world.advance(1)
    assert len(set(TOKENS)) == 2, "its own token"
    world.client.complete_callback(TOKENS[1], "yes")
    world.client.signal(child_of(world.client, copy, "parallel/call/kid"), "go")
    world.advance(1)
    assert world.client.result(copy) == ["kid", "yes", "do"]
    assert (
        world.client.describe(id).status
        == world.client.describe(child_of(world.client, id, "parallel/call/kid")).status
        == "SUSPENDED"
    )


@fronts
def test_what_succeeded_after_the_fork_point_counts_and_a_timeout_does_not(world: World, front: str) -> None:
    id = world.run(under_way if front == "def" else a_under_way, None, None, kid)
    world.client.signal(child_of(world.client, id, "parallel/call/kid"), "go")
    world.advance(3600)
    assert world.client.describe(id).status == "FAILED", "nobody answered"
    EFFECTS.clear()
    copy = world.client.fork(id, from_step="parallel/do/work")
    world.advance(1)
    assert len(set(TOKENS)) == 2, "asked anew, with all its time"
    world.advance(50)
    world.client.complete_callback(TOKENS[1], "yes")
    world.advance(1)
    assert world.client.result(copy) == ["kid", "yes", "do"]
    assert EFFECTS == ["do"], "the other execution had ended well"


@durable(name="takes")
def takes(event: Any, ctx: DurableContext) -> list[Any]:
    callback = ctx.callback("cb")
    ctx.step(TOKENS.append, callback.token)
    first = ctx.wait_for_signal("s")
    ctx.step(work, "do")
    return [first, ctx.wait_for_signal("s"), callback.result()]


@durable(name="takes")
async def a_takes(event: Any, ctx: AsyncDurableContext) -> list[Any]:
    callback = await ctx.callback("cb")
    await ctx.step(TOKENS.append, callback.token)
    first = await ctx.wait_for_signal("s")
    await ctx.step(work, "do")
    return [first, await ctx.wait_for_signal("s"), await callback.result()]


@fronts
def test_what_came_from_outside_goes_along(world: World, front: str) -> None:
    id = world.run(takes if front == "def" else a_takes, None)
    for _ in range(3):
        world.client.heartbeat_callback(TOKENS[0])  # counted as entries, and not copied
    for n in (1, 2):
        world.client.signal(id, "s", n)
    world.client.complete_callback(TOKENS[0], "answer")
    world.advance(1)
    assert world.client.result(id) == [1, 2, "answer"]
    copy = world.client.fork(id, from_step="work")
    world.advance(1)
    assert world.client.result(copy) == [1, 2, "answer"]
    assert EFFECTS == ["do", "do"]
    early = world.client.fork(id, from_step="s")
    world.client.signal(early, "s", 3)
    world.advance(1)
    assert world.client.result(early) == [1, 2, "answer"], "what is sent to the fork comes after what it has"


def test_a_token_that_nobody_would_know(world: World) -> None:
    id = world.run(takes, None)
    world.client.signal(id, "s", 1)
    world.advance(1)
    with pytest.raises(
        ValueError, match=r"callback 'cb' is open, and operations before 'work' handed out its token.* fork from 'cb'"
    ):
        world.client.fork(id, from_step="work")
    copy = world.client.fork(id, from_step="cb")
    world.advance(1)
    world.client.complete_callback(TOKENS[1], "mine")
    with pytest.raises(CallbackError):
        world.client.complete_callback(TOKENS[1], "other")
    world.client.signal(copy, "s", 2)
    world.advance(1)
    assert world.client.result(copy) == [1, 2, "mine"]
    assert world.client.describe(id).status == "SUSPENDED"


def test_the_execution_timeout_begins_anew(world: World) -> None:
    @durable(name="limited", execution_timeout=100)
    def limited(event: Any, ctx: DurableContext) -> Any:
        ctx.step(work, "do")
        return ctx.wait_for_signal("go")

    id = world.run(limited, None)
    world.advance(90)
    copy = world.client.fork(id, from_step="go")
    world.advance(95)
    assert [world.client.describe(one).status for one in (id, copy)] == ["TIMED_OUT", "SUSPENDED"]
    world.advance(10)
    assert world.client.describe(copy).status == "TIMED_OUT"


def test_a_fork_can_be_redriven(world: World) -> None:
    broken = [True]

    @durable(name="breaks")
    def breaks(event: Any, ctx: DurableContext) -> Any:
        drawn = str(ctx.uuid4())
        ctx.step(work, "do")
        if broken:
            raise ValueError("a bug")
        return [drawn, ctx.step(work, "last")]

    id = world.run(breaks, None)
    copy = world.client.fork(id, from_step="work")
    world.advance(1)
    broken.clear()
    for one in (copy, id):
        world.client.redrive(one)
        world.advance(1)
    assert world.client.result(copy) == world.client.result(id)
    assert EFFECTS == ["do", "do", "last", "last"]
