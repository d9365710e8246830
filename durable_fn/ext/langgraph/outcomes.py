"""How a node ended, as it is recorded: with an update of the state, with a question, or with a command to the graph above."""

from __future__ import annotations

import base64
import copy
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NoReturn

from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.errors import ParentCommand
from langgraph.types import interrupt

from ...errors import SerializationError


class Values:
    """JSON as it is, all else by LangGraph's own serializer, which makes only classes that `allowed` names (module, name)."""

    def __init__(self, allowed: set[tuple[str, ...]] | None = None) -> None:
        self._serializer = JsonPlusSerializer(allowed_msgpack_modules=allowed)

    def digest(self, value: Any) -> str:
        """The same for equal values."""
        kind, data = self._serializer.dumps_typed(value)
        return blake2b(kind.encode() + b"/" + data, digest_size=16).hexdigest()

    def encode(self, value: Any, what: str) -> Any:
        if _is_json(value):
            return {"json": value}
        kind, data = self._serializer.dumps_typed(value)
        if self._serializer.dumps_typed(self._serializer.loads_typed((kind, data))) != (kind, data):
            raise SerializationError(
                f"{what} has a class that would not come back as itself: name it in the types of the graph's state, or return "
                "what JSON has"
            )
        return {"kind": kind, "data": base64.b64encode(data).decode()}

    def decode(self, row: Any) -> Any:
        if "json" in row:
            return row["json"]
        return self._serializer.loads_typed((row["kind"], base64.b64decode(row["data"])))


class Kept(SerializerProtocol):
    """For a memory that lasts as long as this invocation."""

    def dumps_typed(self, obj: Any) -> tuple[str, Any]:
        return "kept", copy.deepcopy(obj)

    def loads_typed(self, data: tuple[str, Any]) -> Any:
        return copy.deepcopy(data[1])


def _is_json(value: Any) -> bool:
    if type(value) in (list, dict):
        items = value if type(value) is list else [*value.values()]
        return all(map(_is_json, items)) and (type(value) is list or all(type(key) is str for key in value))
    return value is None or type(value) in (str, int, bool) or (type(value) is float and value - value == 0)


@dataclass(frozen=True)
class Outcome:
    """`kind`: "value", "ask" (of `interrupt()`) or "parent"."""

    kind: str
    value: Any

    def told(self) -> Any:
        """The value. Raises what a node raises that asks, or that commands the graph above."""
        if self.kind == "parent":
            raise ParentCommand(self.value)
        if self.kind == "ask":
            _ask(self.value)
        return self.value


def _ask(value: Any) -> NoReturn:
    """As the node did: questions before this one have their answers and return them, this one has none."""
    while True:
        interrupt(value)
