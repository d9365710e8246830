"""How long to wait before something that did not work is tried again: twice as long each time, and never longer than an hour."""

from __future__ import annotations

from typing import Final

LONGEST_MS: Final = 3_600_000
SWEEP_MS: Final = 60_000
"""Between the first two messages to an execution that is due and is not taken."""
HELD_MS: Final = 60_000
"""Before an execution that cannot go on is tried again."""
OUTAGE_MS: Final = 2_000
"""Before an execution goes on whose owner could not write."""


def pause_ms(first_ms: int, before: int) -> int:
    """`before`: how often it was tried in vain already."""
    return min(first_ms << min(before, 32), LONGEST_MS)
