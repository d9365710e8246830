"""Small random workflows, for both fronts: what a seed stands for, and the handlers that run it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from durable_fn import AsyncDurableContext, Completion, DurableContext, RetryPolicy, durable, step
from durable_fn.errors import BatchError, CallbackTimeout, ExecutionCancelled, SignalTimeout, StepError

Block = list["Node"]

LEAVES = ("step", "step", "now", "draw", "sleep", "nap", "fail", "flaky", "signal", "callback", "reminded")
BRANCHING = ("child", "parallel", "parallel", "map", "race", "saga", "caught", "swallowed", "finally")
NATIVE = ("gather", "group", "wait_for", "timeout", "first") * 2
WIDE = ("parallel", "map", "race", "gather", "group", "first")
TOLERANCES = {
    "all": None,
    "settled": Completion.all_settled(),
    "one": Completion(min_successful=1),
    "ratio": Completion(max_failure_ratio=0.5),
}


@dataclass(frozen=True)
class Node:
    """One operation or construct. `number`: seconds, attempts or a limit, as its kind has it."""

    kind: str
    number: float = 0
    text: str = ""
    blocks: tuple[Block, ...] = ()
    width: int | None = None
    flag: bool = False


@dataclass(frozen=True)
class Case:
    """A program and what happens to it: at which request the process dies, when it is cancelled, which signals come."""

    program: Block
    dies_at: int | None
    always_suspend: bool
    cancelled_at: float | None
    signals: list[tuple[float, str, int]]


def case(seed: int, *, native: bool) -> Case:
    chance = random.Random(seed)
    native = native and chance.random() < 0.7
    program = [_node(chance, 2, native) for _ in range(chance.randint(1, 3))]
    return Case(
        program,
        dies_at=chance.choice([None, chance.randint(1, 40), chance.randint(1, 40)]),
        always_suspend=chance.random() < 0.3,
        cancelled_at=chance.choice([None, None, 1, 4.2, 6, 9, 20]),
        signals=[(chance.choice([0, 2, 5, 8]), chance.choice("ab"), n) for n in range(chance.randint(0, 3))],
    )


def _node(chance: random.Random, depth: int, native: bool) -> Node:
    kinds = LEAVES if depth == 0 else LEAVES + BRANCHING + (NATIVE if native else ())
    kind = chance.choice(kinds if native else [k for k in kinds if k != "reminded"])
    if kind in LEAVES:
        numbers = {"sleep": (2, 3, 5, 7, 11, 13), "nap": (0, 0.1, 0.3, 0.5), "signal": (0, 4, 9), "callback": (3, 8)}
        return Node(kind, chance.choice(numbers.get(kind, (1, 2, 3))), chance.choice("ab"))
    count = chance.randint(1, 4) if kind in WIDE else 1
    most = 2 if kind in WIDE else 3
    blocks = tuple([_node(chance, depth - 1, native) for _ in range(chance.randint(1, most))] for _ in range(count))
    return Node(
        kind,
        chance.choice((1, 4, 6.5)),
        chance.choice(list(TOLERANCES)),
        blocks,
        chance.choice((None, 1, 2)),
        chance.random() < 0.5,
    )


# -- what the programs are made of ---------------------------------------------------------------------------------

calls: Counter[str] = Counter()


def effect(x: Any) -> Any:
    return x


def fails(x: Any) -> Any:
    raise ValueError(f"boom {x}")


def fails_at_first(key: str, times: float) -> str:
    calls[key] += 1
    if calls[key] % (times + 1):
        raise KeyError("flaky")
    return "ok"


def ignore(token: str) -> None:
    pass


failing = step(fails, name="fail", retry=RetryPolicy(max_attempts=2, initial_delay=1.5, jitter="none"))
flaky = step(fails_at_first, name="flaky", retry=RetryPolicy(max_attempts=8, initial_delay=2, backoff=1, jitter="none"))
undo = step(effect, name="undo")
clean = step(effect, name="clean")


def called(error: BaseException | None) -> str | None:
    return None if error is None else type(error).__qualname__


def shown(batch: Any) -> list[Any]:
    return [[item.status, item.result, called(item.error)] for item in batch.items] + [batch.completion_reason]


class Program:
    """The one that runs; a test sets it before each run."""

    block: ClassVar[Block] = []


@durable(name="program")
def program(event: Any, ctx: DurableContext) -> Any:
    return run(ctx, Program.block, "")


@durable(name="program")
async def a_program(event: Any, ctx: AsyncDurableContext) -> Any:
    return await a_run(ctx, Program.block, "")


# -- def handlers --------------------------------------------------------------------------------------------------


def run(c: DurableContext, block: Block, path: str) -> list[Any]:
    return [_one(c, node, f"{path}.{n}") for n, node in enumerate(block)]


def _one(c: DurableContext, node: Node, path: str) -> Any:
    if node.kind in LEAVES:
        return _leaf(c, node, path)
    if node.kind in ("parallel", "map", "race"):
        return _fan(c, node, path)
    block = node.blocks[0]
    if node.kind == "child":
        return c.child(lambda cc: run(cc, block, path), name="child")
    if node.kind == "saga":
        with contextlib.suppress(ValueError), c.saga() as saga:
            saga.add_compensation(undo, path)
            inner = run(c, block, path)
            if node.flag:
                raise ValueError("undone")
            return inner
        return "undone"
    if node.kind == "caught":
        with contextlib.suppress(ValueError):
            return [*run(c, block, path), fails(1)]
        return "caught"
    if node.kind == "swallowed":
        try:
            return run(c, block, path)
        except ExecutionCancelled:
            return ["swallowed", c.step(clean, 1)]
    try:
        return run(c, block, path)
    finally:
        c.step(clean, 1)


def _leaf(c: DurableContext, node: Node, path: str) -> Any:
    try:
        if node.kind == "step":
            return c.step(effect, path)
        if node.kind == "now":
            return str(c.now())
        if node.kind == "draw":
            return [str(c.uuid4()), c.random()]
        if node.kind in ("sleep", "nap"):
            return c.sleep(node.number)
        if node.kind == "fail":
            return c.step(failing, path)
        if node.kind == "flaky":
            return c.step(flaky, path, node.number)
        if node.kind == "signal":
            return c.wait_for_signal(node.text, timeout=node.number)
        return c.wait_for_callback(ignore, timeout=node.number)
    except (StepError, SignalTimeout, CallbackTimeout) as error:
        return called(error)


def _fan(c: DurableContext, node: Node, path: str) -> Any:
    def branch(n: int) -> Callable[[DurableContext], Any]:
        if not node.flag:
            return lambda cc: run(cc, node.blocks[n], f"{path}/{n}")

        def annotated(cc: DurableContext) -> list[Any]:
            return run(cc, node.blocks[n], f"{path}/{n}")

        return annotated

    branches = [branch(n) for n in range(len(node.blocks))]
    if node.kind == "race":
        try:
            return list(c.race(branches))
        except BatchError:
            return "nobody"
    limits = {"max_concurrency": node.width, "completion": TOLERANCES[node.text]}
    if node.kind == "parallel":
        return shown(c.parallel(branches, **limits))
    return shown(c.map(lambda cc, n: branches[n](cc), range(len(branches)), **limits))


# -- async def handlers --------------------------------------------------------------------------------------------


async def a_run(c: AsyncDurableContext, block: Block, path: str) -> list[Any]:
    return [await _a_one(c, node, f"{path}.{n}") for n, node in enumerate(block)]


async def _a_one(c: AsyncDurableContext, node: Node, path: str) -> Any:
    if node.kind in LEAVES:
        return await _a_leaf(c, node, path)
    if node.kind in ("parallel", "map", "race"):
        return await _a_fan(c, node, path)
    if node.kind in NATIVE:
        return await _native(c, node, path)
    block = node.blocks[0]
    if node.kind == "child":
        return await c.child(lambda cc: a_run(cc, block, path), name="child")
    if node.kind == "saga":
        with contextlib.suppress(ValueError):
            async with c.saga() as saga:
                saga.add_compensation(undo, path)
                inner = await a_run(c, block, path)
                if node.flag:
                    raise ValueError("undone")
                return inner
        return "undone"
    if node.kind == "caught":
        with contextlib.suppress(ValueError):
            return [*(await a_run(c, block, path)), fails(1)]
        return "caught"
    if node.kind == "swallowed":
        try:
            return await a_run(c, block, path)
        except ExecutionCancelled:
            return ["swallowed", await c.step(clean, 1)]
    try:
        return await a_run(c, block, path)
    finally:
        await c.step(clean, 1)


async def _a_leaf(c: AsyncDurableContext, node: Node, path: str) -> Any:
    try:
        if node.kind == "step":
            return await c.step(effect, path)
        if node.kind == "now":
            return str(c.now())
        if node.kind == "draw":
            return [str(c.uuid4()), c.random()]
        if node.kind in ("sleep", "nap"):
            return await c.sleep(node.number)
        if node.kind == "fail":
            return await c.step(failing, path)
        if node.kind == "flaky":
            return await c.step(flaky, path, node.number)
        if node.kind == "signal":
            return await c.wait_for_signal(node.text, timeout=node.number)
        if node.kind == "reminded":
            return await _reminded(c, node)
        return await c.wait_for_callback(ignore, timeout=node.number)
    except (StepError, SignalTimeout, CallbackTimeout) as error:
        return called(error)


async def _reminded(c: AsyncDurableContext, node: Node) -> Any:
    """The same callback is awaited again and again."""
    callback = await c.callback(node.text, timeout=9)
    for n in range(int(node.number)):
        try:
            return await asyncio.wait_for(callback.result(), 2.5)
        except TimeoutError:
            await c.step(effect, n)
    return "given up"


async def _a_fan(c: AsyncDurableContext, node: Node, path: str) -> Any:
    def branch(n: int) -> Callable[[AsyncDurableContext], Any]:
        if not node.flag:
            return lambda cc: a_run(cc, node.blocks[n], f"{path}/{n}")

        async def annotated(cc: AsyncDurableContext) -> list[Any]:
            return await a_run(cc, node.blocks[n], f"{path}/{n}")

        return annotated

    branches = [branch(n) for n in range(len(node.blocks))]
    if node.kind == "race":
        try:
            return list(await c.race(branches))
        except BatchError:
            return "nobody"
    limits = {"max_concurrency": node.width, "completion": TOLERANCES[node.text]}
    if node.kind == "parallel":
        return shown(await c.parallel(branches, **limits))
    return shown(await c.map(lambda cc, n: branches[n](cc), range(len(branches)), **limits))


async def _native(c: AsyncDurableContext, node: Node, path: str) -> Any:
    blocks = [a_run(c, block, f"{path}/{n}") for n, block in enumerate(node.blocks)]
    if node.kind == "gather":
        return await asyncio.gather(*blocks)
    if node.kind == "group":
        return await _group(c, blocks, spoiled=node.flag)
    if node.kind == "first":
        return await _first(blocks)
    try:
        if node.kind == "wait_for":
            return await asyncio.wait_for(blocks[0], node.number)
        async with asyncio.timeout(node.number):
            return await blocks[0]
    except TimeoutError:
        return "too late"


async def _group(c: AsyncDurableContext, blocks: list[Any], *, spoiled: bool) -> Any:
    async def spoils() -> None:
        await c.sleep(4)
        raise ValueError("spoiled")

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(block) for block in blocks]
            if spoiled:
                group.create_task(spoils())
    except ExceptionGroup:
        return "spoiled"
    return [task.result() for task in tasks]


async def _first(blocks: list[Any]) -> Any:
    """Who is first decides: the others are cancelled."""
    tasks = [asyncio.create_task(block) for block in blocks]
    try:
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    order = sorted(tasks.index(task) for task in done)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    ends = ["cancelled" if t.cancelled() else "failed" if t.exception() else t.result() for t in tasks]
    return [order, *ends]
