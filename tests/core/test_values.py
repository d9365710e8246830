"""Values round-trip with their types, or are refused with a way out; hostile text is refused."""

from __future__ import annotations

import collections
import dataclasses
import enum
import json
import math
import sys
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from durable_fn.errors import SerializationError
from durable_fn.values import tagged
from durable_fn.values.adapters import UNTYPED, adapter, return_annotation
from durable_fn.values.plain import plain, to_plain_json

T = TypeVar("T")


class Colour(enum.Enum):
    RED = "red"
    BLUE = 2


class Item(BaseModel):
    sku: str
    price: Decimal
    at: datetime
    tags: set[str] = set()


class Strict(BaseModel):
    model_config = ConfigDict(strict=True, ser_json_bytes="base64", val_json_bytes="base64")
    id: UUID
    when: datetime
    raw: bytes


class Box(BaseModel, Generic[T]):
    content: T


class Aliased(BaseModel):
    name: str = Field(alias="Name")


@dataclasses.dataclass
class Point:
    x: int
    y: float = 0.0
    colour: Colour = Colour.RED


class Row(TypedDict):
    id: int
    at: date


class Pair(NamedTuple):
    left: int
    right: str


NOW = datetime(2026, 11, 23, 12, 30, 1, 123456, tzinfo=UTC)
TYPED: list[tuple[Any, Any]] = [
    (Item, Item(sku="a", price=Decimal("1.10"), at=NOW, tags={"x", "y"})),
    (Strict, Strict(id=UUID(int=7), when=NOW, raw=b"\x00\xff")),
    (Box[Item], Box[Item](content=Item(sku="b", price=Decimal(0), at=NOW))),
    (Aliased, Aliased(Name="n")),
    (Point, Point(1, 2.5, Colour.BLUE)),
    (list[Point], [Point(1), Point(2)]),
    (Row, {"id": 1, "at": date(2026, 1, 2)}),
    (Pair, Pair(1, "x")),
    (Colour, Colour.BLUE),
    (datetime, NOW),
    (datetime, datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=30)))),
    (date, date(2026, 2, 28)),
    (time, time(1, 2, 3)),
    (timedelta, timedelta(days=400, microseconds=1)),
    (Decimal, Decimal("0.1000")),
    (Decimal, Decimal("1E+400")),
    (UUID, UUID(int=2**127)),
    (bytes, b"\x00\xfe\xff"),
    (tuple[int, str], (1, "a")),
    (tuple[int, ...], (1, 2, 3)),
    (set[int], {3, 1}),
    (frozenset[str], frozenset({"b"})),
    (dict[UUID, list[tuple[int, Decimal]]], {UUID(int=1): [(1, Decimal("2.50"))]}),
    (dict[int, str], {1: "a"}),
    (int | None, None),
    (Item | Point | None, Point(4)),
    (Literal["a", 1], 1),
    (Annotated[int, Field(gt=0)], 5),
    (float, math.inf),
    (None, None),
    (list[Any], [NOW, (1,), {2}, b"x", Decimal(1)]),
    (dict[str, Any], {"at": NOW, "t": (1, UUID(int=3))}),
    (dict[str, object], {"d": timedelta(1)}),
    (list[dict[str, Any]], [{"d": date(2026, 1, 1)}]),
    (tuple[Any, int], (NOW, 1)),
]


@pytest.mark.parametrize(("annotation", "value"), TYPED, ids=range(len(TYPED)))
def test_annotated_values_come_back(annotation: Any, value: Any) -> None:
    kind = adapter(annotation)
    text = kind.encode(value, "it")
    back = kind.decode(text, "it")
    assert back == value
    assert type(back) is type(value)
    assert "\n" not in text
    assert "\t" not in text
    again = kind.encode(back, "it")
    assert sorted(again) == sorted(text), "the second time gives the same text, the order of sets aside"


_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(max_size=20),
    st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7)), None])),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.uuids(),
)
_keys = st.one_of(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), st.integers(), st.uuids(), st.dates())
_values = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(_keys, inner, max_size=4),
        st.sets(_scalars, max_size=4),
        st.frozensets(st.integers(), max_size=4),
        st.dictionaries(st.sampled_from(["$", "$durable", "v", "type"]), inner, max_size=3),
    ),
    max_leaves=15,
)


