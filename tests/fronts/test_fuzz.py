"""Random workflows with deaths, cancellations and signals: each ends, and its history replays to the same end.

A few hundred on every run; `make fuzz SEEDS=0-20000` for more. A failing seed is shown with the smallest program that
fails like it:

    python -m tests.fronts.test_fuzz async 255
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from durable_fn.errors import ExecutionCancelled
from durable_fn.testing import Execution, replay
from durable_fn.testing.crashes import SimulatedDeath
from tests.fronts.programs import Case, Program, a_program, calls, case, program
from tests.fronts.shrinking import shrunk

FRONTS = {"def": program, "async": a_program}
CHUNKS = [range(first, first + 50) for first in range(0, 250, 50)]
_SAME = 12
"""Letters of a problem that tell its kind."""
LIVE = ("PENDING", "RUNNING", "SUSPENDED")
THEIRS = ("StepError", "BatchError", "ExceptionGroup", "CancelledError")
"""Errors that a program may end with. A native cancellation: up to Python 3.12 a TaskGroup that failed leaves a count in its
task, by which a timeout around it does not know its own cancellation again."""


def problems(this: Case, front: str, *, local: bool = True) -> list[str]:
    """What is wrong with it; nothing, if all is well."""
    handler = FRONTS[front]
    Program.block = this.program
    calls.clear()
    with dying_runner(handler, this, local=local) as runner:
        execution = runner.start(None, id="random")
        _live(runner, execution, this)
        ended = outcome(lambda: execution.result)
        if execution.status in LIVE:
            return [f"it is {execution.status}: {ended}"]
        if ended[0] == "error" and ended[1] not in THEIRS:
            return [f"it ended with {ended}"]
        again = outcome(lambda: replay(handler, execution.history))
        return [] if again == ended else [f"it ended with {ended}, and replays to {again}"]


def of(seed: int, front: str) -> Case:
    return case(seed, native=front == "async")


def dying_runner(handler: Any, this: Case, *, local: bool) -> Any:
    from durable_fn.testing.crashes import _Run

    runner = _Run(handler, (), this.dies_at, False)
    runner._always_suspend = this.always_suspend
    runner._journal.local = local
    return runner


def _live(runner: Any, execution: Execution[Any], this: Case) -> None:
    """Its signals and its cancellation at their times, and then time enough for all that it may wait for."""
    events: list[tuple[float, Callable[[], None]]] = [
        (at, lambda name=name, n=n: runner.client.signal(execution.id, name, n)) for at, name, n in this.signals
    ]
    if this.cancelled_at is not None:
        events.append((this.cancelled_at, lambda: runner.client.cancel(execution.id)))
    now = 0.0
    for at, happens in sorted(events, key=lambda event: event[0]):
        runner.advance(at - now)
        now = at
        if execution.status in LIVE:
            with contextlib.suppress(SimulatedDeath):
                happens()
        runner.run_until_idle()
    for _ in range(60):
        if execution.status not in LIVE or execution.error is not None:
            return
        runner.advance(1000)


def outcome(ask: Callable[[], Any]) -> tuple[str, Any]:
    """As JSON tells it: a replay knows an error by its name."""
    try:
        return "result", json.loads(json.dumps(ask()))
    except ExecutionCancelled:
        return "cancelled", None
    except Exception as error:
        if getattr(error, "status", None) == "CANCELLED":  # it ended in a process that died then
            return "cancelled", None
        told = getattr(error, "error_type", None) if type(error).__qualname__ == "CallError" else None
        return "error", (told or type(error).__qualname__).rpartition(".")[2]


@pytest.mark.parametrize("seeds", CHUNKS, ids=str)
@pytest.mark.parametrize("front", FRONTS)
def test_random_programs(front: str, seeds: range, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    found = {seed: wrong for seed in seeds if (wrong := problems(of(seed, front), front, local=seed % 4 != 3))}
    assert not found


def smallest(seed: int, front: str, local: bool, wrong: str) -> Case:
    """That goes wrong as this seed does."""
    kind = wrong[:_SAME]
    return shrunk(of(seed, front), lambda c: any(p[:_SAME] == kind for p in problems(c, front, local=local)))


def main(front: str, seeds: str) -> int:
    """`seeds`: one, or "FIRST-LAST"."""
    logging.disable(logging.CRITICAL)
    first, _, last = seeds.partition("-")
    many, began, bad = range(int(first), int(last or first) + 1), time.monotonic(), 0
    for seed in many:
        for local in (True, False):
            wrong = problems(of(seed, front), front, local=local)
            bad += bool(wrong)
            if wrong or len(many) == 1:
                print(
                    f"{front} {seed} {'embedded' if local else 'remote'} journal: {wrong or 'all is well'}", flush=True
                )
            if wrong and len(many) == 1:
                print(f"  {smallest(seed, front, local, wrong[0])}")
    print(f"{front}: {2 * len(many)} runs in {time.monotonic() - began:.0f} s, {bad} went wrong")
    return bad


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1], sys.argv[2]) else 0)
