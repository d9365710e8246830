"""DynamoDB's attribute values as JSON values."""

from __future__ import annotations

from decimal import Decimal, DecimalException
from typing import Any, Final

from ..errors import SerializationError

_LONGEST_NUMBER: Final = 200
_GREATEST_EXPONENT: Final = 130
"""DynamoDB's own limits are 38 digits and 126."""


def plain_item(item: object) -> dict[str, Any]:
    """An image or a key. Numbers are int, float where that is exact, and else their text; binaries their base64 text; sets
    are lists. Raises SerializationError for what DynamoDB does not send."""
    if not isinstance(item, dict):
        raise SerializationError(f"a stream record's image is {type(item).__name__}, not an object")
    try:
        return {str(name): _plain(value) for name, value in item.items()}
    except (TypeError, ValueError, AttributeError, DecimalException, RecursionError) as error:
        raise SerializationError(
            f"a stream record's image holds no attribute value: {type(error).__name__}: {error}"
        ) from None


def _plain(value: Any) -> Any:
    if not isinstance(value, dict) or len(value) != 1:
        raise TypeError('an attribute value is an object with one key, such as {"S": "text"}')
    ((kind, content),) = value.items()
    if kind in ("S", "B", "BOOL"):
        return content
    if kind == "N":
        return _number(content)
    if kind == "NULL":
        return None
    if kind in ("SS", "BS"):
        return list(content)
    if kind == "NS":
        return [_number(item) for item in content]
    if kind == "L":
        return [_plain(item) for item in content]
    if kind == "M":
        return {str(name): _plain(item) for name, item in content.items()}
    raise ValueError(f"unknown type {str(kind)[:20]!r}")


def _number(text: str) -> int | float | str:
    number = Decimal(text) if len(text) <= _LONGEST_NUMBER else Decimal("NaN")
    if not number.is_finite() or abs(number.adjusted()) > _GREATEST_EXPONENT:
        raise ValueError(f"{text[:40]!r} is no number of DynamoDB")
    if number == number.to_integral_value():
        return int(number)
    return float(number) if Decimal(repr(float(number))) == number else str(number)
