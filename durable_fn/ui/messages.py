"""A request and its answer, as both fronts of the dashboard have them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Final

MOST_BODY: Final = 1_000_000


class Refused(Exception):
    """Ends a request. The message is for whoever sent it."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Request:
    """`headers`: by lower-case name. `by`: who asks, as far as the front knows."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    by: str | None = None

    def json(self) -> dict[str, Any]:
        """The body as an object. Raises Refused."""
        if self.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refused(415, "send application/json")
        if len(self.body) > MOST_BODY:
            raise Refused(413, f"the body has {len(self.body):,} bytes; at most {MOST_BODY:,} are taken")
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            raise Refused(400, "the body is not JSON") from None
        if not isinstance(found, dict):
            raise Refused(400, "the body must be a JSON object")
        return found


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def as_json(status: int, data: Any, **headers: str) -> Answer:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), default=str)
    body = text.encode("utf-8", "backslashreplace")  # a lone surrogate is no UTF-8
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, body, {"content-type": "application/json; charset=utf-8", **more})


def refusal(refused: Refused) -> Answer:
    return as_json(refused.status, {"error": str(refused)})
