"""Classes of errors that hide what they have, or that do without what was given to them: of each what people look at."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, NamedTuple

from . import tagged
from .parts import MOST, blank, class_name, error_again, error_kept, written


class Special(NamedTuple):
    """`apart`: attributes that `kept` and `made` see to."""

    kept: Callable[[Any], Any]
    made: Callable[[Any, Any], Exception]
    apart: frozenset[str] = frozenset()


def special(cls: type) -> Special | None:
    return next((found for base in cls.__mro__ if (found := _SPECIAL.get(class_name(base))) is not None), None)


def _keep_group(error: Any) -> Any:
    return {"message": error.message, "exceptions": [error_kept(inner) for inner in error.exceptions]}


def _make_group(cls: Any, data: Any) -> Exception:
    found = list(map(error_again, data["exceptions"]))
    group: Exception = ExceptionGroup.__new__(cls, data["message"], found)
    return group


def _keep_problems(error: Any) -> Any:
    rows = []
    for row in error.errors(include_url=False):
        context = {key: str(v) if isinstance(v, Exception) else v for key, v in row.get("ctx", {}).items()}
        given = written(row["input"], MOST // 4)
        rows.append({
            "type": row["type"], "loc": list(row["loc"]), "msg": row["msg"], "ctx": written(context, MOST // 4) or {},
            "input": given if given is not None or row["input"] is None else repr(row["input"])[:200],
        })  # fmt: skip
    return {"title": error.title, "rows": rows[:50]}


def _make_problems(cls: Any, data: Any) -> Exception:
    error: Exception = cls.from_exception_data(data["title"], [_problem(cls, row) for row in data["rows"]])
    error.args = ()
    return error


def _problem(cls: Any, row: Any) -> Any:
    from pydantic_core import PydanticCustomError

    context = tagged.read(row["ctx"])
    made = {"loc": tuple(row["loc"]), "input": tagged.read(row["input"])}
    causes = {"value_error": ValueError, "assertion_error": AssertionError}
    if row["type"] in causes and "error" in context:
        return made | {"type": row["type"], "ctx": context | {"error": causes[row["type"]](context["error"])}}
    known = made | {"type": row["type"]} | ({"ctx": context} if context else {})
    try:
        cls.from_exception_data("", [known])
    except (KeyError, TypeError, ValueError):
        return made | {"type": PydanticCustomError(row["type"], row["msg"].replace("{", "{{"), context)}
    return known


def _keep_url_error(error: Any) -> Any:
    headers = [[str(name), str(value)] for name, value in error.headers.items()] if error.headers is not None else None
    return {"url": error.filename, "code": error.code, "message": str(error.msg), "headers": headers}


def _make_url_error(cls: Any, data: Any) -> Exception:
    import io
    from email.message import Message
    from urllib.error import HTTPError

    headers = Message()
    for name, value in data["headers"] or ():
        headers[name] = value
    error: Any = blank(cls)
    HTTPError.__init__(error, data["url"], data["code"], data["message"], headers, io.BytesIO())
    return error  # type: ignore[no-any-return]


def _keep_response(error: Any) -> Any:
    """Of requests: what people look at; the content as far as it was read and is short."""
    response = error.response
    row: dict[str, Any] = {"args": written([str(arg) for arg in error.args], MOST // 2)}
    if response is None:
        return row
    content = response._content if isinstance(response._content, bytes) and len(response._content) <= MOST // 4 else b""
    fields = {name: getattr(response, name) for name in ("status_code", "reason", "url", "encoding")}
    return row | {"response": written(fields | {"headers": dict(response.headers), "content": content}, MOST)}


def _make_response(cls: Any, data: Any) -> Exception:
    from requests.models import Response

    error: Any = blank(cls)
    error.args = tuple(tagged.read(data["args"] or []))
    error.request = error.response = None
    if data.get("response") is not None:
        row = tagged.read(data["response"])
        error.response = response = Response()
        response._content = row.pop("content", b"")
        response.headers.update(row.pop("headers", {}))
        for name, value in row.items():
            setattr(response, name, value)
    return error  # type: ignore[no-any-return]


def _keep_httpx(error: Any) -> Any:
    """Of httpx: method, URL and headers, and the content as far as it was read and is short."""
    request, response = getattr(error, "_request", None), getattr(error, "response", None)
    row: dict[str, Any] = {"args": written([str(arg) for arg in error.args], MOST // 2)}
    if request is not None:
        row["request"] = written(
            {"method": request.method, "url": str(request.url), "headers": _pairs(request)}, MOST // 4
        )
    if response is not None:
        content = getattr(response, "_content", b"")
        content = content if len(content) <= MOST // 4 else b""
        fields = {"status_code": response.status_code, "headers": _pairs(response), "content": content}
        row["response"] = written(fields, MOST)
    return row


def _pairs(message: Any) -> list[tuple[str, str]]:
    """Headers without credentials, and without those that say how the content came, which is kept as it was read."""
    return [(name, value) for name, value in message.headers.items() if name.lower() not in _OF_TRANSPORT]


_OF_TRANSPORT: Final = frozenset(
    {"content-encoding", "content-length", "transfer-encoding", "authorization", "cookie", "set-cookie"}
)


def _make_httpx(cls: Any, data: Any) -> Exception:
    httpx = import_module("httpx")
    error: Any = blank(cls)
    error.args = tuple(tagged.read(data["args"] or []))
    error._request = None if data.get("request") is None else httpx.Request(**tagged.read(data["request"]))
    if data.get("response") is not None:
        error.response = httpx.Response(**tagged.read(data["response"]), request=error._request)
    return error  # type: ignore[no-any-return]


def _keep_aiohttp(error: Any) -> Any:
    info = error.request_info
    request = [
        str(info.url),
        info.method,
        [[str(name), str(value)] for name, value in _pairs(info)],
        str(info.real_url),
    ]
    return {
        "request": request,
        "headers": None if error.headers is None else [list(map(str, p)) for p in _pairs(error)],
    }


def _make_aiohttp(cls: Any, data: Any) -> Exception:
    info, many, yarl = map(import_module, ("aiohttp.client_reqrep", "multidict", "yarl"))

    def of(pairs: Any) -> Any:
        return many.CIMultiDictProxy(many.CIMultiDict(pairs))

    url, method, headers, real_url = data["request"]
    error: Any = blank(cls)
    error.request_info = info.RequestInfo(yarl.URL(url), method, of(headers), yarl.URL(real_url))
    error.history = ()
    error.args = (error.request_info, ())
    error.headers = None if data["headers"] is None else of(data["headers"])
    return error  # type: ignore[no-any-return]


_SPECIAL: Final[dict[str, Special]] = {
    "ExceptionGroup": Special(_keep_group, _make_group, frozenset({"message", "exceptions"})),
    "pydantic_core._pydantic_core.ValidationError": Special(_keep_problems, _make_problems),
    "urllib.error.HTTPError": Special(
        _keep_url_error, _make_url_error, frozenset({"hdrs", "headers", "fp", "file", "_closer", "delete"})
    ),
    "requests.exceptions.RequestException": Special(
        _keep_response, _make_response, frozenset({"response", "request", "errno", "strerror", "filename", "filename2"})
    ),
    "httpx.RequestError": Special(_keep_httpx, _make_httpx, frozenset({"_request"})),
    "httpx.HTTPStatusError": Special(_keep_httpx, _make_httpx, frozenset({"_request", "request", "response"})),
    "aiohttp.client_exceptions.ClientResponseError": Special(
        _keep_aiohttp, _make_aiohttp, frozenset({"request_info", "history", "headers"})
    ),
}
