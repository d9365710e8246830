"""The SDK's own metrics: what CloudWatch reads from standard output, in both fronts and on both journals."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from durable_fn import AsyncDurableContext, DurableContext, DurableFunction, durable
from durable_fn.testing import LocalRunner, replay
from durable_fn.testing.cloud import LocalCloud
from tests.client.test_sweeper import sweep_for
from tests.environments import World

Out = pytest.CaptureFixture[str]
fronts = pytest.mark.parametrize("front", ["def", "async def"])


@pytest.fixture(autouse=True)
def _in_lambda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "stack-orders")


def emitted(out: Out, fn: str = "orders") -> list[dict[str, float]]:
    """The values of each line, which are checked by the specification's own rules."""
    found = []
    for line in out.readouterr().out.splitlines():
        blob = json.loads(line)
        (told,) = blob.pop("_aws")["CloudWatchMetrics"]
        assert (told["Namespace"], told["Dimensions"]) == ("durable_fn", [["function"]])
        values = {metric["Name"]: blob.pop(metric["Name"]) for metric in told["Metrics"]}
        units = {metric["Name"]: metric["Unit"] for metric in told["Metrics"]}
        assert units == {name: "Milliseconds" if name == "WakeLag" else "Count" for name in values}
        assert blob == {"function": fn}, "one dimension, and nothing that a search for money could be made of"
        found.append(values)
    return found


def totals(lines: list[dict[str, float]]) -> dict[str, float]:
    found: Counter[str] = Counter()
    for values in lines:
        found.update({name: value for name, value in values.items() if name != "WakeLag"})  # type: ignore[arg-type]
    return dict(found)


def orders(front: str) -> DurableFunction[Any, Any]:
    """Sleeps a minute, and does as it is told."""

    def does(event: Any) -> Any:
        if event == "fail":
            raise ValueError("no")
        return event

    if front == "def":

        @durable(name="orders")
        def plain(event: Any, ctx: DurableContext) -> Any:
            ctx.sleep(60)
            return does(event)

        return plain

    @durable(name="orders")
    async def native(event: Any, ctx: AsyncDurableContext) -> Any:
        await ctx.sleep(60)
        return does(event)

    return native


@pytest.mark.parametrize(("event", "end"), [("ok", "Succeeded"), ("fail", "Failed")])
@fronts
def test_each_beginning_and_each_end_is_counted_once(
    world: World, front: str, event: str, end: str, capsys: Out
) -> None:
    world.run(orders(front), event)
    world.advance(3600)
    first, second = emitted(capsys)
    assert first["Started"] == 1
    assert (second.pop("WakeLag"), second) == (0, {end: 1})


def waits(front: str) -> DurableFunction[Any, Any]:
    if front == "def":

        @durable(name="orders", execution_timeout=30)
        def plain(event: Any, ctx: DurableContext) -> Any:
            return ctx.wait_for_signal("go")

        return plain

    @durable(name="orders", execution_timeout=30)
    async def native(event: Any, ctx: AsyncDurableContext) -> Any:
        return await ctx.wait_for_signal("go")

    return native


@fronts
def test_timeouts_and_cancellations(world: World, front: str, capsys: Out) -> None:
    function = waits(front)
    world.run(function, "ok", "late")
    world.advance(60)
    world.run(function, "ok", "asked")
    world.client.cancel("asked")
    world.advance(60)
    world.run(function, "ok", "cut")
    world.client.terminate("cut")
    world.advance(3600)
    assert totals(emitted(capsys)) == {"Started": 3, "TimedOut": 1, "Cancelled": 1}, "a client is outside of Lambda"


@fronts
def test_a_direct_start_waited_for_nobody(world: World, front: str, capsys: Out) -> None:
    world.invoke(orders(front), "ok")
    assert emitted(capsys) == [{"Started": 1}]


@pytest.fixture
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud(shards=2) as cloud:
        yield cloud


