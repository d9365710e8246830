"""Branches side by side: how wide, until when, how deep."""

from __future__ import annotations

from typing import Any

from durable_fn import AsyncDurableContext, BatchError, Completion, RetryPolicy, StepError, current_step, step
from tests.corpus.outside import answers, keep
from tests.corpus.shape import shape
from tests.effects import EFFECTS, effect

Ctx = AsyncDurableContext
SLOW = RetryPolicy(max_attempts=3, initial_delay=30, jitter="none")


async def quick(c: Ctx) -> int:
    return len(await c.step(effect, "quick"))


async def slow(c: Ctx) -> str:
    await c.sleep(300)
    first = await c.step(effect, "slow")
    await c.sleep(300)
    return first + await c.step(effect, "slower")


async def failing(c: Ctx) -> None:
    await c.sleep(100)
    raise LookupError("no such branch")


@shape(result=[5, "slowslower", "after"], once=("quick", "slow", "slower", "after"), same=False)
async def side_by_side(event: Any, ctx: Ctx) -> Any:
    both = (await ctx.parallel((quick, slow))).results
    return [*both, await ctx.step(effect, "after")]


@shape(result=["item 1", "item 2", "item 3"], once=("item 1", "item 2", "item 3"), same=False)
async def walked_again(event: Any, ctx: Ctx) -> Any:
    """Branches that do not say what they return."""

    async def one(c: Ctx, n: int):  # type: ignore[no-untyped-def]
        return [await c.step(effect, f"item {n}"), await c.sleep(60)][0]

    batch = await ctx.map(one, [1, 2, 3], max_concurrency=2)
    await ctx.sleep(500)
    return batch.results


@shape(result=["1 a", "1 b", "2 a", "2 b"], effects=("1 a", "1 b", "2 a", "2 b"))
async def one_at_a_time(event: Any, ctx: Ctx) -> Any:
    async def one(c: Ctx, n: int) -> list[str]:
        first = await c.step(effect, f"{n} a")
        await c.sleep(60)
        return [first, await c.step(effect, f"{n} b")]

    return [name for names in (await ctx.map(one, [1, 2], max_concurrency=1)).results for name in names]


@shape(result=[300, 20, 30, 40], effects=("20", "30", "40", "300"))
async def two_at_a_time(event: Any, ctx: Ctx) -> Any:
    """A branch that ends makes room, and the long one does not hold the others up."""

    async def one(c: Ctx, seconds: int) -> int:
        await c.sleep(seconds)
        await c.step(effect, f"{seconds}")
        return seconds

    return (await ctx.map(one, [300, 20, 30, 40], max_concurrency=2)).results


async def item(c: Ctx, n: int) -> int:
    """Ends after n times 2,000 seconds, which is longer than a dead owner's lease lasts; odd ones fail."""
    await c.sleep(n * 2000)
    if n % 2:
        raise LookupError(f"item {n}")
    return n


def until(name: str, completion: Completion, items: list[int], *expected: object) -> None:
    """A shape: how the items end under this policy, why the map was over, what there is of results."""

    @shape(name=name, event=items, result=list(expected), same=False)
    async def handler(event: list[int], ctx: Ctx) -> Any:
        batch = await ctx.map(item, event, completion=completion)
        statuses = "".join(one.status[0] for one in batch)
        return [statuses, batch.completion_reason, [one.result for one in batch.succeeded]]


until("enough_successes", Completion(min_successful=2), [2, 3, 4, 90], "SFSC", "MIN_SUCCESSFUL_REACHED", [2, 4])
until("out_of_reach", Completion(min_successful=3), [1, 2, 3, 90], "FSFC", "FAILURE_TOLERANCE_EXCEEDED", [2])
until("whatever_fails", Completion.all_settled(), [1, 2, 3], "FSF", "ALL_COMPLETED", [2])
until("as_many_as_tolerated", Completion(max_failure_ratio=0.5), [1, 2, 3, 4], "FSFS", "ALL_COMPLETED", [2, 4])
until("above_the_ratio", Completion(max_failure_ratio=0.49), [1, 3, 90, 92], "FFCC", "FAILURE_TOLERANCE_EXCEEDED", [])
until("the_first_success", Completion.first_successful(), [1, 2, 90], "FSC", "MIN_SUCCESSFUL_REACHED", [2])
until("one_failure_too_many", Completion(max_failures=1), [1, 2, 3, 90], "FSFC", "FAILURE_TOLERANCE_EXCEEDED", [2])


@shape(
    result=[{"bad": "FAILED", "slow": "CANCELLED"}, "LookupError", "FAILURE_TOLERANCE_EXCEEDED", "after"],
    once=("after",),
    same=False,
)
async def fail_fast(event: Any, ctx: Ctx) -> Any:
    batch = await ctx.parallel({"bad": failing, "slow": lambda c: c.sleep(10_000_000)})
    told = {item.name: item.status for item in batch}
    try:
        batch.results
    except BatchError as error:
        return [told, type(error.__cause__).__name__, batch.completion_reason, await ctx.step(effect, "after")]


@shape(result=[["FAILED", "SUCCEEDED"], "no such branch", 5], once=("quick",), same=False)
async def settled(event: Any, ctx: Ctx) -> Any:
    batch = await ctx.parallel([failing, quick], completion=Completion.all_settled())
    return [[item.status for item in batch], str(batch.failed[0].error), batch.succeeded[0].result]


