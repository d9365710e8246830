"""Random annotations with random values of them. All is drawn from one seed, so that a failure can be made again."""

from __future__ import annotations

import collections
import dataclasses
import math
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from ipaddress import IPv4Address
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple, NewType, Union, get_args, get_origin
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, JsonValue, PlainSerializer

Draw = Callable[[random.Random], Any]


@dataclasses.dataclass(frozen=True)
class Shape:
    """An annotation, and what draws a value of it. `hashable`: values can be in sets, and keys."""

    annotation: Any
    draw: Draw
    hashable: bool = False


def _of(annotation: Any, *values: Any) -> Shape:
    return Shape(annotation, lambda rng: rng.choice(values), hashable=True)


# -- without parts -------------------------------------------------------------------------------------------------

TEXTS = (
    "", "a", "1", "1.0", "true", "null", "None", "2026-01-01", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00", "P1D", "NaN", "$",
    "$durable", str(UUID(int=5)), "ü€😀", "\x00\t\n\u2028", "x" * 300, "YQ==",
)  # fmt: skip
ZONES = (
    None, UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-3), "BRT"), timezone(timedelta(seconds=1)),
    ZoneInfo("Europe/Berlin"), ZoneInfo("UTC"), ZoneInfo("America/New_York"),
)  # fmt: skip


def _moment(rng: random.Random) -> datetime:
    wall = datetime(rng.choice((1, 1969, 2026, 9998)), rng.randint(1, 12), rng.randint(1, 28), rng.randint(0, 23))
    if rng.random() < 0.3:
        wall = datetime(2026, 10, 25, 2, 30)  # twice in Berlin
    return wall.replace(microsecond=rng.choice((0, 1, 999_999)), tzinfo=rng.choice(ZONES), fold=rng.choice((0, 0, 1)))


def _clock(rng: random.Random) -> time:
    return _moment(rng).timetz()


def _span(rng: random.Random) -> timedelta:
    return timedelta(rng.choice((0, -1, 400, 10**8)), rng.choice((0, 1, 86_399)), rng.choice((0, 1, 999_999)))


SCALARS: tuple[Shape, ...] = (
    _of(int, 0, 1, -1, 2**53 + 1, -(10**40)),
    _of(float, 0.0, -0.0, 1.0, 0.1, 1e308, math.inf, -math.inf, math.nan),
    _of(str, *TEXTS),
    _of(bool, True, False),
    _of(None, None),
    _of(bytes, b"", b"a", b"\x00\xff"),
    _of(Decimal, *map(Decimal, ("0", "-0", "1.0", "1.00", "1E+400", "NaN", "Infinity", "0.1"))),
    _of(UUID, UUID(int=0), UUID(int=5), UUID(int=2**128 - 1)),
    _of(date, date(1, 1, 1), date(2026, 1, 1)),
    Shape(datetime, _moment, hashable=True),
    Shape(time, _clock, hashable=True),
    Shape(timedelta, _span, hashable=True),
    _of(Literal["a", 1, True, None, b"a"], "a", 1, True, None, b"a"),
    _of(NewType("Sku", str), *TEXTS),
    _of(Annotated[int, Field(ge=0)], 0, 7),
    _of(Annotated[str, AfterValidator(lambda text: text + "!")], *TEXTS),
    _of(Annotated[Decimal, PlainSerializer(float)], Decimal("1.10"), Decimal("0.1000000000000000055")),
    _of(PurePosixPath, PurePosixPath("/a/b"), PurePosixPath("1")),
    _of(IPv4Address, IPv4Address("1.2.3.4")),
    _of(complex, 1j, complex(math.nan, -1.5), complex(math.inf)),
    _of(Fraction, Fraction(1, 3), Fraction(-2)),
)  # fmt: skip


# -- what annotations say nothing of -------------------------------------------------------------------------------


def json_value(rng: random.Random, depth: int = 2) -> Any:
    """Also such that looks like a tag or a mark of the package's."""
    if depth == 0 or rng.random() < 0.5:
        return rng.choice((None, True, 0, -7, 1.5, *TEXTS))
    if rng.random() < 0.5:
        return [json_value(rng, depth - 1) for _ in range(rng.randint(0, 3))]
    keys = rng.sample(("a", "b", "$", "v", "n", "$durable", "why", "1", "None"), rng.randint(0, 4))
    return {key: rng.choice(("uuid", "as", 1, 0, -1, json_value(rng, depth - 1))) for key in keys}


def untyped(rng: random.Random, depth: int = 2) -> Any:
    if depth == 0 or rng.random() < 0.4:
        return rng.choice((*SCALARS[:12], Shape(Any, json_value))).draw(rng)
    items = [untyped(rng, depth - 1) for _ in range(rng.randint(0, 3))]
    scalars = [rng.choice(SCALARS[:12]).draw(rng) for _ in range(rng.randint(0, 3))]
    return rng.choice((items, tuple(items), set(scalars), frozenset(scalars), dict(zip(scalars, items, strict=False))))


LOOSE = (Any, object)


# -- with parts ----------------------------------------------------------------------------------------------------


