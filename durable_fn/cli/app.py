"""The commands."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.text import Text

from ..client import DurableClient
from ..errors import DurableError
from . import dashboards, screens, serving
from .demo import Demo, demo_directory
from .demos import script as scripts
from .timeline import Report

if TYPE_CHECKING:
    from .stage import Stage

app = typer.Typer(
    help="Durable execution for Python on plain AWS Lambda.", no_args_is_help=True, pretty_exceptions_enable=False
)
serving.register(app)
dashboards.register(app)
_QUICK = "20"
T = TypeVar("T")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
BackendOption = Annotated[
    str | None,
    typer.Option("--backend", help="sqlite:///path/to/journal.db. Default: the environment (DURABLE_FN_*)."),
]
IdArgument = Annotated[str, typer.Argument(help="The execution id.", metavar="ID")]


@app.command()
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
        float, typer.Option(help=f"How much faster than real time the timers run; without a number {_QUICK}.", min=0.1)
    ] = 1.0,
    json: JsonOption = False,
    keep: Annotated[bool, typer.Option(help="Keep the journal and the systems' files to look at.")] = False,
) -> None:
    """A workflow in real processes: its worker is killed with SIGKILL halfway, and another worker finishes it."""
    from . import stage

    if list_:
        _echo(stage.demos_json()) if json else Console().print(stage.demos_table())
        return
    script = _ask(lambda: scripts.load(name))
    with demo_directory(keep) as directory, stage.Stage(Console(quiet=json, highlight=False), script) as screen:
        given = "warehouse-down" if fail_warehouse else scene
        run = _ask(lambda: Demo(script, given, directory, changes=_changes(set_ or []), speed=speed, screen=screen))
        report = _ask(lambda: _played(run, screen))
        if json:
            _echo(report.to_json())
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


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="Made if it is not there.")] = Path(),
    snippet: Annotated[
        bool, typer.Option("--snippet", help="Only the resources for a template that you have.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """A durable function to begin with: SAM template, handler, test, Makefile. Overwrites nothing."""
    from . import starting_point

    written = _ask(lambda: starting_point.write(directory, starting_point.files(snippet=snippet)))
    if json:
        _echo({"directory": str(directory.resolve()), "files": [str(p.relative_to(directory)) for p in written]})
        return
    for path in written:
        typer.echo(f"wrote {screens.visible(str(path))}")
    follow = "copy its resources into your template" if snippet else f"cd {directory} && make test"
    typer.echo(f"Next: {screens.visible(follow)}")


@app.command("list")
def list_executions(
    backend: BackendOption = None,
    name: Annotated[str | None, typer.Option(help="Only of this durable function.")] = None,
    status: Annotated[str | None, typer.Option(help="Only in this status, SUSPENDED say.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1)] = 50,
    json: JsonOption = False,
) -> None:
    """Executions, newest first."""
    client = _client(backend)
    rows = _ask(lambda: list(client.list(name=name, status=_status(status), limit=limit)))
    if json:
        _echo([dataclasses.asdict(row) for row in rows])
    else:
        Console().print(screens.executions_table(rows) if rows else "No executions.")


@app.command()
def describe(id: IdArgument, backend: BackendOption = None, json: JsonOption = False) -> None:
    """One execution as it stands."""
    client = _client(backend)
    row = _ask(lambda: client.describe(id))
    if json:
        _echo(dataclasses.asdict(row))
    else:
        Console().print(screens.execution_panel(row))


@app.command()
def history(id: IdArgument, backend: BackendOption = None, json: JsonOption = False) -> None:
    """The journal of one execution as a timeline."""
    client = _client(backend)
    events = _ask(lambda: client.history(id))
    if json:
        _echo([event.to_json() for event in events])
    else:
        Console().print(screens.history_table(events) if events else "Nothing is recorded yet.")


def _client(backend: str | None) -> DurableClient:
    """To look with: it makes no file."""
    from ..wiring import from_environment, sqlite_from_url

    def reading() -> DurableClient:
        return DurableClient(sqlite_from_url(backend, read_only=True) if backend else from_environment(read_only=True))

    return _ask(reading)


def _ask(question: Callable[[], T]) -> T:
    """Errors that are the user's to mend, in one line."""
    try:
        return question()
    except (DurableError, RuntimeError, LookupError, ValueError, OSError) as error:
        raise _failure(str(error)) from error


def _failure(text: str) -> typer.Exit:
    said = Text.assemble(("Error: ", "bold red"), screens.plain(text))
    Console(stderr=True, highlight=False).print(said, soft_wrap=True)
    return typer.Exit(1)


def _status(status: str | None) -> Any:
    known = ("PENDING", "RUNNING", "SUSPENDED", "SUCCEEDED", "FAILED", "CANCELLED", "TERMINATED", "TIMED_OUT")
    if status is not None and status.upper() not in known:
        raise ValueError(f"no status {status!r}; there are {', '.join(known)}")
    return status.upper() if status is not None else None


def _echo(data: Any) -> None:
    typer.echo(screens.as_json(data))


def run(arguments: Sequence[str]) -> None:
    """`--speed` may stand without its number."""
    given = list(arguments)
    if "--speed" in given:
        after = given[given.index("--speed") + 1 : given.index("--speed") + 2]
        if not after or after[0].startswith("-"):
            given.insert(given.index("--speed") + 1, _QUICK)
    app(given, prog_name="durable-fn")
