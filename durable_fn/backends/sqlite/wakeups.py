"""No messages: the poll is the timer."""

from __future__ import annotations

from ...core.hint import Hint


class PollingWakeups:
    """SQLite's index is never stale, so a poll of it is the timer and no message is needed."""

    def serve(self, fn: str) -> None:
        """Nothing: there are no queues."""

    def forward(self, hint: Hint) -> None:
        """Nothing: the poll of the other function finds it."""

    def send(self, hint: Hint, now: int) -> None:
        """Nothing: whoever polls finds the execution by its due time."""
