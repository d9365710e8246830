"""What a tool adds to `ctx.usage`, by a run of another agent say: recorded with its result, since no body runs in a replay."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable
from typing import Any, Final

from pydantic import TypeAdapter
from pydantic_ai.tools import RunContext
from pydantic_ai.usage import RunUsage

_KEY: Final = "durable_fn.usage"
_KIND: Final = TypeAdapter(RunUsage)


def counting(ctx: RunContext[Any], body: Callable[[], Awaitable[object]]) -> Callable[[], Awaitable[object]]:
    """The body of a tool call, which gets a copy of the usage: what others add meanwhile is theirs."""

    async def counted() -> object:
        shared = ctx.usage
        before, ctx.usage = copy.deepcopy(shared), copy.deepcopy(shared)
        try:
            result = await body()
            added = _counts(ctx.usage - before)
        finally:
            ctx.usage = shared
        return {_KEY: added, "result": result} if added else result

    return counted


def counted(ctx: RunContext[Any], recorded: object) -> object:
    """The result, after what was added is added: in the first run and in each replay alike."""
    if not isinstance(recorded, dict) or _KEY not in recorded:
        return recorded
    ctx.usage.incr(_KIND.validate_python(recorded[_KEY]))
    result: object = recorded["result"]
    return result


def _counts(usage: RunUsage) -> dict[str, Any]:
    """Without what is nothing."""
    found = _KIND.dump_python(usage, mode="json")
    found["details"] = {key: count for key, count in found["details"].items() if count}
    return {name: count for name, count in found.items() if count}
