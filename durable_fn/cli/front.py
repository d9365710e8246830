"""Servers of commands: of functions, with a dashboard or without one, and of a dashboard alone."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import webbrowser
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from ..local.plan import Plan
from ..local.service import Service
from ..ui.api import api
from ..ui.dashboard import Api, Dashboard
from ..ui.guard import Guard
from ..ui.world import World
from . import web
from .happenings import Tell
from .naming import label_of_url, me

CALLBACK_URL: Final = "DURABLE_FN_CALLBACK_URL"


class Front:
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
        world = World(
            service.backend, label_of_url(service.plan.url), read_only=False, served=lambda: [*service.pool.served]
        )
        return application(Dashboard(api(world), self._guard).answer, self._guard, routes=routes(service), by=me())


async def _serve(plan: Plan, front: Front | None, tell: Tell) -> None:
    service = Service(plan, tell)
    service.listen_to_signals()
    async with service.running(), front.serving(service, tell) if front is not None else contextlib.nullcontext():
        await service.until_stopped()


def run(plan: Plan, front: Callable[[], Front] | None, tell: Tell) -> None:
    """Serves until it is told to stop. Raises DurableError, NothingFound, RuntimeError or OSError for what cannot be served."""
    with web.needing("local"):
        made = front() if front is not None else None
        asyncio.run(_serve(plan if made is None else _addressed(plan, made), made, tell))


def _addressed(plan: Plan, front: Front) -> Plan:
    """Handlers that write links to the callback page learn where it is, as by the template."""
    return replace(plan, environment={CALLBACK_URL: front.url, **plan.environment})


@dataclass(frozen=True)
class Shown:
    """What a dashboard alone shows. `read_only`: None where the other side decides."""

    api: Api
    label: str
    read_only: bool | None


def run_dashboard(shown: Shown, host: str, port: int, guard: Guard, open_: bool | None, tell: Tell) -> None:
    """Until SIGTERM or Ctrl-C."""
    with web.needing("ui"):
        asyncio.run(_show(shown, host, port, guard, open_, tell))


async def _show(shown: Shown, host: str, port: int, guard: Guard, open_: bool | None, tell: Tell) -> None:
    from ..ui.server import application

    listening = web.listening(host, port)
    app = application(Dashboard(shown.api, guard).answer, guard, by=me())
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with web.served(app, listening):
        url = web.address(listening, host)
        address = web.with_token(url, guard.token)
        tell({"event": "dashboard", "url": url, "open": address, "of": shown.label, "read_only": shown.read_only})
        if sys.stdout.isatty() if open_ is None else open_:
            await asyncio.to_thread(webbrowser.open, address)
        await stopped.wait()
