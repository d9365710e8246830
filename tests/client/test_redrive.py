"""What a redrive tries again, and what it leaves alone: on both journals, in both fronts."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import Any

import pytest

from durable_fn import (
    AsyncDurableContext,
    Completion,
    DurableClient,
    DurableContext,
    DurableFunction,
    RetryPolicy,
    current_step,
    durable,
    step,
)
from durable_fn.core.current import current_scope
from durable_fn.errors import CallbackError, CallError, ExecutionCancelled, ExecutionTimedOut, StepError
from tests.effects import EFFECTS
from tests.environments import World, child_of

BROKEN: set[str] = set()
TOKENS: list[str] = []
ONCE = RetryPolicy(max_attempts=1)
fronts = pytest.mark.parametrize("front", ["def", "async def"])


@pytest.fixture(autouse=True)
def _fresh() -> None:
    BROKEN.clear()
    TOKENS.clear()


@step(retry=ONCE)
def work(name: str) -> str:
    EFFECTS.append(name)
    if name in BROKEN:
        raise ConnectionError(name)
    return name


def again(world: World, id: str) -> list[str]:
    """Redrives it, all mended. Gives what ran then."""
    BROKEN.clear()
    before = len(EFFECTS)
    world.client.redrive(id)
    world.advance(100)
    return EFFECTS[before:]


# -- the cause -----------------------------------------------------------------------------------------------------


@durable(name="bug")
def bug(event: Any, ctx: DurableContext) -> str:
    with contextlib.suppress(StepError):
        ctx.step(work, "optional")
    ctx.step(work, "charge")
    if "bug" in BROKEN:
        raise KeyError("after the charge")
    return "ok"


@durable(name="bug")
async def a_bug(event: Any, ctx: AsyncDurableContext) -> str:
    with contextlib.suppress(StepError):
        await ctx.step(work, "optional")
    await ctx.step(work, "charge")
    if "bug" in BROKEN:
        raise KeyError("after the charge")
    return "ok"


@fronts
def test_a_failure_that_was_caught_is_no_cause(world: World, front: str) -> None:
    BROKEN.update(("optional", "bug"))
    id = world.run(bug if front == "def" else a_bug, None)
    assert world.client.describe(id).status == "FAILED"
    assert again(world, id) == [], "the charge is done, and so is what failed and was caught"
    assert world.client.result(id) == "ok"


def test_one_that_was_terminated_goes_on_where_it_was(world: World) -> None:
    @durable(name="waits")
    def waits(event: Any, ctx: DurableContext) -> Any:
        try:
            ctx.step(work, "optional")
        except StepError:
            ctx.step(work, "charge")
        return ctx.wait_for_signal("go")

    BROKEN.add("optional")
    id = world.run(waits, None)
    world.client.terminate(id)
    assert again(world, id) == []
    world.client.signal(id, "go", 7)
    world.advance(1)
    assert world.client.result(id) == 7


class OrderError(Exception):
    pass


@durable(name="wraps")
def wraps(event: str, ctx: DurableContext) -> str:
    ctx.step(work, "first")
    try:
        ctx.step(work, "second")
    except StepError as error:
        ctx.step(work, "notify")
        if event == "clean-up":
            ctx.step(work, "tidy")
        if event == "the first":
            try:
                ctx.step(work, "tidy")
            except StepError:
                raise error  # noqa: B904
        if event == "from":
            raise OrderError from error
        if event == "context":
            raise OrderError  # noqa: B904
        raise OrderError from None
    return ctx.step(work, "third")


@durable(name="wraps")
async def a_wraps(event: str, ctx: AsyncDurableContext) -> str:
    await ctx.step(work, "first")
    try:
        await ctx.step(work, "second")
    except StepError as error:
        await ctx.step(work, "notify")
        if event == "clean-up":
            await ctx.step(work, "tidy")
        if event == "the first":
            try:
                await ctx.step(work, "tidy")
            except StepError:
                raise error  # noqa: B904
        if event == "from":
            raise OrderError from error
        if event == "context":
            raise OrderError  # noqa: B904
        raise OrderError from None
    return await ctx.step(work, "third")


@fronts
@pytest.mark.parametrize("how", ["from", "context", "none"])
def test_the_cause_is_found_behind_the_handlers_own_error(world: World, front: str, how: str) -> None:
    BROKEN.add("second")
    id = world.run(wraps if front == "def" else a_wraps, how)
    assert EFFECTS == ["first", "second", "notify"]
    assert again(world, id) == ["second", "third"], "the notification was clean-up"
    assert world.client.result(id) == "third"


@fronts
@pytest.mark.parametrize("raised", ["clean-up", "the first"])
def test_the_cause_is_found_behind_clean_up_that_failed(world: World, front: str, raised: str) -> None:
    BROKEN.update(("second", "tidy"))
    id = world.run(wraps if front == "def" else a_wraps, raised)
    assert EFFECTS == ["first", "second", "notify", "tidy"]
    assert again(world, id) == ["second", "third"], "clean-up is no cause, also where it failed"
    assert world.client.result(id) == "third"


def test_one_exception_object_raised_by_many_executions(world: World) -> None:
    error = OrderError("always the same")

    def inner(ctx: DurableContext) -> None:
        if fails:
            raise error

    @durable(name="shares")
    def shares(event: Any, ctx: DurableContext) -> str:
        ctx.child(inner)
        ctx.step(work, "charge")
        if "bug" in BROKEN:
            raise error
        return "ok"

    BROKEN.add("bug")
    fails = True
    first = world.run(shares, None)
    fails = False
    second = world.run(shares, None)
    assert again(world, second) == [], "another execution's mark says nothing here"
    assert again(world, first) == ["charge"]


# -- branches ------------------------------------------------------------------------------------------------------


def failing(ctx: DurableContext) -> str:
    return ctx.step(work, "a")


def slow(ctx: DurableContext) -> str:
    ctx.sleep(10)
    return ctx.step(work, "charge")


async def a_failing(ctx: AsyncDurableContext) -> str:
    return await ctx.step(work, "a")


async def a_slow(ctx: AsyncDurableContext) -> str:
    await ctx.sleep(10)
    return await ctx.step(work, "charge")


SETTLED = Completion.all_settled()


@durable(name="fans")
def fans(event: Any, ctx: DurableContext) -> list[str]:
    return ctx.parallel({"a": failing, "b": slow}, completion=SETTLED).results


@durable(name="fans")
async def a_fans(event: Any, ctx: AsyncDurableContext) -> list[str]:
    return (await ctx.parallel({"a": a_failing, "b": a_slow}, completion=SETTLED)).results


@durable(name="fans")
async def gathers(event: Any, ctx: AsyncDurableContext) -> list[str]:
    found = await asyncio.gather(a_failing(ctx), a_slow(ctx), return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            await ctx.step(work, "notify")
            raise one
    return [str(one) for one in found]


@pytest.mark.parametrize("handler", [fans, a_fans, gathers], ids=["def", "async def", "gather"])
def test_what_succeeded_beside_it_and_after_it_is_not_done_twice(
    world: World, handler: DurableFunction[Any, Any]
) -> None:
    BROKEN.add("a")
    id = world.run(handler, None)
    assert EFFECTS[:2] == ["a", "charge"]
    assert again(world, id) == ["a"]
    assert world.client.result(id) == ["a", "charge"]


def test_all_branches_that_failed_are_tried_again(world: World) -> None:
    def own(ctx: DurableContext) -> str:
        done = ctx.step(work, "own")
        if "bug" in BROKEN:
            raise ValueError("of the branch itself")
        return done

    @durable(name="several")
    def several(event: Any, ctx: DurableContext) -> list[str]:
        return ctx.parallel([failing, slow, own], completion=SETTLED).results

    BROKEN.update(("a", "charge", "bug"))
    id = world.run(several, None)
    assert sorted(again(world, id)) == ["a", "charge"]
    assert world.client.result(id) == ["a", "charge", "own"]


@durable(name="loses")
def loses(event: Any, ctx: DurableContext) -> list[str]:
    def loser(c: DurableContext) -> str:
        with c.saga() as saga:
            saga.add_compensation(work, "undo")
            c.step(work, "reserve")
            c.sleep(50)
            return c.step(work, "pay")

    def fails(c: DurableContext) -> str:
        c.sleep(5)
        return c.step(work, "a")

    return ctx.parallel([loser, fails]).results


@durable(name="loses")
async def a_loses(event: Any, ctx: AsyncDurableContext) -> list[str]:
    async def loser(c: AsyncDurableContext) -> str:
        async with c.saga() as saga:
            saga.add_compensation(work, "undo")
            await c.step(work, "reserve")
            await c.sleep(50)
            return await c.step(work, "pay")

    async def fails(c: AsyncDurableContext) -> str:
        await c.sleep(5)
        return await c.step(work, "a")

    return (await ctx.parallel([loser, fails])).results


@fronts
def test_a_branch_that_the_failure_cancelled_goes_on_and_its_saga_begins_anew(world: World, front: str) -> None:
    BROKEN.add("a")
    id = world.run(loses if front == "def" else a_loses, None)
    assert EFFECTS == ["reserve", "a", "undo"]
    assert sorted(again(world, id)) == ["a", "pay", "reserve"], "its saga was undone, so it is done anew"
    assert world.client.result(id) == ["pay", "a"]


@durable(name="narrow")
def narrow(event: int, ctx: DurableContext) -> list[str]:
    def one(c: DurableContext, name: str) -> str:
        return c.step(work, name)

    return ctx.map(one, ["a", "b", "c"], max_concurrency=event, completion=SETTLED).results


@durable(name="narrow")
async def a_narrow(event: int, ctx: AsyncDurableContext) -> list[str]:
    async def one(c: AsyncDurableContext, name: str) -> str:
        return await c.step(work, name)

    return (await ctx.map(one, ["a", "b", "c"], max_concurrency=event, completion=SETTLED)).results


@fronts
@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("broken", ["a", "b", "c"])
def test_branches_that_began_behind_the_failure_are_not_done_again(
    world: World, front: str, width: int, broken: str
) -> None:
    """They waited for the branch that is tried again, and now their results come before its own."""
    BROKEN.add(broken)
    id = world.run(narrow if front == "def" else a_narrow, width)
    assert again(world, id) == [broken]
    assert world.client.result(id) == ["a", "b", "c"]


@durable(name="in flight")
def in_flight(event: Any, ctx: DurableContext) -> list[str]:
    recorded = threading.Event()

    def charges(c: DurableContext) -> str:
        def charge() -> str:
            assert BROKEN.isdisjoint("a") or recorded.wait(10)
            time.sleep(0.2)  # until the failure beside is recorded
            return work("charge")

        done = c.step(charge)
        c.sleep(5)
        return done

    def fails(c: DurableContext) -> str:
        try:
            return c.step(work, "a")
        finally:
            recorded.set()

    return ctx.parallel([charges, fails]).results


def test_a_body_that_ran_while_the_branch_beside_failed_is_no_clean_up(world: World) -> None:
    BROKEN.add("a")
    id = world.run(in_flight, None)
    assert EFFECTS == ["a", "charge"]
    assert again(world, id) == ["a"], "the charge is recorded, and was made before its branch was cancelled"
    assert world.client.result(id) == ["charge", "a"]


@durable(name="races")
def races(event: Any, ctx: DurableContext) -> list[str]:
    def quick(c: DurableContext) -> str:
        c.sleep(5)
        return c.step(work, "quick")

    def beside(c: DurableContext) -> str:
        c.race([quick, lambda r: r.sleep(50)])
        return c.step(work, "charge")

    return ctx.parallel([failing, beside], completion=SETTLED).results


@durable(name="races")
async def a_races(event: Any, ctx: AsyncDurableContext) -> list[str]:
    async def quick(c: AsyncDurableContext) -> str:
        await c.sleep(5)
        return await c.step(work, "quick")

    async def beside(c: AsyncDurableContext) -> str:
        await c.race([quick, lambda r: r.sleep(50)])
        return await c.step(work, "charge")

    return (await ctx.parallel([a_failing, beside], completion=SETTLED)).results


@fronts
def test_a_race_that_was_lost_beside_is_not_run_again(world: World, front: str) -> None:
    BROKEN.add("a")
    id = world.run(races if front == "def" else a_races, None)
    assert EFFECTS == ["a", "quick", "charge"]
    assert again(world, id) == ["a"]
    assert world.client.result(id) == ["a", "charge"]


@durable(name="nested")
def nested(event: Any, ctx: DurableContext) -> str:
    def inside(c: DurableContext) -> str:
        done = c.step(work, "inside")
        if "bug" in BROKEN:
            raise ValueError("of the child itself")
        return done

    return ctx.child(inside) + ctx.step(work, "after")


@durable(name="nested")
async def a_nested(event: Any, ctx: AsyncDurableContext) -> str:
    async def inside(c: AsyncDurableContext) -> str:
        done = await c.step(work, "inside")
        if "bug" in BROKEN:
            raise ValueError("of the child itself")
        return done

    return await ctx.child(inside) + await ctx.step(work, "after")


@fronts
def test_a_childs_own_mistake_leaves_its_steps_alone(world: World, front: str) -> None:
    BROKEN.add("bug")
    id = world.run(nested if front == "def" else a_nested, None)
    assert again(world, id) == ["after"]
    assert world.client.result(id) == "insideafter"
    assert [
        e.status for e in world.client.history(id) if e.id == "inside" and e.kind == "child" and not e.forgotten
    ] == [
        "STARTED",
        "SUCCEEDED",
    ]


# -- ended from above ----------------------------------------------------------------------------------------------


@durable(name="ended", execution_timeout=20)
def ended(event: Any, ctx: DurableContext) -> Any:
    def one(c: DurableContext) -> str:
        c.step(work, "one")
        c.wait_for_signal("go")
        return c.step(work, "more")

    def two(c: DurableContext) -> str:
        return c.step(work, "two")

    try:
        return ctx.parallel([one, two], completion=SETTLED).results
    except (ExecutionCancelled, ExecutionTimedOut):
        ctx.step(work, "clean-up")
        raise


@durable(name="ended", execution_timeout=20)
async def a_ended(event: Any, ctx: AsyncDurableContext) -> Any:
    async def one(c: AsyncDurableContext) -> str:
        await c.step(work, "one")
        await c.wait_for_signal("go")
        return await c.step(work, "more")

    async def two(c: AsyncDurableContext) -> str:
        return await c.step(work, "two")

    try:
        return (await ctx.parallel([one, two], completion=SETTLED)).results
    except (ExecutionCancelled, ExecutionTimedOut):
        await ctx.step(work, "clean-up")
        raise


@fronts
@pytest.mark.parametrize("status", ["CANCELLED", "TIMED_OUT"])
def test_what_ran_before_it_was_ended_stays(world: World, front: str, status: str) -> None:
    id = world.run(ended if front == "def" else a_ended, None)
    if status == "CANCELLED":
        world.client.cancel(id)
    world.advance(30)
    assert world.client.describe(id).status == status
    assert sorted(EFFECTS) == ["clean-up", "one", "two"]
    assert again(world, id) == []
    assert world.client.describe(id).status == "SUSPENDED", "it waits again"
    world.client.signal(id, "go")
    world.advance(1)
    assert (world.client.result(id), EFFECTS[3:]) == (["more", "two"], ["more"])


def test_a_poll_that_gave_up_begins_anew(world: World) -> None:
    @durable(name="polls")
    def polls(event: Any, ctx: DurableContext) -> int:
        def check(n: int) -> int:
            EFFECTS.append("check")
            return n + 1 if "slow" not in BROKEN else 0

        return ctx.poll(check, initial=0, until=lambda n: n == 2, every=4, timeout=10)

    BROKEN.add("slow")
    id = world.run(polls, None)
    assert (world.client.describe(id).status, len(EFFECTS)) == ("FAILED", 4)
    world.advance(100)
    assert again(world, id) == ["check", "check"]
    assert world.client.result(id) == 2


# -- the outside ---------------------------------------------------------------------------------------------------


@durable(name="asks")
def asks(event: Any, ctx: DurableContext) -> Any:
    answer = ctx.wait_for_callback(TOKENS.append, name="cb", timeout=60)
    if answer == "no":
        raise ValueError("refused")
    return answer


@durable(name="asks")
async def a_asks(event: Any, ctx: AsyncDurableContext) -> Any:
    answer = await ctx.wait_for_callback(TOKENS.append, name="cb", timeout=60)
    if answer == "no":
        raise ValueError("refused")
    return answer


@fronts
def test_a_callback_that_timed_out_is_asked_anew(world: World, front: str) -> None:
    id = world.run(asks if front == "def" else a_asks, None)
    for _ in range(2):
        world.advance(61)
        assert world.client.describe(id).status == "FAILED"
        world.client.redrive(id)
        world.advance(1)
        assert world.client.describe(id).status == "SUSPENDED"
    assert len(set(TOKENS)) == 3, "each time another token"
    for old in TOKENS[:2]:
        with pytest.raises(CallbackError, match="timed out before"):
            world.client.complete_callback(old, "late")
    world.client.complete_callback(TOKENS[2], "yes")
    world.advance(1)
    assert world.client.result(id) == "yes"


@fronts
def test_an_answer_is_forgotten_with_its_question(world: World, front: str) -> None:
    id = world.run(asks if front == "def" else a_asks, None)
    world.client.complete_callback(TOKENS[0], "no")
    world.advance(1)
    world.client.redrive(id)
    world.advance(1)
    assert world.client.describe(id).status == "FAILED", "the handler's own error: the answer stands"
    world.client.redrive(id, from_step="cb")
    world.advance(1)
    assert (world.client.describe(id).status, len(TOKENS)) == ("SUSPENDED", 2)
    world.client.complete_callback(
        TOKENS[0], "no"
    )  # the other side repeats itself: accepted quietly, and no answer to this
    world.client.complete_callback(TOKENS[1], "yes")
    world.advance(1)
    assert world.client.result(id) == "yes"


def test_a_token_that_a_step_handed_out_stays_good(world: World) -> None:
    """The step is done and does not run again, so its token must."""

    @durable(name="hands-out")
    def hands_out(event: Any, ctx: DurableContext) -> Any:
        callback = ctx.callback("cb", timeout=60, heartbeat_timeout=50)
        ctx.step(TOKENS.append, callback.token)
        ctx.step(work, "charge")
        return callback.result()

    id = world.run(hands_out, None)
    world.advance(61)
    assert world.client.describe(id).status == "FAILED"
    with pytest.raises(CallbackError):
        world.client.complete_callback(TOKENS[0], "late")
    world.client.redrive(id)
    world.advance(1)
    assert (world.client.describe(id).status, len(TOKENS), EFFECTS) == ("SUSPENDED", 1, ["charge"])
    world.client.heartbeat_callback(TOKENS[0])
    world.client.complete_callback(TOKENS[0], "yes")
    world.client.complete_callback(TOKENS[0], "yes")
    with pytest.raises(CallbackError, match="completed before"):
        world.client.complete_callback(TOKENS[0], "no")
    world.advance(1)
    assert world.client.result(id) == "yes"


@durable(name="shared")
def shared(event: Any, ctx: DurableContext) -> Any:
    callback = ctx.callback("cb", timeout=60)
    ctx.step(TOKENS.append, callback.token)

    def one(c: DurableContext) -> list[Any]:
        return [callback.result(), c.step(work, "one")]

    def two(c: DurableContext) -> list[Any]:
        return [callback.result(), c.step(work, "two")]

    return ctx.parallel([one, two], completion=SETTLED).results


@durable(name="shared")
async def a_shared(event: Any, ctx: AsyncDurableContext) -> Any:
    callback = await ctx.callback("cb", timeout=60)
    await ctx.step(TOKENS.append, callback.token)

    async def one(c: AsyncDurableContext) -> list[Any]:
        return [await callback.result(), await c.step(work, "one")]

    async def two(c: AsyncDurableContext) -> list[Any]:
        return [await callback.result(), await c.step(work, "two")]

    return (await ctx.parallel([one, two], completion=SETTLED)).results


@fronts
@pytest.mark.parametrize("how", ["timed out", "failed", "cancelled"])
def test_all_that_wait_for_a_callback_wait_again(world: World, front: str, how: str) -> None:
    id = world.run(shared if front == "def" else a_shared, None)
    if how == "failed":
        world.client.fail_callback(TOKENS[0], "no")
    elif how == "cancelled":
        world.advance(50)
        world.client.cancel(id)
    world.advance(61 if how == "timed out" else 1)
    assert world.client.describe(id).status == ("CANCELLED" if how == "cancelled" else "FAILED")
    world.client.redrive(id)
    world.advance(30)
    assert (world.client.describe(id).status, len(TOKENS)) == ("SUSPENDED", 1), "with all its time"
    world.client.complete_callback(TOKENS[0], "yes")
    world.advance(1)
    assert world.client.result(id) == [["yes", "one"], ["yes", "two"]]


def test_a_wait_can_be_asked_anew_by_its_name(world: World) -> None:
    @durable(name="refuses")
    def refuses(event: Any, ctx: DurableContext) -> Any:
        callback = ctx.callback("cb", timeout=60)
        ctx.step(TOKENS.append, callback.token)
        answer = callback.result()
        ctx.step(work, "charge")
        if answer == "no":
            raise ValueError("refused")
        return answer

    id = world.run(refuses, None)
    world.client.complete_callback(TOKENS[0], "no")
    world.advance(1)
    assert again(world, id) == [], "the answer stands"
    world.client.redrive(id, from_step="cb.result")
    world.advance(1)
    world.client.complete_callback(TOKENS[0], "yes")
    world.advance(1)
    assert (world.client.result(id), EFFECTS, len(TOKENS)) == ("yes", ["charge", "charge"], 1)


@durable(name="kid")
def kid(event: Any, ctx: DurableContext) -> str:
    return ctx.step(work, "kid")


@durable(name="calls")
def calls(event: Any, ctx: DurableContext) -> str:
    return ctx.call(kid, 1, id=event)


@durable(name="calls")
async def a_calls(event: Any, ctx: AsyncDurableContext) -> str:
    return await ctx.call(kid, 1, id=event)


@fronts
def test_a_call_that_failed_is_made_anew(world: World, front: str) -> None:
    BROKEN.add("kid")
    id = world.run(calls if front == "def" else a_calls, None, None, kid)
    assert world.client.describe(id).status == "FAILED"
    world.client.redrive(id)
    world.advance(10)
    assert EFFECTS == ["kid", "kid"]
    assert again(world, id) == ["kid"]
    assert world.client.result(id) == "kid"


@fronts
@pytest.mark.parametrize("named", [None, "K"])
def test_a_call_takes_what_its_execution_gave_when_redriven_itself(world: World, front: str, named: str | None) -> None:
    BROKEN.add("kid")
    id = world.run(calls if front == "def" else a_calls, named, None, kid)
    assert again(world, named or child_of(world.client, id, "kid")) == ["kid"]
    assert again(world, id) == []
    assert world.client.result(id) == "kid"


@pytest.mark.parametrize("named", [None, "K"])
def test_a_call_waits_for_its_execution_that_was_redriven(world: World, named: str | None) -> None:
    @durable(name="kid")
    def waits(event: Any, ctx: DurableContext) -> str:
        ctx.step(work, "kid")
        ctx.sleep(5)
        return ctx.step(work, "end")

    @durable(name="calls")
    def caller(event: Any, ctx: DurableContext) -> str:
        return ctx.call(waits, 1, id=event)

    BROKEN.add("kid")
    id = world.run(caller, named, None, waits)
    BROKEN.clear()
    child = named or child_of(world.client, id, "kid")
    world.client.redrive(child)
    world.client.redrive(id)
    world.advance(20)
    assert world.client.result(id) == "end"
    assert EFFECTS == ["kid", "kid", "end"], "one execution, not two"


def test_a_call_ended_while_its_caller_was_over(world: World) -> None:
    """Its end could be told to nobody then."""

    @durable(name="kid")
    def waits(event: Any, ctx: DurableContext) -> Any:
        return ctx.wait_for_signal("go")

    @durable(name="calls")
    def caller(event: Any, ctx: DurableContext) -> Any:
        return ctx.call(waits, 1)

    id = world.run(caller, None, None, waits)
    world.client.terminate(id)
    world.client.signal(child_of(world.client, id, "kid"), "go", 7)
    world.advance(1)
    world.client.redrive(id)
    world.advance(1)
    assert world.client.result(id) == 7


def test_a_call_that_timed_out_is_asked_again(world: World) -> None:
    @durable(name="kid")
    def waits(event: Any, ctx: DurableContext) -> Any:
        return ctx.wait_for_signal("go")

    @durable(name="calls")
    def caller(event: Any, ctx: DurableContext) -> Any:
        return ctx.call(waits, 1, timeout=10)

    id = world.run(caller, None, None, waits)
    world.advance(11)
    assert world.client.describe(id).status == "FAILED"
    world.client.redrive(id)
    world.advance(1)
    world.client.signal(child_of(world.client, id, "kid"), "go", 7)
    world.advance(1)
    assert world.client.result(id) == 7


def test_the_parent_of_a_terminated_child_is_told_or_it_is_not_terminated(world: World) -> None:
    @durable(name="kid")
    def waits(event: Any, ctx: DurableContext) -> Any:
        return ctx.wait_for_signal("go")

    @durable(name="calls")
    def caller(event: Any, ctx: DurableContext) -> Any:
        try:
            ctx.call(waits, 1)
        except CallError as error:
            return error.status

    id = world.run(caller, None, None, waits)
    store, delivered = world.backend.store, []

    def deliver(*args: Any) -> Any:
        delivered.append(args)
        raise ConnectionError("the client dies before its next request")

    store.deliver = deliver  # type: ignore[method-assign]
    try:
        world.client.terminate(child_of(world.client, id, "kid"))
    finally:
        del store.deliver
    assert not delivered, "no request of its own"
    world.advance(100)
    assert world.client.result(id) == "TERMINATED"


# -- branches that gave signals back -------------------------------------------------------------------------------


def signal_itself(value: int) -> None:
    DurableClient.from_env().signal(current_step().execution_id, "s", value)


@pytest.mark.parametrize("kept", [False, True])
def test_a_branch_that_gave_its_signal_back_waits_again(world: World, kept: bool) -> None:
    """Another branch may have it since, and keeps it: no signal is handed out twice."""

    @durable(name="gives")
    def gives(event: Any, ctx: DurableContext) -> Any:
        def took(c: DurableContext) -> str:
            value: str = c.wait_for_signal("s")
            c.sleep(10)
            c.sleep(50)
            return c.step(work, f"took {value}")

        def breaks(c: DurableContext) -> str:
            c.sleep(20)
            return c.step(work, "broken")

        def inner(c: DurableContext) -> list[str]:
            return c.parallel([took, breaks]).results

        def keeps(c: DurableContext) -> str:
            c.sleep(30)
            return c.step(work, f"kept {c.wait_for_signal('s')}") if kept else "nothing"

        ctx.step(signal_itself, 1)
        return ctx.parallel([inner, keeps], completion=Completion.all_settled()).results

    BROKEN.add("broken")
    id = world.run(gives, None)
    assert world.client.describe(id).status == "FAILED"
    assert (["broken", "kept 1"] if kept else ["broken"]) == EFFECTS
    assert again(world, id) == (["broken"] if kept else ["broken", "took 1"])
    if kept:
        world.client.signal(id, "s", 2)
        world.advance(55)
        assert EFFECTS[-1] != "took 2", "what came behind the wait is done anew"
        world.advance(10)
        assert EFFECTS[-1] == "took 2"
    took = "took 2" if kept else "took 1"
    assert world.client.result(id) == [[took, "broken"], "kept 1" if kept else "nothing"]


def test_a_branch_that_ended_too_late_is_decided_again(world: World) -> None:
    """Its end says that it was cancelled: that is forgotten with the end of its fan."""

    @durable(name="late")
    def late(event: Any, ctx: DurableContext) -> Any:
        def slow(c: DurableContext) -> str:
            begun.set()
            scope = current_scope.get()
            while BROKEN and scope is not None and scope.cancel_scope.cancellation is None:
                time.sleep(0.001)  # until the other has failed
            return "slow"

        def breaks(c: DurableContext) -> str:
            assert begun.wait(10)
            return c.step(work, "broken")

        return ctx.parallel([slow, breaks]).results

    begun = threading.Event()
    BROKEN.add("broken")
    id = world.run(late, None)
    assert world.client.describe(id).status == "FAILED"
    ended = [(e.kind, e.entry.split("\t")[3]) for e in world.client.history(id) if e.id == "parallel/0"]
    assert ended == [("branch", "C")]
    assert again(world, id) == ["broken"]
    assert world.client.result(id) == ["slow", "broken"]


def test_a_cancelled_execution_goes_on_with_the_signals_that_its_branches_gave_back(world: World) -> None:
    @durable(name="stopped")
    def stopped(event: Any, ctx: DurableContext) -> Any:
        def took(c: DurableContext) -> str:
            value = c.wait_for_signal("s")
            c.sleep(50)
            return c.step(work, f"took {value}")

        return sorted(ctx.parallel([took, took, lambda c: c.wait_for_signal("t")]).results)

    id = world.run(stopped, None)
    world.client.signal(id, "s", 1)
    world.client.signal(id, "s", 2)
    world.advance(10)
    world.client.cancel(id)
    world.advance(10)
    assert world.client.describe(id).status == "CANCELLED"
    assert again(world, id) in (["took 1", "took 2"], ["took 2", "took 1"])
    world.client.signal(id, "t", "and t")
    world.advance(10)
    assert world.client.result(id) == ["and t", "took 1", "took 2"]


def test_of_a_race_that_is_decided_nothing_is_tried_again(world: World) -> None:
    @durable(name="decided")
    def decided(event: Any, ctx: DurableContext) -> Any:
        def took(c: DurableContext) -> Any:
            return [c.wait_for_signal("s"), c.sleep(1000)]

        ctx.step(signal_itself, 1)
        won, _ = ctx.race({"took": took, "short": lambda c: c.sleep(20)})
        value = ctx.wait_for_signal("s")
        return [won, ctx.step(work, f"used {value}"), ctx.step(work, "broken")]

    BROKEN.add("broken")
    id = world.run(decided, None)
    assert EFFECTS == ["used 1", "broken"]
    assert again(world, id) == ["broken"]
    assert world.client.result(id) == ["short", "used 1", "broken"]
