"""`python -m tests.fuzz FRONT SEEDS [DEATHS]`: many seeds ("FIRST-LAST"), or one and its smallest program that fails like it."""

from __future__ import annotations

import logging
import signal
import sys
import time
import traceback
from types import FrameType
from typing import Any

from tests.fuzz.checks import Tally, differs_in_many_turns, problems_of_seed
from tests.fuzz.nodes import Case
from tests.fuzz.shrinking import smallest

_PATIENCE = 60
_MOST_SHOWN = 12


class _Slow(BaseException):
    pass


def _slow(_: int, frame: FrameType | None) -> None:
    raise _Slow("".join(traceback.format_stack(frame, limit=12)))


def _wrong_with(seed: int, front: str, deaths: int, tally: Tally) -> tuple[Case | None, list[str]]:
    signal.alarm(_PATIENCE)
    try:
        case, wrong = problems_of_seed(seed, front, deaths, tally)
        if wrong:
            return case, wrong
        return None, [f"[timeless] {problem}" for problem in differs_in_many_turns(seed, front, tally)]
    except _Slow as slow:
        return None, [f"it takes more than {_PATIENCE} s: {slow}"]
    except Exception:
        return None, [traceback.format_exc()[-1500:]]
    finally:
        signal.alarm(0)


def main(front: str, seeds: str, deaths: int) -> int:
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGALRM, _slow)
    first, _, last = seeds.partition("-")
    many, began, bad, tally = range(int(first), int(last or first) + 1), time.monotonic(), 0, Tally()
    for seed in many:
        case, wrong = _wrong_with(seed, front, deaths, tally)
        if not wrong:
            continue
        bad += 1
        print(f"{front} {seed}: {wrong[0][:1500]}", flush=True)
        if case is not None and len(many) == 1:
            print(f"  {smallest(case, front, wrong[0])}", flush=True)
        if bad == _MOST_SHOWN:
            print("and so on: not all seeds were run")
            break
    print(_summary(front, seeds, tally, bad, time.monotonic() - began), flush=True)
    return bad


def _summary(front: str, seeds: str, tally: Tally, bad: int, seconds: float) -> str:
    version = ".".join(map(str, sys.version_info[:3]))
    return (
        f"{front} on {version}, seeds {seeds}: {tally.lives:,} executions in {tally.turns:,} turns, "
        f"{sum(tally.deaths.values()):,} deaths, {tally.readings:,} readings of logs and of their beginnings, in {seconds:.0f} "
        f"s: {bad or 'none'} went wrong"
    )


def _arguments(args: list[str]) -> Any:
    front, seeds, *deaths = args
    return front, seeds, int(deaths[0]) if deaths else 4


if __name__ == "__main__":
    sys.exit(1 if main(*_arguments(sys.argv[1:])) else 0)
