"""API Gateway v1 and v2, function URLs and load balancers.

200  the result                                400  the body does not fit, or the id is none
202  {"execution_id", "status"}: it goes on    409  the id is in use for other work
410  cancelled or terminated                   413  the body is larger than the journal takes
504  its execution_timeout passed              500  it failed

With the payload envelope OPTIONS (204), HEAD and a load balancer's health check (200) are answered, and start nothing.

Of an execution that did not succeed the answer has the error's type. What the error says is for those who run the function,
unless DURABLE_FN_HTTP_ERRORS=messages.

What is wrong with the journal itself is raised: Lambda counts it as an error, and the gateway answers 502.
"""

from __future__ import annotations

import base64
import json
import logging
import os
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from ..backends.ports import Backend
from ..errors import ExecutionConflict, PayloadTooLarge, SerializationError
from ..log import failures
from ..log.header import Header
from ..log.ids import checked_id
from ..runtime.executions import check_annotations, terms_of
from ..runtime.lambda_time import remaining_ms
from ..types import LambdaContext
from ..values.plain import plain
from .bodies import of_bytes, parsed, takes_bytes
from .direct import answer
from .http_events import BadBody, HttpEvent
from .incoming import Incoming, run_later, run_now, wanted_header
from .messages import problems
from .preferences import Preferences, preferences

if TYPE_CHECKING:
    from ..core.function import DurableFunction
    from .incoming import Started

_log = logging.getLogger("durable_fn")

_STATUS: Final = {"SUCCEEDED": 200, "FAILED": 500, "TIMED_OUT": 504, "CANCELLED": 410, "TERMINATED": 410}
_LONGEST_WAIT_S: Final = 25
"""API Gateway gives up after 29 seconds (REST) or 30 (HTTP). Behind a function URL it keeps a client from holding on to a
Lambda for 15 minutes."""
_RESERVE_MS: Final = 2000
"""Left of the invocation's time when waiting ends, for the answer."""
_MOST_FIELDS: Final = 1000
ERRORS: Final = "DURABLE_FN_HTTP_ERRORS"
_METHODS: Final = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"


