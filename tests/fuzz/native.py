"""What programs of the async front do with asyncio itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from durable_fn import AsyncDurableContext
from durable_fn.errors import CallbackTimeout
from tests.fuzz.bodies import AsyncBodies
from tests.fuzz.nodes import Node
from tests.fuzz.shapes import called

Ctx = AsyncDurableContext


class NativeKinds:
    """Memory that the tasks of one run share, and the kinds that use asyncio."""

    bodies: AsyncBodies
    see: Any
    run: Any
    waited: Any

    def __init__(self) -> None:
        self.events = {name: asyncio.Event() for name in "ab"}
        self.queues: dict[str, asyncio.Queue[str]] = {name: asyncio.Queue() for name in "ab"}
        self.lock, self.condition, self.semaphore = asyncio.Lock(), asyncio.Condition(), asyncio.Semaphore(2)
        self.spawned: list[asyncio.Task[Any]] = []

    def _tasks(self, c: Ctx, node: Node, path: str) -> list[asyncio.Task[Any]]:
        return [asyncio.create_task(self.run(c, block, f"{path}/{n}")) for n, block in enumerate(node.blocks)]

    def _blocks(self, c: Ctx, node: Node, path: str) -> list[Any]:
        return [self.run(c, block, f"{path}/{n}") for n, block in enumerate(node.blocks)]

    # -- leaves ----------------------------------------------------------------------------------------------------

    async def n_pause(self, c: Ctx, node: Node, path: str) -> Any:
        return await self.waited(c, path, node.number, asyncio.sleep(node.number, "paused"))

    async def n_yield(self, c: Ctx, node: Node, path: str) -> Any:
        return await asyncio.sleep(0)

    async def n_raise(self, c: Ctx, node: Node, path: str) -> Any:
        raise LookupError(path)

    async def n_later(self, c: Ctx, node: Node, path: str) -> Any:
        timer = asyncio.get_running_loop().call_later(node.number, self._called, path)
        if node.flag:
            await asyncio.sleep(1)
            timer.cancel()

    async def n_soon(self, c: Ctx, node: Node, path: str) -> Any:
        asyncio.get_running_loop().call_soon(self._called, path)

    def _called(self, path: str) -> None:
        self.see(f"{path} called")
        for event in self.events.values():
            event.set()

    async def n_set(self, c: Ctx, node: Node, path: str) -> Any:
        self.events[node.text].set()

    async def n_wait(self, c: Ctx, node: Node, path: str) -> Any:
        try:
            return await asyncio.wait_for(self.events[node.text].wait(), node.number)
        except TimeoutError:
            return "nobody set it"

    async def n_put(self, c: Ctx, node: Node, path: str) -> Any:
        self.queues[node.text].put_nowait(path)

    async def n_get(self, c: Ctx, node: Node, path: str) -> Any:
        try:
            async with asyncio.timeout(node.number):
                return await self.queues[node.text].get()
        except TimeoutError:
            return "nothing in it"

    async def n_to_thread(self, c: Ctx, node: Node, path: str) -> Any:
        return await asyncio.to_thread(str, path)

    async def n_stubborn(self, c: Ctx, node: Node, path: str) -> Any:
        return await c.step(self.bodies.stubborn, path)

    async def n_reminded(self, c: Ctx, node: Node, path: str) -> Any:
        """The same callback is awaited again and again."""
        callback = await c.callback(node.text, timeout=9)
        await c.step(self.bodies.submit, callback.token, node.number + 1)
        for n in range(3):
            try:
                return await asyncio.wait_for(callback.result(), 2.5)
            except TimeoutError:
                await c.step(self.bodies.work, f"{path} {n}")
        return "given up"

    async def n_shared(self, c: Ctx, node: Node, path: str) -> Any:
        """A callback is awaited by several."""
        callback = await c.callback("shared", timeout=5)
        await c.step(self.bodies.submit, callback.token, node.number)

        async def late() -> Any:
            try:
                return await asyncio.wait_for(callback.result(), 2)
            except TimeoutError:
                self.see(f"{path} late")
                return "late"

        async def one(n: int) -> Any:
            found = await callback.result()
            self.see(f"{path} {n} has {found}")
            return found

        try:
            return await asyncio.gather(one(1), late(), one(2))
        except CallbackTimeout as error:
            return called(error)

    # -- several at a time -----------------------------------------------------------------------------------------

    async def n_gather(self, c: Ctx, node: Node, path: str) -> Any:
        return await asyncio.gather(*self._blocks(c, node, path))

    async def n_settled(self, c: Ctx, node: Node, path: str) -> Any:
        found = await asyncio.gather(*self._blocks(c, node, path), return_exceptions=True)
        return [called(one) if isinstance(one, BaseException) else one for one in found]

    async def n_group(self, c: Ctx, node: Node, path: str) -> Any:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(block) for block in self._blocks(c, node, path)]
            if node.flag:
                group.create_task(c.sleep(node.number))
                await c.step(self.bodies.work, f"{path} beside")
        return [task.result() for task in tasks]

    async def n_spoiled(self, c: Ctx, node: Node, path: str) -> Any:
        async def spoils() -> None:
            await c.sleep(node.number)
            raise ValueError("spoiled")

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(block) for block in self._blocks(c, node, path)]
                group.create_task(spoils())
        except ExceptionGroup:
            return "spoiled"
        return [task.result() for task in tasks]

    async def n_first(self, c: Ctx, node: Node, path: str) -> Any:
        """Who is first decides; the sets of `asyncio.wait` have an order."""
        tasks = self._tasks(c, node, path)
        try:
            done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in set(tasks):
                task.cancel()
        order = [tasks.index(task) for task in done]
        if node.flag:
            await asyncio.gather(*pending, return_exceptions=True)
        return [order, *(_state(task) for task in tasks)]

    async def n_until_failed(self, c: Ctx, node: Node, path: str) -> Any:
        tasks = self._tasks(c, node, path)
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        return [[tasks.index(task) for task in done], *(_state(task) for task in tasks)]

    async def n_in_time(self, c: Ctx, node: Node, path: str) -> Any:
        tasks = self._tasks(c, node, path)
        done, pending = await asyncio.wait(tasks, timeout=node.number)
        for task in pending:
            task.cancel()
        if pending and node.flag:
            await asyncio.wait(pending)
        return [[tasks.index(task) for task in done], [tasks.index(task) for task in pending]]

    async def n_completed(self, c: Ctx, node: Node, path: str) -> Any:
        tasks, order = self._tasks(c, node, path), []
        try:
            for future in asyncio.as_completed(tasks, timeout=node.number if node.flag else None):
                order.append(await future)
                self.see(f"{path} {len(order)} completed")
        except TimeoutError:
            order.append("late")
        except LookupError:
            order.append("lookup")
        for task in tasks:
            task.cancel()
        return order

    async def n_generator(self, c: Ctx, node: Node, path: str) -> Any:
        """An async generator that may be left half-way."""

        async def numbers() -> AsyncIterator[int]:
            try:
                for n in range(3):
                    await c.step(self.bodies.work, f"{path} {n}")
                    yield n
            finally:
                await asyncio.sleep(0)

        got = []
        async for n in numbers():
            got.append(n)
            if n == int(node.number) % 4:
                break
        return [got, await self.run(c, node.blocks[0], path)]

    # -- limits and locks ------------------------------------------------------------------------------------------

    async def n_wait_for(self, c: Ctx, node: Node, path: str) -> Any:
        try:
            return await asyncio.wait_for(self.run(c, node.blocks[0], path), node.number)
        except TimeoutError:
            return "too late"

    async def n_timeout(self, c: Ctx, node: Node, path: str) -> Any:
        try:
            async with asyncio.timeout(node.number):
                return await self.run(c, node.blocks[0], path)
        except TimeoutError:
            return "too late"

    async def n_moved(self, c: Ctx, node: Node, path: str) -> Any:
        try:
            async with asyncio.timeout(node.number) as limit:
                await c.step(self.bodies.work, f"{path} inside")
                limit.reschedule(asyncio.get_running_loop().time() + node.number / 2)
                return await self.run(c, node.blocks[0], path)
        except TimeoutError:
            return "too late"

    async def n_locked(self, c: Ctx, node: Node, path: str) -> Any:
        async with self.lock if "locked" not in path.rpartition(".")[0] else contextlib.nullcontext():
            return await self.run(c, node.blocks[0], path)

    async def n_limited(self, c: Ctx, node: Node, path: str) -> Any:
        async with self.semaphore if "limited" not in path.rpartition(".")[0] else contextlib.nullcontext():
            return await self.run(c, node.blocks[0], path)

    async def n_condition(self, c: Ctx, node: Node, path: str) -> Any:
        async def waits() -> str:
            async with self.condition:
                await asyncio.wait_for(self.condition.wait(), 4)
                return "notified"

        task = asyncio.create_task(waits())
        inner = await self.run(c, node.blocks[0], path)
        async with self.condition:
            self.condition.notify(1)
        try:
            return [inner, await task]
        except TimeoutError:
            return [inner, "nobody"]

    # -- cancellations ---------------------------------------------------------------------------------------------

    async def n_shield(self, c: Ctx, node: Node, path: str) -> Any:
        """Awaited on, or left alone."""
        task = asyncio.create_task(self.run(c, node.blocks[0], path))
        try:
            return await asyncio.wait_for(asyncio.shield(task), node.number)
        except TimeoutError:
            if node.flag:
                return await task
            self.spawned.append(task)
            return "left alone"

    async def n_dropped(self, c: Ctx, node: Node, path: str) -> Any:
        task = asyncio.create_task(self.run(c, node.blocks[0], path))
        await c.sleep(node.number)
        task.cancel("dropped")
        return await self._of_cancelled(task)

    async def n_twice(self, c: Ctx, node: Node, path: str) -> Any:
        """A task that cleans up is cancelled once more."""
        task = asyncio.create_task(self.n_kept(c, node, path))
        await c.sleep(node.number)
        task.cancel()
        await asyncio.sleep(node.number / 2)
        task.cancel()
        return await self._of_cancelled(task)

    async def _of_cancelled(self, task: asyncio.Task[Any]) -> Any:
        me = asyncio.current_task()
        assert me is not None
        try:
            return await task
        except asyncio.CancelledError:
            if me.cancelling():
                raise
            return "dropped"

    async def n_cleaning(self, c: Ctx, node: Node, path: str) -> Any:
        try:
            return await self.run(c, node.blocks[0], path)
        except asyncio.CancelledError:
            self.see(f"{path} cleans up")
            await c.step(self.bodies.clean, path)
            await c.sleep(0.3)
            await asyncio.sleep(0.5)
            raise

    async def n_kept(self, c: Ctx, node: Node, path: str) -> Any:
        """It keeps a cancellation for itself."""
        try:
            return await self.run(c, node.blocks[0], path)
        except asyncio.CancelledError as error:
            return ["kept", type(error).__name__, await c.step(self.bodies.clean, path)]

    async def n_spawn(self, c: Ctx, node: Node, path: str) -> Any:
        self.spawned.append(asyncio.create_task(self.run(c, node.blocks[0], path)))
        return "spawned"


def _state(task: asyncio.Task[Any]) -> Any:
    if not task.done():
        return "runs"
    return "cancelled" if task.cancelled() else called(task.exception()) if task.exception() else task.result()
