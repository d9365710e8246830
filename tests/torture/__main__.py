"""`python -m tests.torture [--minutes N] [--only KIND ...] [--from SEED --to SEED]`: goes on where the last run ended.

Without a range of seeds it runs all kinds in turns for so many minutes (an hour), and adds what it counted to counts.json.
With one it runs the storms or days of these seeds, says what was wrong with them, and keeps nothing.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import logging
import sys
import time
from collections.abc import Callable, Iterator

from tests.torture import plans
from tests.torture.kept import KINDS, Kept, load, save
from tests.torture.plans import Lived

_SLICE_S = 20.0
_SHARES = {"singles": 1, "pairs": 2, "storms": 4, "days": 2}
_SEEDED: dict[str, Callable[[int], Iterator[Lived]]] = {"storms": plans.storm, "days": plans.day}
_ENUMERATED: dict[str, Callable[[], Iterator[Lived]]] = {"singles": plans.singles, "pairs": plans.pairs}


class Endless:
    """The lives of one kind from where the last run ended: of a seed together, or one by one and from the beginning again."""

    def __init__(self, kind: str, kept: Kept) -> None:
        self.kind, self.kept = kind, kept
        self._lives: Iterator[Lived] = iter(())
        if kind in _ENUMERATED and kept.next:
            self._lives = _skipped(_ENUMERATED[kind](), kept.next)

    def batch(self) -> list[Lived]:
        if self.kind in _SEEDED:
            found = list(_SEEDED[self.kind](self.kept.next))
            self.kept.next += 1
            return found
        lived = next(self._lives, None)
        if lived is None:
            self.kept.whole += self.kept.next > 0
            self.kept.next = 0
            self._lives = _ENUMERATED[self.kind]()
            lived = next(self._lives)
        self.kept.next += 1
        return [lived]


def _skipped(lives: Iterator[Lived], count: int) -> Iterator[Lived]:
    return itertools.islice(lives, count, None)


def _run(minutes: float, kinds: list[str]) -> int:
    kept = load()
    kind_of = {kind: Endless(kind, kept[kind]) for kind in kinds}
    until, wrong = time.monotonic() + minutes * 60, 0
    for turn in itertools.cycle([kind for kind in kinds for _ in range(_SHARES[kind])]):
        if time.monotonic() >= until:
            break
        wrong += _slice(kind_of[turn], min(until, time.monotonic() + _SLICE_S))
        save(kept)
    for one in KINDS:
        print(f"{one}: {_line(kept[one])}")
    return wrong


def _slice(endless: Endless, until: float) -> int:
    began, wrong = time.process_time(), 0
    while time.monotonic() < until:
        for lived in endless.batch():
            endless.kept.add(deaths=lived.deaths, faults=lived.faults, problems=lived.problems)
            wrong += _told(lived)
    endless.kept.cpu_s = round(endless.kept.cpu_s + time.process_time() - began, 1)
    return wrong


def _told(lived: Lived) -> bool:
    if lived.problems:
        print(f"{lived.what}: {lived.problems[0][:2000]}", flush=True)
    return bool(lived.problems)


def _line(kept: Kept) -> str:
    return f"{kept.lives:,} lives, {kept.deaths:,} deaths, {sum(kept.faults.values()):,} faults, {kept.wrong} wrong"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--only", nargs="*", choices=KINDS, default=list(KINDS))
    parser.add_argument("--from", dest="first", type=int)
    parser.add_argument("--to", dest="last", type=int)
    asked = parser.parse_args(arguments)
    gc.freeze()
    logging.disable(logging.CRITICAL)  # also of tasks that a death left behind, when they are collected
    if asked.first is None:
        return _run(asked.minutes, asked.only)
    seeds, seeded = (
        range(asked.first, (asked.last or asked.first) + 1),
        [kind for kind in asked.only if kind in _SEEDED],
    )
    lives = (lived for seed in seeds for kind in seeded for lived in _SEEDED[kind](seed))
    return sum(_told(lived) for lived in lives)


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
