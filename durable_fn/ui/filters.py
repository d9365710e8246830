"""What the address of a list says: the filters of `DurableClient.page`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from ..client.moments import moment
from ..types import ExecutionFilter
from .messages import Refused

_TEXTS: Final = ("name", "name_prefix", "id_prefix", "parent")
_TIMES: Final = ("started_after", "started_before", "updated_after")
_CHOICES: Final = ("held", "overdue", "has_error")


def chosen(query: Mapping[str, Any], now: datetime) -> ExecutionFilter:
    """Raises Refused and ValueError for a value that means nothing."""
    found: dict[str, Any] = {name: text for name in _TEXTS if (text := str(query.get(name) or ""))}
    statuses = [one for one in str(query.get("status") or "").split(",") if one]
    if statuses:
        found["status"] = tuple(statuses)
    for name in _TIMES:
        if query.get(name):
            found[name] = moment(str(query[name]), now)
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
