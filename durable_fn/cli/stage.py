"""What people see of a demo."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console, Group
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from .demos import script as scripts
from .screens import STATUS_STYLE, plain, shorten, visible
from .timeline import Report, Row

if TYPE_CHECKING:
    from handlers_demo.script import Script

_COLOURS: Final = {"worker 1": "cyan", "worker 2": "magenta", "worker 3": "yellow"}
_DAY_S: Final = 86_400


class Stage:
    """Prints rows as they come, with a bar below them where branches are counted. A context manager."""

    def __init__(self, console: Console, script: Script) -> None:
        self._console = console
        self._script = script
        self._bar: Progress | None = None

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def count(self, total: int) -> None:
        """Shows a bar for so many branches."""
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[failed]} failed"), TimeElapsedColumn())
        self._bar = Progress(TextColumn("          {task.description}"), *columns, console=self._console)
        self._bar.add_task(
            f"[bold]{self._script.progress.operation if self._script.progress else ''}", total=total, failed=0
        )
        self._bar.start()

    def progress(self, done: int, failed: int) -> None:
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done + failed, failed=failed)

    def row(self, row: Row) -> None:
        """One line, as it happens."""
        grid = Table.grid(padding=(0, 2))
        days = self._script.pace > 1
        grid.add_column(width=12 if days else 8, justify="right", style="dim", no_wrap=True)
        grid.add_column(width=12, style=_COLOURS.get(row.worker or "", "green"), no_wrap=True)
        grid.add_column()
        when = _day(row.clock) if days else f"{row.at:.2f} s"
        grid.add_row(when, plain(row.worker or row.who or ""), sentence(row))
        self._console.print(grid)


def _day(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"day {int(seconds // _DAY_S)}, {minutes // 60 % 24:02}:{minutes % 60:02}"


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "for ever"
    for unit, length in (("days", _DAY_S), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length or seconds == length:
            return f"{seconds / length:.3g} {unit if seconds != length else unit[:-1]}"
    return f"{seconds:.3g} seconds"


def sentence(row: Row) -> Text:
    """What a row says."""
    step = (visible(f"{row.step}"), "bold")
    if row.what == "done":
        again = f" (attempt {row.attempt})" if (row.attempt or 1) > 1 else ""
        return Text.assemble(("✔ ", "green"), step, again, ("  " + _result(row.result), "dim"))
    if row.what == "failed":
        tail = f", again in {row.again_in:.1f} s" if row.again_in is not None else "; the handler gets it"
        return Text.assemble(("✘ ", "red"), step, f" attempt {row.attempt}: {shorten(row.error, 90)}{tail}")
    if row.what == "killed":
        lease = (
            f"its lease runs for {row.again_in:.1f} s more" if row.again_in else "it held no lease: nobody was working"
        )
        return Text.assemble(("☠ SIGKILL", "bold red"), f" to pid {row.pid}; {lease}")
    if row.what == "takes over":
        return Text.assemble(("↻ takes over", "bold"), f"; replayed, not run: {visible(_counted(row.replayed))}")
    if row.what == "answered":
        return Text.assemble(("✔ ", "green"), step, " answered", ("  " + _result(row.result), "dim"))
    texts = {
        "begins": f"→ {row.result}",
        "ready": f"● started, pid {row.pid}",
        "outside": f"✉ {row.result}",
        "asks": f"… waits for an answer ({row.step}), up to {_span(row.until)}; nothing runs meanwhile",
        "sleeps": f"… {row.step}: sleeps for {_span(row.until)}",
        "unanswered": f"⏱ {row.step}: {(row.error or '').partition(': ')[2].partition('. ')[0]}",
        "cancelled": f"⊘ cancelled at {row.step}: {row.error}",
        "finished": "■ finished",
    }
    return plain(texts[row.what])


def _counted(names: list[str]) -> str:
    return ", ".join(f"{name} ×{n}" if n > 1 else name for name, n in Counter(names).items()) or "nothing"


def _result(result: Any) -> str:
    """The short part of it: what is nested is left to --json."""
    if not isinstance(result, dict):
        return "" if result is None else shorten(result, 50)
    return shorten(
        "  ".join(str(v) for v in result.values() if v not in (None, "") and not isinstance(v, dict | list)), 60
    )


def show_report(console: Console, report: Report) -> None:
    """The side effects, counted in the systems themselves, and the result."""
    table = Table(title="What happened outside, counted there", title_justify="left", header_style="bold")
    for column in ("system", "effect"):
        table.add_column(column)
    table.add_column("asked for", justify="right")
    table.add_column("happened", justify="right")
    for name, counts in report.effects.items():
        for count in counts:
            right = report.right(count)
            mark = Text(f"{count.effects:,} {'✔' if right else '✘'}", style="green" if right else "red")
            table.add_row(plain(name), plain(count.what), f"{count.calls:,}", mark)
    console.print()
    console.print(Group(table, _panel(report)))


def _panel(report: Report) -> Panel:
    result = report.result if isinstance(report.result, dict) else {"result": report.result}
    hidden: tuple[Any, ...] = (None, [], {}, "")
    shown = {key: value for key, value in result.items() if value not in hidden and key not in ("traceback", "data")}
    facts = {**{key: _fact(value) for key, value in shown.items()}, **report.notes}
    width = max((len(key) for key in facts), default=0)
    lines = Text("\n").join(plain(f"{key:<{width}}  {value}") for key, value in facts.items())
    style = STATUS_STYLE.get(report.status, "yellow") if report.ok else "red"
    title = plain(f"{report.result_name}: {report.status}")
    return Panel(lines, title=title, border_style=style, expand=False)


def _fact(value: Any) -> str:
    if isinstance(value, list) and len(value) > 3:
        return f"{len(value):,}: {shorten(', '.join(map(str, value[:2])))}, …"
    if isinstance(value, dict) and len(value) > 4:
        return f"{len(value):,}: {shorten(next(iter(value.values())), 60)}; …"
    if isinstance(value, dict):
        return shorten(", ".join(f"{k} {v}" for k, v in value.items()), 100)
    return f"{value:,}" if type(value) is int else shorten(value, 110)


def demos_table() -> Table:
    """All demos with their scenes."""
    table = Table(header_style="bold")
    for column in ("demo", "scene", "what happens"):
        table.add_column(column, no_wrap=column != "what happens")
    for name in scripts.NAMES:
        script = scripts.load(name)
        table.add_section()
        table.add_row(f"[bold]{name}[/]", "", script.title)
        for scene, details in script.scenes.items():
            table.add_row("", scene, f"[dim]{details.summary}[/]")
    return table


def demos_json() -> list[dict[str, Any]]:
    return [
        {"name": name, "title": (script := scripts.load(name)).title,
         "scenes": {scene: details.summary for scene, details in script.scenes.items()}}
        for name in scripts.NAMES
    ]  # fmt: skip
