"""The dashboard as a function from a request to an answer: its page, and the API that the page asks."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from ..errors import CallbackError, DurableError, ExecutionConflict, ExecutionNotFound, PayloadTooLarge
from . import actions, views
from .guard import PAGE_HEADERS, Guard
from .messages import Answer, Refused, Request, as_json
from .page import page
from .world import World

_log = logging.getLogger("durable_fn")


@dataclass(frozen=True)
class Dashboard:
    world: World
    guard: Guard

    def answer(self, request: Request) -> Answer:
        """Never raises."""
        found = self._answer(request)
        return Answer(found.status, b"" if request.method == "HEAD" else found.body, {**PAGE_HEADERS, **found.headers})

    def _answer(self, request: Request) -> Answer:
        try:
            self.guard.check_host(request)
            if not request.path.startswith("/api/"):
                return self._page(request)
            return self._api(request)
        except Exception as error:
            return _failed(request, error)

    def _page(self, request: Request) -> Answer:
        """It holds no data, so everybody may have it: it is what asks for the token."""
        if request.method not in ("GET", "HEAD"):
            raise Refused(405, "the page is read with GET")
        self.guard.check_site(request, navigable=True)
        found = page(request.path, request.headers.get("if-none-match", ""))
        if found is None:
            raise Refused(404, "there is no such page")
        return found

    def _api(self, request: Request) -> Answer:
        self.guard.check_site(request)
        self.guard.check_token(request)
        name = request.path.removeprefix("/api/")
        if request.method in ("GET", "HEAD"):
            view = views.VIEWS.get(name)
            if view is None:
                raise Refused(404, "there is nothing of this name")
            return view(self.world, request)
        if request.method != "POST":
            raise Refused(405, "ask with GET, change with POST")
        action = actions.ACTIONS.get(name)
        if action is None:
            raise Refused(404, "there is nothing of this name")
        if self.world.read_only:
            raise Refused(403, "this dashboard is read-only; start it with --allow-changes to change anything")
        self.guard.check_change(request)
        return as_json(200, action(self.world, request.json(), request.by))


_STATUS: Final[tuple[tuple[type[Exception], int], ...]] = (
    (ExecutionNotFound, 404),
    (ExecutionConflict, 409),
    (CallbackError, 409),
    (PayloadTooLarge, 413),
    (DurableError, 400),
    (ValueError, 400),
    (TypeError, 400),
)


def _failed(request: Request, error: Exception) -> Answer:
    if isinstance(error, Refused):
        return as_json(error.status, {"error": str(error)})
    for kind, status in _STATUS:
        if isinstance(error, kind):
            return as_json(status, {"error": str(error), "error_type": type(error).__name__})
    _log.error("the dashboard could not answer %s %s", request.method, request.path, exc_info=error)
    return as_json(500, {"error": f"{type(error).__name__}: {error}"})
