"""Exceptions that are made again from what was kept of them: as the same class where that can be found again, else as the nearest
of its bases; without `__init__`, whose parameters nobody knows.

Kept are `args`, what is in `__dict__` and in slots, and what a built-in class keeps of its own (`OSError.filename`); each by
itself, so that one that cannot be stored takes no other with it. Classes that hide what they have: `values/hidden.py`.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, Final, NamedTuple

from . import documents
from .hidden import special
from .parts import MOST, argument, blank, class_name, part, part_again


class Remains(NamedTuple):
    """`known`: names of the classes that it may come back as, the nearest first; `state`: what is kept of it, as text."""

    known: tuple[str, ...]
    state: str


def remains(
    error: Exception, classes: tuple[type[Exception], ...], message: str, own: set[str], depth: int = 0
) -> Remains | None:
    """Of an error that is one of these classes. `own`: attributes that are no part of it. None: nothing that says the same could
    be made of what is kept."""
    named = next((cls for cls in classes if isinstance(error, cls)), None)
    if named is None:
        return None
    candidates = [cls for cls in type(error).__mro__ if cls is named or (issubclass(cls, named) and can_be_found(cls))]
    known = [class_name(cls) for cls in candidates]
    state = _state(error, message, own, depth)
    for place, cls in enumerate(candidates):
        for kept in (state, state | {"text": message}, {"args": [message], "attributes": {}}):
            text = documents.dumps(kept)
            if _says(cls, text, message):
                return Remains(tuple(known[place:]), text)
    return None


def _says(cls: type[Exception], state: str, message: str) -> bool:
    """Whether one that is made of it is of use: its text is the same, as far as it is kept."""
    try:
        text = str(remade(cls, state))
    except Exception:
        return False
    return text == message or special(cls) is not None or (message.endswith("...") and text.startswith(message[:-3]))


def can_be_found(cls: type) -> bool:
    """Whether another process finds it: by its name in its module, or, inside a function, as long as that is so. What a client
    makes while it runs (`ConditionalCheckFailedException`) is not there before, nor after it was collected."""
    if "<locals>" in cls.__qualname__:
        return True
    there: Any = sys.modules.get(cls.__module__)
    for name in cls.__qualname__.split("."):
        there = getattr(there, name, None)
    return there is cls


# -- what is kept --------------------------------------------------------------------------------------------------


def _state(error: Exception, message: str, own: set[str], depth: int) -> dict[str, Any]:
    room = MOST
    row: dict[str, Any] = {}
    kind = special(type(error))
    if kind is not None:
        row["special"] = kind.kept(error)
        room -= len(documents.dumps(row["special"]))
    row["args"] = [argument(arg, room, depth) for arg in error.args] if kind is None else []
    attributes: dict[str, Any] = {}
    for name, value in _attributes(error):
        if name in own or (kind is not None and name in kind.apart):
            continue
        data = part(value, room, depth)
        if data is not None or value is None:
            attributes[name] = data
            room -= len(documents.dumps(data))
    return row | {"attributes": attributes}


def _attributes(error: Exception) -> Iterator[tuple[str, Any]]:
    """In `__dict__`, in slots, and in what a built-in class has instead of them."""
    yield from tuple(getattr(error, "__dict__", {}).items())
    for cls in type(error).__mro__:
        for name, member in vars(cls).items():
            if (
                isinstance(member, MemberDescriptorType | GetSetDescriptorType)
                and not name.startswith("__")
                and name != "args"
            ):
                value = _got(member, error)
                if value is not _UNSET and (value is not None or cls.__module__ != "builtins"):
                    yield name, value


def _got(member: Any, error: Exception) -> Any:
    """Of a slot. A built-in class has None in those that were not set."""
    try:
        return member.__get__(error)
    except Exception:
        return _UNSET


_UNSET: Final = object()


# -- and made again ------------------------------------------------------------------------------------------------


def remade(cls: Any, state: str | None) -> Exception:
    """Raises whatever is wrong with a class or a state that this is not possible with."""
    row = documents.loads(state) if state is not None else {"args": [], "attributes": {}}
    kind = special(cls)
    if kind is not None and "special" in row:
        error: Exception = kind.made(cls, row["special"])
    else:
        error = blank(cls if "text" not in row else _speaking(cls))
        _set(error, "args", tuple(map(part_again, row["args"])))
    for name, data in row["attributes"].items():
        value = part_again(data)
        try:
            _set(error, name, value)
        except (AttributeError, TypeError):  # a property of the class by that name
            error.__dict__[name] = value
    if "text" in row:
        _set(error, _TEXT, row["text"])
    return error


_set: Final = BaseException.__setattr__  # classes may have one of their own
_TEXT: Final = "__durable_text__"


@functools.cache
def _speaking(cls: Any) -> Any:
    """The class, whose own `__str__` needs what could not be stored."""
    body = {"__str__": lambda self: getattr(self, _TEXT, ""), "__module__": cls.__module__, "__doc__": cls.__doc__}
    return type(cls)(cls.__name__, (cls,), body | {"__qualname__": cls.__qualname__})


def check(cls: type[Exception]) -> None:
    """Raises TypeError for a class of which nothing can be made again, or that no handler could be given."""
    if issubclass(cls, (StopIteration, StopAsyncIteration)):
        raise TypeError("Python lets it end no coroutine")
    if special(cls) is None:
        blank(cls)
