"""Powertools Metrics: what CloudWatch reads from standard output, parsed and added up."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import EphemeralMetrics

from durable_fn import DurableContext, durable
from durable_fn.ext.powertools import PowertoolsHooks
from durable_fn.testing import LocalRunner, crash_everywhere
from tests.environments import World
from tests.ext.orders import NAMES, handlers


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    made = Metrics(namespace="Shop", service="orders")
    yield made
    made.clear_metrics()


def emitted(text: str) -> list[dict[str, Any]]:
    """Each line as EMF, checked by the specification's own rules."""
    blobs = [json.loads(line) for line in text.splitlines()]
    for blob in blobs:
        assert isinstance(blob["_aws"]["Timestamp"], int)
        for directive in blob["_aws"]["CloudWatchMetrics"]:
            assert directive["Namespace"]
            assert len(directive["Metrics"]) <= 100
            for dimensions in directive["Dimensions"]:
                assert len(dimensions) <= 30
                assert all(isinstance(blob[name], str) and blob[name].isascii() for name in dimensions)
            for metric in directive["Metrics"]:
                values = blob[metric["Name"]]
                assert 1 <= len(values) <= 100
                assert all(isinstance(value, int | float) for value in values)
                assert metric["Unit"] in ("Count", "Seconds", "Milliseconds")
    return blobs


def totals(blobs: list[dict[str, Any]]) -> dict[str, float]:
    found: Counter[str] = Counter()
    for blob in blobs:
        for metric in blob["_aws"]["CloudWatchMetrics"][0]["Metrics"]:
            found[metric["Name"]] += sum(blob[metric["Name"]])
    return dict(found)


@pytest.mark.parametrize("front", NAMES)
def test_an_order(front: str, world: World, metrics: Metrics, capsys: pytest.CaptureFixture[str]) -> None:
    world.run(handlers([PowertoolsHooks(metrics=metrics)])[front], None, "order-1")
    blobs = emitted(capsys.readouterr().out)
    assert [(blob["function"], blob["service"], blob["execution_id"]) for blob in blobs] == [
        ("order", "orders", "order-1")
    ] * 4
    assert all(set(blob["_aws"]["CloudWatchMetrics"][0]["Dimensions"][0]) == {"service", "function"} for blob in blobs)
    found = totals(blobs)
    lag = found.pop("WakeUpLag")
    assert 0 <= lag <= 3 * 1000, "SQS delays are whole seconds"
    slept = found.pop("SuspendedSeconds")
    assert 60 + 3600 + 30 <= slept <= 60 + 3600 + 30 + 3
    assert found == {
        "StepAttempts": 4,
        "StepRetries": 1,
        "ReplayedSteps": 0 + 0 + 1 + 2,
        "ExecutionsStarted": 1,
        "ExecutionsCompleted": 1,
    }


def test_late_wake_ups(metrics: Metrics, capsys: pytest.CaptureFixture[str]) -> None:
    @durable(hooks=[PowertoolsHooks(metrics=metrics)])
    def handler(event: Any, ctx: DurableContext) -> None:
        ctx.sleep(100)

    runner = LocalRunner(handler)
    runner.start(None)
    runner.run_until_idle()
    runner._clock.advance_to(runner._clock.now() + 107_000)  # nobody looked meanwhile
    runner.run_until_idle()
    last = emitted(capsys.readouterr().out)[-1]
    assert (last["WakeUpLag"], last["SuspendedSeconds"]) == ([7000], [107])


@pytest.mark.parametrize("front", NAMES)
def test_a_failure_is_flushed_too(front: str, metrics: Metrics, capsys: pytest.CaptureFixture[str]) -> None:
    LocalRunner(handlers([PowertoolsHooks(metrics=metrics)], fail=True)[front]).run(None)
    found = totals(emitted(capsys.readouterr().out))
    assert found["ExecutionsFailed"] == 1
    assert "ExecutionsCompleted" not in found


def test_the_other_ends(metrics: Metrics, capsys: pytest.CaptureFixture[str]) -> None:
    hooks = [PowertoolsHooks(metrics=metrics)]

    @durable(hooks=hooks, execution_timeout=50)
    def handler(event: Any, ctx: DurableContext) -> None:
        ctx.wait_for_signal("never")

    runner = LocalRunner(handler)
    runner.run(None, "late")
    runner.advance(60)
    assert totals(emitted(capsys.readouterr().out))["ExecutionsTimedOut"] == 1
    runner.run(None, "cancelled")
    runner.cancel("cancelled")
    runner.run_until_idle()
    assert totals(emitted(capsys.readouterr().out))["ExecutionsCancelled"] == 1
    runner.run(None, "ended from outside")
    runner.client.terminate("ended from outside")
    runner.run_until_idle()
    assert not {name for name in totals(emitted(capsys.readouterr().out)) if name.startswith("ExecutionsC")}