@shape(result=[0, 0, "ALL_COMPLETED", "after"])
async def nothing_to_do(event: Any, ctx: Ctx) -> Any:
    batch, none = await ctx.parallel([]), await ctx.map(item, [])
    return [len(batch), len(none), none.completion_reason, await ctx.step(effect, "after")]


@shape(result=[["0.0", "0.1"], ["1.0", "1.1"]], once=("0.0", "0.1", "1.0", "1.1"), same=False)
async def nested(event: Any, ctx: Ctx) -> Any:
    async def leaf(d: Ctx, n: int, m: int) -> str:
        await d.sleep(50 * m)
        return await d.step(effect, f"{n}.{m}")

    async def inner(c: Ctx, n: int) -> list[str]:
        return (await c.map(lambda d, m: leaf(d, n, m), range(2))).results

    return (await ctx.map(inner, range(2), name="outer")).results


@shape(result=[["0/0", "0/1"], ["1/0", "1/1"]], once=("0/0", "0/1", "1/0", "1/1"), same=False)
async def three_deep(event: Any, ctx: Ctx) -> Any:
    """map over parallel over child."""

    async def leaf(d: Ctx, name: str) -> str:
        await d.sleep(40)
        return await d.step(effect, name)

    async def pair(c: Ctx, n: int) -> list[str]:
        batch = await c.parallel([lambda d, m=m: d.child(leaf, f"{n}/{m}") for m in range(2)])
        return list(batch.results)

    return (await ctx.map(pair, [0, 1])).results


@shape(result=["apple", 2, ["a", "b"], "SUCCEEDED"], same=False)
async def by_name(event: Any, ctx: Ctx) -> Any:
    fruit = await ctx.map(lambda c, name: c.step(effect, name), ["apple", "pear"], item_name=lambda item: item[0])
    pair = await ctx.parallel({"a": lambda c: c.step(effect, "x"), "b": lambda c: c.sleep(30)}, name="pair")
    return [fruit["a"].result, len(fruit), [item.name for item in pair], pair["b"].status]


def answer_once_seen(client: Any, id: str) -> None:
    """Answers only once the sleeper has gone on: a fan that waits for all of its branches would wait for ever."""
    if "soon" in EFFECTS or "late" in EFFECTS:
        answers("a", "answer")(client, id)


@shape(result=["soon", "answer", 3], outside=answer_once_seen, once=("soon", "late"), same=False)
async def each_on_its_own(event: Any, ctx: Ctx) -> Any:
    """One sleeps, one waits for an answer, one is retried; none waits for another."""

    async def sleeper(c: Ctx) -> str:
        await c.sleep(10)
        return await c.step(effect, "soon")

    async def waiter(c: Ctx) -> str:
        answer: str = await c.wait_for_callback(keep("a"), name="a")
        await c.step(effect, "late")
        return answer

    async def retrier(c: Ctx) -> int:
        return await c.step(step(third_time, retry=SLOW))

    return list((await ctx.parallel((sleeper, waiter, retrier))).results)


def third_time() -> int:
    attempt = current_step().attempt
    if attempt < 3:
        raise ConnectionError("not yet")
    return attempt


@shape(result=[0, 1, 2], same=False)
async def retried_in_branches(event: Any, ctx: Ctx) -> Any:
    def flaky(n: int) -> int:
        if current_step().attempt <= n:
            raise ConnectionError(f"{n}")
        return n

    try:
        return (await ctx.map(lambda c, n: c.step(step(flaky, name="flaky", retry=SLOW), n), range(3))).results
    except StepError:
        return "failed"


@shape(
    result=[0, 1, 2, 3], outside=lambda client, id: [answers(str(n), n)(client, id) for n in (2, 0, 3, 1)], same=False
)
async def callbacks_in_branches(event: Any, ctx: Ctx) -> Any:
    async def one(c: Ctx, n: int) -> int:
        answer: int = await c.wait_for_callback(keep(f"{n}"), name="a")
        return answer

    return (await ctx.map(one, range(4), max_concurrency=2)).results


@shape(result=[200, 19900, "0", "after"], once=("item 0", "item 100", "after"), same=False, dies=False)
async def two_hundred(event: Any, ctx: Ctx) -> Any:
    async def one(c: Ctx, n: int) -> int:
        if n % 100 == 0:
            await c.step(effect, f"item {n}")
        await c.sleep(60)
        return n

    batch = await ctx.map(one, range(200), item_name=str)
    return [len(batch), sum(batch.results), batch[0].name, await ctx.step(effect, "after")]


@shape(result=[["part 0", "part 1"], "part 2", "inside"], once=("part 0", "part 1", "broken", "part 2"), same=False)
async def children(event: Any, ctx: Ctx) -> Any:
    async def part(c: Ctx, n: int) -> str:
        await c.sleep(60)
        return await c.step(effect, f"part {n}")

    async def broken(c: Ctx) -> None:
        await c.step(effect, "broken")
        raise LookupError("inside")

    first = (await ctx.map(lambda c, n: c.child(part, n), range(2))).results
    try:
        await ctx.child(broken, name="bad")
    except LookupError as error:
        return [first, await ctx.child(part, 2), str(error)]
