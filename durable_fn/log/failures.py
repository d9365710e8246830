"""Errors as data: class name, message, traceback text, and what is needed to rebuild a known class."""

from __future__ import annotations

import contextlib
import json
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from ..errors import BatchError, CallError, SerializationError, StepError
from ..types import Cause, ErrorInfo
from ..values import parts, tagged
from ..values.parts import class_name
from ..values.remade import Remains, remade, remains
from . import origins

_MESSAGE: Final = 4_000
_TRACE: Final = 2_000
_DATA: Final = 20_000
_CAUSES: Final = 60_000
_DEEPEST: Final = 20
_PACKAGE: Final = __file__.removesuffix("failures.py").removesuffix("log/").removesuffix("log\\")


@dataclass(frozen=True, slots=True)
class Failure:
    """A recorded error. `state` and `known`: if the user listed classes to raise again, what the error is rebuilt from, and
    those classes, the nearest first. `causes`: the operations whose failure ended an execution, a branch or a child. `own`: the
    SDK raised it about a step, not the step's body. `reported`: the execution's record was reported to Lambda as failed, so it
    comes again. `root`: the class of the error behind it, if that is another one; `several`: all errors behind it, if there are
    several."""

    error_type: str
    message: str
    traceback: str
    data: Any
    state: str | None
    causes: tuple[origins.Cause, ...] = ()
    own: bool = False
    known: tuple[str, ...] = ()
    reported: bool = False
    root: str = ""
    several: tuple[Cause, ...] = ()


class OwnCancellation(Exception):
    """asyncio.CancelledError from user code that nobody cancelled: a failure like any other, recorded by that name."""


OwnCancellation.__module__, OwnCancellation.__qualname__ = "asyncio", "CancelledError"


def is_native_cancellation(error: BaseException) -> bool:
    """Does not import asyncio: a program that has not imported it cannot have raised one."""
    return type(error).__name__ == "CancelledError" and not isinstance(error, Exception)


def own_cancellation(error: BaseException) -> OwnCancellation:
    failure = OwnCancellation(str(error) or "cancelled by its own code: nobody cancelled it from outside")
    failure.__cause__ = error
    return failure.with_traceback(error.__traceback__)


_STOPS: Final = (StopIteration, StopAsyncIteration)
"""No generator and no coroutine can raise them (PEP 479), and operations are made of these."""


def is_stop(error: object) -> bool:
    return isinstance(error, StopIteration)


class OwnStop(Exception):
    """StopIteration out of a function of the user that an operation asks: a failure like any other, recorded by that name."""


OwnStop.__module__, OwnStop.__qualname__ = "builtins", "StopIteration"


def own_stop(error: StopIteration) -> OwnStop:
    failure = OwnStop(*error.args)
    failure.__cause__ = error
    return failure.with_traceback(error.__traceback__)


NOTHING: Final = '{"type":"","message":""}'


def capture(
    error: BaseException, *, own: bool = False, classes: tuple[type[Exception], ...] = (), depth: int = 0
) -> Failure:
    """Never raises: an error whose own methods fail is recorded as well as possible. An error of one of `classes` can be
    rebuilt."""
    kept = _remains(error, classes, depth) if isinstance(error, Exception) else None
    kind, root = class_name(type(error)), _root(error)
    return Failure(
        kind,
        readable(told(error)),
        _text(_trace(error), _TRACE, keep_end=True),
        _data(error),
        None if kept is None else kept.state,
        own=own,
        known=() if kept is None else kept.known,
        root="" if root == kind else root,
        several=tuple(causes_of(error)),
    )


def _inside(error: BaseException) -> list[BaseException]:
    """What an error stands for, if it stands for several."""
    if isinstance(error, BatchError):
        return [item.error for item in error.batch if item.error is not None]
    return list(error.exceptions) if isinstance(error, BaseExceptionGroup) else []


def _leaf(error: BaseException, depth: int = 0) -> BaseException:
    """The first of what is behind it."""
    inside = _inside(error) if depth < _DEEPEST else []
    return _leaf(inside[0], depth + 1) if inside else error


def _root(error: BaseException) -> str:
    """The class of the error at the root: for a StepError or another execution's error the class that it reports."""
    leaf = _leaf(error)
    told = leaf.error_type if isinstance(leaf, StepError | CallError) else None
    return told or class_name(type(leaf))


def causes_of(error: BaseException) -> list[Cause]:
    """All errors behind one that stands for several, in order; empty for any other error."""
    if not _inside(error):
        return list(error.causes) if isinstance(error, StepError | CallError) else []
    found: list[Cause] = []
    room = _CAUSES
    for leaf in _leaves(error, 0):
        told_of = leaf if isinstance(leaf, StepError | CallError) else None
        several = [] if told_of is None else told_of.causes
        message = readable(_message(leaf) if told_of is None or not told_of.message else told_of.message, _TRACE)
        for cause in several or [Cause(error_type=_root(leaf), message=message)]:
            room -= len(cause["error_type"]) + len(cause["message"])
            if room < 0:
                return found
            found.append(cause)
    return found


def _leaves(error: BaseException, depth: int) -> Iterator[BaseException]:
    inside = _inside(error) if depth < _DEEPEST else []
    for one in inside:
        yield from _leaves(one, depth + 1)
    if not inside:
        yield error


