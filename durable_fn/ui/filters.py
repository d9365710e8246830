"""What the address of a list says: the filters of `DurableClient.page`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ..types import ExecutionFilter
from .messages import Refused

_TEXTS: Final = ("name", "name_prefix", "id_prefix", "parent")
_TIMES: Final = ("started_after", "started_before", "updated_after")
_CHOICES: Final = ("held", "overdue", "has_error")
_UNITS: Final = {"m": 60, "h": 3600, "d": 86_400}


def chosen(query: Mapping[str, Any], now: datetime) -> ExecutionFilter:
    """Raises Refused for a value that means nothing."""
    found: dict[str, Any] = {name: text for name in _TEXTS if (text := str(query.get(name) or ""))}
    statuses = [one for one in str(query.get("status") or "").split(",") if one]
    if statuses:
        found["status"] = tuple(statuses)
    for name in _TIMES:
        if query.get(name):
            found[name] = _time(name, str(query[name]), now)
    for name in _CHOICES:
        if query.get(name) not in (None, ""):
            found[name] = _choice(name, str(query[name]))
    return ExecutionFilter(**found)


def _choice(name: str, text: str) -> bool:
    if text.lower() in ("1", "true", "yes"):
        return True
    if text.lower() in ("0", "false", "no"):
        return False
    raise Refused(400, f"{name} is 1 or 0")


def _time(name: str, text: str, now: datetime) -> datetime:
    """An ISO time, in UTC without a zone, or how long ago: 90m, 24h, 7d."""
    if text[:-1].isdecimal() and text[-1] in _UNITS and len(text) < 8:
        return now - timedelta(seconds=int(text[:-1]) * _UNITS[text[-1]])
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(400, f"{name} is a time as 2026-01-31T12:00:00Z, or how long ago: 90m, 24h, 7d") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
