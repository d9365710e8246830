"""Times as people name them, in an address of the dashboard or an option of the command."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str, now: datetime | None = None) -> datetime:
    """So long ago, or a time: one without a zone is local. Raises ValueError."""
    given = text.strip()
    ago = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", given, re.ASCII)
    try:
        if ago is not None:
            return (now or datetime.now(UTC)) - timedelta(**{_UNITS[ago[2]]: float(ago[1])})
        at = datetime.fromisoformat(given)
        return at.astimezone() if at.tzinfo is None else at
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no time: write 30m, 2h or 3d, or a time as 2026-01-31T02:47+01:00") from None
