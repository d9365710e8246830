"""Condition, key and update expressions as functions over items. Each text is parsed once."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple, TypeAlias

Item: TypeAlias = dict[str, dict[str, Any]]
Values: TypeAlias = dict[str, Any]
Test: TypeAlias = Callable[[Item, Values], bool]
Operand: TypeAlias = Callable[[Item, Values], Any]

_TOKEN = re.compile(r"\s*(<=|>=|<>|[=<>(),+]|[:#]?\w+)")
_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


class Invalid(ValueError):
    """DynamoDB would answer with a ValidationException."""


class Parsed(NamedTuple):
    """`names`, `values`: the placeholders that it uses."""

    run: Any
    names: frozenset[str]
    values: frozenset[str]


def comparable(value: dict[str, Any]) -> tuple[str, Any]:
    """Type and content, so that numbers compare as numbers and values of two types are different."""
    ((kind, content),) = value.items()
    if kind == "N":
        return kind, int(content) if content.lstrip("-").isdigit() else Decimal(content)
    return kind, content


class _Parser:
    def __init__(self, text: str, names: dict[str, str]) -> None:
        self.tokens = _TOKEN.findall(text)
        if "".join(self.tokens) != re.sub(r"\s", "", text):
            raise Invalid(f"cannot read {text!r}")
        self.at = 0
        self.aliases = names
        self.names: set[str] = set()
        self.values: set[str] = set()

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, wanted: str | None = None) -> str:
        token = self.peek()
        if not token or (wanted is not None and token.upper() != wanted):
            raise Invalid(f"expected {wanted or 'more'}, found {token!r}")
        self.at += 1
        return token

    def found(self, *wanted: str) -> bool:
        if self.peek().upper() not in wanted:
            return False
        self.at += 1
        return True

    # -- operands --------------------------------------------------------------------------------------------------

    def path(self) -> str:
        token = self.take()
        if token.startswith("#"):
            self.names.add(token)
            if token not in self.aliases:
                raise Invalid(f"the name {token} is not defined")
            return self.aliases[token]
        if not token[0].isalpha() or token.upper() in RESERVED:
            raise Invalid(f"attribute name is a reserved keyword: {token}")
        return token

    def operand(self) -> Operand:
        token = self.peek()
        if token.startswith(":"):
            self.at += 1
            self.values.add(token)
            return lambda item, values: values[token]
        if token == "if_not_exists":
            self.at += 1
            self.take("(")
            path = self.path()
            self.take(",")
            other = self.operand()
            self.take(")")
            return lambda item, values: item.get(path) or other(item, values)
        path = self.path()
        return lambda item, values: item.get(path)

    # -- conditions ------------------------------------------------------------------------------------------------

    def either(self) -> Test:
        tests = [self.both()]
        while self.found("OR"):
            tests.append(self.both())
        return tests[0] if len(tests) == 1 else lambda item, values: any(test(item, values) for test in tests)

    def both(self) -> Test:
        tests = [self.one()]
        while self.found("AND"):
            tests.append(self.one())
        return tests[0] if len(tests) == 1 else lambda item, values: all(test(item, values) for test in tests)

    def one(self) -> Test:
        if self.found("NOT"):
            inner = self.one()
            return lambda item, values: not inner(item, values)
        if self.found("("):
            inner = self.either()
            self.take(")")
            return inner
        if self.peek() in ("attribute_exists", "attribute_not_exists", "begins_with"):
            return self.function()
        left = self.operand()
        if self.found("IN"):
            self.take("(")
            members = [self.operand()]
            while self.found(","):
                members.append(self.operand())
            self.take(")")
            return lambda item, values: _among(left(item, values), [member(item, values) for member in members])
        if self.found("BETWEEN"):
            low = self.operand()
            self.take("AND")
            high = self.operand()
            return lambda item, values: (
                _holds(">=", left(item, values), low(item, values))
                and _holds("<=", left(item, values), high(item, values))
            )
        sign = self.take()
        right = self.operand()
        if sign == "<>":
            return lambda item, values: not _holds("=", left(item, values), right(item, values))
        if sign not in _SIGNS:
            raise Invalid(f"no comparison: {sign!r}")
        return lambda item, values: _holds(sign, left(item, values), right(item, values))

    def function(self) -> Test:
        name = self.take()
        self.take("(")
        path = self.path()
        if name == "begins_with":
            self.take(",")
            prefix = self.operand()
            self.take(")")
            return lambda item, values: path in item and item[path].get("S", "").startswith(prefix(item, values)["S"])
        self.take(")")
        there = name == "attribute_exists"
        return lambda item, values: (path in item) is there

    # -- updates ---------------------------------------------------------------------------------------------------

    def changes(self) -> Callable[[Item, Values], Item]:
        sets: list[tuple[str, Operand]] = []
        removes: list[str] = []
        while self.peek():
            clause = self.take().upper()
            if clause not in ("SET", "REMOVE"):
                raise Invalid(f"no clause of the journal's: {clause}")
            while True:
                if clause == "SET":
                    sets.append(self.assignment())
                else:
                    removes.append(self.path())
                if not self.found(","):
                    break
        paths = [path for path, _ in sets] + removes
        if len(paths) != len(set(paths)):
            raise Invalid("two document paths overlap with each other")

        def apply(item: Item, values: Values) -> Item:
            after = dict(item)
            for path, operand in sets:
                after[path] = operand(item, values)
            for path in removes:
                after.pop(path, None)
            return after

        return apply

    def assignment(self) -> tuple[str, Operand]:
        path = self.path()
        self.take("=")
        left = self.operand()
        if not self.found("+"):
            return path, lambda item, values: _existing(left(item, values))
        right = self.operand()
        return path, lambda item, values: _sum(left(item, values), right(item, values))


def _existing(value: Any) -> Any:
    if value is None:
        raise Invalid("the provided expression refers to an attribute that does not exist in the item")
    return value


def _sum(left: Any, right: Any) -> dict[str, str]:
    if left is None or right is None or "N" not in left or "N" not in right:
        raise Invalid("an operand in the update expression has an incorrect data type")
    return {"N": str(int(left["N"]) + int(right["N"]))}


def _among(value: Any, members: list[Any]) -> bool:
    if value is not None and "S" in value:
        return value in members
    return value is not None and comparable(value) in [comparable(member) for member in members if member is not None]


def _holds(sign: str, left: Any, right: Any) -> bool:
    if left is None or right is None:
        return False
    (kind, one), (other_kind, other) = comparable(left), comparable(right)
    return kind == other_kind and _SIGNS[sign](one, other)


@cache
def _parsed(text: str, names: tuple[tuple[str, str], ...], update: bool) -> Parsed:
    parser = _Parser(text, dict(names))
    run = parser.changes() if update else parser.either()
    if parser.peek():
        raise Invalid(f"what is {parser.peek()!r} doing here?")
    return Parsed(run, frozenset(parser.names), frozenset(parser.values))


def parsed(text: str, names: dict[str, str] | None, *, update: bool = False) -> Parsed:
    """Raises Invalid."""
    return _parsed(text, tuple((names or {}).items()), update)


_WORDS = """COUNT COUNTER DATA DATE ERROR EVENT EXISTS HASH INDEX INPUT KEY KEYS LAST LENGTH LIMIT LOCATION NAME NEXT
NUMBER OF OWNER PARTITION POSITION RANGE RESULT ROLE RULE SECTION SEQUENCE SET SIZE SOURCE START STATE STATUS STRING
TIMESTAMP TOKEN TTL TYPE UNIT USER VALUE VALUES VERSION VIEW WRITE YEAR ZONE"""
RESERVED = frozenset(_WORDS.split())
"""Those of DynamoDB's 573 reserved words that a field of a journal might be called."""
