"""Forms of values without parts."""

from __future__ import annotations

import base64
import math
import operator
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, Flag
from typing import Any, Final
from uuid import UUID

from .. import tagged
from ..documents import ASTERISKS, HIDDEN, dumps
from .base import TAG, Form, Json, Unreadable, Unwritable, Writing, as_it_is, expected, kind_of, name_of, other_data
from .times import read_datetime, read_time, read_timedelta, write_datetime, write_time, write_timedelta

Lax = Callable[[Any, Json], Any]


class Untyped(Form):
    """`Any` and whatever says no more: the value's own type decides."""

    kinds = frozenset({"null", "bool", "int", "float", "str", "list", "dict"})
    label = "Any"

    def write(self, value: Any, w: Writing) -> Json:
        return tagged.write(value, w)

    def read(self, data: Json) -> Any:
        return tagged.read(data)

    def same(self, stored: Any, back: Any) -> bool:
        from ..sameness import difference

        return difference(stored, back) is None

    def fits(self, kind: type) -> bool:
        return kind in _KNOWN


_KNOWN: Final = frozenset({type(None), bool, int, float, str, list, dict, tuple, set, frozenset, *tagged.WRITERS})


class Nothing(Form):
    kinds = frozenset({"null"})
    plain = native = True
    label = "None"

    def write(self, value: Any, w: Writing) -> Json:
        if value is not None:
            raise expected("None", value)

    def read(self, data: Json) -> Any:
        if data is not None:
            raise other_data("None", data)

    def fits(self, kind: type) -> bool:
        return kind is type(None)


class Native(Form):
    """What JSON has: str, int and bool. A subclass comes back as its base; bool is no int here, it comes back as itself."""

    plain = native = True

    def __init__(self, cls: type, lax: Lax) -> None:
        self.cls = cls
        self.only = frozenset({cls})
        self.label = cls.__name__
        self.kinds = frozenset({"bool", "int"}) if cls is int else frozenset({cls.__name__})
        self._lax = lax
        self._base: Callable[[Any], Any] = str.__str__ if cls is str else int.__int__

    def write(self, value: Any, w: Writing) -> Json:
        kind = type(value)
        if kind is self.cls:
            return value
        if kind is bool and self.cls is int:
            return value
        if isinstance(value, self.cls):
            w.loose = True
            return self._base(value)
        raise expected(self.label, value)

    def read(self, data: Json) -> Any:
        kind = type(data)
        if kind is self.cls or (kind is bool and self.cls is int):
            return data
        return self._lax(self.cls, data)

    def same(self, stored: Any, back: Any) -> bool:
        return type(stored) is type(back) and self.fits(type(stored)) and bool(stored == back)

    def fits(self, kind: type) -> bool:
        return kind is self.cls or (self.cls is int and kind is bool)


class Float(Form):
    """An int is taken where it is the same number. bool comes back as itself."""

    kinds = frozenset({"float", "bool"})
    plain = True
    label = "float"

    def __init__(self, lax: Lax) -> None:
        self._lax = lax

    def write(self, value: Any, w: Writing) -> Json:
        kind = type(value)
        if kind is bool:
            return value
        if kind is not float:
            value, w.loose = self._as_float(value), True
        return value if math.isfinite(value) else w.tag("float", float.__repr__(value))

    def _as_float(self, value: Any) -> float:
        if not isinstance(value, int | float):
            raise expected("float", value)
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if number != value and not math.isnan(number):
            raise Unwritable(f"it is annotated as float, which cannot tell {value} from {number!r}; annotate it as int")
        return number

    def read(self, data: Json) -> Any:
        kind = type(data)
        if kind is float or kind is bool:
            return data
        if kind is int:
            return float(data)
        return tagged.read(data) if kind is dict and data.get(TAG) == "float" else self._lax(float, data)

    def same(self, stored: Any, back: Any) -> bool:
        return type(stored) is float and stored == back and stored != 0

    def fits(self, kind: type) -> bool:
        return kind is float


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _date(value: Any) -> str:
    if isinstance(value, _DATETIME):
        raise Unwritable(
            "it is annotated as date, but is a datetime, whose time would be lost; annotate it as datetime"
        )
    return _ISODATE(value)