def same(one: Any, other: Any) -> bool:
    """Equal, and of the same types all the way down (True is not 1, -0.0 is not 0.0)."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return len(one) == len(other) and all(
            same(k, j) and same(v, w) for (k, v), (j, w) in zip(one.items(), other.items(), strict=True)
        )
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other) if isinstance(one, float | Decimal) else bool(one == other)


@given(_values)
@settings(max_examples=400)
def test_untyped_values_come_back_with_their_types(value: Any) -> None:
    text = tagged.encode(value, "it")
    assert same(tagged.decode(text, "it"), value)
    assert "\n" not in text
    assert "\t" not in text
    json.loads(text)
    json.dumps(plain(text))


@given(_values)
def test_what_any_keeps_inside_an_annotation(value: Any) -> None:
    kind = adapter(tuple[Any, int])
    assert same(kind.decode(kind.encode((value, 1), "it"), "it"), (value, 1))


_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text()), lambda i: st.lists(i) | st.dictionaries(st.text(), i)
)


@given(_json)
def test_plain_json_from_outside_is_never_taken_for_tags(value: Any) -> None:
    """An event with `{"$": "datetime"}` in it is just that."""
    try:
        text = tagged.encode(value, "it")
    except SerializationError:
        return  # a lone surrogate
    assert same(tagged.decode(text, "it"), value)


@given(st.text(max_size=80))
def test_hostile_text_is_refused_and_never_run(text: str) -> None:
    try:
        tagged.decode(text, "it")
    except SerializationError as error:
        assert str(error).startswith("it cannot be read from the journal")  # noqa: PT017


@pytest.mark.parametrize(
    "text",
    [
        "", "{", '{"$durable":1}', '{"$durable":1,"v":{"$":"os.system","v":"ls"}}', '{"$durable":1,"v":{"$":["x"],"v":1}}',
        '{"$durable":1,"v":{"$":"datetime","v":7}}', '{"$durable":1,"v":{"$":"datetime"}}',
        '{"$durable":1,"v":{"$":"uuid","v":"x"}}',
        '{"$durable":1,"v":{"$":"decimal","v":"x"}}', '{"$durable":1,"v":{"$":"dict","v":[[[],1]]}}',
        '{"$durable":1,"v":{"$":"set","v":[[1]]}}', '{"$durable":1,"v":{"$":"timedelta","v":[1e99]}}',
        '{"$durable":1,"v":{"$":"bytes","v":"zz"}}', "[" * 100_000, '{"$durable":1,"v":' + "[" * 5000 + "]" * 5000 + "}",
    ],
)  # fmt: skip
def test_malformed_documents_are_refused(text: str) -> None:
    with pytest.raises(SerializationError, match="it cannot be read from the journal"):
        tagged.decode(text, "it")


class Custom:
    pass


def _endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (Custom(), r"class .*Custom has no JSON form.*annotate the function's return type"),
        ({"a": [1, Custom()]}, r"at \.a\[1\]"),
        (Colour.RED, r"Enum member Colour\.RED would come back as a bare value"),
        (Point(1), "annotate the function's return type"),
        (Item(sku="a", price=Decimal(1), at=NOW), "annotate"),
        (Pair(1, "a"), "annotate"),
        ((n for n in [1]), "return its items as a list"),
        (_endless(), "nested more than 200 deep, or contains itself"),
        ("\ud800", "lone surrogate"),
        (object, "class type"),
        (len, "builtin_function"),
    ],
)
def test_what_cannot_be_stored_says_where_and_what_to_do(value: Any, why: str) -> None:
    with pytest.raises(SerializationError, match=why):
        tagged.encode(value, "the result of step 'x'")


def test_a_number_of_too_many_digits() -> None:
    with pytest.raises(SerializationError, match=r"it cannot be stored.*digits"):
        tagged.encode(10**5000, "it")


def test_a_coroutine_that_was_not_awaited() -> None:
    async def body() -> None: ...

    coroutine = body()
    with pytest.raises(
        SerializationError, match="a coroutine cannot be stored; nobody awaited it: await it, in an async def function"
    ):
        tagged.encode(coroutine, "it")
    coroutine.close()


def test_dict_subclasses_become_dicts() -> None:
    value = collections.OrderedDict(b=1, a=collections.defaultdict(list, c=[1]))
    back = tagged.decode(tagged.encode(value, "it"), "it")
    assert back == {"b": 1, "a": {"c": [1]}}
    assert list(back) == ["b", "a"]


@pytest.mark.parametrize(
    ("annotation", "value", "why"),
    [
        (int, "x", r"the result of step 'x' does not fit its annotation.*str 'x'"),
        (Item, {"sku": 1}, "does not fit its annotation"),
        (None, 3, "is annotated as None, but is int 3"),
        (datetime, "tomorrow", "does not fit"),
        (list[int], [1, "b"], "does not fit"),
    ],
)
def test_a_value_that_does_not_fit_its_annotation(annotation: Any, value: Any, why: str) -> None:
    with pytest.raises(SerializationError, match=why):
        adapter(annotation).encode(value, "the result of step 'x'")


@pytest.mark.parametrize(
    ("annotation", "text", "why"),
    [
        (Item, '{"sku":"a"}', r"2 problems: price: Field required.*at: Field required"),
        (list[Item], '[{"sku":"a","price":"x","at":"2026-01-01"}]', r"\[0\]\.price"),
        (int, '"x"', r"1 problem: the value: Input should be a valid integer.*\(got str 'x'\)"),
        (None, "1", "Input should be null"),
        (list[int], json.dumps(["a"] * 9), "and 4 more"),
    ],
)
def test_data_from_outside_that_does_not_fit(annotation: Any, text: str, why: str) -> None:
    with pytest.raises(SerializationError, match=why) as refused:
        adapter(annotation).receive(text, "the event for 'f'")
    assert refused.value.raw == json.loads(text)


@pytest.mark.parametrize(
    ("annotation", "text", "why"),
    [
        (Item, '{"sku":"a"}', r"at \.price: it is not recorded, and has no default"),
        (
            list[Item],
            '[{"sku":"a","price":"x","at":"2026-01-01"}]',
            r"at \[0\]\.price: it is annotated as Decimal, but 'x' is",
        ),
        (int, '"x"', r"1 problem: the value: Input should be a valid integer.*\(got str 'x'\)"),
        (int, "", "does not fit"),
        (int, "5 ", "something follows the JSON"),
        (None, "1", "is annotated as None"),
        (list[int], '["a"]', r"at \[0\]"),
    ],
)
def test_recorded_text_that_does_not_fit(annotation: Any, text: str, why: str) -> None:
    with pytest.raises(SerializationError, match=why):
        adapter(annotation).decode(text, "the event for 'f'")


def test_bytes_in_a_model_that_writes_them_as_text() -> None:
    """pydantic's default for models is for others: what is stored is every byte."""

    class Photo(BaseModel):
        raw: bytes

    for raw in (b"\xff", b"text"):
        assert adapter(Photo).keep(Photo(raw=raw), "it").value == Photo(raw=raw)


