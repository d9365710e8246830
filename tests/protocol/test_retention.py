"""Promise 8: a live execution never loses what is recorded to retention; a finished one goes without a write per step.

LocalCloud's TTL is the worst that AWS may be: it removes everything the moment it may be removed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from durable_fn import AsyncDurableContext, DurableContext, DurableFunction, durable
from durable_fn.backends.ports import every
from durable_fn.errors import ExecutionConflict, ExecutionNotFound
from durable_fn.log.header import Header
from durable_fn.log.inbox import entry
from durable_fn.testing import LocalRunner
from durable_fn.testing.cloud import LocalCloud
from tests.effects import EFFECTS, effect
from tests.environments import World

LARGE = "x" * 5000


@durable(name="patient", retention=0)
def patient(event: Any, ctx: DurableContext) -> Any:
    first = ctx.step(effect, "first")
    answer = ctx.callback("late")
    ctx.sleep(timedelta(days=40))
    ctx.step(effect, "second")
    return [len(event), first, answer.result(), ctx.wait_for_signal("go"), ctx.wait_for_signal("go")]


@durable(name="patient", retention=0)
async def a_patient(event: Any, ctx: AsyncDurableContext) -> Any:
    first = await ctx.step(effect, "first")
    answer = await ctx.callback("late")
    await ctx.sleep(timedelta(days=40))
    await ctx.step(effect, "second")
    return [len(event), first, await answer.result(), await ctx.wait_for_signal("go"), await ctx.wait_for_signal("go")]


@pytest.fixture
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud(timeout=60) as cloud:
        yield cloud


def header(cloud: LocalCloud, id: str = "x") -> Header:
    with cloud.wire.aside():
        found = cloud.store.get(id)
    assert found is not None
    return found


@pytest.mark.parametrize("function", [patient, a_patient], ids=["def", "async def"])
def test_a_life_of_months_keeps_its_log_its_input_and_its_inbox(
    cloud: LocalCloud, function: DurableFunction[Any, Any]
) -> None:
    cloud.attach(function)
    cloud.client.start(function, LARGE, id="x")
    cloud.client.signal("x", "go", 1)
    cloud.advance(timedelta(days=100))
    loaded = cloud.backend.store.load(header(cloud).key)
    assert loaded is not None
    cloud.client.complete_callback(_token(header(cloud), "late"), "answer")
    cloud.advance(timedelta(days=100))
    cloud.client.signal("x", "go", 2)
    cloud.run("x")
    assert cloud.client.result("x") == [5000, "first", "answer", 1, 2]
    assert EFFECTS == ["first", "second"]
    assert not cloud.deaths


def _token(of: Header, name: str) -> str:
    from durable_fn.log.inbox import short
    from durable_fn.log.tokens import make

    return make(of.id, of.run, of.gen, short(name), of.secret, limited=False)


def test_a_mismatch_that_lasts_months_loses_nothing(cloud: LocalCloud) -> None:
    @durable(name="patient", retention=0)
    def broken(event: Any, ctx: DurableContext) -> Any:
        return ctx.step(effect, "another", event)  # type: ignore[call-arg]

    cloud.attach(patient)
    cloud.client.start(patient, LARGE, id="x")
    cloud.run_until_idle()
    cloud.attach(broken)
    for _ in range(15):  # each time it is tried once; hour by hour would take long
        cloud._pass_time(cloud.clock.now() + 3 * 86_400_000)
        cloud.run_until_idle()
    assert header(cloud).strikes > 5
    cloud.attach(patient)
    cloud.client.complete_callback(_token(header(cloud), "late"), 1)
    cloud.client.signal("x", "go", 2)
    cloud.client.signal("x", "go", 3)
    cloud.run("x")
    assert cloud.client.result("x") == [5000, "first", 1, 2, 3]
    assert EFFECTS == ["first", "second"]


def test_what_it_costs(cloud: LocalCloud) -> None:
    """Copies are few and large, come the rarer the older it is, and send no message."""

    @durable(name="waits", retention=0)
    def waits(event: int, ctx: DurableContext) -> Any:
        for n in range(event):
            ctx.step(effect, str(n))
        return ctx.wait_for_signal("go")

    cloud.attach(waits)
    cloud.client.start(waits, 100, id="x")
    cloud.run_until_idle()
    assert header(cloud).timer == 0
    assert header(cloud).due == header(cloud).horizon * 1000 - 7 * 86_400_000
    cloud.requests.clear()
    cloud.advance(timedelta(days=365))
    sent = [r for r in cloud.requests if r.action == "SendMessage"]
    assert not sent, "the sweeper (not counted here) wakes it; it sends nothing itself"
    puts = [r for r in cloud.requests if r.action == "PutItem"]
    assert 10 <= len(puts) <= 20
    assert all(r.units <= 2 for r in puts), "100 steps, compressed"
    assert Counter(r.action for r in cloud.requests)["Query"] == 2 * len(puts)
    assert EFFECTS.count("7") == 1


def test_a_long_sleep_below_the_horizon_is_not_woken(cloud: LocalCloud) -> None:
    @durable(name="naps")
    def naps(event: Any, ctx: DurableContext) -> None:
        ctx.sleep(timedelta(days=30))

    cloud.attach(naps)
    cloud.client.start(naps, None, id="x")
    cloud.run("x")
    assert header(cloud).turns == 2


def test_an_entry_with_an_old_stamp_is_kept(cloud: LocalCloud) -> None:
    """Its sender had looked at the header before the log was copied."""

    @durable(name="waits", retention=0)
    def waits(event: Any, ctx: DurableContext) -> Any:
        ctx.wait_for_signal("first")
        return ctx.wait_for_signal("late")

    cloud.attach(waits)
    cloud.client.start(waits, None, id="x")
    cloud.run_until_idle()
    old = header(cloud)
    cloud.advance(timedelta(days=6))
    assert header(cloud).edition
    assert header(cloud).horizon > old.horizon
    from durable_fn.log.inbox import numbered, signal_prefix

    key = numbered(signal_prefix("late"), 0, "w")
    cloud.backend.store.deliver(old, entry(key, "w", "7"), cloud.clock.now())
    cloud.advance(timedelta(days=60))
    cloud.client.signal("x", "first")
    cloud.run("x")
    assert cloud.client.result("x") == 7


def test_unread_signals_outlive_generations(cloud: LocalCloud) -> None:
    @durable(name="loop", retention=0)
    def loop(event: int, ctx: DurableContext) -> Any:
        if event == 18:
            return ctx.wait_for_signal("kept", timeout=0)
        ctx.sleep(timedelta(days=1))
        return ctx.continue_as_new(event + 1)

    cloud.attach(loop)
    cloud.client.start(loop, 8, id="x")
    cloud.client.signal("x", "kept", "still here")
    cloud.run("x")
    assert cloud.client.result("x") == "still here"
    assert header(cloud).gen == 11


def test_a_copy_that_comes_late_changes_nothing(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each copy has a name of its own: a stale owner's must not be taken for the one that stands."""
    copies: list[Any] = []
    put = cloud.store.table.put

    def seen(item: Any) -> None:
        if item["sk"]["S"].startswith("C#"):
            copies.append(item)
        put(item)

    monkeypatch.setattr(cloud.store.table, "put", seen)
    cloud.attach(patient)
    cloud.client.start(patient, LARGE, id="x")
    cloud.advance(timedelta(days=100))
    assert EFFECTS == ["first", "second"]
    assert len(copies) >= 2
    put(copies[0])
    cloud.client.complete_callback(_token(header(cloud), "late"), 1)
    cloud.client.signal("x", "go", 2)
    cloud.client.signal("x", "go", 3)
    cloud.run("x")
    assert cloud.client.result("x") == [5000, "first", 1, 2, 3]
    assert EFFECTS == ["first", "second"]


