"""The threads of a turn."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Final

MOST_HELPERS: Final = 31
"""Threads that one turn of a `def` handler may have besides its own, nested fans included."""
_LONG_BODY_S: Final = 0.005
"""A body that has run this long probably does not end within the next milliseconds."""


class Activity:
    """The threads of a turn, and what each is doing, so that a commit knows whether others may soon share its write."""

    def __init__(self) -> None:
        self.in_order = (
            False  # for tests: branches, and bodies in threads, run one at a time, so the same one is first each time
        )
        self._helpers = 0  # besides the turn's own thread; fans of one turn share them
        self._lock = threading.Lock()
        self._resting: set[int] = set()
        self._bodies: dict[int, float] = {}  # since when in a body, by thread

    @property
    def count(self) -> int:
        """Threads that run branches, and the turn's own."""
        return self._helpers + 1

    def may_come(self) -> int:
        """Threads that may soon have something to commit: also those between two branches, and those that are just being
        started, but none that waits for others or is in a body that has run for a while."""
        long_ago = time.perf_counter() - _LONG_BODY_S
        bodies = tuple(self._bodies.values())
        return self.count - len(self._resting) - sum(began < long_ago for began in bodies)

    def take_helper(self) -> bool:
        """One of the threads that a turn may have besides its own, if any is left."""
        with self._lock:
            if self.in_order or self._helpers >= MOST_HELPERS:
                return False
            self._helpers += 1
            return True

    def give_helper_back(self) -> None:
        with self._lock:
            self._helpers -= 1

    @contextlib.contextmanager
    def rest(self) -> Iterator[None]:
        """While this thread waits for others."""
        me = threading.get_ident()
        self._resting.add(me)
        try:
            yield
        finally:
            self._resting.discard(me)

    def begin_body(self) -> bool:
        """Whether the body was noted: only if there are other threads."""
        if self._helpers == 0:
            return False
        self._bodies[threading.get_ident()] = time.perf_counter()
        return True

    def end_body(self, began: bool) -> None:
        if began:
            self._bodies.pop(threading.get_ident(), None)
