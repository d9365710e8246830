"""The commands."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

from ..client import DurableClient
from ..errors import DurableError
from . import screens
from .demo import Demo, as_json, demo_directory
from .workers import WorkerDied

app = typer.Typer(
    help="Durable execution for Python on plain AWS Lambda.", no_args_is_help=True, pretty_exceptions_enable=False
)
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
    fail_warehouse: Annotated[bool, typer.Option(help="The warehouse stays down: the order is taken back.")] = False,
    speed: Annotated[
        float, typer.Option(help=f"How much faster than real time the timers run; without a number {_QUICK}.", min=0.1)
    ] = 1.0,
    json: JsonOption = False,
    keep: Annotated[bool, typer.Option(help="Keep the journal and the systems' files to look at.")] = False,
) -> None:
    """An order is fulfilled, its worker is killed with SIGKILL halfway, and another worker finishes it."""
    console = Console(quiet=json, highlight=False)
    with demo_directory(keep) as directory:
        run = Demo(
            directory, fail_warehouse=fail_warehouse, speed=speed, show=lambda row: screens.show_row(console, row)
        )
        try:
            report = run.run()
        except (WorkerDied, TimeoutError) as error:
            raise _failure(str(error)) from error
        if json:
            typer.echo(as_json(report))
        else:
            screens.show_report(console, report)
            _say_where(console, report.order_id, run.url, directory, keep)
    raise typer.Exit(0 if report.ok else 1)


def _say_where(console: Console, id: str, url: str, directory: Path, keep: bool) -> None:
    if keep:
        console.print(f"Kept in {directory}. The journal: durable-fn history {id} --backend {url}", soft_wrap=True)
    else:
        console.print("The handler is handlers_demo/order_fulfilment/handler.py. --keep keeps the journal to look at.")


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
    from ..wiring import from_environment, sqlite_from_url

    return _ask(lambda: DurableClient(sqlite_from_url(backend) if backend else from_environment()))


def _ask(question: Callable[[], T]) -> T:
    """Errors that are the user's to mend, in one line."""
    try:
        return question()
    except (DurableError, RuntimeError, ValueError, OSError) as error:
        raise _failure(str(error)) from error


def _failure(text: str) -> typer.Exit:
    Console(stderr=True, highlight=False).print(f"[bold red]Error:[/] {text}", soft_wrap=True)
    return typer.Exit(1)


def _status(status: str | None) -> Any:
    known = ("PENDING", "RUNNING", "SUSPENDED", "SUCCEEDED", "FAILED", "CANCELLED", "TERMINATED", "TIMED_OUT")
    if status is not None and status.upper() not in known:
        raise ValueError(f"no status {status!r}; there are {', '.join(known)}")
    return status.upper() if status is not None else None


def _echo(data: Any) -> None:
    typer.echo(json.dumps(data, indent=2, default=str))


def run(arguments: Sequence[str]) -> None:
    """`--speed` may stand without its number."""
    given = list(arguments)
    if "--speed" in given:
        after = given[given.index("--speed") + 1 : given.index("--speed") + 2]
        if not after or after[0].startswith("-"):
            given.insert(given.index("--speed") + 1, _QUICK)
    app(given, prog_name="durable-fn")