@pytest.mark.parametrize("die_at", range(1, 9))
def test_a_copy_that_is_cut_short_changes_nothing(monkeypatch: pytest.MonkeyPatch, die_at: int) -> None:
    """The process dies at each request of the turn that copies."""

    class Death(BaseException): ...

    with LocalCloud() as cloud:
        cloud.attach(patient)
        cloud.client.start(patient, LARGE, id="x")
        cloud.run_until_idle()
        cloud.clock.advance_to(header(cloud).due or 0)
        left = [die_at]
        real, invoke = cloud.store.table.request, cloud.invoke

        def dying(action: str, **arguments: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                raise Death
            return real(action, **arguments)

        def invoked(*args: Any, **kwargs: Any) -> Any:
            monkeypatch.setattr(cloud.store.table, "request", dying)
            try:
                return invoke(*args, **kwargs)
            finally:
                monkeypatch.setattr(cloud.store.table, "request", real)

        monkeypatch.setattr(cloud, "invoke", invoked)
        cloud.advance(timedelta(days=60))
        assert len(cloud.deaths) == (1 if die_at < 8 else len(cloud.deaths))
        cloud.client.complete_callback(_token(header(cloud), "late"), 1)
        cloud.client.signal("x", "go", 2)
        cloud.client.signal("x", "go", 3)
        cloud.run("x")
        assert cloud.client.result("x") == [5000, "first", 1, 2, 3]
        assert EFFECTS == ["first", "second"]


# -- the end -------------------------------------------------------------------------------------------------------


@durable(name="short", retention=timedelta(days=2))
def short_lived(event: Any, ctx: DurableContext) -> Any:
    return ctx.step(effect, "done")


def test_a_finished_one_goes_after_its_retention(world: World) -> None:
    id = world.run(short_lived, None)
    world.advance(timedelta(days=1))
    assert world.client.result(id) == "done"
    world.advance(timedelta(days=2))
    with pytest.raises(ExecutionNotFound):
        world.client.describe(id)


def test_all_of_it_goes_in_the_end(cloud: LocalCloud) -> None:
    cloud.attach(short_lived)
    cloud.client.start(short_lived, LARGE, id="x")
    cloud.run("x")
    writes = len(cloud.requests)
    cloud.advance(timedelta(days=20))
    assert len(cloud.requests) == writes, "nobody writes for it"
    assert list(every(cloud.store)) == []
    from moto.dynamodb.models import dynamodb_backends

    left = dynamodb_backends["123456789012"]["eu-central-1"].tables["durable-fn"].all_items()
    assert {item.hash_key.value for item in left} <= {" function"}


def test_what_lost_its_steps_is_not_redriven(cloud: LocalCloud) -> None:
    """It would do everything again."""

    @durable(name="late", retention=timedelta(days=60))
    def late(event: Any, ctx: DurableContext) -> Any:
        ctx.step(effect, "once")
        ctx.sleep(timedelta(days=55))
        raise ValueError("no")

    cloud.attach(late)
    cloud.client.start(late, None, id="x")
    assert cloud.run("x").status == "FAILED"
    cloud.advance(timedelta(days=50))
    assert cloud.client.describe("x").status == "FAILED", "it stays for its retention, though its steps may be gone"
    for action in (lambda: cloud.client.redrive("x"), lambda: cloud.client.fork("x", from_step="once")):
        with pytest.raises(ExecutionConflict, match="it cannot go on from them any more"):
            action()
    assert EFFECTS == ["once"]


def test_a_redriven_one_is_kept_like_any_other(cloud: LocalCloud) -> None:
    fails = [True]

    @durable(name="again", retention=timedelta(days=10))
    def again(event: Any, ctx: DurableContext) -> Any:
        ctx.step(effect, "once")
        ctx.sleep(60)
        if fails:
            raise ValueError("no")
        return ctx.wait_for_signal("go")

    cloud.attach(again)
    cloud.client.start(again, None, id="x")
    assert cloud.run("x").status == "FAILED"
    cloud.advance(timedelta(days=9))
    fails.clear()
    cloud.client.redrive("x")
    cloud.advance(timedelta(days=100))
    cloud.client.signal("x", "go", 5)
    cloud.run("x")
    assert cloud.client.result("x") == 5
    assert EFFECTS == ["once"]


def test_people_are_shown_timers_only() -> None:
    with LocalRunner(patient) as runner:
        execution = runner.start("e", "x")
        runner.run_until_idle()
        due = runner.client.describe("x").next_due_at
        assert due is not None
        assert due - runner.now() == timedelta(days=40)
        runner.advance(timedelta(days=41))
        assert runner.client.describe("x").next_due_at is None
        assert execution.status == "SUSPENDED"
