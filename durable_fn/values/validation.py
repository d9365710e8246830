"""What comes from outside, validated by its annotation: the only place where pydantic looks at data.

JSON mode: a strict model with a datetime would refuse parsed JSON in Python mode.
"""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from typing import Annotated, Any, Final, get_args, get_origin

from .annotations import hints_of, is_typed_dict, stood_for
from .documents import dumps
from .forms.base import NotStorable

_STRUCTURE: Final = (
    "_type", "_parsing", "none_required", "literal_error", "enum", "finite_number", "missing", "extra_forbidden",
    "unexpected_keyword_argument", "union_tag_invalid", "union_tag_not_found", "json_invalid",
)  # fmt: skip
"""Kinds of problems that are not about the value: forms have looked at its types."""


def adapter_of(annotation: Any, *, of_any_class: bool = False) -> Any:
    """pydantic's own for an annotation. `of_any_class`: it may name classes that pydantic does not know. Raises NotStorable."""
    from pydantic import ConfigDict

    config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="strings")
    if of_any_class:
        config["arbitrary_types_allowed"] = True
    try:
        found = _made(known_to_pydantic(annotation), config)
        found.rebuild(raise_errors=True)
    except Exception as error:  # also what a class of the user's raises when it is asked
        raise NotStorable(_why(error)) from error
    return found


def _made(annotation: Any, config: Any) -> Any:
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticUserError

    try:
        return TypeAdapter(annotation, config=config)
    except PydanticUserError as error:
        if error.code != "type-adapter-config-unused":
            raise
        return TypeAdapter(annotation)  # a model or dataclass has a config of its own


def _why(error: Exception) -> str:
    """In one line, without pydantic's advice, which is for models of its own."""
    line = str(error).splitlines()[0] if str(error) else type(error).__name__
    return line.partition(" Set `arbitrary_types_allowed")[0].removesuffix(".")


def known_to_pydantic(annotation: Any) -> Any:
    """pydantic takes a TypedDict of `typing` only from Python 3.12 on: before, one like it of typing_extensions stands for it. It
    takes no class that stands for datetime while time is frozen."""
    annotation = stood_for(annotation)
    origin, args = get_origin(annotation), get_args(annotation)
    cls = annotation if origin is None else origin
    if sys.version_info < (3, 12) and is_typed_dict(cls) and type(cls).__module__ == "typing":
        annotation = _extended(cls)
        return annotation[args] if args else annotation
    if origin is Annotated:
        return Annotated[known_to_pydantic(args[0]), *args[1:]]
    if origin is None or origin is typing.Literal or not args:
        return annotation
    new = tuple(arg if isinstance(arg, list) else known_to_pydantic(arg) for arg in args)
    if all(a is b for a, b in zip(new, args, strict=True)):
        return annotation
    if origin in (typing.Union, types.UnionType):
        return typing.Union[new]  # noqa: UP007
    return annotation.copy_with(new) if hasattr(annotation, "copy_with") else origin[new]


_extensions: dict[Any, Any] = {}


def _extended(cls: Any) -> Any:
    import typing_extensions

    found: Any = _extensions.get(cls)
    if found is None:
        make: Any = typing_extensions.TypedDict
        hints = {
            name: (typing_extensions.Required if required else typing_extensions.NotRequired)[known_to_pydantic(hint)]
            for name, (hint, required) in hints_of(cls).items()
        }
        found = make(cls.__name__, hints)
        found.__module__, found.__doc__ = cls.__module__, cls.__doc__
        config = getattr(cls, "__pydantic_config__", None)
        if config is not None:
            found.__pydantic_config__ = config
        _extensions[cls] = found
    return found


_lax: dict[Any, Any] = {}


def lax(cls: Any, data: Any) -> Any:
    """Data that was recorded under another annotation, as this one takes it. Raises ValueError."""
    found = _lax.get(cls)
    if found is None:
        found = _lax[cls] = adapter_of(cls).validator
    return found.validate_json(dumps(data))


@dataclasses.dataclass(frozen=True)
class Misfit(Exception):
    """A value that its own annotation would not take."""

    cause: Exception


def ask(adapter: Any, value: Any) -> None:
    """Whether the limits and validators of its annotation take a value, which goes through them as JSON. Raises Misfit.
    What they make of it is of no interest. Where JSON does not tell them what they need (bytes in a Literal, None as a key), the
    value itself is what they are asked about."""
    try:
        text = adapter.serializer.to_json(value, by_alias=True, round_trip=True, warnings="none")
    except Exception:
        return
    try:
        adapter.validator.validate_json(text)
    except Exception as error:
        if not _is_about_types(error, adapter, value):
            raise Misfit(error) from error


def _is_about_types(error: Exception, adapter: Any, value: Any) -> bool:
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return False
    rows = [row["type"].endswith(_STRUCTURE) for row in error.errors(include_url=False, include_input=False)]
    return all(rows) or (any(rows) and _takes(adapter, value))


def _takes(adapter: Any, value: Any) -> bool:
    try:
        adapter.validator.validate_python(value)
    except Exception:
        return False
    return True
