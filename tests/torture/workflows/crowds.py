"""Many at once: windows, quorums, races, bookings, early ends, queues."""

from __future__ import annotations

import asyncio
from typing import Any

from durable_fn import AsyncDurableContext, Completion, RetryPolicy, step
from durable_fn.errors import BatchError
from tests.torture.books import NOTES, a_note, note
from tests.torture.workflows.hard import hard, notes, values

Ctx = AsyncDurableContext
ONCE = RetryPolicy(max_attempts=1)
AGAIN = RetryPolicy(max_attempts=3, initial_delay=20, jitter="none")


async def window(event: int, ctx: Ctx) -> list[str]:
    """Two at a time, the next when one is done."""

    async def piece(c: Ctx, n: int) -> str:
        part = await c.step(note, "cuts", n)
        await c.sleep(20 + 10 * n)
        return await c.step(note, "sews", n, part)

    return list((await ctx.map(piece, range(event), max_concurrency=2)).results)


def _window(result: Any, _: list[Any]) -> None:
    assert len(result) == 5
    assert set(result) <= values("sews")
    assert sorted(n for (n,) in notes("cuts")) == list(range(5))
    open_: set[int] = set()
    sewn: set[int] = set()  # a thread of a process that died may cut once more, late
    for one in NOTES:
        sewn |= {one.args[0]} if one.what == "sews" else set()
        open_ = (open_ | {one.args[0]}) - sewn
        assert len(open_) <= 2, "a third one was begun"


hard(window, event=5, judge=_window)


def votes(n: int) -> str:
    if n == 1:
        raise OSError("no paper")
    return note("votes", n)


async def quorum(event: int, ctx: Ctx) -> dict[str, Any]:
    """Three of five; one cannot. What is declared is what counted."""

    async def voter(c: Ctx, n: int) -> str:
        await c.sleep(30 * n)
        return await c.step(step(votes, retry=ONCE), n)

    batch = await ctx.map(voter, range(event), completion=Completion(min_successful=3))
    counted = [item.result for item in batch.succeeded]
    return {"counted": counted, "declared": await ctx.step(note, "declares", counted)}


def _quorum(result: Any, _: list[Any]) -> None:
    assert len(result["counted"]) >= 3
    assert notes("declares") == [(result["counted"],)]
    assert set(result["counted"]) <= values("votes")


hard(quorum, event=5, judge=_quorum)


async def agents(event: Any, ctx: Ctx) -> list[str]:
    """The first answer wins; who loses gives back what it had reserved."""

    async def agent(c: Ctx, n: int) -> str:
        async with c.saga() as saga:
            saga.add_compensation(note, "gives back", n)
            await c.step(note, "reserves", n)
            await c.sleep(100 + 400 * n)
            await c.step(note, "answers", n)
        return f"agent {n}"

    won, answer = await ctx.race({f"{n}": lambda c, n=n: agent(c, n) for n in range(3)})
    return [won, answer, await ctx.step(note, "reports", answer)]


def _agents(result: Any, _: list[Any]) -> None:
    won = int(result[0])
    assert result[1] == f"agent {won}"
    back = {n for (n,) in notes("gives back")}
    assert won not in back, "the winner gave back"
    late = {n for (n,) in notes("answers")}  # both were due: it had answered when it lost
    assert {n for (n,) in notes("reserves")} <= back | {won} | late, "a loser kept what it reserved"
    assert notes("reports") == [(result[1],)]


hard(agents, judge=_agents)


def books(what: str) -> str:
    done = note("books", what)
    if what == "car":
        raise LookupError("no car left")
    return done


async def trip(event: Any, ctx: Ctx) -> str:
    """Three bookings side by side, of which one fails: all are undone, though nobody knows how far they came."""

    async def booking(c: Ctx, what: str) -> str:
        async with c.saga() as saga:
            saga.add_compensation(step(note, retry=AGAIN), "cancels", what)
            ticket = await c.step(step(books, retry=AGAIN), what)
            await c.sleep(200)
            return ticket

    async with ctx.saga() as saga:
        saga.add_compensation(note, "cancels", "trip")
        await ctx.step(note, "books", "trip")
        try:
            tickets = (await ctx.map(booking, ["flight", "hotel", "car"])).results
        except BatchError as error:
            return f"none: {type(error.__cause__).__name__}"
        await ctx.step(note, "travels", tickets)
    return "gone"


def _trip(result: Any, _: list[Any]) -> None:
    assert result == "none: StepError"
    assert not notes("travels")
    done = {what for (what,) in notes("books")} - {"trip"}
    undone = {what for (what,) in notes("cancels")}
    assert done - undone <= {"flight", "hotel"}, "what failed is undone"
    assert "car" in undone


hard(trip, judge=_trip)


async def sources(event: Any, ctx: Ctx) -> list[str]:
    """The first source that answers is enough; one is broken, one is slow."""

    async def broken(c: Ctx) -> str:
        await c.sleep(10)
        raise OSError("down")

    async def quick(c: Ctx) -> str:
        return await c.step(note, "reads", "quick")

    async def slow(c: Ctx) -> str:
        await c.sleep(900)
        return await c.step(note, "reads", "slow")

    completion = Completion.first_successful()
    batch = await ctx.parallel({"broken": broken, "quick": quick, "slow": slow}, completion=completion)
    read = batch.succeeded[0].result
    return [read, await ctx.step(note, "publishes", read)]


def _sources(result: Any, _: list[Any]) -> None:
    assert result[0] in values("reads")
    assert notes("publishes") == [(result[0],)]


hard(sources, judge=_sources)


async def pipeline(event: int, ctx: Ctx) -> list[int]:
    """A producer, two workers and a collector, over queues of asyncio's."""
    raw: asyncio.Queue[int | None] = asyncio.Queue(1)
    done: asyncio.Queue[int] = asyncio.Queue(2)

    async def produces() -> None:
        for n in range(event):
            await ctx.step(a_note, "makes", n)
            await raw.put(n)
        for _ in range(2):
            await raw.put(None)

    async def works() -> None:
        while (n := await raw.get()) is not None:
            await asyncio.sleep(15)
            await ctx.step(a_note, "refines", n)
            await done.put(n * n)

    async with asyncio.TaskGroup() as group:
        group.create_task(produces())
        for _ in range(2):
            group.create_task(works())
        collected = [await done.get() for _ in range(event)]
    return sorted(collected)


def _pipeline(result: Any, _: list[Any]) -> None:
    assert result == [0, 1, 4, 9]
    assert sorted(notes("refines")) == sorted(notes("makes")) == [(n,) for n in range(4)]


hard(pipeline, event=4, native=True, judge=_pipeline)
