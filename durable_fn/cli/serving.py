"""`durable-fn dev` and `durable-fn worker`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import webbrowser
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from ..errors import DurableError
from ..local.discovery import NothingFound
from ..local.journal import default_url
from ..local.service import Plan, Service
from ..ui.dashboard import Dashboard
from ..ui.guard import Guard
from ..ui.world import World
from ..wiring import BACKEND_VARIABLE
from . import web
from .dashboards import failure, label, me
from .happenings import printer

PORT: Final = 8700
CALLBACK_URL: Final = "DURABLE_FN_CALLBACK_URL"

Tell = Callable[[dict[str, Any]], None]

TargetsArgument = Annotated[
    list[str], typer.Argument(help="Files, packages, directories, or package.module:name.", metavar="PATH")
]
TimeoutOption = Annotated[
    list[str] | None,
    typer.Option(
        "--timeout", help="Lambda timeout in seconds, of all (60) or of one: NAME=30.", metavar="[NAME=]SECONDS"
    ),
]
BackendOption = Annotated[
    str | None, typer.Option("--backend", help="The journal, sqlite:///path/to/journal.db.", metavar="URL")
]
HostOption = Annotated[str, typer.Option(help="Where it listens. Anything but this machine needs a token.")]
AllowHostOption = Annotated[
    list[str] | None, typer.Option("--allow-host", help="Another name under which it is reached.", metavar="NAME")
]
AllowOriginOption = Annotated[
    list[str] | None,
    typer.Option("--allow-origin", help="A site whose pages may call it, http://localhost:3000 say.", metavar="ORIGIN"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print what happens as JSON, an object a line.")]


def dev(
    targets: TargetsArgument,
    backend: BackendOption = None,
    timeout: TimeoutOption = None,
    workers: Annotated[int, typer.Option(help="At most so many processes.", min=1)] = 4,
    port: Annotated[int, typer.Option(help="0: any that is free.", min=0, max=65535)] = PORT,
    host: HostOption = "127.0.0.1",
    reload: Annotated[bool, typer.Option(help="Load the code anew when it changes.")] = True,
    open_: Annotated[bool | None, typer.Option("--open/--no-open", help="Open the dashboard in a browser.")] = None,
    allow_host: AllowHostOption = None,
    allow_origin: AllowOriginOption = None,
    json: JsonOption = False,
) -> None:
    """Your durable functions on this machine, without AWS: HTTP, timers, dashboard; code is loaded anew when it changes."""
    url = backend or os.environ.get(BACKEND_VARIABLE) or default_url(Path.cwd())
    plan = _plan(targets, url, workers, timeout, reload=reload)
    _run(plan, lambda: _Front(host, port, web.guard(host, allow_host or (), allow_origin or ()), open_), printer(json))


def worker(
    targets: TargetsArgument,
    backend: BackendOption = None,
    timeout: TimeoutOption = None,
    workers: Annotated[int | None, typer.Option(help="At most so many processes; one a core.", min=1)] = None,
    port: Annotated[
        int | None, typer.Option(help="Serve HTTP here; without it there is none.", min=0, max=65535)
    ] = None,
    host: HostOption = "127.0.0.1",
    allow_host: AllowHostOption = None,
    allow_origin: AllowOriginOption = None,
    json: JsonOption = False,
) -> None:
    """Your durable functions on a server of your own: as `dev`, without reloading and dashboard. SIGTERM stops it gracefully."""
    url = backend or os.environ.get(BACKEND_VARIABLE)
    if not url:
        raise failure(f"name the journal: --backend sqlite:////var/lib/shop/journal.db, or {BACKEND_VARIABLE}")
    plan = _plan(targets, url, workers or os.cpu_count() or 1, timeout, reload=False)
    front = None
    if port is not None:
        front = lambda: _Front(host, port, web.guard(host, allow_host or (), allow_origin or ()), None, ui=False)
    _run(plan, front, printer(json))


def _plan(targets: Sequence[str], url: str, size: int, timeout: list[str] | None, *, reload: bool) -> Plan:
    every, single = 60.0, {}
    for text in timeout or []:
        name, equals, seconds = text.rpartition("=")
        try:
            limit = float(seconds)
        except ValueError:
            raise failure(f"--timeout takes seconds, or NAME=SECONDS, got {text!r}") from None
        if not 0 < limit <= 900:
            raise failure(f"--timeout is more than 0 and at most 900 seconds, as on Lambda, got {text!r}")
        if equals:
            single[name] = limit
        else:
            every = limit
    return Plan(targets, url, size, every, single, reload=reload)


class _Front:
    """Its HTTP side. Raises DurableError where the port cannot be had, or a package is missing."""

    def __init__(self, host: str, port: int, guard: Guard, open_: bool | None, *, ui: bool = True) -> None:
        self._ui = ui
        self._open = ui and (sys.stdout.isatty() if open_ is None else open_)
        self._guard = guard
        self._socket = web.listening(host, port)
        self.url = web.address(self._socket, host)

    @contextlib.asynccontextmanager
    async def serving(self, service: Service, tell: Tell) -> AsyncIterator[None]:
        async with web.served(self._app(service), self._socket):
            url = web.with_token(self.url, self._guard.token)
            tell({"event": "serving", "url": self.url, "open": url, "dashboard": self._ui})
            if self._open:
                await asyncio.to_thread(webbrowser.open, url)
            yield

    def _app(self, service: Service) -> Any:
        from ..local.http import routes
        from ..ui.server import application

        if not self._ui:
            return application(None, self._guard, routes=routes(service))
        world = World(service.backend, label(service.plan.url), read_only=False, served=lambda: [*service.pool.served])
        return application(Dashboard(world, self._guard).answer, self._guard, routes=routes(service), by=me())


async def _serve(plan: Plan, front: _Front | None, tell: Tell) -> None:
    service = Service(plan, tell)
    service.listen_to_signals()
    async with service.running(), front.serving(service, tell) if front is not None else contextlib.nullcontext():
        await service.until_stopped()


def _run(plan: Plan, front: Callable[[], _Front] | None, tell: Tell) -> None:
    try:
        asyncio.run(
            _serve(_addressed(plan, made), made, tell) if (made := front and front()) else _serve(plan, None, tell)
        )
    except ModuleNotFoundError as error:
        if error.name not in web.PACKAGES:
            raise
        raise failure(web.missing(error.name, "local")) from error
    except (DurableError, NothingFound, RuntimeError, OSError) as error:
        raise failure(str(error)) from error


def _addressed(plan: Plan, front: _Front) -> Plan:
    """Handlers that write links to the callback page learn where it is, as by the template."""
    return replace(plan, environment={CALLBACK_URL: front.url, **plan.environment})


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    for command in (dev, worker):
        app.command()(command)
