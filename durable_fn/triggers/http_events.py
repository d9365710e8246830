"""HTTP requests as Lambda gets them: API Gateway v1 (REST) and v2 (HTTP), function URLs and load balancers (ALB). The only reader
of their shapes.

v1 has `headers` with the last value of each name and `multiValueHeaders` with all, names as the client wrote them; v2 and
function URLs have lower-case names, and values of the same name joined by commas. A load balancer has either `headers` or
`multiValueHeaders`, as its target group says, and reads only that one of the answer.
"""

from __future__ import annotations

import base64
from typing import Any


class BadBody(ValueError):
    """The body is not what the event says it is. The message may be shown to the client."""


def is_http(event: dict[str, Any]) -> bool:
    """Whether the event has the documented shape of a request; that of an authorizer, which looks alike, is none."""
    context = event.get("requestContext")
    if not isinstance(context, dict) or "methodArn" in event or "routeArn" in event:
        return False
    http = context.get("http")
    if isinstance(http, dict):
        return isinstance(http.get("method"), str) and "rawPath" in event
    return isinstance(event.get("httpMethod"), str) and "path" in event


class HttpEvent:
    """What the shapes have in common. Never raises on a malformed event: what cannot be read is as if it was not there."""

    def __init__(self, event: dict[str, Any]) -> None:
        self._event = event
        context = _dict(event.get("requestContext"))
        self.method = _text(_dict(context.get("http")).get("method") or event.get("httpMethod")).upper()
        self.path = _text(event.get("rawPath") or event.get("path"))
        self.query = {str(name): str(value) for name, value in _dict(event.get("queryStringParameters")).items()}
        self.parameters = _dict(event.get("pathParameters"))
        self.headers = _headers(event)
        self.balanced = isinstance(context.get("elb"), dict)
        self.multi_value = self.balanced and "multiValueHeaders" in event
        self.is_base64 = event.get("isBase64Encoded") is True

    @property
    def is_health_check(self) -> bool:
        """Of a load balancer."""
        return self.balanced and self.headers.get("user-agent", "").startswith("ELB-HealthChecker/")

    @property
    def charset(self) -> str:
        """What the content type says that the body is written in; API Gateway has read a text as UTF-8 already."""
        for part in self.headers.get("content-type", "").split(";")[1:]:
            name, _, value = part.partition("=")
            if name.strip().lower() == "charset" and self.is_base64:
                return value.strip().strip("\"'")
        return "utf-8"

    @property
    def media_type(self) -> str:
        """Of the body, in lower case and without parameters; "" where the request does not say."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def body(self) -> bytes:
        """Raises BadBody."""
        text = self._event.get("body")
        if text is None:
            return b""
        if not isinstance(text, str):
            raise BadBody("the body is not text")
        try:
            return base64.b64decode(text, validate=True) if self.is_base64 else text.encode()
        except UnicodeEncodeError:
            raise BadBody("the body is not valid Unicode") from None
        except ValueError:
            raise BadBody("the body is not the base64 text it says it is") from None

    def identity(self) -> dict[str, Any]:
        """What a request has in common with itself when it is sent again: not its time, its id, or its way here."""
        event = self._event
        query = event.get("rawQueryString") or event.get("multiValueQueryStringParameters") or self.query or None
        return {"method": self.method, "path": self.path, "query": query, "body": event.get("body")}


def _headers(event: dict[str, Any]) -> dict[str, str]:
    """By lower-case name; values of one name, in whatever case it was written, joined as RFC 9110 (5.3) says."""
    found: dict[str, list[str]] = {}
    several = _dict(event.get("multiValueHeaders"))
    for name, values in several.items():
        if isinstance(values, list):
            found.setdefault(str(name).lower(), []).extend(value for value in values if isinstance(value, str))
    seen = set(found)
    for name, value in _dict(event.get("headers")).items():
        if isinstance(value, str) and str(name).lower() not in seen:
            found.setdefault(str(name).lower(), []).append(value)
    return {name: ", ".join(values) for name, values in found.items() if values}


def _dict(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
