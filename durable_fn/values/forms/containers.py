"""Forms of lists, tuples, sets and dicts, and of whatever is one of them."""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable, Iterable
from typing import Any, Final

from .base import TAG, Form, Json, Unwritable, Writing, expected, other_data, unreadable


class Listed(Form):
    """A list, tuple, set, frozenset or deque of items of one form. Of subclasses only the items are kept."""

    kinds = frozenset({"list"})

    def __init__(self, cls: Any, item: Form) -> None:
        self.cls = cls
        self.label = f"{cls.__name__}[{item.label}{', ...' * (cls is tuple)}]"
        self._item = item
        self._sorted = cls in (set, frozenset)
        self.plain = item.plain and cls is list
        self.holds(item)

    def write(self, value: Any, w: Writing) -> Json:
        if not isinstance(value, self.cls) or (type(value) is not self.cls and hasattr(value, "_fields")):
            raise expected(self.label, value)
        if type(value) is not self.cls:
            w.loose = True
        done = write_all(sorted(value, key=repr) if self._sorted else value, w, self._item)
        if self.cls is collections.deque and value.maxlen is not None:
            return w.tag("deque", done, max=value.maxlen)
        return done

    def read(self, data: Json) -> Any:
        if type(data) is dict and TAG in data:
            if data[TAG] == "deque" and self.cls is collections.deque:
                return collections.deque(read_all(data["v"], self._item), data["max"])
            if data[TAG] not in _LISTS:
                raise other_data(self.label, data)
            data = data["v"]  # recorded before it was annotated
        if type(data) is not list:
            raise other_data(self.label, data)
        items = read_all(data, self._item)
        return items if self.cls is list else self.cls(items)

    def same(self, stored: Any, back: Any) -> bool:
        if not type(stored) is type(back) is self.cls or len(stored) != len(back) or self.cls is collections.deque:
            return False
        return (
            all(map(self._item.same, stored, back))
            if not self._sorted
            else self._item.label == "str" and stored == back
        )

    def fits(self, kind: type) -> bool:
        return kind is self.cls


_LISTS: Final = frozenset({"tuple", "set", "frozenset", "deque"})


def write_all(values: Iterable[Any], w: Writing, item: Form) -> list[Json]:
    if type(values) is list and item.only and item.only.issuperset(map(type, values)):
        return values
    write = item.write
    done: list[Json] = []
    try:
        for value in values:
            done.append(write(value, w))
    except Unwritable as error:
        raise error.inside(f"[{len(done)}]") from None
    return done


def read_all(data: list[Json], item: Form) -> list[Any]:
    if item.only and item.only.issuperset(map(type, data)):
        return data
    read = item.read
    done: list[Any] = []
    try:
        for part in data:
            done.append(read(part))
    except Exception as error:
        raise unreadable(error).inside(f"[{len(done)}]") from error
    return done


class Row(Form):
    """A tuple of a fixed length, each place with a form of its own."""

    kinds = frozenset({"list"})

    def __init__(self, items: list[Form]) -> None:
        self.label = f"tuple[{', '.join(item.label for item in items) or '()'}]"
        self._items = items
        self.holds(*items)

    def write(self, value: Any, w: Writing) -> Json:
        if not isinstance(value, tuple) or (type(value) is not tuple and hasattr(value, "_fields")):
            raise expected(self.label, value)
        if len(value) != len(self._items):
            raise Unwritable(f"it is annotated as {self.label}, but has {len(value)} items")
        if type(value) is not tuple:
            w.loose = True
        return write_row(value, w, self._items)

    def read(self, data: Json) -> Any:
        if type(data) is dict and data.get(TAG) == "tuple":
            data = data["v"]
        if type(data) is not list or len(data) != len(self._items):
            raise other_data(self.label, data)
        return tuple(read_row(data, self._items))

    def same(self, stored: Any, back: Any) -> bool:
        return (
            type(stored) is type(back) is tuple
            and len(stored) == len(back) == len(self._items)
            and all(item.same(one, other) for item, one, other in zip(self._items, stored, back, strict=True))
        )

    def fits(self, kind: type) -> bool:
        return kind is tuple


def write_row(values: Iterable[Any], w: Writing, items: list[Form]) -> list[Json]:
    done: list[Json] = []
    try:
        for item, value in zip(items, values, strict=True):
            done.append(item.write(value, w))
    except Unwritable as error:
        raise error.inside(f"[{len(done)}]") from None
    return done


def read_row(data: list[Json], items: list[Form]) -> list[Any]:
    done: list[Any] = []
    try:
        for item, part in zip(items, data, strict=False):
            done.append(item.read(part))
    except Exception as error:
        raise unreadable(error).inside(f"[{len(done)}]") from error
    return done


