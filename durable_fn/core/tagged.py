"""The codec of values without an annotation: JSON, with tags for the types JSON does not have.

A value made of None, bool, int, float, str, list and dict with str keys is plain JSON. Anything else makes the document a
wrapper, `{"$durable":1,"v":...}`, and only inside a wrapper are tags (`{"$":"datetime","v":"..."}`) read: data from outside
that looks like a tag stays what it is. Nothing is ever imported or called by a stored name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, Final
from uuid import UUID

from ..errors import SerializationError

WRAPPER: Final = "$durable"
_TAG: Final = "$"
_DEEPEST: Final = 200

_WAY_OUT = "annotate the function's return type (or pass step(fn, result_type=...)) so that it can be rebuilt"

_ENCODERS: dict[type, tuple[str, Callable[[Any], Any]]] = {
    datetime: ("datetime", lambda v: v.isoformat()),
    date: ("date", lambda v: v.isoformat()),
    time: ("time", lambda v: v.isoformat()),
    timedelta: ("timedelta", lambda v: [v.days, v.seconds, v.microseconds]),
    Decimal: ("decimal", str),
    UUID: ("uuid", str),
    bytes: ("bytes", bytes.hex),
    bytearray: ("bytes", bytearray.hex),
}
_DECODERS: dict[str, Callable[[Any], Any]] = {
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timedelta": lambda v: timedelta(*v),
    "decimal": Decimal,
    "uuid": UUID,
    "bytes": bytes.fromhex,
    "float": float,
}
_CONTAINERS: Final = {"tuple": tuple, "set": set, "frozenset": frozenset}


class _Unencodable(Exception):
    """Its text says where in the value, why, and what to do."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"at {path}: {why}" if path else why)


def encode(value: object, what: str) -> str:
    """Compact JSON, plain or wrapped. Raises SerializationError, which says where in the value and what to do."""
    try:
        if is_plain(value, 0) and not (type(value) is dict and WRAPPER in value):
            text = _dumps(value)
        else:
            text = _dumps({WRAPPER: 1, "v": tag(value, "", 0)})
        if not text.isascii():
            text.encode()
    except _Unencodable as error:
        raise SerializationError(f"{what} cannot be stored: {error}") from None
    except UnicodeEncodeError as error:
        raise SerializationError(
            f"{what} cannot be stored: it holds text with a lone surrogate ({error.object[error.start]!r}), which is not "
            "valid Unicode; encode it to bytes or replace the character"
        ) from None
    except ValueError as error:  # an int of more digits than Python turns into text
        raise SerializationError(f"{what} cannot be stored: {error}") from None
    return text


def decode(text: str, what: str) -> Any:
    """The value. Raises SerializationError for text that no encoder wrote."""
    try:
        value = json.loads(text)
        if type(value) is dict and value.get(WRAPPER) == 1:
            return untag(value["v"])
    except (ValueError, TypeError, KeyError, InvalidOperation, OverflowError, RecursionError) as error:
        raise SerializationError(f"{what} cannot be read from the journal: {type(error).__name__}: {error}") from error
    return value


def plain(text: str) -> Any:
    """The JSON form that people and other programs see: tags become ISO text, numbers as text, lists."""
    value = json.loads(text)
    return _strip(value["v"]) if type(value) is dict and value.get(WRAPPER) == 1 else value


_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False)


def _dumps(value: object) -> str:
    return _encoder.encode(value)


def is_plain(value: object, depth: int) -> bool:
    """Whether JSON alone brings back the same value. Gives up at the depth where `tag` complains."""
    kind = type(value)
    if value is None or kind is str or kind is int or kind is bool:
        return True
    if kind is float:
        return math.isfinite(value)  # type: ignore[arg-type]
    if depth > _DEEPEST:
        return False
    if kind is list:
        return all(is_plain(item, depth + 1) for item in value)  # type: ignore[attr-defined]
    if kind is dict:
        return all(type(key) is str and is_plain(item, depth + 1) for key, item in value.items())  # type: ignore[attr-defined]
    return False


def tag(value: Any, path: str, depth: int) -> Any:
    """A JSON value in which everything JSON does not have is tagged."""
    kind = type(value)
    if value is None or kind is str or kind is int or kind is bool:
        return value
    if depth > _DEEPEST:
        raise _Unencodable(path[:80], f"it is nested more than {_DEEPEST} deep, or contains itself")
    if kind is float:
        return value if math.isfinite(value) else {_TAG: "float", "v": repr(value)}
    known = _ENCODERS.get(kind)
    if known is not None:
        return {_TAG: known[0], "v": known[1](value)}
    if kind is list:
        return [tag(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(value)]
    if kind in (tuple, set, frozenset):
        items = sorted(value, key=repr) if kind is not tuple else value
        return {_TAG: kind.__name__, "v": [tag(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(items)]}
    if isinstance(value, dict) and kind.__init__ is not None and not hasattr(kind, "_fields"):
        return _tag_dict(value, path, depth)
    raise _Unencodable(path, _refusal(value))


def _tag_dict(value: dict[Any, Any], path: str, depth: int) -> Any:
    """A dict; of its subclasses (OrderedDict, defaultdict) only the items and their order are kept."""
    if all(type(key) is str for key in value) and _TAG not in value:
        return {key: tag(item, f"{path}.{key}", depth + 1) for key, item in value.items()}
    pairs = [[tag(k, f"{path} (key {k!r})", depth + 1), tag(v, f"{path}[{k!r}]", depth + 1)] for k, v in value.items()]
    return {_TAG: "dict", "v": pairs}


def _refusal(value: Any) -> str:
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
    if isinstance(value, Enum):
        return f"the Enum member {value!s} would come back as a bare value; {_WAY_OUT}"
    if name == "coroutine":
        value.close()  # the error says it: no warning on top
    if name in ("generator", "coroutine", "async_generator"):
        return f"a {name} cannot be stored; return its items as a list" if "gen" in name else (
            "a coroutine cannot be stored; nobody awaited it: await it, in an async def function")  # fmt: skip
    return f"a value of class {name} has no JSON form that brings its class back; {_WAY_OUT}"


def untag(value: Any) -> Any:
    """The value of a tagged JSON value. Raises ValueError and the like for what `tag` never makes."""
    kind = type(value)
    if kind is list:
        return [untag(item) for item in value]
    if kind is not dict:
        return value
    name = value.get(_TAG)
    if name is None:
        return {key: untag(item) for key, item in value.items()}
    if not isinstance(name, str) or len(value) != 2:
        raise ValueError(f"malformed tag {name!r}")
    content = value["v"]
    if name in _DECODERS:
        return _DECODERS[name](content)
    if name in _CONTAINERS:
        return _CONTAINERS[name](untag(item) for item in content)
    if name == "dict":
        return {untag(key): untag(item) for key, item in content}
    raise ValueError(f"unknown tag {name!r}; was it written by a newer version?")


def _strip(value: Any) -> Any:
    if isinstance(value, list):
        return [_strip(item) for item in value]
    if not isinstance(value, dict):
        return value
    name = value.get(_TAG)
    if name is None:
        return {key: _strip(item) for key, item in value.items()}
    content = value.get("v")
    if name == "dict":
        return {str(_strip(key)): _strip(item) for key, item in content or ()}
    if name == "timedelta":
        return timedelta(*content).total_seconds() if content else None
    return _strip(content)
