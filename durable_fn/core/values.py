"""Values as JSON text and back, by annotation. What the handler sees always went through here, on the first run too.

An annotated value goes through pydantic in JSON mode; one without an annotation through `tagged`. pydantic is imported when
the first annotation needs it, because import time is a feature.
"""

from __future__ import annotations

import functools
import inspect
import json
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, Final, Protocol, Union, get_args, get_origin

from ..errors import SerializationError
from . import tagged

UNTYPED: Final[Any] = Any
"""Stands for "no annotation"."""


class Adapter(Protocol):
    """Encodes and decodes the values of one annotation. `what` names the value in errors."""

    typed: bool

    def encode(self, value: object, what: str) -> str:
        """Compact JSON without raw newlines or tabs. Raises SerializationError."""

    def decode(self, text: str, what: str) -> Any:
        """Raises SerializationError."""


class UntypedAdapter:
    """Without an annotation: JSON with tags."""

    typed = False

    def encode(self, value: object, what: str) -> str:
        return tagged.encode(value, what)

    def decode(self, text: str, what: str) -> Any:
        return tagged.decode(text, what)


class NoneAdapter:
    """`-> None`, without pydantic."""

    typed = True

    def encode(self, value: object, what: str) -> str:
        if value is not None:
            raise SerializationError(
                f"{what} is annotated as None, but is {_shown(value)}; annotate what it returns, or return nothing"
            )
        return "null"

    def decode(self, text: str, what: str) -> None:
        if text != "null":
            raise SerializationError(f"{what} is annotated as None, but {text[:80]!r} is recorded")


_FIT: Final = "correct the value, or the annotation (step(fn, result_type=...) wins over it)"
_BYTES: Final = (
    "a pydantic model writes bytes as UTF-8 text: give it model_config = ConfigDict(ser_json_bytes='base64', "
    "val_json_bytes='base64')"
)


class TypedAdapter:
    """By annotation, in pydantic's JSON mode: a strict model with a datetime would refuse parsed JSON in Python mode."""

    typed = True

    def __init__(self, annotation: Any) -> None:
        from pydantic import ConfigDict, PydanticSchemaGenerationError, PydanticUndefinedAnnotation, TypeAdapter
        from pydantic.errors import PydanticUserError

        config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64", ser_json_inf_nan="strings")
        try:
            try:
                self._adapter = TypeAdapter(annotation, config=config)
            except PydanticUserError as error:
                if error.code != "type-adapter-config-unused":
                    raise
                self._adapter = TypeAdapter(annotation)  # a model or dataclass has a config of its own
        except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation, PydanticUserError) as error:
            raise SerializationError(
                f"the annotation {annotation!r} cannot be stored as JSON: {str(error).splitlines()[0]} "
                "Use a pydantic model, a dataclass, or built-in types"
            ) from error
        self._dump = self._adapter.serializer.to_json
        self._validate = self._adapter.validator.validate_json

    def encode(self, value: object, what: str) -> str:
        from pydantic_core import PydanticSerializationError

        try:
            return self._dump(value, by_alias=True, round_trip=True, warnings="error").decode()
        except (PydanticSerializationError, ValueError, RecursionError) as error:
            reason = _first_lines(error)
            raise SerializationError(
                f"{what} does not fit its annotation: {reason}. It is {_shown(value)}; "
                + (_BYTES if "utf-8" in reason else _FIT)
            ) from error

    def decode(self, text: str, what: str) -> Any:
        try:
            return self._validate(text)
        except ValueError as error:
            raise SerializationError(f"{what} does not fit its annotation: {_problems(error)}") from error


UNTYPED_ADAPTER: Final = UntypedAdapter()
_NONE_ADAPTER: Final = NoneAdapter()
_adapters: dict[Any, Adapter] = {}
_LOOSE: Final = (Any, object, inspect.Signature.empty, dict, list, tuple, set, frozenset)


def adapter(annotation: Any) -> Adapter:
    """The adapter of any type expression; UNTYPED, Any, object and bare containers give the untyped one."""
    try:
        found = _adapters.get(annotation)
    except TypeError:  # not hashable
        return _make(annotation)
    if found is None:
        found = _adapters[annotation] = _make(annotation)
    return found


def _make(annotation: Any) -> Adapter:
    if annotation is None or annotation is type(None):
        return _NONE_ADAPTER
    if _is_loose(annotation):
        return UNTYPED_ADAPTER
    from .event_classes import EventClassAdapter, is_event_class

    if is_event_class(annotation):
        return EventClassAdapter(annotation)
    return TypedAdapter(_tighten(annotation))


def _is_loose(annotation: Any) -> bool:
    """Any, object, bare containers, and lists or dicts of nothing but such: the untyped codec keeps more of their types."""
    if any(annotation is loose for loose in _LOOSE):
        return True
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is dict:
        return args[0] in (str, Any) and _is_loose(args[1])
    return origin is list and _is_loose(args[0])


def _tighten(annotation: Any) -> Any:
    """`Any` inside a generic keeps the types of its values: it is stored as the untyped codec stores it."""
    if annotation is Any or annotation is object:
        return _tagged_any()
    if annotation in (dict, list, tuple, set, frozenset):
        return _tagged_any()
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is None or origin is typing.Literal or not args:
        return annotation
    if origin is Annotated:
        return Annotated[(_tighten(args[0]), *args[1:])]
    new = tuple(arg if arg is Ellipsis or isinstance(arg, list) else _tighten(arg) for arg in args)
    if all(a is b for a, b in zip(new, args, strict=True)):
        return annotation
    if origin in (Union, types.UnionType):
        return Union[new]  # noqa: UP007
    return origin[new] if isinstance(origin, type) and origin in (list, dict, tuple, set, frozenset) else annotation


