"""Values without an annotation: JSON, with tags for the types that JSON does not have.

A value made of None, bool, int, float, str, list and dict with str keys is plain JSON. Of anything else each part that JSON does
not have is a tag, `{"$":"datetime","v":"..."}`, in a marked document (`values/documents.py`). A dict of the user's that looks
like a tag is written as pairs. Subclasses of what is known here come back as their base. Nothing is ever imported or called by a
stored name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, Final
from uuid import UUID

from ..errors import SerializationError
from . import documents
from .forms.base import DEEPEST, TAG, Json, Unreadable, Unwritable, Writing, expected
from .forms.times import read_datetime, read_time, read_timedelta, write_datetime, write_time

_WAY_OUT = "annotate the function's return type (or pass step(fn, result_type=...)) so that it can be rebuilt"


def _same(value: Any) -> Any:
    return value


def _read_timedelta(data: Any, _make: Any = timedelta) -> Any:
    return _make(*data) if isinstance(data, list) else read_timedelta(data)


# Constructors of the base class: what is handed over may be of a subclass. In tables and closures, because a library that freezes
# time replaces the classes that a module has.
WRITERS: Final[dict[type, tuple[str, Callable[[Any], Any]]]] = {
    datetime: ("datetime", write_datetime),
    date: ("date", date.isoformat),
    time: ("time", write_time),
    timedelta: ("timedelta", lambda v: [v.days, v.seconds, v.microseconds]),
    Decimal: ("decimal", Decimal.__str__),
    UUID: ("uuid", UUID.__str__),
    bytes: ("bytes", bytes.hex),
    bytearray: ("bytearray", bytearray.hex),
}
_PLAIN_BASES: Final[dict[type, Callable[[Any], Any]]] = {str: str.__str__, int: int.__int__, float: float.__float__}
_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "datetime": read_datetime,
    "date": date.fromisoformat,
    "time": read_time,
    "timedelta": _read_timedelta,
    "decimal": Decimal,
    "uuid": UUID,
    "bytes": bytes.fromhex,
    "bytearray": bytearray.fromhex,
    "float": float,
}
_CONTAINERS: Final[dict[str, Callable[[Iterable[Any]], Any]]] = {"tuple": tuple, "set": set, "frozenset": frozenset}
_WRONG: Final = (ValueError, TypeError, KeyError, AttributeError, InvalidOperation, OverflowError, RecursionError)


# -- documents -----------------------------------------------------------------------------------------------------


def encode(value: object, what: str, *, secrets: bool = False) -> str:
    """Plain JSON or a marked document. Raises SerializationError, which says where in the value and what to do."""
    try:
        if is_plain(value, 0):
            return documents.text_of(value, tagged=False)
        w = Writing(secrets)
        data = write(value, w)
        return documents.text_of(data, tagged=w.tagged)
    except Unwritable as error:
        raise SerializationError(f"{what} cannot be stored: {error}") from None
    except UnicodeEncodeError as error:
        raise SerializationError(f"{what} cannot be stored: {lone_surrogate(error)}") from None
    except ValueError as error:  # an int of more digits than Python turns into text
        raise SerializationError(f"{what} cannot be stored: {error}") from None
    except (
        Exception
    ) as error:  # what a subclass of the user's does when it is asked for its items, or too deep a recursion
        raise SerializationError(f"{what} cannot be stored: {type(error).__name__}: {error}") from error


def decode(text: str, what: str) -> Any:
    """The value. Raises SerializationError for text that no encoder wrote."""
    try:
        document = documents.parse(text)
        if document.kind != documents.WRITTEN:
            return document.value
        return document.more["shown"] if "shown" in document.more else read(document.value)
    except (*_WRONG, Unreadable) as error:
        raise SerializationError(f"{what} cannot be read from the journal: {type(error).__name__}: {error}") from error


def plain(text: str) -> Any:
    """What people and other programs are shown: tags become ISO text, numbers as text, lists; secrets stay hidden."""
    document = documents.parse(text)
    if document.kind != documents.WRITTEN:
        return document.value
    return document.more["shown"] if "shown" in document.more else strip(document.value)


def lone_surrogate(error: UnicodeEncodeError) -> str:
    return (
        f"it holds text with a lone surrogate ({error.object[error.start]!r}), which is not valid Unicode; encode it to bytes or "
        "replace the character"
    )


# -- values --------------------------------------------------------------------------------------------------------


def is_json(value: object) -> bool:
    """Whether it is what JSON has, and nothing else."""
    return is_plain(value, 0, taken=None)


def is_plain(value: object, depth: int, taken: str | None = TAG) -> bool:
    """Whether JSON alone brings back the same value: no key in it is `taken`. Gives up at the depth where `write` complains."""
    kind = type(value)
    if value is None or kind is str or kind is int or kind is bool:
        return True
    if kind is float:
        return math.isfinite(value)  # type: ignore[arg-type]
    if depth > DEEPEST:
        return False
    if kind is list:
        return all(is_plain(item, depth + 1, taken) for item in value)  # type: ignore[attr-defined]
    if kind is dict:
        items = value.items()  # type: ignore[attr-defined]
        return taken not in value and all(  # type: ignore[operator]
            type(key) is str and is_plain(item, depth + 1, taken) for key, item in items
        )
    return False


def write(value: Any, w: Writing) -> Json:
    """A JSON value in which everything JSON does not have is tagged."""
    kind = type(value)
    if value is None or kind is str or kind is int or kind is bool:
        return value
    if kind is float:
        return value if math.isfinite(value) else w.tag("float", float.__repr__(value))
    known = WRITERS.get(kind)
    if known is not None:
        return w.tag(known[0], known[1](value))
    if kind is dict:
        return _write_dict(value, w)
    if kind is list:
        return write_items(value, w, write)
    if kind in (tuple, set, frozenset):
        return w.tag(kind.__name__, write_items(value if kind is tuple else sorted(value, key=repr), w, write))
    return _write_other(value, kind, w)


def write_items(items: Iterable[Any], w: Writing, writer: Callable[[Any, Writing], Json]) -> list[Json]:
    """Of a list. Says at which place it fails."""
    w.deeper()
    done: list[Json] = []
    try:
        for item in items:
            done.append(writer(item, w))
    except Unwritable as error:
        raise error.inside(f"[{len(done)}]") from None
    w.depth -= 1
    return done


def _write_dict(value: dict[Any, Any], w: Writing) -> Json:
    """Of subclasses (OrderedDict, defaultdict) only the items and their order are kept."""
    w.deeper()
    if TAG not in value and all(type(key) is str for key in value):
        done: Json = {}
        place = ""
        try:
            for place, item in value.items():
                done[place] = write(item, w)
        except Unwritable as error:
            raise error.inside(_place(place)) from None
    else:
        done = w.tag("dict", [_write_pair(key, item, w) for key, item in value.items()])
    w.depth -= 1
    return done


def _write_pair(key: Any, item: Any, w: Writing) -> Json:
    try:
        written = write(key, w)
    except Unwritable as error:
        raise error.inside(f" (key {key!r})") from None
    try:
        return [written, write(item, w)]
    except Unwritable as error:
        raise error.inside(_place(key)) from None


def _place(key: Any) -> str:
    return f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{key!r}]"


def _write_other(value: Any, kind: type, w: Writing) -> Json:
    """A subclass by its base, a secret, or nothing that can be stored."""
    if isinstance(value, Enum):
        raise Unwritable(f"the Enum member {value!s} would come back as a bare value; {_WAY_OUT}")
    if callable(getattr(value, "get_secret_value", None)) and kind.__name__ in _SECRETS:
        return write_secret(value.get_secret_value(), w, write)
    w.loose = True
    for base in kind.__mro__:
        if base in _PLAIN_BASES:
            return write(_PLAIN_BASES[base](value), w)
        if base in WRITERS:
            return w.tag(WRITERS[base][0], WRITERS[base][1](value))
    if not hasattr(kind, "_fields") and not hasattr(kind, "n_fields"):  # a named tuple has a class of its own
        if isinstance(value, dict):
            return _write_dict(value, w)
        for container in (list, tuple, set, frozenset):
            if isinstance(value, container):
                return write(container(value), w)
    raise _refusal(value)


_SECRETS: Final = {"SecretStr": str, "SecretBytes": bytes}


def write_secret(value: Any, w: Writing, writer: Callable[[Any, Writing], Json]) -> Json:
    if not w.secrets:
        raise Unwritable(
            "a secret would be stored in clear text; configure a codec that encrypts, durable_fn.configure(codec=AesGcm(key)), "
            "or store a reference to the secret (its name in a secrets manager)"
        )
    return w.tag("secret", writer(value, w))


def _refusal(value: Any) -> Unwritable:
    kind = type(value)
    error = expected("", value)
    if "cannot be stored" in error.why:  # a coroutine, a generator
        return error
    name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    return Unwritable(f"a value of class {name} has no JSON form that brings its class back; {_WAY_OUT}")


def read(data: Json) -> Any:
    """The value of tagged JSON. Raises Unreadable, or ValueError and the like for what `write` never makes."""
    kind = type(data)
    if kind is list:
        return [read(item) for item in data]
    if kind is not dict:
        return data
    if TAG not in data:
        return {key: read(item) for key, item in data.items()}
    name, content = data[TAG], data["v"]
    if name in _READERS:
        return _READERS[name](content)
    if name in _CONTAINERS:
        return _CONTAINERS[name](read(item) for item in content)
    if name == "dict":
        return {read(key): read(item) for key, item in content}
    if name == "secret":
        return _read_secret(read(content))
    if name in TRANSPARENT:
        return read(content)
    raise Unreadable(f"unknown tag {name!r}; was it written by a newer version?")


TRANSPARENT: Final = frozenset({"as", "model", "own", "deque"})
"""Tags of annotated values. Whoever reads them without the annotation sees what is inside."""


def without_unset(text: str) -> str:
    """A stored text, without which fields of models the caller left out."""
    document = documents.parse(text)
    return documents.dumps(_without_unset(document.value)) if document.kind == documents.WRITTEN else text


def _without_unset(data: Json) -> Json:
    if isinstance(data, list):
        return [_without_unset(item) for item in data]
    if not isinstance(data, dict):
        return data
    done = {key: _without_unset(item) for key, item in data.items() if key != "unset" or data.get(TAG) != "model"}
    return done["v"] if done.keys() == {TAG, "v"} and done[TAG] == "model" else done


def _read_secret(value: Any) -> Any:
    from pydantic import SecretBytes, SecretStr

    return SecretBytes(value) if isinstance(value, bytes) else SecretStr(value)


def strip(data: Json) -> Any:
    """The JSON form without tags."""
    if isinstance(data, list):
        return [strip(item) for item in data]
    if not isinstance(data, dict):
        return data
    if TAG not in data:
        return {key: strip(item) for key, item in data.items()}
    name, content = data[TAG], data.get("v")
    if name == "dict":
        return {str(strip(key)): strip(item) for key, item in content or ()}
    if name == "timedelta" and isinstance(content, list):
        return timedelta(*content).total_seconds() if content else None
    if name == "secret":
        return documents.ASTERISKS
    return strip(content)
