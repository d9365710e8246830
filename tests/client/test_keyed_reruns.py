"""Redrives and forks of executions whose operations have keys: their ids do not say which task asked, the log does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from durable_fn import AsyncDurableContext, Completion, DurableFunction, RetryPolicy, durable, step
from durable_fn.errors import CallbackError, StepError
from tests.corpus.plain import without_loop
from tests.effects import EFFECTS
from tests.environments import World

Ctx = AsyncDurableContext
BROKEN: set[str] = set()
TOKENS: list[str] = []
SEEN: list[Any] = []
fronts = pytest.mark.parametrize("front", ["def", "async def"])


@pytest.fixture(autouse=True)
def _fresh() -> None:
    for seen in (BROKEN, TOKENS, SEEN):
        seen.clear()


@step(retry=RetryPolicy(max_attempts=1))
def work(name: str) -> str:
    EFFECTS.append(name)
    if name in BROKEN:
        raise ConnectionError(name)
    return name


def keyed(key: str) -> Any:
    return step(work, key=key)


def handler(front: str, text: Callable[[Any, Ctx], Any]) -> DurableFunction[Any, Any]:
    """The same text in both fronts."""
    return durable(name="reruns")(text if front == "async def" else without_loop(text))


def again(world: World, id: str, from_step: str | None = None) -> list[str]:
    """Redrives it, all mended. Gives what ran then."""
    assert world.client.describe(id).status == "FAILED"
    BROKEN.clear()
    before = len(EFFECTS)
    world.client.redrive(id, from_step=from_step)
    world.advance(100)
    return EFFECTS[before:]


# -- redrives ------------------------------------------------------------------------------------------------------


async def in_turn(event: Any, ctx: Ctx) -> str:
    await ctx.step(keyed("1"), "first")
    await ctx.step(keyed("2"), "second")
    try:
        return await ctx.step(keyed("3"), "third")
    except StepError:
        await ctx.step(keyed("4"), "notify")
        raise


@fronts
@pytest.mark.parametrize(
    ("from_step", "ran"),
    [
        (None, ["third"]),
        ("work:2", ["second", "third"]),
        ("work:1", ["first", "second", "third"]),
        ("work:3", ["third"]),
    ],
)
def test_one_after_the_other(world: World, front: str, from_step: str | None, ran: list[str]) -> None:
    BROKEN.add("third")
    id = world.run(handler(front, in_turn), None)
    assert EFFECTS == ["first", "second", "third", "notify"]
    assert again(world, id, from_step) == ran, "and no clean-up"
    assert world.client.result(id) == "third"


def test_an_id_that_is_not_recorded_names_those_that_are(world: World) -> None:
    BROKEN.add("third")
    id = world.run(handler("def", in_turn), None)
    with pytest.raises(ValueError, match="no operation 'work' is recorded; there are 'work:1', 'work:2'"):
        world.client.redrive(id, from_step="work")


@durable(name="tasks")
async def tasks(event: str, ctx: Ctx) -> list[str]:
    """One fails at once, another one succeeds later; then there is clean-up."""

    async def failing(c: Ctx) -> str:
        return await c.step(keyed("a"), "a")

    async def slow(c: Ctx) -> str:
        await c.step(keyed("early"), "early")
        await c.sleep(10)
        return await c.step(keyed("late"), "late")

    async def asks(fn: Any) -> str:
        return await (fn(ctx) if event == "tasks" else ctx.child(fn, name="child", key=fn.__name__))

    found = await asyncio.gather(asks(failing), asks(slow), return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            await asyncio.create_task(ctx.step(keyed("clean"), "clean"))
            raise one
    return [str(one) for one in found]


@pytest.mark.parametrize("event", ["tasks", "children"])
def test_what_another_task_did_meanwhile_is_not_done_twice(world: World, event: str) -> None:
    BROKEN.add("a")
    id = world.run(tasks, event)
    world.advance(20)
    assert EFFECTS == ["a", "early", "late", "clean"]
    assert again(world, id) == ["a"]
    assert world.client.result(id) == ["a", "late"]


def test_tasks_of_a_keyed_child_that_a_task_asked_for(world: World) -> None:
    BROKEN.add("a")

    @durable(name="deep")
    async def deep(event: Any, ctx: Ctx) -> list[str]:
        async def failing(c: Ctx) -> str:
            return await c.step(keyed("a"), "a")

        async def slow(c: Ctx) -> str:
            await c.sleep(10)
            return await c.step(keyed("late"), "late")

        async def inside(c: Ctx) -> list[str]:
            found = await asyncio.gather(failing(c), slow(c), return_exceptions=True)
            for one in found:
                if isinstance(one, BaseException):
                    raise one
            return [str(one) for one in found]

        async def beside() -> str:
            await ctx.sleep(20)
            return await ctx.step(keyed("beside"), "beside")

        async def asks() -> list[str]:
            return await ctx.child(inside, key="k")

        found = await asyncio.gather(asks(), beside(), return_exceptions=True)
        if isinstance(found[0], BaseException):
            raise found[0]
        return [*found[0], str(found[1])]

    id = world.run(deep, None)
    world.advance(30)
    assert EFFECTS == ["a", "late", "beside"]
    assert again(world, id) == ["a"]
    assert world.client.result(id) == ["a", "late", "beside"]


def test_a_task_that_was_begun_after_the_failure_is_a_consequence(world: World) -> None:
    BROKEN.add("a")

    @durable(name="then")
    async def then(event: Any, ctx: Ctx) -> str:
        async def one(key: str) -> str:
            return await ctx.step(keyed(key), key)

        try:
            return await asyncio.create_task(one("a"))
        except StepError:
            with contextlib.suppress(StepError):
                await asyncio.create_task(one("notify"))
            raise

    id = world.run(then, None)
    assert EFFECTS == ["a", "notify"]
    assert again(world, id) == ["a"]
    assert world.client.result(id) == "a"


@fronts
def test_a_question_with_a_key_is_asked_anew(world: World, front: str) -> None:
    async def text(event: Any, ctx: Ctx) -> Any:
        answer = await ctx.wait_for_callback(TOKENS.append, name="ask", key="k", timeout=500)
        await ctx.step(keyed("after"), "after")
        if answer == "no":
            raise ValueError("refused")
        return answer

    id = world.run(handler(front, text), None)
    world.advance(501)
    assert again(world, id) == []
    assert len(set(TOKENS)) == 2, "its time was over: another token"
    world.client.complete_callback(TOKENS[1], "no")
    world.advance(1)
    assert again(world, id, "ask:k") == []
    assert len(set(TOKENS)) == 3
    with pytest.raises(CallbackError):
        world.client.complete_callback(TOKENS[0], "late")
    world.client.complete_callback(TOKENS[2], "yes")
    world.advance(1)
    assert world.client.result(id) == "yes"
    assert EFFECTS == ["after", "after"]


@fronts
def test_a_wait_with_a_key_is_asked_anew_by_its_name(world: World, front: str) -> None:
    """The step that handed the token out does not run again, so the token stays good."""

    async def text(event: Any, ctx: Ctx) -> Any:
        callback = await ctx.callback("ask", key="k", timeout=500)
        await ctx.step(step(TOKENS.append, key="k"), callback.token)
        answer = await callback.result()
        if answer == "no":
            raise ValueError("refused")
        return answer

    id = world.run(handler(front, text), None)
    world.client.complete_callback(TOKENS[0], "no")
    world.advance(1)
    assert again(world, id, "ask.result:k") == []
    world.client.complete_callback(TOKENS[0], "yes")
    world.advance(1)
    assert (world.client.result(id), len(TOKENS)) == ("yes", 1)


def test_a_wait_of_a_task_that_timed_out_is_asked_anew(world: World) -> None:
    """With the callback that it waited for, whose token stays good, and as long as the first time."""

    @durable(name="waits")
    async def waits(event: Any, ctx: Ctx) -> list[Any]:
        async def one() -> Any:
            callback = await ctx.callback("ask", key="k", timeout=500)
            await ctx.step(step(TOKENS.append, key="k"), callback.token)
            return await callback.result()

        async def other() -> str:
            await ctx.sleep(600)
            return await ctx.step(keyed("other"), "other")

        found = await asyncio.gather(one(), other(), return_exceptions=True)
        if isinstance(found[0], BaseException):
            raise found[0]
        return found

    id = world.run(waits, None)
    world.advance(700)
    assert again(world, id) == []
    assert world.client.describe(id).status == "SUSPENDED"
    world.client.complete_callback(TOKENS[0], "yes")
    world.advance(1)
    assert world.client.result(id) == ["yes", "other"]
    assert len(TOKENS) == 1


def test_tasks_of_branches_that_failed_are_all_tried_again(world: World) -> None:
    BROKEN.update(("0", "1"))

    @durable(name="fan")
    async def fan(event: Any, ctx: Ctx) -> list[str]:
        async def branch(c: Ctx, n: int) -> str:
            await c.step(keyed("before"), f"before {n}")
            return await asyncio.create_task(one(c, n))

        async def one(c: Ctx, n: int) -> str:
            return await c.step(keyed("k"), str(n))

        batch = await ctx.map(branch, range(2), completion=Completion.all_settled())
        if batch.failed:
            raise batch.failed[0].error
        return batch.results

    id = world.run(fan, None)
    assert sorted(again(world, id)) == ["0", "1"]
    assert world.client.result(id) == ["0", "1"]


# -- forks ---------------------------------------------------------------------------------------------------------


def see(value: object) -> str:
    SEEN.append(value)
    return str(value)


async def draws(event: Any, ctx: Ctx) -> list[str]:
    found = []
    for key in "abc":
        found.append(await ctx.step(step(see, key=key), ctx.uuid4()))
    return found


@fronts
@pytest.mark.parametrize(("from_step", "same"), [("see:a", 1), ("see:b", 2), ("see:c", 3)])
def test_what_was_drawn_before_is_the_same_and_what_comes_is_new(
    world: World, front: str, from_step: str, same: int
) -> None:
    """Also the arguments of the operation itself: they are drawn before it."""
    id = world.run(handler(front, draws), None)
    copy = world.client.fork(id, from_step=from_step)
    world.advance(1)
    mine, other = world.client.result(id), world.client.result(copy)
    assert [a == b for a, b in zip(mine, other, strict=True)] == [n < same for n in range(3)]


@fronts
def test_draws_between_operations_with_and_without_keys(world: World, front: str) -> None:
    async def text(event: Any, ctx: Ctx) -> list[str]:
        found = []
        for key in ("a", None, "b", None, "c"):
            found.append(await ctx.step(step(see, key=key), ctx.uuid4()))
        return found

    id = world.run(handler(front, text), None)
    for same, from_step in enumerate(("see:a", "see", "see:b", "see#2", "see:c"), 1):
        copy = world.client.fork(id, from_step=from_step)
        world.advance(1)
        pairs = zip(world.client.result(id), world.client.result(copy), strict=True)
        assert [a == b for a, b in pairs] == [n < same for n in range(5)], from_step


def test_draws_of_tasks(world: World) -> None:
    @durable(name="tasks")
    async def drawing(event: Any, ctx: Ctx) -> list[list[str]]:
        async def one(key: str) -> list[str]:
            first = await ctx.step(step(see, key=f"{key}1"), ctx.uuid4())
            await ctx.sleep(len(key))
            return [first, await ctx.step(step(see, key=f"{key}2"), ctx.uuid4())]

        return await asyncio.gather(one("a"), one("bb"))

    id = world.run(drawing, None)
    world.advance(5)
    copy = world.client.fork(id, from_step="see:bb2")
    world.advance(5)
    (a1, a2), (b1, b2) = world.client.result(id)
    assert world.client.result(copy) == [[a1, a2], [b1, b2]]
    assert len(SEEN) == 5, "one ran again, with what was drawn for it before"
    early = world.client.fork(id, from_step="see:a2")
    world.advance(5)
    assert world.client.result(early)[0] == [a1, a2]
    assert world.client.result(early)[1][0] == b1


@fronts
@pytest.mark.parametrize(("asked", "told"), [("k", "k"), ("k", None), (None, "k")])
def test_a_token_that_nobody_would_know(world: World, front: str, asked: str | None, told: str | None) -> None:
    async def text(event: Any, ctx: Ctx) -> Any:
        callback = await ctx.callback("cb", key=asked)
        await ctx.step(step(TOKENS.append, name="tell", key=told), callback.token)
        await ctx.step(keyed("do"), "do")
        return await callback.result()

    id = world.run(handler(front, text), None)
    own = f"cb:{asked}" if asked else "cb"
    with pytest.raises(
        ValueError, match=f"callback '{own}' is open, and operations before 'work:do' handed out its token"
    ):
        world.client.fork(id, from_step="work:do")
    copy = world.client.fork(id, from_step=own)
    world.advance(1)
    world.client.complete_callback(TOKENS[1], "mine")
    world.advance(1)
    assert world.client.result(copy) == "mine"
    assert world.client.describe(id).status == "SUSPENDED"


def test_a_question_of_another_task_is_asked_anew(world: World) -> None:
    @durable(name="under-way")
    async def under_way(event: Any, ctx: Ctx) -> list[Any]:
        async def ask() -> Any:
            return await ctx.wait_for_callback(TOKENS.append, name="cb", key="k")

        async def do() -> str:
            await ctx.sleep(5)
            return await ctx.step(keyed("do"), "do")

        return await asyncio.gather(ask(), do())

    id = world.run(under_way, None)
    world.advance(10)
    copy = world.client.fork(id, from_step="work:do")
    world.advance(1)
    assert len(set(TOKENS)) == 2
    world.client.complete_callback(TOKENS[1], "yes")
    world.advance(1)
    assert world.client.result(copy) == ["yes", "do"]
