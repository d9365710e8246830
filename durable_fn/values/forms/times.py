"""Moments as text, with all that belongs to them: ISO 8601, the zone's name behind it as in RFC 9557, and which of two equal
readings of the clock is meant.

    2026-10-25T02:30:00+01:00[Europe/Berlin][fold=1]     12:04:00[Europe/Berlin]     2026-01-01T00:00:00Z
    2026-01-01T00:00:00+01:00[name=CET]                  a fixed offset that was given a name

The classes are kept in closures and tables: a library that freezes time replaces those of a module.
"""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from typing import Any, Final
from urllib.parse import quote, unquote

from .base import Unwritable

_FOLD: Final = "[fold=1]"
_NAME: Final = "name="
_UTC: Final = UTC
_FIXED: Final = timezone


def write_datetime(value: Any, _isoformat: Any = datetime.isoformat) -> str:
    """Raises Unwritable for a zone that has rules and no name."""
    text: str = _isoformat(value)
    zone = value.tzinfo
    if zone is not None:
        if text[-6:] == "+00:00":
            text = f"{text[:-6]}Z"
        if zone is not _UTC and (name := zone_name(zone)) is not None:
            text = f"{text}[{name}]"
    return text + _FOLD if value.fold else text


def read_datetime(text: str, _parse: Any = datetime.fromisoformat) -> Any:
    """Raises ValueError or TypeError. A zone whose rules have changed since keeps the moment, not the reading of the clock."""
    if text[-1:] != "]":
        return _parse(text)
    text, name, fold = _apart(text)
    value = _parse(text)
    if name.startswith(_NAME):
        return value.replace(tzinfo=_named_offset(value, name), fold=fold)
    if name:
        zoned = value.replace(tzinfo=_zone(name), fold=fold)
        return zoned if value.utcoffset() == zoned.utcoffset() else value.astimezone(_zone(name))
    return value.replace(fold=fold)


def write_time(value: Any, _isoformat: Any = time.isoformat) -> str:
    text: str = _isoformat(value)
    zone = value.tzinfo
    if zone is not None:
        if text[-6:] == "+00:00":
            text = f"{text[:-6]}Z"
        if zone is not _UTC and (name := zone_name(zone)) is not None:
            text = f"{text}[{name}]"
    return text + _FOLD if value.fold else text


def read_time(text: str, _parse: Any = time.fromisoformat) -> Any:
    """Raises ValueError or TypeError."""
    if text[-1:] != "]":
        return _parse(text)
    text, name, fold = _apart(text)
    value = _parse(text)
    if not name:
        return value.replace(fold=fold)
    zone = _named_offset(value, name) if name.startswith(_NAME) else _zone(name)
    return value.replace(tzinfo=zone, fold=fold)


def _named_offset(value: Any, name: str) -> tzinfo:
    return _FIXED(value.utcoffset(), unquote(name.removeprefix(_NAME)))


def _apart(text: str) -> tuple[str, str, int]:
    fold = 1 if text.endswith(_FOLD) else 0
    text = text.removesuffix(_FOLD)
    text, _, name = text.partition("[")
    return text, name.removesuffix("]"), fold


def _zone(name: str) -> tzinfo:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError) as error:
        raise ValueError(f"there is no time zone {name!r} here: {error}") from None


def zone_name(zone: tzinfo) -> str | None:
    """Of an IANA zone, or the name that a fixed offset was given; None for one that has none. A fixed offset is told without
    asking for a moment. Raises Unwritable for any other."""
    zoneinfo = sys.modules.get("zoneinfo")
    if zoneinfo is not None and isinstance(zone, zoneinfo.ZoneInfo):
        if zone.key is None:
            raise Unwritable("its ZoneInfo was read from a file and has no name; make it with ZoneInfo('Area/City')")
        return str(zone.key)
    try:
        fixed = zone.utcoffset(None)
    except Exception:
        fixed = None
    if fixed is None:
        raise Unwritable(
            f"the rules of its time zone, a {type(zone).__module__}.{type(zone).__qualname__}, would be lost; use "
            "zoneinfo.ZoneInfo, or value.astimezone(UTC)"
        )
    own = zone.tzname(None)
    if own is None or own == _FIXED(fixed).tzname(None):
        return None
    return _NAME + quote(own, safe=" ")


# -- time spans ----------------------------------------------------------------------------------------------------

_SPAN: Final = re.compile(r"(-?)P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d{1,6}))?S)?)?")


def write_timedelta(value: Any) -> str:
    """ISO 8601, exactly: "P400DT1H0.000001S", "-P1D"."""
    micros = (value.days * 86_400 + value.seconds) * 1_000_000 + value.microseconds
    sign, micros = ("-", -micros) if micros < 0 else ("", micros)
    seconds, micros = divmod(micros, 1_000_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    clock = f"{hours}H" * (hours > 0) + f"{minutes}M" * (minutes > 0)
    if seconds or micros or not (days or clock):
        clock += f"{seconds}{f'.{micros:06}'.rstrip('0') if micros else ''}S"
    return f"{sign}P{f'{days}D' if days else ''}{'T' if clock else ''}{clock}"


def read_timedelta(text: str, _make: Any = timedelta) -> Any:
    """Raises ValueError or TypeError."""
    found = _SPAN.fullmatch(text)
    if found is None:
        raise ValueError(f"no time span: {text[:40]!r}")
    sign, *parts = found.groups()
    days, hours, minutes, seconds = (int(part or 0) for part in parts[:4])
    micros = int((parts[4] or "").ljust(6, "0"))
    span = _make(days=days, hours=hours, minutes=minutes, seconds=seconds, microseconds=micros)
    return -span if sign else span
