"""Exceptions that are made again from what was kept of them: as the same class where that can be found again, else as the nearest
of its bases; without `__init__`, whose parameters nobody knows.

Kept are `args`, what is in `__dict__` and in slots, and what a built-in class keeps of its own (`OSError.filename`); each by
itself, so that one that cannot be stored takes no other with it. Classes that hide what they have are in a table at the end.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, Final, NamedTuple

from . import documents, tagged
from .forms.base import TAG, Unwritable, Writing

_MOST: Final = 20_000


class Remains(NamedTuple):
    """`known`: names of the classes that it may come back as, the nearest first; `state`: what is kept of it, as text."""

    known: tuple[str, ...]
    state: str


def remains(error: Exception, classes: tuple[type[Exception], ...], message: str, own: set[str]) -> Remains | None:
    """Of an error that is one of these classes. `own`: attributes that are no part of it. None: nothing that says the same could
    be made of what is kept."""
    named = next((cls for cls in classes if isinstance(error, cls)), None)
    if named is None:
        return None
    candidates = [cls for cls in type(error).__mro__ if cls is named or (issubclass(cls, named) and can_be_found(cls))]
    known = [class_name(cls) for cls in candidates]
    state = _state(error, message, own)
    for place, cls in enumerate(candidates):
        for kept in (state, {"args": [message], "attributes": {}}, state | {"text": message}):
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
    for part in cls.__qualname__.split("."):
        there = getattr(there, part, None)
    return there is cls


def class_name(cls: type) -> str:
    """ "module.QualName"; built-ins without a module."""
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


# -- what is kept --------------------------------------------------------------------------------------------------


def _state(error: Exception, message: str, own: set[str]) -> dict[str, Any]:
    room = _MOST
    row: dict[str, Any] = {}
    kind = special(type(error))
    if kind is not None:
        row["special"] = kind.kept(error)
        room -= len(documents.dumps(row["special"]))
    args = [_part(arg, room) for arg in error.args] if kind is None else []
    row["args"] = [message] if None in args and None not in error.args else args
    attributes: dict[str, Any] = {}
    for name, value in _attributes(error):
        if name in own or (kind is not None and name in kind.apart):
            continue
        data = _part(value, room)
        if data is not None:
            attributes[name] = data
            room -= len(documents.dumps(data))
    return row | {"attributes": attributes}


_ERROR: Final = "error"


def _part(value: Any, room: int) -> Any:
    """One attribute or argument, which may be another error (`URLError.reason`). None where it cannot be stored."""
    if not isinstance(value, Exception):
        return _written(value, room)
    from . import failures

    text = failures.encode(failures.capture(value, classes=(Exception,)))
    return {TAG: _ERROR, "v": text} if len(text) <= room else None


def _part_again(data: Any) -> Any:
    if type(data) is not dict or data.get(TAG) != _ERROR:
        return tagged.read(data)
    return _error_again(data["v"])


def _error_again(text: str) -> Exception:
    from ..errors import StepError
    from . import failures

    failure = failures.decode(text)
    error = failures.rebuild(failure, (Exception,))
    return error or StepError(failure.message, error_type=failure.error_type, message=failure.message)


def _written(value: Any, room: int) -> Any:
    """As tagged JSON; of a dict what can be stored. None where nothing can."""
    try:
        data = tagged.write(value, Writing(secrets=False))
        return data if len(documents.dumps(data)) <= room else None
    except (Unwritable, ValueError, RecursionError):
        if type(value) is not dict:
            return None
    parts = {
        key: part for key, item in value.items() if type(key) is str and (part := _written(item, room)) is not None
    }
    return parts if parts and TAG not in parts and len(documents.dumps(parts)) <= room else None


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
                value = _got(error, name)
                if value is not None:
                    yield name, value


def _got(error: Exception, name: str) -> Any:
    try:
        return getattr(error, name)
    except Exception:  # not set
        return None


# -- and made again ------------------------------------------------------------------------------------------------


def remade(cls: Any, state: str | None) -> Exception:
    """Raises whatever is wrong with a class or a state that this is not possible with."""
    row = documents.loads(state) if state is not None else {"args": [], "attributes": {}}
    kind = special(cls)
    if kind is not None and "special" in row:
        error: Exception = kind.made(cls, row["special"])
    else:
        error = blank(cls if "text" not in row else _speaking(cls))
        _set(error, "args", tuple(map(_part_again, row["args"])))
    for name, data in row["attributes"].items():
        value = _part_again(data)
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


def blank(cls: Any) -> Exception:
    """Without any constructor but that of the built-in class which it is made of. Raises TypeError."""
    base = next(base for base in cls.__mro__ if base.__module__ == "builtins")
    error: Exception = base.__new__(cls)
    return error


def check(cls: type[Exception]) -> None:
    """Raises TypeError for a class of which nothing can be made again."""
    if special(cls) is None:
        blank(cls)


# -- classes that hide what they have ------------------------------------------------------------------------------


class Special(NamedTuple):
    """`apart`: attributes that `kept` and `made` see to."""

    kept: Callable[[Any], Any]
    made: Callable[[Any, Any], Exception]
    apart: frozenset[str] = frozenset()


def special(cls: type) -> Special | None:
    return next((found for base in cls.__mro__ if (found := _SPECIAL.get(class_name(base))) is not None), None)


def _keep_group(error: Any) -> Any:
    from . import failures

    inner = [failures.encode(failures.capture(e, classes=(Exception,))) for e in error.exceptions]
    return {"message": error.message, "exceptions": inner}


def _make_group(cls: Any, data: Any) -> Exception:
    found = list(map(_error_again, data["exceptions"]))
    group: Exception = ExceptionGroup.__new__(cls, data["message"], found)
    return group


def _keep_problems(error: Any) -> Any:
    rows = []
    for row in error.errors(include_url=False):
        context = {key: str(v) if isinstance(v, Exception) else v for key, v in row.get("ctx", {}).items()}
        given = _written(row["input"], _MOST // 4)
        rows.append({
            "type": row["type"], "loc": list(row["loc"]), "msg": row["msg"], "ctx": _written(context, _MOST // 4) or {},
            "input": given if given is not None or row["input"] is None else repr(row["input"])[:200],
        })  # fmt: skip
    return {"title": error.title, "rows": rows[:50]}


def _make_problems(cls: Any, data: Any) -> Exception:
    error: Exception = cls.from_exception_data(data["title"], [_problem(cls, row) for row in data["rows"]])
    return error


def _problem(cls: Any, row: Any) -> Any:
    from pydantic_core import PydanticCustomError

    context = tagged.read(row["ctx"])
    made = {"loc": tuple(row["loc"]), "input": tagged.read(row["input"])}
    causes = {"value_error": ValueError, "assertion_error": AssertionError}
    if row["type"] in causes and "error" in context:
        return made | {"type": row["type"], "ctx": context | {"error": causes[row["type"]](context["error"])}}
    known = made | {"type": row["type"]} | ({"ctx": context} if context else {})
    try:
        cls.from_exception_data("", [known])
    except (KeyError, TypeError, ValueError):
        return made | {"type": PydanticCustomError(row["type"], row["msg"].replace("{", "{{"), context)}
    return known


def _keep_url_error(error: Any) -> Any:
    headers = [[str(name), str(value)] for name, value in error.headers.items()] if error.headers is not None else None
    return {"url": error.filename, "code": error.code, "message": str(error.msg), "headers": headers}


def _make_url_error(cls: Any, data: Any) -> Exception:
    import io
    from email.message import Message
    from urllib.error import HTTPError

    headers = Message()
    for name, value in data["headers"] or ():
        headers[name] = value
    error: Any = blank(cls)
    HTTPError.__init__(error, data["url"], data["code"], data["message"], headers, io.BytesIO())
    return error  # type: ignore[no-any-return]


def _keep_response(error: Any) -> Any:
    """Of requests: what people look at; the content as far as it was read and is short."""
    response = error.response
    row: dict[str, Any] = {"args": _written([str(arg) for arg in error.args], _MOST // 2)}
    if response is None:
        return row
    content = (
        response._content if isinstance(response._content, bytes) and len(response._content) <= _MOST // 4 else b""
    )
    fields = {name: getattr(response, name) for name in ("status_code", "reason", "url", "encoding")}
    return row | {"response": _written(fields | {"headers": dict(response.headers), "content": content}, _MOST)}


def _make_response(cls: Any, data: Any) -> Exception:
    from requests.models import Response

    error: Any = blank(cls)
    error.args = tuple(tagged.read(data["args"] or []))
    error.request = error.response = None
    if data.get("response") is not None:
        row = tagged.read(data["response"])
        error.response = response = Response()
        response._content = row.pop("content", b"")
        response.headers.update(row.pop("headers", {}))
        for name, value in row.items():
            setattr(response, name, value)
    return error  # type: ignore[no-any-return]


_SPECIAL: Final[dict[str, Special]] = {
    "ExceptionGroup": Special(_keep_group, _make_group, frozenset({"message", "exceptions"})),
    "pydantic_core._pydantic_core.ValidationError": Special(_keep_problems, _make_problems),
    "urllib.error.HTTPError": Special(
        _keep_url_error, _make_url_error, frozenset({"hdrs", "headers", "fp", "file", "_closer", "delete"})
    ),
    "requests.exceptions.RequestException": Special(
        _keep_response, _make_response, frozenset({"response", "request", "errno", "strerror", "filename", "filename2"})
    ),
}