class Mapped(Form):
    """A dict, OrderedDict, Counter or defaultdict. Keys that JSON would change, or that a tag could be mistaken for, make it a
    list of pairs. Of subclasses only the items are kept."""

    kinds = frozenset({"dict"})

    def __init__(self, cls: Any, key: Form, item: Form, factory: Callable[[], Any] | None = None) -> None:
        self.cls = cls
        self.label = f"{cls.__name__}[{key.label}, {item.label}]"
        self._key = key
        self._item = item
        self._factory = factory
        self._ints = key.label == "int"
        self.plain = cls is dict and key.label == "str" and item.plain
        self.holds(key, item)

    @functools.cached_property
    def _texts(self) -> bool:
        """Known when the form of its keys is, which may hold this very form."""
        return self._key.kinds == frozenset({"str"})

    def write(self, value: Any, w: Writing) -> Json:
        if not isinstance(value, self.cls):
            raise expected(self.label, value)
        if self.cls is collections.defaultdict and value.default_factory is not self._factory:
            raise Unwritable(f"its default_factory would come back as {self._factory!r}; store a dict")
        if type(value) is not self.cls:
            w.loose = True
        item, place = self._item, None
        try:
            if self._texts:
                done = {}
                for place, part in value.items():
                    key = self._key.write(place, w)
                    if type(key) is not str or key == TAG or key in done:
                        return self._pairs(value, w)
                    done[key] = item.write(part, w)
                return done
            if self._ints and all(type(key) is int for key in value):
                done = {}
                for place, part in value.items():
                    done[str(place)] = item.write(part, w)
                return done
        except Unwritable as error:
            raise error.inside(f"[{place!r}]") from None
        return self._pairs(value, w)

    def _pairs(self, value: Any, w: Writing) -> Json:
        pairs, place = [], None
        try:
            for place, part in value.items():
                pairs.append([self._key.write(place, w), self._item.write(part, w)])
        except Unwritable as error:
            raise error.inside(f"[{place!r}]") from None
        return w.tag("dict", pairs)

    def read(self, data: Json) -> Any:
        if type(data) is not dict or (TAG in data and data[TAG] != "dict"):
            raise other_data(self.label, data)
        read, done, place = self._item.read, {}, None
        try:
            if TAG in data:
                for place, part in data["v"]:
                    done[self._key.read(place)] = read(part)
            elif self._ints:
                for place, part in data.items():
                    done[int(place)] = read(part)
            else:
                for place, part in data.items():
                    done[self._key.read(place)] = read(part)
        except Exception as error:
            raise unreadable(error).inside(f"[{place!r}]") from error
        if self.cls is dict:
            return done
        return collections.defaultdict(self._factory, done) if self.cls is collections.defaultdict else self.cls(done)

    def same(self, stored: Any, back: Any) -> bool:
        if type(stored) is not dict or type(back) is not dict or len(stored) != len(back):
            return False
        return all(map(self._key.same, stored, back)) and all(map(self._item.same, stored.values(), back.values()))

    def fits(self, kind: type) -> bool:
        return kind is self.cls


class Several(Form):
    """Iterable, Sequence, Mapping and the like: the value's own type decides what it is, the annotation what is in it."""

    kinds = frozenset({"list", "dict", "str"})

    def __init__(self, label: str, abstract: type, item: Form, key: Form | None = None) -> None:
        self.label = label
        self._abstract = abstract
        self._text = item.label in ("str", "Any") and key is None
        self._forms: dict[type, Form] = {cls: Listed(cls, item) for cls in _LISTED if issubclass(cls, abstract)}
        if key is not None:
            self._forms[dict] = Mapped(dict, key, item)
        self.holds(item, *([] if key is None else [key]))

    def write(self, value: Any, w: Writing) -> Json:
        kind = type(value)
        form = self._forms.get(kind)
        if form is None:
            if kind is str and self._text:
                return value
            form = next((f for cls, f in self._forms.items() if isinstance(value, cls)), None)
        if form is None:
            raise expected(self.label, value)
        data = form.write(value, w)
        return data if form.label[:4] in ("list", "dict") else w.tag("as", data, n=form.cls.__name__)  # type: ignore[attr-defined]

    def read(self, data: Json) -> Any:
        kind = type(data)
        if kind is str and self._text:
            return data
        if kind is dict and data.get(TAG) == "as":
            return next(form for cls, form in self._forms.items() if cls.__name__ == data["n"]).read(data["v"])
        if kind is dict and data.get(TAG) in ("tuple", "set", "frozenset"):  # recorded before it was annotated
            return next(form for cls, form in self._forms.items() if cls.__name__ == data[TAG]).read(data)
        form = self._forms.get(kind)
        if form is None:
            raise other_data(self.label, data)
        return form.read(data)

    def fits(self, kind: type) -> bool:
        return kind in self._forms


_LISTED: Final = (list, tuple, set, frozenset, collections.deque)
