"""What a scenario measured."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Measured:
    """`figures` by name; `wrong`: in words."""

    what: str
    figures: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def memory_mb() -> float:
    """The most that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Stopwatch:
    """CPU time between two looks."""

    def __init__(self) -> None:
        self._at = time.process_time()

    def lap(self) -> float:
        before, self._at = self._at, time.process_time()
        return self._at - before


def growth(first: float, last: float) -> float:
    """How much more the last part cost than the first."""
    return last / max(first, 1e-4)


def timed(act: Callable[[], object]) -> float:
    watch = Stopwatch()
    act()
    return watch.lap()
