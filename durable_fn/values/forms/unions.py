"""Forms that choose: unions, and the place in a form that holds itself."""

from __future__ import annotations

import functools
from collections import Counter
from typing import Any, NamedTuple

from .. import tagged
from .base import (
    AS_IT_IS,
    TAG,
    Form,
    Json,
    Unreadable,
    Unwritable,
    Writing,
    as_it_is,
    expected,
    kind_of,
    name_of,
    shown,
)
from .records import TypedMapping
from .scalars import Exactly, Nothing, Untyped


class Maybe(Form):
    """`X | None`."""

    def __init__(self, form: Form) -> None:
        self.label = f"{form.label} | None"
        self._form = form
        self._write, self._read = form.write, form.read
        self.holds(form)

    @property
    def kinds(self) -> frozenset[str]:  # type: ignore[override]
        return self._form.kinds | {"null"}

    @property
    def plain(self) -> bool:  # type: ignore[override]
        return self._form.plain

    def write(self, value: Any, w: Writing) -> Json:
        return None if value is None else self._write(value, w)

    def read(self, data: Json) -> Any:
        return None if data is None else self._read(data)

    def same(self, stored: Any, back: Any) -> bool:
        return stored is back or (stored is not None and back is not None and self._form.same(stored, back))

    def fits(self, kind: type) -> bool:
        return kind is type(None) or self._form.fits(kind)


class Found(NamedTuple):
    """What a union made of a value. `member` None: none took it, and why the best one did not. `at_once`: by the first one."""

    value: Any
    member: Form | None
    data: Json
    tagged: bool
    loose: bool
    at_once: bool
    why: str = ""
    path: str = ""