class _Refused(Exception):
    """Ends the request before anything was started."""

    def __init__(self, status: int, kind: str, message: str, details: list[dict[str, str]] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.error: dict[str, Any] = {"error_type": kind, "message": message}
        if details:
            self.error["data"] = details


def http(function: DurableFunction[Any, Any], backend: Backend, event: Any, context: LambdaContext) -> Any:
    """Starts or attaches, and answers with how the execution stands. With `envelope=False` the handler answers itself, if the
    execution ends within the invocation. `Prefer: wait=N` and `Prefer: respond-async` say how long that may take."""
    check_annotations(function, terms_of(backend))
    arrived = backend.clock.now()
    request = HttpEvent(event)
    tells = _tells_messages()
    if function.envelope and (asked := _asked(request)) is not None:
        return asked
    wishes = preferences(request.headers.get("prefer", ""))
    try:
        incoming = _incoming(function, request, event)
        wanted = _wanted(function, backend, incoming)
        applied, started = _started(function, backend, context, incoming, wanted, wishes)
    except _Refused as refused:
        _log.info("a request for durable function %r was refused: %s", function.name, refused)
        return _reply(request, refused.status, {"error": refused.error})
    if started[0].live and wishes.wait and applied is None:
        from .waiting import wait

        seconds = min(wishes.wait, _LONGEST_WAIT_S)
        left = remaining_ms(context) - _RESERVE_MS
        until = min(arrived + seconds * 1000, backend.clock.now() + left)
        started = wait(function, backend, context, started, until)
        applied = f"wait={max(0, until - arrived) // 1000}"
        if wishes.respond_async and started[0].live:
            applied = f"respond-async, {applied}"
    return _answer(function, request, started, applied, tells=tells)


# -- the request ---------------------------------------------------------------------------------------------------


def _incoming(function: DurableFunction[Any, Any], request: HttpEvent, event: dict[str, Any]) -> Incoming:
    id = _idempotency_key(function, request) if function.execution_id is None else None
    if not function.envelope:
        return Incoming((event,), id, identity=request.identity())
    try:
        return Incoming(_body(function, request), id)
    except BadBody as error:
        raise _Refused(400, "BadRequest", str(error)) from None
    except SerializationError as error:  # of `bodies`: says what is wrong, not with what
        raise _Refused(400, "BadRequest", str(error)) from None


def _idempotency_key(function: DurableFunction[Any, Any], request: HttpEvent) -> str | None:
    """The execution id that the client asks for: the function's name stands before it, so that no client names the executions of
    others. A structured field's quotes are no part of it."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if len(key) > 1 and key[0] == key[-1] == '"':
        key = key[1:-1]
    try:
        checked_id(key)
        return checked_id(f"{function.name}:{key}")
    except ValueError:
        raise _Refused(
            400, "BadRequest", "the Idempotency-Key must be 1 to about 400 bytes of printable characters"
        ) from None


def _body(function: DurableFunction[Any, Any], request: HttpEvent) -> tuple[Any, ...]:
    """What the body can mean, by its media type. Without one: JSON where it is JSON, or else text."""
    data, kind = request.body(), request.media_type
    what = "the body"
    if takes_bytes(function):
        return of_bytes(function, data, what)
    if not data:
        return (None,)
    if not kind:
        return of_bytes(function, data, what)
    is_text = kind.startswith("text/") or not request.is_base64
    if kind in ("application/json", "text/json") or kind.endswith("+json"):
        text = _decoded(data, request)
        try:
            return (parsed(text, what),)
        except ValueError as error:
            place = f" at position {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
            raise BadBody(f"the body is not JSON, as its content type says: it cannot be read{place}") from None
    if kind == "application/x-www-form-urlencoded":
        return (_form(_decoded(data, request)),)
    return (_decoded(data, request),) if is_text else (base64.b64encode(data).decode(),)


def _decoded(data: bytes, request: HttpEvent) -> str:
    """Without the mark that some editors put at the beginning."""
    charset = request.charset
    try:
        return data.decode(charset).removeprefix("\ufeff")
    except LookupError:
        raise BadBody(f"the body's charset {charset[:40]!r} is not known") from None
    except UnicodeDecodeError:
        name = "UTF-8" if charset.lower() in ("utf-8", "utf8") else charset[:40]
        raise BadBody(f"the body is not {name}") from None


def _form(text: str) -> dict[str, Any]:
    """A field that comes once is a text, one that comes several times a list."""
    try:
        fields = parse_qs(text, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise BadBody(f"the body has more than {_MOST_FIELDS} fields") from None
    return {name: values[0] if len(values) == 1 else values for name, values in fields.items()}


# -- the start -----------------------------------------------------------------------------------------------------


def _wanted(function: DurableFunction[Any, Any], backend: Backend, incoming: Incoming) -> Header:
    what = "body" if function.envelope else "request"
    try:
        return wanted_header(function, backend, incoming)
    except PayloadTooLarge as error:
        message = f"the {what} is {error.size:,} bytes as JSON; at most {error.limit:,} are taken"
        raise _Refused(413, "PayloadTooLarge", message) from None
    except SerializationError as error:
        message = f"the {what} does not fit what the function takes"
        raise _Refused(400, "ValidationError", message, problems(error)) from None
    except ValueError:
        _log.info("a request for durable function %r gives no execution id", function.name, exc_info=True)
        raise _Refused(400, "BadRequest", f"the {what} gives no valid execution id") from None


def _started(
    function: DurableFunction[Any, Any],
    backend: Backend,
    context: LambdaContext,
    incoming: Incoming,
    wanted: Header,
    wishes: Preferences,
) -> tuple[str | None, Started]:
    """With the preference that was applied: `respond-async` alone; together with `wait` it means that 202 is welcome after it."""
    try:
        if not wishes.respond_async or wishes.wait:
            return None, run_now(function, backend, context, incoming, wanted)
        started = run_later(function, backend, incoming, wanted)
        return "respond-async" if started[0].live else None, started
    except ExecutionConflict:
        message = "the execution id is in use for another request: use another one, or send the same request again"
        raise _Refused(409, "ExecutionConflict", message) from None


# -- the answer ----------------------------------------------------------------------------------------------------


def _asked(request: HttpEvent) -> dict[str, Any] | None:
    """The answer to a request that is no work: a browser's preflight, a probe."""
    if request.method == "OPTIONS":
        return _empty(request, 204, {"allow": _METHODS})
    if request.method == "HEAD" or request.is_health_check:
        return _empty(request, 200)
    return None


def _tells_messages() -> bool:
    """Raises RuntimeError for a value that means nothing."""
    given = os.environ.get(ERRORS, "")
    if given not in ("", "messages"):
        raise RuntimeError(f"{ERRORS} must be 'messages' or not set, got {given!r}")
    return given == "messages"


def _answer(
    function: DurableFunction[Any, Any], request: HttpEvent, started: Started, applied: str | None, *, tells: bool
) -> Any:
    header, _ = started
    if header.foreign and not header.live:
        message = "the execution of this id was run by another version, and its result cannot be read: use another id"
        return _reply(request, 409, {"error": {"error_type": "FormatError", "message": message}})
    if not header.live and not function.envelope:
        return answer(function, *started)
    more = {} if applied is None else {"preference-applied": applied}
    if header.id.isascii():
        more["durable-execution-id"] = header.id
    if header.status == "SUCCEEDED":
        return _reply(request, 200, plain(header.result or "null"), more)
    content: dict[str, Any] = {"execution_id": header.id, "status": header.status}
    if not header.live and header.error is not None:
        failure = failures.decode(header.error)
        content["error"] = {"error_type": failure.error_type, **({"message": failure.message} if tells else {})}
    return _reply(request, _STATUS.get(header.status, 202), content, more)


def _reply(request: HttpEvent, status: int, content: Any, more: dict[str, str] | None = None) -> dict[str, Any]:
    headers = {"content-type": "application/json", "cache-control": "no-store", **(more or {})}
    return {**_empty(request, status, headers), "body": json.dumps(content)}


def _empty(request: HttpEvent, status: int, headers: dict[str, str] | None = None) -> dict[str, Any]:
    found = headers or {}
    written: dict[str, Any] = (
        {"multiValueHeaders": {name: [value] for name, value in found.items()}}
        if request.multi_value
        else {"headers": found}
    )
    return {"statusCode": status, **written, "body": "", "isBase64Encoded": False}
