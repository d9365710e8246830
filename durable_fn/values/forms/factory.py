"""From an annotation to its form. pydantic is needed only for its own models and for classes that nobody else knows."""

from __future__ import annotations

import collections
import dataclasses
import inspect
import sys
import types
import typing
from collections import abc
from collections.abc import Callable, Mapping
from datetime import date, datetime
from enum import Enum
from typing import Annotated, Any, ClassVar, Final, Generic, Literal, TypeAlias, TypeVar, Union, get_args, get_origin

from ..annotations import alias_value, hints_of, is_typed_dict, is_unresolved, qualifier, stood_for
from ..validation import adapter_of, lax
from .base import Form, NotStorable, Unwritable, Writing, name_of
from .containers import Listed, Mapped, Row, Several
from .models import Model, Root
from .records import DataRecord, Field, NamedRow, TypedMapping, fixed
from .scalars import Choice, Exactly, Foreign, Nothing, Secret, Untyped, is_scalar, scalar
from .unions import AtLeast, Later, Loose, union

_LOOSE: Final = (Any, object, inspect.Parameter.empty, dict, list, tuple, set, frozenset, Generic)
_LISTED: Final = (list, tuple, set, frozenset, collections.deque)
_ONCE: Final = (abc.Iterator, abc.AsyncIterator, abc.AsyncIterable)
_ABSTRACT: Final = (abc.Iterable, abc.Collection, abc.Container, abc.Reversible, abc.Sequence, abc.MutableSequence, abc.Set,
                    abc.MutableSet)  # fmt: skip
_MAPPINGS: Final = (abc.Mapping, abc.MutableMapping)
_NAMED_ONLY: Final[dict[str, type]] = {
    "EmailStr": str, "PastDate": date, "FutureDate": date, "PastDatetime": datetime, "FutureDatetime": datetime,
    "AwareDatetime": datetime, "NaiveDatetime": datetime,
}  # fmt: skip
"""Classes of pydantic that only stand in annotations: their values are of another class."""

Env: TypeAlias = Mapping[Any, Any]
"""What type variables stand for: an annotation, and what those in it stand for."""


def form_of(annotation: Any) -> Form:
    """Raises NotStorable, which says what cannot be stored and where."""
    return _Factory().form(annotation, {})


