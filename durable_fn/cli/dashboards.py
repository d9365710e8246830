"""`durable-fn ui`: the dashboard on any backend."""

from __future__ import annotations

import asyncio
import getpass
import os
import signal
import sys
import webbrowser
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text

from ..backends.ports import Backend
from ..client.executions import ACTOR
from ..errors import DurableError
from ..ui.dashboard import Dashboard
from ..ui.guard import Guard
from ..ui.world import World
from ..wiring import from_environment, sqlite_from_url
from . import screens, web
from .happenings import Tell, printer

PORT: Final = 8701
_AWS_POLL_S: Final = 5.0
"""Between two looks at a table: each costs read units."""


def ui(
    backend: Annotated[
        str | None,
        typer.Option("--backend", help="sqlite:///path/to/journal.db. Default: the environment (DURABLE_FN_*)."),
    ] = None,
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
    json: Annotated[bool, typer.Option("--json", help="Print where it is as JSON.")] = False,
) -> None:
    """The dashboard in your browser: executions, their timelines, and what can be done about them. Ctrl-C ends it."""
    try:
        asyncio.run(
            _serve(backend, allow_changes, host, port, web.guard(host, allow_host or (), ()), open_, printer(json))
        )
    except ModuleNotFoundError as error:
        if error.name not in web.PACKAGES:
            raise
        raise failure(web.missing(error.name, "ui")) from error
    except (DurableError, RuntimeError, OSError, ValueError) as error:
        raise failure(str(error)) from error


async def _serve(
    url: str | None, changes: bool | None, host: str, port: int, guard: Guard, open_: bool | None, tell: Tell
) -> None:
    from ..ui.server import application

    world = _world(url, changes)
    listening = web.listening(host, port)
    app = application(Dashboard(world, guard).answer, guard, by=me())
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with web.served(app, listening):
        address = web.with_token(web.address(listening, host), guard.token)
        tell({"event": "dashboard", "url": web.address(listening, host), "open": address, "of": world.label,
              "read_only": world.read_only})  # fmt: skip
        if sys.stdout.isatty() if open_ is None else open_:
            await asyncio.to_thread(webbrowser.open, address)
        await stopped.wait()


def _world(url: str | None, changes: bool | None) -> World:
    """A file that is only read is opened so, and none is made."""
    named = url or os.environ.get("DURABLE_FN_BACKEND")
    read_only = not changes if changes is not None else not named
    found = sqlite_from_url(named, read_only=True) if named else from_environment(read_only=read_only)
    if named and not read_only:
        found = sqlite_from_url(named)
    return World(found, label(named, found), read_only, poll_s=1.0 if found.kind == "sqlite" else _AWS_POLL_S)


def label(url: str | None, backend: Backend | None = None) -> str:
    """What the page calls the backend."""
    if url:
        return url.removeprefix("sqlite:///")
    store: Any = getattr(backend, "store", None)
    table = store.store.table.name  # of a PackedStore around a DynamoStore
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""
    return f"{table} {region}".strip()


def me() -> str:
    """Who acts here, for the history: DURABLE_FN_ACTOR, else the user of this machine."""
    given = os.environ.get(ACTOR)
    if given:
        return given
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "dashboard"


def failure(text: str) -> typer.Exit:
    said = Text.assemble(("Error: ", "bold red"), screens.plain(text))
    Console(stderr=True, highlight=False).print(said, soft_wrap=True)
    return typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(ui)
