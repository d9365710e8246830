"""Workflow shapes with everything that is more than steps and sleeps, each in both fronts, with what comes from outside.

`outside(client, id)` is called whenever the execution idles, and must bear being called again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from durable_fn import (
    AsyncDurableContext,
    BatchError,
    CallbackTimeout,
    CallError,
    Completion,
    DurableClient,
    DurableContext,
    DurableFunction,
    ExecutionCancelled,
    RetryPolicy,
    SignalTimeout,
    StepError,
    current_step,
    durable,
    step,
)
from durable_fn.errors import CallbackError, CallbackFailed, CompensationError, ExecutionConflict, PollTimeout
from tests.scenarios import EFFECTS

TOKENS: dict[tuple[str, str], str] = {}
ONCE = RetryPolicy(max_attempts=1)
SLOW = RetryPolicy(max_attempts=3, initial_delay=30, jitter="none")
Outside = Callable[[DurableClient, str], None]


@dataclass
class Shape:
    name: str
    sync: DurableFunction[Any, Any]
    asyn: DurableFunction[Any, Any]
    event: Any
    result: Any
    status: str
    fails: str | None
    outside: Outside | None
    others: tuple[DurableFunction[Any, Any], ...]
    once: tuple[str, ...]
    same: bool

    def __str__(self) -> str:
        return self.name


SHAPES: list[Shape] = []


def shape(
    sync: Callable[..., Any],
    asyn: Callable[..., Any],
    *,
    event: Any = None,
    result: Any = None,
    status: str = "SUCCEEDED",
    fails: str | None = None,
    outside: Outside | None = None,
    others: tuple[DurableFunction[Any, Any], ...] = (),
    once: tuple[str, ...] = (),
    same: bool = True,
    **options: Any,
) -> None:
    """`once`: effects that happen exactly once, whatever dies; `same`: both fronts write the same journal."""
    name = sync.__name__
    functions = [durable(name=name, **options)(fn) for fn in (sync, asyn)]
    SHAPES.append(Shape(name, *functions, event, result, status, fails, outside, others, once, same))


def effect(name: str) -> str:
    EFFECTS.append(name)
    return name


def keep(name: str) -> Callable[[str], None]:
    def submit(token: str) -> None:
        TOKENS[current_step().execution_id, name] = token

    return submit


def answers(name: str, result: Any = None, *, fail: str | None = None) -> Outside:
    def outside(client: DurableClient, id: str) -> None:
        token = TOKENS.get((id, name))
        if token is not None:
            with suppress(CallbackError):
                if fail is None:
                    client.complete_callback(token, result)
                else:
                    client.fail_callback(token, fail, "Refused")

    return outside


def signals(name: str, *payloads: Any) -> Outside:
    def outside(client: DurableClient, id: str) -> None:
        sent = client.__dict__.setdefault("sent", set())
        if id not in sent:
            sent.add(id)
            for payload in payloads:
                with suppress(ExecutionConflict):
                    client.signal(id, name, payload)

    return outside


def cancels(reason: str) -> Outside:
    return lambda client, id: client.cancel(id, reason)


def every(*all: Outside) -> Outside:
    def outside(client: DurableClient, id: str) -> None:
        for one in all:
            one(client, id)

    return outside


# -- callbacks -----------------------------------------------------------------------------------------------------


def approved(event: Any, ctx: DurableContext) -> Any:
    return [ctx.wait_for_callback(keep("a"), name="a"), ctx.step(effect, "after")]


async def a_approved(event: Any, ctx: AsyncDurableContext) -> Any:
    return [await ctx.wait_for_callback(keep("a"), name="a"), await ctx.step(effect, "after")]


shape(approved, a_approved, result=[{"by": "me"}, "after"], outside=answers("a", {"by": "me"}), once=("after",))


def refused(event: Any, ctx: DurableContext) -> Any:
    try:
        return ctx.wait_for_callback(keep("a"), name="a", timeout=500_000)
    except CallbackFailed as error:
        return [error.error_type, error.message, error.name]


async def a_refused(event: Any, ctx: AsyncDurableContext) -> Any:
    try:
        return await ctx.wait_for_callback(keep("a"), name="a", timeout=500_000)
    except CallbackFailed as error:
        return [error.error_type, error.message, error.name]


shape(refused, a_refused, result=["Refused", "too dear", "a"], outside=answers("a", fail="too dear"))


def unanswered(event: Any, ctx: DurableContext) -> Any:
    callback = ctx.callback("a", timeout=500)
    try:
        callback.result()
    except CallbackTimeout as error:
        return [error.heartbeat, ctx.step(effect, "late")]


async def a_unanswered(event: Any, ctx: AsyncDurableContext) -> Any:
    callback = await ctx.callback("a", timeout=500)
    try:
        await callback.result()
    except CallbackTimeout as error:
        return [error.heartbeat, await ctx.step(effect, "late")]


shape(unanswered, a_unanswered, result=[False, "late"], once=("late",))


def silent(event: Any, ctx: DurableContext) -> Any:
    try:
        ctx.wait_for_callback(keep("a"), name="a", timeout=9000, heartbeat_timeout=300)
    except CallbackTimeout as error:
        return error.heartbeat


async def a_silent(event: Any, ctx: AsyncDurableContext) -> Any:
    try:
        await ctx.wait_for_callback(keep("a"), name="a", timeout=9000, heartbeat_timeout=300)
    except CallbackTimeout as error:
        return error.heartbeat


shape(silent, a_silent, result=True)


def two_open(event: Any, ctx: DurableContext) -> Any:
    first, second = ctx.callback("a"), ctx.callback("b")
    ctx.step(step(keep("a"), name="tell"), first.token)
    ctx.step(step(keep("b"), name="tell"), second.token)
    return [second.result(), first.result(), first.result()]


async def a_two_open(event: Any, ctx: AsyncDurableContext) -> Any:
    first, second = await ctx.callback("a"), await ctx.callback("b")
    await ctx.step(step(keep("a"), name="tell"), first.token)
    await ctx.step(step(keep("b"), name="tell"), second.token)
    return [await second.result(), await first.result(), await first.result()]


shape(two_open, a_two_open, result=[2, 1, 1], outside=every(answers("a", 1), answers("b", 2)))


# -- signals -------------------------------------------------------------------------------------------------------


def inbox(event: Any, ctx: DurableContext) -> Any:
    got = [ctx.wait_for_signal("x", result_type=int) for _ in range(3)]
    try:
        ctx.wait_for_signal("x", timeout=0)
    except SignalTimeout as error:
        return [got, error.name, ctx.step(effect, "after")]


async def a_inbox(event: Any, ctx: AsyncDurableContext) -> Any:
    got = [await ctx.wait_for_signal("x", result_type=int) for _ in range(3)]
    try:
        await ctx.wait_for_signal("x", timeout=0)
    except SignalTimeout as error:
        return [got, error.name, await ctx.step(effect, "after")]


shape(inbox, a_inbox, result=[[1, 2, 3], "x", "after"], outside=signals("x", 1, 2, 3), once=("after",))


def reminders(event: Any, ctx: DurableContext) -> Any:
    for day in range(3):
        try:
            return ctx.wait_for_signal("x", timeout=400)
        except SignalTimeout:
            ctx.step(effect, f"reminder {day}")
    return "gave up"


async def a_reminders(event: Any, ctx: AsyncDurableContext) -> Any:
    for day in range(3):
        try:
            return await ctx.wait_for_signal("x", timeout=400)
        except SignalTimeout:
            await ctx.step(effect, f"reminder {day}")
    return "gave up"


shape(reminders, a_reminders, result="gave up", once=("reminder 0", "reminder 1", "reminder 2"))


# -- branches ------------------------------------------------------------------------------------------------------


def quick(ctx: DurableContext) -> int:
    return len(ctx.step(effect, "quick"))


def slow(ctx: DurableContext) -> str:
    ctx.sleep(300)
    first = ctx.step(effect, "slow")
    ctx.sleep(300)
    return first + ctx.step(effect, "slower")


def failing(ctx: DurableContext) -> None:
    ctx.sleep(100)
    raise LookupError("no such branch")


async def a_quick(ctx: AsyncDurableContext) -> int:
    return len(await ctx.step(effect, "quick"))


async def a_slow(ctx: AsyncDurableContext) -> str:
    await ctx.sleep(300)
    first = await ctx.step(effect, "slow")
    await ctx.sleep(300)
    return first + await ctx.step(effect, "slower")


async def a_failing(ctx: AsyncDurableContext) -> None:
    await ctx.sleep(100)
    raise LookupError("no such branch")


def side_by_side(event: Any, ctx: DurableContext) -> Any:
    both = ctx.parallel((quick, slow)).results
    return [*both, ctx.step(effect, "after")]


async def a_side_by_side(event: Any, ctx: AsyncDurableContext) -> Any:
    both = (await ctx.parallel((a_quick, a_slow))).results
    return [*both, await ctx.step(effect, "after")]


shape(
    side_by_side,
    a_side_by_side,
    result=[5, "slowslower", "after"],
    once=("quick", "slow", "slower", "after"),
    same=False,
)


def lambdas_walk(event: Any, ctx: DurableContext) -> Any:
    batch = ctx.map(lambda c, n: [c.step(effect, f"item {n}"), c.sleep(60)][0], [1, 2, 3], max_concurrency=2)
    ctx.sleep(500)
    return batch.results


async def a_lambdas_walk(event: Any, ctx: AsyncDurableContext) -> Any:
    async def one(c: AsyncDurableContext, n: int):  # type: ignore[no-untyped-def]
        return [await c.step(effect, f"item {n}"), await c.sleep(60)][0]

    batch = await ctx.map(one, [1, 2, 3], max_concurrency=2)
    await ctx.sleep(500)
    return batch.results


shape(
    lambdas_walk, a_lambdas_walk, result=["item 1", "item 2", "item 3"], once=("item 1", "item 2", "item 3"), same=False
)


def fail_fast(event: Any, ctx: DurableContext) -> Any:
    batch = ctx.parallel({"bad": failing, "slow": lambda c: c.sleep(10_000_000)})
    told = {item.name: item.status for item in batch}
    try:
        batch.results
    except BatchError as error:
        return [told, type(error.__cause__).__name__, batch.completion_reason, ctx.step(effect, "after")]


async def a_fail_fast(event: Any, ctx: AsyncDurableContext) -> Any:
    batch = await ctx.parallel({"bad": a_failing, "slow": lambda c: c.sleep(10_000_000)})
    told = {item.name: item.status for item in batch}
    try:
        batch.results
    except BatchError as error:
        return [told, type(error.__cause__).__name__, batch.completion_reason, await ctx.step(effect, "after")]


shape(
    fail_fast,
    a_fail_fast,
    result=[
        {"bad": "FAILED", "slow": "CANCELLED"}, "LookupError", "FAILURE_TOLERANCE_EXCEEDED", "after",
    ],
    once=("after",),
    same=False,
)  # fmt: skip


def settled(event: Any, ctx: DurableContext) -> Any:
    batch = ctx.parallel([failing, quick], completion=Completion.all_settled())
    return [[item.status for item in batch], str(batch.failed[0].error), batch.succeeded[0].result]


async def a_settled(event: Any, ctx: AsyncDurableContext) -> Any:
    batch = await ctx.parallel([a_failing, a_quick], completion=Completion.all_settled())
    return [[item.status for item in batch], str(batch.failed[0].error), batch.succeeded[0].result]


shape(settled, a_settled, result=[["FAILED", "SUCCEEDED"], "no such branch", 5], once=("quick",), same=False)


def nested(event: Any, ctx: DurableContext) -> Any:
    def inner(c: DurableContext, n: int) -> list[str]:
        return c.map(lambda d, m: [d.sleep(50 * m), d.step(effect, f"{n}.{m}")][1], range(2)).results

    return ctx.map(inner, range(2), name="outer").results


async def a_nested(event: Any, ctx: AsyncDurableContext) -> Any:
    async def leaf(d: AsyncDurableContext, n: int, m: int) -> str:
        await d.sleep(50 * m)
        return await d.step(effect, f"{n}.{m}")

    async def inner(c: AsyncDurableContext, n: int) -> list[str]:
        return (await c.map(lambda d, m: leaf(d, n, m), range(2))).results

    return (await ctx.map(inner, range(2), name="outer")).results


shape(nested, a_nested, result=[["0.0", "0.1"], ["1.0", "1.1"]], once=("0.0", "0.1", "1.0", "1.1"), same=False)


def first_wins(event: Any, ctx: DurableContext) -> Any:
    def undone(c: DurableContext) -> str:
        with c.saga() as saga:
            saga.add_compensation(effect, "undone")
            c.step(effect, "reserved")
            c.sleep(10_000)
        return "never"

    return [ctx.race({"slow": undone, "timer": lambda c: c.sleep(200)}), ctx.step(effect, "after")]


async def a_first_wins(event: Any, ctx: AsyncDurableContext) -> Any:
    async def undone(c: AsyncDurableContext) -> str:
        async with c.saga() as saga:
            saga.add_compensation(effect, "undone")
            await c.step(effect, "reserved")
            await c.sleep(10_000)
        return "never"

    return [await ctx.race({"slow": undone, "timer": lambda c: c.sleep(200)}), await ctx.step(effect, "after")]


shape(first_wins, a_first_wins, result=[("timer", None), "after"], once=("reserved", "undone", "after"), same=False)


def children(event: Any, ctx: DurableContext) -> Any:
    def part(c: DurableContext, n: int) -> str:
        c.sleep(60)
        return c.step(effect, f"part {n}")

    def broken(c: DurableContext) -> None:
        c.step(effect, "broken")
        raise LookupError("inside")

    first = ctx.child(part, 1)
    try:
        ctx.child(broken, name="bad")
    except LookupError as error:
        return [first, ctx.child(lambda c: c.step(effect, "part 2")), str(error)]


async def a_children(event: Any, ctx: AsyncDurableContext) -> Any:
    async def part(c: AsyncDurableContext, n: int) -> str:
        await c.sleep(60)
        return await c.step(effect, f"part {n}")

    async def broken(c: AsyncDurableContext) -> None:
        await c.step(effect, "broken")
        raise LookupError("inside")

    first = await ctx.child(part, 1)
    try:
        await ctx.child(broken, name="bad")
    except LookupError as error:
        return [first, await ctx.child(lambda c: c.step(effect, "part 2"), name="lambda"), str(error)]


shape(children, a_children, result=["part 1", "part 2", "inside"], once=("part 1", "broken", "part 2"))


# -- other executions ----------------------------------------------------------------------------------------------


@durable(name="helper")
def helper(event: int, ctx: DurableContext) -> int:
    ctx.sleep(100)
    if event < 0:
        raise LookupError("negative")
    return event + len(ctx.step(effect, f"helped {event}"))


def calls(event: Any, ctx: DurableContext) -> Any:
    got = ctx.call(helper, 1)
    try:
        ctx.call("helper", -1, name="bad")
    except CallError as error:
        told = [error.status, error.error_type, error.message]
    sent = ctx.send(helper, 5, delay=10)
    return [got, told, sent.rpartition("/")[2], ctx.step(effect, "after")]


async def a_calls(event: Any, ctx: AsyncDurableContext) -> Any:
    got = await ctx.call(helper, 1)
    try:
        await ctx.call("helper", -1, name="bad")
    except CallError as error:
        told = [error.status, error.error_type, error.message]
    sent = await ctx.send(helper, 5, delay=10)
    return [got, told, sent.rpartition("/")[2], await ctx.step(effect, "after")]


shape(
    calls,
    a_calls,
    result=[9, ["FAILED", "LookupError", "negative"], "helper#2", "after"],
    others=(helper,),
    once=("helped 1", "after"),
)


# -- polls, sagas, cancellation ------------------------------------------------------------------------------------


def polls(event: Any, ctx: DurableContext) -> Any:
    done = ctx.poll(lambda n: n + 1, initial=0, until=lambda n: n >= 3, every=60)
    try:
        ctx.poll(lambda n: n + 1, initial=0, until=lambda n: False, every=60, timeout=150, name="never")
    except PollTimeout as error:
        return [done, error.state, error.checks]


async def a_polls(event: Any, ctx: AsyncDurableContext) -> Any:
    done = await ctx.poll(lambda n: n + 1, initial=0, until=lambda n: n >= 3, every=60)
    try:
        await ctx.poll(lambda n: n + 1, initial=0, until=lambda n: False, every=60, timeout=150, name="never")
    except PollTimeout as error:
        return [done, error.state, error.checks]


shape(polls, a_polls, result=[3, 3, 3])


def undo_fails(reason: str) -> None:
    EFFECTS.append("undo fails")
    raise OSError(reason)


def rolled_back(event: Any, ctx: DurableContext) -> Any:
    try:
        with ctx.saga() as saga:
            saga.add_compensation(effect, "undo 1")
            ctx.step(effect, "do 1")
            saga.add_compensation(step(undo_fails, retry=ONCE), "stuck")
            ctx.step(effect, "do 2")
            saga.add_compensation(effect, "undo 3")
            raise LookupError("broken")
    except CompensationError as error:
        return [type(error.__cause__).__name__, [f.error_type for f in error.failures]]


async def a_rolled_back(event: Any, ctx: AsyncDurableContext) -> Any:
    try:
        async with ctx.saga() as saga:
            saga.add_compensation(effect, "undo 1")
            await ctx.step(effect, "do 1")
            saga.add_compensation(step(undo_fails, retry=ONCE), "stuck")
            await ctx.step(effect, "do 2")
            saga.add_compensation(effect, "undo 3")
            raise LookupError("broken")
    except CompensationError as error:
        return [type(error.__cause__).__name__, [f.error_type for f in error.failures]]


shape(rolled_back, a_rolled_back, result=["LookupError", ["OSError"]], once=("do 1", "do 2", "undo 1", "undo 3"))


def cancelled(event: Any, ctx: DurableContext) -> Any:
    with ctx.saga() as saga:
        saga.add_compensation(effect, "undo")
        ctx.step(effect, "do")
        try:
            ctx.wait_for_signal("never")
        except ExecutionCancelled as error:
            ctx.step(effect, f"because {error.reason}")
            raise


async def a_cancelled(event: Any, ctx: AsyncDurableContext) -> Any:
    async with ctx.saga() as saga:
        saga.add_compensation(effect, "undo")
        await ctx.step(effect, "do")
        try:
            await ctx.wait_for_signal("never")
        except ExecutionCancelled as error:
            await ctx.step(effect, f"because {error.reason}")
            raise


shape(
    cancelled, a_cancelled, status="CANCELLED", fails="ExecutionCancelled", outside=cancels("of rain"),
    once=("do", "undo", "because of rain"),
)  # fmt: skip


def cancelled_inside(event: Any, ctx: DurableContext) -> Any:
    def branch(c: DurableContext, n: int) -> None:
        with c.saga() as saga:
            saga.add_compensation(effect, f"undo {n}")
            c.step(effect, f"do {n}")
            c.wait_for_signal("never")

    try:
        ctx.map(branch, range(2))
    except ExecutionCancelled:
        return ctx.step(effect, "swallowed")


async def a_cancelled_inside(event: Any, ctx: AsyncDurableContext) -> Any:
    async def branch(c: AsyncDurableContext, n: int) -> None:
        async with c.saga() as saga:
            saga.add_compensation(effect, f"undo {n}")
            await c.step(effect, f"do {n}")
            await c.wait_for_signal("never")

    try:
        await ctx.map(branch, range(2))
    except ExecutionCancelled:
        return await ctx.step(effect, "swallowed")


shape(
    cancelled_inside, a_cancelled_inside, result="swallowed", outside=cancels("now"),
    once=("do 0", "do 1", "undo 0", "undo 1", "swallowed"), same=False,
)  # fmt: skip


def timed_out(event: Any, ctx: DurableContext) -> Any:
    with ctx.saga() as saga:
        saga.add_compensation(effect, "undo")
        ctx.step(effect, "do")
        ctx.sleep(10_000)


async def a_timed_out(event: Any, ctx: AsyncDurableContext) -> Any:
    async with ctx.saga() as saga:
        saga.add_compensation(effect, "undo")
        await ctx.step(effect, "do")
        await ctx.sleep(10_000)


shape(
    timed_out, a_timed_out, status="TIMED_OUT", fails="ExecutionTimedOut", once=("do", "undo"), execution_timeout=2000
)


def generations(event: int, ctx: DurableContext) -> Any:
    got = ctx.wait_for_signal("x", timeout=100_000)
    ctx.step(effect, f"generation {event}")
    if event < 3:
        ctx.continue_as_new(event + 1)
    return [event, got]


async def a_generations(event: int, ctx: AsyncDurableContext) -> Any:
    got = await ctx.wait_for_signal("x", timeout=100_000)
    await ctx.step(effect, f"generation {event}")
    if event < 3:
        ctx.continue_as_new(event + 1)
    return [event, got]


shape(
    generations, a_generations, event=1, result=[3, "c"], outside=signals("x", "a", "b", "c"),
    once=("generation 1", "generation 2", "generation 3"),
)  # fmt: skip


def retried_in_branches(event: Any, ctx: DurableContext) -> Any:
    def flaky(n: int) -> int:
        if current_step().attempt <= n:
            raise ConnectionError(f"{n}")
        return n

    try:
        return ctx.map(lambda c, n: c.step(step(flaky, name="flaky", retry=SLOW), n), range(3)).results
    except StepError:
        return "failed"


async def a_retried_in_branches(event: Any, ctx: AsyncDurableContext) -> Any:
    def flaky(n: int) -> int:
        if current_step().attempt <= n:
            raise ConnectionError(f"{n}")
        return n

    return (await ctx.map(lambda c, n: c.step(step(flaky, name="flaky", retry=SLOW), n), range(3))).results


shape(retried_in_branches, a_retried_in_branches, result=[0, 1, 2], same=False)
