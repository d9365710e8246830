"""Commands to begin with: a demo, and the files of a new project."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from . import screens
from .command import JsonOption, echo, emit, telling
from .demo import Demo, demo_directory
from .demos import script as scripts
from .timeline import Report

if TYPE_CHECKING:
    from .stage import Stage

QUICK = "20"
"""The number that `--speed` stands for without one."""


def demo(
    name: Annotated[str, typer.Argument(help="Which demo; --list shows them.", metavar="NAME")] = "order_fulfilment",
    list_: Annotated[bool, typer.Option("--list", help="All demos and their scenes.")] = False,
    scene: Annotated[str, typer.Option(help="Another way for it to go, see --list.")] = "",
    fail_warehouse: Annotated[bool, typer.Option(help="Short for --scene warehouse-down.")] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Another value in its event, records=500 say.", metavar="KEY=VALUE"),
    ] = None,
    speed: Annotated[
        float, typer.Option(help=f"How much faster than real time the timers run; without a number {QUICK}.", min=0.1)
    ] = 1.0,
    json: JsonOption = False,
    keep: Annotated[bool, typer.Option(help="Keep the journal and the systems' files to look at.")] = False,
) -> None:
    """A workflow in real processes: its worker is killed with SIGKILL halfway, and another worker finishes it."""
    from . import stage

    if list_:
        echo(stage.demos_json()) if json else Console().print(stage.demos_table())
        return
    with telling(as_json=json):
        script = scripts.load(name)
    console = Console(quiet=json, highlight=False)
    with telling(as_json=json), demo_directory(keep) as directory, stage.Stage(console, script) as screen:
        given = "warehouse-down" if fail_warehouse else scene
        run = Demo(script, given, directory, changes=_changes(set_ or []), speed=speed, screen=screen)
        report = _played(run, screen)
        if json:
            echo(report.to_json())
        else:
            stage.show_report(Console(highlight=False), report)
            _say_where(Console(highlight=False), run, report, keep)
    raise typer.Exit(0 if report.ok else 1)


def _played(run: Demo, screen: Stage) -> Report:
    with screen:
        if run.total is not None:
            screen.count(run.total)
        return run.run()


def _changes(given: Sequence[str]) -> dict[str, Any]:
    """KEY=VALUE, the value as JSON where it is."""
    changes: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise ValueError(f"--set takes KEY=VALUE, got {text!r}")
        try:
            changes[key] = json.loads(value)
        except ValueError:
            changes[key] = value
    return changes


def _say_where(console: Console, run: Demo, report: Report, keep: bool) -> None:
    if keep:
        kept = f"Kept in {report.directory}. The journal: durable-fn history {report.id} --backend {run.url}"
        console.print(screens.plain(kept), soft_wrap=True)
    else:
        text = f"The handler is {run.source}. --keep keeps the journal, --list shows more demos."
        console.print(screens.plain(text), soft_wrap=True)


def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Made if it is not there.")] = Path(),
    snippet: Annotated[
        bool, typer.Option("--snippet", help="Only the resources for a template that you have.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """A durable function to begin with: SAM template, handler, test, Makefile. Overwrites nothing."""
    from . import starting_point

    with telling(as_json=json):
        written = starting_point.write(directory, starting_point.files(snippet=snippet))
    if json:
        emit("init", directory=str(directory.resolve()), files=[str(p.relative_to(directory)) for p in written])
        return
    for path in written:
        typer.echo(f"wrote {screens.visible(str(path))}")
    follow = "copy its resources into your template" if snippet else f"cd {directory} && make test"
    typer.echo(f"Next: {screens.visible(follow)}")
