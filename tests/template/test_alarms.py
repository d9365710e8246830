"""The alarms on the SDK's own metrics, in the template and in the starter: by what the SDK really writes, in virtual time."""

from __future__ import annotations

import importlib
import json
from typing import Any, NamedTuple

import pytest

from durable_fn import DurableContext, DurableFunction, durable
from durable_fn.cli import starting_point
from durable_fn.testing.cloud import LocalCloud
from tests.client.test_sweeper import sweep_for
from tests.template.cloudformation import Template
from tests.template.stage import FUNCTIONS, staged

WHOLE, STARTER = staged(), staged(starting_point.files()["template.yaml"])
MINUTE = 60_000


class Point(NamedTuple):
    """A value as CloudWatch has it."""

    metric: str
    function: str
    at: int
    value: float


def points(out: str) -> list[Point]:
    found = []
    for line in map(json.loads, out.splitlines()):
        (told,) = line["_aws"]["CloudWatchMetrics"]
        assert told["Namespace"] == "durable_fn"
        for metric in told["Metrics"]:
            found.append(Point(metric["Name"], line["function"], line["_aws"]["Timestamp"], line[metric["Name"]]))
    return found


def rings(alarm: dict[str, Any], given: list[Point], at: int) -> bool:
    """Whether it is in alarm at that time: so many of its latest periods are above the threshold. Empty ones are not."""
    assert (alarm["Statistic"], alarm["ComparisonOperator"], alarm["TreatMissingData"]) == (
        "Sum", "GreaterThanThreshold", "notBreaching",
    )  # fmt: skip
    (dimension,) = alarm["Dimensions"]
    mine = [p for p in given if (p.metric, p.function) == (alarm["MetricName"], dimension["Value"])]
    length, latest = alarm["Period"] * 1000, at // (alarm["Period"] * 1000)
    sums = [
        sum(p.value for p in mine if p.at // length == latest - n and p.at <= at)
        for n in range(alarm["EvaluationPeriods"])
    ]
    needed = alarm.get("DatapointsToAlarm", alarm["EvaluationPeriods"])
    return sum(each > alarm["Threshold"] for each in sums) >= needed


def alarm(template: Template, logical: str, metric: str) -> dict[str, Any]:
    found = template.properties(f"{logical}{metric}Alarm")
    assert (found["Namespace"], found["MetricName"]) == ("durable_fn", metric)
    assert [d["Name"] for d in found["Dimensions"]] == ["function"]
    return found


def name_of(template: Template, logical: str) -> str:
    module, _, attribute = template.properties(logical)["Handler"].rpartition(".")
    module = module.replace("app.", "durable_fn.cli.starter.app.") if logical == "Welcome" else module
    name: str = getattr(importlib.import_module(module), attribute).name
    return name


ALL = [*((WHOLE, name) for name in FUNCTIONS), (STARTER, "Welcome")]
everywhere = pytest.mark.parametrize(("template", "logical"), ALL, ids=lambda v: v if isinstance(v, str) else "")

once_each = pytest.mark.parametrize(
    ("template", "logical"), [ALL[0], ALL[-1]], ids=lambda v: v if isinstance(v, str) else ""
)
"""The four functions of the template are alike: see test_resources."""


@everywhere
def test_each_function_has_its_alarms_under_its_own_name(template: Template, logical: str) -> None:
    for metric in ("Failed", "Held", "Overdue"):
        (dimension,) = alarm(template, logical, metric)["Dimensions"]
        assert dimension["Value"] == name_of(template, logical)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "stack-function")
    with LocalCloud(shards=2) as cloud:
        yield cloud


def two_versions(name: str) -> tuple[DurableFunction[Any, Any], DurableFunction[Any, Any]]:
    @durable(name=name)
    def good(event: Any, ctx: DurableContext) -> None:
        ctx.sleep(30)

    @durable(name=name)
    def bad(event: Any, ctx: DurableContext) -> None:
        ctx.step(str, name="another")

    return good, bad


@once_each
def test_a_broken_deploy_is_an_alarm_within_minutes_for_as_long_as_it_lasts(
    template: Template, logical: str, cloud: LocalCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = two_versions(name_of(template, logical))
    held = alarm(template, logical, "Held")
    cloud.attach(good)
    cloud.client.start(good, None)
    cloud.run_until_idle()
    cloud.attach(bad)
    deployed = cloud.clock.now()
    cloud.advance(3 * 3600)
    found = points(capsys.readouterr().out)
    assert rings(held, found, deployed + 5 * MINUTE)
    assert all(rings(held, found, deployed + n * MINUTE) for n in range(5, 3 * 60)), (
        "though it is tried once an hour only"
    )
    mended = cloud.clock.now()
    cloud.attach(good)
    cloud.advance(3 * 3600)
    found += points(capsys.readouterr().out)
    assert not rings(held, found, mended + 3 * 60 * MINUTE)


@once_each
def test_a_dead_function_is_an_alarm_within_minutes_for_as_long_as_it_lasts(
    template: Template, logical: str, cloud: LocalCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    good, _ = two_versions(name_of(template, logical))
    cloud.attach(good)
    cloud.client.start(good, None)
    began = cloud.clock.now()
    sweep_for(cloud, 3 * 60)
    overdue, found = alarm(template, logical, "Overdue"), points(capsys.readouterr().out)
    assert not rings(overdue, found, began + MINUTE), "one lost message is none"
    assert all(rings(overdue, found, began + n * MINUTE) for n in range(5, 3 * 60))


@once_each
def test_a_failed_execution_is_an_alarm(
    template: Template, logical: str, cloud: LocalCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    @durable(name=name_of(template, logical))
    def fails(event: Any, ctx: DurableContext) -> None:
        raise ValueError("no")

    cloud.attach(fails)
    cloud.client.start(fails, None)
    cloud.run_until_idle()
    assert rings(alarm(template, logical, "Failed"), points(capsys.readouterr().out), cloud.clock.now())


def test_the_dashboard_shows_every_metric_of_every_function() -> None:
    body = json.loads(WHOLE.properties("Dashboard")["DashboardBody"])
    shown = [metric[:4] for widget in body["widgets"] for metric in widget["properties"]["metrics"]]
    kinds = ("Started", "Succeeded", "Failed", "TimedOut", "Cancelled", "Held", "Overdue", "WakeLag")
    for logical in FUNCTIONS:
        assert all(["durable_fn", kind, "function", name_of(WHOLE, logical)] in shown for kind in kinds)
