"""What it costs to see that a value comes back as it was: beside writing and reading it, which happens in any case."""

from __future__ import annotations

import dataclasses
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import BaseModel, Field, field_validator

from durable_fn.values.adapters import adapter
from durable_fn.values.terms import STRICT, Terms

_ROUNDS: Final = 300
_TRIES: Final = 15


class Line(BaseModel):
    sku: str
    amount: int
    price: Decimal


class Order(BaseModel):
    id: UUID
    customer: str
    placed: datetime
    lines: list[Line]
    note: str | None = None


class Limited(BaseModel):
    name: str
    amount: Annotated[int, Field(gt=0)]

    @field_validator("name")
    @classmethod
    def not_empty(cls, name: str) -> str:
        assert name
        return name


@dataclasses.dataclass
class Point:
    x: float
    y: float
    labels: list[str]


def _order(lines: int) -> Order:
    several = [Line(sku=f"sku-{n}", amount=n, price=Decimal("1.10")) for n in range(lines)]
    return Order(id=UUID(int=5), customer="Ann", placed=datetime(2026, 1, 1, tzinfo=UTC), lines=several, note="x")


VALUES: Final[dict[str, tuple[Any, Any]]] = {
    "a number": (int, 5),
    "an untyped dict": (Any, {"id": "order-1", "paid": True, "lines": [1, 2, 3]}),
    "an untyped dict with a datetime": (Any, {"id": "order-1", "at": datetime(2026, 1, 1, tzinfo=UTC)}),
    "a dataclass": (Point, Point(1.5, 2.5, ["a", "b"])),
    "a model of 3 fields": (Line, Line(sku="tea", amount=1, price=Decimal("1.10"))),
    "a union of models": (Line | Order, Line(sku="tea", amount=1, price=Decimal("1.10"))),
    "a model with limits and a validator": (Limited, Limited(name="Ann", amount=5)),
    "an order with 2 lines": (Order, _order(2)),
    "an order with 100 lines": (Order, _order(100)),
}


@dataclasses.dataclass(frozen=True)
class Cost:
    """Microseconds: of writing and reading a value, and of the check on top."""

    value: str
    size: int
    kept: float
    check: float


def measure() -> list[Cost]:
    unchecked = Terms(check_up_to=0)
    found = []
    for name, (annotation, value) in VALUES.items():
        kept, checked = _both(annotation, value, unchecked)
        size = len(adapter(annotation).keep(value, name).text)
        found.append(Cost(name, size, kept, max(0.0, checked - kept)))
    return found


def _both(annotation: Any, value: Any, unchecked: Terms) -> tuple[float, float]:
    """The least of several tries in turn, so that both meet the same machine."""
    kind = adapter(annotation)
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(_TRIES):
        for terms, found in zip((unchecked, STRICT), times, strict=True):
            began = time.process_time_ns()
            for _ in range(_ROUNDS):
                kind.keep(value, "it", terms)
            found.append((time.process_time_ns() - began) / _ROUNDS / 1000)
    return min(times[0]), min(times[1])
