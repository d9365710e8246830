"""One id named by several operations, and what wait for it; limits of functions started by name; late completions."""

from __future__ import annotations

import re
from typing import Any

import pytest

from durable_fn import AsyncDurableContext, Completion, DurableContext, DurableFunction, durable
from durable_fn.errors import (
    CallbackError,
    CallbackFailed,
    CallbackTimeout,
    CallError,
    CallTimeout,
    ExecutionConflict,
    ExecutionNotFound,
    JournalDamaged,
)
from tests.environments import AwsWorld, World

TOKENS: list[str] = []
SETTLED = Completion.all_settled()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    TOKENS.clear()


@durable(name="kid")
def kid(event: Any, ctx: DurableContext) -> Any:
    return ctx.wait_for_signal("go")


def went_on() -> str:
    return "went on"


# -- ids that nobody gave ------------------------------------------------------------------------------------------


@durable(name="p")
def calls_and_sends(event: Any, ctx: DurableContext) -> Any:
    ctx.send(kid, event)
    ctx.sleep(5)
    return ctx.call(kid, event)


@durable(name="p")
async def a_calls_and_sends(event: Any, ctx: AsyncDurableContext) -> Any:
    await ctx.send(kid, event)
    await ctx.sleep(5)
    return await ctx.call(kid, event)


def _children(world: World, id: str) -> set[str]:
    return {one.id for one in world.client.list(name="kid") if one.id.startswith(f"{id}/")}


@pytest.mark.parametrize("handler", [calls_and_sends, a_calls_and_sends], ids=["def", "async def"])
@pytest.mark.parametrize("id", ["order-1", "x" * 400], ids=["short", "hashed"])
def test_nobody_can_know_the_id_of_a_child(world: World, handler: DurableFunction[Any, Any], id: str) -> None:
    """The same execution, started again with the same id and payload, has others: its secret is another one."""
    world.run(handler, 1, id, kid)
    world.advance(10)
    first = _children(world, id[:80])
    assert len(first) == 2, "and every replay finds the ones that are there"
    for child in first:
        world.client.signal(child, "go", 7)
    world.advance(10)
    assert world.client.result(id) == 7
    world.client.purge(id)
    world.run(handler, 1, id, kid)
    world.advance(10)
    again = _children(world, id[:80]) - first
    assert len(again) == 2


def test_the_id_of_a_child_is_readable(world: World) -> None:
    world.run(calls_and_sends, 1, "order-1", kid)
    world.advance(10)
    assert {re.sub("[0-9a-f]{16}$", "", child) for child in _children(world, "order-1")} == {
        "order-1/kid~",
        "order-1/kid#2~",
    }


# -- one id, several operations ------------------------------------------------------------------------------------


@durable(name="p")
def sends_first(event: Any, ctx: DurableContext) -> Any:
    ctx.send(kid, 1, id="K")
    return ctx.call(kid, 1, id="K")


@durable(name="p")
async def a_sends_first(event: Any, ctx: AsyncDurableContext) -> Any:
    await ctx.send(kid, 1, id="K")
    return await ctx.call(kid, 1, id="K")


@durable(name="p")
def asks_again(event: Any, ctx: DurableContext) -> Any:
    try:
        return ctx.call(kid, 1, id="K", timeout=5)
    except CallTimeout as late:
        return ctx.call(kid, 1, id=late.execution_id)


@durable(name="p")
async def a_asks_again(event: Any, ctx: AsyncDurableContext) -> Any:
    try:
        return await ctx.call(kid, 1, id="K", timeout=5)
    except CallTimeout as late:
        return await ctx.call(kid, 1, id=late.execution_id)


@durable(name="p")
def in_branches(event: Any, ctx: DurableContext) -> Any:
    branches = [lambda c: c.call(kid, 1, id="K"), lambda c: c.call(kid, 1, id="K")]
    first, second = ctx.parallel(branches, completion=SETTLED).results
    return first if first == second == ctx.call(kid, 1, id="K") else None


@durable(name="p")
async def a_in_branches(event: Any, ctx: AsyncDurableContext) -> Any:
    branches = [lambda c: c.call(kid, 1, id="K"), lambda c: c.call(kid, 1, id="K")]
    first, second = (await ctx.parallel(branches, completion=SETTLED)).results
    return first if first == second == await ctx.call(kid, 1, id="K") else None


