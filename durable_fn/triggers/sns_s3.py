"""SNS and S3 notifications. Lambda gets them asynchronously: what is raised makes it try again (twice), and then its dead-letter
queue or failure destination has the event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..backends.ports import Backend
from ..runtime.lambda_time import remaining_ms
from ..runtime.session import Outage
from ..types import LambdaContext
from .direct import answer
from .records import accept, report

if TYPE_CHECKING:
    from ..core.function import DurableFunction


def notices(function: DurableFunction[Any, Any], backend: Backend, event: Any, context: LambdaContext) -> Any:
    """The answer to a direct caller, a list of them where several records came, for an on-success destination. All records are
    tried before the first error is raised; those that are done attach when they come again."""
    first = event["Records"][0]
    source, enough = first.get("eventSource") or first.get("EventSource"), remaining_ms(context) / 2
    answers: list[Any] = []
    errors: list[BaseException] = []
    for record in event["Records"]:
        try:
            started = accept(function, backend, context, record, source, enough=enough)
        except (Exception, Outage) as error:
            report(function, record, error)
            errors.append(error)
            continue
        try:
            answers.append(answer(function, *started))
        except BaseException as error:  # `envelope=False`: the handler's own
            errors.append(error)
    if errors:
        raise errors[0]
    return answers[0] if len(event["Records"]) == 1 else answers