def test_what_nobody_takes_is_overdue_and_late_when_it_is_taken(cloud: LocalCloud, capsys: Out) -> None:
    """One lost message is no alarm: the sweeper mends it within a minute. It moves the time of its next look; the lag counts from
    its last message."""
    function = orders("def")
    cloud.attach(function)
    id = cloud.client.start(function, "ok")
    cloud._moto_queue(cloud.queue_url(function))._messages.clear()
    sweep_for(cloud, 1)
    assert emitted(capsys) == []
    sweep_for(cloud, 30)
    assert totals(emitted(capsys)) == {"Overdue": 4}, "as often as the sweeper looks: after 1, 2, 4, 8, 16 minutes"
    cloud.clock.sleep(90)
    header = cloud.store.get(id)
    assert header is not None
    assert header.hint is not None
    late = cloud.clock.now() - header.hint
    cloud.run(id)
    first, *_ = emitted(capsys)
    assert first == {"Started": 1, "WakeLag": late}
    assert late >= 90_000


@fronts
def test_a_broken_deploy_turns_the_metrics_of_an_alarm_within_five_minutes(
    front: str, capsys: Out, cloud: LocalCloud
) -> None:
    """And the mended one picks everything up."""

    @durable(name="orders")
    def broken(event: Any, ctx: DurableContext) -> Any:
        ctx.step(lambda: 1, name="new-first")
        return event

    @durable(name="orders")
    async def a_broken(event: Any, ctx: AsyncDurableContext) -> Any:
        await ctx.step(lambda: 1, name="new-first")
        return event

    good = orders(front)
    cloud.attach(good)
    ids = [cloud.client.start(good, "ok") for _ in range(3)]
    cloud.advance(1)
    emitted(capsys)
    cloud.attach(broken if front == "def" else a_broken)
    cloud.advance(300)
    assert totals(emitted(capsys))["Held"] >= 3
    assert all(cloud.client.describe(id).held for id in ids)
    cloud.attach(good)
    cloud.advance(3600)
    assert totals(emitted(capsys)) == {"Succeeded": 3}


def test_a_stale_owner_counts_nothing_of_what_another_one_did(world: World, capsys: Out) -> None:
    @durable(name="orders")
    def ended(event: Any, ctx: DurableContext) -> None:
        ctx.step(lambda: world.client.terminate(ctx.execution_id))

    world.run(ended, None)
    world.advance(60)
    assert totals(emitted(capsys)) == {"Started": 1}


def test_an_outage_is_no_end_and_hides_no_beginning(capsys: Out, monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalRunner(orders("def")) as runner:
        monkeypatch.setattr(runner.backend.store, "suspend", refuses)
        with pytest.raises(ConnectionError):
            runner.invoke("ok")
        assert emitted(capsys) == [{"Started": 1}]


def refuses(*_: Any, **__: Any) -> Any:
    raise ConnectionError("the table is away")


def test_a_name_that_cloudwatch_would_not_take(sqlite_world: World, capsys: Out) -> None:
    @durable(name="bestellung-\u00e4")
    def umlaut(event: Any, ctx: DurableContext) -> None:
        return None

    sqlite_world.run(umlaut, None)
    assert totals(emitted(capsys, "bestellung-\\xe4")) == {"Started": 1, "Succeeded": 1}


# -- when there are none -------------------------------------------------------------------------------------------


def everything(cloud: LocalCloud) -> None:
    function = orders("def")
    cloud.attach(function)
    cloud.run(cloud.client.start(function, "ok"))
    cloud.client.start(function, "ok")
    cloud._moto_queue(cloud.queue_url(function))._messages.clear()
    sweep_for(cloud, 10)


@pytest.mark.parametrize(("variable", "value"), [("AWS_LAMBDA_FUNCTION_NAME", ""), ("DURABLE_FN_METRICS", "off")])
def test_only_lambda_has_metrics_and_they_can_be_switched_off(
    cloud: LocalCloud, capsys: Out, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    everything(cloud)
    assert {"Started", "Succeeded", "Overdue"} == totals(emitted(capsys)).keys()
    monkeypatch.setenv(variable, value)
    everything(cloud)
    assert capsys.readouterr().out == ""


def test_a_value_that_means_nothing_is_refused(sqlite_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURABLE_FN_METRICS", "false")
    with pytest.raises(RuntimeError, match="DURABLE_FN_METRICS must be 'off' or not set, got 'false'"):
        sqlite_world.invoke(orders("def"), "ok")


def test_a_replay_of_a_history_is_no_run(capsys: Out) -> None:
    function = orders("def")
    with LocalRunner(function) as runner:
        history = runner.run("ok").history
    emitted(capsys)
    replay(function, history)
    assert emitted(capsys) == []
