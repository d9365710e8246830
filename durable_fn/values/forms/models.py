"""Forms of pydantic models: fields, extra keys, private attributes, and which fields were set."""

from __future__ import annotations

from typing import Any, Final

from .. import tagged
from .base import TAG, Form, Json, Unreadable, Unwritable, Writing, expected
from .records import Field, Record, fixed, more_than_fields, slots_of, taken_apart, write_attributes
from .scalars import Untyped

_set: Final = object.__setattr__


class Model(Record):
    """A subclass comes back as the annotation's class, with the fields that this one has."""

    styled = True

    def __init__(self, cls: Any, label: str) -> None:
        self.cls = cls
        self.label = label
        self._origin = cls.__pydantic_generic_metadata__["origin"]

    def settle(self, fields: list[Field], extra: Form | None = None) -> None:
        """`extra`: of the keys that no field has, where the class allows them."""
        super().settle(fields)
        self._extra = extra or Untyped()
        self._names = frozenset(f.name for f in fields)
        self._known = self._names | {"__pydantic_extra__"}  # in `__dict__`, where the class has an annotation of it
        self._extras = self.cls.model_config.get("extra")
        self._private = dict(self.cls.__private_attributes__)
        self._slots = slots_of(self.cls) - self._names

    def write(self, value: Any, w: Writing) -> Json:
        kind = type(value)
        if kind is not self.cls and not isinstance(value, self.cls) and kind is not self._origin:
            raise expected(self.label, value)
        if kind is not self.cls and kind is not self._origin:
            w.loose = True
        state = value.__dict__
        fields = self.write_fields(state, w)
        if kind is self.cls and not self._hidden and not self._slots and len(state) == len(self._names):
            whole = self._names <= value.__pydantic_fields_set__
            if whole and not value.__pydantic_private__ and not value.__pydantic_extra__:
                return fields
        return self._beside(fields, value, w)

    def _beside(self, fields: dict[str, Json], value: Any, w: Writing) -> Json:
        more: dict[str, Json] = {}
        state, kind = value.__dict__, type(value)
        own = kind is self.cls or kind is self._origin
        extra = value.__pydantic_extra__ if own or self._extras == "allow" else None
        unset = self._names.union(extra or ()) - value.__pydantic_fields_set__
        if unset:
            more["unset"] = sorted(unset)
        if hidden := self.write_hidden(state, w):
            more["x"] = hidden
        if own and kind is not self.cls:
            more["origin"] = True
        if own and (other := more_than_fields(value, self._known)):
            raise Unwritable(f"its attribute {min(other)!r} is no field; declare it, or make it a private attribute")
        if extra:
            self._write_extra(fields, more, extra, w)
        if value.__pydantic_private__ and (private := self._write_private(value.__pydantic_private__, own, w)):
            more["private"] = private
        return w.tag("model", fields, **more) if more else fields

    def same(self, stored: Any, back: Any) -> bool:
        if not type(stored) is type(back) is self.cls or stored.__pydantic_private__ or stored.__pydantic_extra__:
            return False
        if stored.__pydantic_fields_set__ != back.__pydantic_fields_set__:
            return False
        return self.same_fields(stored.__dict__, back.__dict__)

    def _write_extra(self, fields: dict[str, Json], more: dict[str, Json], extra: dict[str, Any], w: Writing) -> None:
        """Among the fields, where no field's key is in the way."""
        name, written = "", {}
        try:
            for name, value in extra.items():
                written[name] = self._extra.write(value, w)
        except Unwritable as error:
            raise error.inside(f".{name}") from None
        if written.keys().isdisjoint(self._keys | self._names) and TAG not in written:
            fields.update(written)
        else:
            more["extra"] = [[key, part] for key, part in written.items()]

    def _write_private(self, private: dict[str, Any], own: bool, w: Writing) -> dict[str, Json]:
        """One that is still its default, and cannot be stored, is made of it again. Of a subclass those of this class."""
        kept = {
            name: value
            for name, value in private.items()
            if (own and name not in self._private)
            or (name in self._private and (value is not self._private[name].default or tagged.is_plain(value, 0)))
        }
        return write_attributes(kept, w)

    def read(self, data: Json) -> Any:
        fields, beside = taken_apart(data, self.label)
        cls = self._origin if beside.get("origin") else self.cls
        state = self.read_fields(fields, beside.get("x", {}))
        extra = None
        if self._extras == "allow" or not fields.keys() <= self._keys:
            extra = self._read_extra(fields, beside)
        known = set(self._names)
        if beside or extra:
            known = known.union(extra or ()).difference(beside.get("unset", ()))
        value = cls.__new__(cls)
        _set(value, "__dict__", state)
        _set(value, "__pydantic_fields_set__", known)
        _set(value, "__pydantic_extra__", extra)
        _set(value, "__pydantic_private__", self._read_private(beside.get("private", {})) if self._private else None)
        return value

    def _read_extra(self, fields: dict[str, Json], beside: dict[str, Json]) -> dict[str, Any] | None:
        """Keys that no field has: a field that the class has no more is passed over, unless the class forbids such keys."""
        if self._extras == "allow":
            pairs = [*((key, part) for key, part in fields.items() if key not in self._keys), *beside.get("extra", ())]
            return {key: self._extra.read(part) for key, part in pairs}
        if self._extras == "forbid":
            raise Unreadable(f"{min(fields.keys() - self._keys)!r} is recorded, and {self.label} forbids other keys")
        return None

    def _read_private(self, recorded: dict[str, Json]) -> dict[str, Any]:
        private = {name: tagged.read(part) for name, part in recorded.items()}
        for name, attribute in self._private.items():
            if name in private:
                continue
            if attribute.default_factory is not None and fixed(attribute.default_factory) is None:
                raise Unreadable("it is not recorded, and has no default that is always the same").inside(f".{name}")
            if (value := attribute.get_default()) is not _undefined():
                private[name] = value
        return private


class Root(Form):
    """A RootModel: as what it holds."""

    styled = True

    def __init__(self, cls: Any, label: str) -> None:
        self.cls = cls
        self.label = label

    def settle(self, form: Form) -> None:
        self._form = form
        self.kinds = form.kinds
        self.holds(form)

    def write(self, value: Any, w: Writing) -> Json:
        if not isinstance(value, self.cls):
            raise expected(self.label, value)
        if value.__pydantic_private__:
            raise Unwritable("a root model with private attributes cannot be stored; use a model with a field")
        if type(value) is not self.cls:
            w.loose = True
        return self._form.write(value.__dict__["root"], w)

    def read(self, data: Json) -> Any:
        value = self.cls.__new__(self.cls)
        _set(value, "__dict__", {"root": self._form.read(data)})
        _set(value, "__pydantic_fields_set__", {"root"})
        return value

    def same(self, stored: Any, back: Any) -> bool:
        return type(stored) is type(back) is self.cls and self._form.same(stored.root, back.root)

    def fits(self, kind: type) -> bool:
        return kind is self.cls


def _undefined() -> Any:
    from pydantic_core import PydanticUndefined

    return PydanticUndefined
