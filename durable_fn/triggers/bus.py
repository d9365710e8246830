"""EventBridge, schedules among it. Lambda gets its events asynchronously: what is raised makes it try again (twice), and then its
dead-letter queue or failure destination has the event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..runtime.executions import check_annotations, terms_of
from .direct import answer
from .incoming import Incoming, run_now, wanted_header

if TYPE_CHECKING:
    from ..backends.ports import Backend
    from ..core.function import DurableFunction
    from ..types import LambdaContext


def is_event_bridge(event: dict[str, Any]) -> bool:
    return "detail" in event and all(isinstance(event.get(key), str) for key in ("id", "source", "detail-type"))


def event_bridge(function: DurableFunction[Any, Any], backend: Backend, event: Any, context: LambdaContext) -> Any:
    """Answers as to a direct caller, for an on-success destination."""
    check_annotations(function, terms_of(backend))
    if function.envelope:
        incoming = Incoming(_readings(function, event), event["id"], shared=True)
    else:
        identity = {key: event[key] for key in ("source", "detail-type", "detail")}
        incoming = Incoming((event,), event["id"], shared=True, identity=identity)
    wanted = wanted_header(function, backend, incoming)
    return answer(function, *run_now(function, backend, context, incoming, wanted))


def _readings(function: DurableFunction[Any, Any], event: dict[str, Any]) -> tuple[Any, ...]:
    from .attributes import messages
    from .bodies import takes_message

    readings = _payload(function, event)
    return messages(readings, {}) if takes_message(function) else readings


def _payload(function: DurableFunction[Any, Any], event: dict[str, Any]) -> tuple[Any, ...]:
    """EventBridge Scheduler writes the detail of its own event as text."""
    detail = event["detail"]
    if event["source"] != "aws.scheduler" or not isinstance(detail, str):
        return (detail,)
    from .bodies import of_text

    return of_text(function, detail, "the detail")
