"""The figures of docs/guide/limits-and-costs.md: what `python -m benchmarks.workflows` counts, and the limits of the code."""

from __future__ import annotations

import re

from benchmarks import workflows
from durable_fn import callback_api, sweeper
from durable_fn.backends import packing
from durable_fn.backends.aws import dynamodb
from durable_fn.cli import bills
from durable_fn.log import ids
from durable_fn.runtime import activity, calls, lambda_time
from durable_fn.testing.cloud import LocalCloud
from tests.docs.test_guide import ROOT

PAGE = (ROOT / "docs" / "guide" / "limits-and-costs.md").read_text()
BEGIN, END = "<!-- made by python -m benchmarks.workflows -->\n", "<!-- end -->\n"


def test_the_table_is_what_is_counted() -> None:
    assert PAGE.partition(BEGIN)[2].partition(END)[0] == workflows.table()


def test_the_prices_are_those_that_are_reckoned_with() -> None:
    assert f"${bills.AWS_DURABLE_OPERATIONS:.2f} per million operations" in PAGE
    assert f"${bills.STATE_TRANSITIONS:.2f} per million state transitions" in PAGE
    assert f"3 fewer, ${3 * bills.WRITE_UNITS:.2f} a million" in PAGE
    assert all(f"({url})" in PAGE for url in bills.SOURCES.values())


def test_an_idle_stack_costs_the_sweeper() -> None:
    """A minute's reads, and a month of them in dollars: Lambda's 50 ms at 512 MB and its requests besides."""
    with LocalCloud(workflows.order) as cloud:
        cloud.invoke(workflows.order, True)
        cloud.requests.clear()
        sweeper.sweep(cloud.backend)
        units = sum(request.units for request in cloud.requests)
    assert f"that read {units:g} units each, some ten cents" in PAGE
    minutes = 30 * 24 * 60
    gigabyte_second = 16.6667
    month = minutes * (units * bills.READ_UNITS + workflows.LAMBDA_REQUESTS + 0.05 * 0.5 * gigabyte_second) / 1e6
    assert 0.05 < month < 0.15


def test_the_limits_are_those_of_the_code() -> None:
    item, bucket = dynamodb.DynamoStore.max_body // 1000, packing.MOST // 1024**2
    shown = {
        "an execution id, a signal's id": f"{ids._MAX_BYTES} bytes",
        "a value: event, result, error, signal": f"{item} kB after compression; with a bucket {bucket} MB",
        "an HTTP body of the callback API": f"{callback_api._MOST_BODY // 1000} kB",
        "branches at once in a `def` handler": f"{activity.MOST_HELPERS + 1}; more wait for their turn",
        "`def` bodies at once in an `async def` handler": f"{activity.MOST_HELPERS}; more wait for their turn",
        "depth of calls (`ctx.call` in `ctx.call`)": f"{calls._DEEPEST} (`{calls.CALL_DEPTH}`)",
        "one invocation": f"{lambda_time.MOST_MS // 60_000} minutes",
    }
    for row, limit in shown.items():
        assert limit in next(line for line in PAGE.splitlines() if line.startswith(f"| {row} |")), row


def test_the_comparison_tells_the_extremes_of_the_table() -> None:
    """Of AWS's own two, without the map, in which many branches are counted as one."""
    rows = [re.sub(r"[*,]", "", line).split("|")[2:5] for line in workflows.table().splitlines() if "**" in line]
    ours, durable, states = zip(*(map(float, row) for row in rows[:-1]), strict=True)
    compared = (ROOT / "docs" / "guide" / "compared.md").read_text()
    shares = sorted(round(other / own) for own, other in zip(ours, states, strict=True))
    assert (shares[0], shares[-1]) == (3, 18)
    assert "A third to an eighteenth of the price" in compared
    shares = sorted(round(other / own) for own, other in zip(ours, durable, strict=True))
    assert (shares[0], shares[1], shares[-1]) == (1, 2, 6)
    assert "cost a half to a sixth; one that suspends for each single step costs\nabout the same" in compared
