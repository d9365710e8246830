"""What tells one value from another, as plain data: every type, field, digit and zone. An oracle that shares no code with the
package: two values are the same if they are told alike. `loosely`: without what an annotation may take away, a subclass
(an IntEnum for an int) and an int for a float."""

from __future__ import annotations

import collections
import dataclasses
from datetime import date, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, SecretBytes, SecretStr


def told(value: Any, *, loosely: bool = False) -> Any:
    return _told(value, _loose if loosely else lambda value: (type(value), value))


def _told(value: Any, of: Any) -> Any:
    kind, value = of(value)
    if isinstance(value, Enum):
        return kind, value.name, repr(value.value)
    if value is None or isinstance(value, bool | int | float | str | bytes | bytearray | date | time | timedelta):
        return kind, repr(value), _zone(getattr(value, "tzinfo", None)), getattr(value, "fold", 0)
    if isinstance(value, Decimal):
        return kind, str(value)
    if isinstance(value, SecretStr | SecretBytes):
        return kind, repr(value.get_secret_value())
    if isinstance(value, BaseModel):
        return _model(kind, value, of)
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(kind)]
        state = {name: getattr(value, name) for name in names if hasattr(value, name)}
        return kind, _items({**state, **getattr(value, "__dict__", {})}, of)
    if isinstance(value, dict):
        factory = getattr(value, "default_factory", None)
        return kind, factory, [(_told(key, of), _told(item, of)) for key, item in value.items()]
    if isinstance(value, set | frozenset):
        return kind, sorted((_told(item, of) for item in value), key=repr)
    if isinstance(value, list | tuple | collections.deque):
        return kind, getattr(value, "maxlen", None), [_told(item, of) for item in value]
    return kind, str(value)


def _loose(value: Any) -> tuple[type, Any]:
    if isinstance(value, bool) or value is None:
        return type(value), value
    if isinstance(value, int | float):
        return float, float(value) if abs(value) < 2**53 or isinstance(value, float) else int(value)
    for base in (str, dict):
        if isinstance(value, base):
            return base, base.__str__(value) if base is str else value
    return type(value), value


def _model(kind: type, value: BaseModel, of: Any) -> Any:
    private = value.__pydantic_private__ or {}
    parts = _items(value.__dict__, of), _items(value.__pydantic_extra__ or {}, of), _items(private, of)
    return kind, parts, sorted(value.__pydantic_fields_set__)


def _items(state: dict[str, Any], of: Any) -> Any:
    return sorted((name, _told(part, of)) for name, part in state.items())


def _zone(zone: tzinfo | None) -> Any:
    if isinstance(zone, ZoneInfo):
        return zone.key
    return None if zone is None else (zone.utcoffset(None), zone.tzname(None))
