"""Whether what came back is what was stored: compared by structure, not by `==`, which takes True for 1 and 1.0 for 1.

Types and fields, keys and items, numbers with their digits, NaN equal to NaN. What comes back as a base class is compared as
that; a class that shows no fields by `==` where it has one of its own, else by what pydantic writes for it.
"""

from __future__ import annotations

import collections
import dataclasses
import sys
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from typing import Any, Final, NamedTuple
from uuid import UUID

from .forms.base import NotStorable, Unwritable
from .forms.records import MISSING, more_than_fields
from .forms.times import zone_name


class Difference(NamedTuple):
    """The first place where two values are not the same."""

    path: str
    stored: Any
    back: Any

    def inside(self, part: str) -> Difference:
        return self._replace(path=part + self.path)


def difference(stored: Any, back: Any) -> Difference | None:
    if stored is back:
        return None
    kind = type(back)
    if kind in _EQUAL and type(stored) is kind:
        return None if stored == back else Difference("", stored, back)
    if type(stored) is not kind and not isinstance(stored, kind):
        if kind is float and type(stored) is int and stored == back:
            return None
        if not _generic_twins(type(stored), kind):
            return Difference("", stored, back)
    compare = _COMPARED.get(kind) or _find(kind)
    return compare(stored, back)


def _by_base(base: type) -> Callable[[Any, Any], Difference | None]:
    equal: Any = base.__eq__

    def compare(stored: Any, back: Any) -> Difference | None:
        return None if equal(stored, back) is True else Difference("", stored, back)

    return compare


def _float(stored: Any, back: Any) -> Difference | None:
    return None if float.__repr__(float(stored)) == float.__repr__(back) else Difference("", stored, back)


def _complex(stored: Any, back: Any) -> Difference | None:
    found = _float(stored.real, back.real) or _float(stored.imag, back.imag)
    return found and Difference("", stored, back)


def _decimal(stored: Any, back: Any) -> Difference | None:
    return None if Decimal.as_tuple(stored) == Decimal.as_tuple(back) else Difference("", stored, back)


def _moment(stored: Any, back: Any) -> Difference | None:
    """By what the clock shows, the offset and the zone."""
    if stored.tzinfo is back.tzinfo and stored.fold == back.fold and stored == back:
        return None
    plain = stored.replace(tzinfo=None, fold=0) == back.replace(tzinfo=None, fold=0)
    same = plain and stored.fold == back.fold and stored.utcoffset() == back.utcoffset()
    return None if same and _zone(stored.tzinfo) == _zone(back.tzinfo) else Difference("", stored, back)


def _zone(zone: tzinfo | None) -> Any:
    if zone is None:
        return ""
    try:
        return zone_name(zone)
    except Unwritable:
        return zone


def _identity(stored: Any, back: Any) -> Difference | None:
    return None if stored is back else Difference("", stored, back)


def _items(stored: Any, back: Any) -> Difference | None:
    if len(stored) != len(back):
        return Difference("", stored, back)
    for index, (one, other) in enumerate(zip(stored, back, strict=True)):
        found = difference(one, other)
        if found is not None:
            return found.inside(f"[{index}]")
    return None


def _deque(stored: Any, back: Any) -> Difference | None:
    return _items(stored, back) if stored.maxlen == back.maxlen else Difference("", stored, back)


def _set(stored: Any, back: Any) -> Difference | None:
    if len(stored) != len(back):
        return Difference("", stored, back)
    left = {item: item for item in back}
    for one in stored:
        if one in left:
            found = left[one] if difference(one, left[one]) is None else MISSING
        else:  # NaN is not found by asking for it
            found = next((item for item in left if difference(one, item) is None), MISSING)
        if found is MISSING:
            return Difference("", stored, back)
        del left[found]
    return None


def _defaults(stored: Any, back: Any) -> Difference | None:
    same = stored.default_factory is back.default_factory
    return _dict(stored, back) if same else Difference(".default_factory", stored.default_factory, back.default_factory)


def _dict(stored: Any, back: Any) -> Difference | None:
    """Key by key; their order does not count."""
    if len(stored) != len(back):
        return Difference("", stored, back)
    for (one, value), (other, there) in zip(stored.items(), back.items(), strict=True):
        if (one is not other or type(one) is not str) and difference(one, other) is not None:
            return _unordered(stored, back)
        found = difference(value, there)
        if found is not None:
            return found.inside(f"[{one!r}]")
    return None


