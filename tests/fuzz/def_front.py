"""Programs as `def` handlers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

from durable_fn import DurableContext
from durable_fn.errors import (
    BatchError,
    CallbackTimeout,
    CallError,
    ExecutionCancelled,
    PollTimeout,
    SignalTimeout,
    StepError,
)
from tests.fuzz.bodies import PlainBodies
from tests.fuzz.nodes import FANS, Block, Node
from tests.fuzz.shapes import TOLERANCES, called, shown


class PlainProgram:
    """One run of it. `see` notes what it sees."""

    def __init__(self, bodies: PlainBodies, see: Callable[[str, str], None], child: Any, *, quick: bool) -> None:
        self.bodies = bodies
        self.see = see
        self.child = child
        self.quick = quick

    def run(self, c: DurableContext, block: Block, path: str) -> list[Any]:
        out = []
        for n, node in enumerate(block):
            where = f"{path}.{n}{node.kind}"
            value = self._one(c, node, where)
            self.see(where, repr(value))
            out.append(value)
        return out

    def _one(self, c: DurableContext, node: Node, path: str) -> Any:
        if node.kind in FANS:
            return self._fan(c, node, path)
        try:
            return getattr(self, f"n_{node.kind}")(c, node, path)
        except (StepError, SignalTimeout, CallbackTimeout, CallError, PollTimeout) as error:
            return called(error)

    # -- leaves ----------------------------------------------------------------------------------------------------

    def n_step(self, c: DurableContext, node: Node, path: str) -> Any:
        return c.step(self.bodies.work, path)

    def n_thread(self, c: DurableContext, node: Node, path: str) -> Any:
        return c.step(self.bodies.thread, path)

    def n_fail(self, c: DurableContext, node: Node, path: str) -> Any:
        return c.step(self.bodies.fail[node.flag], path)

    def n_flaky(self, c: DurableContext, node: Node, path: str) -> Any:
        return c.step(self.bodies.flaky, path, node.number)

    def n_late(self, c: DurableContext, node: Node, path: str) -> Any:
        return c.step(self.bodies.late, path, node.number)

    def n_once(self, c: DurableContext, node: Node, path: str) -> Any:
        return c.step(self.bodies.once, path, node.number)

    def n_now(self, c: DurableContext, node: Node, path: str) -> Any:
        return str(c.now())

    def n_draw(self, c: DurableContext, node: Node, path: str) -> Any:
        return [str(c.uuid4()), c.random()]

    def n_sleep(self, c: DurableContext, node: Node, path: str) -> Any:
        return c.sleep(node.number)

    def n_nap(self, c: DurableContext, node: Node, path: str) -> Any:
        return c.sleep(node.number / 10)

    def n_signal(self, c: DurableContext, node: Node, path: str) -> Any:
        return c.wait_for_signal(node.text, timeout=node.number)

    def n_callback(self, c: DurableContext, node: Node, path: str) -> Any:
        delay = 2 if node.flag else 0
        return c.wait_for_callback(partial(self.bodies.submit, delay=delay), timeout=node.number or 1)

    def n_poll(self, c: DurableContext, node: Node, path: str) -> Any:
        return c.poll(
            self.bodies.check,
            initial=0,
            until=lambda n: n > node.number,
            every=1,
            timeout=None if node.flag else 2.5,
        )

    def n_call(self, c: DurableContext, node: Node, path: str) -> Any:
        payload = [node.number if node.flag else 0.2, node.text == "b" and node.flag]
        return c.call(self.child, payload, timeout=3 if node.flag and not self.quick else None)

    def n_send(self, c: DurableContext, node: Node, path: str) -> Any:
        return c.send(self.child, [0, False], delay=node.number if node.flag else None)

    def n_status(self, c: DurableContext, node: Node, path: str) -> Any:
        return c.set_status(path)

    def n_keyed(self, c: DurableContext, node: Node, path: str) -> Any:
        return c.step(self.bodies.keyed(path), path)

    def n_by_time(self, c: DurableContext, node: Node, path: str) -> Any:
        """What is done depends on the time."""
        even = int(c.now().timestamp()) % 2 == 0
        return c.step(self.bodies.even if even else self.bodies.odd, path)

    def n_patched(self, c: DurableContext, node: Node, path: str) -> Any:
        return c.patched(node.text)

    # -- constructs ------------------------------------------------------------------------------------------------

    def n_child(self, c: DurableContext, node: Node, path: str) -> Any:
        block = node.blocks[0]
        if not node.flag:
            return c.child(lambda cc: self.run(cc, block, path), **self._named(node, path))

        def annotated(cc: DurableContext) -> list[Any]:
            return self.run(cc, block, path)

        return c.child(annotated, **self._named(node, path))

    @staticmethod
    def _named(node: Node, path: str) -> dict[str, Any]:
        return {"name": "child", "key": path} if node.text == "b" else {"name": "child"}

    def n_saga(self, c: DurableContext, node: Node, path: str) -> Any:
        with contextlib.suppress(ValueError), c.saga() as saga:
            for n in range(node.width or 1):
                saga.add_compensation(self.bodies.undo, f"{path}/{n}")
            inner = self.run(c, node.blocks[0], path)
            if node.flag:
                raise ValueError("undone")
            return inner
        return "undone"

    def n_caught(self, c: DurableContext, node: Node, path: str) -> Any:
        try:
            inner = self.run(c, node.blocks[0], path)
            if node.flag:
                raise ValueError
        except Exception as error:
            return called(error)
        return inner

    def n_swallowed(self, c: DurableContext, node: Node, path: str) -> Any:
        try:
            return self.run(c, node.blocks[0], path)
        except ExecutionCancelled:
            return ["swallowed", c.step(self.bodies.clean, path)]

    def n_finally(self, c: DurableContext, node: Node, path: str) -> Any:
        try:
            return self.run(c, node.blocks[0], path)
        finally:
            c.step(self.bodies.clean, path)

    def _fan(self, c: DurableContext, node: Node, path: str) -> Any:
        def branch(n: int) -> Callable[[DurableContext], Any]:
            if not node.flag:
                return lambda cc: self.run(cc, node.blocks[n], f"{path}/{n}")

            def annotated(cc: DurableContext) -> list[Any]:
                return self.run(cc, node.blocks[n], f"{path}/{n}")

            return annotated

        branches = [branch(n) for n in range(len(node.blocks))]
        if node.kind == "race":
            try:
                return list(c.race(branches))
            except BatchError:
                return "nobody"
        completion = TOLERANCES["settled" if self.quick else node.text]
        if node.kind == "parallel":
            return shown(c.parallel(branches, max_concurrency=node.width, completion=completion))
        return shown(
            c.map(
                lambda cc, n: branches[n](cc), range(len(branches)), max_concurrency=node.width, completion=completion
            )
        )
