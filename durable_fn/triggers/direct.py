"""Direct invocation, and what everybody gets who invoked for one execution: an envelope or the plain result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import DurableError
from ..log import failures
from ..log.foreign import recorded_error, require_own
from ..log.header import Header
from ..runtime.executions import arrived_event, check_annotations, execution_id, new_header, terms_of
from ..runtime.invocation import Invocation
from ..values.plain import plain

if TYPE_CHECKING:
    from ..backends.ports import Backend
    from ..core.function import DurableFunction
    from ..types import LambdaContext


def direct(function: DurableFunction[Any, Any], backend: Backend, event: Any, context: LambdaContext) -> Any:
    """An event that fits no execution, or an id in use for other work, is raised."""
    terms = terms_of(backend)
    check_annotations(function, terms)
    input = arrived_event(function, event, terms)
    id = execution_id(function, input, getattr(context, "aws_request_id", None))
    wanted = new_header(
        backend, id, function.name, input, retention_ms=function.retention_ms, timeout_ms=function.timeout_ms
    )
    invocation = Invocation(function, backend, context)
    header = invocation.start(wanted)
    return answer(function, header, invocation.raised)


def answer(function: DurableFunction[Any, Any], header: Header, raised: BaseException | None) -> Any:
    """What the caller gets. With `envelope=False`: the plain result or the error, if the execution has ended. Raises FormatError
    for an end that cannot be read."""
    if not header.live:
        require_own(header)
    if function.envelope or header.live:
        return envelope(header)
    if header.status == "SUCCEEDED":
        return plain(header.result or "null")
    if raised is not None:
        raise raised
    failure = failures.decode(header.error or failures.NOTHING)
    raise DurableError(f"execution {header.id!r} ended {header.status}: {failure.error_type}: {failure.message}")


def envelope(header: Header) -> dict[str, Any]:
    """What a direct caller gets."""
    found: dict[str, Any] = {"execution_id": header.id, "status": header.status}
    if header.status == "SUCCEEDED":
        found["result"] = plain(header.result or "null")
    elif (error := recorded_error(header)) is not None:
        found["error"] = error
    return found
