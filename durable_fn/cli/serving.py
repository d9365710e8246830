"""`durable-fn dev` and `durable-fn worker`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ..wiring import BACKEND_VARIABLE
from .command import telling
from .happenings import printer

if TYPE_CHECKING:
    from ..local.plan import Plan

PORT: Final = 8700

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
    with telling(as_json=json):
        from . import front, web

        if reload:
            with web.needing("local"):
                import watchfiles  # noqa: F401  # before a journal is made
        url = backend or os.environ.get(BACKEND_VARIABLE) or _own_journal()
        plan = _plan(targets, url, workers, timeout, reload=reload)
        guard = web.guard(host, allow_host or (), allow_origin or ())
        front.run(plan, lambda: front.Front(host, port, guard, open_), printer(json))


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
    with telling(as_json=json):
        if not url:
            raise ValueError(f"name the journal: --backend sqlite:////var/lib/shop/journal.db, or {BACKEND_VARIABLE}")
        plan = _plan(targets, url, workers or os.cpu_count() or 1, timeout, reload=False)
        from . import front, web

        guard = web.guard(host, allow_host or (), allow_origin or ())
        with_http = None if port is None else lambda: front.Front(host, port, guard, None, ui=False)
        front.run(plan, with_http, printer(json))


def _own_journal() -> str:
    from ..local.journal import default_url

    return default_url(Path.cwd())


def _plan(targets: Sequence[str], url: str, size: int, timeout: list[str] | None, *, reload: bool) -> Plan:
    """Raises ValueError."""
    from ..local.plan import Plan

    every, single = 60.0, {}
    for text in timeout or []:
        name, equals, seconds = text.rpartition("=")
        try:
            limit = float(seconds)
        except ValueError:
            raise ValueError(f"--timeout takes seconds, or NAME=SECONDS, got {text!r}") from None
        if not 0 < limit <= 900:
            raise ValueError(f"--timeout is more than 0 and at most 900 seconds, as on Lambda, got {text!r}")
        if equals:
            single[name] = limit
        else:
            every = limit
    return Plan(targets, url, size, every, single, reload=reload)
