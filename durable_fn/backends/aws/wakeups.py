"""Durable timers: SQS delays up to 15 minutes, one-time schedules beyond. Both are hints and may be lost.

A schedule is set for a minute before the due time, because it fires within a minute of its own; it puts the same message
into the queue, and whoever gets it early sends the rest as an SQS delay.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from ...core.hint import Hint
from .dynamodb import DynamoStore
from .requests import code_of, explained, request

_log = logging.getLogger("durable_fn")

LONGEST_DELAY_S: Final = 900  # SQS: DelaySeconds is at most 15 minutes
_SCHEDULE_AHEAD_MS: Final = 60_000  # EventBridge Scheduler: "60-second precision"


class SqsWakeups:
    """Wakeups through the queues of the functions. `queue_url` is this process's own queue, or where functions that are not
    in the registry are looked for. Without `role_arn` long waits are chains of 15-minute delays."""

    def __init__(
        self,
        sqs: Callable[[], Any],
        scheduler: Callable[[], Any],
        store: DynamoStore,
        *,
        queue_url: str | None,
        group: str | None = None,
        role_arn: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._sqs = functools.cache(sqs)
        self._scheduler = functools.cache(scheduler)
        self._store = store
        self._queue_url = queue_url
        self._group = group or "default"
        self._role_arn = role_arn
        self._sleep = sleep
        self._queues: dict[str, str] = {}
        self._lock = threading.Lock()
        self._warned = False

    # -- which queue -----------------------------------------------------------------------------------------------

    def serve(self, fn: str) -> None:
        """Also writes the function's row in the registry, once per process and only in Lambda, so that clients and the
        sweeper find its queue. A failure to do so is logged: the function itself needs no registry."""
        if self._queue_url is None or fn in self._queues:
            return
        with self._lock:
            if fn in self._queues:
                return
            self._queues[fn] = self._queue_url
        if os.environ.get("AWS_LAMBDA_FUNCTION_NAME"):
            try:
                self._store.register(fn, self._queue_url)
            except Exception:
                _log.warning("the queue of durable function %r could not be registered", fn, exc_info=True)

    def forward(self, hint: Hint) -> None:
        queue = self._store.locate(hint.fn)
        if queue is None or queue == self._queue_url:
            raise RuntimeError(
                f"a message for durable function {hint.fn!r} came to a queue of another one, and no queue is registered for "
                "it: it has never run. Set DURABLE_FN_QUEUE_URL of whoever starts it to its own queue"
            )
        self._message(queue, hint, 0)

    def _queue(self, fn: str) -> str:
        queue = self._queues.get(fn)
        if queue is None:
            queue = self._store.locate(fn) or self._queue_url
            if queue is None:
                raise RuntimeError(
                    f"no queue is known for durable function {fn!r}: it has not run yet. Set DURABLE_FN_QUEUE_URL to its queue"
                )
            self._queues[fn] = queue
        return queue

    # -- sending ---------------------------------------------------------------------------------------------------

    def send(self, hint: Hint, now: int) -> None:
        delay_s = max(0, -(-(hint.due - now) // 1000))
        queue = self._queue(hint.fn)
        if delay_s <= LONGEST_DELAY_S:
            self._message(queue, hint, delay_s)
        elif self._role_arn is None:
            self._warn_once()
            self._message(queue, hint, LONGEST_DELAY_S)
        else:
            self._schedule(queue, hint)

    def _warn_once(self) -> None:
        if not self._warned:
            self._warned = True
            _log.warning(
                "DURABLE_FN_SCHEDULE_ROLE_ARN is not set: a long wait is a message every 15 minutes instead of one schedule"
            )

    def _message(self, queue: str, hint: Hint, delay_s: int) -> None:
        request(
            self._sqs().send_message,
            self._sleep,
            f"the SQS queue {queue} (DURABLE_FN_QUEUE_URL)",
            {"QueueUrl": queue, "MessageBody": hint.body(), "DelaySeconds": delay_s},
        )

    def _schedule(self, queue: str, hint: Hint) -> None:
        """The name is the wait's own, so that sending twice makes one schedule."""
        scheduler = self._scheduler()
        at = datetime.fromtimestamp((hint.due - _SCHEDULE_AHEAD_MS) // 1000, UTC)
        try:
            scheduler.create_schedule(
                Name=schedule_name(hint),
                GroupName=self._group,
                ScheduleExpression=f"at({at:%Y-%m-%dT%H:%M:%S})",
                ScheduleExpressionTimezone="UTC",
                FlexibleTimeWindow={"Mode": "OFF"},
                ActionAfterCompletion="DELETE",
                Target={
                    "Arn": queue_arn(queue, scheduler.meta.region_name),
                    "RoleArn": self._role_arn,
                    "Input": hint.body(),
                },
            )
        except Exception as error:
            if code_of(error) == "ConflictException":
                return  # sent before: the name says it is the same wait
            raise explained(error, f"the schedule group {self._group!r} (DURABLE_FN_SCHEDULE_GROUP)") from error


def schedule_name(hint: Hint) -> str:
    """At most 64 characters of the allowed ones, whatever the id is."""
    return "durable-fn-" + hashlib.sha256(f"{hint.id}\0{hint.run}\0{hint.due}".encode()).hexdigest()[:40]


_QUEUE_HOST: Final = re.compile(r"^(?:sqs\.|queue\.)?([a-z]{2}(?:-[a-z]+)+-\d)\.")


def queue_arn(url: str, region: str) -> str:
    """The ARN behind a queue URL; `region` where the host does not name one (an emulator). Raises RuntimeError."""
    parts = urlsplit(url)
    path = parts.path.strip("/").split("/")
    if len(path) < 2 or not path[-2].isdigit():
        raise RuntimeError(
            f"DURABLE_FN_QUEUE_URL must be a queue's URL (https://sqs.REGION.amazonaws.com/ACCOUNT/NAME), got {url!r}"
        )
    named = _QUEUE_HOST.match(parts.hostname or "")
    region = named[1] if named else region
    partition = "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
    return f"arn:{partition}:sqs:{region}:{path[-2]}:{path[-1]}"
