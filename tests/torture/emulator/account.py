"""The emulator as a local cloud's account: clients of a process that may be dead."""

from __future__ import annotations

import contextlib
import io
import re
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, Final

from durable_fn.backends.clocks import VirtualClock
from durable_fn.testing.moto_account import ACCOUNT, REGION
from tests.torture.emulator.queues import Queues
from tests.torture.emulator.table import Table, refused

_AT: Final = re.compile(r"at\(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\)")
_NAME: Final = re.compile(r"[0-9a-zA-Z\-_.]{1,64}")
Request = Callable[[], Any]


class Schedules:
    """One-time schedules. The same name again is a conflict."""

    def __init__(self) -> None:
        self.meta = SimpleNamespace(region_name=REGION)
        self.made: dict[str, Any] = {}
        self._lock = threading.Lock()

    def create_schedule_group(self, Name: str) -> None: ...

    def create_schedule(self, **arguments: Any) -> dict[str, Any]:
        name = arguments["Name"]
        if not _NAME.fullmatch(name) or not _AT.fullmatch(arguments["ScheduleExpression"]):
            raise refused("ValidationException", "CreateSchedule", f"name or expression of {name!r}")
        with self._lock:
            if name in self.made:
                raise refused("ConflictException", "CreateSchedule", f"Schedule {name} already exists.")
            self.made[name] = SimpleNamespace(
                name=name,
                group_name=arguments["GroupName"],
                schedule_expression=arguments["ScheduleExpression"],
                target=arguments["Target"],
            )
        return {}

    def delete_schedule(self, Name: str, GroupName: str) -> None:
        self.made.pop(Name, None)


class Bucket:
    """S3, as far as values go there."""

    def __init__(self) -> None:
        self.meta = SimpleNamespace(region_name=REGION)
        self.objects: dict[str, bytes] = {}

    def create_bucket(self, **_: Any) -> None: ...

    def put_object(self, Bucket: str, Key: str, Body: bytes) -> None:
        self.objects[Key] = Body

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        if Key not in self.objects:
            raise refused("NoSuchKey", "GetObject", "The specified key does not exist.")
        return {"Body": io.BytesIO(self.objects[Key])}

    def list_objects_v2(self, Bucket: str, Prefix: str, MaxKeys: int) -> dict[str, Any]:
        keys = [key for key in self.objects if key.startswith(Prefix)]
        return {"Contents": [{"Key": key} for key in keys[:MaxKeys]], "IsTruncated": len(keys) > MaxKeys}

    def delete_objects(self, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:
        for one in Delete["Objects"]:
            self.objects.pop(one["Key"], None)
        return {}


class Line:
    """Who sends requests now, and what each meets on its way: `meet(service, operation, request)` makes it, or not."""

    def __init__(self) -> None:
        self.hops: dict[str, int] | None = None
        self.lineage: dict[str, dict[str, int]] = {}
        self.requests: list[Any] = []
        self.permissions: set[Any] = set()
        self.caller: str | None = "client"
        self.aside_depth = 0
        self.meet: Callable[[str, str, Request], Any] | None = None

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        self.aside_depth += 1
        try:
            yield
        finally:
            self.aside_depth -= 1

    @contextlib.contextmanager
    def acting(self, caller: str | None) -> Iterator[None]:
        before, self.caller = self.caller, caller
        try:
            yield
        finally:
            self.caller = before


class Client:
    """Of one service: each call of a method is a request."""

    def __init__(self, service: str, behind: Any, line: Line) -> None:
        self._service, self._behind, self._line = service, behind, line
        self.meta = SimpleNamespace(region_name=REGION)
        self.exceptions = Queues.exceptions

    def __getattr__(self, operation: str) -> Any:
        method, line, service = getattr(self._behind, operation), self._line, self._service

        def call(**arguments: Any) -> Any:
            if line.meet is None or line.aside_depth:
                return method(**arguments)
            return line.meet(service, operation, lambda: method(**arguments))

        self.__dict__[operation] = call
        return call


class MemoryAccount:
    """An `Account` (durable_fn/testing/account.py)."""

    def __init__(self, clock: VirtualClock) -> None:
        self.wire = Line()
        self.table = Table(clock.now)
        self.queues = Queues(clock.now, REGION, ACCOUNT)
        self.made = Schedules()
        self._behind: dict[str, Any] = {
            "dynamodb": self.table,
            "sqs": self.queues,
            "scheduler": self.made,
            "s3": Bucket(),
        }
        self._clients: dict[str, Client] = {}
        self.queues.sent = self._sent

    def _sent(self, id: str) -> None:
        if self.wire.hops is not None:
            self.wire.lineage[id] = dict(self.wire.hops)

    def open(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = Client(service, self._behind[service], self.wire)
        return self._clients[service]

    def queue(self, url: str) -> Any:
        return self.queues.queue(url)

    def schedules(self) -> list[Any]:
        return list(self.made.made.values())

    def first_due(self) -> int | None:
        return self.table.first_due()

    def reap(self, now: int) -> None:
        self.table.reap(now)
