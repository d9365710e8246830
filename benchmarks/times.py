"""CPU and wall per step, and import times. Each figure is the best of several runs, beside a peer from the same run."""

from __future__ import annotations

import gc
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from durable_fn.backends.clocks import SystemClock
from durable_fn.backends.ports import Backend
from durable_fn.backends.sqlite import PollingWakeups, SQLiteStore
from durable_fn.client import DurableClient
from durable_fn.core.function import DurableFunction
from durable_fn.log.header import Header
from durable_fn.runtime.invocation import Invocation
from durable_fn.testing.lambda_context import FakeLambdaContext

from .handlers import FRONTS, wide, wide_async

RUNS = 3


@dataclass(frozen=True)
class Timing:
    """Microseconds per step. `peer`: the same number of bare commits to a file like it."""

    front: str
    steps: int
    live: float
    live_cpu: float
    replay: float
    replay_cpu: float
    peer: float | None


def best(measure: Callable[[], tuple[float, float]], runs: int = RUNS) -> tuple[float, float]:
    """The least wall and the least CPU seconds of several runs."""
    found = [measure() for _ in range(runs)]
    return min(wall for wall, _ in found), min(cpu for _, cpu in found)


def timed(action: Callable[[], object]) -> tuple[float, float]:
    """Wall and CPU seconds."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - wall, time.process_time() - cpu


def steps(count: int, *, in_memory: bool) -> list[Timing]:
    """Live and replayed, in both fronts."""
    return [_timing(front, function, count, in_memory) for front, function in FRONTS.items()]


def _timing(front: str, function: DurableFunction[int, object], count: int, in_memory: bool) -> Timing:
    with tempfile.TemporaryDirectory() as directory:
        per = 1e6 / max(count, 1)
        path = ":memory:" if in_memory else str(Path(directory) / "journal.db")
        backend = Backend(SQLiteStore(path, synchronous="normal"), PollingWakeups(), SystemClock(), "sqlite")
        ids = iter(f"{front}-{n}" for n in range(100))
        live_wall, live_cpu = best(lambda: timed(lambda: _run(function, backend, count, next(ids))))
        replay_wall, replay_cpu = best(lambda: _replay(function, backend, f"{front}-0"))
        bare = iter(Path(directory) / f"bare{n}.db" for n in range(RUNS))
        peer = None if in_memory else best(lambda: timed(lambda: _bare(next(bare), count)))[0]
        backend.store.close()  # type: ignore[attr-defined]
    return Timing(
        front,
        count,
        live_wall * per,
        live_cpu * per,
        replay_wall * per,
        replay_cpu * per,
        None if peer is None else peer * per,
    )


def _run(function: DurableFunction[int, object], backend: Backend, count: int, id: str) -> None:
    DurableClient(backend).start(function, count, id=id)
    header = _invoke(function, backend, id)
    assert header.status == "SUCCEEDED", header


def _invoke(function: DurableFunction[int, object], backend: Backend, id: str) -> Header:
    reply = Invocation(function, backend, FakeLambdaContext(backend.clock)).resume(id)
    assert isinstance(reply, Header), reply
    return reply


def _replay(function: DurableFunction[int, object], backend: Backend, id: str) -> tuple[float, float]:
    """The finished execution is opened again, so that a turn walks through all of its journal."""
    store = backend.store
    assert isinstance(store, SQLiteStore)
    now = backend.clock.now()
    with store.database.transaction() as db:
        db.execute(
            "UPDATE executions SET status = 'SUSPENDED', lease = 0, due = ?, result = NULL WHERE id = ?", (now, id)
        )
    return timed(lambda: _invoke(function, backend, id))


def _bare(path: Path, count: int) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = normal")
    db.execute("CREATE TABLE rows (id, seq, body, PRIMARY KEY (id, seq)) WITHOUT ROWID")
    for n in range(count):
        db.execute("BEGIN IMMEDIATE")
        db.execute("INSERT INTO rows VALUES ('id', ?, 'work\tstep\t0\tS\t1\t1767225600000\t\t0')", (n,))
        db.execute("COMMIT")
    db.close()


def empty_handler() -> float:
    """Milliseconds from the Lambda event to the answer, with no step, on a file."""
    with tempfile.TemporaryDirectory() as directory:
        backend = Backend(SQLiteStore(str(Path(directory) / "journal.db")), PollingWakeups(), SystemClock(), "sqlite")
        ids = iter(range(1000))
        function = FRONTS["def"]
        _run(function, backend, 0, "warm")
        wall = min(timed(lambda: _run(function, backend, 0, str(next(ids))))[0] for _ in range(20))
        backend.store.close()  # type: ignore[attr-defined]
        return wall * 1000


def _timed_run(function: DurableFunction[int, object], backend: Backend, event: int, id: str) -> float:
    return timed(lambda: _run(function, backend, event, id))[0]


def wide_map(items: int) -> dict[str, float]:
    """Milliseconds for a map with one trivial step per item, on a file."""
    found = {}
    for front, function in (("def", wide), ("async def", wide_async)):
        with tempfile.TemporaryDirectory() as directory:
            backend = Backend(
                SQLiteStore(str(Path(directory) / "journal.db")), PollingWakeups(), SystemClock(), "sqlite"
            )
            found[front] = min(_timed_run(function, backend, items, str(n)) for n in range(3)) * 1000
            backend.store.close()  # type: ignore[attr-defined]
    return found


# -- imports -------------------------------------------------------------------------------------------------------

IMPORTS = {
    "import boto3, a DynamoDB client": "import boto3; boto3.client('dynamodb', region_name='us-east-1')",
    "import durable_fn": "import durable_fn",
    "a whole Lambda: durable_fn, pydantic, its DynamoDB client": (
        "from durable_fn import durable, DurableContext, step\n"
        "from pydantic import BaseModel\n"
        "class Order(BaseModel): id: str\n"
        "@durable\n"
        "def handler(event: Order, ctx: DurableContext) -> Order: return event\n"
        "handler.event_adapter, handler.result_adapter\n"
        "from durable_fn.wiring import backend\n"
        "backend()"
    ),
}
_ENVIRONMENT = {
    "DURABLE_FN_TABLE": "t",
    "AWS_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "x",
    "AWS_SECRET_ACCESS_KEY": "x",
}


def imports(runs: int = 7) -> dict[str, float]:
    """Milliseconds in a fresh process, its own start left out; the runs are interleaved."""
    found: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for _ in range(runs):
        for name, code in IMPORTS.items():
            found[name].append(_in_fresh_process(code))
    return {name: min(times) for name, times in found.items()}


def _in_fresh_process(code: str) -> float:
    timer = f"import time; began = time.perf_counter()\n{code}\nprint((time.perf_counter() - began) * 1000)"
    run = subprocess.run(
        [sys.executable, "-c", timer], capture_output=True, text=True, check=True, env={**os.environ, **_ENVIRONMENT}
    )
    return float(run.stdout)
