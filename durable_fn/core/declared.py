"""Finds the steps that a handler's code names, so that an annotation which cannot work raises before anything happens.

It finds functions under `@step` or `step(...)` that the code of the handler refers to by name, directly or through functions of
the same package. Other steps are checked when they are called, before their bodies run.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from typing import Any

from ..values.annotations import closure_of, plain_function
from .step_options import is_step


def steps_named(handler: Callable[..., Any]) -> list[Callable[..., Any]]:
    package = _package(handler)
    found: dict[int, Callable[..., Any]] = {}
    seen: set[int] = set()
    waiting = [plain_function(handler)]
    while waiting:
        fn = waiting.pop()
        if id(fn) in seen or not isinstance(fn, types.FunctionType):
            continue
        seen.add(id(fn))
        for value in _named(fn, package):
            if is_step(value):
                found.setdefault(id(value), value)
            elif isinstance(value, types.FunctionType) and _package(value) == package:
                waiting.append(value)
    return list(found.values())


def _package(thing: Any) -> str:
    return str(getattr(thing, "__module__", None) or "").partition(".")[0]


def _named(fn: types.FunctionType, package: str) -> Iterator[Any]:
    """What stands behind the names in its code: of its module, of the functions around it, and of modules of the package."""
    names = dict.fromkeys(name for code in _codes(fn.__code__) for name in code.co_names)
    for value in [*(fn.__globals__[name] for name in names if name in fn.__globals__), *closure_of(fn).values()]:
        yield value
        if isinstance(value, types.ModuleType) and value.__name__.partition(".")[0] == package:
            yield from (vars(value)[name] for name in names if name in vars(value))


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """With that of functions inside."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)
