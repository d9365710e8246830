"""The real clock and one for tests."""

from __future__ import annotations

import threading
import time


class SystemClock:
    """The machine's clock."""

    virtual = False

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds)


class VirtualClock:
    """Stands still until somebody sleeps on it or moves it. Thread-safe."""

    virtual = True

    def __init__(self, start_ms: int) -> None:
        self._now = start_ms
        self._started = start_ms
        self._lock = threading.Lock()

    def now(self) -> int:
        return self._now

    def monotonic(self) -> float:
        return (self._now - self._started) / 1000

    def sleep(self, seconds: float) -> None:
        self.advance_to(self._now + max(0, round(seconds * 1000)))

    def advance_to(self, epoch_ms: int) -> None:
        """Never goes back."""
        with self._lock:
            self._now = max(self._now, epoch_ms)


class ScaledClock:
    """Runs `speed` times as fast as the machine's, from `anchor_ms` on. Processes that share both agree on the time."""

    virtual = False

    def __init__(self, speed: float, anchor_ms: int) -> None:
        if speed <= 0:
            raise ValueError(f"speed must be above 0, got {speed}")
        self._speed = speed
        self._anchor = anchor_ms

    def now(self) -> int:
        return self._anchor + round((time.time_ns() / 1_000_000 - self._anchor) * self._speed)

    def monotonic(self) -> float:
        return time.monotonic() * self._speed

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            time.sleep(seconds / self._speed)
