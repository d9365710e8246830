"""The commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from . import acts, beginnings, checks, costs, dashboards, doctors, looks, replaying, serving
from .beginnings import QUICK

app = typer.Typer(
    help="Durable execution for Python on plain AWS Lambda.", no_args_is_help=True, pretty_exceptions_enable=False
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        typer.echo(f"durable-fn {__version__}")
        raise typer.Exit


for _name, _command in (
    ("demo", beginnings.demo), ("init", beginnings.init), ("list", looks.list_executions), ("show", looks.show), ("history",
    looks.history), ("export", looks.export), ("functions", looks.functions), ("start", acts.start), ("signal",
    acts.signal), ("cancel", acts.cancel), ("terminate", acts.terminate), ("redrive", acts.redrive), ("fork", acts.fork),
    ("purge", acts.purge), ("sweep", acts.sweep), ("check", checks.check), ("replay", replaying.replay), ("cost",
    costs.cost), ("doctor", doctors.doctor), ("dev", serving.dev), ("worker", serving.worker), ("ui", dashboards.ui),
):  # fmt: skip
    app.command(_name)(_command)
app.command("describe", help="The same as show.")(looks.show)
app.add_typer(acts.callback, name="callback")


@app.callback()
def _about(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None: ...


def run(arguments: Sequence[str]) -> None:
    """`--speed` may stand without its number."""
    given = list(arguments)
    if "--speed" in given:
        after = given[given.index("--speed") + 1 : given.index("--speed") + 2]
        if not after or after[0].startswith("-"):
            given.insert(given.index("--speed") + 1, QUICK)
    app(given, prog_name="durable-fn")
