"""Where a plain `def` of a user's runs (instructions, validators, hooks, processors of the history).

Pydantic AI runs it in a thread, and the end of a thread has no place in the log: a replay might take another way. So handler
code runs it in place. In the body of a step a thread is what it should have: others run beside it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from pydantic_ai._utils import _disable_threads

R = TypeVar("R")


@contextmanager
def in_place() -> Iterator[None]:
    token = _disable_threads.set(True)
    try:
        yield
    finally:
        _disable_threads.reset(token)


def in_threads(body: Callable[[], Awaitable[R]]) -> Callable[[], Awaitable[R]]:
    """The body of a step, which has a context of its own."""

    async def threaded() -> R:
        _disable_threads.set(False)
        return await body()

    return threaded
