"""Libraries that are not handed a context ask for it: the running branch's, none in a step body and outside of a handler."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from durable_fn import (
    AsyncDurableContext,
    DurableContext,
    DurableFunction,
    RetryPolicy,
    current_context,
    durable,
    step,
)
from durable_fn.testing import LocalRunner
from tests.effects import effect
from tests.environments import World
from tests.fronts.both import failure_of, one_call, run

FOUND: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def _fresh() -> None:
    FOUND.clear()


def looks(where: str, answer: Any = None) -> Any:
    """What is found here; with `answer`, a function that looks and gives that."""
    FOUND[where] = current_context()
    return answer


# -- the library ---------------------------------------------------------------------------------------------------


def pay(name: str) -> str:
    ctx = current_context(DurableContext)
    return effect(name) if ctx is None else ctx.step(step(effect, key=name), name)


async def apay(name: str) -> str:
    ctx = current_context(AsyncDurableContext)
    return effect(name) if ctx is None else await ctx.step(step(effect, key=name), name)


@durable(name="shop")
def shop(event: Any, ctx: DurableContext) -> list[Any]:
    def branch(c: DurableContext, n: int) -> str:
        assert current_context() is c
        c.sleep(n)
        return pay(f"branch {n}")

    def child(c: DurableContext) -> str:
        return c.child(lambda c: pay("inner"), name="inside") + pay("child")

    fan = ctx.map(branch, range(3)).results
    return [pay("handler"), ctx.child(child), fan, ctx.race([lambda c: pay("race")])[1], ctx.step(pay, "body")]


@durable(name="shop")
async def ashop(event: Any, ctx: AsyncDurableContext) -> list[Any]:
    async def branch(c: AsyncDurableContext, n: int) -> str:
        assert current_context() is c
        await c.sleep(n)
        return await apay(f"branch {n}")

    async def child(c: AsyncDurableContext) -> str:
        return await c.child(lambda c: apay("inner"), name="inside") + await apay("child")

    fan = (await ctx.map(branch, range(3))).results
    race = await ctx.race([lambda c: apay("race")])
    return [await apay("handler"), await ctx.child(child), fan, race[1], await ctx.step(apay, "body")]


@pytest.mark.parametrize(("front", "pays"), [(shop, "pay"), (ashop, "apay")], ids=["def", "async def"])
def test_it_is_that_of_the_running_branch(world: World, front: DurableFunction[Any, Any], pays: str) -> None:
    id = world.run(front, None)
    world.advance(10)
    assert world.client.result(id) == [
        "handler", "innerchild", [f"branch {n}" for n in range(3)], "race", "body",
    ]  # fmt: skip
    steps = {row.id for row in world.client.history(id) if row.kind == "step"}
    assert steps == {
        *(f"map/{n}/effect:branch {n}" for n in range(3)), "effect:handler", "child/effect:child",
        "child/inside/effect:inner", "race/0/effect:race", pays,
    }  # fmt: skip


def test_native_tasks() -> None:
    @durable(name="tasks")
    async def tasks(event: Any, ctx: AsyncDurableContext) -> list[str]:
        async def nested(name: str) -> str:
            return await asyncio.create_task(apay(name))

        async with asyncio.TaskGroup() as group:
            made = [group.create_task(apay("a")), group.create_task(nested("b"))]
        return [task.result() for task in made] + await asyncio.gather(apay("c"), nested("d"))

    execution = run(tasks)
    assert execution.result == list("abcd")
    assert {e.id for e in execution.history if e.kind == "step"} == {f"effect:{name}" for name in "abcd"}


def test_nested_executions() -> None:
    """A body that runs another handler sees that one's there, and none before and after."""

    @durable(name="inner")
    def inner(event: Any, ctx: DurableContext) -> bool:
        return current_context() is ctx

    def body() -> list[bool]:
        return [current_context() is None, run(inner).result, current_context() is None]

    for function in one_call("outer", lambda ctx: ctx.step(body)):
        assert run(function).result == [True, True, True]


# -- where there is none -------------------------------------------------------------------------------------------


def body() -> str:
    return looks("body", "done")


async def abody() -> str:
    await asyncio.sleep(0)
    return looks("body", "done")  # type: ignore[no-any-return]


def fails() -> None:
    raise ValueError


def compensates(ctx: Any) -> Any:
    saga = ctx.saga()
    saga.add_compensation(looks, "compensation")
    if isinstance(ctx, DurableContext):
        with saga:
            raise LookupError("undo")

    async def undo() -> None:
        async with saga:
            raise LookupError("undo")

    return undo()