def _several(item: Shape, make: Callable[[list[Any]], Any]) -> Draw:
    return lambda rng: make([item.draw(rng) for _ in range(rng.randint(0, 3))])


def _listed(rng: random.Random, depth: int) -> Shape:
    item = shape(rng, depth - 1)
    kind = rng.choice((list, tuple, collections.deque, Sequence))
    if kind is tuple:
        return Shape(tuple[item.annotation, ...], _several(item, tuple), item.hashable)
    if kind is Sequence:
        return Shape(Sequence[item.annotation], _several(item, rng.choice((list, tuple))))
    return Shape(kind[item.annotation], _several(item, kind))


def _row(rng: random.Random, depth: int) -> Shape:
    parts = [shape(rng, depth - 1) for _ in range(rng.randint(0, 3))]
    annotation = tuple[tuple(part.annotation for part in parts)] if parts else tuple[()]
    return Shape(annotation, lambda rng: tuple(part.draw(rng) for part in parts), all(part.hashable for part in parts))


def _set(rng: random.Random, depth: int) -> Shape:
    item = _hashable(rng, depth)
    if rng.random() < 0.5:
        return Shape(frozenset[item.annotation], _several(item, frozenset), hashable=True)
    return Shape(set[item.annotation], _several(item, set))


def _mapped(rng: random.Random, depth: int) -> Shape:
    key, item = _hashable(rng, depth), shape(rng, depth - 1)
    kind: Any = rng.choice((dict, dict, Mapping, collections.OrderedDict))
    make = dict if kind is Mapping else kind
    return Shape(
        kind[key.annotation, item.annotation],
        lambda rng: make((key.draw(rng), item.draw(rng)) for _ in range(rng.randint(0, 3))),
    )


def _hashable(rng: random.Random, depth: int) -> Shape:
    for _ in range(9):
        found = shape(rng, depth - 1)
        if found.hashable:
            return found
    return rng.choice(SCALARS)


def _union(rng: random.Random, depth: int) -> Shape:
    members = [shape(rng, depth - 1) for _ in range(rng.randint(2, 4))]
    if rng.random() < 0.3:
        members.append(SCALARS[4])
    return Shape(
        Union[tuple(member.annotation for member in members)],  # noqa: UP007
        lambda rng: rng.choice(members).draw(rng),
        all(member.hashable for member in members),
    )


def _alike(rng: random.Random, depth: int) -> Shape:
    """A union of containers that only what is in them tells apart, where one may take what another one has."""
    from tests.values.classes import LADDER

    members = rng.sample((*SCALARS[:2], SCALARS[3], *LADDER), rng.randint(2, 4))
    several: Callable[[Any], Any] = rng.choice((
        lambda item: list[item],
        lambda item: tuple[item, ...],
        lambda item: dict[str, item],
        lambda item: list[dict[str, item]],
        lambda item: list[item | None],
    ))  # fmt: skip

    def draw(rng: random.Random) -> Any:
        items = _several(rng.choice(members), list)(rng)
        kind = get_origin(annotation)
        if kind is list and get_origin(get_args(annotation)[0]) is dict:
            return [{"a": item} for item in items]
        return dict(zip("abc", items, strict=False)) if kind is dict else kind(items)

    annotation = several(members[0].annotation)
    return Shape(Union[tuple(several(member.annotation) for member in members)], draw)  # noqa: UP007


def _any(rng: random.Random, depth: int) -> Shape:
    return Shape(rng.choice(LOOSE), lambda rng: untyped(rng, depth))


def _json(rng: random.Random, depth: int) -> Shape:
    kind, draw = rng.choice((
        (JsonValue, json_value),
        (dict, lambda rng: {"x": json_value(rng)}),
        (list[dict[str, Any]], lambda rng: [{"$": json_value(rng)}]),
        (dict[str, Any] | None, lambda rng: {"$durable": json_value(rng)}),
    ))  # fmt: skip
    return Shape(kind, draw)


def _scalar(rng: random.Random, depth: int) -> Shape:
    return rng.choice(SCALARS)


def _class(rng: random.Random, depth: int) -> Shape:
    from tests.values.classes import some_class

    return some_class(rng, depth)


_MAKERS = (
    _scalar,
    _scalar,
    _scalar,
    _any,
    _json,
    _listed,
    _row,
    _set,
    _mapped,
    _union,
    _union,
    _alike,
    _class,
    _class,
    _class,
)


def shape(rng: random.Random, depth: int = 3) -> Shape:
    return _scalar(rng, 0) if depth <= 0 else rng.choice(_MAKERS)(rng, depth)


class Drawn(NamedTuple):
    seed: int
    annotation: Any
    value: Any


def misfit(seed: int) -> Drawn:
    """An annotation, and a value of another."""
    rng = random.Random(seed)
    return Drawn(seed, shape(rng).annotation, shape(rng).draw(rng))


def drawn(seed: int) -> Drawn:
    """One annotation and one value of it."""
    rng = random.Random(seed)
    found = shape(rng)
    return Drawn(seed, found.annotation, found.draw(rng))