class _Factory:
    """One annotation with all that it is made of. `env`: what the type variables stand for."""

    def __init__(self) -> None:
        self._under_way: dict[Any, Later | None] = {}
        self._raw_enums = False

    def form(self, annotation: Any, env: Env) -> Form:
        if annotation is None or annotation is type(None):
            return Nothing()
        if any(annotation is loose for loose in _LOOSE):
            return Untyped()
        annotation = stood_for(annotation)
        if is_scalar(annotation):
            return scalar(annotation, lax)
        if type(annotation).__name__ == "PydanticRecursiveRef":
            return self._model_again(annotation)
        if annotation is typing.Self and annotation in env:
            return self.form(*env[annotation])
        if is_unresolved(annotation):
            raise NotStorable(f"the name {annotation!r} in it cannot be resolved")
        special = self._special(annotation, env)
        if special is not None:
            return special
        origin = get_origin(annotation)
        cls = annotation if origin is None else origin
        found = self._generic(annotation, cls, get_args(annotation), env) if isinstance(cls, type) else None
        return found if found is not None else self._foreign(annotation)

    # -- what is no class ------------------------------------------------------------------------------------------

    def _special(self, annotation: Any, env: Env) -> Form | None:
        origin, args = get_origin(annotation), get_args(annotation)
        if origin in (Union, types.UnionType):
            return self._union(args, env)
        if origin is Annotated:
            return self._annotated(annotation, args[0], args[1:], env)
        if origin is Literal:
            return Exactly(args)
        if isinstance(annotation, TypeVar):
            return self._variable(annotation, env)
        if origin in (
            *qualifier("Required"),
            *qualifier("NotRequired"),
            *qualifier("ReadOnly"),
            ClassVar,
            typing.Final,
        ):
            return self.form(args[0], env)
        alias = origin if hasattr(origin, "__value__") else annotation if hasattr(annotation, "__value__") else None
        if alias is not None:
            return self._alias(annotation, alias, args, env)
        if hasattr(annotation, "__supertype__"):
            return self.form(annotation.__supertype__, env)
        name = getattr(annotation, "_name", None) or getattr(annotation, "__name__", "")
        if name == "LiteralString":
            return self.form(str, env)
        if name in ("NoReturn", "Never") and getattr(annotation, "__module__", "") in ("typing", "typing_extensions"):
            return Nothing()
        return None

    def _variable(self, variable: Any, env: Env) -> Form:
        if variable in env:
            return self.form(*env[variable])
        if variable.__bound__ is not None:
            return AtLeast(self.form(variable.__bound__, env))
        if variable.__constraints__:
            return self._union(variable.__constraints__, env)
        return Untyped()

    def _union(self, args: tuple[Any, ...], env: Env) -> Form:
        some = [arg for arg in args if not _is_abstract(arg)] or args
        return union([(self.form(arg, env), _full_name(arg)) for arg in some])

    def _alias(self, annotation: Any, alias: Any, args: tuple[Any, ...], env: Env) -> Form:
        """`type X = ...`, which may hold itself."""
        inner = _bound(alias.__type_params__, args, env)
        return self._once(annotation, self.form, alias_value(alias), inner)

    def _annotated(self, whole: Any, inner: Any, metadata: tuple[Any, ...], env: Env) -> Form:
        try:
            form = self.form(inner, env)
        except NotStorable:
            form = self._foreign(whole, of_any_class=True)
        _look_at(form, metadata)
        return Loose(form) if any(hasattr(item, "func") for item in metadata) else form

    # -- classes ---------------------------------------------------------------------------------------------------

    def _generic(self, annotation: Any, cls: Any, args: tuple[Any, ...], env: Env) -> Form | None:
        own = {v: env[v] for v in annotation.__parameters__ if v in env} if args else {}
        if _is_abstract(cls):
            raise NotStorable(
                f"{name_of(cls)} is abstract, so nothing can come back as one; name the classes that there are"
            )
        if issubclass(cls, Enum):
            if not cls.__members__:
                raise NotStorable(f"{name_of(cls)} has no members; name the Enum")
            return Choice(cls, raw=self._raw_enums)
        if is_typed_dict(cls):
            return self._once(annotation, self._typed_dict, cls, args, own)
        if issubclass(cls, tuple) and hasattr(cls, "_fields"):
            return self._once(annotation, self._named_tuple, cls, args, own)
        if _is_model(cls):
            return self._once(annotation, self._model, cls)
        if dataclasses.is_dataclass(cls):
            return self._once(annotation, self._dataclass, cls, args, own)
        if hasattr(cls, "get_secret_value") and hasattr(cls, "__get_pydantic_core_schema__"):
            return self._secret(annotation, cls, args, env)
        if cls.__module__.startswith("pydantic.") and cls.__name__ in _NAMED_ONLY:
            form = scalar(_NAMED_ONLY[cls.__name__], lax)
            form.checked, form.pure = True, False
            return form
        return self._container(annotation, cls, args, env)

    def _container(self, annotation: Any, cls: Any, args: tuple[Any, ...], env: Env) -> Form | None:
        if cls is tuple and (len(args) != 2 or args[1] is not Ellipsis):
            if any(getattr(arg, "__unpacked__", False) or get_origin(arg) is typing.Unpack for arg in args):
                raise NotStorable(f"{name_of(annotation)} has a place for any number of items; use tuple[X, ...]")
            return Row([self.form(arg, env) for arg in args if arg != ()])
        if cls in _LISTED:
            return Listed(cls, self.form(args[0] if args else Any, env))
        if cls in (dict, collections.OrderedDict, collections.defaultdict, collections.Counter):
            return self._mapping(cls, args, env)
        if cls in _ABSTRACT:
            return Several(name_of(annotation), cls, self.form(args[0] if args else Any, env))
        if cls in _MAPPINGS:
            key, item = args or (Any, Any)
            return Several(name_of(annotation), cls, self.form(item, env), self.form(key, env))
        if cls in _ONCE or cls in (abc.Generator, abc.AsyncGenerator):
            raise NotStorable(f"{name_of(annotation)} gives its items once; return a list")
        if cls in (abc.Callable, type) or cls in (abc.Awaitable, abc.Coroutine):
            raise NotStorable(f"{name_of(annotation)} is no value that can be stored")
        return None

    def _mapping(self, cls: Any, args: tuple[Any, ...], env: Env) -> Form:
        if cls is collections.Counter:
            return Mapped(cls, self.form(args[0] if args else Any, env), self.form(int, env))
        key, item = args or (Any, Any)
        factory = get_origin(item) or item
        known = fixed(factory)
        return Mapped(cls, self.form(key, env), self.form(item, env), known)

    def _once(self, annotation: Any, make: Callable[..., Form], *args: Any) -> Form:
        """A class that holds itself has a place in its form where that begins anew."""
        key = (annotation, *map(_frozen, args))
        try:
            if key in self._under_way:
                later = self._under_way[key] or Later(annotation)
                self._under_way[key] = later
                return later
            self._under_way[key] = None
        except TypeError:  # not hashable: an annotation that cannot hold itself
            return make(*args)
        form = make(*args)
        later_on = self._under_way.pop(key)
        if later_on is not None:
            later_on.settle(form)
        return form

    def _typed_dict(self, cls: Any, args: tuple[Any, ...], env: Env) -> Form:
        inner = _inside(cls, args, env)
        form = TypedMapping(cls, name_of(cls))
        fields = []
        for name, (hint, required) in hints_of(cls).items():
            default = None if required else dict
            fields.append(Field(name, name, self._part(name, hint, inner), default))
        form.settle(fields)
        return form

    def _named_tuple(self, cls: Any, args: tuple[Any, ...], env: Env) -> Form:
        inner, hints = _inside(cls, args, env), hints_of(cls)
        form = NamedRow(cls, name_of(cls))
        form.settle([self._part(name, hints[name][0] if name in hints else Any, inner) for name in cls._fields])
        return form

    def _dataclass(self, cls: Any, args: tuple[Any, ...], env: Env) -> Form:
        inner, hints = _inside(cls, args, env), hints_of(cls)
        known = getattr(cls, "__pydantic_fields__", {})
        form = DataRecord(cls, name_of(cls))
        fields = []
        for field in dataclasses.fields(cls):
            ours = known.get(field.name)
            part = self._part(field.name, hints[field.name][0] if field.name in hints else Any, inner)
            if hasattr(cls, "__post_init__") or _decorated(cls) or not _takes(part, field.default):
                part = Loose(part)
            fields.append(
                Field(field.name, _key(field.name, ours), part, _default_of(field), bool(ours and ours.exclude))
            )
            factory: Any = field.default_factory
            if factory is not dataclasses.MISSING and fixed(factory) is None:
                form.pure = False
        form.settle(fields)
        form.styled = form.styled or bool(known)
        if hasattr(cls, "__post_init__") or _decorated(cls):
            form.checked, form.pure = True, False
        if any(f.type is dataclasses.InitVar or isinstance(f.type, dataclasses.InitVar) for f in _pseudo_fields(cls)):
            form.checked = False  # nobody knows any more what it was made of
        return form

    def _model(self, cls: Any) -> Form:
        if cls.__module__ == "pydantic.main":
            raise NotStorable("BaseModel has no fields; name the model")
        if cls.__pydantic_root_model__:
            root = Root(cls, name_of(cls))
            root.settle(self._model_part(cls, "root", cls.model_fields["root"]))
            _look_at_model(root, cls)
            return root
        form = Model(cls, name_of(cls))
        before, self._raw_enums = self._raw_enums, bool(cls.model_config.get("use_enum_values"))
        try:
            fields = [
                Field(
                    name,
                    _key(name, info),
                    self._model_part(cls, name, info),
                    _default_of_info(info),
                    bool(info.exclude),
                )
                for name, info in cls.model_fields.items()
            ]
        except _NeedsItsModel:
            return self._foreign(cls)
        finally:
            self._raw_enums = before
        form.settle(fields, self._extra(cls))
        _look_at_model(form, cls)
        return form

    def _model_again(self, ref: Any) -> Form:
        """A generic model that holds itself, as pydantic refers to it: the one of that class that is under way."""
        for key in reversed(self._under_way):
            origin = key[0].__pydantic_generic_metadata__["origin"] if _is_model(key[0]) else None
            if origin and ref.type_ref.startswith(f"{origin.__module__}.{origin.__qualname__}:{id(origin)}["):
                return self._once(key[0], self._model, key[0])
        raise NotStorable(f"the model that {ref.type_ref} stands for cannot be found")

    def _extra(self, cls: Any) -> Form | None:
        """Of keys that no field has, where the class says of what type they are."""
        for base in cls.__mro__:
            hint = vars(base).get("__annotations__", {}).get("__pydantic_extra__")
            if hint is not None and not isinstance(hint, str):
                args = get_args(hint)
                return self.form(args[1], {}) if len(args) == 2 else None
        return None

    def _model_part(self, cls: Any, name: str, info: Any) -> Form:
        """Of a field. One of a class that nobody knows may be written and read by the model."""
        annotation = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
        try:
            form = self.form(annotation, {typing.Self: (cls, {})})
        except NotStorable as error:
            own = cls.__pydantic_decorators__
            if own.field_serializers or own.model_serializers or own.field_validators or own.model_validators:
                raise _NeedsItsModel from None
            raise NotStorable(f"at .{name}: {error}".replace(": at .", ".")) from None
        if info.default_factory is not None and fixed(info.default_factory) is None:
            form.pure = False
        return Loose(form) if _decorated(cls) or not _takes(form, info.default) else form

    def _part(self, name: str, hint: Any, env: Env) -> Form:
        try:
            return self.form(hint, env)
        except NotStorable as error:
            raise NotStorable(f"at .{name}: {error}".replace(": at .", ".")) from None

    def _secret(self, annotation: Any, cls: Any, args: tuple[Any, ...], env: Env) -> Form:
        if args:
            return Secret(cls, self.form(args[0], env))
        for base in cls.__mro__:
            for known in vars(base).get("__orig_bases__", ()):
                if get_args(known) and not isinstance(get_args(known)[0], TypeVar):
                    return Secret(cls, self.form(get_args(known)[0], env))
        return Secret(cls, Untyped())

    def _foreign(self, annotation: Any, *, of_any_class: bool = False) -> Form:
        """`of_any_class`: a serializer beside the class may write what the class itself does not."""
        try:
            adapter = adapter_of(annotation, of_any_class=of_any_class)
        except NotStorable as error:
            raise error from None
        if not _writes_json(adapter.core_schema):
            raise NotStorable(f"{name_of(annotation)} has no JSON form")
        return Foreign(annotation, adapter)


