"""The dashboard as a Lambda function behind a function URL with IAM auth: an option of template.yaml.

A browser cannot sign requests. `durable-fn ui --url https://…lambda-url….on.aws` does, with the AWS credentials of whoever
runs it; the history then names the role or user that Lambda has seen.

DURABLE_FN_UI_CHANGES=on lets it change things; without it, it is read-only.
"""

from __future__ import annotations

import base64
import os
from functools import cache
from typing import Any, Final

from ..triggers.http_events import BadBody, HttpEvent
from .api import api
from .dashboard import Dashboard
from .guard import Guard
from .messages import Answer, Refused, Request, refusal
from .world import World

CHANGES_VARIABLE: Final = "DURABLE_FN_UI_CHANGES"
_POLL_S: Final = 5.0


def handler(event: Any, context: Any) -> dict[str, Any]:
    """Lambda entry point. A request that IAM has not seen is refused, whatever the function URL is set to."""
    try:
        return _reply(_dashboard().answer(_request(event if isinstance(event, dict) else {})))
    except Refused as refused:
        return _reply(refusal(refused))


@cache
def _dashboard() -> Dashboard:
    from ..wiring import backend

    found = backend()
    changes = os.environ.get(CHANGES_VARIABLE, "off")
    if changes not in ("on", "off"):
        raise RuntimeError(f"{CHANGES_VARIABLE} must be 'on' or 'off', got {changes!r}")
    label = os.environ.get("AWS_REGION", "")
    world = World(found, f"{os.environ.get('DURABLE_FN_TABLE', '')} {label}".strip(), changes == "off", _POLL_S)
    return Dashboard(api(world), Guard({"*"}))


def _request(event: dict[str, Any]) -> Request:
    """Raises Refused."""
    http = HttpEvent(event)
    try:
        body = http.body()
    except BadBody as error:
        raise Refused(400, str(error)) from None
    return Request(http.method, http.path or "/", http.query, http.headers, body, _caller(event))


def _caller(event: dict[str, Any]) -> str:
    """The ARN of who signed the request."""
    found: Any = event
    for name in ("requestContext", "authorizer", "iam", "userArn"):
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, str) or not found:
        raise Refused(
            403, "the dashboard is only for requests that IAM has seen: set the function URL's auth type to AWS_IAM"
        )
    return found


def _reply(answer: Answer) -> dict[str, Any]:
    return {
        "statusCode": answer.status,
        "headers": answer.headers,
        "body": base64.b64encode(answer.body).decode(),
        "isBase64Encoded": True,
    }
