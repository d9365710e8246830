"""The two worlds that scenarios run in: the embedded journal, and the AWS code path on a local cloud. Same questions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from durable_fn import DurableClient, DurableFunction
from durable_fn.backends.ports import Backend
from durable_fn.log.failures import decode
from durable_fn.log.header import Header
from durable_fn.testing import LocalRunner
from durable_fn.types import Duration, HistoryEvent

if TYPE_CHECKING:
    from durable_fn.testing.cloud import LocalCloud


class World(Protocol):
    """Runs executions to where they stop, on virtual time."""

    backend: Backend
    client: DurableClient

    def run(
        self, function: DurableFunction[Any, Any], event: Any, id: str | None = None, *others: DurableFunction[Any, Any]
    ) -> str: ...
    def invoke(self, function: DurableFunction[Any, Any], event: Any) -> Any: ...
    def advance(self, duration: Duration) -> None: ...


def child_of(client: DurableClient, id: str, operation: str) -> str:
    """The id of the execution that this operation of that one started: its last part cannot be known."""
    (found,) = [one.id for one in client.list() if one.id.startswith(f"{id}/{operation}~")]
    return found


class Outcome:
    """What a test compares."""

    def __init__(self, world: World, id: str) -> None:
        header = world.backend.store.get(id)
        assert header is not None
        self.header: Header = header
        self.status = header.status
        self.result = world.client.result(id) if header.status == "SUCCEEDED" else None
        self.error = decode(header.error) if header.error else None
        self.history: list[HistoryEvent] = world.client.history(id)

    def journal(self, *, results: bool = True) -> list[tuple[Any, ...]]:
        """Without times and tracebacks, which differ between runs."""
        return [
            (
                e.id,
                e.kind,
                e.name,
                e.status,
                e.attempt,
                e.result if results else None,
                e.error and (e.error["error_type"], e.error["message"]),
            )
            for e in self.history
            if e.kind != "execution"
        ]


class SqliteWorld:
    """LocalRunner."""

    def __init__(self) -> None:
        self._runners: dict[str, LocalRunner[Any, Any]] = {}

    def runner(self, function: DurableFunction[Any, Any], *others: DurableFunction[Any, Any]) -> LocalRunner[Any, Any]:
        runner = self._runners.get(function.name)
        if runner is None or runner._handler is not function:
            runner = self._runners[function.name] = LocalRunner(function, *others)
        self.backend, self.client = runner.backend, runner.client
        return runner

    def run(
        self, function: DurableFunction[Any, Any], event: Any, id: str | None = None, *others: DurableFunction[Any, Any]
    ) -> str:
        return self.runner(function, *others).run(event, id).id

    def invoke(self, function: DurableFunction[Any, Any], event: Any) -> Any:
        return self.runner(function).invoke(event)

    def advance(self, duration: Duration) -> None:
        for runner in self._runners.values():
            runner.advance(duration)

    def close(self) -> None:
        for runner in self._runners.values():
            runner.__exit__()


class AwsWorld:
    """DynamoDB, SQS and Scheduler in moto, with the driver that does what AWS does between them."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.cloud = cloud
        self.backend = cloud.backend
        self.client = DurableClient(cloud.backend)

    def run(
        self, function: DurableFunction[Any, Any], event: Any, id: str | None = None, *others: DurableFunction[Any, Any]
    ) -> str:
        for one in (function, *others):
            self.cloud.attach(one)
        started = self.client.start(function, event, id=id)
        self.cloud.run(started)
        return started

    def invoke(self, function: DurableFunction[Any, Any], event: Any) -> Any:
        self.cloud.attach(function)
        return self.cloud.invoke(function, event)

    def advance(self, duration: Duration) -> None:
        self.cloud.advance(duration)