@pytest.mark.parametrize(
    "handler",
    [sends_first, a_sends_first, asks_again, a_asks_again, in_branches, a_in_branches],
    ids=lambda h: h.__wrapped__.__name__,
)
def test_all_that_name_one_execution_get_its_result(world: World, handler: DurableFunction[Any, Any]) -> None:
    id = world.run(handler, None, None, kid)
    world.advance(10)
    world.client.signal("K", "go", 7)
    world.advance(1)
    assert world.client.result(id) == 7


def test_an_execution_that_a_client_started_can_be_called(world: World) -> None:
    @durable(name="p")
    def caller(event: Any, ctx: DurableContext) -> Any:
        return ctx.call(kid, 1, id="K")

    world.run(caller, None, "first", kid)  # so that both functions are known
    world.client.signal("K", "go", 0)
    world.advance(1)
    world.client.purge("K")
    world.client.start(kid, 1, id="K")
    world.advance(1)
    id = world.run(caller, None, "second", kid)
    assert world.client.describe("K").parent_id == "second"
    world.client.signal("K", "go", 7)
    world.advance(1)
    assert (world.client.result("first"), world.client.result(id)) == (0, 7)


@durable(name="p")
def takes_both(event: Any, ctx: DurableContext) -> Any:
    try:
        return ctx.call(kid, event, id="K")
    except ExecutionConflict as conflict:
        return [str(conflict), conflict.execution_id, ctx.step(went_on)]


@durable(name="p")
async def a_takes_both(event: Any, ctx: AsyncDurableContext) -> Any:
    try:
        return await ctx.call(kid, event, id="K")
    except ExecutionConflict as conflict:
        return [str(conflict), conflict.execution_id, await ctx.step(went_on)]


@pytest.mark.parametrize("handler", [takes_both, a_takes_both], ids=["def", "async def"])
def test_two_executions_cannot_wait_for_one(world: World, handler: DurableFunction[Any, Any]) -> None:
    first = world.run(handler, 1, "first", kid)
    second = world.run(handler, 1, "second", kid)
    text, id, after = world.client.result(second)
    assert "is under way and tells its end to execution 'first' (SUSPENDED), and to no other" in text
    assert (id, after) == ("K", "went on")
    world.client.signal("K", "go", 7)
    world.advance(1)
    assert world.client.result(first) == 7
    third = world.run(handler, 1, "third", kid)
    assert world.client.result(third) == 7, "it is over: anybody may have its result"
    fourth = world.run(handler, 2, "fourth", kid)
    assert "was started with another payload" in world.client.result(fourth)[0]


def test_a_conflict_is_the_same_on_replay(world: World) -> None:
    """Also when the other execution is over by then."""

    @durable(name="p")
    def caller(event: Any, ctx: DurableContext) -> Any:
        try:
            return ctx.call(kid, 1, id="K")
        except ExecutionConflict:
            return ctx.wait_for_signal("more")

    world.run(caller, None, "first", kid)
    second = world.run(caller, None, "second", kid)
    world.client.signal("K", "go", 7)
    world.advance(1)
    world.client.signal(second, "more", 8)
    world.advance(1)
    assert (world.client.result("first"), world.client.result(second)) == (7, 8)


@pytest.mark.parametrize("how", ["call", "send"])
def test_another_payload_under_one_id(world: World, how: str) -> None:
    @durable(name="p")
    def caller(event: Any, ctx: DurableContext) -> Any:
        do = ctx.call if how == "call" else ctx.send
        first = do(echo, 1, id="K")
        try:
            return [first, do(echo, 2, id="K")]
        except ExecutionConflict as conflict:
            return [first, "another payload" in str(conflict)]

    @durable(name="echo")
    def echo(event: Any, ctx: DurableContext) -> Any:
        return event

    id = world.run(caller, None, None, echo)
    assert world.client.result(id) == [1 if how == "call" else "K", True]


def test_somebody_begins_to_wait_while_it_runs(world: World) -> None:
    """Its owner does not know of them when it comes to its end."""

    @durable(name="caller")
    def caller(event: Any, ctx: DurableContext) -> Any:
        return ctx.call(busy, 1, id="K")

    @durable(name="busy")
    def busy(event: Any, ctx: DurableContext) -> str:
        return ctx.step(lambda: str(world.invoke(caller, None)["execution_id"]))

    if isinstance(world, AwsWorld):
        world.cloud.attach(caller)
        id = world.run(busy, 1, "K")
    else:
        runner = world.runner(caller, busy)  # type: ignore[attr-defined]
        id = world.client.start(busy, 1, id="K")
        runner.run_until_idle()
    world.advance(1)
    assert world.client.result(world.client.result(id)) == world.client.result(id)


