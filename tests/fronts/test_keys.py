"""A key keeps an operation's result in place: code that changes its order, or its tasks, between deployments finds it again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from durable_fn import AsyncDurableContext, DurableFunction, current_step, durable, step
from durable_fn.errors import NonDeterminismError
from durable_fn.testing import LocalRunner, replay
from tests.corpus.plain import without_loop
from tests.effects import EFFECTS, effect
from tests.environments import World

Ctx = AsyncDurableContext
fronts = pytest.mark.parametrize("front", ["def", "async def"])
in_any_order = pytest.mark.parametrize("front", ["def", "async def"])


def handler(front: str, text: Callable[[Any, Ctx], Any]) -> DurableFunction[Any, Any]:
    """The same text in both fronts."""
    return durable(name="keys")(text if front == "async def" else without_loop(text))


def keyed(key: str, name: str | None = None) -> Any:
    return step(effect, key=key) if name is None else step(effect, name=name, key=key)


def ids(world: World, id: str) -> list[str]:
    """Of what ended, in the order of the log."""
    rows = world.client.history(id)
    return [row.id for row in rows if row.kind != "execution" and row.status != "STARTED"]


# -- ids -----------------------------------------------------------------------------------------------------------


@fronts
def test_the_id_is_name_and_key_in_the_nearest_branch(world: World, front: str) -> None:
    async def text(event: Any, ctx: Ctx) -> None:
        async def inside(c: Ctx) -> None:
            await c.step(keyed("k"), "1")
            await c.step(effect, "2")

        async def branch(c: Ctx, item: str) -> None:
            await c.step(keyed("k"), "3")

        await ctx.step(keyed("k"), "0")
        await ctx.child(inside, name="work", key="k")
        await ctx.map(branch, ["x"])

    id = world.run(handler(front, text), None)
    assert ids(world, id) == [
        "effect:k", "work:k/effect:k", "work:k/effect", "work:k", "map/0/effect:k", "map/0", "map",
    ]  # fmt: skip
    names = {row.id: row.name for row in world.client.history(id)}
    assert (names["effect:k"], names["work:k"], names["work:k/effect:k"]) == ("effect", "work", "effect")


@fronts
def test_what_a_callback_is_made_of_has_its_key(front: str) -> None:
    async def text(event: Any, ctx: Ctx) -> Any:
        async def elsewhere(c: Ctx) -> Any:
            return await opened.result()

        opened = await ctx.callback("form", key="k")
        asked = await ctx.wait_for_callback(lambda token: None, name="approval", key="k")
        return [asked, await opened.result(), await opened.result(), await ctx.child(elsewhere)]

    with LocalRunner(handler(front, text)) as runner:
        execution = runner.run(None)
        runner.complete_callback(execution.callback_token("approval:k"), 1)
        runner.complete_callback(execution.callback_token("form"), 2)
        runner.run_until_idle()
        assert execution.result == [1, 2, 2, 2]
        rows = [(e.id, e.name) for e in execution.history if e.kind == "wait" or e.name == "submit"]
        assert rows == [
            ("approval:k/submit", "submit"), ("approval:k/result", "result"), ("form.result:k", "form.result"),
            ("form.result:k#2", "form.result"), ("elsewhere/form.result:form:k", "form.result"),
        ]  # fmt: skip


@pytest.mark.parametrize("how", ["gather", "group", "tasks in tasks", "in a child"])
def test_whatever_native_task_asks(world: World, how: str) -> None:
    @durable(name="tasks")
    async def tasks(event: Any, ctx: Ctx) -> list[str]:
        async def one(key: str) -> str:
            return await ctx.step(keyed(key), key)

        async def nested(key: str) -> str:
            return await asyncio.create_task(one(key))

        async def both(c: Ctx) -> list[str]:
            return await asyncio.gather(one("a"), one("b"))

        if how == "in a child":
            return await ctx.child(both)
        if how != "group":
            return await asyncio.gather(*map(one if how == "gather" else nested, "ab"))
        async with asyncio.TaskGroup() as group:
            found = [group.create_task(one(key)) for key in "ab"]
        return [task.result() for task in found]

    id = world.run(tasks, None)
    assert world.client.result(id) == ["a", "b"]
    under = "both/" if how == "in a child" else ""
    assert set(ids(world, id)) - {"both"} == {f"{under}effect:a", f"{under}effect:b"}


ODD = ["a:b", "a/b", "a#2", "~1", "$status", "a%3Ab", " ", "é", "k" * 256, "~1/:0"]


@fronts
def test_keys_of_all_kinds_stay_apart(world: World, front: str) -> None:
    """Also from operations without a key whose name looks like one with a key."""

    async def text(event: Any, ctx: Ctx) -> list[str]:
        done = []
        for key in ODD:
            done.append(await ctx.step(keyed(key, "n"), f"key {key}"))
            done.append(await ctx.step(step(effect, name=f"n:{key}"[:256]), f"name {key}"))
            done.append(await ctx.step(keyed("k", key), f"both {key}"))
            done.append(await ctx.child(inside, key=key))
        await ctx.sleep(100)
        return done

    async def inside(c: Ctx) -> str:
        return await c.step(effect, "inside")

    id = world.run(handler(front, text), None)
    first = list(EFFECTS)
    world.advance(100)
    assert world.client.result(id) == EFFECTS == first, "all found again"
    assert len(first) == 4 * len(ODD)
    assert {row.name for row in world.client.history(id) if row.id.startswith("n:")} == {"n"}
    recorded = ids(world, id)
    assert len(recorded) == len(set(recorded))


@fronts
def test_a_key_in_a_decorator_is_good_for_one_call_in_a_branch(front: str) -> None:
    @step(key="once", name="greet")
    def greet(name: str) -> str:
        return effect(name)

    async def text(event: Any, ctx: Ctx) -> Any:
        async def branch(c: Ctx, name: str) -> str:
            return await c.step(greet, name)

        first = await ctx.step(greet, "a")
        await ctx.map(branch, ["b", "c"])
        other = await ctx.step(step(greet, key="other"), "d")
        try:
            await ctx.step(greet, "e")
        except ValueError as error:
            return [first, other, str(error)]

    assert greet("called directly") == "called directly"
    with LocalRunner(handler(front, text)) as runner:
        first, other, told = runner.run(None).result
        assert (first, other) == ("a", "d")
        assert told.startswith(
            "'greet:once' is asked for twice in one branch, as step and as step: a key is good for one call"
        )
        assert "e" not in EFFECTS


# -- duplicates ----------------------------------------------------------------------------------------------------


async def nothing(ctx: Any = None) -> None: ...


def _submit(token: str) -> None: ...


TWINS: dict[str, Callable[[Ctx, str], Any]] = {
    "step": lambda ctx, key: ctx.step(step(effect, name="n", key=key), key),
    "child": lambda ctx, key: ctx.child(nothing, name="n", key=key),
    "callback": lambda ctx, key: ctx.callback("n", key=key),
    "wait_for_callback": lambda ctx, key: ctx.wait_for_callback(_submit, name="n", key=key),
}


@fronts
@pytest.mark.parametrize("second", TWINS)
@pytest.mark.parametrize("first", ["step", "child", "callback"])
def test_the_same_id_twice_in_a_branch(front: str, first: str, second: str) -> None:
    async def text(event: Any, ctx: Ctx) -> str:
        await TWINS[first](ctx, "k")
        await TWINS[first](ctx, "another")
        try:
            await TWINS[second](ctx, "k")
        except ValueError as error:
            return str(error)
        return "no error"

    with LocalRunner(handler(front, text)) as runner:
        execution = runner.run(None)
        kind = "callback" if second == "wait_for_callback" else second
        assert execution.result.startswith(f"'n:k' is asked for twice in one branch, as {first} and as {kind}")
        assert len({e.id for e in execution.history if e.name == "n"} - {execution.id}) <= 2


def test_the_same_id_twice_in_tasks_of_one_branch() -> None:
    @durable(name="twins")
    async def twins(event: Any, ctx: Ctx) -> list[str]:
        async def one(c: Ctx = ctx) -> str:
            return await c.step(keyed("k"), "k")

        together = await asyncio.gather(one(), one(), return_exceptions=True)
        apart = await asyncio.gather(ctx.child(one, key="a"), ctx.child(one, key="b"))
        return [type(found).__name__ if isinstance(found, Exception) else found for found in [*together, *apart]]

    with LocalRunner(twins) as runner:
        assert runner.run(None).result == ["k", "ValueError", "k", "k"]
        assert EFFECTS == ["k", "k", "k"]


@fronts
def test_a_wait_and_an_operation_that_is_called_as_waits_are(front: str) -> None:
    async def text(event: Any, ctx: Ctx) -> list[str]:
        told = []
        for first in ("wait", "step"):
            callback = await ctx.callback(first, key="k", timeout=5)
            for what in (first, "step" if first == "wait" else "wait"):
                try:
                    if what == "step":
                        await ctx.step(step(effect, name=f"{first}.result", key="k"), "x")
                    else:
                        await callback.result()
                except Exception as error:
                    told.append(type(error).__name__)
        return told

    with LocalRunner(handler(front, text)) as runner:
        execution = runner.run(None)
        runner.advance(60)
        assert execution.result == ["CallbackTimeout", "ValueError", "ValueError"]


# -- the order changes between deployments -------------------------------------------------------------------------


def deployed(front: str, steps: list[str]) -> DurableFunction[Any, Any]:
    """Takes these steps, waits, and takes one more. One in brackets has no key."""

    async def text(event: Any, ctx: Ctx) -> list[str]:
        done = {}
        for key in steps:
            plain = step(effect, name=key) if key.startswith("[") else keyed(key)
            done[key] = await ctx.step(plain, key)
        await ctx.wait_for_signal("go")
        return [f"{key}={value}" for key, value in done.items()]

    return handler(front, text)


def redeployed(world: World, front: str, before: list[str], after: list[str]) -> str:
    steps = before.copy()
    function = deployed(front, steps)
    id = world.run(function, None)
    assert before == EFFECTS
    steps[:] = after
    world.client.signal(id, "go")
    world.advance(1)
    return id


CHANGES = {
    "reversed": (["a", "b", "c"], ["c", "b", "a"]),
    "around others": (["a", "[x]", "[y]", "b"], ["b", "[x]", "a", "[y]"]),
    "behind others": (["a", "[x]", "[y]"], ["[x]", "[y]", "a"]),
}


@in_any_order
@pytest.mark.parametrize("change", CHANGES)
def test_another_order_finds_every_result(world: World, front: str, change: str) -> None:
    before, after = CHANGES[change]
    id = redeployed(world, front, before, after)
    assert world.client.result(id) == [f"{key}={key}" for key in after]
    assert before == EFFECTS, "nothing ran again"


@fronts
def test_one_more_behind_the_others(world: World, front: str) -> None:
    id = redeployed(world, front, ["a", "[x]"], ["a", "[x]", "new"])
    assert world.client.result(id) == ["a=a", "[x]=[x]", "new=new"]
    assert EFFECTS == ["a", "[x]", "new"]


def test_one_more_in_front(world: World) -> None:
    """Its place is not compared: it runs, and the others are found. An async handler that awaits it first is held up."""
    id = redeployed(world, "def", ["a", "[x]"], ["new", "a", "[x]"])
    assert world.client.result(id) == ["new=new", "a=a", "[x]=[x]"]
    assert EFFECTS == ["a", "[x]", "new"]


def test_one_that_is_no_longer_asked_for(world: World) -> None:
    id = redeployed(world, "def", ["a", "b"], ["b"])
    error = world.client.describe(id).error
    assert error is not None
    assert "recorded step 'effect:a', attempted the end of the handler" in error["message"]
    assert "at an operation with a key: " in error["message"]


def test_one_that_is_another_one_now(world: World) -> None:
    """It ran before the old one was missed, and nobody claims that it did not."""
    id = redeployed(world, "def", ["a", "b"], ["new", "b"])
    error = world.client.describe(id).error
    assert error is not None
    assert "recorded step 'effect:a', attempted the end of the handler" in error["message"]
    assert "Nothing was run" not in error["message"]
    assert EFFECTS == ["a", "b", "new"]


TASKS = {
    "gather": (["a", "b", "c"], ["c", "a", "b"]),
    "one more in front": (["a", "b"], ["new", "a", "b"]),
    "one more between": (["a", "b"], ["a", "new", "b"]),
}


@pytest.mark.parametrize("how", ["gather", "group"])
@pytest.mark.parametrize("change", TASKS)
def test_tasks_in_another_order(world: World, change: str, how: str) -> None:
    before, after = TASKS[change]
    keys = before.copy()

    @durable(name="tasks")
    async def tasks(event: Any, ctx: Ctx) -> dict[str, str]:
        async def one(key: str) -> tuple[str, str]:
            own = await ctx.step(keyed(key), key)
            return key, own + await ctx.child(inside, key, key=key)

        async def inside(c: Ctx, key: str) -> str:
            return await c.step(effect, f"{key}!")

        if how == "gather":
            found = await asyncio.gather(*map(one, keys))
        else:
            async with asyncio.TaskGroup() as group:
                made = [group.create_task(one(key)) for key in keys]
            found = [task.result() for task in made]
        await ctx.wait_for_signal("go")
        return dict(found)

    id = world.run(tasks, None)
    ran = list(EFFECTS)
    keys[:] = after
    world.client.signal(id, "go")
    world.advance(1)
    assert world.client.result(id) == {key: f"{key}{key}!" for key in after}
    assert sorted(EFFECTS) == sorted([*ran, *(["new", "new!"] if "new" in after else [])]), "nothing ran again"


@pytest.mark.parametrize("how", ["opened", "asked"])
def test_approvals_in_another_order(world: World, how: str) -> None:
    """Tokens that were handed out stay good, and answers reach who asked."""
    keys, tokens = ["a", "b", "c"], {}

    @durable(name="approvals")
    async def approvals(event: Any, ctx: Ctx) -> dict[str, Any]:
        async def one(key: str) -> tuple[str, Any]:
            if how == "asked":
                return key, await ctx.wait_for_callback(lambda token: tokens.update({key: token}), name="ask", key=key)
            callback = await ctx.callback("ask", key=key)
            await ctx.step(step(lambda: tokens.update({key: callback.token}), name="tell", key=key))
            return key, await callback.result()

        return dict(await asyncio.gather(*map(one, keys)))

    id = world.run(approvals, None)
    handed_out = dict(tokens)
    for n, key in enumerate("bac"):
        keys.reverse() if n % 2 else keys.sort(key="cab".index)
        world.client.complete_callback(handed_out[key], f"{key} ok")
        world.advance(1)
    assert world.client.result(id) == {key: f"{key} ok" for key in "abc"}
    assert tokens == handed_out


@in_any_order
def test_waits_in_another_order(world: World, front: str) -> None:
    """Each wait is as stable as its callback, also one that is waited for twice."""
    names, tokens = ["a", "b"], {}

    async def text(event: Any, ctx: Ctx) -> dict[str, Any]:
        callbacks = {name: await ctx.callback("ask", key=name) for name in names}
        tokens.update({name: callback.token for name, callback in callbacks.items()})
        got = {name: [await callbacks[name].result(), await callbacks[name].result()] for name in names}
        await ctx.wait_for_signal("go")
        return got

    id = world.run(handler(front, text), None)
    for name in names:
        world.client.complete_callback(tokens[name], name)
    world.advance(1)
    names.reverse()
    world.client.signal(id, "go")
    world.advance(1)
    assert world.client.result(id) == {"a": ["a", "a"], "b": ["b", "b"]}


def test_the_idempotency_key_stays(world: World) -> None:
    """In another task, and behind another operation."""
    seen: list[str] = []

    def charge() -> None:
        seen.append(current_step().idempotency_key)
        if len(seen) == 1:
            order.append("x")
            raise ConnectionError("not yet")

    order: list[str] = []

    @durable(name="charges")
    async def charges(event: Any, ctx: Ctx) -> None:
        async def one(key: str) -> None:
            await ctx.step(keyed(key), key)

        await asyncio.gather(*map(one, order), ctx.step(step(charge, key="k")))

    world.run(charges, None)
    world.advance(60)
    assert len(seen) == 2
    assert len(set(seen)) == 1


@in_any_order
def test_a_recorded_history_in_another_order(front: str) -> None:
    order = ["a", "b"]

    async def text(event: Any, ctx: Ctx) -> dict[str, str]:
        found = {key: await ctx.step(keyed(key), key) for key in order}
        await ctx.sleep(60)
        return found

    function = handler(front, text)
    with LocalRunner(function) as runner:
        history = [row.to_json() for row in runner.run(None).history]
    order.reverse()
    assert replay(function, history) == {"b": "b", "a": "a"}
    assert EFFECTS == ["a", "b"]


# -- what is no longer the same ------------------------------------------------------------------------------------


@fronts
@pytest.mark.parametrize(("before", "after"), [("step", "child"), ("child", "step"), ("callback", "step")])
def test_one_key_that_became_another_kind(front: str, before: str, after: str) -> None:
    kind = before

    async def text(event: Any, ctx: Ctx) -> None:
        await ctx.sleep(1, name="first")
        await TWINS[kind](ctx, "k")
        await ctx.sleep(100)

    with LocalRunner(handler(front, text), always_suspend=True) as runner:
        execution = runner.start(None)
        runner.run_until_idle()
        runner.advance(2)
        kind = after
        runner.advance(200)
        error = execution.error
        assert isinstance(error, NonDeterminismError)
        assert (error.recorded, error.attempted, error.position) == (f"{before} 'n:k'", f"{after} 'n:k'", -1)
        assert "Likely cause: the operation of this name became another kind" in str(error)
        kind = before
        runner.advance(4000)
        assert execution.status == "SUCCEEDED"


@pytest.mark.parametrize("what", ["step", "child", "callback"])
@pytest.mark.parametrize("gained", [True, False])
def test_an_operation_that_got_a_key_or_lost_it(world: World, what: str, gained: bool) -> None:
    """It must not run again."""
    key = None if gained else "k"

    async def text(event: Any, ctx: Ctx) -> None:
        await ctx.step(keyed("before"), "before")
        if what == "step":
            await ctx.step(step(effect, name="n", key=key), "n")
        elif what == "callback":
            await ctx.callback("n", key=key)
        else:
            await ctx.child(inside, name="n", key=key)
        await ctx.step(keyed("behind"), "behind")
        await ctx.wait_for_callback(_submit, key="open")

    async def inside(c: Ctx) -> None:
        await c.step(effect, "n")

    id = world.run(handler("def", text), None)
    ran = list(EFFECTS)
    key = "k" if gained else None
    world.client.signal(id, "wake")
    world.advance(1)
    error = world.client.describe(id).error
    assert error is not None
    recorded, attempted = ("n", "n:k") if gained else ("n:k", "n")
    assert f"recorded {what} '{recorded}', attempted {what} '{attempted}'" in error["message"]
    assert "Likely cause: the operation got a key, or lost it" in error["message"]
    assert ran == EFFECTS


@pytest.mark.parametrize("what", ["step", "child"])
@pytest.mark.parametrize("gained", [True, False])
def test_an_operation_of_an_async_handler_that_got_a_key_or_lost_it(world: World, what: str, gained: bool) -> None:
    key = None if gained else "k"

    @durable(name="keys")
    async def text(event: Any, ctx: Ctx) -> None:
        if what == "step":
            await ctx.step(step(effect, name="n", key=key), "n")
        else:
            await ctx.child(inside, name="n", key=key)
        await ctx.wait_for_callback(_submit, key="open")

    async def inside(c: Ctx) -> None:
        await c.step(effect, "n")

    id = world.run(text, None)
    key = "k" if gained else None
    world.client.signal(id, "wake")
    world.advance(1)
    error = world.client.describe(id).error
    assert error is not None
    assert error["error_type"] == "durable_fn.errors.NonDeterminismError"
    assert EFFECTS == ["n"]


@fronts
@pytest.mark.parametrize("where", ["handler", "before a task", "in a task", "in a child"])
def test_patched_where_only_operations_with_keys_are_recorded(world: World, front: str, where: str) -> None:
    """What old code recorded has no place: as long as nobody asked for it, it is behind the line."""
    new = False

    async def choose(ctx: Ctx) -> str:
        if new and await ctx.patched("p"):
            return await ctx.step(keyed("new"), "new")
        return "old"

    async def rest(ctx: Ctx) -> None:
        await ctx.wait_for_callback(tokens.append, name="ask", key="k")

    async def both(ctx: Ctx) -> str:
        took = await choose(ctx)
        await rest(ctx)
        return took

    async def text(event: Any, ctx: Ctx) -> str:
        await ctx.step(keyed("before"), "before")
        if where == "in a child":
            return await ctx.child(both, key="c")
        if where == "in a task":
            return await asyncio.create_task(both(ctx))
        if where == "handler":
            return await both(ctx)
        took = await choose(ctx)
        await asyncio.create_task(rest(ctx))
        return took

    if "task" in where and front == "def":
        pytest.skip("tasks are asyncio's")
    tokens: list[str] = []
    function = handler(front, text)
    old = world.run(function, None, "old")
    new = True
    fresh = world.run(function, None, "fresh")
    for token in tokens:
        world.client.complete_callback(token, None)
    world.advance(1)
    assert (world.client.result(old), world.client.result(fresh)) == ("old", "new")
    assert EFFECTS == ["before", "before", "new"]


@fronts
def test_patched_behind_operations_with_keys_is_new(world: World, front: str) -> None:
    async def text(event: Any, ctx: Ctx) -> list[bool]:
        await ctx.step(keyed("a"), "a")
        first = await ctx.patched("p")
        await ctx.sleep(10)
        await ctx.step(keyed("b"), "b")
        return [first, await ctx.patched("q")]

    id = world.run(handler(front, text), None)
    world.advance(20)
    assert world.client.result(id) == [True, True]


# -- logs ----------------------------------------------------------------------------------------------------------


@fronts
def test_a_retry_and_an_at_most_once_step_with_keys(world: World, front: str) -> None:
    tries: list[int] = []

    def flaky() -> str:
        tries.append(current_step().attempt)
        if len(tries) == 1:
            raise ConnectionError("not yet")
        return "ok"

    async def text(event: Any, ctx: Ctx) -> list[str]:
        once = step(effect, key="once", semantics="at_most_once")
        return [await ctx.step(once, "once"), await ctx.step(step(flaky, key="k"))]

    id = world.run(handler(front, text), None)
    world.advance(60)
    assert world.client.result(id) == ["once", "ok"]
    assert tries == [1, 2]
    assert [(r.id, r.attempt) for r in world.client.history(id) if r.name == "flaky"] == [
        ("flaky:k", 1),
        ("flaky:k", 2),
    ]
