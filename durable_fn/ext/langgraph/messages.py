"""Ids of messages that have none. LangGraph's reducer draws them, in handler code, so a replay would have others: a node that
removes or replaces a message by its id would name one that is not there.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any
from uuid import UUID

from langchain_core.messages import BaseMessage, convert_to_messages
from langgraph.channels import BinaryOperatorAggregate
from langgraph.graph import message as reducers

from ..agent_runs import Run
from .outcomes import Values

Reducer = Callable[[Any, Any], Any]


class Ids:
    """Made of the run, of what a message says and of how often it is there: in whatever order, and in each replay, the same."""

    def __init__(self, run: Run, graph: str, values: Values) -> None:
        self._run = f"{run.ctx.execution_id}/{run.ctx.branch}/{graph}:{run.key}"
        self._values = values

    def channel(self, channel: Any) -> Any:
        """A twin of the channel that gives ids, if it has a reducer."""
        if type(channel) is not BinaryOperatorAggregate:
            return channel
        twin = channel.copy()
        twin.operator = self._reducer(channel.operator)
        return twin

    def _reducer(self, reducer: Reducer) -> Reducer:
        """LangGraph's own takes texts, pairs and dicts for messages, too; of others only messages are looked at."""
        converts = getattr(getattr(reducer, "func", reducer), "__module__", "") == reducers.__name__

        def reduce(left: Any, right: Any) -> Any:
            given = right if isinstance(right, list) else [right]
            said = convert_to_messages(given) if converts else given
            if not any(isinstance(message, BaseMessage) and message.id is None for message in said):
                return reducer(left, right)
            named = self._named(left, said)
            return reducer(left, named if isinstance(right, list) else named[0])

        return reduce

    def _named(self, left: Any, given: list[Any]) -> list[Any]:
        there = left if isinstance(left, list) else [left]
        taken = {message.id for message in [*there, *given] if isinstance(message, BaseMessage)}
        named: list[Any] = []
        for message in given:
            if isinstance(message, BaseMessage) and message.id is None:
                named.append(message.model_copy(update={"id": self._id(message, taken)}))
                taken.add(named[-1].id)
            else:
                named.append(message)
        return named

    def _id(self, message: BaseMessage, taken: set[str | None]) -> str:
        said, times = self._values.digest(message), 0
        while True:
            made = str(UUID(bytes=blake2b(f"{self._run}/{said}/{times}".encode(), digest_size=16).digest()))
            if made not in taken:
                return made
            times += 1
