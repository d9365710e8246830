"""What functions and classes say of the types they take and give, with the names in it resolved.

Under `from __future__ import annotations` an annotation is text. Its names are looked up where Python would: in the function's
module, in the functions around it (through closures, through what `@durable` and `@step` noted when they were applied, and on
the stack, where a function that defines another one usually is), and in `typing`. A name that cannot be found is an error: it
never means "no annotation".
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Annotated, Any, Final, ForwardRef, get_args, get_origin

from ..errors import SerializationError

UNTYPED: Final[Any] = Any
"""Stands for "no annotation"."""

_NOTED: Final = "__durable_names__"
_LOCAL: Final = ".<locals>."


# -- functions -----------------------------------------------------------------------------------------------------


def return_annotation(fn: Callable[..., Any]) -> Any:
    """What a function says it returns, resolved; of an `async def`, or a function that returns a coroutine, what awaiting it
    gives. UNTYPED where it says nothing. Raises SerializationError for a name that cannot be resolved."""
    inner = plain_function(fn)
    raw = getattr(inner, "__annotations__", {}).get("return", UNTYPED)
    if raw is None:
        return type(None)
    found = _resolved(inner, "return", raw)
    if get_origin(found) in _AWAITED:
        found = get_args(found)[-1]
    return found


_AWAITED: Final = (typing.get_origin(typing.Awaitable[int]), typing.get_origin(typing.Coroutine[Any, Any, int]))


def parameter_annotation(fn: Callable[..., Any], index: int) -> Any:
    """The annotation of a positional parameter, resolved. Raises SerializationError for a name that cannot be."""
    inner = plain_function(fn)
    parameters = list(inspect.signature(inner).parameters.values())
    if index >= len(parameters):
        return UNTYPED
    return _resolved(inner, parameters[index].name, parameters[index].annotation)


def note_names(fn: Any) -> None:
    """What its annotations name, and only a function around it has: that one may be over when somebody asks."""
    inner = plain_function(fn)
    if _LOCAL not in getattr(inner, "__qualname__", ""):
        return
    texts = [raw for raw in getattr(inner, "__annotations__", {}).values() if isinstance(raw, str)]
    known = getattr(inner, "__globals__", {}).keys() | closure_of(inner).keys()
    wanted = {name for text in texts for name in _names(text)} - known
    if wanted:
        around = _around(inner)
        found = {name: around[name] for name in wanted if name in around}
        if found:
            setattr(inner, _NOTED, found)


def _names(text: str) -> tuple[str, ...]:
    try:
        return compile(text, "<annotation>", "eval").co_names
    except SyntaxError:
        return ()


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
    scope = {**vars(typing), **getattr(fn, "__globals__", {}), **closure_of(fn), **getattr(fn, _NOTED, {})}
    try:
        return _hints({name: raw}, scope)[name]
    except NameError:
        try:
            return _hints({name: raw}, {**scope, **_around(fn)})[name]
        except Exception as error:
            raise _unresolved(fn, name, raw, error) from error
    except Exception as error:
        raise _unresolved(fn, name, raw, error) from error


def _hints(annotations: dict[str, Any], scope: dict[str, Any]) -> dict[str, Any]:
    holder = types.SimpleNamespace(__annotations__=annotations)
    return typing.get_type_hints(holder, globalns=scope, localns=scope, include_extras=True)


def _unresolved(fn: Any, name: str, raw: Any, error: Exception) -> SerializationError:
    what = "the return annotation" if name == "return" else f"the annotation of {name!r}"
    return SerializationError(
        f"{what} of {getattr(fn, '__qualname__', fn)!r}, {raw!r}, cannot be resolved: {type(error).__name__}: {error}. Import "
        "the name at run time too, not only under TYPE_CHECKING, and define it outside of functions or before this one"
        + ("; or give the type in place: step(fn, result_type=...)" if name == "return" else "")
    )


def closure_of(fn: Any) -> dict[str, Any]:
    """Names of an enclosing function that the function uses: a model defined inside a test, say."""
    found = {}
    cells = getattr(fn, "__closure__", None) or ()
    for name, cell in zip(getattr(getattr(fn, "__code__", None), "co_freevars", ()), cells, strict=False):
        try:
            found[name] = cell.cell_contents
        except ValueError:
            continue
    return found


def _around(defined: Any) -> dict[str, Any]:
    """The variables of the functions around a function or class, as far as they are on the stack."""
    name, module = getattr(defined, "__qualname__", ""), getattr(defined, "__module__", None)
    outer: list[str] = []
    while _LOCAL in name:
        name = name.rpartition(_LOCAL)[0]
        outer.append(name)
    found: dict[str, Any] = {}
    for frame in _stack() if outer else ():
        if frame.f_code.co_qualname in outer and frame.f_globals.get("__name__") == module:
            found = {**frame.f_locals, **found}
    return found


def _stack() -> Iterator[types.FrameType]:
    frame: types.FrameType | None = sys._getframe(2)
    while frame is not None:
        yield frame
        frame = frame.f_back


# -- classes -------------------------------------------------------------------------------------------------------


def qualifier(name: str) -> tuple[Any, ...]:
    """Required, NotRequired or ReadOnly, as typing and typing_extensions have them."""
    modules = (typing, sys.modules.get("typing_extensions"))
    return tuple(getattr(module, name) for module in modules if hasattr(module, name))


def is_typed_dict(cls: Any) -> bool:
    return type(cls).__name__ == "_TypedDictMeta"


def hints_of(cls: Any) -> dict[str, tuple[Any, bool]]:
    """The annotation of each field of a class, and whether it is required. Raises NameError and the like."""
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except NameError:
        hints = typing.get_type_hints(cls, localns={**vars(typing), **_around(cls)}, include_extras=True)
    required = getattr(cls, "__required_keys__", None)
    return {name: _qualified(hint, required is None or name in required) for name, hint in hints.items()}


def _qualified(hint: Any, required: bool) -> tuple[Any, bool]:
    """Without Required, NotRequired and ReadOnly around it."""
    origin = get_origin(hint)
    if origin is Annotated:
        inner, required = _qualified(get_args(hint)[0], required)
        return Annotated[inner, *hint.__metadata__], required
    for name, value in (("Required", True), ("NotRequired", False), ("ReadOnly", None)):
        if origin in qualifier(name):
            return _qualified(get_args(hint)[0], required if value is None else value)
    return hint, required


def alias_value(alias: Any) -> Any:
    """What `type X = ...` or `TypeAliasType` stands for, with the names in it resolved where it was made. Raises NameError."""
    names = vars(sys.modules.get(alias.__module__, typing))
    scope = {**vars(typing), **names, alias.__name__: alias}
    return _hints({"value": alias.__value__}, scope)["value"]


_MOMENTS: Final = ((datetime, datetime.min), (date, date.min))


def stood_for(annotation: Any) -> Any:
    """What a class stands for that a library puts in the place of datetime or date while it freezes time: all values of that are
    its values."""
    if isinstance(annotation, type) and type(annotation) is not type:
        for base, value in _MOMENTS:
            if base in annotation.__mro__ and annotation is not base and isinstance(value, annotation):
                return base
    return annotation


def is_unresolved(annotation: Any) -> bool:
    return isinstance(annotation, str | ForwardRef)
