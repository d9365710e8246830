"""The dashboard behind Starlette, alone or beside other routes. Needs the extra `ui`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request as WebRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from .guard import Guard
from .messages import MOST_BODY, Answer, Refused, Request

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def application(
    answer: Callable[[Request], Answer] | None, guard: Guard, *, routes: Sequence[BaseRoute] = (), by: str | None = None
) -> Starlette:
    """`answer`: the dashboard, where there is one; `routes`: of functions and callbacks, which `guard` stands before too."""
    last = [] if answer is None else [Route("/{rest:path}", _endpoint(answer, by), methods=_METHODS)]
    middleware = [Middleware(_Guarded, guard=guard)]
    if guard.origins:
        middleware.insert(0, Middleware(CORSMiddleware, allow_origins=[*guard.origins], allow_methods=["*"],
                                        allow_headers=["*"]))  # fmt: skip
    return Starlette(routes=[*routes, *last], middleware=middleware)


def _endpoint(answer: Callable[[Request], Answer], by: str | None) -> Callable[[WebRequest], object]:
    async def endpoint(request: WebRequest) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BODY:
                return JSONResponse({"error": "the body is too large"}, 413)
        found = await run_in_threadpool(answer, plain(request.scope, bytes(body), by))
        return Response(found.body, found.status, found.headers)

    return endpoint


def plain(scope: Scope, body: bytes = b"", by: str | None = None) -> Request:
    request = WebRequest(scope)
    return Request(request.method, request.url.path, dict(request.query_params), dict(request.headers), body, by)


class _Guarded:
    """Before everything that is not the dashboard's, which looks by itself."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app = app
        self._guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                self._check(plain(scope))
            except Refused as refused:
                await JSONResponse({"message": str(refused)}, refused.status)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, request: Request) -> None:
        self._guard.check_host(request)
        if request.path.startswith(("/functions/", "/2015-03-31/")):
            self._guard.check_site(request)
            self._guard.check_token(request)
