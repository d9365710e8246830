"""The log's order and the order in which an async handler sees results are one, also where writes take their time."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

from durable_fn import AsyncDurableContext, durable
from durable_fn.errors import SignalTimeout
from durable_fn.testing import LocalRunner, replay


async def work(x: Any) -> Any:
    return x


class SlowDecisions:
    """A journal that is not local, whose decisions take until they are let go."""

    local = False

    def __init__(self, store: Any) -> None:
        self._store = store
        self.begun, self.go = threading.Event(), threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def decide(self, *args: Any) -> Any:
        self.begun.set()
        assert self.go.wait(30)
        return self._store.decide(*args)


def test_nobody_writes_while_a_decision_is_under_way() -> None:
    """The log would get two segments with one number, or a gap."""

    @durable(name="slow_decision")
    async def handler(event: Any, ctx: AsyncDurableContext) -> Any:
        async def absent() -> str:
            try:
                return await ctx.wait_for_signal("x", timeout=0)
            except SignalTimeout:
                return "nothing came"

        async def body(n: int) -> int:
            await asyncio.to_thread(slow.begun.wait, 30)
            if n == 2:
                slow.go.set()
            return n

        seen = await asyncio.gather(absent(), *(ctx.step(body, n) for n in range(3)))
        await ctx.sleep(1000)
        return seen

    with LocalRunner(handler) as runner:
        runner._backend.store = slow = SlowDecisions(runner._journal)  # type: ignore[assignment]
        execution = runner.run(None)
        assert execution.result == ["nothing came", 0, 1, 2]
        assert execution.invocations == 2, "before the long sleep, and after it"


def test_a_decision_reaches_the_handler_behind_what_was_recorded_before_it() -> None:
    """The sleep and the signal's timeout are due at the same time, and the sleep is first in the log."""

    @durable(name="together")
    async def handler(event: Any, ctx: AsyncDurableContext) -> Any:
        async def absent() -> None:
            async with asyncio.TaskGroup() as inner:
                inner.create_task(signalled())
            await ctx.step(work, 1)

        async def signalled() -> None:
            with contextlib.suppress(SignalTimeout):
                await ctx.wait_for_signal("x", timeout=4)

        async def spoils() -> None:
            await ctx.sleep(4)
            raise ValueError("spoiled")

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(absent())
                group.create_task(spoils())
        except* ValueError:
            pass
        await ctx.sleep(2)

    with LocalRunner(handler) as runner:
        execution = runner.start(None)
        runner.run_until_idle()
        runner.advance(100)
        assert execution.status == "SUCCEEDED", execution.error
        assert replay(handler, execution.history) is None