_DATETIME: Final = (datetime,)
_ISODATE: Final = date.isoformat
_TEXTS: Final[dict[type, tuple[Callable[[Any], str], Callable[[str], Any]]]] = {
    datetime: (write_datetime, read_datetime),
    date: (_date, date.fromisoformat),
    time: (write_time, read_time),
    timedelta: (write_timedelta, read_timedelta),
    Decimal: (Decimal.__str__, Decimal),
    UUID: (UUID.__str__, UUID),
    bytes: (_base64, _bytes),
    bytearray: (_base64, lambda text: bytearray(_bytes(text))),
}
"""Classes whose values are texts. A subclass comes back as its base."""


def _same_moment(stored: Any, back: Any) -> bool:
    return bool(stored == back) and stored.tzinfo is back.tzinfo and stored.fold == back.fold


_SAME: Final[dict[type, Callable[[Any, Any], bool]]] = {
    datetime: _same_moment,
    time: _same_moment,
    Decimal: lambda stored, back: not stored.compare_total(back),
    UUID: lambda stored, back: bool(stored.int == back.int),
}


def is_scalar(cls: Any) -> bool:
    return isinstance(cls, type) and (cls in (str, int, bool, float) or cls in _TEXTS)


def scalar(cls: Any, lax: Lax) -> Form:
    if cls is float:
        return Float(lax)
    return Textual(cls, lax) if cls in _TEXTS else Native(cls, lax)


class Textual(Form):
    """A moment, a number of exact digits, an id, bytes: as text."""

    kinds = frozenset({"str"})

    def __init__(self, cls: type, lax: Lax) -> None:
        self.cls = cls
        self.label = cls.__name__
        self._write, self._read = _TEXTS[cls]
        self._tag = tagged.WRITERS[cls][0]
        self._same: Callable[[Any, Any], Any] = _SAME.get(cls, operator.eq)
        self._lax = lax

    def write(self, value: Any, w: Writing) -> Json:
        if isinstance(value, self.cls):
            if type(value) is not self.cls:
                w.loose = True
            return self._write(value)
        raise expected(self.label, value)

    def read(self, data: Json) -> Any:
        if type(data) is str:
            try:
                return self._read(data)
            except (ValueError, ArithmeticError):
                raise other_data(self.label, data) from None
        if type(data) is dict and data.get(TAG) == self._tag:  # recorded before it was annotated
            return tagged.read(data)
        return self._lax(self.cls, data)

    def same(self, stored: Any, back: Any) -> bool:
        return type(stored) is type(back) is self.cls and bool(self._same(stored, back))

    def fits(self, kind: type) -> bool:
        return kind is self.cls


class Choice(Form):
    """An Enum: by value where JSON has it, else by name."""

    def __init__(self, cls: type[Enum], *, raw: bool = False) -> None:
        """`raw`: a model that keeps the bare values of its Enums."""
        self.cls = cls
        self.label = name_of(cls)
        members = dict(cls.__members__)
        values = [member._value_ for member in members.values()]
        self._raw = raw
        self._flags = issubclass(cls, Flag)
        self._by_value = self._flags or all(map(_tells, values))
        self._named = members
        self._valued = {(type(m._value_), m._value_): m for m in members.values()} if self._by_value else {}
        self.kinds = frozenset(map(kind_of, values)) if self._by_value else frozenset({"str"})
        if self._flags:
            self.kinds |= {"int"}

    def write(self, value: Any, w: Writing) -> Json:
        if not isinstance(value, self.cls):
            if self._raw and (type(value), value) in self._valued:
                return as_it_is(value, w)
            raise expected(self.label, value)
        if not self._by_value:
            return value.name
        data = value._value_
        return data if type(data) is not float or math.isfinite(data) else w.tag("float", float.__repr__(data))

    def read(self, data: Json) -> Any:
        if type(data) is dict:
            if data.get(TAG) == "as":
                return tagged.read(data["v"])
            data = tagged.read(data)
        if type(data) not in (str, int, bool, float):
            raise other_data(self.label, data)
        found = self._valued.get((type(data), data)) if self._by_value else self._named.get(data)
        if found is None and self._flags and type(data) is int:
            return self.cls(data)
        if found is None:
            raise other_data(self.label, data)
        return found

    def same(self, stored: Any, back: Any) -> bool:
        return stored is back

    def fits(self, kind: type) -> bool:
        return kind is self.cls


def _tells(value: Any) -> bool:
    """Whether the member is found by its value again: NaN is not equal to itself."""
    return type(value) in (str, int, bool) or (type(value) is float and not math.isnan(value))


