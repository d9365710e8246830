"""A disk that is full, a file that can only be read, a table that is throttled: it is said, and it goes on afterwards."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from durable_fn import DurableClient, DurableContext, durable
from durable_fn.backends.clocks import VirtualClock
from durable_fn.local.worker import Worker
from durable_fn.wiring import sqlite
from tests.limits.measures import Measured
from tests.torture.books import NOTES, Judge
from tests.torture.cloud import TortureCloud
from tests.torture.emulator.table import refused
from tests.torture.lives import silent
from tests.torture.workflows.all import WORKFLOWS

START = 1_767_225_600_000
RAN: Counter[int] = Counter()


def grows(n: int) -> str:
    RAN[n] += 1
    return random.Random(n).randbytes(1500).hex()


@durable(name="fills")
def fills(event: int, ctx: DurableContext) -> int:
    return sum(len(ctx.step(grows, n)) > 0 for n in range(event))


class Filled:
    """One execution on a file, with a worker that goes on whenever it is asked to."""

    def __init__(self, folder: Path, steps: int) -> None:
        RAN.clear()
        self.backend = sqlite(str(folder / "journal.db"), synchronous="off")
        self.clock = VirtualClock(START)
        self.backend.clock = self.clock
        self.db: sqlite3.Connection = self.backend.store.store.database._db  # type: ignore[attr-defined]
        self.client = DurableClient(self.backend)
        self.client.start(fills, steps, id="x")
        self.worker = Worker([fills], self.backend, timeout=60, emit=lambda line: None)
        self.steps = steps

    def goes_on(self, times: int = 1) -> list[str]:
        """Also what was raised instead."""
        said = []
        for _ in range(times):
            try:
                self.worker.run_once()
            except sqlite3.Error as error:
                said.append(str(error))
            self.clock.sleep(130)
        return said

    def wrong(self) -> list[str]:
        info = self.client.describe("x")
        if info.status != "SUCCEEDED":
            return [f"LOST it is {info.status}: {info.error}"]
        again = {n: count for n, count in RAN.items() if count > 1}
        return [f"REPEATED more than the one step that could not be stored: {again}"] if len(again) > 1 else []


def full_disk(folder: Path, steps: int) -> Measured:
    with silent():
        run = Filled(folder, steps)
        pages = int(run.db.execute("PRAGMA page_count").fetchone()[0])
        run.db.execute(f"PRAGMA max_page_count = {pages + steps // 4}")
        run.goes_on(3)
        done = len(RAN)
        told = [] if run.client.describe("x").status != "SUCCEEDED" else ["it had room enough"]
        run.db.execute("PRAGMA max_page_count = 1000000")
        run.goes_on(3)
    return Measured(
        f"a full disk, {steps} steps", {"steps before": done, "bodies": sum(RAN.values())}, told + run.wrong()
    )


def read_only_file(folder: Path, steps: int) -> Measured:
    with silent():
        run = Filled(folder, steps)
        run.db.execute("PRAGMA query_only = ON")
        said = run.goes_on(3)
        told = [] if not RAN else ["a body ran though nothing could be written"]
        run.db.execute("PRAGMA query_only = OFF")
        run.goes_on(3)
    return Measured(f"a file that can only be read, {steps} steps", {"errors": len(said)}, told + run.wrong())


class Throttled:
    """No request to the table is answered from one time to another."""

    def __init__(self, begin_ms: int, seconds: int) -> None:
        self.begin, self.end = START + begin_ms, START + begin_ms + seconds * 1000
        self.refused = 0

    def meet(self, cloud: TortureCloud, service: str, operation: str, request: Callable[[], Any]) -> Any:
        cloud.clock.advance_to(cloud.clock.now() + 5)
        if service == "dynamodb" and self.begin <= cloud.clock.now() < self.end:
            self.refused += 1
            raise refused("ProvisionedThroughputExceededException", operation)
        return request()

    def body(self, cloud: TortureCloud, where: str) -> None: ...


def throttled(executions: int, seconds: int = 60) -> Measured:
    """Nobody asks the table without a pause, and all go on afterwards."""
    NOTES.clear()
    fate, judge = Throttled(350_000, seconds), Judge()
    of = next(workflow for workflow in WORKFLOWS if workflow.name == "poller").fronts["def"][0]
    with silent(), TortureCloud(fate, judge) as cloud:
        cloud.attach(of)
        for n in range(executions):
            cloud.insist(lambda n=n: cloud.client.start(of, None, id=f"x-{n}"))
        cloud.advance(8 * 3600)
        left = cloud.live_ids()
    wrong = [*judge.problems, *(f"LOST {id} has not ended" for id in left)]
    return Measured(f"throttled for {seconds} s", {"refused requests": fate.refused}, wrong)
