"""Conditions and changes of items, as expressions. The names of fields are ours, values never stand in the text."""

from __future__ import annotations

from typing import Any, Final

from .items import Item, inline, number, stored

_RESERVED: Final = ("#status", "#error", "#result", "#input", "#ttl")
"""Fields that are written with a # in expressions, because DynamoDB keeps these words for itself."""


class Condition:
    """An expression and the values it names."""

    def __init__(self, text: str, values: Item) -> None:
        self.text = text
        self.values = values

    def __and__(self, other: Condition) -> Condition:
        return Condition(f"{self.text} AND {other.text}", self.values | other.values)


class Change:
    """An UpdateExpression in the making."""

    def __init__(self) -> None:
        self._set: list[str] = []
        self._remove: list[str] = []
        self.values: Item = {}

    def set(self, field: str, value: dict[str, Any]) -> Change:
        return self._assign(field, "", value)

    def add(self, field: str, amount: int) -> Change:
        return self._assign(field, f"{field} + ", number(amount))

    def count(self, field: str) -> Change:
        """One more; what is not there counts as none."""
        self._set.append(f"{field} = if_not_exists({field}, :none) + :once")
        self.values |= {":none": number(0), ":once": number(1)}
        return self

    def copy(self, field: str, source: str) -> Change:
        """Of what the source is before this change."""
        self._set.append(f"{field} = {source}")
        return self

    def remove(self, *fields: str) -> Change:
        self._remove.extend(fields)
        return self

    def number(self, field: str, value: int | None) -> Change:
        """Removed where there is none."""
        return self.remove(field) if value is None else self.set(field, number(value))

    def text(self, field: str, value: str | None) -> Change:
        """Left alone where there is none."""
        return self if value is None else self.set(field, stored(value))

    def value(self, field: str, value: str | None) -> Change:
        """An input, a result or an error; removed where there is none. A large one has to be put into an item of its own."""
        return self.remove(field) if value is None else self.set(field, inline(value))

    def _assign(self, field: str, before: str, value: dict[str, Any]) -> Change:
        name = f":new_{field.lstrip('#')}"
        self._set.append(f"{field} = {before}{name}")
        self.values[name] = value
        return self

    @property
    def expression(self) -> str:
        parts = [f"SET {', '.join(self._set)}"] if self._set else []
        parts += [f"REMOVE {', '.join(self._remove)}"] if self._remove else []
        return " ".join(parts)


def expressed(condition: Condition, change: Change | None = None) -> dict[str, Any]:
    """Both as the arguments of a request."""
    arguments: dict[str, Any] = {"ConditionExpression": condition.text}
    used, values = condition.text, condition.values
    if change is not None:
        arguments["UpdateExpression"] = change.expression
        used, values = f"{used} {change.expression}", values | change.values
    names = {name: name.removeprefix("#") for name in _RESERVED if name in used}
    return {**arguments, "ExpressionAttributeNames": names, "ExpressionAttributeValues": values}
