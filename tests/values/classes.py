"""Random classes: models, dataclasses, TypedDicts, named tuples, Enums, generics, aliases, and classes that hold themselves."""

from __future__ import annotations

import dataclasses
import enum
import random
import typing
from typing import Any, Generic, NamedTuple, TypeVar

import typing_extensions
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, RootModel, create_model, model_validator

from tests.values.shapes import Shape, shape, untyped

T = TypeVar("T")
_NAMES = ("a", "b", "model", "items", "id")


def some_class(rng: random.Random, depth: int) -> Shape:
    return rng.choice(_MAKERS)(rng, depth)


def _fields(rng: random.Random, depth: int, least: int = 0) -> dict[str, Shape]:
    return {name: shape(rng, depth - 1) for name in rng.sample(_NAMES, rng.randint(least, 3))}


# -- models --------------------------------------------------------------------------------------------------------


class _Base(BaseModel):
    """`model_construct` and what comes of it is not what is looked at here: values are set as they are."""

    _note: Any = PrivateAttr(default=None)


def _model(rng: random.Random, depth: int) -> Shape:
    fields = _fields(rng, depth)
    allows, config = (
        rng.random() < 0.3,
        ConfigDict(populate_by_name=True, ser_json_bytes="base64", val_json_bytes="base64"),
    )
    definitions: dict[str, Any] = {name: (part.annotation, _field(rng, part, name)) for name, part in fields.items()}
    base = type("Base", (_Base,), {"model_config": config | {"extra": "allow" if allows else "ignore"}})
    cls = create_model("Model", __base__=base, **definitions)

    def draw(rng: random.Random) -> Any:
        given = {name: part.draw(rng) for name, part in fields.items() if rng.random() < 0.8}
        for name, info in cls.model_fields.items():
            if info.is_required():
                given.setdefault(name, fields[name].draw(rng))
        value = cls.model_construct(**given)
        if allows and rng.random() < 0.5:
            value.__pydantic_extra__ = {"more": untyped(rng), "$": 1}
        if rng.random() < 0.3:
            value._note = untyped(rng)
        return value

    return Shape(cls, draw)


def _field(rng: random.Random, part: Shape, name: str) -> Any:
    default = part.draw(rng)
    options: dict[str, Any] = rng.choice(
        ({}, {}, {"alias": name.upper()}, {"exclude": True}, {"serialization_alias": "$" + name})
    )
    return Field(**options) if rng.random() < 0.5 else Field(default_factory=lambda: default, **options)


class Doubling(BaseModel):
    """What its validator does is done once."""

    n: int

    @model_validator(mode="after")
    def doubled(self) -> Doubling:
        self.__dict__["n"] = self.n * 2
        return self


class Box(BaseModel, Generic[T]):
    content: T


class Tree(BaseModel):
    name: Any = None
    children: list[Tree] = []


class Rung(BaseModel):
    n: int = 0


class Higher(Rung):
    more: str = ""


@dataclasses.dataclass
class Step:
    n: float


@dataclasses.dataclass
class Longer(Step):
    far: bool = True


B = TypeVar("B", bound=Rung)
LADDER = (
    Shape(Rung, lambda rng: Rung(n=rng.randint(0, 3))),
    Shape(Higher, lambda rng: Higher(n=1, more=rng.choice("ab"))),
    Shape(Step, lambda rng: Step(rng.choice((0.0, 1.5)))),
    Shape(Longer, lambda rng: Longer(2.0)),
    Shape(B, lambda rng: Rung(n=rng.randint(0, 3))),
)
"""Classes and their bases, which take their values too."""


class Branching(BaseModel, Generic[T]):
    """Generic, and it holds itself."""

    content: T
    inside: list[Branching[T]] = []


@dataclasses.dataclass
class Linked(Generic[T]):
    content: T
    next: Linked[T] | None = None


def _fixed(rng: random.Random, depth: int) -> Shape:
    inner = shape(rng, depth - 1)
    root: Any = RootModel[inner.annotation]

    def tree(rng: random.Random, left: int = 3) -> Tree:
        return Tree(name=untyped(rng, 1), children=[tree(rng, left - 1) for _ in range(rng.randint(0, left))])

    def branching(rng: random.Random, cls: Any, left: int = 2) -> Any:
        inside = [branching(rng, cls, left - 1) for _ in range(rng.randint(0, left))]
        return cls.model_construct(content=inner.draw(rng), inside=inside)

    return rng.choice((
        Shape(Doubling, lambda rng: Doubling(n=rng.randint(0, 9))),
        Shape(Box[inner.annotation], lambda rng: Box[inner.annotation].model_construct(content=inner.draw(rng))),
        Shape(Box, lambda rng: Box.model_construct(content=untyped(rng))),
        Shape(Tree, tree),
        Shape(Branching[inner.annotation], lambda rng: branching(rng, Branching[inner.annotation])),
        Shape(root, lambda rng: root.model_construct(inner.draw(rng))),
    ))  # fmt: skip