@functools.cache
def _tagged_any() -> Any:
    from pydantic import PlainSerializer, PlainValidator

    def read(value: Any) -> Any:
        try:
            return tagged.untag(value)
        except (TypeError, KeyError, ArithmeticError) as error:
            raise ValueError(str(error)) from error

    def write(value: Any) -> Any:
        try:
            return tagged.tag(value, "", 0)
        except tagged._Unencodable as error:
            raise ValueError(str(error)) from None

    return Annotated[Any, PlainValidator(read), PlainSerializer(write)]


def plain(text: str) -> Any:
    """JSON form for people and envelopes, without tags."""
    return tagged.plain(text)


def to_plain_json(value: object, what: str = "the payload") -> str:
    """A payload for a target whose types are unknown here: JSON without tags, models and datetimes by pydantic's rules."""
    if tagged.is_plain(value, 0):
        text = tagged.encode(value, what)
    else:
        from pydantic_core import PydanticSerializationError, to_jsonable_python

        try:
            jsonable = to_jsonable_python(
                value
            )  # not `to_json`: that writes a model's NaN as null, and any other as NaN
            text = json.dumps(jsonable, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
            text.encode()
        except (PydanticSerializationError, ValueError, RecursionError) as error:
            raise SerializationError(f"{what} is not JSON: {_why_no_json(error)}") from error
    if text.startswith('{"$durable"') or (isinstance(value, dict) and tagged.WRAPPER in value):
        raise SerializationError(f"{what} has the reserved key {tagged.WRAPPER!r} on top; rename it")
    return text


def _why_no_json(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        return f"it holds text with a lone surrogate ({error.object[error.start]!r}), which is not valid Unicode"
    if "Out of range float" in str(error):
        return "it holds NaN or an infinite number, which JSON does not have; send None, or a text, in its place"
    return _first_lines(error)


# -- annotations ---------------------------------------------------------------------------------------------------


def return_annotation(fn: Callable[..., Any]) -> Any:
    """What a function says it returns, resolved; of an `async def` what awaiting it gives. UNTYPED where it says nothing
    or names something that cannot be found (an import for checkers only)."""
    inner = plain_function(fn)
    raw = getattr(inner, "__annotations__", {}).get("return", UNTYPED)
    return type(None) if raw is None else _resolved(inner, "return", raw)


def parameter_annotation(fn: Callable[..., Any], index: int) -> Any:
    """The annotation of a positional parameter, resolved."""
    inner = plain_function(fn)
    parameters = list(inspect.signature(inner).parameters.values())
    if index >= len(parameters):
        return UNTYPED
    return _resolved(inner, parameters[index].name, parameters[index].annotation)


def plain_function(fn: Any) -> Any:
    """The function behind partials, methods, callable objects and decorators that used functools.wraps."""
    while True:
        if isinstance(fn, functools.partial):
            fn = fn.func
        elif hasattr(fn, "__wrapped__"):
            fn = fn.__wrapped__
        elif inspect.ismethod(fn):
            fn = fn.__func__
        elif inspect.isfunction(fn) or inspect.isbuiltin(fn) or inspect.isclass(fn):
            return fn
        elif inspect.isfunction(getattr(type(fn), "__call__", None)):  # noqa: B004
            fn = type(fn).__call__
        else:
            return fn


def _resolved(fn: Any, name: str, raw: Any) -> Any:
    """One annotation, so that another one that cannot be resolved does no harm."""
    if raw is inspect.Parameter.empty:
        return UNTYPED
    if not isinstance(raw, str) and not get_args(raw):
        return raw
    holder = types.SimpleNamespace(__annotations__={name: raw})
    scope = {**vars(typing), **getattr(fn, "__globals__", {}), **_closure(fn)}
    try:
        return typing.get_type_hints(holder, globalns=scope, localns=scope, include_extras=True)[name]
    except Exception:
        return UNTYPED if isinstance(raw, str) else raw


def _closure(fn: Any) -> dict[str, Any]:
    """Names of an enclosing function that the function uses: a model defined inside a test, say."""
    found = {}
    for name, cell in zip(
        getattr(getattr(fn, "__code__", None), "co_freevars", ()), fn.__closure__ or (), strict=False
    ):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            continue
    return found


# -- words ---------------------------------------------------------------------------------------------------------


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except Exception:
        text = "(no repr)"
    return f"{type(value).__name__} {text[:120]}{'...' if len(text) > 120 else ''}"


def _first_lines(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3])[:400] or type(error).__name__


def _problems(error: ValueError) -> str:
    """pydantic's list of problems on one line each place: "lines[2].sku: Field required"."""
    problems = getattr(error, "errors", None)
    if problems is None:
        return str(error)
    rows = problems(include_url=False, include_context=False, include_input=True)
    texts = []
    for row in rows[:5]:
        where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in row["loc"]).lstrip(".")
        texts.append(f"{where or 'the value'}: {row['msg']} (got {_shown(row['input'])})")
    more = f"; and {len(rows) - 5} more" if len(rows) > 5 else ""
    return f"{len(rows)} problem{'s' * (len(rows) > 1)}: " + "; ".join(texts) + more
