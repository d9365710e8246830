"""What people see: timelines and tables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich.text import Text

from ..types import ErrorInfo, ExecutionInfo, HistoryEvent
from .times import local, span

_WIDEST: Final = 48
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


def aligned(
    header: Sequence[str], rows: Sequence[Sequence[Text]], *, right: frozenset[int] = frozenset()
) -> list[Text]:
    """Columns without a frame. A cell is never cut or broken, so that an id can be copied whatever the width: what is wider than
    most of its column moves the rest of its line."""
    table = [[Text(name, "bold") for name in header], *rows]
    widths = [min(_WIDEST, max(row[n].cell_len for row in table)) for n in range(len(header))]
    lines = []
    for row in table:
        line = Text()
        for n, cell in enumerate(row):
            blanks = " " * max(0, widths[n] - cell.cell_len)
            line.append("  " if n else "")
            line.append_text(Text.assemble(blanks, cell) if n in right else Text.assemble(cell, blanks))
        line.rstrip()
        lines.append(line)
    return lines


def executions_table(rows: Sequence[ExecutionInfo], *, utc: bool = False) -> list[Text]:
    header = ("execution", "function", "status", "started", "next due", "turns", "")
    return aligned(header, [_execution_row(row, utc=utc) for row in rows], right=frozenset({5}))


def _execution_row(row: ExecutionInfo, *, utc: bool) -> list[Text]:
    times = local(row.started_at, utc=utc), local(row.next_due_at, utc=utc)
    told = row.held or row.error
    error = "" if told is None else f"{told['error_type'].rpartition('.')[2]}: {shorten(told['message'])}"
    return [
        plain(row.id),
        plain(row.name),
        status_of(row),
        *map(plain, times),
        Text(str(row.invocations)),
        plain(error, "red"),
    ]


def status_of(row: ExecutionInfo) -> Text:
    """With what is wrong besides."""
    shown = plain(row.status, STATUS_STYLE.get(row.status, ""))
    if row.held is not None:
        shown.append(" held", "bold red")
    elif row.overdue:
        shown.append(" overdue", "bold red")
    return shown


def facts(rows: Iterable[tuple[str, str | Text]]) -> list[Text]:
    """Names and what they are, those left out that are nothing."""
    there = [(name, value) for name, value in rows if value]
    wide = max((len(name) for name, _ in there), default=0)
    lines = []
    for name, value in there:
        shown = value if isinstance(value, Text) else plain(value)
        lines.append(Text.assemble((f"  {name:<{wide}}  ", "dim"), shown))
    return lines


def error_lines(error: ErrorInfo) -> list[Text]:
    """With its causes and the traceback."""
    lines = [plain(f"  {error['error_type']}: {error['message']}", "red")]
    lines += [plain(f"  caused by {cause['error_type']}: {cause['message']}") for cause in error.get("causes", [])]
    if error.get("data") is not None:
        lines.append(plain(f"  data: {shorten(error['data'], 500)}"))
    lines += [plain(f"  {line}", "dim") for line in error.get("traceback", "").rstrip().split("\n") if line]
    return lines


def history_table(events: list[HistoryEvent]) -> list[Text]:
    """A line for each entry, with its distance from the first."""
    return aligned(
        ("after", "operation", "kind", "attempt", "outcome"),
        [_entry(event, events[0]) for event in events],
        right=frozenset({0, 3}),
    )


def _entry(event: HistoryEvent, first: HistoryEvent) -> list[Text]:
    after = span((event.at - first.at).total_seconds())
    return [plain(after), plain(event.id or event.name), plain(event.kind), Text(str(event.attempt)), _outcome(event)]


def _outcome(event: HistoryEvent) -> Text:
    told = _told(event)
    told.rstrip()
    for name, value in (("by", event.by), ("reason", event.reason)):
        if value is not None:
            told.append_text(plain(f", {name} {value!r}", "dim"))
    if event.forgotten:
        told.append(", forgotten by a redrive", "dim")
    return told


def _told(event: HistoryEvent) -> Text:
    due = f" → {local(event.due)}" if event.due is not None else ""
    if event.error is not None:
        return plain(f"✘ {event.error['error_type']}: {shorten(event.error['message'])}{due}", "red")
    if event.status == "STARTED":
        return Text(f"… started{due}", style="yellow")
    return Text(f"✔ {'' if event.result is None else shorten(event.result)}{due}", style="green")
