"""Step functions of the programs. Each takes the time that the world says, and tells it that it began."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from typing import Any, Protocol

from durable_fn import RetryPolicy, current_step, step

_TWICE = RetryPolicy(max_attempts=2, initial_delay=1.5, jitter="none")
_OFTEN = RetryPolicy(max_attempts=4, initial_delay=2, backoff=1, jitter="none")
_NEVER = RetryPolicy(max_attempts=1)


class Surroundings(Protocol):
    """What a body acts on."""

    def begins(self, *, threaded: bool = False) -> None: ...
    def wait_began(self, path: str) -> None: ...
    def wait_ended(self, path: str, seconds: float) -> None: ...
    def unwinds(self) -> AbstractContextManager[None]: ...
    def takes(self) -> float: ...
    def wait(self, seconds: float) -> None: ...
    def submitted(self, token: str, delay: float) -> None: ...


class _Steps:
    """The functions of a subclass as steps."""

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        self.work = step(self._work, name="work")
        self.thread = step(self._thread, name="thread")
        self.fail = {flag: step(self._fail, name="fail", retry=_TWICE if flag else _NEVER) for flag in (False, True)}
        self.flaky = step(self._flaky, name="flaky", retry=_OFTEN)
        self.late = step(self._late, name="late", timeout=1, retry=_TWICE)
        self.once = step(self._flaky, name="once", semantics="at_most_once", retry=_TWICE)
        self.undo = step(self._work, name="undo")
        self.clean = step(self._work, name="clean")
        self.check = step(self._check, name="check")
        self.even, self.odd = step(self._work, name="even"), step(self._work, name="odd")

    def keyed(self, key: str) -> Any:
        return step(self._work, name="keyed", key=key)

    def _thread(self, x: Any) -> Any:
        self.around.begins(threaded=True)
        self.around.wait(self.around.takes())
        return x

    _work: Any
    _fail: Any
    _flaky: Any
    _late: Any
    _check: Any


class PlainBodies(_Steps):
    """`def` functions."""

    def _pause(self) -> None:
        self.around.begins()
        self.around.wait(self.around.takes())

    def _work(self, x: Any) -> Any:
        self._pause()
        return x

    def _fail(self, x: Any) -> Any:
        self._pause()
        raise ValueError(f"boom {x}")

    def _flaky(self, x: Any, times: float) -> Any:
        self._pause()
        if current_step().attempt <= int(times):
            raise KeyError("flaky")
        return x

    def _late(self, x: Any, times: float) -> Any:
        """A thread cannot be ended, so it is in time."""
        self._pause()
        return x

    def _check(self, n: int) -> int:
        self._pause()
        return n + 1

    def submit(self, token: str, delay: float) -> None:
        self.around.begins()
        self.around.submitted(token, delay)


class AsyncBodies(_Steps):
    """`async def` functions, and `def` ones that run in threads."""

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self.stubborn = step(self._stubborn, name="stubborn")

    async def _pause(self, seconds: float | None = None) -> None:
        self.around.begins()
        seconds = self.around.takes() if seconds is None else seconds
        if seconds:
            await asyncio.sleep(seconds)

    async def _work(self, x: Any) -> Any:
        await self._pause()
        return x

    async def _fail(self, x: Any) -> Any:
        await self._pause()
        raise ValueError(f"boom {x}")

    async def _flaky(self, x: Any, times: float) -> Any:
        await self._pause()
        if current_step().attempt <= int(times):
            raise KeyError("flaky")
        return x

    async def _late(self, x: Any, times: float) -> Any:
        await self._pause(3 if current_step().attempt <= int(times) else 0.3)
        return x

    async def _stubborn(self, x: Any) -> Any:
        """It swallows its cancellation."""
        self.around.begins()
        try:
            await asyncio.sleep(2)
        except asyncio.CancelledError:
            with self.around.unwinds():
                await asyncio.sleep(0.05)
        return x

    async def _check(self, n: int) -> int:
        await self._pause()
        return n + 1

    async def submit(self, token: str, delay: float) -> None:
        self.around.begins()
        self.around.submitted(token, delay)


__all__ = ["AsyncBodies", "PlainBodies", "Surroundings"]