_WRITES_NONE: Final = ("is-instance", "is-subclass", "callable", "call", "generator")


def _writes_json(schema: Any) -> bool:
    """Whether pydantic has a way to write the values, as far as the schema tells."""
    if "serialization" in schema:
        return True
    inner = schema.get("schema")
    return schema["type"] not in _WRITES_NONE and (not isinstance(inner, dict) or _writes_json(inner))


class _NeedsItsModel(Exception):
    """A field that only its model's serializers and validators write and read."""


def _full_name(annotation: Any) -> str:
    """Tells classes of one name apart, wherever they stand among others."""
    if isinstance(annotation, type) and not get_args(annotation):
        return f"{annotation.__module__}.{annotation.__qualname__}"
    return str(annotation)


def _frozen(part: Any) -> Any:
    return tuple((key, _frozen(value)) for key, value in part.items()) if isinstance(part, Mapping) else (
        tuple(map(_frozen, part)) if isinstance(part, tuple) else part
    )  # fmt: skip


def _inside(cls: Any, args: tuple[Any, ...], env: Env) -> dict[Any, Any]:
    """What the names in a class's own annotations stand for."""
    return {**_variables(cls, args, env), typing.Self: (cls[args] if args else cls, env)}


def _bound(parameters: Any, args: tuple[Any, ...], env: Env) -> dict[Any, Any]:
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
    found |= _bound(parameters, args, env)
    for base in getattr(cls, "__orig_bases__", ()):
        origin = get_origin(base)
        if origin is not None and origin is not Generic and isinstance(origin, type):
            found |= {k: v for k, v in _variables(origin, get_args(base), found).items() if k not in found}
    return found


