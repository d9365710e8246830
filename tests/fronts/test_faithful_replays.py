"""`testing.replay` sees what the first run saw: draws, times, takeovers; and a history gives no secret away."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest

from durable_fn import AsyncDurableContext, DurableContext, durable
from durable_fn.log.draws import drawn, seed_of
from durable_fn.log.tokens import make
from durable_fn.testing import LocalRunner, replay
from durable_fn.testing.crashes import _Plan, _Run


def work(x: Any) -> Any:
    return x


@durable(name="draws")
def draws(event: Any, ctx: DurableContext) -> Any:
    first = [str(ctx.uuid4()), ctx.random(), str(ctx.now())]
    ctx.sleep(100)
    inner = ctx.map(lambda c, n: [n, str(c.uuid4()), c.random()], range(3)).results
    return [first, inner, str(ctx.uuid4()), str(ctx.now())]


@durable(name="draws")
async def a_draws(event: Any, ctx: AsyncDurableContext) -> Any:
    first = [str(ctx.uuid4()), ctx.random(), str(ctx.now())]
    await ctx.sleep(100)

    async def branch(c: AsyncDurableContext, n: int) -> Any:
        return [n, str(c.uuid4()), c.random()]

    inner = (await ctx.map(branch, range(3))).results
    return [first, inner, str(ctx.uuid4()), str(ctx.now())]


@pytest.mark.parametrize("handler", [draws, a_draws])
@pytest.mark.parametrize("as_json", [False, True])
def test_a_replay_draws_the_same(handler: Any, as_json: bool) -> None:
    with LocalRunner(handler) as runner:
        execution = runner.run(None)
        rows: list[Any] = [json.loads(json.dumps(e.to_json())) if as_json else e for e in execution.history]
        assert replay(handler, rows) == execution.result


@durable(name="draws")
def again(event: int, ctx: DurableContext) -> Any:
    drawn_ = [str(ctx.uuid4()), str(ctx.now())]
    ctx.sleep(10)
    if event < 3:
        ctx.continue_as_new(event + 1)
    return drawn_


def test_a_replay_of_a_later_generation_draws_the_same() -> None:
    with LocalRunner(again) as runner:
        execution = runner.run(0)
        assert replay(again, execution.history) == execution.result


@durable(name="taken_over")
async def taken_over(event: Any, ctx: AsyncDurableContext) -> Any:
    await ctx.step(work, 1)
    try:
        return await asyncio.wait_for(ctx.sleep(30), 20)
    except TimeoutError:
        return ["too late", str(ctx.now()), await ctx.step(work, 2)]


@pytest.mark.parametrize("dies_at", range(1, 16))
def test_a_replay_knows_where_an_owner_took_over(dies_at: int) -> None:
    """After a death a native timeout starts again with the code that runs again, later than the first time; or the sleep is
    over by then."""
    with _Run(_Plan(taken_over), dies_at, False) as runner:
        execution = runner.run(None)
        assert execution.status == "SUCCEEDED"
        assert replay(taken_over, execution.history) == execution.result


def test_a_history_gives_no_secret_away() -> None:
    @durable(name="secret")
    def handler(event: Any, ctx: DurableContext) -> Any:
        ctx.callback("ok")
        return ctx.wait_for_signal("x")

    with LocalRunner(handler) as runner:
        execution = runner.start(None)
        runner.run_until_idle()
        header = runner._header(execution.id)
        text = json.dumps([e.to_json() for e in execution.history])
        assert seed_of(header) in text
        assert header.secret not in text
        assert execution.callback_token("ok") not in text
        forged = make(header.id, header.run, header.gen, "0" * 20, seed_of(header), limited=True)
        assert forged != make(header.id, header.run, header.gen, "0" * 20, header.secret, limited=True)
        assert drawn(seed_of(header), "x") != drawn(header.secret, "x")


@pytest.mark.parametrize("origin", ["[]", "{", '{"asides":[["x","y"]]}', '{"asides":7}'])
def test_a_damaged_origin_is_no_history(origin: str) -> None:
    with LocalRunner(draws) as runner:
        rows = [e.to_json() for e in runner.run(None).history]
        with pytest.raises(ValueError, match="no history"):
            replay(draws, [rows[0] | {"origin": origin}, *rows[1:]])


@durable(name="limits")
async def six_limits(event: Any, ctx: AsyncDurableContext) -> Any:
    """All of one length, set one right after the other."""
    late: list[int] = []

    async def limited(n: int) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ctx.sleep(1000), 0.3)
        late.append(n)

    await asyncio.gather(*(limited(n) for n in range(6)))
    return late


@durable(name="limits")
async def lifted_limits(event: Any, ctx: AsyncDurableContext) -> Any:
    """The first that is late lifts the others."""
    limits: list[asyncio.Timeout] = []
    ends: list[str] = []

    async def limited(n: int) -> None:
        try:
            async with asyncio.timeout(0.3) as limit:
                limits.append(limit)
                await ctx.sleep(0.5)
            ends.append(f"{n} slept")
        except TimeoutError:
            ends.append(f"{n} was late")
            for other in limits:
                if other is not limit:
                    other.reschedule(None)

    await asyncio.gather(*(limited(n) for n in range(3)))
    return ends


@pytest.mark.parametrize(
    ("handler", "ends"), [(six_limits, [0, 1, 2, 3, 4, 5]), (lifted_limits, ["0 was late", "1 slept", "2 slept"])]
)
def test_equal_timeouts_fire_as_they_did(handler: Any, ends: list[Any]) -> None:
    """In a replay they are all set at one time, for the log's time stands, and are all late at once."""
    with LocalRunner(handler) as runner:
        execution = runner.run(None)
        assert execution.result == ends
        assert replay(handler, execution.history) == ends
