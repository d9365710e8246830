"""Many executions on one file, whose workers are killed with SIGKILL all the while."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

from durable_fn.backends.clocks import ScaledClock
from durable_fn.cli.workers import WorkerProcess
from durable_fn.client import DurableClient
from durable_fn.wiring import BACKEND_VARIABLE, sqlite
from tests.limits.handlers import CALLS, a_soak, soak
from tests.limits.measures import Measured

_SPEED = 10.0
_TIMEOUT_S = 20  # on the fast clock
_PATIENCE_S = 3000


class Soak:
    """`executions` of two functions, and `workers` of which one is killed every `every` seconds, and another one begun."""

    def __init__(self, folder: Path, executions: int, workers: int, *, every: float, seed: int) -> None:
        self.folder, self.count, self.workers, self.every = folder, executions, workers, every
        self.chance = random.Random(seed)
        self.anchor = time.time_ns() // 1_000_000
        self.backend = sqlite(str(folder / "journal.db"), synchronous="normal")
        self.backend.clock = ScaledClock(_SPEED, self.anchor)
        self.client = DurableClient(self.backend)
        self.killed = 0

    def run(self) -> Measured:
        began = time.monotonic()
        for n in range(self.count):
            self.client.start((soak, a_soak)[n % 2], n, id=f"e-{n}")
        crew = [self._worker(n) for n in range(self.workers)]
        try:
            self._kill_until_all_ended(crew, began)
        finally:
            for worker in crew:
                worker.stop()
        wrong = list(self._wrong())
        return Measured(
            f"{self.count:,} executions, {self.workers} workers, {self.killed} of them killed",
            {"seconds": time.monotonic() - began, "killed": self.killed},
            wrong,
        )

    def _worker(self, n: int) -> WorkerProcess:
        variables = {
            BACKEND_VARIABLE: f"sqlite:///{self.folder}/journal.db?synchronous=normal",
            CALLS: str(self.folder / "calls"),
        }
        arguments = ["tests.limits.handlers:soak", "tests.limits.handlers:a_soak", "--timeout", str(_TIMEOUT_S)]
        arguments += ["--speed", str(_SPEED), "--anchor", str(self.anchor)]
        return WorkerProcess(f"worker {n}", arguments, variables, self.folder / "workers.log")

    def _kill_until_all_ended(self, crew: list[WorkerProcess], began: float) -> None:
        while self._live():
            if time.monotonic() - began > _PATIENCE_S:
                return
            time.sleep(self.every)
            place = self.chance.randrange(len(crew))
            crew[place].check()
            if crew[place].messages.empty():  # it has not begun yet
                continue
            crew[place].kill()
            self.killed += 1
            crew[place] = self._worker(place)

    def _live(self) -> int:
        rows = self.backend.store.store.database.read(  # type: ignore[attr-defined]
            "SELECT count(*) FROM executions WHERE finished IS NULL"
        )
        return int(rows[0][0])

    def _wrong(self) -> Iterator[str]:
        """A body that ran after its result was stored would have made the last call; what is stored is another's answer then."""
        last: dict[str, str] = {}
        answers: set[str] = set()
        for line in (self.folder / "calls").read_text().splitlines():
            key, _, token = line.rsplit(" ", 2)[0].partition(" ")[0], "", line.rsplit(" ", 1)[1]
            last[key] = token
            answers.add(token)
        final = set(last.values())
        for n in range(self.count):
            info = self.client.describe(f"e-{n}")
            if info.status != "SUCCEEDED":
                yield f"LOST {info.id} is {info.status}: {info.error}"
                continue
            stored = self.client.result(info.id)
            if len(stored) != (4, 2)[n % 2] or not set(stored) <= answers:
                yield f"LOST {info.id} has {stored}"
            if not set(stored) <= final:
                yield f"REPEATED a step of {info.id} ran again after its result was stored"
