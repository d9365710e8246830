"""`durable-fn ui`: the dashboard on any backend."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from .command import Target, on_journal
from .happenings import printer
from .naming import label

PORT: Final = 8701
_AWS_POLL_S: Final = 5.0
"""Between two looks at a table: each costs read units."""


@on_journal
def ui(
    target: Target,
    allow_changes: Annotated[
        bool | None,
        typer.Option("--allow-changes/--read-only", help="Default: changes of a file, none of a table on AWS."),
    ] = None,
    port: Annotated[int, typer.Option(help="0: any that is free.", min=0, max=65535)] = PORT,
    host: Annotated[str, typer.Option(help="Where it listens. Anything but this machine needs a token.")] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None, typer.Option("--allow-host", help="Another name under which it is reached.", metavar="NAME")
    ] = None,
    open_: Annotated[bool | None, typer.Option("--open/--no-open", help="Open it in a browser.")] = None,
) -> None:
    """The dashboard in your browser: executions, their timelines, and what can be done about them. Ctrl-C ends it."""
    from ..ui.world import World
    from . import front, web

    found = target.world(read_only=True)
    read_only = found.kind == "aws" if allow_changes is None else not allow_changes
    world = World(
        found if read_only else target.world(),
        label(found),
        read_only,
        poll_s=1.0 if found.kind == "sqlite" else _AWS_POLL_S,
    )
    front.run_dashboard(world, host, port, web.guard(host, allow_host or (), ()), open_, printer(target.json))
