"""Plain JSON: values without their tags, for people, envelopes and targets whose types are unknown here."""

from __future__ import annotations

import json
from typing import Any

from ..errors import SerializationError
from . import documents, tagged
from .forms.base import Unwritable


def plain(text: str) -> Any:
    """JSON form for people and envelopes, without tags."""
    return tagged.plain(text)


def to_plain_json(value: object, what: str = "the payload", *, is_shown: bool = False) -> str:
    """A payload for a target whose types are unknown here: JSON without tags, models and datetimes by pydantic's rules.
    `is_shown`: to people, from whom secrets are hidden."""
    if tagged.is_plain(value, 0):
        try:
            return documents.dumps(value)
        except UnicodeEncodeError as error:
            raise SerializationError(f"{what} cannot be stored: {tagged.lone_surrogate(error)}") from None
        except ValueError as error:  # an int of more digits than Python turns into text
            raise SerializationError(f"{what} cannot be stored: {error}") from None
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    from . import sendable

    try:
        if not is_shown:
            sendable.check(value)
        jsonable = to_jsonable_python(value)  # not `to_json`: that writes a model's NaN as null, and any other as NaN
        text = json.dumps(jsonable, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        text.encode()
    except Unwritable as error:
        raise SerializationError(f"{what} cannot be sent: {error}") from None
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        raise SerializationError(f"{what} is not JSON: {_why_no_json(error)}") from error
    return text


def _why_no_json(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        return f"it holds text with a lone surrogate ({error.object[error.start]!r}), which is not valid Unicode"
    if "Out of range float" in str(error):
        return "it holds NaN or an infinite number, which JSON does not have; send None, or a text, in its place"
    return first_lines(error)


def first_lines(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3])[:400] or type(error).__name__


def loaded(json_text: str, what: str) -> Any:
    try:
        return json.loads(json_text)
    except (ValueError, RecursionError) as error:
        raise SerializationError(f"{what} is not JSON: {error}") from error
