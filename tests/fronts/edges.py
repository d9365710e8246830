"""What the tests of edges share: each edge was met by a small program that went wrong."""

from __future__ import annotations

from typing import Any

from durable_fn import (
    DurableFunction,
    RetryPolicy,
)
from durable_fn.testing import LocalRunner
from tests.effects import effect

ONCE = RetryPolicy(max_attempts=1)
PATIENCE = 20


class Killed(BaseException):
    """The process is gone."""


async def note(name: str) -> str:
    return effect(name)


def result_of(handler: DurableFunction[Any, Any]) -> Any:
    with LocalRunner(handler) as runner:
        return runner.run(None).result
