"""What tells one value from another, as plain data: every type, field, digit and zone. An oracle that shares no code with the
package: two values are the same if they are told alike."""

from __future__ import annotations

import collections
import dataclasses
from datetime import date, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, SecretBytes, SecretStr


def told(value: Any) -> Any:
    kind = type(value)
    if isinstance(value, Enum):
        return kind, value.name, repr(value.value)
    if value is None or isinstance(value, bool | int | float | str | bytes | bytearray | date | time | timedelta):
        return kind, repr(value), _zone(getattr(value, "tzinfo", None)), getattr(value, "fold", 0)
    if isinstance(value, Decimal):
        return kind, str(value)
    if isinstance(value, SecretStr | SecretBytes):
        return kind, repr(value.get_secret_value())
    if isinstance(value, BaseModel):
        return _model(kind, value)
    if dataclasses.is_dataclass(value):
        state = {
            name: getattr(value, name) for name in (f.name for f in dataclasses.fields(kind)) if hasattr(value, name)
        }
        return kind, _items({**state, **getattr(value, "__dict__", {})})
    if isinstance(value, dict):
        return kind, getattr(value, "default_factory", None), [(told(key), told(item)) for key, item in value.items()]
    if isinstance(value, set | frozenset):
        return kind, sorted((told(item) for item in value), key=repr)
    if isinstance(value, list | tuple | collections.deque):
        return kind, getattr(value, "maxlen", None), [told(item) for item in value]
    return kind, str(value)


def _model(kind: type, value: BaseModel) -> Any:
    private = value.__pydantic_private__ or {}
    parts = _items(value.__dict__), _items(value.__pydantic_extra__ or {}), _items(private)
    return kind, parts, sorted(value.__pydantic_fields_set__)


def _items(state: dict[str, Any]) -> Any:
    return sorted((name, told(part)) for name, part in state.items())


def _zone(zone: tzinfo | None) -> Any:
    if isinstance(zone, ZoneInfo):
        return zone.key
    return None if zone is None else (zone.utcoffset(None), zone.tzname(None))
