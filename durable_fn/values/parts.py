"""What is kept of an error, and the errors that are in errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from . import documents, tagged
from .forms.base import TAG, Unwritable, Writing

MOST: Final = 20_000
_DEEPEST: Final = 3
_ERROR: Final = "error"
_TOLD: Final = "told"
_LONGEST: Final = 4_000


def part(value: Any, room: int, depth: int) -> Any:
    """One attribute or argument, which may be another error (`URLError.reason`). None where it cannot be stored. `depth`: of
    errors in errors, some of which hold themselves."""
    if not isinstance(value, Exception):
        return written(value, room)
    if depth == _DEEPEST:
        return None
    text = _errors.keep(value, depth + 1)
    return {TAG: _ERROR, "v": text} if len(text) <= room else None


class Told(str):
    """What could not be stored, in words: its text, and its repr."""

    __slots__ = ("_repr",)
    _repr: str

    def __repr__(self) -> str:
        return self._repr


def argument(value: Any, room: int, depth: int) -> Any:
    """One of `args`, or how it shows itself, so that the error's text stays the same and the others stay in their places."""
    data = part(value, room, depth)
    if data is not None or value is None:
        return data
    texts = []
    for show in (str, repr):
        try:
            texts.append(show(value)[:_LONGEST].encode("utf-8", "replace").decode())
        except Exception:
            texts.append(f"({type(value).__name__})")
    return {TAG: _TOLD, "v": texts}


def part_again(data: Any) -> Any:
    if type(data) is dict and data.get(TAG) == _TOLD:
        told = Told(data["v"][0])
        told._repr = data["v"][1]
        return told
    if type(data) is not dict or data.get(TAG) != _ERROR:
        return tagged.read(data)
    return error_again(data["v"])


def error_kept(error: Exception) -> str:
    """The text of an error that another one holds."""
    return _errors.keep(error, 0)


def error_again(text: str) -> Exception:
    return _errors.again(text)


class Errors(NamedTuple):
    """How a whole error becomes text and comes back. It is made of such parts, so it hands this in: see `log/failures.py`."""

    keep: Callable[[Exception, int], str]
    again: Callable[[str], Exception]


_errors: Errors


def of_errors(errors: Errors) -> None:
    global _errors
    _errors = errors


def written(value: Any, room: int) -> Any:
    """As tagged JSON; of a dict what can be stored. None where nothing can."""
    try:
        data = tagged.write(value, Writing(secrets=False))
        return data if len(documents.dumps(data)) <= room else None
    except (Unwritable, ValueError, RecursionError):
        if type(value) is not dict:
            return None
    parts = {key: part for key, item in value.items() if type(key) is str and (part := written(item, room)) is not None}
    return parts if parts and TAG not in parts and len(documents.dumps(parts)) <= room else None


def blank(cls: Any) -> Exception:
    """Without any constructor but that of the built-in class which it is made of. Raises TypeError."""
    base = next(base for base in cls.__mro__ if base.__module__ == "builtins")
    error: Exception = base.__new__(cls)
    return error


def class_name(cls: type) -> str:
    """ "module.QualName"; built-ins without a module."""
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
