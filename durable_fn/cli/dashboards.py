"""`durable-fn ui`: the dashboard on any backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from .command import Target, on_journal
from .happenings import printer
from .naming import label

if TYPE_CHECKING:
    from .front import Shown

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
    url: Annotated[
        str | None,
        typer.Option("--url", help="Of the dashboard's function on AWS: requests are signed with your credentials."),
    ] = None,
    port: Annotated[int, typer.Option(help="0: any that is free.", min=0, max=65535)] = PORT,
    host: Annotated[str, typer.Option(help="Where it listens. Anything but this machine needs a token.")] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None, typer.Option("--allow-host", help="Another name under which it is reached.", metavar="NAME")
    ] = None,
    open_: Annotated[bool | None, typer.Option("--open/--no-open", help="Open it in a browser.")] = None,
) -> None:
    """The dashboard in your browser: executions, their timelines, and what can be done about them. Ctrl-C ends it."""
    from . import front, web

    shown = _remote(url, target.region) if url else _backend(target, allow_changes)
    front.run_dashboard(shown, host, port, web.guard(host, allow_host or (), ()), open_, printer(target.json))


def _remote(url: str, region: str | None) -> Shown:
    from ..ui.remote import Remote
    from .front import Shown

    remote = Remote(url, region)
    return Shown(remote.answer, remote.label, None)


def _backend(target: Target, allow_changes: bool | None) -> Shown:
    """A file that is only looked at is opened so, and none is made."""
    from ..ui.api import api
    from ..ui.world import World
    from .front import Shown

    found = target.world(read_only=True)
    read_only = found.kind == "aws" if allow_changes is None else not allow_changes
    poll_s = 1.0 if found.kind == "sqlite" else _AWS_POLL_S
    world = World(found if read_only else target.world(), label(found), read_only, poll_s)
    return Shown(api(world), world.label, read_only)
