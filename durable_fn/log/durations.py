"""Durations as users write them, checked once, in whole milliseconds."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from ..types import Duration

LONGEST = 100 * 366 * 86_400_000  # a hundred years; keeps every due time a valid datetime
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def milliseconds(duration: Duration, what: str) -> int:
    """A `timedelta` or seconds as milliseconds, rounded up, so that a wait is never cut short.

    `what` names the argument in errors. Raises TypeError for anything else (a bool too), ValueError for a negative,
    endless or not finite one.
    """
    if isinstance(duration, timedelta):
        seconds = duration.total_seconds()
    elif isinstance(duration, int | float) and not isinstance(duration, bool):
        seconds = duration
    else:
        raise TypeError(f"{what} must be a timedelta or a number of seconds, not {type(duration).__name__}")
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"{what} must be 0 or more seconds, got {duration!r}")
    result = math.ceil(seconds * 1000 - 1e-6)
    if result > LONGEST:
        raise ValueError(f"{what} must be at most 100 years, got {duration!r}")
    return result


def moment(when: datetime, what: str) -> int:
    """An aware datetime as epoch milliseconds. Raises ValueError for a naive one: nobody knows which zone it is in."""
    if not isinstance(when, datetime):
        raise TypeError(f"{what} must be a datetime, not {type(when).__name__}")
    if when.tzinfo is None or when.utcoffset() is None:
        raise ValueError(f"{what} must have a time zone, got the naive {when!r}; use datetime.now(timezone.utc)")
    return -((_EPOCH - when) // _MILLISECOND)  # rounded up, in whole numbers


def aware(epoch_ms: int) -> datetime:
    """Epoch milliseconds as an aware UTC datetime."""
    return _EPOCH + timedelta(milliseconds=epoch_ms)