def test_an_annotation_that_cannot_be_stored() -> None:
    with pytest.raises(SerializationError, match=r"Custom.*Use a pydantic model, a dataclass, or built-in types"):
        adapter(Custom)
    with pytest.raises(SerializationError, match="cannot be stored"):
        adapter(dict[str, Custom])


def test_adapters_are_made_once() -> None:
    assert adapter(list[Item]) is adapter(list[Item])
    assert adapter(UNTYPED) is adapter(object) is adapter(dict) is adapter(dict[str, Any])


def test_return_annotations() -> None:
    def local() -> None:
        class Inner(BaseModel):
            x: int

        def make() -> Inner:
            return Inner(x=1)

        assert return_annotation(make) is Inner

    local()

    def nothing():  # type: ignore[no-untyped-def]
        return 1

    def unknown() -> Nowhere:  # type: ignore[name-defined]  # noqa: F821
        return 1

    async def awaited() -> int:
        return 1

    class Callable_:
        def __call__(self) -> Point:
            return Point(1)

    assert return_annotation(nothing) is UNTYPED
    with pytest.raises(
        SerializationError, match=r"the return annotation of .*unknown', 'Nowhere', cannot be resolved: NameError"
    ):
        return_annotation(unknown)
    assert return_annotation(awaited) is int
    assert return_annotation(Callable_()) is Point
    assert return_annotation(lambda: 1) is UNTYPED


def test_payloads_for_unknown_targets_are_plain_json() -> None:
    assert to_plain_json({"a": 1}) == '{"a":1}'
    assert json.loads(to_plain_json({"at": NOW, "item": Point(1)})) == {
        "at": "2026-11-23T12:30:01.123456Z",
        "item": {"x": 1, "y": 0.0, "colour": "red"},
    }
    assert to_plain_json({"$durable": 1}) == '{"$durable":1}'
    with pytest.raises(SerializationError, match="not JSON"):
        to_plain_json({"a": Custom()})


def test_no_pydantic_for_plain_handlers() -> None:
    import subprocess

    code = (
        "import sys\n"
        "from durable_fn.values.adapters import adapter, UNTYPED\n"
        "adapter(UNTYPED).encode({'a': (1, 2)}, 'it'); adapter(None); adapter(dict)\n"
        "assert 'pydantic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
