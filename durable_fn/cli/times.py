"""Times and durations as people read them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

_SPANS: Final = ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))


def local(at: datetime | None, *, utc: bool = False) -> str:
    """With its zone: 2026-01-31 02:47:00 CET."""
    if at is None:
        return ""
    there = at.astimezone(UTC) if utc else at.astimezone()
    return f"{there:%Y-%m-%d %H:%M:%S} {_zone(there)}"


def both(at: datetime | None) -> str:
    """Local and UTC: 2026-01-31 02:47:00 CET (01:47:00 UTC). Once, where they are the same."""
    if at is None:
        return ""
    there, utc = at.astimezone(), at.astimezone(UTC)
    if there.utcoffset() == utc.utcoffset():
        return local(at, utc=True)
    form = "%H:%M:%S" if there.date() == utc.date() else "%Y-%m-%d %H:%M:%S"
    return f"{local(at)} ({utc.strftime(form)} UTC)"


def _zone(at: datetime) -> str:
    """Its name, or where the system has none, how far it is from UTC."""
    name = at.tzname() or ""
    return name if name.isascii() and name.isalpha() else at.strftime("%z")


def span(seconds: float) -> str:
    """About how long: 0.2 s, 47 s, 2 min 5 s, 3 h 10 min, 5 d 2 h."""
    if seconds < 0:
        return f"-{span(-seconds)}"
    if seconds < 10:
        return f"{seconds:.3g} s" if seconds >= 0.001 or not seconds else "< 1 ms"
    whole = round(seconds)
    for size, name, smaller, other in _SPANS:
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {name} {rest} {other}" if rest else f"{whole // size} {name}"
    return f"{whole} s"


def distance(at: datetime | None, now: datetime) -> str:
    """in 5 min, or 2 h ago."""
    if at is None:
        return ""
    seconds = (at - now).total_seconds()
    return f"in {span(seconds)}" if seconds > 0 else f"{span(-seconds)} ago"