NOWHERE: dict[str, Callable[[Any], Any]] = {
    "body": lambda ctx: ctx.step(body),
    "body with a timeout": lambda ctx: ctx.step(step(body, timeout=60)),
    "submitter": lambda ctx: ctx.wait_for_callback(lambda token: looks("submitter"), timeout=1),
    "check": lambda ctx: ctx.poll(lambda state: looks("check", 1), initial=0, until=bool),
    "until": lambda ctx: ctx.poll(lambda state: 1, initial=0, until=lambda state: looks("until", True)),
    "every": lambda ctx: ctx.poll(
        lambda state: state + 1, initial=0, until=lambda n: n > 1, every=lambda state, n: looks("every", 1)
    ),
    "retry": lambda ctx: ctx.step(step(fails, retry=lambda error, attempt: looks("retry"))),
    "retry_on": lambda ctx: ctx.step(
        step(fails, retry=RetryPolicy(retry_on=lambda error: looks("retry_on", answer=False)))
    ),
    "item_name": lambda ctx: ctx.map(lambda c, item: item, ["a"], item_name=lambda item: looks("item_name", item)),
    "compensation": compensates,
}


@pytest.mark.parametrize("where", NOWHERE)
def test_there_is_none(where: str) -> None:
    for function in one_call("f", NOWHERE[where]):
        FOUND.clear()
        with LocalRunner(function) as runner:
            runner.run(None)
            runner.advance(60)
        assert list(FOUND.values()) == [None]


def test_there_is_none_in_async_bodies_and_in_threads() -> None:
    @durable(name="f")
    async def asyn(event: Any, ctx: AsyncDurableContext) -> str:
        return await ctx.step(abody)

    @durable(name="f")
    def sync(event: Any, ctx: DurableContext) -> str:
        thread = threading.Thread(target=looks, args=("thread",))
        thread.start()
        thread.join()
        return str(ctx.parallel([lambda c: c.step(body), lambda c: c.step(body)]).results)

    assert run(asyn).result == "done"
    assert run(sync).result == "['done', 'done']"
    assert FOUND == {"body": None, "thread": None}


def test_there_is_none_outside_of_a_handler() -> None:
    assert current_context() is None
    assert current_context(DurableContext) is current_context(AsyncDurableContext) is None
    for function in one_call("f", lambda ctx: ctx.sleep(5)):
        run(function)
        assert current_context() is None


def test_a_durable_call_in_a_function_that_an_operation_asks() -> None:
    """Its place in the order would depend on who asks."""

    def until(ctx: Any) -> Any:
        return ctx.poll(lambda state: 1, initial=0, until=lambda state: ctx.random() >= 0)

    def item_name(ctx: Any) -> Any:
        return ctx.map(lambda c, item: item, ["a"], item_name=lambda item: str(ctx.uuid4()))

    for call in (until, item_name):
        for function in one_call("f", call):
            told = failure_of(function)
            assert told.startswith("RuntimeError: ctx.")
            assert "in a function that an operation asks (until, every, retry, item_name)" in told


# -- the kind ------------------------------------------------------------------------------------------------------


def test_the_other_kind_is_an_error_and_not_none() -> None:
    @durable(name="f")
    def sync(event: Any, ctx: DurableContext) -> Any:
        assert current_context(DurableContext) is ctx
        return current_context(AsyncDurableContext)

    @durable(name="f")
    async def asyn(event: Any, ctx: AsyncDurableContext) -> Any:
        assert current_context(AsyncDurableContext) is ctx
        return current_context(DurableContext)

    assert failure_of(sync) == (
        "TypeError: current_context(AsyncDurableContext) was called in 'f', which is a plain def handler: its context is of "
        "DurableContext. Ask for that one, or for current_context() and look which it is"
    )
    assert failure_of(asyn).startswith(
        "TypeError: current_context(DurableContext) was called in 'f', which is an async def handler: its context is of "
    )


@pytest.mark.parametrize("kind", [int, "DurableContext", object, 1])
def test_what_is_no_kind(kind: Any) -> None:
    with pytest.raises(TypeError, match="takes DurableContext, AsyncDurableContext or nothing, got"):
        current_context(kind)


def test_asking_for_it_loads_neither_front() -> None:
    code = "import sys; from durable_fn import current_context; assert current_context() is None; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not set(loaded) & {
        "asyncio",
        "boto3",
        "pydantic",
        "durable_fn.runtime.threads.context",
        "durable_fn.runtime.aio.context",
    }
