"""Values as text that tells whether two of them are equal: only data is looked at, and nothing of the user's is called."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

from ..values.sameness import difference

_SCALARS: Final = (type(None), bool, int, float, complex, str, bytes, Decimal, UUID, date, time, timedelta)
_DEEPEST: Final = 20


def as_text(value: Any, depth: int = 0) -> str:
    """Keys and members of sets in one order. An object that is no data counts as another of its class."""
    if isinstance(value, Enum):
        return str(value)
    if isinstance(value, _SCALARS):
        return repr(value)
    kind = type(value).__name__
    if depth > _DEEPEST:
        return f"<{kind}>"
    if isinstance(value, list | tuple):
        inside = ", ".join(as_text(item, depth + 1) for item in value)
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    if isinstance(value, set | frozenset):
        return "{" + ", ".join(sorted(as_text(item, depth + 1) for item in value)) + "}"
    fields = _fields(value)
    if fields is None:
        return f"<{kind}>"
    rows = sorted(f"{as_text(key, depth + 1)}: {as_text(item, depth + 1)}" for key, item in fields.items())
    return ("" if type(value) is dict else kind) + "{" + ", ".join(rows) + "}"


def _fields(value: Any) -> Mapping[Any, Any] | None:
    """Of a mapping, a dataclass or a model."""
    if isinstance(value, dict):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    if hasattr(type(value), "__pydantic_validator__"):
        found: dict[str, Any] = value.__dict__
        return found
    return None


def same(one: Any, other: Any) -> bool:
    """Decoded values, so that the order of keys and of a set's members does not matter; NaN is NaN."""
    try:
        return difference(one, other) is None or bool(one == other)
    except Exception:
        return as_text(one) == as_text(other)
