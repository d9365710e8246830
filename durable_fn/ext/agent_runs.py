"""Keys for what a run of an agent does: the same whatever order a framework asks in, and never the same for two things.

A run has a number among the runs of its agent in its branch. A tool that is handler code is a branch of its own, a child with
the key of its call, and so are the runs that begin in it: calls come in an order that the next version of a framework may change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import Any
from weakref import WeakKeyDictionary

from .. import AsyncDurableContext, current_context, step
from .step_settings import StepSettings

_LONGEST = 64

_NUMBERS: WeakKeyDictionary[AsyncDurableContext, Counter[tuple[str, str]]] = WeakKeyDictionary()
"""By context, which is another in every invocation: how many runs each agent has begun in each branch."""


class Run:
    """One run of an agent in a durable handler. `key` tells it from the others in its branch."""

    def __init__(self, ctx: AsyncDurableContext, key: str) -> None:
        self.ctx = ctx
        self.key = key
        self._used: Counter[str] = Counter()

    def next(self, name: str) -> str:
        """The key of the next operation of this name: "run.number"."""
        self._used[name] += 1
        return f"{self.key}.{self._used[name]}"

    def count(self, name: str) -> int:
        """How many operations of this name there were."""
        return self._used[name]

    def call(self, name: str, turn: int, call_id: str) -> str:
        """The key of an operation of a tool call: "run.turn.id". Some providers count their ids anew in every turn, some give one
        twice in a turn, and a call that was approved comes again: from the second time on a number is added."""
        return self.again(name, f"{turn}.{plain(call_id)}")

    def again(self, name: str, place: str) -> str:
        """The key of an operation at a place in the run, "run.place", which may come more than once."""
        key = f"{self.key}.{place}"
        self._used[f"{name}:{key}"] += 1
        times = self._used[f"{name}:{key}"]
        return key if times == 1 else f"{key}.{times}"

    async def step(
        self,
        name: str,
        key: str,
        body: Callable[[], Awaitable[Any]],
        settings: StepSettings,
        *,
        result_type: object = None,
    ) -> Any:
        """What the body returns, or returned when it ran."""

        async def recorded() -> Any:
            return await body()

        return await self.ctx.step(step(recorded, name=name, key=key, result_type=result_type, **settings))

    async def branch(self, name: str, key: str, body: Callable[[], Awaitable[Any]]) -> Any:
        """Handler code with ids of its own. It is walked again on a replay, and its result is not recorded."""

        async def walked(_: AsyncDurableContext):  # type: ignore[no-untyped-def]
            return await body()

        return await self.ctx.child(walked, name=name, key=key)


def durable_context() -> AsyncDurableContext | None:
    """Of the async handler that runs; None outside of one, and in the body of a step. TypeError in a `def` handler."""
    try:
        return current_context(AsyncDurableContext)
    except TypeError as error:
        found = current_context()
        name = "this handler" if found is None else repr(found.name)
        raise TypeError(
            f"an agent cannot be durable in {name}, which is a plain def: make it `async def handler(event, ctx: "
            "AsyncDurableContext)` and await the run, or run the agent in a step of its own"
        ) from error


def begin(ctx: AsyncDurableContext, agent: str) -> Run:
    """The next run of this agent, here."""
    numbers = _NUMBERS.setdefault(ctx, Counter())
    numbers[ctx.branch, agent] += 1
    return Run(ctx, str(numbers[ctx.branch, agent]))


def plain(call_id: str) -> str:
    """A provider's id as part of a key: short, printable and without the dots that separate parts."""
    if call_id and len(call_id) <= _LONGEST and call_id.isprintable() and not set(call_id) & set(".~"):
        return call_id
    return "~" + blake2b(call_id.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()
