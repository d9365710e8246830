"""Callbacks over HTTP: a ready-made Lambda handler for API Gateway (v1, v2) or a function URL.

    POST /callbacks/{token}              the body, JSON or a form, is the result
    POST /callbacks/{token}/fail         {"message": ..., "error_type": ...}
    POST /callbacks/{token}/heartbeat
    GET  /callbacks/{token}?verdict=yes  a page that shows the answer and asks to confirm it, for a genuine token

A link in an e-mail is a GET, and mail scanners follow links: it changes nothing. Only the button on its page, a POST, does.
"""

from __future__ import annotations

import html
import json
import logging
from typing import Any, Final
from urllib.parse import parse_qsl

from .client import DurableClient
from .client.callbacks import Callbacks
from .errors import CallbackError, PayloadTooLarge, SerializationError
from .triggers.http_events import BadBody, HttpEvent

_log = logging.getLogger("durable_fn")

_MOST_BODY: Final = 400_000
_HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",  # the token is in the address
    "x-content-type-options": "nosniff",
}
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex"><title>{title}</title><style>
body{{font:16px/1.5 system-ui,sans-serif;max-width:32rem;margin:12vh auto;padding:0 1rem;color:#1d2430;background:#f6f7f9}}
main{{background:#fff;border:1px solid #dfe3e8;border-radius:12px;padding:2rem}}h1{{font-size:1.3rem;margin:0 0 1rem}}
dl{{display:grid;grid-template-columns:max-content 1fr;gap:.3rem 1rem;margin:0 0 1.5rem}}dt{{color:#5b6675}}
dd{{margin:0;font-weight:600;overflow-wrap:anywhere}}button{{font:inherit;font-weight:600;color:#fff;background:#1a6b3c;border:0;border-radius:8px;
padding:.7rem 1.4rem;cursor:pointer}}button:focus-visible{{outline:3px solid #7cc79a}}</style></head>
<body><main><h1>{title}</h1>{content}</main></body></html>"""


class _Answer(Exception):
    """Ends the request."""

    def __init__(self, status: int, message: str, more: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.more = more or {}


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Lambda entry point. Every answer is JSON, for a browser's form a page."""
    request = _Request(event if isinstance(event, dict) else {})
    try:
        return _route(request)
    except _Answer as answer:
        reply = request.answer(answer.status, str(answer))
        reply["headers"].update(answer.more)
        return reply
    except PayloadTooLarge as error:
        return request.answer(413, str(error))
    except CallbackError as error:
        unknown = str(error).startswith("unknown")
        return request.answer(404 if unknown else 409, str(error))
    except SerializationError as error:
        return request.answer(400, str(error))
    except Exception:
        _log.exception("a callback request failed")
        return request.answer(500, "the callback could not be taken; try again")


class _Request:
    """A request to this API."""

    def __init__(self, event: dict[str, Any]) -> None:
        self._http = HttpEvent(event)
        self.method = self._http.method
        self.query = self._http.query

    @property
    def wants_page(self) -> bool:
        return "text/html" in self._http.headers.get("accept", "")

    def parts(self) -> tuple[str, str]:
        """The token, and what follows it."""
        pieces = [piece for piece in self._http.path.split("/") if piece]
        last = pieces[-1] if pieces else ""
        action = last if last in ("fail", "heartbeat") else ""
        token = self._http.parameters.get("token")
        if not isinstance(token, str) or not token:
            token = "".join(pieces[-2:-1] if action else pieces[-1:])
        return token, action

    def body(self) -> bytes:
        try:
            data = self._http.body()
        except BadBody as error:
            raise _Answer(400, str(error)) from None
        if len(data) > _MOST_BODY:
            raise _Answer(413, f"the body is {len(data):,} bytes; at most {_MOST_BODY:,} are taken")
        return data

    def value(self) -> Any:
        """The body as JSON or as the fields of a form; nothing is None."""
        data = self.body()
        if not data:
            return None
        try:
            if self._http.media_type == "application/x-www-form-urlencoded":
                return dict(parse_qsl(data.decode(), keep_blank_values=True))
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise _Answer(400, f"the body is neither JSON nor a form: {error}") from None

    def answer(self, status: int, message: str) -> dict[str, Any]:
        if self.wants_page:
            titles = {200: "Thank you", 404: "Unknown link", 409: "Too late"}
            page = _PAGE.format(
                title=titles.get(status, "Something is wrong"), content=f"<p>{html.escape(message)}</p>"
            )
            return _reply(status, "text/html; charset=utf-8", page)
        key = "status" if status == 200 else "error"
        return _reply(status, "application/json", json.dumps({key: message}))


def _route(request: _Request) -> dict[str, Any]:
    token, action = request.parts()
    if request.method == "GET" and not action:
        return _confirmation(request, token)
    if request.method != "POST":
        allowed = {"allow": "POST" if action else "GET, POST"}
        raise _Answer(405, "POST completes a callback; GET shows a page that asks to confirm", allowed)
    client = DurableClient.from_env()
    if action == "heartbeat":
        client.heartbeat_callback(token)
    elif action == "fail":
        given = request.value()
        details = given if isinstance(given, dict) else {}
        client.fail_callback(token, str(details.get("message", "")), str(details.get("error_type") or "CallbackFailed"))
    else:
        client.complete_callback(token, request.value())
    return request.answer(200, "the answer was taken" if not action else f"the {action} was taken")


def _confirmation(request: _Request, token: str) -> dict[str, Any]:
    """Only for a genuine token, or anybody could show people his own words under this address. Raises CallbackError."""
    Callbacks.from_env().check(token)
    fields = {str(name): str(value) for name, value in request.query.items()}
    rows = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in fields.items())
    inputs = "".join(
        f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
        for name, value in fields.items()
    )
    content = f'<dl>{rows}</dl><form method="post">{inputs}<button>Confirm</button></form>'
    return _reply(200, "text/html; charset=utf-8", _PAGE.format(title="Please confirm your answer", content=content))


def _reply(status: int, kind: str, body: str) -> dict[str, Any]:
    return {"statusCode": status, "headers": {"content-type": kind, **_HEADERS}, "body": body, "isBase64Encoded": False}
