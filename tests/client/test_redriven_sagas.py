"""Redrives of executions in which a saga was undone, or an at-most-once body interrupted: on both journals, in both fronts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from durable_fn import (
    AsyncDurableContext,
    DurableFunction,
    RetryPolicy,
    current_step,
    durable,
    step,
)
from durable_fn.errors import ExecutionCancelled, StepError, StepInterrupted
from durable_fn.testing import replay
from tests.corpus.plain import without_loop
from tests.effects import EFFECTS
from tests.environments import SqliteWorld, World

Ctx = AsyncDurableContext
Text = Callable[[Any, Any], Awaitable[Any]]
BROKEN: set[str] = set()
KEYS: dict[str, list[str]] = {}
ONCE = RetryPolicy(max_attempts=1)
fronts = pytest.mark.parametrize("front", ["def", "async def"])


@pytest.fixture(autouse=True)
def _fresh() -> None:
    BROKEN.clear()
    KEYS.clear()


class Killed(BaseException):
    """A process that dies in a body."""


@step(retry=ONCE)
def work(name: str) -> str:
    EFFECTS.append(name)
    KEYS.setdefault(name, []).append(current_step().idempotency_key)
    if name in BROKEN:
        raise ConnectionError(f"{name} is broken")
    return name


@step(semantics="at_most_once")
def once(name: str) -> str:
    EFFECTS.append(name)
    if name in BROKEN:
        raise Killed
    return name


def handler(front: str, text: Text, **options: Any) -> DurableFunction[Any, Any]:
    return durable(name="h", **options)(text if front == "async def" else without_loop(text))


def again(world: World, id: str, from_step: str | None = None) -> tuple[str, list[str]]:
    """Redrives it, all mended. Gives where it was cut, and what ran then."""
    BROKEN.clear()
    before = len(EFFECTS)
    cut = world.client.redrive(id, from_step=from_step)
    world.advance(600)
    return cut, EFFECTS[before:]


def run_dying(world: World, function: DurableFunction[Any, Any], event: Any) -> str:
    """To its end, though the process dies on the way."""
    with contextlib.suppress(Killed):
        world.run(function, event, "x")
    pass_time(world)
    return "x"


def pass_time(world: World) -> None:
    for _ in range(6):
        with contextlib.suppress(Killed):
            world.advance(1500)


def status(world: World, id: str) -> str:
    return world.client.describe(id).status


async def order(event: Any, ctx: Ctx) -> str:
    await ctx.step(work, "before")
    async with ctx.saga() as saga:
        await ctx.step(work, "charge")
        saga.add_compensation(work, "refund")
        await ctx.step(work, "ship")
        if "bug" in BROKEN:
            raise KeyError("of the handler itself")
        await ctx.wait_for_signal("go", timeout=10) if event == "waits" else None
    return await ctx.step(work, "after")


@fronts
@pytest.mark.parametrize("broken", ["ship", "bug"])
@pytest.mark.parametrize("from_step", [None, "work#3", "work#2", "work#4"])
def test_a_saga_that_was_undone_is_done_anew(world: World, front: str, broken: str, from_step: str | None) -> None:
    """Whatever was named inside of it: nothing of it counts as done. What came before it does."""
    BROKEN.add(broken)
    id = world.run(handler(front, order), None)
    assert (status(world, id), EFFECTS) == ("FAILED", ["before", "charge", "ship", "refund"])
    assert again(world, id, from_step) == ("work#2", ["charge", "ship", "after"])
    assert world.client.result(id) == "after"
    assert len(set(KEYS["charge"])) == 2, "the provider must not answer with what was undone"
    assert len(set(KEYS["ship"])) == (1 if broken == "ship" else 2), "what failed keeps its key"


@fronts
def test_a_step_of_a_saga_that_was_not_undone(world: World, front: str) -> None:
    id = world.run(handler(front, order), None)
    assert again(world, id, "work#3") == ("work#3", ["ship", "after"])
    assert again(world, id, "work") == ("work", ["before", "charge", "ship", "after"])
    assert [len(set(KEYS[name])) for name in ("before", "charge", "ship", "after")] == [2, 2, 3, 3]


@fronts
@pytest.mark.parametrize("how", ["CANCELLED", "TIMED_OUT"])
def test_a_saga_that_was_undone_because_the_execution_was_ended(world: World, front: str, how: str) -> None:
    async def text(event: Any, ctx: Ctx) -> str:
        async with ctx.saga() as saga:
            await ctx.step(work, "charge")
            saga.add_compensation(work, "refund")
            await ctx.wait_for_signal("go")
        return await ctx.step(work, "ship")

    id = world.run(handler(front, text, execution_timeout=30), None)
    if how == "CANCELLED":
        world.client.cancel(id)
    world.advance(40)
    assert (status(world, id), EFFECTS) == (how, ["charge", "refund"])
    assert again(world, id)[1] == ["charge"]
    world.client.signal(id, "go")
    world.advance(1)
    assert (world.client.result(id), EFFECTS) == ("ship", ["charge", "refund", "charge", "ship"])
    assert len(set(KEYS["charge"])) == 2


@fronts
@pytest.mark.parametrize("caught", [False, True])
def test_sagas_in_sagas(world: World, front: str, caught: bool) -> None:
    """The outer one is done anew with all that is inside. If only the inner one was undone, only that is."""

    async def inner(ctx: Ctx) -> None:
        async with ctx.saga() as saga:
            await ctx.step(work, "car")
            saga.add_compensation(work, "no car")
            await ctx.step(work, "seat")

    async def text(event: Any, ctx: Ctx) -> str:
        async with ctx.saga() as saga:
            await ctx.step(work, "hotel")
            if not caught:
                saga.add_compensation(work, "no hotel")
            await ctx.child(inner)
        return await ctx.step(work, "mail")

    BROKEN.add("seat")
    id = world.run(handler(front, text), None)
    assert ["hotel", "car", "seat", "no car"] + ([] if caught else ["no hotel"]) == EFFECTS
    ran = again(world, id)[1]
    assert ran == ([] if caught else ["hotel"]) + ["car", "seat", "mail"]


@fronts
def test_a_rollback_that_was_dealt_with_stays(world: World, front: str) -> None:
    async def text(event: Any, ctx: Ctx) -> str:
        try:
            async with ctx.saga() as saga:
                await ctx.step(work, "charge")
                saga.add_compensation(work, "refund")
                await ctx.step(work, "ship")
        except StepError:
            await ctx.step(work, "fallback")
        return await ctx.step(work, "mail")

    BROKEN.update(("ship", "mail"))
    id = world.run(handler(front, text), None)
    assert again(world, id) == ("work#5", ["mail"]), "the fallback holds"
    assert again(world, id, "work#4")[1] == ["fallback", "mail"]
    assert again(world, id, "work#2") == ("work", ["charge", "ship", "mail"])


@fronts
def test_what_ran_beside_the_saga_is_not_done_twice(world: World, front: str) -> None:
    async def books(ctx: Ctx) -> str:
        async with ctx.saga() as saga:
            await ctx.step(work, "charge")
            saga.add_compensation(work, "refund")
            await ctx.sleep(5)
            return await ctx.step(work, "ship")

    async def beside(ctx: Ctx) -> str:
        await ctx.step(work, "early")
        await ctx.sleep(20)
        return await ctx.step(work, "late")

    async def text(event: Any, ctx: Ctx) -> list[str]:
        from durable_fn import Completion

        return (await ctx.parallel([books, beside], completion=Completion.all_settled())).results

    BROKEN.add("ship")
    id = world.run(handler(front, text), None)
    world.advance(30)
    assert sorted(EFFECTS) == ["charge", "early", "late", "refund", "ship"]
    assert again(world, id)[1] == ["charge", "ship"]
    assert world.client.result(id) == ["ship", "late"]


def test_native_tasks_of_a_saga(world: World) -> None:
    """Those that the saga began are done anew, with a key or without; one that was there before is not."""

    @durable(name="h")
    async def tasks(event: Any, ctx: Ctx) -> str:
        first = asyncio.create_task(ctx.step(work, "before"))
        await ctx.sleep(1)
        async with ctx.saga() as saga:
            found = await asyncio.gather(
                ctx.step(work, "seat"), ctx.step(step(work, key="k"), "meal"), ctx.step(work, "bed")
            )
            saga.add_compensation(step(work, key="undo"), "undo")
            await first
            await ctx.step(step(work, key="ship"), "ship")
        return ",".join(found)

    BROKEN.add("ship")
    id = world.run(tasks, None)
    world.advance(5)
    assert sorted(EFFECTS) == ["bed", "before", "meal", "seat", "ship", "undo"]
    ran = again(world, id)[1]
    assert sorted(ran) == ["bed", "meal", "seat", "ship"]
    assert world.client.result(id) == "seat,meal,bed"
    assert len(set(KEYS["meal"])) == 2


def test_what_native_tasks_of_a_saga_did_by_themselves(world: World) -> None:
    """Their steps stand in scopes of their own. What a task did that was there before stays."""

    @durable(name="h")
    async def tasks(event: Any, ctx: Ctx) -> str:
        async def books(what: str) -> str:
            await ctx.sleep(1)
            return await ctx.step(work, what)

        first = asyncio.create_task(books("before"))
        await ctx.sleep(3)
        async with ctx.saga() as saga:
            found = await asyncio.gather(books("seat"), books("meal"))
            saga.add_compensation(work, "undo")
            last = asyncio.create_task(books("bed"))
            await ctx.sleep(3)
            await ctx.step(work, "ship")
        return ",".join([*found, await first, await last])

    BROKEN.add("ship")
    id = world.run(tasks, None)
    world.advance(20)
    assert sorted(EFFECTS) == ["bed", "before", "meal", "seat", "ship", "undo"]
    assert sorted(again(world, id)[1]) == ["bed", "meal", "seat", "ship"]
    world.advance(20)
    assert world.client.result(id) == "seat,meal,before,bed"


@fronts
def test_a_compensation_that_failed_is_tried_first(world: World, front: str) -> None:
    """Doing the saga anew would leave what was not undone as it is, for ever."""

    async def text(event: Any, ctx: Ctx) -> str:
        async with ctx.saga() as saga:
            for name in ("car", "hotel", "seat"):
                await ctx.step(work, name)
                saga.add_compensation(work, f"no {name}")
            await ctx.step(work, "ship")
        return "ok"

    BROKEN.update(("ship", "no hotel"))
    id = world.run(handler(front, text), None)
    assert EFFECTS[4:] == ["no seat", "no hotel", "no car"]
    assert again(world, id) == ("work#6", ["no hotel"])
    assert status(world, id) == "FAILED"
    assert "ship is broken" in world.client.describe(id).error["message"]  # type: ignore[index]
    assert again(world, id) == ("work", ["car", "hotel", "seat", "ship"])
    assert world.client.result(id) == "ok"


@fronts
@pytest.mark.parametrize("how", ["CANCELLED", "TIMED_OUT"])
def test_a_compensation_that_failed_after_a_cancellation_is_tried_first(world: World, front: str, how: str) -> None:
    """What was given back before it stays given back, and the execution ends as it was asked to."""

    async def text(event: Any, ctx: Ctx) -> str:
        async with ctx.saga() as saga:
            for name in ("car", "seat"):
                await ctx.step(work, name)
                saga.add_compensation(work, f"no {name}")
            await ctx.wait_for_signal("go")
        return await ctx.step(work, "mail")

    BROKEN.add("no car")
    id = world.run(handler(front, text, execution_timeout=30), None)
    if how == "CANCELLED":
        world.client.cancel(id)
    world.advance(40)
    assert EFFECTS == ["car", "seat", "no seat", "no car"]
    assert again(world, id) == ("work#4", ["no car"])
    assert status(world, id) == how
    assert again(world, id) == ("work", ["car", "seat"])
    world.client.signal(id, "go")
    world.advance(1)
    assert world.client.result(id) == "mail"


@fronts
def test_a_cancellation_that_the_handler_dealt_with_stays(world: World, front: str) -> None:
    async def text(event: Any, ctx: Ctx) -> str:
        try:
            async with ctx.saga() as saga:
                await ctx.step(work, "charge")
                saga.add_compensation(work, "refund")
                await ctx.wait_for_signal("go")
        except ExecutionCancelled:
            await ctx.step(work, "note")
        return await ctx.step(work, "mail")

    BROKEN.add("mail")
    id = world.run(handler(front, text), None)
    world.client.cancel(id)
    world.advance(1)
    assert (status(world, id), EFFECTS) == ("FAILED", ["charge", "refund", "note", "mail"])
    assert again(world, id) == ("work#4", ["mail"])
    assert world.client.result(id) == "mail"


@fronts
def test_a_saga_without_operations_is_cut_at_its_first_compensation(world: World, front: str) -> None:
    """Its own line has an id that nobody can name."""

    async def text(event: Any, ctx: Ctx) -> str:
        async with ctx.saga() as saga:
            saga.add_compensation(work, "undo")
            if "bug" in BROKEN:
                raise KeyError("of the handler itself")
        return "ok"

    BROKEN.add("bug")
    id = world.run(handler(front, text), None)
    assert again(world, id) == ("work", [])
    assert world.client.result(id) == "ok"
    assert [event.id for event in world.client.history(id) if event.kind == "redrive"] == ["work"]


@fronts
def test_one_that_was_terminated_while_its_first_compensation_ran(world: World, front: str) -> None:
    """Nobody recorded that it had run, and yet it may have had its effect: the log knows that it was about to."""

    def refund() -> None:
        EFFECTS.append("refund")
        if EFFECTS.count("refund") == 1:
            world.client.terminate("x")

    async def text(event: Any, ctx: Ctx) -> str:
        async with ctx.saga() as saga:
            await ctx.step(work, "charge")
            saga.add_compensation(refund)
            await ctx.step(work, "ship")
        return "ok"

    BROKEN.add("ship")
    world.run(handler(front, text), None, "x")
    world.advance(600)
    assert (status(world, "x"), EFFECTS) == ("TERMINATED", ["charge", "ship", "refund"])
    assert again(world, "x", "work#2") == ("work", ["charge", "ship"])
    assert world.client.result("x") == "ok"


# -- at most once ----------------------------------------------------------------------------------------------------


async def sends(event: Any, ctx: Ctx) -> str:
    async with ctx.saga() as saga:
        await ctx.step(work, "reserve")
        if event == "undo":
            saga.add_compensation(work, "release")
        await ctx.step(once, "send")
    return await ctx.step(work, "mail")


@fronts
@pytest.mark.parametrize("event", ["keep", "undo"])
def test_an_interrupted_body_runs_again_only_where_it_is_named(world: World, front: str, event: str) -> None:
    BROKEN.add("send")
    id = run_dying(world, handler(front, sends), event)
    undo = ["release"] if event == "undo" else []
    anew = ["reserve"] if event == "undo" else []
    assert (status(world, id), EFFECTS) == ("FAILED", ["reserve", "send", *undo])
    assert again(world, id)[1] == [*anew, *undo]
    assert again(world, id, "work")[1] == ["reserve", *undo]
    assert world.client.describe(id).error["error_type"] == "durable_fn.errors.StepInterrupted"  # type: ignore[index]
    assert again(world, id, "once")[1] == [*anew, "send", "mail"]
    assert world.client.result(id) == "mail"


def test_a_redrive_is_cut_at_the_interrupted_body_that_it_names(sqlite_world: SqliteWorld) -> None:
    """One death interrupted three. The two that are not named stay as they are."""

    @durable(name="h")
    async def text(event: Any, ctx: Ctx) -> list[str]:
        from durable_fn import Completion

        async def sends(c: Ctx, name: str) -> str:
            return await c.step(once, name)

        return (await ctx.map(sends, ["a", "b", "c"], completion=Completion.all_settled())).results

    BROKEN.add("c")
    id = run_dying(sqlite_world, text, None)
    assert (status(sqlite_world, id), EFFECTS) == ("FAILED", ["a", "b", "c"])
    assert again(sqlite_world, id, "map/1/once") == ("map/1/once", ["b"])


@fronts
def test_what_followed_an_interruption_stays(world: World, front: str) -> None:
    """In the branch beside the one that is tried again. The interrupted step is not, so nothing behind it is."""

    async def sends(ctx: Ctx) -> None:
        try:
            await ctx.step(once, "send")
        finally:
            await ctx.step(work, "note")

    async def ships(ctx: Ctx) -> str:
        await ctx.sleep(9000)
        return await ctx.step(work, "ship")

    async def text(event: Any, ctx: Ctx) -> list[str]:
        from durable_fn import Completion

        batch = await ctx.parallel([sends, ships], completion=Completion.all_settled())
        return batch.results

    BROKEN.update(("send", "ship"))
    id = run_dying(world, handler(front, text), None)
    pass_time(world)
    assert (status(world, id), EFFECTS) == ("FAILED", ["send", "note", "ship"])
    assert again(world, id)[1] == ["ship"]
    assert status(world, id) == "FAILED"


@fronts
def test_a_body_that_was_running_when_the_execution_was_terminated(world: World, front: str) -> None:
    @step(semantics="at_most_once")
    def pay() -> None:
        EFFECTS.append("pay")
        if EFFECTS.count("pay") == 1:
            world.client.terminate("x")

    async def text(event: Any, ctx: Ctx) -> None:
        await ctx.step(work, "first")
        await ctx.step(pay)

    world.run(handler(front, text), None, "x")
    world.advance(600)
    assert again(world, "x", "work")[1] == ["first"]
    assert status(world, "x") == "FAILED"
    assert again(world, "x", "pay")[1] == ["pay"]
    assert status(world, "x") == "SUCCEEDED"


@fronts
@pytest.mark.parametrize(
    ("retry", "times"),
    [
        (RetryPolicy(retry_on=StepInterrupted, max_attempts=3), 3),
        (RetryPolicy(retry_on=(OSError, StepInterrupted), max_attempts=2), 2),
        (RetryPolicy(retry_on=Exception), 1),
        (RetryPolicy(retry_on=StepError), 1),
        (RetryPolicy(retry_on=lambda error: True), 1),
        (RetryPolicy(retry_on=StepInterrupted, give_up_on=StepError), 1),
    ],
)
def test_a_policy_that_names_it_tries_again_after_a_crash(
    world: World, front: str, retry: RetryPolicy, times: int
) -> None:
    async def text(event: Any, ctx: Ctx) -> int:
        try:
            await ctx.step(step(once, retry=retry), "send")
        except StepInterrupted as error:
            return error.attempts
        return 0

    BROKEN.add("send")
    id = run_dying(world, handler(front, text), None)
    assert (EFFECTS, world.client.result(id)) == (["send"] * times, times)


# -- what the history tells ------------------------------------------------------------------------------------------


@fronts
def test_an_auditor_sees_all_that_happened(
    world: World, front: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DURABLE_FN_ACTOR", "night shift")
    function = handler(front, order)
    BROKEN.add("ship")
    id = world.run(function, None)
    BROKEN.clear()
    with caplog.at_level(logging.WARNING, "durable_fn"):
        assert world.client.redrive(id, from_step="work#3", reason="the lorry is back", by="ann") == "work#2"
    assert "is redriven from 'work#2', not from 'work#3'" in caplog.text
    world.advance(1)
    events = world.client.history(id)
    told = [(e.id, e.status, e.forgotten) for e in events if e.kind == "step"]
    assert told == [
        ("work", "SUCCEEDED", False),
        ("work#2", "SUCCEEDED", True),
        ("work#3", "FAILED", True),
        ("work#4", "SUCCEEDED", True),
        ("work#2", "SUCCEEDED", False),
        ("work#3", "SUCCEEDED", False),
        ("work#4", "SUCCEEDED", False),
    ]
    (redrive,) = [e for e in events if e.kind == "redrive"]
    assert (redrive.id, redrive.by, redrive.reason) == ("work#2", "ann", "the lorry is back")
    assert redrive.result == {"cut": "work#2", "from_step": "work#3"}
    assert replay(function, [event.to_json() for event in events]) == "after"
    copy = world.client.fork(id, from_step="work#3")
    world.advance(1)
    (fork,) = [e for e in world.client.history(copy) if e.kind == "fork"]
    assert (fork.by, fork.result) == ("night shift", {"of": id, "from_step": "work#3"})
    assert world.client.result(copy) == "after"
