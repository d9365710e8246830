"""The kept counts: what was run so far, by kind, added up over runs and seed ranges. docs/reliability.md is made of them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

FILE: Final = Path(__file__).with_name("counts.json")
KINDS: Final = ("singles", "pairs", "storms", "days")


@dataclass
class Kept:
    """Of one kind. `next`: where the next run goes on, a seed or the number of a life; `whole`: how often all were run. `deaths`:
    of processes, clients and sweepers; `faults`: of all other kinds. `lost`: executions that came to another end than they must;
    `repeated`: bodies that ran again after their result was stored, or twice though at most once; `wrong`: all lives with
    anything wrong."""

    next: int = 0
    whole: int = 0
    lives: int = 0
    deaths: int = 0
    lost: int = 0
    repeated: int = 0
    wrong: int = 0
    cpu_s: float = 0.0
    faults: dict[str, int] = field(default_factory=dict)

    def add(self, *, deaths: int, faults: Counter[str], problems: list[str]) -> None:
        self.lives += 1
        self.deaths += deaths
        self.faults = dict(sorted((Counter(self.faults) + faults).items()))
        self.lost += any(problem.startswith(("LOST", "JUDGE")) for problem in problems)
        self.repeated += any(problem.startswith(("REPEATED", "TWICE")) for problem in problems)
        self.wrong += bool(problems)


def load(path: Path = FILE) -> dict[str, Kept]:
    there: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return {kind: Kept(**there.get(kind, {})) for kind in KINDS}


def save(kept: dict[str, Kept], path: Path = FILE) -> None:
    """At once and whole, so that a run may be ended at any time."""
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps({kind: asdict(one) for kind, one in kept.items()}, indent=1) + "\n")
    beside.replace(path)
