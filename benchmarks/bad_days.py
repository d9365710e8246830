"""`python -m benchmarks.bad_days`: what damage, and functions that nobody serves, cost by the hour."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from durable_fn import sweeper
from durable_fn.cli.bills import READ_UNITS, SQS, WRITE_UNITS
from durable_fn.runtime.executions import new_header
from durable_fn.testing.cloud import LocalCloud
from tests.faults.damages import DAMAGES, RAN, header_field, works
from tests.intercepted import START, Bench

_HOUR, _MINUTE_MS = 3600, 60_000
_AS_DAMAGED: Any = {**DAMAGES, "a status of another version": header_field("status", {"S": "PAUSED"})}


@dataclass(frozen=True)
class Hour:
    """Of one execution."""

    invocations: int
    requests: int
    dollars: float


def damages() -> dict[str, tuple[Hour, Hour]]:
    """The first and the sixth hour after each kind of damage."""
    return {name: _of(damage) for name, damage in _AS_DAMAGED.items()}


def _of(damage: Callable[[LocalCloud], object]) -> tuple[Hour, Hour]:
    RAN.clear()
    with LocalCloud(bucket=True, shards=2) as cloud:
        cloud.attach(works)
        cloud.client.start(works, "large", id="x")
        cloud.run_until_idle()
        cloud.client.signal("x", "go", 10)
        cloud.run_until_idle()
        damage(cloud)
        first = _hour(cloud)
        cloud.advance(4 * _HOUR)
        return first, _hour(cloud)


def _hour(cloud: LocalCloud) -> Hour:
    before, calls = cloud.invoke, [0]

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        return before(*args, **kwargs)

    cloud.requests.clear()
    cloud.invoke = counted  # type: ignore[method-assign]
    try:
        cloud.advance(_HOUR)
    finally:
        cloud.invoke = before  # type: ignore[method-assign]
    seen = cloud.requests
    writes = sum(r.units + r.index_units for r in seen if r.is_write)
    reads = sum(r.units for r in seen if not r.is_write)
    messages = sum(r.is_message for r in seen) + calls[0]
    return Hour(calls[0], len(seen), (writes * WRITE_UNITS + reads * READ_UNITS + messages * 3 * SQS) / 1e6)


def dead(executions: int) -> tuple[int, int]:
    """Messages in the first and the sixth hour to a function that takes none, with so many executions that are due."""
    bench = Bench(works)
    for n in range(executions):
        bench.sqlite.create(new_header(bench.backend, f"dead-{n}", "dead", "null", retention_ms=1000))
    counts = []
    for hour in range(6):
        bench.hints.sent.clear()
        for minute in range(60):
            bench.clock.advance_to(START + (hour * 60 + minute + 1) * _MINUTE_MS)
            sweeper.sweep(bench.backend)
        counts.append(len(bench.hints.sent))
    return counts[0], counts[5]


def main() -> None:
    logging.disable(logging.CRITICAL)
    console = Console()
    if not console.is_terminal:
        console.width = 120
    table = Table(title="Damage, of one execution", title_justify="left", header_style="bold")
    for column in ("damage", "invocations, hour 1", "hour 6", "requests, hour 6", "$ per million, hour 6"):
        table.add_column(column, justify="left" if column == "damage" else "right")
    for name, (first, sixth) in damages().items():
        row = (first.invocations, sixth.invocations, sixth.requests, round(sixth.dollars * 1e6, 1))
        table.add_row(name, *map(str, row))
    console.print(table)
    table = Table(title="A function that takes no message", title_justify="left", header_style="bold")
    for column in ("executions", "messages, hour 1", "hour 6"):
        table.add_column(column, justify="right")
    for executions in (1, 100, 10_000):
        table.add_row(f"{executions:,}", *(f"{count:,}" for count in dead(executions)))
    console.print(table)


if __name__ == "__main__":
    main()