class Exactly(Form):
    """A Literal."""

    def __init__(self, values: tuple[Any, ...]) -> None:
        self.label = f"Literal[{', '.join(map(repr, values))}]"
        self._written: dict[tuple[type, Any], Json] = {}
        self._read: dict[tuple[type, Any], Any] = {}
        for value in values:
            data = value._value_ if isinstance(value, Enum) else value.hex() if isinstance(value, bytes) else value
            if (type(data), data) in self._read or type(data) not in (str, int, bool, type(None)):
                data = repr(value)
            self._written[type(value), value] = data
            self._read[type(data), data] = value
        self.kinds = frozenset(kind_of(data) for data in self._written.values())
        self.native = all(type(value) is type(data) and value == data for (_, value), data in self._written.items())
        self.plain = self.native

    def write(self, value: Any, w: Writing) -> Json:
        try:
            return self._written[type(value), value]
        except (KeyError, TypeError):
            raise expected(self.label, value) from None

    def read(self, data: Json) -> Any:
        try:
            return self._read[type(data), data]
        except (KeyError, TypeError):
            raise other_data(self.label, data) from None

    def same(self, stored: Any, back: Any) -> bool:
        return type(stored) is type(back) and self.has(stored) and bool(stored == back)

    def fits(self, kind: type) -> bool:
        return any(kind is known for known, _ in self._written)

    def has(self, value: Any) -> bool:
        try:
            return (type(value), value) in self._written
        except TypeError:
            return False


class Secret(Form):
    """SecretStr, SecretBytes, Secret[...]: stored only where a codec encrypts."""

    secret = True

    def __init__(self, cls: Any, inner: Form) -> None:
        self.cls = cls
        self.label = name_of(cls)
        self._inner = inner

    def write(self, value: Any, w: Writing) -> Json:
        if not isinstance(value, self.cls):
            raise Unwritable(f"it is annotated as {self.label}, but is a {name_of(type(value))} (not shown)")
        if type(value) is not self.cls:
            w.loose = True
        try:
            return tagged.write_secret(value.get_secret_value(), w, self._inner.write)
        except Unwritable as error:
            if w.secrets:
                raise Unwritable(f"what the {self.label} holds cannot be stored (not shown)") from None
            raise error

    def read(self, data: Json) -> Any:
        if type(data) is not dict or data.get(TAG) != "secret":
            raise Unreadable(f"it is annotated as {self.label}, but no secret is recorded")
        if HIDDEN in data:  # a history that was shown
            return self.cls(ASTERISKS.encode() if self._inner.label == "bytes" else ASTERISKS)
        return self.cls(self._inner.read(data["v"]))

    def fits(self, kind: type) -> bool:
        return kind is self.cls


class Foreign(Form):
    """A class that pydantic can write and read, and nothing here knows (Url, Path, one with a core schema of its own)."""

    pure = False
    foreign = styled = True

    def __init__(self, annotation: Any, adapter: Any) -> None:
        self.label = name_of(annotation)
        self._cls = annotation if isinstance(annotation, type) else None
        self._serializer, self._validator = adapter.serializer, adapter.validator

    def write(self, value: Any, w: Writing) -> Json:
        if type(value) in _KNOWN and type(value) is not self._cls:  # the class is an annotation only
            return as_it_is(tagged.write(value, w), w)
        data = self.json(value)
        if self._cls is not None and isinstance(value, self._cls) and not isinstance(self._read(data), self._cls):
            raise Unwritable(f"its class makes no {self.label} of the JSON that it writes; correct its validator")
        return w.tag("own", data)

    def json(self, value: Any) -> Json:
        from pydantic_core import from_json

        try:
            text = self._serializer.to_json(value, by_alias=True, round_trip=True, warnings="error")
            return from_json(text, allow_inf_nan=False)
        except Exception as error:
            raise Unwritable(
                f"its class writes no JSON for a {name_of(type(value))}: {first_lines(error)}; give it a serializer and a "
                "validator, or annotate it as what it is made of"
            ) from error

    def read(self, data: Json) -> Any:
        if type(data) is dict and TAG in data:
            if data[TAG] == "as":
                return tagged.read(data["v"])
            data = data["v"] if data[TAG] == "own" else tagged.strip(data)
        return self._read(data)

    def _read(self, data: Json) -> Any:
        return self._validator.validate_json(dumps(data))

    def fits(self, kind: type) -> bool:
        return kind is self._cls


def first_lines(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3])[:400] or type(error).__name__