# -- dataclasses and tuples ----------------------------------------------------------------------------------------


def _dataclass(rng: random.Random, depth: int) -> Shape:
    fields = _fields(rng, depth)
    late = {name for name in fields if rng.random() < 0.2}
    frozen = not late and rng.random() < 0.5
    cls: Any = dataclasses.make_dataclass(
        "Data",
        [(name, part.annotation, dataclasses.field(init=name not in late)) for name, part in fields.items()],
        frozen=frozen,
        slots=rng.random() < 0.4,
        kw_only=rng.random() < 0.3,
    )

    def draw(rng: random.Random) -> Any:
        value = cls(**{name: part.draw(rng) for name, part in fields.items() if name not in late})
        for name in late:
            if rng.random() < 0.7:
                setattr(value, name, fields[name].draw(rng))
        return value

    return Shape(cls, draw, hashable=frozen and all(part.hashable for part in fields.values()))


@dataclasses.dataclass
class Counted:
    n: int

    def __post_init__(self) -> None:
        self.n += 1


@dataclasses.dataclass
class Holder(Generic[T]):
    content: T


def _known(rng: random.Random, depth: int) -> Shape:
    inner = shape(rng, depth - 1)
    return rng.choice((
        Shape(Counted, lambda rng: Counted(rng.randint(0, 9))),
        Shape(Holder[inner.annotation], lambda rng: Holder(inner.draw(rng))),
        Shape(Linked[inner.annotation], lambda rng: Linked(inner.draw(rng), Linked(inner.draw(rng)))),
        Shape(Holder, lambda rng: Holder(untyped(rng))),
    ))  # fmt: skip


def _named_tuple(rng: random.Random, depth: int) -> Shape:
    fields = _fields(rng, depth, 1)
    cls: Any = NamedTuple("Named", [(name, part.annotation) for name, part in fields.items()])
    return Shape(
        cls, lambda rng: cls(*(part.draw(rng) for part in fields.values())), all(p.hashable for p in fields.values())
    )


def _typed_dict(rng: random.Random, depth: int) -> Shape:
    fields = _fields(rng, depth)
    optional = {name for name in fields if rng.random() < 0.4}
    make: Any = rng.choice((typing.TypedDict, typing_extensions.TypedDict))
    not_required: Any = typing_extensions.NotRequired
    hints = {n: not_required[part.annotation] if n in optional else part.annotation for n, part in fields.items()}
    extra = rng.random() < 0.3

    def draw(rng: random.Random) -> Any:
        value = {n: part.draw(rng) for n, part in fields.items() if n not in optional or rng.random() < 0.5}
        return {**value, "more": untyped(rng), "$": 2} if extra else value

    return Shape(make("Keys", hints), draw)


# -- names for others ----------------------------------------------------------------------------------------------


class Mixed(enum.Enum):
    ONE = 1
    TRUE = True
    TEXT = "1"
    PAIR = (1, "a")


class Word(enum.StrEnum):
    A = "a"
    NULL = "null"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


def _enum(rng: random.Random, depth: int) -> Shape:
    cls: Any = rng.choice((Mixed, Word, Level))
    if rng.random() < 0.2:
        return Shape(Rights, lambda rng: Rights(rng.randint(0, 3)), hashable=True)
    return Shape(cls, lambda rng: rng.choice(list(cls)), hashable=True)


def _alias(rng: random.Random, depth: int) -> Shape:
    inner = shape(rng, depth - 1)
    alias: Any = typing_extensions.TypeAliasType("Alias", inner.annotation)
    if rng.random() < 0.5:
        return Shape(alias, inner.draw, inner.hashable)
    several: Any = typing_extensions.TypeAliasType("Several", list[T] | None, type_params=(T,))  # type: ignore[misc]
    return Shape(several[inner.annotation], lambda rng: rng.choice((None, [inner.draw(rng)])))


_MAKERS = (
    _model,
    _model,
    _fixed,
    _dataclass,
    _dataclass,
    _known,
    _named_tuple,
    _typed_dict,
    _typed_dict,
    _enum,
    _alias,
)
