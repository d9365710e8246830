"""The API of a backend: what the page reads with GET and changes with POST."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from ..errors import CallbackError, DurableError, ExecutionConflict, ExecutionNotFound, PayloadTooLarge
from . import actions, views
from .messages import Answer, Refused, Request, as_json, refusal
from .world import World

_log = logging.getLogger("durable_fn")

_STATUS: Final[tuple[tuple[type[Exception], int], ...]] = (
    (ExecutionNotFound, 404),
    (ExecutionConflict, 409),
    (CallbackError, 409),
    (PayloadTooLarge, 413),
    (DurableError, 400),
    (ValueError, 400),
    (TypeError, 400),
)


def api(world: World) -> Callable[[Request], Answer]:
    """Whoever may ask has been looked at before. What is returned never raises."""

    def answer(request: Request) -> Answer:
        try:
            return _answer(world, request)
        except Exception as error:
            return _failed(request, error)

    return answer


def _answer(world: World, request: Request) -> Answer:
    name = request.path.removeprefix("/api/")
    if request.method in ("GET", "HEAD"):
        view = views.VIEWS.get(name)
        if view is None:
            raise Refused(404, "there is nothing of this name")
        return view(world, request)
    if request.method != "POST":
        raise Refused(405, "ask with GET, change with POST")
    action = actions.ACTIONS.get(name)
    if action is None:
        raise Refused(404, "there is nothing of this name")
    if world.read_only:
        raise Refused(403, "this dashboard is read-only; start it with --allow-changes to change anything")
    return as_json(200, action(world, request.json(), request.by))


def _failed(request: Request, error: Exception) -> Answer:
    if isinstance(error, Refused):
        return refusal(error)
    for kind, status in _STATUS:
        if isinstance(error, kind):
            return as_json(status, {"error": str(error), "error_type": type(error).__name__})
    _log.error("the dashboard could not answer %s %s", request.method, request.path, exc_info=error)
    return as_json(500, {"error": f"{type(error).__name__}: {error}"})