# -- errors of others ----------------------------------------------------------------------------------------------


def test_a_timeout_inside_a_called_execution_is_not_the_calls_own(world: World) -> None:
    @durable(name="middle")
    def middle(event: Any, ctx: DurableContext) -> Any:
        return ctx.call(kid, None, timeout=10)

    @durable(name="outer")
    def outer(event: Any, ctx: DurableContext) -> Any:
        try:
            return ctx.call(middle, None)
        except CallError as error:
            return [type(error).__name__, error.status, error.error_type]

    id = world.run(outer, None, None, middle, kid)
    world.advance(20)
    assert world.client.result(id) == ["CallError", "FAILED", "durable_fn.errors.CallTimeout"]


def test_the_other_side_cannot_say_timeout(world: World) -> None:
    @durable(name="asks")
    def asks(event: Any, ctx: DurableContext) -> Any:
        try:
            return ctx.wait_for_callback(TOKENS.append, name="cb")
        except CallbackFailed as error:
            return [type(error).__name__, error.error_type]

    id = world.run(asks, None)
    world.client.fail_callback(TOKENS[0], "m", "durable_fn.errors.CallbackTimeout")
    world.advance(1)
    assert world.client.result(id) == ["CallbackFailed", "durable_fn.errors.CallbackTimeout"]


# -- callbacks whose time is over while nobody waits ---------------------------------------------------------------


def _late(limit: str) -> tuple[DurableFunction[Any, Any], DurableFunction[Any, Any]]:
    @durable(name="late")
    def late(event: Any, ctx: DurableContext) -> Any:
        callback = ctx.callback("cb", **{limit: 10})
        ctx.step(TOKENS.append, callback.token)
        ctx.sleep(100)
        try:
            return callback.result()
        except CallbackTimeout as error:
            return ["timed out", error.heartbeat]

    @durable(name="late")
    async def a_late(event: Any, ctx: AsyncDurableContext) -> Any:
        callback = await ctx.callback("cb", **{limit: 10})
        await ctx.step(TOKENS.append, callback.token)
        await ctx.sleep(100)
        try:
            return await callback.result()
        except CallbackTimeout as error:
            return ["timed out", error.heartbeat]

    return late, a_late


def _start(world: World, function: DurableFunction[Any, Any]) -> str:
    if isinstance(world, AwsWorld):
        world.cloud.attach(function)
    else:
        world.runner(function)  # type: ignore[attr-defined]
    id = world.client.start(function, None)
    world.advance(0)
    return id


@pytest.mark.parametrize("front", [0, 1], ids=["def", "async def"])
@pytest.mark.parametrize("limit", ["timeout", "heartbeat_timeout"])
def test_the_timeout_runs_from_creation(world: World, front: int, limit: str) -> None:
    id = _start(world, _late(limit)[front])
    world.advance(9)
    if limit == "heartbeat_timeout":
        world.client.heartbeat_callback(TOKENS[0])
        world.advance(9)
    world.advance(1)
    for act in (
        lambda: world.client.complete_callback(TOKENS[0], 1),
        lambda: world.client.heartbeat_callback(TOKENS[0]),
    ):
        with pytest.raises(CallbackError, match="timed out before"):
            act()
    world.advance(100)
    assert world.client.result(id) == ["timed out", limit == "heartbeat_timeout"]


@pytest.mark.parametrize("front", [0, 1], ids=["def", "async def"])
def test_an_answer_in_time_counts_though_it_is_looked_at_late(world: World, front: int) -> None:
    id = _start(world, _late("timeout")[front])
    world.advance(9)
    world.client.complete_callback(TOKENS[0], "answer")
    world.advance(50)
    world.client.complete_callback(TOKENS[0], "answer")  # once more: accepted quietly, also when the time is over
    world.advance(100)
    assert world.client.result(id) == "answer"


def test_an_answer_whose_client_could_not_know_the_time(world: World) -> None:
    """It comes while the step that hands the token out still runs: the log does not have the callback yet."""

    @durable(name="slow")
    def slow(event: Any, ctx: DurableContext) -> Any:
        callback = ctx.callback("cb", timeout=10)

        def submit(token: str) -> None:
            world.backend.clock.sleep(11)
            world.client.complete_callback(token, "late")

        ctx.step(submit, callback.token)
        try:
            return callback.result()
        except CallbackTimeout:
            return "timed out"

    id = world.run(slow, None)
    assert world.client.result(id) == "timed out"