def _unordered(stored: Any, back: Any) -> Difference | None:
    keys = {key: key for key in back}
    for one, value in stored.items():
        other = keys.get(one, MISSING)
        if other is MISSING or difference(one, other) is not None:
            return Difference(f"[{one!r}]", value, MISSING)
        found = difference(value, back[other])
        if found is not None:
            return found.inside(f"[{one!r}]")
    return None


def _named(names: Iterable[str], get: Callable[[Any, str], Any]) -> Callable[[Any, Any], Difference | None]:
    names = tuple(names)

    def compare(stored: Any, back: Any) -> Difference | None:
        for name in names:
            one, other = get(stored, name), get(back, name)
            found = difference(one, other)
            if found is not None:
                return found.inside(f".{name}")
        return None

    return compare


def _dataclass(kind: Any) -> Callable[[Any, Any], Difference | None]:
    names = frozenset(field.name for field in dataclasses.fields(kind))
    fields = _named(
        [field.name for field in dataclasses.fields(kind)], lambda value, name: getattr(value, name, MISSING)
    )

    def compare(stored: Any, back: Any) -> Difference | None:
        found = fields(stored, back)
        if found is not None or type(stored) is not kind:
            return found
        one, other = (more_than_fields(value, names) for value in (stored, back))
        return None if not one and not other else _dict(one, other)

    return compare


def _model(kind: Any) -> Callable[[Any, Any], Difference | None]:
    names = tuple(kind.__pydantic_fields__)
    fields = _named(names, lambda value, name: value.__dict__.get(name, MISSING))

    def compare(stored: Any, back: Any) -> Difference | None:
        found = fields(stored, back)
        if found is not None or type(stored) is not kind:
            return found
        for part in ("__pydantic_extra__", "__pydantic_private__"):
            found = difference(getattr(stored, part) or {}, getattr(back, part) or {})
            if found is not None:
                return found
        one, other = stored.__pydantic_fields_set__, back.__pydantic_fields_set__
        return None if one == other else Difference(".model_fields_set", one, other)

    return compare


def _generic_twins(one: Any, other: Any) -> bool:
    """A generic model without its parameters, and the same with them."""
    return getattr(other, "__pydantic_generic_metadata__", {}).get("origin") is one


def _secret(stored: Any, back: Any) -> Difference | None:
    same = difference(stored.get_secret_value(), back.get_secret_value()) is None
    return None if same else Difference("", stored, back)


def _attributes(stored: Any, back: Any) -> Difference | None:
    one, other = getattr(stored, "__dict__", None), getattr(back, "__dict__", None)
    return Difference("", stored, back) if one is None or other is None else _dict(one, other)


def _closed(kind: Any) -> Callable[[Any, Any], Difference | None]:
    """Of a class that shows no fields."""
    if kind.__eq__ is not object.__eq__:
        return _by_base(kind)
    from .validation import adapter_of

    try:
        serializer = adapter_of(kind).serializer
    except NotStorable:  # what holds it writes it
        return _attributes

    def compare(stored: Any, back: Any) -> Difference | None:
        same = serializer.to_json(stored) == serializer.to_json(back)
        return None if same else Difference("", stored, back)

    return compare


_EQUAL: Final = frozenset({str, int, bool, type(None), bytes})
_COMPARED: Final[dict[type, Callable[[Any, Any], Difference | None]]] = {
    type(None): _identity, bool: _identity, str: _by_base(str), int: _by_base(int), float: _float, complex: _complex,
    bytes: _by_base(bytes), bytearray: _by_base(bytearray), Decimal: _decimal, datetime: _moment, time: _moment,
    date: _by_base(date), timedelta: _by_base(timedelta), UUID: _by_base(UUID), list: _items, tuple: _items, dict: _dict,
    set: _set, frozenset: _set,
}  # fmt: skip


def _find(kind: Any) -> Callable[[Any, Any], Difference | None]:
    found = _COMPARED[kind] = _made(kind)
    return found


def _made(kind: Any) -> Callable[[Any, Any], Difference | None]:
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and issubclass(kind, pydantic.BaseModel):
        return _model(kind)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind)
    if issubclass(kind, Enum):
        return _identity
    if callable(getattr(kind, "get_secret_value", None)):
        return _secret
    for base, compare in _CONTAINERS:
        if issubclass(kind, base):
            return compare
    return _closed(kind)


_CONTAINERS: Final[list[tuple[type, Callable[[Any, Any], Difference | None]]]] = [
    (collections.defaultdict, _defaults), (dict, _dict), (tuple, _items), (collections.deque, _deque), (list, _items),
    (set, _set), (frozenset, _set),
]  # fmt: skip
