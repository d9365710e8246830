"""A cloud whose functions have clocks that differ by up to two minutes from each other, and from one invocation to the next."""

from __future__ import annotations

import random
from typing import Any, Final

from durable_fn.backends.clocks import VirtualClock
from durable_fn.backends.ports import Backend
from durable_fn.testing.cloud import LocalCloud

_MOST_MS: Final = 120_000


class SkewedClock:
    """Goes as another one does, by so many milliseconds apart."""

    virtual = True

    def __init__(self, clock: VirtualClock, skew: int) -> None:
        self._clock = clock
        self._skew = skew

    def now(self) -> int:
        return self._clock.now() + self._skew

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)


class SkewedCloud(LocalCloud):
    """`seed` 0: all clocks agree."""

    def __init__(self, seed: int, **options: Any) -> None:
        super().__init__(**options)
        self._chance = random.Random(seed) if seed else None
        self.failed_sweeps = 0

    def _environment(self, fn: str) -> Backend:
        kept = super()._environment(fn)
        if self._chance is None:
            return kept
        clock: Any = SkewedClock(self.clock, self._chance.randint(-_MOST_MS, _MOST_MS))
        return Backend(kept.store, kept.wakeups, clock, kept.kind, kept.hooks)

    def _sweep(self) -> bool:
        """One that fails is a failed invocation of its Lambda: the next comes a minute later."""
        try:
            return super()._sweep()
        except Exception:
            self.failed_sweeps += 1
            return False
