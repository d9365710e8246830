"""`python -m tests.values SEEDS`: many random annotations and values ("FIRST-LAST"), in and out of executions, in both fronts."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections import Counter
from typing import Any

from tests.environments import SqliteWorld
from tests.values import properties

_AT_ONCE = 20
_MOST_SHOWN = 5


def _problems(seeds: range, counts: Counter[str]) -> list[str]:
    cases, found = properties.drawn_many(seeds), []
    for case, other in zip(cases, [*cases[1:], *cases[:1]], strict=True):
        wrong = properties.written_and_read(case)
        counts["refused" if wrong == properties.REFUSED else "equal" if wrong is None else "wrong"] += 1
        found += [wrong] if wrong not in (None, properties.REFUSED) else []
        properties.read_by_another(case, other)
    for seed in seeds:
        wrong = properties.misfit_is_refused(seed)
        counts["misfit refused" if wrong == properties.REFUSED else "misfit taken"] += 1
        found += [wrong] if wrong not in (None, properties.REFUSED) else []
        for annotation in (Any, object, dict, dict[str, Any]):
            properties.taken_as_it_is(seed, annotation)
    for front in ("def", "async def"):
        world = SqliteWorld()
        found += [f"{front}: {text}" for text in properties.come_back(world, front, seeds, "x")]
        world.close()
        found += [f"{front}: {text}" for case in cases for text in properties.started_with(front, case)]
    return [text for text in found if text is not None]


def main(seeds: str) -> int:
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    first, _, last = seeds.partition("-")
    counts: Counter[str] = Counter()
    began, bad = time.monotonic(), 0
    for start in range(int(first), int(last or first) + 1, _AT_ONCE):
        for text in _problems(range(start, min(start + _AT_ONCE, int(last or first) + 1)), counts):
            bad += 1
            print(text[:3000], flush=True)
        if bad >= _MOST_SHOWN:
            print("and so on: not all seeds were run")
            break
    print(f"seeds {seeds}: {dict(counts)}, {bad} problems, {time.monotonic() - began:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:] or ["0-499"]))
