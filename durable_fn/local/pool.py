"""Worker processes and what they are given: each does one thing at a time, is killed when its time is over, and is replaced
when it dies.

All of it runs in one event loop; nothing here blocks it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

_MOST_LINE: Final = 64 * 1024 * 1024
_FIRST_PAUSE_S: Final = 0.1
_LONGEST_PAUSE_S: Final = 30.0
_START_S: Final = 60.0
"""In which a process has to have loaded its handlers. Lambda gives them ten seconds; a laptop may be slower."""

Tell = Callable[[dict[str, Any]], None]


class WorkerEnded(Exception):
    """The process died, or was killed, before it answered. `timed_out`: because its time was over."""

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class FunctionFailed(Exception):
    """What the function raised: `error` as Lambda tells it."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error.get('errorType')}: {error.get('errorMessage')}")
        self.error = error


@dataclass(slots=True)
class Job:
    """`urgent`: somebody waits for the answer."""

    fn: str
    message: dict[str, Any]
    timeout: float
    urgent: bool
    answer: asyncio.Future[Any]


@dataclass(slots=True)
class Generation:
    """The code as it was when its first process loaded it. `served`: functions by name, once it is known to load."""

    number: int
    served: dict[str, str] | None = None
    broken: str | None = None
    settled: asyncio.Event = field(default_factory=asyncio.Event)


State = Literal["starting", "idle", "busy", "stopping"]


