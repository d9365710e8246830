"""What a step returns comes back equal, type for type, or is refused; in either case its body ran once, and every invocation sees
the same. Kinds that random annotations do not draw."""

from __future__ import annotations

import collections
import dataclasses
import enum
import functools
import math
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Annotated, Any, Generic, Literal, NamedTuple, Self, TypeVar

import pytest
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    JsonValue,
    PlainSerializer,
    PlainValidator,
    PrivateAttr,
    field_serializer,
    field_validator,
    model_serializer,
)
from pydantic_core import core_schema
from typing_extensions import TypeAliasType, TypedDict

from durable_fn.errors import SerializationError
from durable_fn.testing import LocalRunner
from tests.values.handlers import BODIES, FRONTS, SEEN, noting, returning, seen
from tests.values.telling import told

T = TypeVar("T")


@pytest.fixture(params=FRONTS)
def front(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Private(BaseModel):
    n: int
    _note: Any = PrivateAttr(default=None)


def _private() -> Private:
    value = Private(n=1)
    value._note = Decimal("1.10")
    return value


class Excluded(BaseModel):
    n: int
    hidden: str = Field(default="x", exclude=True)


class Shown(BaseModel):
    n: int
    hidden: str = "x"

    @model_serializer
    def only_n(self) -> dict[str, Any]:
        return {"n": self.n}


class Lossy(BaseModel):
    at: datetime

    @field_serializer("at")
    def year(self, at: datetime) -> str:
        return at.strftime("%Y")


class Louder(BaseModel):
    text: str

    @field_validator("text")
    @classmethod
    def loud(cls, text: str) -> str:
        return text + "!"


class Left(BaseModel):
    n: int


class Right(BaseModel):
    n: int


class Sub(Left):
    more: int = 5


class Numbered(enum.Enum):
    ONE = 1
    NAN = float("nan")


class Slotted(BaseModel):
    __slots__ = ("aside",)
    n: int


@dataclasses.dataclass
class Late:
    n: int
    double: int = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.double = self.n * 2


def _late() -> Late:
    value = Late(1)
    value.double = 77
    return value


class Plain:
    """A class that pydantic does not know."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plain) and other.n == self.n

    def __hash__(self) -> int:
        return self.n

    def __repr__(self) -> str:
        return f"Plain({self.n})"


def _plain(data: Any) -> Plain:
    return data if isinstance(data, Plain) else Plain(data)


Written = Annotated[Plain, PlainSerializer(lambda value: value.n), PlainValidator(_plain)]


class Holding(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    plain: Plain

    @field_serializer("plain")
    def number(self, plain: Plain) -> int:
        return plain.n

    @field_validator("plain", mode="before")
    @classmethod
    def of_number(cls, data: Any) -> Plain:
        return _plain(data)


class Extra(BaseModel):
    model_config = ConfigDict(extra="allow")
    n: int


def _extra() -> Extra:
    value = Extra(n=1)
    value.more = Decimal("1.0")  # not in `model_fields_set`, as pydantic has it
    return value


class Cached(BaseModel):
    n: int

    @functools.cached_property
    def big(self) -> object:
        return object()


def _cached() -> Cached:
    value = Cached(n=1)
    _ = value.big
    return value


Nested = TypeAliasType("Nested", "dict[str, Nested] | list[Nested] | int | None")
Deep = TypeAliasType("Deep", "list[Deep[T]] | T", type_params=(T,))


@dataclasses.dataclass
class Linked(Generic[T]):
    content: T
    next: Linked[T] | None = None


class Branching(BaseModel, Generic[T]):
    content: T
    children: list[Branching[T]] = []


class Selfish(BaseModel):
    next: Self | None = None


class Careful(BaseModel):
    """It holds itself, where a validator may give anything."""

    next: Careful | None = None

    @field_validator("next")
    @classmethod
    def as_it_is(cls, value: Any) -> Any:
        return value


@dataclasses.dataclass
class Prepared:
    next: Prepared | None = None

    def __post_init__(self) -> None:
        pass


class AnyMore(BaseModel):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, date] = Field(init=False)  # type: ignore[assignment]


class Small(TypedDict):
    n: float
    inside: list[Small | Large]


class Large(TypedDict):
    n: int
    inside: list[Small | Large]


def _deep() -> Any:
    """Both members take each level, and one says what it is."""
    value: Any = {"n": 1, "inside": []}
    for _ in range(60):
        value = {"n": 1, "inside": [value]}
    return value


BACK: list[tuple[Any, Callable[[], Any]]] = [
    (Private, _private),
    (Excluded, lambda: Excluded(n=1, hidden="y")),
    (Shown, lambda: Shown(n=1, hidden="y")),
    (Lossy, lambda: Lossy(at=datetime(2026, 1, 2, tzinfo=UTC))),
    (Louder, lambda: Louder(text="a")),
    (Left | Right, lambda: Right(n=1)),
    (list[Left | Right], lambda: [Right(n=1), Left(n=2)]),
    (dict[int | str | None, int], lambda: {1: 1, "1": 2, None: 3, "None": 4}),
    (Numbered, lambda: Numbered.NAN),
    (Late, _late),
    (HttpUrl, lambda: HttpUrl("https://a.b/ä")),
    (Fraction, lambda: Fraction(1, 3)),
    (PurePosixPath, lambda: PurePosixPath("/a/b")),
    (Written, lambda: Plain(1)),
    (Holding, lambda: Holding(plain=Plain(1))),
    (Extra, _extra),
    (JsonValue, lambda: {"a": [1, None, {"$": "uuid", "v": 1}]}),
    (Nested, lambda: {"a": [1, {"b": None}]}),
    (set[frozenset[int]], lambda: {frozenset({8, 0}), frozenset({0, 16}), frozenset({1})}),
    (Annotated[list[int], {"any": "metadata"}], lambda: [1]),
    (list[float] | list[int], lambda: [1, 2]),
    (dict[str, float] | dict[str, int] | None, lambda: {"a": 1}),
    (list[Left] | list[Sub], lambda: [Sub(n=1)]),
    (Linked[float] | Linked[int], lambda: Linked(1, Linked(2))),
    (Linked, lambda: Linked(Decimal("1.0"), Linked((1, 2)))),
    (Branching[int], lambda: Branching[int](content=1, children=[Branching[int](content=2)])),
    (Deep[int], lambda: [1, [2, [3]]]),
    (Selfish, lambda: Selfish(next=Selfish())),
    (Careful, lambda: Careful(next=Careful())),
    (Prepared, lambda: Prepared(Prepared())),
    (AnyMore, lambda: AnyMore.model_validate({"a": date(2026, 1, 1)})),
    (Small | Large, _deep),
    (complex, lambda: complex(-1.5, math.inf)),
]


@pytest.mark.parametrize(("annotation", "make"), BACK, ids=lambda part: getattr(part, "__name__", None))
def test_it_comes_back(front: str, annotation: Any, make: Callable[[], Any]) -> None:
    found = seen(returning(front, make, annotation))
    expected = make()
    assert [repr(told(value)) for value in found] == [repr(told(expected))] * len(found)
    assert found == [expected] * len(found) or annotation is Numbered
    assert len(BODIES) == 1


def test_what_was_counted_once_is_not_counted_again(front: str) -> None:
    assert {value.double for value in seen(returning(front, _late, Late))} == {77}


def test_what_a_cached_property_holds_is_made_again(front: str) -> None:
    assert seen(returning(front, _cached, Cached))[0].n == 1


class Code(str):
    """A subclass with methods of its own."""


class Frozen(datetime):
    """As a library that freezes time has it."""


BASES: list[tuple[Any, Any, Any]] = [
    (str, Code("a"), "a"),
    (Any, Code("a"), "a"),
    (dict, {"at": Frozen(2026, 1, 1)}, {"at": datetime(2026, 1, 1)}),
    (datetime, Frozen(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)),
    (Left, Sub(n=1), Left(n=1)),
    (float, 3, 3.0),
    (dict[str, int], collections.Counter("aab"), {"a": 2, "b": 1}),
]


@pytest.mark.parametrize(("annotation", "value", "base"), BASES)
def test_what_the_annotation_says_is_what_comes_back(front: str, annotation: Any, value: Any, base: Any) -> None:
    found = seen(returning(front, lambda: value, annotation))
    assert [repr(told(one)) for one in found] == [repr(told(base))] * len(found)


class _Stands(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, datetime)


class Standing(datetime, metaclass=_Stands):
    """As the class that freezegun puts in the place of datetime."""


def test_a_class_that_stands_for_datetime(front: str) -> None:
    moment = Standing(2026, 1, 1, tzinfo=UTC)
    expected = [datetime(2026, 1, 1, tzinfo=UTC), None]
    for value in seen(returning(front, lambda: [moment, None], list[Standing | None])):
        assert repr(value) == repr(expected)
    with LocalRunner(noting(front, list[Standing])) as runner:
        runner.run(["2026-01-01T00:00:00Z"])
    assert repr(SEEN[-1]) == repr(expected[:1])


class Twice:
    """Its validator does not undo what its serializer does."""

    def __init__(self, n: int) -> None:
        self.n = n

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return core_schema.no_info_after_validator_function(
            lambda n: cls(n + 1),
            core_schema.int_schema(),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda value: value.n),
        )


class Other(str):
    """Comes back as a plain text."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return core_schema.str_schema()


class Unequal:
    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")

    def __hash__(self) -> int:
        return 1

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        return core_schema.no_info_plain_validator_function(
            lambda _: cls(), serialization=core_schema.plain_serializer_function_ser_schema(lambda _: 1)
        )


class Noisy(dict[str, int]):
    def items(self) -> Any:
        raise RuntimeError("no items")


class Base(NamedTuple):
    n: int


class Attributed(Base):
    note: str


def _attributed() -> Attributed:
    value = Attributed(1)
    value.note = "lost"
    return value


def _slotted() -> Slotted:
    value = Slotted(n=1)
    object.__setattr__(value, "aside", 1)
    return value


def _generator() -> Iterator[int]:
    yield 1


class Checked(BaseModel):
    n: int = 0

    @field_validator("n")
    @classmethod
    def small(cls, n: int) -> int:
        if n > 5:
            raise KeyError("much")
        return n


L = TypeVar("L", bound=Left)


def _nested(levels: int) -> Any:
    return object() if not levels else {"a": _nested(levels - 1)}


def _circle() -> Any:
    circle: dict[str, Any] = {}
    circle["again"] = circle
    return circle


REFUSED: list[tuple[Any, Callable[[], Any], str]] = [
    (Twice, lambda: Twice(1), "another value"),
    (list[Twice], lambda: [Twice(1)], r"another value at \[0\]"),
    (Other, lambda: Other("a"), "no Other"),
    (Unequal, Unequal, "cannot be compared"),
    (dict[str, int], lambda: Noisy(a=1), "no items"),
    (Any, lambda: Noisy(a=1), "no items"),
    (Attributed, _attributed, "'note'"),
    (Slotted, _slotted, "'aside'"),
    (list[int], _generator, "once"),
    (Any, _generator, "once"),
    (Any, lambda: map(str, [1]), "map"),
    (list[int], lambda: [1, "2"], r"at \[1\]: .*annotated as int.*str '2'"),
    (date, lambda: datetime(2026, 1, 1), "time would be lost"),
    (float, lambda: 10**30 + 1, "cannot tell"),
    (Literal[1], lambda: True, "Literal"),
    (dict[str, Any], lambda: {"a": {"b": [Left(n=1)]}}, r"\.a|\[.*'a'.*"),
    (Checked, lambda: Checked.model_construct(n=9), "KeyError"),
    (re.Pattern, lambda: re.compile("a", re.I), "another value"),
    (Any, lambda: _nested(60), r"\.a: a value of class object"),
    (dict[str, Any], _circle, "contains itself"),
    (L, lambda: Sub(n=1), "no more than Left.*name its class"),
    (list[L], lambda: [Sub(n=1)], r"\[0\].*no more than Left"),
]


@pytest.mark.parametrize(("annotation", "make", "why"), REFUSED)
def test_it_is_refused(front: str, annotation: Any, make: Callable[[], Any], why: str) -> None:
    found = seen(returning(front, make, annotation))
    assert {type(error) for error in found} == {SerializationError}
    assert len({str(error) for error in found}) == 1
    assert re.search(why, str(found[0])), found[0]
    assert "the result of step 'body'" in str(found[0])
    assert len(BODIES) == 1


class Box(BaseModel, Generic[T]):
    content: T


@pytest.mark.parametrize(
    ("annotation", "inside"),
    [(Any, lambda v: v), (T, lambda v: v), (list[T], lambda v: [v]), (Box, lambda v: Box.model_construct(content=v))],
)
def test_types_where_the_annotation_says_nothing(front: str, annotation: Any, inside: Any) -> None:
    """As untyped values do: what JSON does not have keeps its type, a model is refused."""
    for value in (Decimal("1.10"), {1: (date(2026, 1, 1), b"a")}):
        found = seen(returning(front, lambda value=value: inside(value), annotation))
        assert [repr(told(one)) for one in found] == [repr(told(inside(value)))] * len(found)
    refused = seen(returning(front, lambda: inside(Left(n=1)), annotation))
    assert all(isinstance(error, SerializationError) and "Left" in str(error) for error in refused)


def test_values_above_a_size_are_not_compared(front: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURABLE_FN_CHECK_VALUES_UP_TO", "100")
    (small, *_), (large, *_) = (seen(returning(front, lambda n=n: [Twice(1)] * n, list[Twice])) for n in (1, 100))
    assert isinstance(small, SerializationError)
    assert large[0].n == 2, "somebody said that they would rather have it so"
