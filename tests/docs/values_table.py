"""What comes back as what: the table of docs/guide/values.md, made by storing the values.

`python -m tests.docs.values_table` writes it into the page.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import math
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypedDict, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field, HttpUrl, PrivateAttr, SecretStr

from durable_fn.errors import SerializationError
from durable_fn.values.adapters import adapter
from durable_fn.values.terms import Terms
from tests.values.telling import told

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "values.md"
BEGIN, END = "<!-- made by tests/docs/values_table.py -->\n", "<!-- end -->\n"


class Order(BaseModel):
    sku: str
    hidden: int = Field(default=1, exclude=True)
    _note: Any = PrivateAttr(default=None)


class Rush(Order):
    fee: Decimal = Decimal(5)


O = TypeVar("O", bound=Order)  # noqa: E741


class Refund(BaseModel):
    sku: str


@dataclasses.dataclass
class Point:
    x: float
    y: float = dataclasses.field(init=False, default=0.0)


class Row(NamedTuple):
    n: int


class Keys(TypedDict):
    n: int


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Code(str):
    pass


class Frozen(datetime):
    pass


class Client:
    pass


def _noted() -> Order:
    order = Order(sku="tea", hidden=7)
    order._note = date(2026, 1, 1)
    return order


CET = timezone(timedelta(hours=1), "CET")
BERLIN = datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin"))
GROUPS: dict[str, list[tuple[str, Any, str, Any]]] = {
    "Numbers and text": [
        ("int", int, "True", True),
        ("int", int, "1.0", 1.0),
        ("float", float, "3", 3),
        ("float", float, "nan, inf, -0.0", math.nan),
        ("float", float, "10**30 + 1", 10**30 + 1),
        ("Decimal", Decimal, 'Decimal("1.10")', Decimal("1.10")),
        ("Decimal", Decimal, "3", 3),
        ("str", str, "a subclass of str", Code("a")),
        ("str", str, 'b"a"', b"a"),
        ("bytes", bytes, 'b"\\xff"', b"\xff"),
        ("UUID", UUID, "a UUID", UUID(int=5)),
        ("Literal[1]", Literal[1], "True", True),
        ("Colour (an Enum)", Colour, "Colour.RED", Colour.RED),
        ("int", int, "Level.LOW (an IntEnum)", Level.LOW),
    ],
    "Time": [
        ("datetime", datetime, "in a ZoneInfo, fold=1", BERLIN),
        ("datetime", datetime, "naive", datetime(2026, 1, 1)),
        ("datetime", datetime, 'at timezone(timedelta(hours=1), "CET")', datetime(2026, 1, 1, tzinfo=CET)),
        ("datetime", datetime, "a subclass (freezegun)", Frozen(2026, 1, 1, tzinfo=UTC)),
        ("date", date, "a datetime", datetime(2026, 1, 1)),
        ("timedelta", timedelta, "a timedelta", timedelta(days=400, microseconds=1)),
    ],
    "Containers": [
        ("list[int]", list[int], "(1, 2)", (1, 2)),
        ("list[int]", list[int], "a generator", (n for n in (1, 2))),
        ("tuple[int, ...]", tuple[int, ...], "(1, 2)", (1, 2)),
        ("set[int]", set[int], "{1, 2}", {1, 2}),
        ("Sequence[int]", Sequence[int], "(1, 2)", (1, 2)),
        ("dict[int | str, int]", dict[int | str, int], '{1: 1, "1": 2}', {1: 1, "1": 2}),
        ("dict[str | None, int]", dict[str | None, int], "{None: 1}", {None: 1}),
        ("dict[str, int]", dict[str, int], "a defaultdict, a Counter", collections.Counter("a")),
        ("deque[int]", collections.deque[int], "deque([1], maxlen=3)", collections.deque([1], maxlen=3)),
    ],
    "Classes": [
        ("Order (a model)", Order, "with excluded fields and private attributes", _noted()),
        ("Order", Order, "Rush, a subclass", Rush(sku="tea")),
        ("Order | Refund", Order | Refund, "Refund, which looks the same", Refund(sku="tea")),
        ("list[Order] | list[Rush]", list[Order] | list[Rush], "a list of Rush", [Rush(sku="tea")]),
        ("Point (a dataclass)", Point, "with a field of init=False", Point(1.0)),
        ("Row (a NamedTuple)", Row, "Row(1)", Row(1)),
        ("Keys (a TypedDict)", Keys, "with a key more", {"n": 1, "more": Decimal(1)}),
        ("Keys (a TypedDict)", Keys, "without a key", {}),
        ("HttpUrl and the like", HttpUrl, "an HttpUrl", HttpUrl("https://a.b/")),
        ("Client (any other class)", Client, "a Client", Client()),
        ("SecretStr", SecretStr, "with a codec", SecretStr("hush")),
        ("SecretStr", SecretStr, "without one", SecretStr("hush")),
    ],
    "Nothing that says more: no annotation, Any, object, dict, a TypeVar": [
        ("Any", Any, "{1: (Decimal(1), date(2026, 1, 1))}", {1: (Decimal(1), date(2026, 1, 1))}),
        ("Any", Any, "a set, bytes, a UUID, a timedelta", {UUID(int=1)}),
        ("Any", Any, "in a ZoneInfo", BERLIN),
        ("Any", Any, "a subclass of str, int, datetime, dict", Code("a")),
        ("Any", Any, "Colour.RED (an Enum)", Colour.RED),
        ("Any", Any, "a model, a dataclass, a named tuple", Refund(sku="tea")),
        ("T, bound to Order", O, "Rush, a subclass", Rush(sku="tea")),
        ("Any", Any, '{"$": "uuid", "v": "1"} from outside', {"$": "uuid", "v": "1"}),
    ],
}


def _answer(annotation: Any, value: Any, *, encrypted: bool) -> str:
    try:
        kept = adapter(annotation).keep(value, "it", Terms(encrypted))
    except SerializationError as error:
        return f"refused: {_essence(str(error))}"
    if repr(told(kept.value)) == repr(told(value)):
        return "as it was"
    return f"`{kept.value!r}`"


def _essence(text: str) -> str:
    """The beginning of an error, without what names the value."""
    for part in ("it does not fit its annotation: ", "it cannot be stored: ", "the annotation "):
        text = text.removeprefix(part)
    text = text.partition(". Correct")[0].partition("; ")[0].partition(": Unable")[0]
    return re.sub(r"<class '(?:[\w.]+\.)?(\w+)'>", r"\1", text.replace(f"{__name__}.", ""))


def table() -> str:
    lines = []
    for title, rows in GROUPS.items():
        lines += [f"**{title}**", "", "| annotation | value | comes back |", "|---|---|---|"]
        for shown, annotation, what, value in rows:
            answer = _answer(annotation, value, encrypted=what == "with a codec")
            cells = (part.replace("|", "\\|") for part in (f"`{shown}`", what, answer))
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + table() + END + rest.partition(END)[2])
