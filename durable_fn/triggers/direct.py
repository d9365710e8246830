"""Direct invocation, and EventBridge, whose events come one by one: whoever invoked gets an envelope or the plain result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core import failures
from ..core.header import Header
from ..core.values import plain
from ..errors import DurableError
from ..ports import Backend
from ..types import LambdaContext
from .incoming import Incoming, Started, run_now, wanted_header

if TYPE_CHECKING:
    from ..handler import DurableFunction


def direct(function: DurableFunction[Any, Any], backend: Backend, event: Any, context: LambdaContext) -> Any:
    """An event that fits no execution, or an id in use for other work, is raised."""
    return _run(function, backend, context, Incoming((event,), getattr(context, "aws_request_id", None)))


def is_event_bridge(event: dict[str, Any]) -> bool:
    return "detail" in event and all(isinstance(event.get(key), str) for key in ("id", "source", "detail-type"))


def event_bridge(function: DurableFunction[Any, Any], backend: Backend, event: Any, context: LambdaContext) -> Any:
    """Comes asynchronously: what is raised makes Lambda try again (twice), and then its failure destination has it."""
    identity = {key: event[key] for key in ("source", "detail-type", "detail")}
    payload = event["detail"] if function.envelope else event
    incoming = Incoming((payload,), event["id"], shared=True, identity=None if function.envelope else identity)
    return _run(function, backend, context, incoming)


def _run(function: DurableFunction[Any, Any], backend: Backend, context: LambdaContext, incoming: Incoming) -> Any:
    wanted = wanted_header(function, backend, incoming)
    return answer(function, run_now(function, backend, context, incoming, wanted))


def answer(function: DurableFunction[Any, Any], started: Started) -> Any:
    """What the caller gets. With `envelope=False`: the plain result or the error, if the execution has ended."""
    header = started.header
    if function.envelope or header.live:
        return envelope(header)
    if header.status == "SUCCEEDED":
        return plain(header.result or "null")
    if started.raised is not None:
        raise started.raised
    failure = failures.decode(header.error or failures.NOTHING)
    raise DurableError(f"execution {header.id!r} ended {header.status}: {failure.error_type}: {failure.message}")


def envelope(header: Header) -> dict[str, Any]:
    """What a direct caller gets."""
    found: dict[str, Any] = {"execution_id": header.id, "status": header.status}
    if header.status == "SUCCEEDED":
        found["result"] = plain(header.result or "null")
    elif header.error is not None:
        found["error"] = failures.info(failures.decode(header.error))
    return found
