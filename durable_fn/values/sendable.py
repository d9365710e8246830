"""What is lost where a value is written as plain JSON for a function, a signal or a callback whose types nobody knows here.

Dates, Decimals and the like become text, which an annotation over there makes values of again. Nothing does that for a secret,
which pydantic writes as asterisks, for a key that is written like another one, or for what gives its items once.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, Final

from .forms.base import Unwritable
from .forms.records import slots_of

_DEEPEST: Final = 200


def check(value: Any) -> None:
    """Raises Unwritable, which says where and what to do."""
    _look(value, 0)


def _look(value: Any, depth: int) -> None:
    if depth > _DEEPEST or isinstance(value, str | bytes | int | float | None):
        return
    if callable(getattr(value, "get_secret_value", None)):
        raise Unwritable(
            "a secret would be sent as asterisks, because who gets it is not known here; call a function itself and not by its "
            "name, send secret.get_secret_value() where a codec encrypts what is stored, or send a reference (its name in a "
            "secrets manager)"
        )
    if isinstance(value, Iterator) or inspect.isasyncgen(value):
        raise Unwritable(f"a {type(value).__name__} cannot be sent: it gives its items once; send its items as a list")
    if isinstance(value, Mapping):
        _look_at_keys(value)
    for place, part in _parts(value):
        try:
            _look(part, depth + 1)
        except Unwritable as error:
            raise error.inside(place) from None


def _look_at_keys(value: Mapping[Any, Any]) -> None:
    if all(type(key) is str for key in value):
        return
    from pydantic_core import to_jsonable_python

    seen: dict[str, Any] = {}
    for key in value:
        (text,) = to_jsonable_python({key: None})
        if text in seen:
            raise Unwritable(f"its keys {seen[text]!r} and {key!r} are one in JSON; send a list of pairs")
        seen[text] = key


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    cls: Any = type(value)
    if isinstance(value, Mapping):
        yield from ((f"[{key!r}]", part) for key, part in value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((f"[{n}]", part) for n, part in enumerate(value))
    elif not isinstance(value, type):
        yield from ((f".{name}", part) for name, part in getattr(value, "__dict__", {}).items())
        yield from ((f".{name}", getattr(value, name, None)) for name in slots_of(cls))
        yield from ((f".{name}", part) for name, part in (getattr(value, "__pydantic_extra__", None) or {}).items())