def test_a_heartbeat_to_an_execution_that_has_ended(world: World) -> None:
    id = _start(world, _late("heartbeat_timeout")[0])
    world.client.terminate(id)
    with pytest.raises(CallbackError, match="has ended"):
        world.client.heartbeat_callback(TOKENS[0])


# -- started by name -----------------------------------------------------------------------------------------------


@durable(name="limited", execution_timeout=60, retention=100)
def limited(event: Any, ctx: DurableContext) -> Any:
    return ctx.step(went_on) if event else ctx.wait_for_signal("x")


def test_limits_are_the_functions_own_however_it_is_started(world: World) -> None:
    @durable(name="p")
    def caller(event: Any, ctx: DurableContext) -> Any:
        ctx.send("limited", None, id="sent")
        try:
            ctx.call("limited", None, id="called")
        except CallError as error:
            return error.status

    id = world.run(caller, None, None, limited)
    world.client.start("limited", None, id="by name")
    world.client.start(limited, None, id="by object")
    ids = ["sent", "called", "by name", "by object"]
    world.advance(59)
    assert {world.client.describe(one).status for one in ids} == {"SUSPENDED"}
    world.advance(5)
    assert {world.client.describe(one).status for one in ids} == {"TIMED_OUT"}
    assert world.client.result(id) == "TIMED_OUT"
    for one in ids:
        header = world.backend.store.get(one)
        assert header is not None
        assert header.finished is not None
        assert header.ttl == -(-header.finished // 1000) + 100, "its retention"


def test_the_time_counts_from_when_it_can_begin(world: World) -> None:
    world.run(limited, True, "known")
    for name, target in (("by object", limited), ("by name", "limited")):
        world.client.start(target, False, id=name, delay=100)  # type: ignore[call-overload]
    world.advance(155)
    assert {world.client.describe(name).status for name in ("by object", "by name")} == {"SUSPENDED"}
    world.advance(10)
    assert {world.client.describe(name).status for name in ("by object", "by name")} == {"TIMED_OUT"}


@durable(name="limited-loop", execution_timeout=60)
def limited_loop(event: Any, ctx: DurableContext) -> Any:
    if event < 3:
        ctx.sleep(50)
        ctx.continue_as_new(event + 1)
    return ctx.wait_for_signal("x")


def test_each_generation_has_the_functions_whole_time(world: World) -> None:
    world.run(limited_loop, 9, "known")
    for name, target in (("by object", limited_loop), ("by name", "limited-loop")):
        world.client.start(target, 0, id=name)  # type: ignore[call-overload]
    world.advance(195)
    assert {world.client.describe(name).status for name in ("by object", "by name")} == {"SUSPENDED"}
    world.advance(20)
    assert {world.client.describe(name).status for name in ("by object", "by name")} == {"TIMED_OUT"}


def test_a_redrive_is_given_time_without_limit_however_it_was_started(world: World) -> None:
    world.run(limited, True, "known")
    for name, target in (("by object", limited), ("by name", "limited")):
        world.client.start(target, False, id=name)  # type: ignore[call-overload]
    world.advance(65)
    assert {world.client.describe(name).status for name in ("by object", "by name")} == {"TIMED_OUT"}
    for name in ("by object", "by name"):
        world.client.redrive(name)
    world.advance(600)
    assert {world.client.describe(name).status for name in ("by object", "by name")} == {"SUSPENDED"}


# -- values that are gone ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["input", "result"])
def test_a_large_value_whose_item_is_gone_is_an_error_not_null(aws_world: AwsWorld, what: str) -> None:
    @durable(name="big")
    def big(event: Any, ctx: DurableContext) -> Any:
        return event

    id = aws_world.run(big, [str(n**9) for n in range(2000)])
    assert aws_world.client.result(id) == aws_world.client.describe(id).input
    table = aws_world.cloud.store.table
    for item in list(table.partition(id)):
        if f"#{what}#" in item["sk"]["S"]:
            table.delete({"pk": item["pk"], "sk": item["sk"]})
    for ask in (aws_world.client.result, aws_world.client.describe, aws_world.client.history):
        with pytest.raises(
            (ExecutionNotFound, JournalDamaged), match=f"the {what} of execution '{id}' is not there any more"
        ):
            ask(id)
    assert [info.id for info in aws_world.client.list()] == [id]
