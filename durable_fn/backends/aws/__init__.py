"""DynamoDB, SQS and EventBridge Scheduler."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from ..clocks import SystemClock
from ..packed import PackedStore
from ..ports import Backend
from .dynamodb import DynamoStore
from .queues import QUEUE_URL, QUEUES, check_queue_url, told_queues
from .wakeups import SqsWakeups

if TYPE_CHECKING:
    from ...hooks import Codec

TABLE: Final = "DURABLE_FN_TABLE"
BUCKET: Final = "DURABLE_FN_BUCKET"
GROUP: Final = "DURABLE_FN_SCHEDULE_GROUP"
ROLE_ARN: Final = "DURABLE_FN_SCHEDULE_ROLE_ARN"


def connect(codec: Codec | None = None) -> Backend:
    """By the environment. No request is made yet; SQS and Scheduler clients are made when the first message is sent.

    Raises RuntimeError naming the variable that is missing.
    """
    table = os.environ.get(TABLE)
    if not table:
        raise RuntimeError(
            f"{TABLE} is not set: set it to the name of the journal's DynamoDB table (and {QUEUE_URL} to the function's wake "
            "queue), or set DURABLE_FN_BACKEND=sqlite:///path for the embedded journal"
        )
    queue_url, queues = os.environ.get(QUEUE_URL) or None, told_queues(os.environ.get(QUEUES))
    from .clients import factory

    client = factory()
    region = os.environ.get("AWS_REGION", "")
    for what, url in ((QUEUE_URL, queue_url), *((f"{QUEUES}[{fn!r}]", url) for fn, url in queues.items())):
        if url is not None:
            check_queue_url(url, region, what)  # a wrong URL is said now, not at the first sleep
    store = DynamoStore(client("dynamodb"), table)
    wakeups = SqsWakeups(
        lambda: client("sqs"),
        lambda: client("scheduler"),
        store,
        queue_url=queue_url,
        queues=queues,
        group=os.environ.get(GROUP) or None,
        role_arn=os.environ.get(ROLE_ARN) or None,
    )
    bucket = os.environ.get(BUCKET)
    blobs = None
    if bucket:
        from .blobs import S3Blobs

        blobs = S3Blobs(lambda: client("s3"), bucket)
    return Backend(PackedStore(store, codec, blobs), wakeups, SystemClock(), "aws")


__all__ = ["DynamoStore", "SqsWakeups", "connect"]