def _is_model(cls: Any) -> bool:
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and issubclass(cls, pydantic.BaseModel)


def _is_abstract(cls: Any) -> bool:
    return inspect.isabstract(cls) and (dataclasses.is_dataclass(cls) or _is_model(cls))


def _takes(form: Form, default: Any) -> bool:
    """Whether a default is of the type that the annotation says. `name: str = None` is not, and usual."""
    try:
        form.write(default, Writing(secrets=True))
    except Unwritable:
        return type(default).__name__ in ("PydanticUndefinedType", "_MISSING_TYPE", "FieldInfo")
    except (AssertionError, AttributeError):  # a class that holds itself is not known yet
        return default is not None
    return True


def _key(name: str, info: Any) -> str:
    """As pydantic writes the field."""
    alias = getattr(info, "serialization_alias", None) or getattr(info, "alias", None)
    return alias if isinstance(alias, str) else name


def _default_of(field: Any) -> Callable[[], Any] | None:
    from dataclasses import MISSING

    if field.default_factory is not MISSING:
        return fixed(field.default_factory)
    if field.default is MISSING:
        return None
    default = field.default
    if type(default).__name__ == "FieldInfo":  # pydantic's Field() in a dataclass
        return _default_of_info(default)
    return lambda: default


def _default_of_info(info: Any) -> Callable[[], Any] | None:
    if info.default_factory is not None:
        return fixed(info.default_factory)
    return None if info.is_required() else info.get_default


