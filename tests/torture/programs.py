"""Random workflows, and in plain Python what they must come to.

A seed makes a program of nodes with numbers of their own. `Walk` runs it durably; `Oracle` knows its result and its effects
without durable_fn. Nothing in a program depends on time or on who is first: no death and no bad day may change what comes of it.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from durable_fn import AsyncDurableContext, DurableClient, RetryPolicy, current_step, durable, step
from durable_fn.errors import CallbackError, SignalTimeout, StepError, StepInterrupted
from tests.corpus.plain import PlainContext, without_loop
from tests.torture.books import NOTES, note
from tests.torture.workflows.hard import Hard, sends

Ctx = AsyncDurableContext
SOME = RetryPolicy(max_attempts=4, initial_delay=7, jitter="none")
NONE = RetryPolicy(max_attempts=1)
LEAVES = (
    "step", "step", "step", "flaky", "fails", "once", "sleep", "nap", "signal", "timeout", "callback", "call", "poll", "keyed",
    "status", "told",
)  # fmt: skip
NESTED = ("parallel", "map", "race", "saga", "undone", "child", "shield", "gather")
ID = "random"


class Node(NamedTuple):
    """`number`: its own; `size`: seconds or times."""

    kind: str
    number: int
    size: int = 0
    blocks: tuple[tuple[Node, ...], ...] = ()


class Program(NamedTuple):
    generations: tuple[tuple[Node, ...], ...]

    def nodes(self) -> Iterator[Node]:
        todo = list(itertools.chain(*self.generations))
        while todo:
            node = todo.pop(0)
            yield node
            todo += itertools.chain(*node.blocks)

    def numbers(self, kind: str) -> list[int]:
        return [node.number for node in self.nodes() if node.kind == kind]


def program(seed: int) -> Program:
    chance = random.Random(f"{seed} program")
    numbers = itertools.count(1)

    def block(depth: int, most: int) -> tuple[Node, ...]:
        return tuple(node(depth) for _ in range(chance.randint(1, most)))

    def node(depth: int) -> Node:
        kind = chance.choice(LEAVES + NESTED * 2 if depth else LEAVES)
        number, blocks = next(numbers), 0
        if kind in NESTED:
            blocks = chance.randint(2, 3) if kind in ("parallel", "gather") else 1
        size = chance.choice((1, 2, 3))
        return Node(kind, number, size, tuple(block(depth - 1, 2) for _ in range(blocks)))

    return Program(tuple(block(2, 3) for _ in range(chance.choice((1, 1, 1, 2)))))


# -- durably -----------------------------------------------------------------------------------------------------------


def flaky(number: int, fails: int) -> str:
    if current_step().attempt <= fails:
        raise ConnectionError("not yet")
    note(f"{number}")
    return f"v{number}"


def done(number: int) -> str:
    note(f"{number}")
    return f"v{number}"


def fails(number: int) -> None:
    note(f"{number}")
    raise ValueError(f"{number}")


def asks(token: str, number: int) -> None:
    note("asks", number, token)


def looks(state: int, number: int) -> int:
    note(f"{number}.{state}")
    return state + 1


async def helper(event: int, ctx: Ctx) -> str:
    await ctx.sleep(20)
    return await ctx.step(done, event)


class Walk:
    """Over one context. `called`: the function that is called."""

    def __init__(self, called: Any) -> None:
        self.called = called

    async def block(self, ctx: Ctx, nodes: tuple[Node, ...]) -> list[Any]:
        return [await getattr(self, node.kind)(ctx, node) for node in nodes]

    async def step(self, ctx: Ctx, node: Node) -> Any:
        return await ctx.step(done, node.number)

    async def keyed(self, ctx: Ctx, node: Node) -> Any:
        return await ctx.step(step(done, key=f"{node.number}"), node.number)

    async def flaky(self, ctx: Ctx, node: Node) -> Any:
        return await ctx.step(step(flaky, retry=SOME), node.number, node.size)

    async def fails(self, ctx: Ctx, node: Node) -> Any:
        try:
            return await ctx.step(step(fails, retry=NONE), node.number)
        except StepError as error:
            return error.message

    async def once(self, ctx: Ctx, node: Node) -> Any:
        with suppress(StepInterrupted):
            await ctx.step(step(done, semantics="at_most_once"), node.number)
        return "once"

    async def sleep(self, ctx: Ctx, node: Node) -> Any:
        return await ctx.sleep(node.size * 40)

    async def nap(self, ctx: Ctx, node: Node) -> Any:
        return await ctx.sleep(0.2)

    async def signal(self, ctx: Ctx, node: Node) -> Any:
        return await ctx.wait_for_signal(f"s{node.number}")

    async def timeout(self, ctx: Ctx, node: Node) -> Any:
        try:
            return await ctx.wait_for_signal("never", timeout=node.size * 30)
        except SignalTimeout:
            return "nothing came"

    async def told(self, ctx: Ctx, node: Node) -> Any:
        """To itself, and back."""
        sent = await ctx.signal(ctx.execution_id, f"own{node.number}", node.number)
        return [sent, await ctx.wait_for_signal(f"own{node.number}")]

    async def callback(self, ctx: Ctx, node: Node) -> Any:
        return await ctx.wait_for_callback(lambda token: asks(token, node.number), name=f"c{node.number}")

    async def call(self, ctx: Ctx, node: Node) -> Any:
        return await ctx.call(self.called, node.number)

    async def poll(self, ctx: Ctx, node: Node) -> Any:
        check = step(lambda state: looks(state, node.number), result_type=int, name="looks")
        return await ctx.poll(check, initial=0, until=lambda state: state == node.size, every=15)

    async def status(self, ctx: Ctx, node: Node) -> Any:
        await ctx.set_status(node.number)

    async def parallel(self, ctx: Ctx, node: Node) -> Any:
        batch = await ctx.parallel([lambda c, b=b: self.block(c, b) for b in node.blocks])
        return list(batch.results)

    async def gather(self, ctx: Ctx, node: Node) -> Any:
        if isinstance(ctx, PlainContext):
            return await self.parallel(ctx, node)
        return list(await asyncio.gather(*(self.block(ctx, b) for b in node.blocks)))

    async def map(self, ctx: Ctx, node: Node) -> Any:
        async def each(c: Ctx, n: int) -> list[Any]:
            return [n, await self.block(c, node.blocks[0]) if n == 0 else await c.sleep(n)]

        return list((await ctx.map(each, range(node.size), max_concurrency=2)).results)

    async def race(self, ctx: Ctx, node: Node) -> Any:
        """The other one cannot win."""
        slow = lambda c: c.wait_for_signal("never")
        return list(await ctx.race([lambda c: self.block(c, node.blocks[0]), slow]))

    async def saga(self, ctx: Ctx, node: Node) -> Any:
        async with ctx.saga() as saga:
            saga.add_compensation(done, -node.number)
            return await self.block(ctx, node.blocks[0])

    async def undone(self, ctx: Ctx, node: Node) -> Any:
        try:
            async with ctx.saga() as saga:
                saga.add_compensation(done, -node.number)
                inside = await self.block(ctx, node.blocks[0])
                raise LookupError
        except LookupError:
            return ["undone", inside]

    async def child(self, ctx: Ctx, node: Node) -> Any:
        return await ctx.child(lambda c: self.block(c, node.blocks[0]), name="child")

    async def shield(self, ctx: Ctx, node: Node) -> Any:
        async with ctx.shielded():
            return await self.block(ctx, node.blocks[0])


# -- in plain Python ---------------------------------------------------------------------------------------------------


class Oracle:
    """`effects`: what must have happened; `may`: what may have."""

    def __init__(self, program: Program) -> None:
        self.effects: set[str] = set()
        self.may: set[str] = set()
        self.result = [self._block(nodes) for nodes in program.generations]

    def _block(self, nodes: tuple[Node, ...]) -> list[Any]:
        return [self._node(node) for node in nodes]

    def _node(self, node: Node) -> Any:
        number, inside = node.number, [self._block(block) for block in node.blocks]
        if node.kind in ("step", "keyed", "flaky", "call", "fails"):
            self.effects.add(f"{number}")
        if node.kind == "once":
            self.may.add(f"{number}")
        if node.kind == "poll":
            self.effects |= {f"{number}.{state}" for state in range(node.size)}
        if node.kind == "undone":
            self.effects.add(f"{-number}")
        return {
            "fails": f"{number}", "once": "once", "signal": number, "timeout": "nothing came", "told": [True, number],
            "callback": number, "poll": node.size, "parallel": inside, "gather": inside,
            "map": [[n, inside[0] if inside and n == 0 else None] for n in range(node.size)],
            "race": [0, *inside], "undone": ["undone", *inside], "sleep": None, "nap": None, "status": None,
            **dict.fromkeys(("saga", "child", "shield"), inside[0] if inside else None),
        }.get(node.kind, f"v{number}")  # fmt: skip

    def judge(self, result: Any, _: list[Any]) -> None:
        assert result == self.result, f"instead of {self.result}"
        found = {n.what for n in NOTES} - {"asks"}
        assert self.effects <= found, f"effects that did not happen: {sorted(self.effects - found)}"
        assert found <= self.effects | self.may, f"effects out of nowhere: {sorted(found - self.effects - self.may)}"


def workflow(seed: int) -> Hard:
    """Of this seed, in both fronts."""
    of = program(seed)
    called = {"async": durable(name="helper")(helper), "def": durable(name="helper")(without_loop(helper))}
    functions = {}
    for front, other in called.items():
        walk = Walk(other)

        async def random_workflow(event: list[Any], ctx: Ctx, walk: Walk = walk) -> list[Any]:
            event = [*event, await walk.block(ctx, of.generations[len(event)])]
            if len(event) < len(of.generations):
                ctx.continue_as_new(event)
            return event

        text = random_workflow if front == "async" else without_loop(random_workflow)
        functions[front] = (durable(name="random")(text), other)
    return Hard(f"random {seed}", functions, ((ID, 0, []),), _script(of, seed), Oracle(of).judge)


def _script(of: Program, seed: int) -> tuple[tuple[int, Any], ...]:
    chance = random.Random(f"{seed} script")
    signals = [(chance.choice((0, 1, 30, 90, 300)), sends(ID, f"s{n}", n, n)) for n in of.numbers("signal")]
    callbacks = of.numbers("callback")
    last = [(400, lambda client: _answer(client, callbacks))] if callbacks else []
    return tuple(sorted(signals, key=lambda one: one[0])) + tuple(last)


def _answer(client: DurableClient, callbacks: list[int]) -> None:
    """All that were asked; LookupError while some were not."""
    tokens = {n.args[0]: n.args[1] for n in NOTES if n.what == "asks"}
    for number, token in tokens.items():
        with suppress(CallbackError):
            client.complete_callback(token, number)
    if tokens.keys() < set(callbacks):
        raise LookupError(f"asked so far: {sorted(tokens)} of {callbacks}")
