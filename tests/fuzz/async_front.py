"""Programs as `async def` handlers: durable operations. What is asyncio's own is in `native`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from durable_fn import AsyncDurableContext
from durable_fn.errors import (
    BatchError,
    CallbackTimeout,
    CallError,
    ExecutionCancelled,
    PollTimeout,
    SignalTimeout,
    StepError,
)
from tests.fuzz.bodies import AsyncBodies
from tests.fuzz.native import NativeKinds
from tests.fuzz.nodes import FANS, Block, Node
from tests.fuzz.shapes import TOLERANCES, called, shown


class AsyncProgram(NativeKinds):
    """One run of it. `see` notes what it sees; `child` is another durable function."""

    def __init__(
        self, ctx: AsyncDurableContext, bodies: AsyncBodies, see: Callable[[str], None], child: Any, *, quick: bool
    ) -> None:
        super().__init__()
        self.ctx = ctx
        self.bodies = bodies
        self.see = see
        self.child = child
        self.quick = quick

    async def run(self, c: AsyncDurableContext, block: Block, path: str) -> list[Any]:
        out = []
        for n, node in enumerate(block):
            where = f"{path}.{n}{node.kind}"
            try:
                value = await self._one(c, node, where)
            except BaseException as error:
                self.see(f"{where} !{type(error).__name__}")
                raise
            self.see(f"{where} = {value}")
            out.append(value)
        return out

    async def _one(self, c: AsyncDurableContext, node: Node, path: str) -> Any:
        if node.kind in FANS:
            return await self._fan(c, node, path)
        try:
            return await getattr(self, f"n_{node.kind}")(c, node, path)
        except (StepError, SignalTimeout, CallbackTimeout, CallError, PollTimeout) as error:
            return called(error)

    # -- leaves ----------------------------------------------------------------------------------------------------

    async def n_step(self, c: AsyncDurableContext, node: Node, path: str) -> Any:
        return await c.step(self.bodies.work, path)

    async def n_thread(self, c: AsyncDurableContext, node: Node, path: str) -> Any:
        return await c.step(self.bodies.thread, path)

    async def n_fail(self, c: AsyncDurableContext, node: Node, path: str) -> Any:
        return await c.step(self.bodies.fail[node.flag], path)

    async def n_flaky(self, c: AsyncDurableContext, node: Node, path: str) -> Any:
        return await c.step(self.bodies.flaky, path, node.number)

    async def n_late(self, c: AsyncDurableContext, node: Node, path: str) -> Any:
        return await c.step(self.bodies.late, path, node.number)

    async def n_once(self, c: AsyncDurableContext, node: Node, path: str) -> Any:
        return await c.step(self.bodies.once, path, node.number)

    async def n_now(self, c: AsyncDurableContext, node: Node, path: str) -> Any:
        return [str(c.now()), asyncio.get_running_loop().time()]

    async def n_draw(self, c: AsyncDurableContext, node: Node, path: str) -> Any:
        return [str(c.uuid4()), c.random()]

    async def n_sleep(self, c: AsyncDurableContext, node: Node, path: str) -> Any:
        return await self.waited(c, path, node.number, c.sleep(node.number))

    async def n_nap(self, c: AsyncDurableContext, node: Node, path: str) -> Any:
        return await self.waited(c, path, node.number / 10, c.sleep(node.number / 10))

    async def waited(self, c: AsyncDurableContext, path: str, seconds: float, waits: Awaitable[Any]) -> Any:
        """No wait is shorter than it was to be."""
        around = self.bodies.around
        if not c.is_replaying:
            around.wait_began(path)
        value = await waits
        if not c.is_replaying:
            around.wait_ended(path, seconds)
        return value

    async def n_signal(self, c: AsyncDurableContext, node: Node, path: str) -> Any:
        return await c.wait_for_signal(node.text, timeout=node.number)

    async def n_callback(self, c: AsyncDurableContext, node: Node, path: str) -> Any:
        delay = 2 if node.flag else 0
        return await c.wait_for_callback(partial(self.bodies.submit, delay=delay), timeout=node.number or 1)

    async def n_poll(self, c: AsyncDurableContext, node: Node, path: str) -> Any:
        return await c.poll(
            self.bodies.check,
            initial=0,
            until=lambda n: n > node.number,
            every=1,
            timeout=None if node.flag else 2.5,
        )

    async def n_call(self, c: AsyncDurableContext, node: Node, path: str) -> Any:
        payload = [node.number if node.flag else 0.2, node.text == "b" and node.flag]
        return await c.call(self.child, payload, timeout=3 if node.flag and not self.quick else None)

    async def n_send(self, c: AsyncDurableContext, node: Node, path: str) -> Any:
        return await c.send(self.child, [0, False], delay=node.number if node.flag else None)

    async def n_status(self, c: AsyncDurableContext, node: Node, path: str) -> Any:
        return await c.set_status(path)

    async def n_keyed(self, c: AsyncDurableContext, node: Node, path: str) -> Any:
        return await c.step(self.bodies.keyed(path), path)

    async def n_by_time(self, c: AsyncDurableContext, node: Node, path: str) -> Any:
        """What is done depends on the time."""
        even = int(c.now().timestamp()) % 2 == 0
        return await c.step(self.bodies.even if even else self.bodies.odd, path)

    async def n_patched(self, c: AsyncDurableContext, node: Node, path: str) -> Any:
        return await c.patched(node.text)

    # -- constructs ------------------------------------------------------------------------------------------------

    async def n_child(self, c: AsyncDurableContext, node: Node, path: str) -> Any:
        block = node.blocks[0]
        if not node.flag:
            return await c.child(lambda cc: self.run(cc, block, path), **self._named(node, path))

        async def annotated(cc: AsyncDurableContext) -> list[Any]:
            return await self.run(cc, block, path)

        return await c.child(annotated, **self._named(node, path))

    @staticmethod
    def _named(node: Node, path: str) -> dict[str, Any]:
        return {"name": "child", "key": path} if node.text == "b" else {"name": "child"}

    async def n_saga(self, c: AsyncDurableContext, node: Node, path: str) -> Any:
        with contextlib.suppress(ValueError):
            async with c.saga() as saga:
                for n in range(node.width or 1):
                    saga.add_compensation(self.bodies.undo, f"{path}/{n}")
                if not self.quick:
                    saga.add_compensation(self.bodies.stubborn, f"{path}/last")
                inner = await self.run(c, node.blocks[0], path)
                if node.flag:
                    raise ValueError("undone")
                return inner
        return "undone"

    async def n_caught(self, c: AsyncDurableContext, node: Node, path: str) -> Any:
        try:
            inner = await self.run(c, node.blocks[0], path)
            if node.flag:
                raise ValueError
        except Exception as error:
            return called(error)
        return inner

    async def n_swallowed(self, c: AsyncDurableContext, node: Node, path: str) -> Any:
        try:
            return await self.run(c, node.blocks[0], path)
        except ExecutionCancelled:
            return ["swallowed", await c.step(self.bodies.clean, path)]

    async def n_finally(self, c: AsyncDurableContext, node: Node, path: str) -> Any:
        try:
            return await self.run(c, node.blocks[0], path)
        finally:
            await c.step(self.bodies.clean, path)

    async def _fan(self, c: AsyncDurableContext, node: Node, path: str) -> Any:
        def branch(n: int) -> Callable[[AsyncDurableContext], Any]:
            if not node.flag:
                return lambda cc: self.run(cc, node.blocks[n], f"{path}/{n}")

            async def annotated(cc: AsyncDurableContext) -> list[Any]:
                return await self.run(cc, node.blocks[n], f"{path}/{n}")

            return annotated

        branches = [branch(n) for n in range(len(node.blocks))]
        if node.kind == "race":
            try:
                return list(await c.race(branches))
            except BatchError:
                return "nobody"
        completion = TOLERANCES["settled" if self.quick else node.text]
        if node.kind == "parallel":
            return shown(await c.parallel(branches, max_concurrency=node.width, completion=completion))
        return shown(
            await c.map(
                lambda cc, n: branches[n](cc), range(len(branches)), max_concurrency=node.width, completion=completion
            )
        )
