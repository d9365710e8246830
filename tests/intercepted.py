"""A journal that lets a test step in before or after a request, as another process or a bad network would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from durable_fn.backends.clocks import VirtualClock
from durable_fn.backends.ports import Backend
from durable_fn.backends.sqlite import SQLiteStore
from durable_fn.core.function import DurableFunction
from durable_fn.log.header import Header
from durable_fn.log.wake import Wake
from durable_fn.runtime.invocation import Invocation
from durable_fn.testing.lambda_context import FakeLambdaContext

START = 1_767_225_600_000
REQUESTS = (
    "create", "acquire", "load", "append", "suspend", "complete", "postpone", "deliver", "get", "release", "progressed",
)  # fmt: skip


class Interposed:
    """`before[name]` and `after[name]` are called once, with the request's arguments, then forgotten."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.log: list[str] = []
        self.before: dict[str, Callable[..., Any]] = {}
        self.after: dict[str, Callable[..., Any]] = {}

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.store, name)
        if name not in REQUESTS:
            return attribute

        def request(*args: Any) -> Any:
            self.log.append(name)
            if name in self.before:
                self.before.pop(name)(*args)
            reply = attribute(*args)
            if name in self.after:
                changed = self.after.pop(name)(*args)
                reply = reply if changed is None else changed
            return reply

        return request


class SentHints:
    """Wakeups that only remember."""

    def __init__(self) -> None:
        self.sent: list[Wake] = []

    def serve(self, fn: str, id_rule: str = "") -> None: ...

    def id_rule(self, fn: str) -> str | None:
        return ""

    def forward(self, hint: Wake) -> None: ...

    def check(self, fn: str, *, given: bool) -> None: ...

    def send(self, hint: Wake, now: int) -> None:
        self.sent.append(hint)

    def send_all(self, hints: list[Wake]) -> list[tuple[Wake, Exception]]:
        self.sent += hints
        return []


class Bench:
    """One function on an embedded journal whose every request a test can interpose."""

    def __init__(self, function: DurableFunction[Any, Any]) -> None:
        self.function = function
        self.clock = VirtualClock(START)
        self.sqlite = SQLiteStore(":memory:", synchronous="off")
        self.store = Interposed(self.sqlite)
        self.hints = SentHints()
        self.backend = Backend(self.store, self.hints, self.clock, "sqlite")

    def invocation(self, *, timeout: float = 60, request_id: str | None = None) -> Invocation:
        context = FakeLambdaContext(self.clock, timeout=timeout)
        if request_id is not None:
            context.aws_request_id = request_id
        return Invocation(self.function, self.backend, context)

    def start(self, event: Any = None, id: str = "x") -> Header:
        """A client's start."""
        from durable_fn.runtime.executions import new_header

        header = new_header(self.backend, id, self.function.name, "null" if event is None else event, retention_ms=1000)
        created = self.sqlite.create(header)
        assert isinstance(created, Header)
        return created

    def resume(self, id: str = "x", **kwargs: Any) -> Any:
        return self.invocation(**kwargs).resume(id)

    def header(self, id: str = "x") -> Header:
        header = self.sqlite.get(id)
        assert header is not None
        return header

    def bodies(self, id: str = "x") -> list[str]:
        loaded = self.sqlite.load(self.header(id).key)
        assert loaded is not None
        return [segment.body for segment in loaded.segments]