class Either(Form):
    """A union. The member is the one that has the value's own class, else the nearest of its bases. Where JSON alone does not
    tell which it was, its label is written too: `{"$": "as", "n": "Rejected", "v": {...}}`."""

    def __init__(self, named: list[tuple[Form, str]]) -> None:
        self._members = members = [member for member, _ in named]
        self.label = " | ".join(member.label for member in members)
        self._named = _named(named)
        self._labels = {id(member): label for label, member in self._named.items()}
        self._candidates: dict[type, list[Form]] = {}
        self._fitting: dict[type, list[Form]] = {}
        self._choosy = [member for member in members if isinstance(member, Exactly | TypedMapping)]
        self.holds(*members)

    @functools.cached_property
    def _owners(self) -> dict[str, list[Form]]:
        """By JSON type. Known when all members are, some of which may hold this very form."""
        found: dict[str, list[Form]] = {}
        for member in self._members:
            for kind in member.kinds:
                found.setdefault(kind, []).append(member)
        return {kind: members[:1] if all(m.native for m in members) else members for kind, members in found.items()}

    @property
    def kinds(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset(self._owners)

    @functools.cached_property
    def plain(self) -> bool:  # type: ignore[override]
        return all(member.plain for member in self._members) and all(
            len(owners) == 1 for owners in self._owners.values()
        )

    def write(self, value: Any, w: Writing) -> Json:
        member, data = self._written(value, w)
        if type(data) is not dict or TAG not in data:
            owners = self._owners[kind_of(data)]
            if len(owners) == 1 and (owners[0] is member or member.native):
                return data
        return w.tag("as", data, n=self._labels[id(member)])

    def _written(self, value: Any, w: Writing) -> tuple[Form, Json]:
        """By the member that it comes back from as it is, else by the first that takes it."""
        place = (id(self), id(value))
        found = w.tried.get(place) if w.tried else None
        if found is None:
            found = self._chosen(value, w)
            if not found.at_once:
                w.tried[place] = found  # members of other unions, which hold this one, will ask again
        if found.member is None:
            raise Unwritable(found.why, found.path) if found.why else expected(self.label, value)
        w.tagged, w.loose = w.tagged or found.tagged, w.loose or found.loose
        return found.member, found.data

    def _chosen(self, value: Any, w: Writing) -> Found:
        kind = type(value)
        candidates = self._candidates.get(kind) or self._candidates.setdefault(kind, self._ordered(kind))
        if self._choosy:
            candidates = [*(member for member in self._choosy if member.has(value)), *candidates]
        mark, why, path = w.mark(), "", ""
        loosely: Found | None = None
        for n, member in enumerate(candidates):
            w.tagged = w.loose = False
            try:
                data = member.write(value, w)
            except Unwritable as error:
                if not why:
                    why, path = error.why, error.path
            else:
                found = Found(value, member, data, w.tagged, w.loose, n == 0 and not w.loose)
                loosely = loosely or found
                if not w.loose:
                    w.rewind(mark)
                    return found
            w.rewind(mark)
        return loosely or Found(value, None, None, False, False, False, why, path)

    def _ordered(self, kind: type) -> list[Form]:
        """Members for values of a class, the best first: those of this very class, of its nearest base, any other."""
        typed = [member for member in self._members if not isinstance(member, Untyped)]
        exact = [member for member in typed if member.fits(kind)]
        bases = [member for base in kind.__mro__[1:-1] for member in typed if member.fits(base)]
        return list(dict.fromkeys([*exact, *bases, *typed, *self._members]))

    def read(self, data: Json) -> Any:
        if type(data) is dict and TAG in data:
            if data[TAG] == "as":
                member = self._named.get(data["n"])
                if member is not None:
                    return member.read(data["v"])
                raise Unreadable(f"a {data['n']} is recorded, which is no member of {self.label}")
            return self._guess(data, self._members)
        owners = self._owners.get(kind_of(data), self._members)
        return owners[0].read(data) if len(owners) == 1 else self._guess(data, owners)

    def _guess(self, data: Json, members: list[Form]) -> Any:
        """Recorded under another annotation, of one member perhaps: the one that reads it."""
        found, why = [], []
        for member in members:
            try:
                if member.knows(data):
                    found.append(member.read(data))
            except Exception as error:
                why.append(f"{member.label}: {error}")
        if len(found) == 1:
            return found[0]
        told = "several members of" if found else "no member of"
        raise Unreadable(f"{told} {self.label} would read {shown(data)}{'; ' * bool(why)}{'; '.join(why)[:400]}")

    def same(self, stored: Any, back: Any) -> bool:
        kind = type(stored)
        if kind is not type(back):
            return False
        fitting = self._fitting.get(kind)
        if fitting is None:
            fitting = self._fitting[kind] = [member for member in self._members if member.fits(kind)]
        return len(fitting) == 1 and fitting[0].same(stored, back)

    def fits(self, kind: type) -> bool:
        return any(member.fits(kind) for member in self._members)


def _named(members: list[tuple[Form, str]]) -> dict[str, Form]:
    """By label; of several with the same, by the whole name. Where that does not tell them apart either, a second one has a
    number."""
    labels = Counter(member.label for member, _ in members)
    named: dict[str, Form] = {}
    for member, name in members:
        label = first = member.label if labels[member.label] == 1 else name
        n = 2
        while label in named:
            label, n = f"{first}#{n}", n + 1
        named[label] = member
    return named


def union(members: list[tuple[Form, str]]) -> Form:
    """Of forms and the whole names of what they are the forms of."""
    rest = [(member, name) for member, name in members if not isinstance(member, Nothing)]
    some = Either(rest) if len(rest) > 1 else rest[0][0] if rest else Nothing()
    return some if len(rest) == len(members) or not rest else Maybe(some)


class Later(Form):
    """Where a form holds itself. Values can be as deep as they like, so the depth is looked at here."""

    def __init__(self, annotation: Any) -> None:
        self.label = name_of(annotation)
        self._form: Form | None = None

    def settle(self, form: Form) -> None:
        self._form = form

    @property
    def kinds(self) -> frozenset[str]:  # type: ignore[override]
        assert self._form is not None
        return self._form.kinds

    def write(self, value: Any, w: Writing) -> Json:
        assert self._form is not None
        w.deeper()
        data = self._form.write(value, w)
        w.depth -= 1
        return data

    def read(self, data: Json) -> Any:
        assert self._form is not None
        return self._form.read(data)

    def same(self, stored: Any, back: Any) -> bool:
        assert self._form is not None
        return self._form.same(stored, back)

    def fits(self, kind: type) -> bool:
        return self._form is not None and self._form.fits(kind)


class Loose(Form):
    """A field whose default, or whose validators, may give a value of another type than the annotation says: such a one is kept
    by its own type."""

    def __init__(self, form: Form) -> None:
        self.label = form.label
        self._form = form
        self.holds(form)

    @property
    def kinds(self) -> frozenset[str]:  # type: ignore[override]
        return self._form.kinds

    def write(self, value: Any, w: Writing) -> Json:
        mark = w.mark()
        try:
            return self._form.write(value, w)
        except Unwritable as error:
            w.rewind(mark)
            try:
                return as_it_is(tagged.write(value, w), w)
            except Unwritable:
                raise error from None

    def read(self, data: Json) -> Any:
        if type(data) is dict and data.get(TAG) == "as" and data["n"] == AS_IT_IS:
            return tagged.read(data["v"])
        return self._form.read(data)

    def same(self, stored: Any, back: Any) -> bool:
        return type(stored) is type(back) and self._form.fits(type(stored)) and self._form.same(stored, back)

    def fits(self, kind: type) -> bool:
        return self._form.fits(kind)


class AtLeast(Loose):
    """A type variable with a bound: what it stands for may be more, and then its own type decides."""

    def write(self, value: Any, w: Writing) -> Json:
        mark, w.loose = w.mark(), False
        data = self._form.write(value, w)
        if not w.loose:
            w.loose = mark[1]
            return data
        w.rewind(mark)
        try:
            return as_it_is(tagged.write(value, w), w)
        except Unwritable:
            raise Unwritable(
                f"it is {shown(value)}, and a type variable says no more than {self.label}, as which it would come back; name "
                "its class"
            ) from None