class Worker:
    """A process and its socket. `holds`: the executions that it has taken, with the writer's id."""

    def __init__(self, number: int, generation: Generation) -> None:
        self.number = number
        self.generation = generation
        self.state: State = "starting"
        self.job: Job | None = None
        self.holds: dict[str, str] = {}
        self.late = False
        self.process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter
        self._alarm: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int:
        """0 before it is started."""
        return self.process.pid if self.process is not None else 0

    async def start(
        self, targets: Sequence[str], environment: Mapping[str, str], inherited: int
    ) -> asyncio.StreamReader:
        here, there = socket.socketpair()
        with there:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "durable_fn.local.process", "--socket", str(there.fileno()), *targets),
                env=dict(environment),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(there.fileno(), inherited),
                start_new_session=True,  # Ctrl-C is the server's to answer
            )
        reader, self._writer = await asyncio.open_connection(sock=here, limit=_MOST_LINE)
        return reader

    def tell(self, message: dict[str, Any]) -> None:
        self._writer.write(json.dumps(message).encode() + b"\n")

    def limit(self, seconds: float) -> None:
        """Killed when they are over."""
        self.unlimited()
        self._alarm = asyncio.get_running_loop().call_later(seconds, self._too_late)

    def unlimited(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _too_late(self) -> None:
        self.late = True
        self.kill()

    def kill(self) -> None:
        """SIGKILL, with all that it has started: no handler runs, nothing is flushed."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def close(self) -> None:
        self.unlimited()
        self._writer.close()


class Pool:
    """At most `size` processes that load `targets`; the first one at once, the others when there is work for them. `tell` is told
    what happens, `buried` which executions a process had that died."""

    def __init__(
        self,
        targets: Sequence[str],
        *,
        size: int,
        environment: Mapping[str, str],
        inherited: int,
        tell: Tell,
        buried: Callable[[Mapping[str, str]], None],
    ) -> None:
        self._targets = targets
        self._size = size
        self._environment = {**os.environ, **environment, "PYTHONUNBUFFERED": "1"}
        self._inherited = inherited
        self._tell = tell
        self._buried = buried
        self._numbers = itertools.count(1)
        self._workers: dict[int, Worker] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._queue: deque[Job] = deque()
        self._pause = 0.0
        self._closing = False
        self.generation = Generation(0)
        self.freed = asyncio.Event()
        """Set whenever there may be room for more."""

    # -- what others see -------------------------------------------------------------------------------------------

    @property
    def served(self) -> dict[str, str]:
        """Functions and where they are, as the code loaded last has them."""
        return self.generation.served or {}

    @property
    def room(self) -> int:
        """How much more can be run at once."""
        return 0 if self._closing else self._size - len(self._busy()) - len(self._queue)

    def _busy(self) -> list[Worker]:
        return [worker for worker in self._workers.values() if worker.job is not None]

    async def do(self, fn: str, message: dict[str, Any], timeout: float, *, urgent: bool = False) -> Any:
        """What the function answers. Raises FunctionFailed or WorkerEnded."""
        job = Job(fn, message, timeout, urgent, asyncio.get_running_loop().create_future())
        if self._closing:
            raise WorkerEnded("the server is being stopped, and takes nothing more")
        if urgent:
            self._queue.insert(sum(one.urgent for one in self._queue), job)
        else:
            self._queue.append(job)
        self._assign()
        return await job.answer

    # -- code ------------------------------------------------------------------------------------------------------

    async def load(self) -> Generation:
        """Loads the code as it is now, in a new process. If that works, new work goes there, and the processes before end
        when what they do is done; if not, all stays as it was."""
        before, new = self.generation, Generation(self.generation.number + 1)
        await self._spawn(new)
        await new.settled.wait()
        if new.served is None:
            return new
        self.generation = new
        for worker in list(self._workers.values()):
            if worker.generation is before and worker.state in ("starting", "idle"):
                self._stop(worker)
        self._refuse_unknown()
        self._assign()
        self.freed.set()
        return new

    def _refuse_unknown(self) -> None:
        for job in [job for job in self._queue if job.fn not in self.served]:
            self._queue.remove(job)
            _settle(job, WorkerEnded(f"{job.fn!r} is not served any more"))

    def _refuse_urgent(self, why: str) -> None:
        """No process can be had for those who wait for an answer. What is only due waits for better code."""
        for job in [job for job in self._queue if job.urgent]:
            self._queue.remove(job)
            _settle(job, WorkerEnded(f"the code cannot be loaded: {why}"))

    # -- processes -------------------------------------------------------------------------------------------------

    def _assign(self) -> None:
        """Work to idle processes; a new one for work that has none."""
        idle = [w for w in self._workers.values() if w.state == "idle" and w.generation is self.generation]
        while self._queue and idle and len(self._busy()) < self._size:
            self._give(idle.pop(), self._queue.popleft())
        own = [w for w in self._workers.values() if w.generation is self.generation and w.state != "stopping"]
        starting = sum(worker.state == "starting" for worker in own)
        wanted = min(len(self._queue) - starting, self._size - len(own)) if self._queue else int(not own)
        if not self._closing and self.generation.served is not None:
            for _ in range(max(0, wanted)):
                self._begin(self._spawn(self.generation, after=self._pause))

    def _give(self, worker: Worker, job: Job) -> None:
        worker.state, worker.job = "busy", job
        worker.limit(job.timeout)
        worker.tell({**job.message, "fn": job.fn, "timeout": job.timeout})

    def _begin(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _spawn(self, generation: Generation, after: float = 0.0) -> None:
        worker = Worker(next(self._numbers), generation)
        self._workers[worker.number] = worker
        await asyncio.sleep(after)
        if self._closing or worker.state == "stopping":
            del self._workers[worker.number]
            generation.settled.set()
            return
        reader = await worker.start(self._targets, self._environment, self._inherited)
        worker.limit(_START_S)
        self._begin(self._watch(worker, reader))

    async def _watch(self, worker: Worker, reader: asyncio.StreamReader) -> None:
        """Until it has ended."""
        assert worker.process is not None
        with contextlib.suppress(ConnectionResetError):  # it was killed, and had not read all
            while line := await reader.readline():
                if line.endswith(b"\n"):  # a killed process may leave half a line
                    self._hear(worker, json.loads(line))
        code = await worker.process.wait()
        worker.close()
        del self._workers[worker.number]
        self._ended(worker, code)

    def _hear(self, worker: Worker, message: dict[str, Any]) -> None:
        said = message["say"]
        if said == "ready":
            self._ready(worker, message)
        elif said == "broken":
            worker.generation.broken = message["error"]
        elif said == "done":
            self._done(worker, message)
        else:
            if said == "turn":
                worker.holds[message["id"]] = message["own"]
            else:
                worker.holds.pop(message["id"], None)
            self._tell({"event": said, "pid": worker.pid, **message})

    def _ready(self, worker: Worker, message: dict[str, Any]) -> None:
        worker.unlimited()
        self._pause = 0.0
        generation = worker.generation
        if generation.served is None:
            generation.served = {row["name"]: row["place"] for row in message["functions"]}
        if worker.state == "starting":
            worker.state = "idle"
        generation.settled.set()
        self._assign()

    def _done(self, worker: Worker, message: dict[str, Any]) -> None:
        worker.unlimited()
        job, worker.job = worker.job, None
        worker.holds.clear()
        worker.state = "idle"
        if job is not None:
            _settle(job, FunctionFailed(message["error"]) if "error" in message else message["answer"])
        if self._closing or worker.generation.number < self.generation.number:
            self._stop(worker)
        self._assign()
        self.freed.set()

    def _ended(self, worker: Worker, code: int) -> None:
        generation = worker.generation
        expected = worker.state == "stopping"
        if not generation.settled.is_set():
            generation.broken = (
                generation.broken or f"its process ended with {_named(code)} while it loaded the handlers"
            )
            generation.settled.set()
            return
        if worker.holds:
            self._buried(worker.holds)
        job, worker.job = worker.job, None
        why = f"its {job.timeout:g} s were over, and its process was killed" if worker.late and job else _named(code)
        if job is not None:
            _settle(job, WorkerEnded(f"{job.fn!r} did not answer: {why}", timed_out=worker.late))
        if not expected and worker.state != "starting":
            ids = sorted(worker.holds)
            self._tell({"event": "died", "pid": worker.pid, "why": why, "ids": ids, "late": worker.late})
        if worker.state == "starting":
            self._pause = min(max(_FIRST_PAUSE_S, self._pause * 2), _LONGEST_PAUSE_S)
            self._refuse_urgent(generation.broken or why)
        self._assign()
        self.freed.set()

    def _stop(self, worker: Worker) -> None:
        """One that does nothing."""
        starting, worker.state = worker.state == "starting", "stopping"
        if starting:  # it has taken nothing
            worker.kill()
        else:
            worker.tell({"do": "stop"})

    # -- the end ---------------------------------------------------------------------------------------------------

    async def drain(self) -> None:
        """Takes nothing more, and waits until all that runs is done, or its time is over."""
        self._closing = True
        for job in self._queue:
            _settle(job, WorkerEnded("the server is being stopped"))
        self._queue.clear()
        for worker in list(self._workers.values()):
            if worker.job is None and worker.state != "stopping":
                self._stop(worker)
        await self._gone()

    async def kill(self) -> None:
        """All at once. What they had goes on when this journal is served again."""
        self._closing = True
        for worker in list(self._workers.values()):
            worker.state = "stopping"
            worker.kill()
        await self._gone()

    async def _gone(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)


def _settle(job: Job, outcome: Any) -> None:
    if job.answer.done():
        return  # nobody waits any more
    if isinstance(outcome, Exception):
        job.answer.set_exception(outcome)
    else:
        job.answer.set_result(outcome)


def _named(code: int) -> str:
    if code < 0:
        return f"{signal.Signals(-code).name} (signal {-code})"
    return f"exit code {code}"
