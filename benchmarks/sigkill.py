"""Orders whose workers are killed with SIGKILL at random moments: does each complete, and does nothing run twice?

    python -m benchmarks.sigkill [RUNS] [--seed N] [--json]

Each run has a journal, systems and worker processes of its own. Its workers are killed up to three times, anywhere between
their start and the order's end; a last one finishes what they left. In every fourth run the warehouse stays down, so that
the compensations are killed as well. Exits with 1 if any run went wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from durable_fn.backends.clocks import ScaledClock
from durable_fn.backends.ports import Backend
from durable_fn.cli.workers import WorkerProcess
from durable_fn.client import DurableClient
from durable_fn.log.events import SUCCEEDED, is_fence, parse_body
from durable_fn.log.header import Header
from durable_fn.wiring import BACKEND_VARIABLE, sqlite
from handlers_demo.order_fulfilment.handler import handler
from handlers_demo.order_fulfilment.models import Order
from handlers_demo.order_fulfilment.systems import DIRECTORY_VARIABLE, LATENCY_VARIABLE, SYSTEMS

SPEED = 20.0  # timers and leases run this much faster than real time
LATENCY_S = 0.02
TIMEOUT_S = 10  # on the fast clock: a dead worker's lease lasts half a second
LANES = 3
PATIENCE_S = 60
STEPS = {
    "charge_customer": "charge",
    "reserve_inventory": "reserve",
    "notify_warehouse": "ship",
    "send_confirmation": "mail",
    "release_inventory": "release",
    "refund_charge": "refund",
}


@dataclass
class Run:
    """What happened to one order. `wrong` is empty if all is well; `after`: recorded results at each kill."""

    id: str
    fails: bool
    kills: int
    after: list[int]
    seconds: float
    wrong: list[str]


@dataclass(frozen=True)
class Call:
    """A call that a system took, in the order in which it took them."""

    what: str
    pid: int


class Scene:
    """One order with its files and its workers."""

    def __init__(self, directory: Path, chance: random.Random, number: int) -> None:
        self.directory = directory
        self.chance = chance
        self.id = f"order-{number}"
        self.fails = number % 4 == 3
        self.anchor = time.time_ns() // 1_000_000
        self.backend: Backend = sqlite(str(directory / "journal.db"), synchronous="normal")
        self.backend.clock = ScaledClock(SPEED, self.anchor)
        self.client = DurableClient(self.backend)
        self.pids: dict[str, int] = {}  # by writer
        self.after: list[int] = []

    def run(self) -> Run:
        began = time.monotonic()
        self._refuse(1_000_000 if self.fails else self.chance.choice((0, 0, 1)))
        event = {
            "order_id": self.id,
            "customer": "c@example.com",
            "lines": [{"sku": "a", "quantity": 2, "price": "3.50"}],
        }
        self.client.start(handler, Order.model_validate(event), id=self.id)
        kills = self.chance.choice((1, 1, 2, 3))
        for _ in range(kills):
            self._killed_worker()
        self._last_worker()
        return Run(self.id, self.fails, len(self.after), self.after, time.monotonic() - began, self._wrong())

    def _refuse(self, times: int) -> None:
        folder = self.directory / "systems"
        folder.mkdir()
        with contextlib.closing(sqlite3.connect(folder / "warehouse.sqlite")) as db:
            db.execute("CREATE TABLE refusals (times INTEGER)")
            db.execute("INSERT INTO refusals VALUES (?)", (times,))
            db.commit()

    # -- workers ---------------------------------------------------------------------------------------------------

    def _worker(self) -> WorkerProcess:
        settings = {
            BACKEND_VARIABLE: f"sqlite:///{self.directory}/journal.db?synchronous=normal",
            DIRECTORY_VARIABLE: str(self.directory / "systems"),
            LATENCY_VARIABLE: str(LATENCY_S),
        }
        arguments = ["handlers_demo.order_fulfilment.handler:handler", "--timeout", str(TIMEOUT_S)]
        arguments += ["--speed", str(SPEED), "--anchor", str(self.anchor)]
        return WorkerProcess("worker", arguments, settings, self.directory / "workers.log")

    def _killed_worker(self) -> None:
        """From the moment it is ready; a third of them sooner, so that a dead owner's lease is met as well."""
        worker = self._worker()
        try:
            if worker.messages.get(timeout=PATIENCE_S)["event"] != "ready":
                raise RuntimeError("a worker did not say that it is ready")
            time.sleep(self.chance.uniform(0, 0.5 if self.after and self.chance.random() < 0.5 else 0.13))
        finally:
            worker.kill()
            self._hear(worker)
        self.after.append(sum(len(parse_body(body)) for _, body in self._segments()))

    def _last_worker(self) -> None:
        worker = self._worker()
        until = time.monotonic() + PATIENCE_S
        try:
            while self._header().live and time.monotonic() < until:
                worker.check()
                time.sleep(0.02)
        finally:
            worker.stop()
            self._hear(worker)

    def _hear(self, worker: WorkerProcess) -> None:
        while not worker.messages.empty():
            message = worker.messages.get()
            if message["event"] == "turn":
                self.pids[message["writer"]] = worker.pid

    # -- the verdict -----------------------------------------------------------------------------------------------

    def _header(self) -> Header:
        header = self.backend.store.get(self.id)
        assert header is not None
        return header

    def _segments(self) -> list[tuple[str, str]]:
        loaded = self.backend.store.load(self._header().key)
        assert loaded is not None
        return [(segment.writer, segment.body) for segment in loaded.segments]

    def _wrong(self) -> list[str]:
        header = self._header()
        if header.status != "SUCCEEDED":
            return [f"it is {header.status}: {header.error}"]
        status = self.client.result(self.id)["status"]
        expected = "refunded" if self.fails else "fulfilled"
        found = [] if status == expected else [f"it is {status} instead of {expected}"]
        return found + self._wrong_effects() + self._wrong_calls()

    def _wrong_effects(self) -> list[str]:
        done = {"charge", "reserve", *(("release", "refund") if self.fails else ("ship", "mail"))}
        counts = Counter(
            str(what) for system in SYSTEMS for (what,) in self._rows(system.name, "SELECT what FROM effects")
        )
        return [
            f"{what} happened {counts[what]} times" for what in done | set(counts) if counts[what] != (what in done)
        ]

    def _wrong_calls(self) -> list[str]:
        """The last call for a step must come from the process that recorded its result: nobody called again. And a process
        calls once per attempt; once more for each time that it took its own execution over, whose lease it had lost: what was
        in flight then is repeated."""
        calls = [
            Call(str(what), pid)
            for system in SYSTEMS
            for what, pid in self._rows(system.name, "SELECT what, pid FROM calls ORDER BY rowid")
        ]
        found, takeovers = [], Counter[int]()
        for writer, body in self._segments():
            if is_fence(body):
                takeovers[self.pids[writer]] += self._had_a_turn_before(writer)
                continue
            for event in parse_body(body):
                pids = [call.pid for call in calls if call.what == STEPS.get(event.name)]
                if event.status == SUCCEEDED and event.kind == "step" and pids[-1] != self.pids[writer]:
                    found.append(f"{event.name} was called again after its result was recorded")
                if pids.count(self.pids[writer]) > event.attempt + takeovers[self.pids[writer]]:
                    found.append(f"{event.name} was called {len(pids)} times by one process")
        return found

    def _had_a_turn_before(self, writer: str) -> bool:
        """Whether the process did."""
        return writer != next(first for first, pid in self.pids.items() if pid == self.pids[writer])

    def _rows(self, system: str, sql: str) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(self.directory / "systems" / f"{system}.sqlite")) as db:
            try:
                return db.execute(sql).fetchall()
            except sqlite3.OperationalError:  # nobody ever called it
                return []


