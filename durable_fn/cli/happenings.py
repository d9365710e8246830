"""What a server prints about what happens."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from . import screens

Tell = Callable[[dict[str, Any]], None]


def printer(as_json: bool) -> Tell:
    """`as_json`: an object a line, for machines; else for people."""
    return _print_json if as_json else _Printer(Console(highlight=False)).tell


def _print_json(happening: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(happening, default=str) + "\n")
    sys.stdout.flush()


class _Printer:
    def __init__(self, console: Console) -> None:
        self._console = console

    def tell(self, happening: dict[str, Any]) -> None:
        for line in lines(happening):
            self._console.print(line, soft_wrap=True)


def lines(happening: dict[str, Any]) -> list[Text]:
    """For people. What comes from executions and files is made visible: it is hostile."""
    describe = _SHOWN.get(happening["event"])
    return [] if describe is None else describe(happening)


def _loaded(it: dict[str, Any]) -> list[Text]:
    head = Text("Durable functions", style="bold") if it["number"] == 1 else _timed(Text("loaded anew", style="green"))
    rows = [_row(name, screens.plain(place, "dim")) for name, place in it["functions"].items()]
    return [head, *rows]


def _serving(it: dict[str, Any]) -> list[Text]:
    found = [_row("functions", screens.plain(f"{it['url']}/functions/NAME"))]
    found.append(_row("callbacks", screens.plain(f"{it['url']}/callbacks/TOKEN")))
    if it["dashboard"]:
        found.append(_row("dashboard", screens.plain(it["open"], "bold cyan")))
    return found


def _dashboard(it: dict[str, Any]) -> list[Text]:
    how = {True: "read-only", False: "with changes", None: "as its function allows"}[it["read_only"]]
    return [Text.assemble(screens.plain(f"Dashboard of {it['of']} ({how}): "), screens.plain(it["open"], "bold cyan"))]


def _row(name: str, value: Text) -> Text:
    return Text.assemble("  ", screens.plain(f"{name:<12} ", "bold"), value)


def _turn(it: dict[str, Any]) -> list[Text]:
    return [_timed(_execution(it), Text(f" turn {it['number']}", style="dim"))]


def _left(it: dict[str, Any]) -> list[Text]:
    status = "HELD" if it["held"] else it["status"]
    style = "bold red" if it["held"] else screens.STATUS_STYLE.get(status, "")
    parts = [_execution(it), Text(" "), screens.plain(status, style)]
    if it["status"] == "SUSPENDED" and it["due"]:
        parts.append(
            Text(f" until {datetime.fromtimestamp(it['due'] / 1000).astimezone():%Y-%m-%d %H:%M:%S %Z}", "dim")
        )
    if it["error"]:
        parts.append(screens.plain(f" {it['error']}", "red"))
    return [_timed(*parts)]


def _execution(it: dict[str, Any]) -> Text:
    return Text.assemble(screens.plain(it["fn"], "bold"), " ", screens.plain(it["id"]))


def _died(it: dict[str, Any]) -> list[Text]:
    had = f"; it had {', '.join(it['ids'])}" if it["ids"] else ""
    return [_timed(screens.plain(f"a worker process died: {it['why']}{had}", "red"))]


def _broken(it: dict[str, Any]) -> list[Text]:
    return [
        _timed(screens.plain(f"cannot load: {it['error']}", "bold red")),
        Text("  waiting for a change", style="dim"),
    ]


def _changed(it: dict[str, Any]) -> list[Text]:
    return [_timed(screens.plain(f"changed: {', '.join(it['files'])}", "dim"))]


def _stopping(it: dict[str, Any]) -> list[Text]:
    if not it["running"]:
        return []
    return [
        _timed(Text(f"stopping when {it['running']} running have ended; once more stops them at once", style="yellow"))
    ]


def _timed(*parts: Text) -> Text:
    return Text.assemble((f"{datetime.now():%H:%M:%S} ", "dim"), *parts)


_SHOWN: dict[str, Callable[[dict[str, Any]], list[Text]]] = {
    "loaded": _loaded,
    "serving": _serving,
    "dashboard": _dashboard,
    "turn": _turn,
    "left": _left,
    "died": _died,
    "broken": _broken,
    "changed": _changed,
    "stopping": _stopping,
    "adopted": lambda it: [_timed(Text(f"{it['count']} under way before: they go on", style="yellow"))],
    "waiting": lambda it: [_timed(Text("waiting for worker processes of the server before to end", style="yellow"))],
}