def _pseudo_fields(cls: Any) -> Any:
    """Also those that are handed to `__post_init__` only."""
    return vars(cls).get("__dataclass_fields__", {}).values()


def _decorated(cls: Any) -> bool:
    """Whether it has validators of pydantic's kind."""
    own = getattr(cls, "__pydantic_decorators__", None)
    return own is not None and bool(
        own.validators or own.field_validators or own.root_validators or own.model_validators
    )


_CHANGING: Final = frozenset(
    {"str_strip_whitespace", "str_to_lower", "str_to_upper", "str_min_length", "str_max_length"}
)


def _look_at_model(form: Form, cls: Any) -> None:
    """Whether code of the user's has a part in validating it, and whether it says more than types."""
    if _decorated(cls) or cls.__pydantic_custom_init__ or "model_post_init" in _overridden(cls):
        form.checked, form.pure = True, False
    if _CHANGING & cls.model_config.keys():
        form.checked = True


def _overridden(cls: Any) -> set[str]:
    return {name for base in cls.__mro__ if base.__module__ != "pydantic.main" for name in vars(base)}


def _look_at(form: Form, metadata: tuple[Any, ...]) -> None:
    """What an annotation says besides the type."""
    for item in metadata:
        kind = type(item)
        if item is None or kind in (str, int, float, bool) or kind.__name__ in ("Json", "Doc", "Discriminator", "Tag"):
            continue
        form.checked = form.styled = True
        if hasattr(kind, "__get_pydantic_core_schema__"):
            form.pure = False
        elif kind.__name__ == "FieldInfo":
            _look_at(form, tuple(item.metadata))
