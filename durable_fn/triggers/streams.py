"""Kinesis and DynamoDB streams. A shard is in order: the first record that fails ends the batch, and Lambda goes on from it.

Needs ReportBatchItemFailures on the event source, and there a MaximumRetryAttempts with an on-failure destination: a record that
fits no execution holds up its shard until then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..backends.ports import Backend
from ..runtime.lambda_time import remaining_ms
from ..runtime.session import Outage
from ..types import LambdaContext
from .queue import batch
from .records import accept, item_id, report

if TYPE_CHECKING:
    from ..core.function import DurableFunction


def stream(function: DurableFunction[Any, Any], backend: Backend, event: Any, context: LambdaContext) -> Any:
    """Records before the failed one are done; it and those after it come again."""
    records, bare = batch(event), isinstance(event, list)
    source, enough = records[0].get("eventSource"), remaining_ms(context) / 2
    for record in records:
        try:
            accept(function, backend, context, record, source, enough=enough, bare=bare)
        except (Exception, Outage) as error:
            report(function, record, error)
            return {"batchItemFailures": [{"itemIdentifier": item_id(record)}]}
    return {"batchItemFailures": []}
