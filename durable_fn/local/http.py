"""HTTP for functions on this machine: their trigger, Lambda's own Invoke, and the callback page. Needs Starlette (extra `local`).

ANY  /functions/NAME[/PATH]                        what a function URL of NAME would get
POST /2015-03-31/functions/NAME/invocations        any event: aws lambda invoke --endpoint-url http://127.0.0.1:8700
ANY  /callbacks/TOKEN[/fail|/heartbeat]            durable_fn.callback_api
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .. import callback_api
from ..backends.ports import Backend
from ..wiring import using
from .pool import FunctionFailed, WorkerEnded
from .service import Service

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_MOST_BODY = 6 * 1024 * 1024


def routes(service: Service) -> list[Route]:
    """To be put into a Starlette application."""
    return [
        Route("/functions/{name}", _trigger(service), methods=_METHODS),
        Route("/functions/{name}/{path:path}", _trigger(service), methods=_METHODS),
        Route("/2015-03-31/functions/{name}/invocations", _invoke(service), methods=["POST"]),
        Route("/callbacks/{rest:path}", _callbacks(service.backend), methods=["GET", "POST"]),
    ]


def _trigger(service: Service) -> Callable[[Request], Awaitable[Response]]:
    async def trigger(request: Request) -> Response:
        name = request.path_params["name"]
        body = await _body(request)
        if body is None:
            return JSONResponse({"message": "Request Too Long"}, 413)
        path = "/" + request.path_params.get("path", "")
        answer = await _asked(service, name, url_event(request, path, body))
        return answer if isinstance(answer, Response) else url_answer(answer)

    return trigger


def _invoke(service: Service) -> Callable[[Request], Awaitable[Response]]:
    async def invoke(request: Request) -> Response:
        name = request.path_params["name"]
        data = await _body(request)
        try:
            event = json.loads(data or b"{}")
        except (ValueError, RecursionError):
            return JSONResponse({"Type": "User", "Message": "the payload is not JSON"}, 400)
        if request.headers.get("x-amz-invocation-type", "RequestResponse") == "Event":
            if (missing := _unknown(service, name)) is not None:
                return missing
            _later.add(task := asyncio.ensure_future(_quietly(service, name, event)))
            task.add_done_callback(_later.discard)
            return Response(status_code=202)
        try:
            answer = await _asked(service, name, event, failures=True)
        except FunctionFailed as failed:
            return JSONResponse(failed.error, headers={"x-amz-function-error": "Unhandled"})
        return answer if isinstance(answer, Response) else JSONResponse(answer)

    return invoke


_later: set[asyncio.Task[None]] = set()


async def _quietly(service: Service, name: str, event: Any) -> None:
    try:
        await _asked(service, name, event, failures=True)
    except FunctionFailed:
        return  # its process has logged it


def _unknown(service: Service, name: str) -> Response | None:
    if name in service.pool.served:
        return None
    text = f"there is no durable function {name!r} here; there are {', '.join(service.pool.served) or 'none'}"
    return JSONResponse({"message": text}, 404)


async def _asked(service: Service, name: str, event: Any, *, failures: bool = False) -> Any:
    """The answer of the function, or a Response where there is none."""
    if (missing := _unknown(service, name)) is not None:
        return missing
    try:
        return await service.pool.do(name, {"do": "invoke", "event": event}, service.plan.timeout_of(name), urgent=True)
    except FunctionFailed:
        if failures:
            raise
        return JSONResponse({"message": "Internal Server Error"}, 502)  # as a function URL does
    except WorkerEnded as ended:
        return JSONResponse({"message": str(ended)}, 504 if ended.timed_out else 502)


def _callbacks(backend: Backend) -> Callable[[Request], Awaitable[Response]]:
    async def callbacks(request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return JSONResponse({"error": "the body is too large"}, 413)
        event = url_event(request, request.url.path, body)
        return url_answer(await asyncio.to_thread(_called_back, backend, event))

    return callbacks


def _called_back(backend: Backend, event: dict[str, Any]) -> dict[str, Any]:
    with using(backend):
        return callback_api.handler(event, None)


async def _body(request: Request) -> bytes | None:
    """None for one that Lambda would not take."""
    found = bytearray()
    async for chunk in request.stream():
        found += chunk
        if len(found) > _MOST_BODY:
            return None
    return bytes(found)


# -- Lambda's shapes -----------------------------------------------------------------------------------------------


def url_event(request: Request, path: str, body: bytes) -> dict[str, Any]:
    """What a function URL makes of a request: payload format 2.0."""
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        if name != "cookie":
            headers[name] = f"{headers[name]},{value}" if name in headers else value
    text, encoded = _text(body)
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": request.url.query,
        "headers": headers,
        "requestContext": _context(request, path, headers),
        "isBase64Encoded": encoded,
    }
    cookies = [one.strip() for line in request.headers.getlist("cookie") for one in line.split(";") if one.strip()]
    query = {name: ",".join(request.query_params.getlist(name)) for name in request.query_params}
    more = {"cookies": cookies, "queryStringParameters": query, "body": text}
    return {**event, **{name: value for name, value in more.items() if value}}


def _context(request: Request, path: str, headers: dict[str, str]) -> dict[str, Any]:
    return {
        "accountId": "anonymous",
        "apiId": "local",
        "domainName": headers.get("host", ""),
        "domainPrefix": "local",
        "http": {
            "method": request.method,
            "path": path,
            "protocol": "HTTP/1.1",
            "sourceIp": request.client.host if request.client else "",
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": str(uuid.uuid4()),
        "routeKey": "$default",
        "stage": "$default",
        "time": datetime.now(UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": int(time.time() * 1000),
    }


def _text(body: bytes) -> tuple[str, bool]:
    """As text where it is one, else as base64."""
    try:
        return body.decode(), False
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), True


def url_answer(answer: Any) -> Response:
    """What a function URL makes of a function's answer: one without a status code is the body of a 200."""
    if not isinstance(answer, dict) or "statusCode" not in answer:
        return JSONResponse(answer)
    text = answer.get("body") or ""
    body = base64.b64decode(text) if answer.get("isBase64Encoded") else str(text).encode()
    response = Response(body, int(answer["statusCode"]), answer.get("headers") or {})
    if "content-type" not in response.headers:
        response.headers["content-type"] = "application/json"
    for cookie in answer.get("cookies") or []:
        response.headers.append("set-cookie", cookie)
    return response