def test_an_end_is_counted_by_who_brought_it(metrics: Metrics, capsys: pytest.CaptureFixture[str]) -> None:
    """Terminated while its handler runs: this invocation finds it ended, and did not end it."""

    @durable(hooks=[PowertoolsHooks(metrics=metrics)])
    def handler(event: Any, ctx: DurableContext) -> None:
        ctx.step(lambda: runner.client.terminate("x"))

    runner = LocalRunner(handler)
    assert runner.run(None, "x").status == "TERMINATED"
    assert set(totals(emitted(capsys.readouterr().out))) == {
        "StepAttempts", "StepRetries", "ReplayedSteps", "ExecutionsStarted", "WakeUpLag",
    }  # fmt: skip


def test_deaths_do_not_count_an_execution_twice(metrics: Metrics, capsys: pytest.CaptureFixture[str]) -> None:
    @durable(hooks=[PowertoolsHooks(metrics=metrics)])
    def handler(event: Any, ctx: DurableContext) -> int:
        ctx.step(int)
        ctx.sleep(60)
        return ctx.step(int)

    def check(execution: Any) -> None:
        found = totals(emitted(capsys.readouterr().out))
        assert found.get("ExecutionsStarted", 0) <= 1
        assert found.get("ExecutionsCompleted", 0) <= 1  # 0: it died after the end was written, before the flush
        assert 2 <= found["StepAttempts"] <= 3

    report = crash_everywhere(handler, None, check=check)
    assert report.ok, report


def test_the_handlers_own_metrics_go_along_and_apart(metrics: Metrics, capsys: pytest.CaptureFixture[str]) -> None:
    @durable(hooks=[PowertoolsHooks(metrics=metrics)])
    def handler(event: Any, ctx: DurableContext) -> None:
        metrics.add_dimension("shop", "berlin")
        ctx.step(
            lambda: metrics.add_metric("Sold", "Count", 3),
        )
        ctx.sleep(60)

    LocalRunner(handler).run(None)
    theirs = [blob for blob in emitted(capsys.readouterr().out) if "function" not in blob]
    assert totals(theirs) == {"Sold": 3}
    assert theirs[0]["shop"] == "berlin"
    assert not metrics.metric_set


def test_thousands_of_attempts_are_one_value(metrics: Metrics, capsys: pytest.CaptureFixture[str]) -> None:
    @durable(hooks=[PowertoolsHooks(metrics=metrics)])
    def handler(event: Any, ctx: DurableContext) -> None:
        ctx.map(lambda ctx, n: ctx.step(abs, n), range(300)).results

    LocalRunner(handler).run(None)
    (blob,) = emitted(capsys.readouterr().out)
    assert blob["StepAttempts"] == [300]


def test_a_name_that_cloudwatch_does_not_take(capsys: pytest.CaptureFixture[str]) -> None:
    @durable(name="größe", hooks=[PowertoolsHooks(metrics=EphemeralMetrics(namespace="Shop"))])
    def handler(event: Any, ctx: DurableContext) -> None: ...

    LocalRunner(handler).run(None)
    (blob,) = emitted(capsys.readouterr().out)
    assert (blob["function"], blob["service"]) == ("gr\\xf6\\xdfe", "service_undefined")


def test_a_broken_standard_output_harms_nobody(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError("nobody reads")

    monkeypatch.setattr("sys.stdout", Closed())
    assert LocalRunner(handlers([PowertoolsHooks(metrics=metrics)])["sync"]).run(None).status == "SUCCEEDED"
    assert "a hook failed" in caplog.text


def test_switched_off_by_the_environment(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_DISABLED", "true")
    LocalRunner(handlers([PowertoolsHooks(metrics=metrics)])["sync"]).run(None)
    assert capsys.readouterr().out == ""


def test_misuse() -> None:
    with pytest.raises(ValueError, match="POWERTOOLS_METRICS_NAMESPACE"):
        PowertoolsHooks(metrics=Metrics(service="x"))
    with pytest.raises(TypeError, match="Powertools Metrics in EMF, not int"):
        PowertoolsHooks(metrics=5)  # type: ignore[arg-type]


def test_made_when_first_needed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Late")
    hooks = PowertoolsHooks(metrics=True)
    LocalRunner(handlers([hooks])["sync"]).run(None)
    assert emitted(capsys.readouterr().out)[0]["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Late"
