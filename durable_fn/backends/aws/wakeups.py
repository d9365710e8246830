"""Durable timers: SQS delays up to 15 minutes, one-time schedules beyond. Both are hints and may be lost.

A schedule is set for a minute before the due time, because it fires within a minute of its own; it puts the same message
into the queue, and whoever gets it early sends the rest as an SQS delay.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from ...log.wake import Wake
from .dynamodb import DynamoStore
from .queues import Queues, queue_arn
from .requests import code_of, explained, may_be_replaced, request

_log = logging.getLogger("durable_fn")

LONGEST_DELAY_S: Final = 900  # SQS: DelaySeconds is at most 15 minutes
_SCHEDULE_AHEAD_MS: Final = 60_000  # EventBridge Scheduler: "60-second precision"
_BATCH: Final = 10  # SQS: entries of a SendMessageBatch


class SqsWakeups:
    """Wakeups through the queues of the functions. `queue_url`: of the functions that this process serves; `queues`: of others,
    by name, before they have registered theirs. Without `role_arn` long waits are chains of 15-minute delays."""

    def __init__(
        self,
        sqs: Callable[[], Any],
        scheduler: Callable[[], Any],
        store: DynamoStore,
        *,
        queue_url: str | None,
        queues: Mapping[str, str] | None = None,
        group: str | None = None,
        role_arn: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sqs = functools.cache(sqs)
        self._scheduler = functools.cache(scheduler)
        self._queues = Queues(store, own=queue_url, told=queues, region=self._region, monotonic=monotonic)
        self._queue_url = queue_url
        self._group = group or "default"
        self._role_arn = role_arn
        self._sleep = sleep
        self._warned = False

    def _region(self) -> str:
        return str(self._sqs().meta.region_name)

    # -- which queue -----------------------------------------------------------------------------------------------

    def serve(self, fn: str, id_rule: str = "") -> None:
        self._queues.serve(fn, id_rule)

    def id_rule(self, fn: str) -> str | None:
        return self._queues.id_rule(fn)

    def check(self, fn: str, *, given: bool) -> None:
        """A function's object tells nothing of its queue."""
        self._queues.find(fn)

    def forward(self, hint: Wake) -> None:
        queue = self._queues.other(hint.fn)
        if queue is None:
            raise RuntimeError(
                f"a message for durable function {hint.fn!r} came to a queue of another one, and no queue is known for "
                "it: it has "
                "never run, and DURABLE_FN_QUEUES does not name it"
            )
        self._message(queue, hint, 0)

    # -- sending ---------------------------------------------------------------------------------------------------

    def send(self, hint: Wake, now: int) -> None:
        delay_s = max(0, -(-(hint.due - now) // 1000))
        queue = self._queues.find(hint.fn)
        if delay_s > LONGEST_DELAY_S and self._role_arn is not None:
            self._schedule(queue, hint)
            return
        if delay_s > LONGEST_DELAY_S:
            self._warn_once()
        delay_s = min(delay_s, LONGEST_DELAY_S)
        self._to_queue(hint.fn, queue, lambda url: self._message(url, hint, delay_s))

    def send_all(self, hints: list[Wake]) -> list[tuple[Wake, Exception]]:
        failed: list[tuple[Wake, Exception]] = []
        for fn in sorted({hint.fn for hint in hints}):
            own = [hint for hint in hints if hint.fn == fn]
            try:
                queue = self._queues.find(fn)
            except Exception as error:
                failed += [(hint, error) for hint in own]
                continue
            for batch in (own[start : start + _BATCH] for start in range(0, len(own), _BATCH)):
                try:
                    failed += self._to_queue(fn, queue, functools.partial(self._messages, batch))
                except Exception as error:
                    failed += [(hint, error) for hint in batch]
        return failed

    def _to_queue(self, fn: str, queue: str, send: Callable[[str], Any]) -> Any:
        """To the one that was found, or where that was replaced, to the one that is there now."""
        try:
            return send(queue)
        except RuntimeError as error:
            now = self._queues.elsewhere(fn, queue) if may_be_replaced(error.__cause__) else None
            if now is None:
                raise
        _log.warning("the queue of durable function %r was replaced: %s takes no messages, %s is used", fn, queue, now)
        return send(now)

    def _warn_once(self) -> None:
        if not self._warned:
            self._warned = True
            _log.warning(
                "DURABLE_FN_SCHEDULE_ROLE_ARN is not set: a long wait is a message every 15 minutes instead of one schedule"
            )

    def _message(self, queue: str, hint: Wake, delay_s: int) -> None:
        message = {"QueueUrl": queue, "MessageBody": hint.body(), "DelaySeconds": delay_s}
        request(self._sqs().send_message, self._sleep, _named(queue), message)

    def _messages(self, batch: list[Wake], queue: str) -> list[tuple[Wake, Exception]]:
        entries = [{"Id": str(place), "MessageBody": hint.body()} for place, hint in enumerate(batch)]
        arguments = {"QueueUrl": queue, "Entries": entries}
        reply = request(self._sqs().send_message_batch, self._sleep, _named(queue), arguments)
        return list(_refused(batch, reply, queue))

    def _schedule(self, queue: str, hint: Wake) -> None:
        """The name is the wait's own, so that sending twice makes one schedule, and another one where the queue was replaced."""
        scheduler = self._scheduler()
        arn = queue_arn(queue, scheduler.meta.region_name)
        at = datetime.fromtimestamp((hint.due - _SCHEDULE_AHEAD_MS) // 1000, UTC)
        try:
            scheduler.create_schedule(
                Name=schedule_name(hint, arn),
                GroupName=self._group,
                ScheduleExpression=f"at({at:%Y-%m-%dT%H:%M:%S})",
                ScheduleExpressionTimezone="UTC",
                FlexibleTimeWindow={"Mode": "OFF"},
                ActionAfterCompletion="DELETE",
                Target={"Arn": arn, "RoleArn": self._role_arn, "Input": hint.body()},
            )
        except Exception as error:
            if code_of(error) == "ConflictException":
                return  # sent before: the name says it is the same wait
            raise explained(error, f"the schedule group {self._group!r} (DURABLE_FN_SCHEDULE_GROUP)") from error


def _named(queue: str) -> str:
    return f"the SQS queue {queue} (DURABLE_FN_QUEUE_URL)"


def _refused(batch: list[Wake], reply: dict[str, Any], queue: str) -> Iterator[tuple[Wake, Exception]]:
    """Of a batch some entries may be refused while others are taken."""
    for entry in reply.get("Failed") or ():
        said = f"{entry.get('Code')}: {entry.get('Message', 'no reason given')}"
        yield batch[int(entry["Id"])], RuntimeError(f"the SQS queue {queue} refused a message: {said}")


def schedule_name(hint: Wake, queue: str) -> str:
    """At most 64 characters of the allowed ones, whatever the id is."""
    text = f"{hint.id}\0{hint.run}\0{hint.due}\0{queue}"
    return "durable-fn-" + hashlib.sha256(text.encode()).hexdigest()[:40]