def told(error: BaseException) -> str:
    """Its text; for a group with the first error in it."""
    return _message(error) + _first_of(error)


def _first_of(error: BaseException) -> str:
    """The first error, for the end of a group's message: Python's own message has only the count."""
    if not isinstance(error, BaseExceptionGroup):
        return ""
    leaf = _leaf(error)
    return f"; the first: {class_name(type(leaf))}: {_message(leaf)}"


def _remains(error: Exception, classes: tuple[type[Exception], ...], depth: int) -> Remains | None:
    try:
        return remains(error, classes, readable(_message(error)), set(origins.MARKS), depth)
    except Exception:
        return None


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:
        return f"(its message cannot be read: {type(broken).__name__})"


def readable(text: str, most: int = _MESSAGE) -> str:
    """The text as it can be stored: of a bounded length, with a question mark for a lone surrogate."""
    return _text(text, most)


def _text(text: str, most: int, *, keep_end: bool = False) -> str:
    """Valid Unicode of a bounded length."""
    text = text.encode("utf-8", "replace").decode()
    if len(text) <= most:
        return text
    return "..." + text[-most:] if keep_end else text[:most] + "..."


def _trace(error: BaseException) -> str:
    """The frames of user code: those of this package tell the user nothing."""
    try:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(_PACKAGE)]
        return "".join(traceback.format_list(frames))
    except Exception:
        return ""


def _data(error: BaseException) -> Any:
    try:
        error = _leaf(error)
        data = getattr(error, "data", None)
        if data is None and isinstance(error, StepError | CallError):
            return None  # what it tells of had none that could be kept
        value = list(error.args) if data is None else data
        text = tagged.encode(value, "the error's data")
        return tagged.plain(text) if len(text) <= _DATA else None
    except Exception:
        return None


def encode(failure: Failure) -> str:
    """One line of JSON; what is empty is left out."""
    row: dict[str, Any] = {"type": failure.error_type, "message": failure.message}
    if failure.data not in (None, []):
        row["data"] = failure.data
    if failure.state is not None:
        row["state"] = failure.state
    if failure.traceback:
        row["traceback"] = failure.traceback
    if failure.causes:
        row["causes"] = [cause.row() for cause in failure.causes]
    if failure.own:
        row["own"] = True
    if failure.reported:
        row["reported"] = True
    if failure.known:
        row["known"] = failure.known
    if failure.root:
        row["root"] = failure.root
    if failure.several:
        row["several"] = failure.several
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"))


def decode(text: str) -> Failure:
    """Raises SerializationError for text that `encode` did not write."""
    try:
        row = json.loads(text)
        kind, message, trace, state = row["type"], row["message"], row.get("traceback", ""), row.get("state")
        known = tuple(row.get("known", ()))
        if not all(isinstance(part, str) for part in (kind, message, trace, state or "", *known)):
            raise TypeError("a field is not text")
        found, own = origins.read(row.get("causes")), row.get("own") is True
        reported, root = row.get("reported") is True, row.get("root", "")
        several = tuple(
            Cause(error_type=str(c["error_type"]), message=str(c["message"])) for c in row.get("several", ())
        )
        if not isinstance(root, str):
            raise TypeError("its root is not text")
        return Failure(kind, message, trace, row.get("data"), state, found, own, known, reported, root, several)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise SerializationError(f"a recorded error cannot be read: {type(error).__name__}: {error}") from error


def rebuild(failure: Failure, classes: tuple[type[Exception], ...]) -> Exception | None:
    """An instance of the nearest known class: one of `classes`, or a loaded subclass of one. None if there is no such class, if
    the recorded state cannot be read, or if the result cannot be raised."""
    for name in failure.known:
        found = next((there for cls in classes if (there := _named(cls, name)) is not None), None)
        if found is not None and issubclass(found, _STOPS):
            return None
        if found is not None:
            with contextlib.suppress(Exception):
                return remade(found, failure.state)
    return None


def _named(cls: type[Exception], name: str) -> type[Exception] | None:
    """The class of this name. If a function that was called repeatedly made several, the last one."""
    if class_name(cls) == name:
        return cls
    for sub in reversed(cls.__subclasses__()):
        found = _named(sub, name)
        if found is not None:
            return found
    return None


def info(failure: Failure, attempts: int | None = None) -> ErrorInfo:
    """As JSON shows it."""
    shown: ErrorInfo = {"error_type": failure.error_type, "message": failure.message}
    if attempts is not None:
        shown["attempts"] = attempts
    if failure.data is not None:
        shown["data"] = failure.data
    if failure.traceback:
        shown["traceback"] = failure.traceback
    if failure.several:
        shown["causes"] = list(failure.several)
    return shown


def _inner(error: Exception, depth: int) -> str:
    return encode(capture(error, classes=(Exception,), depth=depth))


def _again(text: str) -> Exception:
    """An error that another one holds."""
    failure = decode(text)
    error = rebuild(failure, (Exception,))
    return error or StepError(failure.message, error_type=failure.error_type, message=failure.message)


parts.of_errors(parts.Errors(_inner, _again))
