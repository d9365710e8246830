"""What forms have in common."""

from __future__ import annotations

import inspect
from typing import Any, Final, TypeAlias

TAG: Final = "$"
"""The key of a tag: `{"$": "datetime", "v": "2026-01-01T00:00:00"}`. A dict with such a key of its own is written as pairs."""
DEEPEST: Final = 200

Json: TypeAlias = Any


class Unwritable(Exception):
    """A value that a form does not write: it does not fit the annotation, or would come back as another one. `why` says what is
    wrong and the way out; the path is put together on the way up."""

    def __init__(self, why: str, path: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.path = path

    def inside(self, part: str) -> Unwritable:
        """The same, seen from the value that holds it."""
        self.path = part + self.path
        return self

    def __str__(self) -> str:
        return f"at {self.path[:200]}: {self.why}" if self.path else self.why


class Unreadable(Exception):
    """Recorded data that a form did not write: it is damaged, or the annotation is another one now."""

    def __init__(self, why: str, path: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.path = path

    def inside(self, part: str) -> Unreadable:
        self.path = part + self.path
        return self

    def __str__(self) -> str:
        return f"at {self.path[:200]}: {self.why}" if self.path else self.why


class NotStorable(Exception):
    """An annotation that no form can be made for."""


class Writing:
    """One document while it is written. `secrets`: whether they may be in it. `tagged`: whether it has a tag. `loose`: something
    in it comes back as less than it is: a subclass as its base, an int as a float."""

    __slots__ = ("depth", "loose", "secrets", "tagged", "tried")

    def __init__(self, secrets: bool) -> None:
        self.secrets = secrets
        self.tagged = False
        self.loose = False
        self.depth = 0
        self.tried: dict[tuple[int, int], Any] = {}
        """What unions found for values of which more than one member was asked."""

    def mark(self) -> tuple[bool, bool, int]:
        return self.tagged, self.loose, self.depth

    def rewind(self, mark: tuple[bool, bool, int]) -> None:
        """As it was, before something was written that is not used."""
        self.tagged, self.loose, self.depth = mark

    def tag(self, name: str, value: Json, **more: Json) -> Json:
        self.tagged = True
        return {TAG: name, "v": value, **more}

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unwritable(f"it is nested more than {DEEPEST} deep, or contains itself")


class Form:
    """Writes and reads the values of one annotation. Attributes say what is known of all of its values."""

    label: str = ""
    """What a member of a union is known by."""
    kinds: frozenset[str] = frozenset()
    """The JSON types it writes without a tag: null, bool, int, float, str, list, dict."""
    plain = False
    """Every value that it writes comes back by what JSON is: nothing needs to be compared."""
    native = False
    """Reading gives what JSON itself gives, so it does not matter which of several such forms does it."""
    only: frozenset[type] = frozenset()
    """Values of these classes are written as they are, and read as they are."""
    pure = True
    """Data from outside gives the same value whenever it is validated: no code of the user's has a part in it."""
    checked = False
    """The annotation says more than types (limits, validators), which a value has to be asked about."""
    secret = False
    foreign = False
    """A class of somebody else's writes and reads its own values: they are compared twice."""

    styled = False
    """pydantic may write it in another way: aliases, serializers of the user's."""

    def write(self, value: Any, w: Writing) -> Json:
        """Raises Unwritable."""
        raise NotImplementedError

    def read(self, data: Json) -> Any:
        """Raises Unreadable, or whatever goes wrong with data of another shape."""
        raise NotImplementedError

    def same(self, stored: Any, back: Any) -> bool:
        """Whether they are surely the same, told at little cost. False: somebody has to look, see `values/sameness.py`."""
        return False

    def fits(self, kind: type) -> bool:
        """Whether values of exactly this class are written."""
        raise NotImplementedError

    def knows(self, data: Json) -> bool:
        """Whether data that nobody says the form of may be of this one."""
        return True

    def holds(self, *others: Form) -> None:
        """Takes over what its parts say."""
        for other in others:
            self.pure = self.pure and other.pure
            self.checked = self.checked or other.checked
            self.secret = self.secret or other.secret
            self.foreign = self.foreign or other.foreign
            self.styled = self.styled or other.styled


_KINDS: Final[dict[type, str]] = {
    type(None): "null", bool: "bool", int: "int", float: "float", str: "str", list: "list", dict: "dict",
}  # fmt: skip


def kind_of(data: Json) -> str:
    """The JSON type; "" for a tag."""
    kind = _KINDS[type(data)]
    return "" if kind == "dict" and TAG in data else kind


def shown(value: object, most: int = 120) -> str:
    """A value in an error: its class and the beginning of its repr, in which secrets hide themselves."""
    try:
        text = repr(value)
    except Exception:
        text = "(no repr)"
    return f"{name_of(type(value))} {text[:most]}{'...' if len(text) > most else ''}"


def name_of(cls: object) -> str:
    """Of a class or any other annotation, as an error or a tag has it."""
    if isinstance(cls, type) and not hasattr(cls, "__args__"):
        return cls.__qualname__.rpartition("<locals>.")[2]
    return str(cls).replace("typing.", "").replace("typing_extensions.", "")


def as_it_is(value: Json, w: Writing) -> Json:
    """A part that has another form than its place has: its own type decides."""
    return w.tag("as", value, n=AS_IT_IS)


AS_IT_IS: Final = "Any"


def expected(label: str, value: object) -> Unwritable:
    if inspect.iscoroutine(value):
        value.close()  # the error says it: no warning on top
        return Unwritable("a coroutine cannot be stored; nobody awaited it: await it, in an async def function")
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        return Unwritable(
            f"a {type(value).__name__} cannot be stored: it gives its items once; return its items as a list"
        )
    return Unwritable(f"it is annotated as {label}, but is {shown(value)}")


def unreadable(error: Exception) -> Unreadable:
    """Whatever went wrong with data of another shape, as one of these."""
    if isinstance(error, Unreadable):
        return error
    problems = getattr(error, "errors", None)
    if callable(problems):
        row = problems(include_url=False, include_context=False)[0]
        text = f"{row['msg']} (got {shown(row['input'])})"
    else:
        text = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
    found = Unreadable(text.splitlines()[0] if text else type(error).__name__)
    found.__cause__ = error
    return found


def other_data(label: str, data: Json) -> Unreadable:
    return Unreadable(f"it is annotated as {label}, but {str(data)[:80]!r} is recorded")
