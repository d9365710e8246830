"""Calls that would never end: too deep, of oneself, in a circle."""

from __future__ import annotations

from typing import Any

import pytest

from durable_fn import AsyncDurableContext, DurableContext, DurableFunction, durable
from durable_fn.errors import CallTooDeep, ExecutionConflict, UnknownFunction
from tests.environments import Outcome, World


@durable(name="nest")
def nest(event: int, ctx: DurableContext) -> int:
    return 0 if event == 0 else 1 + ctx.call(nest, event - 1)


@durable(name="nest")
async def a_nest(event: int, ctx: AsyncDurableContext) -> int:
    return 0 if event == 0 else 1 + await ctx.call(a_nest, event - 1)


nests = pytest.mark.parametrize("function", [nest, a_nest], ids=["def", "async def"])


@nests
def test_calls_may_be_as_deep_as_the_limit(
    world: World, function: DurableFunction[Any, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DURABLE_FN_CALL_DEPTH", "4")
    assert Outcome(world, world.run(function, 4)).result == 4
    outcome = Outcome(world, world.run(function, 5))
    assert outcome.status == "FAILED"
    assert outcome.error is not None
    assert "4 is the limit (DURABLE_FN_CALL_DEPTH)" in outcome.error.message
    assert "nest -> nest -> nest" in outcome.error.message
    assert "it calls itself" in outcome.error.message
    assert sum(info.name == "nest" for info in world.client.list()) == 10, (
        "nothing was started for the call that was refused"
    )


def test_a_hundred_deep_is_the_default(sqlite_world: Any) -> None:
    assert Outcome(sqlite_world, sqlite_world.run(nest, 100)).result == 100
    assert Outcome(sqlite_world, sqlite_world.run(nest, 101)).status == "FAILED"


def test_the_handler_gets_the_error_the_same_on_every_replay(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURABLE_FN_CALL_DEPTH", "1")
    seen: list[tuple[int, int]] = []

    @durable(name="below")
    def below(event: None, ctx: DurableContext) -> str:
        try:
            ctx.call(below, None)
        except CallTooDeep as error:
            seen.append((error.depth, error.limit))
        ctx.sleep(600)
        return "went on"

    @durable(name="above")
    def above(event: None, ctx: DurableContext) -> str:
        return ctx.call(below, None)

    assert Outcome(world, world.run(above, None, None, below)).result == "went on"
    assert seen == [(2, 1)] * 2


def test_several_functions_in_a_circle_are_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURABLE_FN_CALL_DEPTH", "5")

    @durable(name="ping")
    def ping(event: None, ctx: DurableContext) -> Any:
        return ctx.call("pong", None)

    @durable(name="pong")
    def pong(event: None, ctx: DurableContext) -> Any:
        return ctx.call("ping", None)

    outcome = Outcome(world, world.run(ping, None, None, pong))
    assert outcome.error is not None
    assert "ping -> pong -> ping" in outcome.error.message
    assert "they call each other in a circle" in outcome.error.message


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", "٣"])
def test_a_limit_that_is_none_is_said(sqlite_world: Any, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("DURABLE_FN_CALL_DEPTH", text)
    with pytest.raises(RuntimeError, match="DURABLE_FN_CALL_DEPTH must be a whole number above 0"):
        sqlite_world.run(nest, 1)


def test_a_send_waits_for_nobody_and_may_go_on_for_ever(sqlite_world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURABLE_FN_CALL_DEPTH", "2")

    @durable(name="next")
    def follows(event: int, ctx: DurableContext) -> None:
        if event:
            ctx.send(follows, event - 1)

    sqlite_world.run(follows, 10)
    sqlite_world.advance(60)
    assert [info.status for info in sqlite_world.client.list()] == ["SUCCEEDED"] * 11


# -- circles by fixed ids ------------------------------------------------------------------------------------------


@durable(name="alone")
def alone(event: None, ctx: DurableContext) -> str:
    return ctx.call(alone, None, id=ctx.execution_id)


@durable(name="alone")
async def a_alone(event: None, ctx: AsyncDurableContext) -> str:
    return await ctx.call(a_alone, None, id=ctx.execution_id)


@pytest.mark.parametrize("function", [alone, a_alone], ids=["def", "async def"])
def test_a_call_of_oneself_is_refused(world: World, function: DurableFunction[Any, Any]) -> None:
    outcome = Outcome(world, world.run(function, None, "x"))
    assert outcome.status == "FAILED"
    assert outcome.error is not None
    assert outcome.error.message.startswith("execution 'x' called itself. It could never end")


def test_a_circle_of_fixed_ids_is_told_with_all_who_are_in_it(world: World) -> None:
    @durable(name="circle")
    def circle(event: int, ctx: DurableContext) -> str:
        try:
            return ctx.call(circle, event % 3 + 1, id=f"c-{event % 3 + 1}")
        except ExecutionConflict as error:
            return str(error)

    world.run(circle, 1, "c-1")
    world.advance(3600)
    assert [world.client.describe(f"c-{n}").status for n in (1, 2, 3)] == ["SUCCEEDED"] * 3
    said = world.client.result("c-3")
    assert said.startswith("these executions wait for each other: 'c-1' -> 'c-2' -> 'c-3' -> 'c-1'. It could never end")


# -- functions that nobody knows -----------------------------------------------------------------------------------


def test_an_unknown_function_is_an_outcome_that_a_handler_can_catch(world: World) -> None:
    seen: list[tuple[str, bool]] = []

    @durable(name="caller")
    def caller(event: bool, ctx: DurableContext) -> str:
        for ask in (lambda: ctx.call("tpyo", 1), lambda: ctx.send("tpyo", 1)):
            try:
                ask()
            except UnknownFunction as error:
                seen.append((error.name, "caller" in error.known))
        ctx.sleep(600)
        if event:
            ctx.call("tpyo", 1)
        return "went on"

    assert Outcome(world, world.run(caller, False)).result == "went on"
    assert seen == [("tpyo", True)] * 4
    outcome = Outcome(world, world.run(caller, True))
    assert outcome.error is not None
    assert (outcome.status, outcome.error.error_type) == ("FAILED", "durable_fn.errors.UnknownFunction")
    assert {info.name for info in world.client.list()} == {"caller"}


def test_an_async_handler_catches_it_too(world: World) -> None:
    @durable(name="caller")
    async def caller(event: None, ctx: AsyncDurableContext) -> str:
        try:
            await ctx.call("tpyo", 1)
        except UnknownFunction as error:
            return error.name
        return ""

    assert Outcome(world, world.run(caller, None)).result == "tpyo"


@pytest.mark.parametrize("id", [None, "y"])
def test_an_unknown_function_cannot_be_started(world: World, id: str | None) -> None:
    world.run(nest, 0, "x")
    with pytest.raises(UnknownFunction, match="'tpyo'") as caught:
        world.client.start("tpyo", 1, id=id)
    assert (caught.value.name, caught.value.known) == ("tpyo", ("nest",))
    assert [info.id for info in world.client.list()] == ["x"]


def test_only_a_function_or_a_name_can_be_started(world: World) -> None:
    world.run(nest, 0, "x")
    for start in (world.client.start, lambda name, n: world.client.start_many(name, [n])):
        with pytest.raises(TypeError, match="is a durable function or its name, not int"):
            start(5, 1)  # type: ignore[arg-type,operator]


@pytest.mark.parametrize("ids", [None, ["y", "z"]])
def test_nor_can_many_of_it(world: World, ids: list[str] | None) -> None:
    world.run(nest, 0, "x")
    with pytest.raises(UnknownFunction, match="'tpyo'"):
        world.client.start_many("tpyo", [1, 2], ids=ids)
    assert [info.id for info in world.client.list()] == ["x"]


def test_an_execution_that_nobody_could_wake_takes_no_signal(aws_world: Any) -> None:
    """Its function has neither a queue in the variables nor a row: nothing is written."""
    cloud = aws_world.cloud
    cloud.attach(nest)
    id = cloud.client.start(nest, 1)
    cloud._told.clear()
    with pytest.raises(UnknownFunction):
        cloud.client.signal(id, "x")
    header = cloud.store.get(id)
    assert header is not None
    assert header.n == 0


def test_a_function_that_was_given_is_known_without_a_registry(sqlite_world: Any) -> None:
    @durable(name="stranger")
    def stranger(event: None, ctx: DurableContext) -> None: ...

    sqlite_world.run(nest, 0)
    assert sqlite_world.client.start(stranger, None, id="y") == "y"
    sqlite_world.client.signal("y", "x")


def test_a_function_that_never_ran_is_called_where_a_variable_names_its_queue() -> None:
    from durable_fn.testing.cloud import LocalCloud

    @durable(name="helper")
    def helper(event: int, ctx: DurableContext) -> int:
        return event + 1

    @durable(name="asks")
    def asks(event: int, ctx: DurableContext) -> Any:
        return ctx.call("helper", event)

    for queues, status in ((["asks", "helper"], "SUCCEEDED"), (["asks"], "FAILED")):
        with LocalCloud(queues=queues) as cloud:
            cloud.attach(asks)
            cloud.attach(helper)
            id = cloud.client.start(asks, 1)
            cloud.advance(60)
            assert cloud.client.describe(id).status == status
            if status == "FAILED":  # until it has run once
                cloud.invoke(helper, 1)
                again = cloud.client.start(asks, 1)
                cloud.advance(60)
                assert cloud.client.result(again) == 2
