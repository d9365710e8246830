"""What people see: timelines and tables."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ..types import ExecutionInfo, HistoryEvent
from .demo import Report, Row

STATUS_STYLE = {
    "SUCCEEDED": "green",
    "FAILED": "red",
    "SUSPENDED": "yellow",
    "RUNNING": "cyan",
    "PENDING": "blue",
}
_COLOURS = {"worker 1": "cyan", "worker 2": "magenta"}


def shorten(value: Any, most: int = 60) -> str:
    """A value on one line."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"


# -- the demo ------------------------------------------------------------------------------------------------------


def show_row(console: Console, row: Row) -> None:
    """One line, as it happens."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(width=8, justify="right", style="dim")
    grid.add_column(width=8, style=_COLOURS.get(row.worker or "", ""))
    grid.add_column()
    grid.add_row(f"{row.at:.2f} s", row.worker or "", _sentence(row))
    console.print(grid)


def _sentence(row: Row) -> Text:
    if row.what == "done":
        again = f" (attempt {row.attempt})" if (row.attempt or 1) > 1 else ""
        return Text.assemble(("✔ ", "green"), (f"{row.step}", "bold"), again, ("  " + _result(row.result), "dim"))
    if row.what == "failed":
        tail = f", again in {row.again_in:.1f} s" if row.again_in is not None else ", gives up"
        return Text.assemble(("✘ ", "red"), (f"{row.step}", "bold"), f" attempt {row.attempt}: {row.error}{tail}")
    if row.what == "killed":
        return Text.assemble(
            ("☠ SIGKILL", "bold red"), f" to pid {row.pid}; its lease runs for {row.again_in:.1f} s more"
        )
    if row.what == "takes over":
        return Text.assemble(("↻ takes over", "bold"), f"; replayed, not run: {', '.join(row.replayed) or 'nothing'}")
    texts = {
        "placed": f"→ order placed  {row.result}",
        "ready": f"● started, pid {row.pid}",
        "finished": "■ the order is finished",
    }
    return Text(texts[row.what])


def _result(result: Any) -> str:
    if not isinstance(result, dict):
        return "" if result is None else shorten(result)
    return shorten("  ".join(str(value) for value in result.values()))


def show_report(console: Console, report: Report) -> None:
    """The side effects, counted in the systems themselves, and the receipt."""
    table = Table(title="What happened outside, counted there", title_justify="left", header_style="bold")
    for column in ("system", "effect"):
        table.add_column(column)
    table.add_column("asked for", justify="right")
    table.add_column("happened", justify="right")
    for name, counts in report.effects.items():
        for count in counts:
            mark = Text(f"{count.effects} ✔" if count.effects == 1 else f"{count.effects} ✘")
            mark.stylize("green" if count.effects == 1 else "red")
            table.add_row(name, count.what, str(count.calls), mark)
    receipt = report.result if isinstance(report.result, dict) else {"result": report.result}
    lines = Text("\n").join(Text(f"{key:<12} {shorten(value)}") for key, value in receipt.items() if value is not None)
    style = "green" if report.ok else "red"
    console.print()
    console.print(Group(table, Panel(lines, title=f"receipt: {report.status}", border_style=style, expand=False)))


# -- executions ----------------------------------------------------------------------------------------------------


def executions_table(rows: Iterable[ExecutionInfo]) -> Table:
    table = Table(header_style="bold")
    for column in ("execution", "function", "status", "started", "next due", "turns"):
        wide = column in ("execution", "function")
        table.add_column(column, overflow="fold", no_wrap=not wide, justify="right" if column == "turns" else "left")
    for row in rows:
        status = Text(row.status, style=STATUS_STYLE.get(row.status, ""))
        table.add_row(row.id, row.name, status, _time(row.started_at), _time(row.next_due_at), str(row.invocations))
    return table


def execution_panel(row: ExecutionInfo) -> Panel:
    facts = {
        "function": row.name,
        "started": _time(row.started_at),
        "finished": _time(row.finished_at),
        "next due": _time(row.next_due_at),
        "turns": row.invocations,
        "input": shorten(row.input, 200),
        "error": f"{row.error['error_type']}: {row.error['message']}" if row.error else "",
    }
    body = Text("\n").join(Text(f"{name:<9} {value}") for name, value in facts.items() if value not in ("", None))
    style = STATUS_STYLE.get(row.status, "")
    return Panel(body, title=f"{row.id}: [{style}]{row.status}[/]", expand=False)


def history_table(events: list[HistoryEvent]) -> Table:
    """A timeline: each entry with its distance from the first."""
    table = Table(header_style="bold")
    for column in ("after", "operation", "kind", "attempt", "outcome"):
        table.add_column(column, justify="right" if column in ("after", "attempt") else "left", overflow="fold")
    for event in events:
        after = (event.at - events[0].at).total_seconds()
        table.add_row(f"{after:.3f} s", event.id, event.kind, str(event.attempt), _outcome(event))
    return table


def _outcome(event: HistoryEvent) -> Text:
    due = f" → {_time(event.due)}" if event.due is not None else ""
    if event.error is not None:
        return Text(f"✘ {event.error['error_type']}: {shorten(event.error['message'])}{due}", style="red")
    if event.status == "STARTED":
        return Text(f"… started{due}", style="yellow")
    return Text(f"✔ {'' if event.result is None else shorten(event.result)}{due}", style="green")


def _time(moment: datetime | None) -> str:
    return "" if moment is None else moment.strftime("%m-%d %H:%M:%S")
