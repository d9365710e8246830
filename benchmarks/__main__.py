"""Prints the tables. `--runtime`: those of real Lambda environments instead; `--json`: for machines."""

from __future__ import annotations

import dataclasses
import json
import sys

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from . import requests, runtime, times, values

SIZES = (10, 100, 1000, 10_000)


def main() -> None:
    machine = "--json" in sys.argv
    console = Console(stderr=machine)
    if not console.is_terminal:
        console.width = 120
    if "--runtime" in sys.argv:
        _in_environments(console, machine)
        return
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("measuring", total=len(SIZES) + 5)

        def done() -> None:
            progress.advance(task)

        costs = requests.measure()
        done()
        files: list[times.Timing] = []
        for size in SIZES:
            files += times.steps(size, in_memory=False)
            done()
        memory = times.steps(1000, in_memory=True)
        done()
        empty = times.empty_handler()
        maps = times.wide_map(1000)
        done()
        loaded = times.imports()
        done()
        checks = values.measure()
        done()
    if machine:
        rows = {"requests": [dataclasses.asdict(c) | {"dollars_per_million": c.dollars} for c in costs]}
        rows |= {"sqlite": [dataclasses.asdict(t) for t in files], "machinery": [dataclasses.asdict(t) for t in memory]}
        rows |= {"checks": [dataclasses.asdict(cost) for cost in checks]}
        print(json.dumps(rows | {"empty_handler_ms": empty, "map_of_1000_ms": maps, "imports_ms": loaded}, indent=2))
        return
    console.print(_requests(costs))
    console.print(_steps("Steps on a SQLite file (microseconds per step; peer: bare commits to a file)", files))
    console.print(_steps("Machinery alone (a journal in memory; microseconds per step)", memory))
    console.print(f"An empty handler, event to answer, on a SQLite file: {empty:.2f} ms\n")
    figures = ", ".join(f"{front} {figure:.0f} ms" for front, figure in maps.items())
    console.print(f"A map of 1,000 items with a step each, on a SQLite file: {figures}\n")
    console.print(_checks(checks, next(t for t in files if t.steps == 1000)))
    console.print(_imports(loaded))


def _in_environments(console: Console, machine: bool) -> None:
    sizes, why = runtime.sizes(), runtime.missing()
    starts = [] if why else runtime.starts()
    if machine:
        rows = {"environments": [dataclasses.asdict(s) for s in starts], "skipped": why}
        print(json.dumps(rows | {"sizes": [dataclasses.asdict(s) for s in sizes]}, indent=2))
        return
    console.print(f"Environments are not measured: {why}\n" if why else _starts(starts), highlight=False)
    table = Table(title="A function's package besides its own code (kB)", title_justify="left", header_style="bold")
    table.add_column("part")
    table.add_column("zipped", justify="right")
    table.add_column("unzipped", justify="right")
    for size in sizes:
        table.add_row(size.package, f"{size.zipped:,.0f}", f"{size.unzipped:,.0f}")
    console.print(table)


def _starts(starts: list[runtime.Start]) -> Table:
    title = "Lambda's own runtime, DynamoDB in an emulator (ms as the caller waits; ratios to the first)"
    table = Table(title=title, title_justify="left", header_style="bold")
    table.add_column("handler")
    for column in ("cold", "ratio", "warm", "ratio"):
        table.add_column(column, justify="right")
    base = starts[0]
    for start in starts:
        ratios = (f"{start.cold / base.cold:.2f}", f"{start.warm / base.warm:.2f}")
        table.add_row(start.handler, f"{start.cold:.0f}", ratios[0], f"{start.warm:.2f}", ratios[1])
    return table


def _requests(costs: list[requests.Cost]) -> Table:
    table = Table(title="AWS requests and capacity per execution", title_justify="left", header_style="bold")
    table.add_column("scenario")
    for column in ("writes", "write units", "index units", "reads", "read units", "messages", "schedules"):
        table.add_column(column, justify="right")
    table.add_column("$ per million", justify="right", style="green")
    table.add_column("AWS durable functions", justify="right", style="dim")
    for c in costs:
        counts = (c.writes, c.write_units, c.index_units, c.queries, c.read_units, c.messages, c.schedules)
        table.add_row(c.scenario, *(f"{n:g}" for n in counts), f"{c.dollars:.2f}", f"{c.dollars_aws:.2f}")
    return table


def _checks(costs: list[values.Cost], step: times.Timing) -> Table:
    title = f"That a value comes back as it was (microseconds; share of a live step on a file, {step.live:.0f})"
    table = Table(title=title, title_justify="left", header_style="bold")
    table.add_column("value")
    for column in ("bytes", "written and read", "compared", "share"):
        table.add_column(column, justify="right")
    for cost in costs:
        table.add_row(
            cost.value, f"{cost.size:,}", f"{cost.kept:.1f}", f"{cost.check:.1f}", f"{cost.check / step.live:.1%}"
        )
    return table


def _steps(title: str, timings: list[times.Timing]) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in ("front", "steps", "live wall", "live CPU", "replay wall", "replay CPU", "peer", "live / peer"):
        table.add_column(column, justify="left" if column == "front" else "right")
    for t in timings:
        ratio = ("", "") if t.peer is None else (f"{t.peer:.1f}", f"{t.live / t.peer:.1f}")
        figures = (t.live, t.live_cpu, t.replay, t.replay_cpu)
        table.add_row(t.front, f"{t.steps:,}", *(f"{figure:.1f}" for figure in figures), *ratio)
    return table


def _imports(loaded: dict[str, float]) -> Table:
    table = Table(title="Imports in a fresh process", title_justify="left", header_style="bold")
    table.add_column("code")
    table.add_column("ms", justify="right")
    table.add_column("ratio", justify="right")
    base = next(iter(loaded.values()))
    for name, figure in loaded.items():
        table.add_row(name, f"{figure:.0f}", f"{figure / base:.2f}")
    return table


if __name__ == "__main__":
    main()
