"""Plays a demo's script in real processes: workers run the handler, are killed, and others finish what they began."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..backends.clocks import ScaledClock
from ..client import DurableClient
from ..log.events import Segment
from ..log.history import history
from ..types import HistoryEvent
from ..wiring import BACKEND_VARIABLE, sqlite, using
from .demos import script as scripts
from .demos import systems
from .environment import environment
from .timeline import Report, Row, details_of, shown_name
from .workers import WorkerProcess

if TYPE_CHECKING:
    from handlers_demo.script import Moment, Scene, Script

_TIMEOUT_S: Final = 5
_LOOK_S: Final = 0.02
_WIDE_LOOK_S: Final = 0.08
_PATIENCE_S: Final = 180
_QUICKEST: Final = 0.3
"""What is left of a system's latency at most speed."""


class Screen(Protocol):
    """Is told what happens, as it happens."""

    def row(self, row: Row, /) -> None: ...
    def progress(self, done: int, failed: int, /) -> None: ...


class Demo:
    """One run on a real file. `changes`: to the script's event. ValueError for changes that do not fit."""

    def __init__(
        self, script: Script, scene: str, directory: Path, *, changes: dict[str, Any], speed: float, screen: Screen
    ) -> None:
        self.script = script
        self.scene: Scene = script.scene(scene)
        self.scene_name = scene or next(iter(script.scenes))
        self.directory = directory
        self.url = f"sqlite:///{directory}/journal.db"
        self.event = script.event(self.scene, changes)
        self._screen = screen
        self._latency = max(_QUICKEST, 1 / speed) * script.latency
        self._speed = script.pace * min(speed, script.most_speed)
        self._anchor = time.time_ns() // 1_000_000
        self._backend = sqlite(str(directory / "journal.db"))
        self._backend.clock = ScaledClock(self._speed, self._anchor)
        self._client = DurableClient(self._backend)
        self._play = scripts.Play(self.scene)
        self._workers: list[WorkerProcess] = []
        self._writers: dict[str, WorkerProcess] = {}
        self._timeline: list[Row] = []
        self._history: list[HistoryEvent] = []
        self._segments = 0
        self._branches = {"SUCCEEDED": 0, "FAILED": 0}
        self._began = time.monotonic()

    @property
    def total(self) -> int | None:
        """Branches to be counted."""
        return self.script.progress.total(self.event) if self.script.progress else None

    @property
    def source(self) -> str:
        """The handler's file, from here where it is below."""
        path = Path(self.script.handler.__wrapped__.__code__.co_filename)
        return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)

    def run(self) -> Report:
        """Raises WorkerDied, TimeoutError, and what an act of the script raises."""
        with environment({systems.DIRECTORY_VARIABLE: str(self.directory / "systems")}):
            return self._run()

    def _run(self) -> Report:
        self.scene.prepare()
        self._began = time.monotonic()
        self._began_ms = self._backend.clock.now()
        id = self._client.start(self.script.handler, self.event, id=self.script.id(self.event))
        self._add("begins", result=self.script.begins(self.event))
        try:
            for kill in self.scene.kills:
                self._until_killed(id, kill)
            if not self._finished(id):
                self._watch(id, self._start_worker(), lambda: self._finished(id))
            self._look(id, self._workers[-1])
            self._add("finished", self._workers[-1])
        finally:
            for worker in self._workers:
                worker.stop()
        return self._report(id)

    def _report(self, id: str) -> Report:
        info = self._client.describe(id)
        succeeded = info.status == "SUCCEEDED"
        result = self._client.result(id) if succeeded else info.error
        typed = self._client.result(id, result_type=self._result_type()) if succeeded else None
        expected = self.scene.effects(self.event, typed)
        notes = self.script.keeps(self._client, id, self.directory) if self.script.keeps else {}
        return Report(
            demo=self.script.name,
            scene=self.scene_name,
            id=id,
            status=info.status,
            wanted_status=self.scene.status,
            result=result,
            result_name=self.script.result_name,
            directory=self.directory,
            workers=[{"name": w.name, "pid": w.pid, "killed": w.killed} for w in self._workers],
            timeline=self._timeline,
            effects={system.name: system.counts() for system in self.script.systems},
            expected=None if expected is None else dict(expected),
            notes=dict(notes),
        )

    def _result_type(self) -> Any:
        from ..values.adapters import return_annotation

        return return_annotation(self.script.handler.__wrapped__)

    def _finished(self, id: str) -> bool:
        return self._client.describe(id).finished_at is not None

    def _until_killed(self, id: str, moment: Moment) -> None:
        """An execution that is over before its moment comes leaves nothing to kill."""
        if self._finished(id):
            return
        worker = self._start_worker()
        self._watch(id, worker, lambda: moment(self._history) or self._finished(id))
        if not moment(self._history):
            return
        worker.kill()
        self._look(id, worker)  # what it still wrote before it died
        header = self._backend.store.get(id)
        assert header is not None
        left = max(0.0, (header.lease - self._backend.clock.now()) / 1000 / self._speed)
        self._add("killed", worker, again_in=left)

    # -- watching --------------------------------------------------------------------------------------------------

    def _start_worker(self) -> WorkerProcess:
        settings = {
            BACKEND_VARIABLE: self.url,
            systems.DIRECTORY_VARIABLE: str(self.directory / "systems"),
            systems.LATENCY_VARIABLE: str(self._latency),
        }
        timeout = max(_TIMEOUT_S, 10 * self._latency * self._speed)  # long enough for all steps in one turn
        arguments = [self.script.target, "--timeout", str(timeout)]
        arguments += ["--speed", str(self._speed), "--anchor", str(self._anchor)]
        name = f"worker {len(self._workers) + 1}"
        worker = WorkerProcess(name, arguments, settings, self.directory / "workers.log")
        self._workers.append(worker)
        return worker

    def _watch(self, id: str, worker: WorkerProcess, over: Callable[[], bool]) -> None:
        until = time.monotonic() + _PATIENCE_S
        while not over():
            if time.monotonic() > until:
                raise TimeoutError(f"{id} is not finished after {_PATIENCE_S} s; see {self.directory}")
            worker.check()
            time.sleep(_WIDE_LOOK_S if self.script.progress else _LOOK_S)
            self._look(id, worker)
            self._outside(id)

    def _outside(self, id: str) -> None:
        """What somebody outside does now."""
        while (act := self._play.next(self._history)) is not None:
            with using(self._backend):
                act.do(self._client, id)
            self._add("outside", who=act.who, result=act.what)

    def _look(self, id: str, worker: WorkerProcess) -> None:
        """What the worker said, then what it wrote: it says before it writes."""
        while not worker.messages.empty():
            message = worker.messages.get()
            if message["event"] == "ready":
                self._add("ready", worker)
            elif message["event"] == "turn":
                self._writers[message["writer"]] = worker
        header = self._backend.store.get(id)
        assert header is not None
        loaded = self._backend.store.load(header.key)
        assert loaded is not None
        for segment in loaded.segments[self._segments :]:
            self._add_segment(segment, loaded.segments)
        self._segments = len(loaded.segments)
        if self.script.progress:
            self._screen.progress(self._branches["SUCCEEDED"], self._branches["FAILED"])

    def _add_segment(self, segment: Segment, log: list[Segment]) -> None:
        worker, events = self._writers[segment.writer], history([segment])
        if segment.seq and self._writers[log[segment.seq - 1].writer] is not worker:
            first = self._clock(events[0]) if events else None
            self._add("takes over", worker, clock=first, replayed=self._replayed())
        for event in events:
            self._history.append(event)
            self._add_event(event, worker)

    def _replayed(self) -> list[str]:
        """Steps that are done, and will not run again."""
        steps = [e for e in self._history if e.kind == "step" and e.status == "SUCCEEDED"]
        names = [shown_name(event) for event in steps if not self._is_counted(event)]
        counted = sum(map(self._is_counted, steps))
        return [*names, f"{counted:,} steps of {self.script.progress.operation}"] if self.script.progress else names

    def _is_counted(self, event: HistoryEvent) -> bool:
        progress = self.script.progress
        return progress is not None and event.id.startswith(f"{progress.operation}/")

    def _add_event(self, event: HistoryEvent, worker: WorkerProcess) -> None:
        if self._is_counted(event):
            if event.kind == "branch" and event.status in self._branches:
                self._branches[event.status] += 1
            return
        details = details_of(event, self._speed)
        if details is not None:
            self._add(details.pop("what"), worker, clock=self._clock(event), **details)

    def _clock(self, event: HistoryEvent) -> float:
        return event.at.timestamp() - self._began_ms / 1000

    def _add(
        self, what: str, worker: WorkerProcess | None = None, *, clock: float | None = None, **details: Any
    ) -> None:
        who: dict[str, Any] = {"worker": worker.name, "pid": worker.pid} if worker is not None else {}
        now = (self._backend.clock.now() - self._began_ms) / 1000
        at = round(time.monotonic() - self._began, 2)
        row = Row(at, what, round(max(0.0, now if clock is None else clock), 3), **who, **details)
        self._timeline.append(row)
        self._screen.row(row)


@contextmanager
def demo_directory(keep: bool) -> Iterator[Path]:
    """A fresh directory, removed afterwards unless it is to be kept."""
    directory = Path(tempfile.mkdtemp(prefix="durable-fn-demo-"))
    try:
        yield directory
    finally:
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)
