"""SQS: standard queues with delays, visibility timeouts and dead-letter queues. At least once, in no order."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final

from tests.torture.emulator.table import refused

_BYTES: Final = 256 * 1024
_LONGEST_DELAY: Final = 900


class Message:
    __slots__ = ("body", "delayed_until", "handle", "id", "received", "visible_at")

    def __init__(self, id: str, body: str, delayed_until: int) -> None:
        self.id, self.body, self.delayed_until = id, body, delayed_until
        self.visible_at = 0
        self.received = 0
        self.handle = ""


class Queue:
    def __init__(self, url: str, attributes: dict[str, str]) -> None:
        self.url = url
        self.hidden_ms = int(attributes.get("VisibilityTimeout", "30")) * 1000
        self.redrive = json.loads(attributes.get("RedrivePolicy", "null"))
        self._messages: list[Message] = []


class _ReceiptHandleIsInvalid(Exception):
    pass


class Queues:
    """`chance`: of the order in which messages come. `sent` is told the id of each message."""

    exceptions = SimpleNamespace(ReceiptHandleIsInvalid=_ReceiptHandleIsInvalid)

    def __init__(self, now: Callable[[], int], region: str, account: str) -> None:
        self._now = now
        self._place = (region, account)
        self.meta = SimpleNamespace(region_name=region)
        self.queues: dict[str, Queue] = {}
        self.lock = threading.RLock()
        self.chance = random.Random(0)
        self.shuffled = False
        self.sent: Callable[[str], None] = lambda _: None
        self._numbers = itertools.count(1)

    def queue(self, url: str) -> Queue:
        found = self.queues.get(url.rpartition("/")[2])
        if found is None:
            raise refused("QueueDoesNotExist", "SQS", f"the queue {url} does not exist")
        return found

    def create_queue(self, QueueName: str, Attributes: dict[str, str] | None = None) -> dict[str, str]:
        region, account = self._place
        url = f"https://sqs.{region}.amazonaws.com/{account}/{QueueName}"
        self.queues.setdefault(QueueName, Queue(url, Attributes or {}))
        return {"QueueUrl": url}

    def get_queue_url(self, QueueName: str) -> dict[str, str]:
        return {"QueueUrl": self.queue(QueueName).url}

    def get_queue_attributes(self, QueueUrl: str, AttributeNames: list[str]) -> dict[str, Any]:
        region, account = self._place
        name = self.queue(QueueUrl).url.rpartition("/")[2]
        return {"Attributes": {"QueueArn": f"arn:aws:sqs:{region}:{account}:{name}"}}

    def send_message(self, QueueUrl: str, MessageBody: str, DelaySeconds: int = 0) -> dict[str, Any]:
        with self.lock:
            queue = self.queue(QueueUrl)
            _check(MessageBody, DelaySeconds)
            message = Message(f"m-{next(self._numbers)}", MessageBody, self._now() + DelaySeconds * 1000)
            queue._messages.append(message)
            self.sent(message.id)
            return {"MessageId": message.id}

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        if not 1 <= len(Entries) <= 10 or len({entry["Id"] for entry in Entries}) < len(Entries):
            raise refused("InvalidParameterValue", "SendMessageBatch", "1 to 10 entries with ids of their own")
        for entry in Entries:
            self.send_message(QueueUrl, entry["MessageBody"], entry.get("DelaySeconds", 0))
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries]}

    def receive_message(self, QueueUrl: str, MaxNumberOfMessages: int = 1, **_: Any) -> dict[str, Any]:
        with self.lock:
            queue, now = self.queue(QueueUrl), self._now()
            there = [m for m in queue._messages if max(m.delayed_until, m.visible_at) <= now]
            if self.shuffled:
                self.chance.shuffle(there)
            taken = [m for m in there[:MaxNumberOfMessages] if not self._is_dead(queue, m)]
            for message in taken:
                message.received += 1
                message.visible_at = now + queue.hidden_ms
                message.handle = f"{message.id}/{message.received}"
            return {"Messages": [_told(message) for message in taken]} if taken else {}

    def _is_dead(self, queue: Queue, message: Message) -> bool:
        if queue.redrive is None or message.received < int(queue.redrive["maxReceiveCount"]):
            return False
        queue._messages.remove(message)
        self.queue(queue.redrive["deadLetterTargetArn"].replace(":", "/"))._messages.append(message)
        return True

    def delete_message(self, QueueUrl: str, ReceiptHandle: str) -> None:
        """A stale handle deletes nothing."""
        with self.lock:
            queue = self.queue(QueueUrl)
            queue._messages = [m for m in queue._messages if m.handle != ReceiptHandle]


def _check(body: str, delay: int) -> None:
    if not 0 <= delay <= _LONGEST_DELAY:
        raise refused("InvalidParameterValue", "SendMessage", f"Value {delay} for parameter DelaySeconds is invalid")
    if not 0 < len(body.encode()) <= _BYTES:
        raise refused("InvalidParameterValue", "SendMessage", "Message must be shorter than 262144 bytes")


def _told(message: Message) -> dict[str, Any]:
    return {
        "MessageId": message.id,
        "ReceiptHandle": message.handle,
        "Body": message.body,
        "MD5OfBody": hashlib.md5(message.body.encode()).hexdigest(),
        "Attributes": {"ApproximateReceiveCount": str(message.received)},
    }
