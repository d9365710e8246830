"""From an annotation to its form. pydantic is needed only for its own models and for classes that nobody else knows."""

from __future__ import annotations

import collections
import dataclasses
import inspect
import types
import typing
from collections import abc
from collections.abc import Callable
from datetime import date, datetime
from enum import Enum
from typing import Annotated, Any, ClassVar, Final, Generic, Literal, TypeVar, Union, get_args, get_origin

from ..annotations import alias_value, hints_of, is_typed_dict, is_unresolved, qualifier, stood_for
from ..validation import adapter_of, lax
from .base import Form, NotStorable, name_of
from .containers import Listed, Mapped, Row, Several
from .declarations import (
    Env,
    NeedsItsModel,
    bound_variables,
    default_of,
    default_of_info,
    frozen_parts,
    full_name,
    is_abstract,
    is_decorated,
    is_model,
    key_of,
    look_at,
    look_at_model,
    pseudo_fields,
    takes_default,
    variables_inside,
    writes_json,
)
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
        some = [arg for arg in args if not is_abstract(arg)] or args
        return union([(self.form(arg, env), full_name(arg)) for arg in some])

    def _alias(self, annotation: Any, alias: Any, args: tuple[Any, ...], env: Env) -> Form:
        """`type X = ...`, which may hold itself."""
        inner = bound_variables(alias.__type_params__, args, env)
        return self._once(annotation, self.form, alias_value(alias), inner)

    def _annotated(self, whole: Any, inner: Any, metadata: tuple[Any, ...], env: Env) -> Form:
        try:
            form = self.form(inner, env)
        except NotStorable:
            form = self._foreign(whole, of_any_class=True)
        look_at(form, metadata)
        return Loose(form) if any(hasattr(item, "func") for item in metadata) else form

    # -- classes ---------------------------------------------------------------------------------------------------

    def _generic(self, annotation: Any, cls: Any, args: tuple[Any, ...], env: Env) -> Form | None:
        own = {v: env[v] for v in annotation.__parameters__ if v in env} if args else {}
        if is_abstract(cls):
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
        if is_model(cls):
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
        key = (annotation, *map(frozen_parts, args))
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
        inner = variables_inside(cls, args, env)
        form = TypedMapping(cls, name_of(cls))
        fields = []
        for name, (hint, required) in hints_of(cls).items():
            default = None if required else dict
            fields.append(Field(name, name, self._part(name, hint, inner), default))
        form.settle(fields)
        return form

    def _named_tuple(self, cls: Any, args: tuple[Any, ...], env: Env) -> Form:
        inner, hints = variables_inside(cls, args, env), hints_of(cls)
        form = NamedRow(cls, name_of(cls))
        form.settle([self._part(name, hints[name][0] if name in hints else Any, inner) for name in cls._fields])
        return form

    def _dataclass(self, cls: Any, args: tuple[Any, ...], env: Env) -> Form:
        inner, hints = variables_inside(cls, args, env), hints_of(cls)
        known = getattr(cls, "__pydantic_fields__", {})
        form = DataRecord(cls, name_of(cls))
        fields = []
        for field in dataclasses.fields(cls):
            ours = known.get(field.name)
            part = self._part(field.name, hints[field.name][0] if field.name in hints else Any, inner)
            if hasattr(cls, "__post_init__") or is_decorated(cls) or not takes_default(part, field.default):
                part = Loose(part)
            fields.append(
                Field(field.name, key_of(field.name, ours), part, default_of(field), bool(ours and ours.exclude))
            )
            factory: Any = field.default_factory
            if factory is not dataclasses.MISSING and fixed(factory) is None:
                form.pure = False
        form.settle(fields)
        form.styled = form.styled or bool(known)
        if hasattr(cls, "__post_init__") or is_decorated(cls):
            form.checked, form.pure = True, False
        if any(f.type is dataclasses.InitVar or isinstance(f.type, dataclasses.InitVar) for f in pseudo_fields(cls)):
            form.checked = False  # nobody knows any more what it was made of
        return form

    def _model(self, cls: Any) -> Form:
        if cls.__module__ == "pydantic.main":
            raise NotStorable("BaseModel has no fields; name the model")
        if cls.__pydantic_root_model__:
            root = Root(cls, name_of(cls))
            root.settle(self._model_part(cls, "root", cls.model_fields["root"]))
            look_at_model(root, cls)
            return root
        form = Model(cls, name_of(cls))
        before, self._raw_enums = self._raw_enums, bool(cls.model_config.get("use_enum_values"))
        try:
            fields = [
                Field(
                    name,
                    key_of(name, info),
                    self._model_part(cls, name, info),
                    default_of_info(info),
                    bool(info.exclude),
                )
                for name, info in cls.model_fields.items()
            ]
        except NeedsItsModel:
            return self._foreign(cls)
        finally:
            self._raw_enums = before
        form.settle(fields, self._extra(cls))
        look_at_model(form, cls)
        return form

    def _model_again(self, ref: Any) -> Form:
        """A generic model that holds itself, as pydantic refers to it: the one of that class that is under way."""
        for key in reversed(self._under_way):
            origin = key[0].__pydantic_generic_metadata__["origin"] if is_model(key[0]) else None
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
                raise NeedsItsModel from None
            raise NotStorable(f"at .{name}: {error}".replace(": at .", ".")) from None
        if info.default_factory is not None and fixed(info.default_factory) is None:
            form.pure = False
        return Loose(form) if is_decorated(cls) or not takes_default(form, info.default) else form

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
        if not writes_json(adapter.core_schema):
            raise NotStorable(f"{name_of(annotation)} has no JSON form")
        return Foreign(annotation, adapter)
