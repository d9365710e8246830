"""Breaks things: JSON values, texts, and items of the table. From a seed, the same each time."""

from __future__ import annotations

import copy
import random
from typing import Any, Final

_TEXTS: Final = (
    "", " ", "\n", "\0", "\t", "\ud800", "\u202e", "ä☃", "x" * 600, "../..", "%00", "a\r\nset-cookie: x", "<script>",
    "'; DROP TABLE", "NaN", "1e99999", "-0", "null", "true", "[]", "{}", '{"durable_fn":1}', '{"durable_fn":"wake/1"}', "AAE=",
    "=", "#", "~", "$end", "H", "L#", "I#", " function", "\x02z:AAAA", "\x02c:AAAA", "\x02b:x", "S", "999999999999999999999",
    "application/json", "GET",
)  # fmt: skip
_VALUES: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**400, -1.5, float("nan"), float("inf"), 1e308, [], {}, [[]], {"": {}}, [None],
)  # fmt: skip


class Mutator:
    def __init__(self, seed: object) -> None:
        self.chance = random.Random(f"{seed} hostile")

    def value(self, depth: int = 2) -> Any:
        kind = self.chance.random()
        if kind < 0.35:
            return self.chance.choice(_TEXTS)
        if kind < 0.75 or not depth:
            return copy.deepcopy(self.chance.choice(_VALUES))
        if kind < 0.87:
            return [self.value(depth - 1) for _ in range(self.chance.randrange(4))]
        return {self.text(self.chance.choice(_TEXTS)): self.value(depth - 1) for _ in range(self.chance.randrange(4))}

    def text(self, text: str) -> str:
        """One that is near to it."""
        for _ in range(self.chance.randint(1, 3)):
            at = self.chance.randrange(len(text) + 1)
            kind = self.chance.randrange(6)
            if kind == 0:
                text = text[:at] + self.chance.choice(_TEXTS) + text[at:]
            elif kind == 1:
                text = text[:at] + text[at + self.chance.randint(1, 9) :]
            elif kind == 2 and text:
                text = text[:at] + chr(self.chance.randrange(1, 300)) + text[at + 1 :]
            elif kind == 3:
                text = text[: len(text) // 2] + text
            elif kind == 4:
                text = text[:at] + text[at:][::-1]
            else:
                text = text.swapcase() if self.chance.random() < 0.3 else text[at:] + text[:at]
        return text

    def json(self, value: Any) -> Any:
        """A copy in which some parts are gone, or something else, or twice."""
        value = copy.deepcopy(value)
        for _ in range(self.chance.choice((1, 1, 1, 2, 3, 5))):
            value = self._changed(value)
        return value

    def _changed(self, value: Any) -> Any:
        if self.chance.random() < 0.15 or not isinstance(value, dict | list) or not value:
            return self.text(value) if isinstance(value, str) and self.chance.random() < 0.7 else self.value()
        if isinstance(value, list):
            at = self.chance.randrange(len(value))
            kind = self.chance.randrange(5)
            if kind == 0:
                del value[at]
            elif kind == 1:
                value.insert(at, copy.deepcopy(value[at]))
            else:
                value[at] = self._changed(value[at])
            return value
        key = self.chance.choice(list(value))
        kind = self.chance.randrange(7)
        if kind == 0:
            del value[key]
        elif kind == 1:
            value[self.text(str(key))] = value.pop(key)
        else:
            value[key] = self._changed(value[key])
        return value

    def item(self, item: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """One that DynamoDB could hold under the same key."""
        changed = {name: dict(value) for name, value in item.items()}
        names = [name for name in changed if name not in ("pk", "sk")]
        for _ in range(self.chance.choice((1, 1, 2, 4))):
            name = self.chance.choice(names)
            kind = self.chance.randrange(4)
            if kind == 0:
                changed.pop(name, None)
            elif kind == 1 and "S" in changed.get(name, {}):
                changed[name] = {"S": self.text(changed[name]["S"])}
            elif kind == 2:
                changed[name] = {"N": str(self.chance.choice((0, 1, -1, 2**40, 10**30, 3)))}
            else:
                changed[name] = self.chance.choice(
                    ({"S": self.chance.choice(_TEXTS)}, {"BOOL": True}, {"NULL": True}, {"L": []}, {"M": {}}, {"B": b"\0z:"},
                     {"L": [{"S": "x"}]}, {"B": b"zc:AAAA"})
                )  # fmt: skip
        return changed
