"""Texts and bytes from outside, and what they can mean to a handler."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, NoReturn, get_args, get_origin

from ..errors import SerializationError
from ..types import Message
from ..values.adapters import parameter_annotation

if TYPE_CHECKING:
    from ..core.function import DurableFunction


def of_text(function: DurableFunction[Any, Any], text: object, what: str) -> tuple[Any, ...]:
    """A message: JSON where it is JSON, or else the text. For a handler that takes bytes: they. Raises SerializationError."""
    if not isinstance(text, str):
        raise SerializationError(f"{what} is not text but {type(text).__name__}")
    if takes_bytes(function):
        return (_base64(text.encode("utf-8", "surrogatepass")),)
    try:
        return parsed(text, what), text
    except ValueError:
        return (text,)


def of_bytes(function: DurableFunction[Any, Any], data: bytes, what: str) -> tuple[Any, ...]:
    """As `of_text`; what is not UTF-8 is given as base64 text."""
    if takes_bytes(function):
        return (_base64(data),)
    try:
        return of_text(function, data.decode(), what)
    except UnicodeDecodeError:
        return (_base64(data),)


def of_base64(function: DurableFunction[Any, Any], text: object, what: str) -> tuple[Any, ...]:
    """As `of_bytes`, of bytes that came as base64 text."""
    try:
        if not isinstance(text, str):
            raise ValueError(type(text).__name__)
        data = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise SerializationError(f"{what} is not base64 text: {error}") from None
    return of_bytes(function, data, what)


def takes_bytes(function: DurableFunction[Any, Any]) -> bool:
    """Whether the handler's event, or the body of its message, is annotated as bytes, which travel as base64 text."""
    annotation = parameter_annotation(function.__wrapped__, 0)
    return bytes in ((annotation,) if get_origin(annotation) is not Message else get_args(annotation))


def takes_message(function: DurableFunction[Any, Any]) -> bool:
    """Whether the handler wants the attributes beside the body."""
    annotation = parameter_annotation(function.__wrapped__, 0)
    return annotation is Message or get_origin(annotation) is Message


def parsed(text: str, what: str) -> Any:
    """JSON. Raises ValueError for what is none, SerializationError for what no handler could be given."""
    try:
        return json.loads(text, parse_constant=_no_number)
    except RecursionError:
        raise SerializationError(f"{what} is nested too deeply") from None


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