def one(number: int, seed: int) -> Run:
    with tempfile.TemporaryDirectory(prefix="durable-fn-sigkill-") as directory:
        scene = Scene(Path(directory), random.Random(f"{seed}-{number}"), number)
        try:
            return scene.run()
        finally:
            scene.backend.store.close()  # type: ignore[attr-defined]


def runs(count: int, seed: int) -> Iterator[Run]:
    """As they end."""
    with ThreadPoolExecutor(LANES) as lanes:
        yield from lanes.map(lambda number: one(number, seed), range(count))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sigkill", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("runs", type=int, nargs="?", default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=options.json)
    text = f"killing workers (seed {options.seed})"
    done = list(track(runs(options.runs, options.seed), text, total=options.runs, console=console))
    wrong = [run for run in done if run.wrong]
    if options.json:
        print(json.dumps({"seed": options.seed, "runs": [dataclasses.asdict(run) for run in done]}, indent=2))
    else:
        console.print(_summary(done))
        for run in wrong:
            console.print(f"[bold red]{run.id}[/]: {'; '.join(run.wrong)}")
    sys.exit(1 if wrong else 0)


def _summary(done: list[Run]) -> object:
    from rich.table import Table

    table = Table(title=f"{len(done)} orders, workers killed with SIGKILL", title_justify="left", show_header=False)
    killed_after = Counter(n for run in done for n in run.after)
    rows = {
        "completed, each effect once, no completed step run again": sum(not run.wrong for run in done),
        "went wrong": sum(bool(run.wrong) for run in done),
        "workers killed": sum(run.kills for run in done),
        "killed before anything was recorded": killed_after[0],
        "killed after 1 / 2 / 3 / 4 or more entries": " / ".join(
            str(n)
            for n in (
                killed_after[1],
                killed_after[2],
                killed_after[3],
                sum(c for n, c in killed_after.items() if n > 3),
            )
        ),
        "orders taken back (the warehouse stays down)": sum(run.fails for run in done),
        "seconds per order, killed and finished": f"{sum(run.seconds for run in done) / max(1, len(done)):.2f}",
    }
    for name, value in rows.items():
        table.add_row(name, str(value))
    return table


if __name__ == "__main__":
    main()
