"""The demonstration: an order is fulfilled, its worker is killed halfway, another one finishes it."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Final

from handlers_demo.order_fulfilment.handler import handler
from handlers_demo.order_fulfilment.models import Order
from handlers_demo.order_fulfilment.systems import DIRECTORY_VARIABLE, LATENCY_VARIABLE, SYSTEMS, WAREHOUSE, Count

from ..client import DurableClient
from ..clocks import ScaledClock
from ..core.history import history
from ..core.journal import Segment
from ..types import HistoryEvent
from ..wiring import BACKEND_VARIABLE, sqlite
from .environment import environment
from .workers import WorkerProcess

_TARGET: Final = "handlers_demo.order_fulfilment.handler:handler"
_TIMEOUT_S: Final = 5
_LOOK_S: Final = 0.02
_PATIENCE_S: Final = 180


@dataclass(frozen=True)
class Row:
    """A line of the timeline. `at`: real seconds since the order was placed."""

    at: float
    what: str
    worker: str | None = None
    pid: int | None = None
    step: str | None = None
    attempt: int | None = None
    result: Any = None
    error: str | None = None
    again_in: float | None = None
    replayed: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if value not in (None, [])}


@dataclass
class Report:
    """How it went. `ok`: the order was finished and every side effect happened exactly once."""

    order_id: str
    status: str
    result: Any
    directory: Path
    workers: list[dict[str, Any]]
    timeline: list[Row]
    effects: dict[str, list[Count]]

    @property
    def ok(self) -> bool:
        return self.status == "SUCCEEDED" and all(c.effects == 1 for counts in self.effects.values() for c in counts)

    def to_json(self) -> dict[str, Any]:
        return {
            "order_id": self.order_id,
            "status": self.status,
            "result": self.result,
            "ok": self.ok,
            "workers": self.workers,
            "timeline": [row.to_json() for row in self.timeline],
            "effects": {name: [vars(count) for count in counts] for name, counts in self.effects.items()},
            "directory": str(self.directory),
        }


class Demo:
    """Runs in real processes on a real file. `show` is called with each row as it happens."""

    def __init__(self, directory: Path, *, fail_warehouse: bool, speed: float, show: Callable[[Row], None]) -> None:
        self.directory = directory
        self.url = f"sqlite:///{directory}/journal.db"
        self._fail_warehouse = fail_warehouse
        self._speed = speed
        self._show = show
        self._anchor = time.time_ns() // 1_000_000
        self._backend = sqlite(str(directory / "journal.db"))
        self._backend.clock = ScaledClock(speed, self._anchor)
        self._client = DurableClient(self._backend)
        self._workers: list[WorkerProcess] = []
        self._writers: dict[str, WorkerProcess] = {}
        self._timeline: list[Row] = []
        self._segments = 0
        self._began = time.monotonic()

    def run(self) -> Report:
        with environment({DIRECTORY_VARIABLE: str(self.directory / "systems")}):
            return self._run()

    def _run(self) -> Report:
        WAREHOUSE.refuse(1_000_000 if self._fail_warehouse else 1)
        order = Order.model_validate_json(_event())
        self._began = time.monotonic()
        id = self._client.start(handler, order, id=order.order_id)
        self._add(
            "placed", result=f"{order.order_id}: {sum(line.quantity for line in order.lines)} items, {order.total}"
        )
        try:
            self._until_charged(id)
            self._until_finished(id)
        finally:
            for worker in self._workers:
                worker.stop()
        info = self._client.describe(id)
        result = self._client.result(id) if info.status == "SUCCEEDED" else info.error
        workers = [{"name": worker.name, "pid": worker.pid, "killed": worker.killed} for worker in self._workers]
        effects = {system.name: system.counts() for system in SYSTEMS}
        return Report(id, info.status, result, self.directory, workers, self._timeline, effects)

    def _until_charged(self, id: str) -> None:
        worker = self._start_worker()
        self._watch(id, worker, lambda: any(r.step == "charge_customer" and r.what == "done" for r in self._timeline))
        worker.kill()
        self._look(id, worker)  # what it still wrote before it died
        header = self._backend.store.get(id)
        assert header is not None
        left = max(0.0, (header.lease - self._backend.clock.now()) / 1000 / self._speed)
        self._add("killed", worker, again_in=left)

    def _until_finished(self, id: str) -> None:
        worker = self._start_worker()
        self._watch(id, worker, lambda: self._client.describe(id).finished_at is not None)
        self._look(id, worker)
        self._add("finished", worker)

    # -- watching --------------------------------------------------------------------------------------------------

    def _start_worker(self) -> WorkerProcess:
        latency = max(0.15, 0.5 / self._speed)
        settings = {
            BACKEND_VARIABLE: self.url,
            DIRECTORY_VARIABLE: str(self.directory / "systems"),
            LATENCY_VARIABLE: str(latency),
        }
        timeout = max(_TIMEOUT_S, 10 * latency * self._speed)  # long enough for all steps in one turn
        arguments = [_TARGET, "--timeout", str(timeout), "--speed", str(self._speed), "--anchor", str(self._anchor)]
        name = f"worker {len(self._workers) + 1}"
        worker = WorkerProcess(name, arguments, settings, self.directory / "workers.log")
        self._workers.append(worker)
        return worker

    def _watch(self, id: str, worker: WorkerProcess, over: Callable[[], bool]) -> None:
        until = time.monotonic() + _PATIENCE_S
        while not over():
            if time.monotonic() > until:
                raise TimeoutError(f"the order is not finished after {_PATIENCE_S} s; see {self.directory}")
            worker.check()
            time.sleep(_LOOK_S)
            self._look(id, worker)

    def _look(self, id: str, worker: WorkerProcess) -> None:
        """What the worker said, then what it wrote: it says before it writes."""
        while not worker.messages.empty():
            message = worker.messages.get()
            if message["event"] == "ready":
                self._add("ready", worker)
            elif message["event"] == "turn":
                self._writers[message["writer"]] = worker
        loaded = self._backend.store.load(self._key(id))
        assert loaded is not None
        for segment in loaded.segments[self._segments :]:
            self._add_segment(segment, loaded.segments)
        self._segments = len(loaded.segments)

    def _key(self, id: str) -> Any:
        header = self._backend.store.get(id)
        assert header is not None
        return header.key

    def _add_segment(self, segment: Segment, log: list[Segment]) -> None:
        worker = self._writers[segment.writer]
        before = log[: segment.seq]
        if before and self._writers[before[-1].writer] is not worker:
            replayed = [event.name for event in history(before) if event.status == "SUCCEEDED"]
            self._add("takes over", worker, replayed=replayed)
        for event in history([segment]):
            self._add_event(event, worker)

    def _add_event(self, event: HistoryEvent, worker: WorkerProcess) -> None:
        error = f"{event.error['error_type'].rpartition('.')[2]}: {event.error['message']}" if event.error else None
        again = (event.due - event.at).total_seconds() / self._speed if event.due is not None and error else None
        what = "done" if event.status == "SUCCEEDED" else "failed"
        self._add(
            what, worker, step=event.name, attempt=event.attempt, result=event.result, error=error, again_in=again
        )

    def _add(self, what: str, worker: WorkerProcess | None = None, **details: Any) -> None:
        who: dict[str, Any] = {"worker": worker.name, "pid": worker.pid} if worker is not None else {}
        row = Row(round(time.monotonic() - self._began, 2), what, **who, **details)
        self._timeline.append(row)
        self._show(row)


def _event() -> str:
    return (resources.files("handlers_demo.order_fulfilment") / "event.json").read_text()


@contextmanager
def demo_directory(keep: bool) -> Iterator[Path]:
    """A fresh directory, removed afterwards unless it is to be kept."""
    directory = Path(tempfile.mkdtemp(prefix="durable-fn-demo-"))
    try:
        yield directory
    finally:
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)


def as_json(report: Report) -> str:
    return json.dumps(report.to_json(), indent=2, default=str)
