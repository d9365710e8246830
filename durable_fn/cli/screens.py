"""What people see: timelines and tables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ..types import ExecutionInfo, HistoryEvent

STATUS_STYLE = {
    "SUCCEEDED": "green",
    "FAILED": "red",
    "SUSPENDED": "yellow",
    "RUNNING": "cyan",
    "PENDING": "blue",
    "CANCELLED": "magenta",
    "TERMINATED": "magenta",
    "TIMED_OUT": "red",
}


def visible(text: str) -> str:
    """Text from an execution as a terminal may be given it: what has no glyph of its own (control characters, marks that turn
    the direction of writing, invisible ones) as its escape. A line break stays, and what follows it stands further in."""
    if text.isprintable():
        return text
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n          ".join("".join(map(_glyph, line)) for line in lines)


def _glyph(character: str) -> str:
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def plain(text: str, style: str = "") -> Text:
    """Text that means nothing to the console: brackets in it are brackets."""
    return Text(visible(text), style=style)


def shorten(value: Any, most: int = 60) -> str:
    """A value on one line."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = visible(re.sub(r"[ \t\r\n]+", " ", text).strip())
    return text if len(text) <= most else text[: most - 1] + "…"


def as_json(data: Any) -> str:
    """For machines, and for people who look at it: nothing in it but printable ASCII and line breaks."""
    return json.dumps(data, indent=2, default=str).replace("\x7f", "\\u007f")


# -- executions ----------------------------------------------------------------------------------------------------


def executions_table(rows: Iterable[ExecutionInfo]) -> Table:
    table = Table(header_style="bold")
    for column in ("execution", "function", "status", "started", "next due", "turns"):
        wide = column in ("execution", "function")
        table.add_column(column, overflow="fold", no_wrap=not wide, justify="right" if column == "turns" else "left")
    for row in rows:
        status = plain(row.status, STATUS_STYLE.get(row.status, ""))
        times = _time(row.started_at), _time(row.next_due_at)
        table.add_row(plain(row.id), plain(row.name), status, *times, str(row.invocations))
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
    body = Text("\n").join(plain(f"{name:<9} {value}") for name, value in facts.items() if value not in ("", None))
    title = Text.assemble(plain(row.id), ": ", plain(row.status, STATUS_STYLE.get(row.status, "")))
    return Panel(body, title=title, expand=False)


def history_table(events: list[HistoryEvent]) -> Table:
    """A timeline: each entry with its distance from the first."""
    table = Table(header_style="bold")
    for column in ("after", "operation", "kind", "attempt", "outcome"):
        table.add_column(column, justify="right" if column in ("after", "attempt") else "left", overflow="fold")
    for event in events:
        after = (event.at - events[0].at).total_seconds()
        table.add_row(f"{after:.3f} s", plain(event.id), plain(event.kind), str(event.attempt), _outcome(event))
    return table


def _outcome(event: HistoryEvent) -> Text:
    due = f" → {_time(event.due)}" if event.due is not None else ""
    if event.error is not None:
        return plain(f"✘ {event.error['error_type']}: {shorten(event.error['message'])}{due}", "red")
    if event.status == "STARTED":
        return Text(f"… started{due}", style="yellow")
    return Text(f"✔ {'' if event.result is None else shorten(event.result)}{due}", style="green")


def _time(moment: datetime | None) -> str:
    return "" if moment is None else moment.strftime("%m-%d %H:%M:%S")
