"""Runs of an agent whose processes are killed with SIGKILL at random moments: is an answer or a tool ever paid twice?

    python -m benchmarks.agents.kills [RUNS] [--framework pydantic_ai|openai|langgraph] [--seed N]

Each run has a journal and a ledger of its own. Its workers are forked, since a framework takes seconds to import (no agent has
run in the process that forks: threads do not come along), and killed up to three times; a last one finishes. The ledger stands
outside: it counts calls and what happened by them. Exits with 1 if anything happened other than once, or if a step was called
again after its result was recorded.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from durable_fn import DurableClient, DurableFunction
from durable_fn.backends.clocks import ScaledClock
from durable_fn.backends.ports import Backend
from durable_fn.local.worker import Worker
from durable_fn.log.events import SUCCEEDED, is_fence, parse_body
from durable_fn.wiring import sqlite
from handlers_demo.systems import DIRECTORY_VARIABLE, LATENCY_VARIABLE, effects

from . import task
from .costs import handlers

SPEED = 20.0  # leases run this much faster than real time
TIMEOUT_S = 60  # so a dead worker's lease lasts three seconds: within one, a busy machine yields again and again
LATENCY_S = 0.004
PATIENCE_S = 180
LIVE_FOR_S = 0.6
"""Workers are killed at some moment within: about as long as a run takes here."""
NAMES = {"pydantic_ai": "Pydantic AI", "openai": "OpenAI Agents SDK", "langgraph": "LangGraph"}


class Scene:
    """One run of an agent with its files and its workers."""

    def __init__(self, directory: Path, handler: DurableFunction[Any, Any], chance: random.Random) -> None:
        self.directory = directory
        self.handler = handler
        self.chance = chance
        self.anchor = time.time_ns() // 1_000_000
        self.kills = 0

    def run(self) -> list[str]:
        """What went wrong."""
        with self._backend() as backend:
            DurableClient(backend).start(self.handler, {}, id="run")
        for _ in range(self.chance.choice((1, 1, 2, 3))):
            pid = self._worker()
            time.sleep(self.chance.uniform(0, LIVE_FOR_S))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            self.kills += 1
        return self._finish() or self._wrong()

    def _finish(self) -> list[str]:
        pid, until = self._worker(), time.monotonic() + PATIENCE_S
        try:
            while time.monotonic() < until:
                with self._backend() as backend:
                    header = backend.store.get("run")
                assert header is not None
                if not header.live:
                    return [] if header.status == "SUCCEEDED" else [f"it is {header.status}: {header.error}"]
                time.sleep(0.05)
            return ["it does not end"]
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    @contextlib.contextmanager
    def _backend(self) -> Iterator[Backend]:
        """A connection of its own: none may be open where a process is forked."""
        backend = sqlite(str(self.directory / "journal.db"), synchronous="normal")
        backend.clock = ScaledClock(SPEED, self.anchor)
        try:
            yield backend
        finally:
            store: Any = backend.store
            store.close()

    def _worker(self) -> int:
        pid = os.fork()
        if pid:
            return pid
        try:
            with self._backend() as backend, (self.directory / "turns").open("a") as turns:

                def emit(line: dict[str, Any]) -> None:
                    turns.write(json.dumps({**line, "pid": os.getpid()}) + "\n")
                    turns.flush()

                Worker([self.handler], backend, timeout=TIMEOUT_S, emit=emit, speed=SPEED).run()
        finally:
            os._exit(1)

    # -- the verdict

    def _wrong(self) -> list[str]:
        happened = effects((task.LEDGER,))
        found = [
            f"{what} happened {happened.get(what, 0)} times" for what in task.expected() if happened.get(what) != 1
        ]
        lines = [json.loads(line) for line in (self.directory / "turns").read_text().splitlines()]
        pids = {line["writer"]: line["pid"] for line in lines if line["event"] == "turn"}
        turns = Counter(pids.values())
        calls = self._calls()
        with self._backend() as backend:
            header = backend.store.get("run")
            assert header is not None
            loaded = backend.store.load(header.key)
        assert loaded is not None
        for segment in loaded.segments:
            for event in () if is_fence(segment.body) else parse_body(segment.body):
                if event.kind == "step" and event.status == SUCCEEDED:
                    found += self._after(event.id, calls[event.id], pids[segment.writer], turns)
        return found

    @staticmethod
    def _after(id: str, callers: list[int], recorder: int, turns: Counter[int]) -> list[str]:
        """The process that recorded the result called last, and once in each turn that it had: it takes over from itself where
        the machine let it stand for longer than its lease."""
        if callers[-1] != recorder:
            return [f"{id} was called again after its result was recorded"]
        times = Counter(callers)[recorder]
        return [f"{id} was called {times} times by one process"] if times > turns[recorder] else []

    def _calls(self) -> dict[str, list[int]]:
        """Who called for each operation, in order."""
        found: dict[str, list[int]] = {}
        with contextlib.closing(sqlite3.connect(task.LEDGER.path)) as db:
            rows = db.execute("SELECT e.details, c.pid FROM calls c JOIN effects e ON e.key = c.key ORDER BY c.rowid")
            for id, pid in rows:
                found.setdefault(id, []).append(pid)
        return found


def one(framework: str, number: int, seed: int) -> tuple[int, list[str]]:
    """How many workers were killed, and what went wrong."""
    handler = handlers()[framework]
    with tempfile.TemporaryDirectory(prefix="durable-fn-agents-") as directory:
        os.environ |= {DIRECTORY_VARIABLE: directory, LATENCY_VARIABLE: str(LATENCY_S)}
        chance = random.Random(f"{framework}-{seed}-{number}")
        scene = Scene(Path(directory), handler, chance)
        wrong = scene.run()
        return scene.kills, wrong


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.agents.kills", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("runs", type=int, nargs="?", default=100)
    parser.add_argument("--framework", choices=[*NAMES])
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    failed = False
    for framework in [NAMES[options.framework]] if options.framework else NAMES.values():
        kills = 0
        wrong: list[str] = []
        for number in range(options.runs):
            killed, told = one(framework, number, options.seed)
            kills += killed
            wrong += [f"run {number}: {text}" for text in told]
        print(f"{framework}: {options.runs} runs, {kills} workers killed, {len(wrong)} wrong (seed {options.seed})")
        print("".join(f"  {text}\n" for text in wrong), end="")
        failed = failed or bool(wrong)
    sys.exit(failed)


if __name__ == "__main__":
    main()
