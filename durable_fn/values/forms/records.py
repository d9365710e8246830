"""Forms of dataclasses, TypedDicts and named tuples: field by field. What a class does when one is made (`__init__`,
`__post_init__`, defaults) was done once and is not done again."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from types import MemberDescriptorType
from typing import Any, Final, NamedTuple

from .. import tagged
from .base import TAG, Form, Json, Unreadable, Unwritable, Writing, expected, other_data, unreadable
from .containers import read_row, write_row

MISSING: Final = object()
_set: Final = object.__setattr__


_FACTORIES: Final = (list, dict, set, frozenset, tuple, str, int, float, bool, bytes, bytearray)


def fixed(factory: Any) -> Callable[[], Any] | None:
    """A factory that makes the same value each time, as far as anybody knows. Of any other, what is not recorded would be
    another value in each invocation."""
    return next((known for known in _FACTORIES if known is factory), None)


class Field(NamedTuple):
    """`key`: in JSON. `default`: makes the value of one that is not recorded, because the class got it later; None: it has to be
    there. `hidden`: kept, and not shown to people and other programs."""

    name: str
    key: str
    form: Form
    default: Callable[[], Any] | None
    hidden: bool = False


class Record(Form):
    """What models and dataclasses have in common. Their fields are an object; what people are not shown stands beside it, in a
    tag: {"$": "model", "v": {fields}, "x": {hidden fields}, ...}."""

    kinds = frozenset({"dict"})
    cls: Any

    def settle(self, fields: list[Field]) -> None:
        """A class may hold itself, so its fields are known later than its form."""
        keys = {f.key for f in fields}
        if len(keys) != len(fields) or TAG in keys:
            fields = [f._replace(key=f.name) for f in fields]
        self.fields = fields
        self._shown = [(f.key, f.name, f.form.write) for f in fields if not f.hidden]
        self._hidden = [f for f in fields if f.hidden]
        self._readers = [(f.key, f.name, f.form.read, f.default) for f in fields]
        self._keys = frozenset(f.key for f in fields)
        self._sames = [(f.name, f.form.same) for f in fields]
        self.holds(*(f.form for f in fields))

    def write_fields(self, state: dict[str, Any], w: Writing) -> dict[str, Json]:
        name = ""
        try:
            done = {}
            for key, name, write in self._shown:
                done[key] = write(state[name], w)
            return done
        except Unwritable as error:
            raise error.inside(f".{name}") from None
        except KeyError:
            raise Unwritable(f"its field {name!r} was never set") from None

    def write_hidden(self, state: dict[str, Any], w: Writing) -> dict[str, Json]:
        name = ""
        try:
            done = {}
            for name, _, form, _, _ in self._hidden:
                if name in state:
                    done[name] = form.write(state[name], w)
            return done
        except Unwritable as error:
            raise error.inside(f".{name}") from None

    def read_fields(self, data: dict[str, Json], hidden: dict[str, Json]) -> dict[str, Any]:
        state, name = {}, ""
        try:
            for key, name, read, default in self._readers:
                part = data.get(key, MISSING)
                if part is not MISSING:
                    state[name] = read(part)
                elif name in hidden:
                    state[name] = read(hidden[name])
                elif default is not None:
                    state[name] = default()
                else:
                    raise Unreadable("it is not recorded, and has no default that is always the same")
        except Exception as error:
            raise unreadable(error).inside(f".{name}") from error
        return state

    def same(self, stored: Any, back: Any) -> bool:
        """By the fields, where there is nothing else."""
        if not type(stored) is type(back) is self.cls:
            return False
        one, other = getattr(stored, "__dict__", None), getattr(back, "__dict__", None)
        return one is not None and other is not None and self.same_fields(one, other)

    def same_fields(self, one: dict[str, Any], other: dict[str, Any]) -> bool:
        if not len(one) == len(other) == len(self._sames):
            return False
        try:
            for name, same in self._sames:
                mine, theirs = one[name], other[name]
                if mine is not theirs and not same(mine, theirs):
                    return False
        except KeyError:
            return False
        return True

    def fits(self, kind: type) -> bool:
        return kind is self.cls

    def knows(self, data: Json) -> bool:
        """It has all keys that are required, and none that is not known."""
        fields, beside = taken_apart(data, self.label)
        required = {f.key for f in self.fields if f.default is None and f.name not in beside.get("x", ())}
        return required <= fields.keys() <= self._keys


def taken_apart(data: Json, label: str) -> tuple[dict[str, Json], dict[str, Json]]:
    """The fields, and what stands beside them."""
    if type(data) is not dict:
        raise other_data(label, data)
    if TAG not in data:
        return data, {}
    if data[TAG] == "dict":  # recorded before it was annotated, from a dict with keys like a tag's
        return {key: part for key, part in data["v"] if isinstance(key, str)}, {}
    if data[TAG] != "model":
        raise other_data(label, data)
    return data["v"], data


def more_than_fields(value: Any, names: frozenset[str]) -> dict[str, Any]:
    """Attributes of an instance besides its fields. What `functools.cached_property` keeps is made again."""
    cls: Any = type(value)
    state, slots = getattr(value, "__dict__", {}), slots_of(cls)
    if state.keys() <= names and slots <= names:
        return {}
    found = {name: part for name in sorted(slots) if (part := getattr(value, name, MISSING)) is not MISSING}
    return {
        name: part
        for name, part in {**state, **found}.items()
        if name not in names and not isinstance(getattr(cls, name, None), functools.cached_property)
    }


@functools.cache
def slots_of(cls: Any) -> frozenset[str]:
    """Names of attributes that instances have outside of `__dict__`."""
    members = (item for base in cls.__mro__ for item in vars(base).items())
    return frozenset(
        name for name, member in members if isinstance(member, MemberDescriptorType) and not name.startswith("__")
    )


class DataRecord(Record):
    """A dataclass: the standard library's or pydantic's."""

    def __init__(self, cls: type, label: str) -> None:
        self.cls = cls
        self.label = label

    def settle(self, fields: list[Field]) -> None:
        super().settle(fields)
        self._names = frozenset(f.name for f in fields)
        self._late = frozenset(f.name for f in dataclasses.fields(self.cls) if not f.init)  # may never have been set
        self._has_dict = any("__dict__" in vars(base) for base in self.cls.__mro__)
        self._slots = slots_of(self.cls) - self._names

    def write(self, value: Any, w: Writing) -> Json:
        if not isinstance(value, self.cls):
            raise expected(self.label, value)
        if type(value) is not self.cls:
            w.loose = True
        state = value.__dict__ if self._has_dict else {}
        if not self._names <= state.keys():  # slots, or a field that has not been set
            found = {name: getattr(value, name, MISSING) for name in self._names}
            state = {**state, **{name: part for name, part in found.items() if part is not MISSING}}
        unset = self._names - state.keys()
        if unset:
            return self._beside(self._some(state, unset, w), value, state, w)
        fields = self.write_fields(state, w)
        if self._hidden or self._slots or (type(value) is self.cls and not state.keys() <= self._names):
            return self._beside(fields, value, state, w)
        return fields

    def _some(self, state: dict[str, Any], unset: frozenset[str], w: Writing) -> dict[str, Json]:
        if not unset <= self._late:
            raise Unwritable(f"its field {min(unset - self._late)!r} was never set")
        return {f.key: f.form.write(state[f.name], w) for f in self.fields if f.name in state and not f.hidden}

    def _beside(self, fields: dict[str, Json], value: Any, state: dict[str, Any], w: Writing) -> Json:
        more: dict[str, Json] = {}
        hidden = self.write_hidden(state, w)
        if hidden:
            more["x"] = hidden
        unset = self._names - state.keys()
        if unset:
            more["unset"] = sorted(unset)
        extra = more_than_fields(value, self._names) if type(value) is self.cls else {}
        if extra:
            more["extra"] = write_attributes(extra, w)
        return w.tag("model", fields, **more) if more else fields

    def read(self, data: Json) -> Any:
        fields, beside = taken_apart(data, self.label)
        value = self.cls.__new__(self.cls)
        if "unset" in beside:
            missing = set(beside["unset"])
            state = {f.name: f.form.read(fields[f.key]) for f in self.fields if f.name not in missing and not f.hidden}
        else:
            state = self.read_fields(fields, beside.get("x", {}))
        for name, part in beside.get("extra", {}).items():
            state[name] = tagged.read(part)
        for name, part in state.items():
            _set(value, name, part)
        return value


def write_attributes(values: dict[str, Any], w: Writing) -> dict[str, Json]:
    """Attributes that no annotation says anything of."""
    name, done = "", {}
    try:
        for name, value in values.items():
            done[name] = tagged.write(value, w)
    except Unwritable as error:
        raise error.inside(f".{name}") from None
    return done


class TypedMapping(Record):
    """A TypedDict. Keys that it does not name are kept by their own type."""

    def __init__(self, cls: type, label: str) -> None:
        self.cls = cls
        self.label = label

    def settle(self, fields: list[Field]) -> None:
        """`default` says that a key may be missing."""
        super().settle(fields)
        self._by_key = {f.name: f for f in fields}
        self._required = frozenset(f.name for f in fields if f.default is None)

    def write(self, value: Any, w: Writing) -> Json:
        if not isinstance(value, dict):
            raise expected(self.label, value)
        if not self._required <= value.keys():
            missing = next(name for name in self._by_key if name in self._required and name not in value)
            raise Unwritable(f"it is annotated as {self.label}, but has no key {missing!r}")
        if type(value) is not dict:
            w.loose = True
        done: dict[Any, Json] = {}
        key: Any = None
        try:
            for key, part in value.items():
                known = self._by_key.get(key)
                done[key] = tagged.write(part, w) if known is None else known.form.write(part, w)
        except Unwritable as error:
            raise error.inside(f"[{key!r}]") from None
        if TAG in done or not all(type(key) is str for key in done):
            return w.tag("dict", [[tagged.write(key, w), part] for key, part in done.items()])
        return done

    def read(self, data: Json) -> Any:
        if type(data) is not dict:
            raise other_data(self.label, data)
        pairs: Any = data.items()
        if TAG in data:
            if data[TAG] != "dict":
                raise other_data(self.label, data)
            pairs = [(tagged.read(key), part) for key, part in data["v"]]
        done: dict[Any, Any] = {}
        key: Any = None
        try:
            for key, part in pairs:
                known = self._by_key.get(key)
                done[key] = tagged.read(part) if known is None else known.form.read(part)
        except Exception as error:
            raise unreadable(error).inside(f"[{key!r}]") from error
        if not self._required <= done.keys():
            raise Unreadable(f"the key {min(self._required - done.keys())!r} is required, and not recorded")
        return done

    def same(self, stored: Any, back: Any) -> bool:
        if (
            not type(stored) is type(back) is dict
            or stored.keys() != back.keys()
            or not stored.keys() <= self._by_key.keys()
        ):
            return False
        return all(self._by_key[key].form.same(value, back[key]) for key, value in stored.items())

    def fits(self, kind: type) -> bool:
        return kind is dict

    def has(self, value: Any) -> bool:
        """Whether a dict has its keys and no others."""
        return isinstance(value, dict) and self._required <= value.keys() <= self._by_key.keys()


class NamedRow(Form):
    """A named tuple: as a list. Fields that it got later have their defaults."""

    kinds = frozenset({"list"})

    def __init__(self, cls: Any, label: str) -> None:
        self.cls = cls
        self.label = label

    def settle(self, items: list[Form]) -> None:
        self._items = items
        self.holds(*items)

    def write(self, value: Any, w: Writing) -> Json:
        if not isinstance(value, self.cls):
            raise expected(self.label, value)
        if type(value) is self.cls and (state := getattr(value, "__dict__", None)):
            raise Unwritable(f"its attribute {min(state)!r} is no field, and would be lost")
        if type(value) is not self.cls:
            w.loose = True
        try:
            return write_row(value, w, self._items)
        except Unwritable as error:
            place = int(error.path[1:].partition("]")[0])
            error.path = f".{self.cls._fields[place]}{error.path.partition(']')[2]}"
            raise error from None

    def read(self, data: Json) -> Any:
        if type(data) is not list or len(data) > len(self._items):
            raise other_data(self.label, data)
        done = read_row(data, self._items)
        for name in self.cls._fields[len(data) :]:
            if name not in self.cls._field_defaults:
                raise Unreadable(f"its field {name!r} is required, and not recorded")
            done.append(self.cls._field_defaults[name])
        return tuple.__new__(self.cls, done)

    def same(self, stored: Any, back: Any) -> bool:
        return type(stored) is type(back) is self.cls and all(
            item.same(one, other) for item, one, other in zip(self._items, stored, back, strict=True)
        )

    def fits(self, kind: type) -> bool:
        return kind is self.cls
