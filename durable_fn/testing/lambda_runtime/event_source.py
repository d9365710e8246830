"""A queue in front of a function: what Lambda's event source mapping for SQS does with `ReportBatchItemFailures`.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

from __future__ import annotations

import logging
import threading
from typing import Any, Final

from .answers import Answer
from .function import LambdaFunction

_log = logging.getLogger("durable_fn.testing")

_PAUSE_S: Final = 0.05
_TROUBLE_S: Final = 0.2


class EventSource:
    """A context manager: polls the queue with `concurrency` threads, each with one batch at a time. `wait`: seconds of a long
    poll; 0 asks every 50 milliseconds, which stops at once.

    Messages that the function did is done with are deleted; those it reports, or all if it fails, come again after the queue's
    visibility timeout. ValueError if that is shorter than the function's timeout: Lambda does not take such a queue.
    """

    def __init__(
        self,
        function: LambdaFunction,
        sqs: Any,
        queue_url: str,
        *,
        batch_size: int = 10,
        concurrency: int = 2,
        wait: int = 1,
    ) -> None:
        wanted = ["QueueArn", "VisibilityTimeout"]
        attributes = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=wanted)["Attributes"]
        visibility = int(attributes["VisibilityTimeout"])
        if visibility < function.timeout:
            raise ValueError(
                f"Queue visibility timeout: {visibility} seconds is less than Function timeout: {function.timeout} seconds"
            )
        self.function = function
        self.answers: list[Answer] = []
        """Of all batches, in the order in which they ended."""
        self._sqs = sqs
        self._url = queue_url
        self._arn = str(attributes["QueueArn"])
        self._batch_size = batch_size
        self._wait = wait
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._poll, daemon=True) for _ in range(concurrency)]

    def __enter__(self) -> EventSource:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Takes no more batches; waits for those under way."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _poll(self) -> None:
        while not self._stopped.is_set():
            try:
                if self.poll_once() is None and self._wait == 0:
                    self._stopped.wait(_PAUSE_S)
            except (
                Exception
            ):  # an emulator that goes away, a function that is closed: the threads end when they are told to
                if self._stopped.wait(_TROUBLE_S):
                    return
                _log.exception("the queue %s could not be polled", self._url)

    def poll_once(self) -> Answer | None:
        """One batch, if there is one."""
        found = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=min(10, self._batch_size),
            WaitTimeSeconds=self._wait,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
        ).get("Messages", [])
        if not found:
            return None
        answer = self.function.invoke({"Records": [self._record(message) for message in found]})
        returned = failed_messages(answer, [message["MessageId"] for message in found])
        for message in found:
            if message["MessageId"] not in returned:
                self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=message["ReceiptHandle"])
        self.answers.append(answer)
        return answer

    def _record(self, message: dict[str, Any]) -> dict[str, Any]:
        return {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message.get("Attributes", {}),
            "messageAttributes": {
                name: {
                    "stringValue": attribute.get("StringValue"),
                    "stringListValues": [],
                    "binaryListValues": [],
                    "dataType": attribute["DataType"],
                }
                for name, attribute in message.get("MessageAttributes", {}).items()
            },
            "md5OfBody": message["MD5OfBody"],
            "eventSource": "aws:sqs",
            "eventSourceARN": self._arn,
            "awsRegion": self._arn.split(":")[3],
        }


def failed_messages(answer: Answer, ids: list[str]) -> set[str]:
    """Which go back to the queue. An answer that Lambda does not understand sends back all of them."""
    everything = set(ids)
    if answer.failed:
        return everything
    try:
        failures = (answer.value or {}).get("batchItemFailures") or []
        reported = {failure["itemIdentifier"] for failure in failures}
    except (ValueError, AttributeError, KeyError, TypeError):
        return everything
    return reported if reported <= everything else everything
