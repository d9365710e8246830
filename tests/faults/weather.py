"""What goes wrong in a bad day, drawn from a seed: each request to DynamoDB, SQS, Scheduler and S3 may meet it.

Faults are those that are left after botocore's own retries. Time passes with every request. AWS's own parts are spared: what the
event source takes from a queue, what Scheduler sends.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final
from unittest import mock

import botocore.client
from botocore.exceptions import ClientError, ReadTimeoutError

from durable_fn.testing import moto_wire
from durable_fn.testing.cloud import LocalCloud

_SPARED: Final = frozenset({"ReceiveMessage", "DeleteMessage", "ListExecutions"})
_MINUTE: Final = 60_000


class Death(BaseException):
    """The process is gone."""


class Outage:
    """One service answers nobody, from one time to another."""

    def __init__(self, service: str, begin: int, end: int) -> None:
        self.service, self.begin, self.end = service, begin, end


class Weather:
    """`faults` counts by kind what was done to requests. `clear` ends all of it."""

    def __init__(self, cloud: LocalCloud, seed: int) -> None:
        chance = self._chance = random.Random(seed)
        self._cloud = cloud
        self._lock = threading.RLock()
        self._rates = {
            "throttled": chance.choice([0.0, 0.02, 0.1, 0.25]),
            "reply lost": chance.choice([0.0, 0.02, 0.1]),
            "sent twice": chance.choice([0.0, 0.05, 0.2]),
            "died before": chance.choice([0.0, 0.02, 0.05]),
            "died after": chance.choice([0.0, 0.02, 0.05]),
            "frozen": chance.choice([0.0, 0.01, 0.03]),
        }
        self._slow = chance.choice([20, 300, 3_000])
        now = cloud.clock.now()
        begins = [now + chance.randrange(40) * _MINUTE for _ in range(chance.randrange(4))]
        self._outages = [
            Outage(chance.choice(["dynamodb", "sqs", "scheduler", "s3"]), at, at + chance.randrange(1, 20) * _MINUTE)
            for at in begins
        ]
        self._frozen = False
        self.on = True
        self.faults: dict[str, int] = {}

    @contextlib.contextmanager
    def open(self) -> Iterator[Weather]:
        call = botocore.client.BaseClient._make_api_call

        def faulty(client: Any, operation: str, arguments: dict[str, Any]) -> Any:
            return self._pass(lambda: call(client, operation, dict(arguments)), client, operation)

        with mock.patch.object(botocore.client.BaseClient, "_make_api_call", faulty):
            yield self

    def clear(self) -> None:
        self.on = False

    # -- a request -------------------------------------------------------------------------------------------------

    def _pass(self, request: Callable[[], Any], client: Any, operation: str) -> Any:
        caller = moto_wire._acting.get(self._cloud.wire._caller)
        if not self.on or caller in (None, "scheduler") or operation in _SPARED:
            return request()
        with self._lock:
            kind = self._kind(client.meta.service_model.service_name, caller)
        if kind is not None:
            self.faults[kind] = self.faults.get(kind, 0) + 1
        return self._met(kind, request, operation)

    def _kind(self, service: str, caller: str) -> str | None:
        chance, now = self._chance, self._cloud.clock.now()
        self._cloud.clock.advance_to(now + chance.randrange(self._slow))
        if any(outage.service == service and outage.begin <= now < outage.end for outage in self._outages):
            return "outage"
        dies = caller not in ("client", "sweeper")
        for kind, rate in self._rates.items():
            if chance.random() >= rate:
                continue
            if kind == "frozen" and (self._frozen or not dies):
                continue
            if kind.startswith("died") and not dies:
                continue
            return kind
        return None

    def _met(self, kind: str | None, request: Callable[[], Any], operation: str) -> Any:
        if kind == "outage":
            raise _refused(operation, "InternalServerError", 500)
        if kind == "throttled":
            raise _refused(operation, "ProvisionedThroughputExceededException", 400)
        if kind == "died before":
            raise Death
        if kind == "frozen":
            self._freeze()
        reply = request()
        if kind == "died after":
            raise Death
        if kind == "reply lost":
            raise ReadTimeoutError(endpoint_url="https://aws")
        return request() if kind == "sent twice" else reply

    def _freeze(self) -> None:
        """The process stands still; everybody else goes on, beyond its lease."""
        self._frozen = True
        trouble: list[BaseException] = []

        def others() -> None:
            try:
                self._cloud.advance(self._chance.choice([30, 120, 1000]))
            except BaseException as error:
                trouble.append(error)

        thread = threading.Thread(target=others)
        thread.start()
        thread.join()
        self._frozen = False
        if trouble:
            raise trouble[0]


def _refused(operation: str, code: str, status: int) -> ClientError:
    said: Any = {"Error": {"Code": code, "Message": "a bad day"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(said, operation)
