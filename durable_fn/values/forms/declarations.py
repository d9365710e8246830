"""What a class or an annotation says of itself, as the factory of forms asks it."""

from __future__ import annotations

import dataclasses
import inspect
import sys
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeAlias, TypeVar, get_args, get_origin

from .base import Form, Unwritable, Writing
from .records import fixed

Env: TypeAlias = Mapping[Any, Any]
"""What type variables stand for: an annotation, and what those in it stand for."""

_WRITES_NONE: Final = ("is-instance", "is-subclass", "callable", "call", "generator")


def writes_json(schema: Any) -> bool:
    """Whether pydantic has a way to write the values, as far as the schema tells."""
    if "serialization" in schema:
        return True
    inner = schema.get("schema")
    return schema["type"] not in _WRITES_NONE and (not isinstance(inner, dict) or writes_json(inner))


class NeedsItsModel(Exception):
    """A field that only its model's serializers and validators write and read."""


def full_name(annotation: Any) -> str:
    """Tells classes of one name apart, wherever they stand among others."""
    if isinstance(annotation, type) and not get_args(annotation):
        return f"{annotation.__module__}.{annotation.__qualname__}"
    return str(annotation)


def frozen_parts(part: Any) -> Any:
    return tuple((key, frozen_parts(value)) for key, value in part.items()) if isinstance(part, Mapping) else (
        tuple(map(frozen_parts, part)) if isinstance(part, tuple) else part
    )  # fmt: skip


def variables_inside(cls: Any, args: tuple[Any, ...], env: Env) -> dict[Any, Any]:
    """What the names in a class's own annotations stand for."""
    return {**_variables(cls, args, env), typing.Self: (cls[args] if args else cls, env)}


def bound_variables(parameters: Any, args: tuple[Any, ...], env: Env) -> dict[Any, Any]:
    """What type variables stand for: of each an annotation, with no more than the variables in it need, so that a class that
    holds itself is the same one there."""
    found = {}
    for parameter, arg in zip(parameters, args, strict=False):
        if isinstance(arg, TypeVar) and arg in env:
            found[parameter] = env[arg]
        else:
            found[parameter] = (arg, {v: env[v] for v in getattr(arg, "__parameters__", ()) if v in env})
    return found


def _variables(cls: Any, args: tuple[Any, ...], env: Env) -> dict[Any, Any]:
    """What the type variables of a class and of its bases stand for."""
    found: dict[Any, Any] = {}
    parameters = getattr(cls, "__parameters__", ()) or getattr(cls, "__type_params__", ())
    found |= bound_variables(parameters, args, env)
    for base in getattr(cls, "__orig_bases__", ()):
        origin = get_origin(base)
        if origin is not None and origin is not Generic and isinstance(origin, type):
            found |= {k: v for k, v in _variables(origin, get_args(base), found).items() if k not in found}
    return found


def is_model(cls: Any) -> bool:
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and issubclass(cls, pydantic.BaseModel)


def is_abstract(cls: Any) -> bool:
    return inspect.isabstract(cls) and (dataclasses.is_dataclass(cls) or is_model(cls))


def takes_default(form: Form, default: Any) -> bool:
    """Whether a default is of the type that the annotation says. `name: str = None` is not, and usual."""
    try:
        form.write(default, Writing(secrets=True))
    except Unwritable:
        return type(default).__name__ in ("PydanticUndefinedType", "_MISSING_TYPE", "FieldInfo")
    except (AssertionError, AttributeError):  # a class that holds itself is not known yet
        return default is not None
    return True


def key_of(name: str, info: Any) -> str:
    """As pydantic writes the field."""
    alias = getattr(info, "serialization_alias", None) or getattr(info, "alias", None)
    return alias if isinstance(alias, str) else name


def default_of(field: Any) -> Callable[[], Any] | None:
    from dataclasses import MISSING

    if field.default_factory is not MISSING:
        return fixed(field.default_factory)
    if field.default is MISSING:
        return None
    default = field.default
    if type(default).__name__ == "FieldInfo":  # pydantic's Field() in a dataclass
        return default_of_info(default)
    return lambda: default


def default_of_info(info: Any) -> Callable[[], Any] | None:
    if info.default_factory is not None:
        return fixed(info.default_factory)
    return None if info.is_required() else info.get_default


def pseudo_fields(cls: Any) -> Any:
    """Also those that are handed to `__post_init__` only."""
    return vars(cls).get("__dataclass_fields__", {}).values()


def is_decorated(cls: Any) -> bool:
    """Whether it has validators of pydantic's kind."""
    own = getattr(cls, "__pydantic_decorators__", None)
    return own is not None and bool(
        own.validators or own.field_validators or own.root_validators or own.model_validators
    )


_CHANGING: Final = frozenset(
    {"str_strip_whitespace", "str_to_lower", "str_to_upper", "str_min_length", "str_max_length"}
)


def look_at_model(form: Form, cls: Any) -> None:
    """Whether code of the user's has a part in validating it, and whether it says more than types."""
    if is_decorated(cls) or cls.__pydantic_custom_init__ or "model_post_init" in _overridden(cls):
        form.checked, form.pure = True, False
    if _CHANGING & cls.model_config.keys():
        form.checked = True


def _overridden(cls: Any) -> set[str]:
    return {name for base in cls.__mro__ if base.__module__ != "pydantic.main" for name in vars(base)}


def look_at(form: Form, metadata: tuple[Any, ...]) -> None:
    """What an annotation says besides the type."""
    for item in metadata:
        kind = type(item)
        if item is None or kind in (str, int, float, bool) or kind.__name__ in ("Json", "Doc", "Discriminator", "Tag"):
            continue
        form.checked = form.styled = True
        if hasattr(kind, "__get_pydantic_core_schema__"):
            form.pure = False
        elif kind.__name__ == "FieldInfo":
            look_at(form, tuple(item.metadata))
