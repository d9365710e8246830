"""Long lives: generations, and code that changed."""

from __future__ import annotations

from typing import Any

from durable_fn import AsyncDurableContext
from tests.corpus.outside import signals
from tests.corpus.shape import shape
from tests.effects import effect

Ctx = AsyncDurableContext


@shape(
    event=1,
    result=[3, "c"],
    outside=signals("x", "a", "b", "c"),
    once=("generation 1", "generation 2", "generation 3"),
)
async def generations(event: int, ctx: Ctx) -> Any:
    got = await ctx.wait_for_signal("x", timeout=100_000)
    await ctx.step(effect, f"generation {event}")
    if event < 3:
        ctx.continue_as_new(event + 1)
    return [event, got]


@shape(event={"n": 4, "ids": []}, result=[4, 4], effects=("beat 4", "beat 3", "beat 2", "beat 1"))
async def heartbeats(event: dict[str, Any], ctx: Ctx) -> Any:
    """A loop whose journal does not grow; nothing random comes twice."""
    await ctx.set_status({"left": event["n"]})
    ids = [*event["ids"], str(ctx.uuid4())]
    await ctx.step(effect, f"beat {event['n']}")
    await ctx.sleep(900)
    if event["n"] > 1:
        ctx.continue_as_new({"n": event["n"] - 1, "ids": ids})
    return [len(ids), len(set(ids))]


@shape(result=[True, True, False, "new"], effects=("new",))
async def patches(event: Any, ctx: Ctx) -> Any:
    first = await ctx.patched("use the new one")
    await ctx.sleep(100)
    again = await ctx.patched("use the new one")
    return [first, again, "old" in await ctx.step(effect, "new" if again else "old"), "new"]


@shape(event=0, result=2, once=("round 0", "round 1", "round 2"), same=False)
async def fans_in_generations(event: int, ctx: Ctx) -> Any:
    async def one(c: Ctx, n: int) -> int:
        await c.sleep(50)
        return n

    await ctx.map(one, range(2))
    await ctx.step(effect, f"round {event}")
    if event < 2:
        ctx.continue_as_new(event + 1)
    return event
