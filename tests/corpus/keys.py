"""Operations with keys: in every kind of scope, beside others without, from native tasks that come in no order."""

from __future__ import annotations

import asyncio
from typing import Any

from durable_fn import AsyncDurableContext, StepError, current_context, step
from tests.corpus.outside import answers, every, in_turns, keep
from tests.corpus.shape import shape
from tests.effects import effect

Ctx = AsyncDurableContext
TOOLS = ("look", "read", "write")


def keyed(key: str) -> Any:
    return step(effect, key=key)


@shape(result=["c", "a", "b", "plain", "plain", "c/1"], effects=("c", "a", "b", "plain", "plain", "c/1"))
async def keyed_steps(event: Any, ctx: Ctx) -> Any:
    done = [await ctx.step(keyed(key), key) for key in "cab"]
    done.append(await ctx.step(effect, "plain"))
    await ctx.sleep(100)
    done.append(await ctx.step(effect, "plain"))
    return [*done, await ctx.step(keyed("c/1"), "c/1")]


@shape(result=["StepError", "after"], once=("after",))
async def a_keyed_step_that_fails(event: Any, ctx: Ctx) -> Any:
    def fails() -> None:
        raise ValueError("never")

    try:
        await ctx.step(step(fails, key="k"))
    except StepError as error:
        return [type(error).__name__, await ctx.step(keyed("k"), "after")]


@shape(
    result=["b", "a", "a", "c"],
    outside=in_turns(*(every(*(answers(n, n) for n in names)) for names in ("b", "ab", "abc"))),
)
async def keyed_callbacks(event: Any, ctx: Ctx) -> Any:
    first, second = await ctx.callback("ask", key="a"), await ctx.callback("ask", key="b")
    await ctx.step(step(keep("a"), name="tell", key="a"), first.token)
    await ctx.step(step(keep("b"), name="tell", key="b"), second.token)
    got = [await second.result(), await first.result(), await first.result()]
    return [*got, await ctx.wait_for_callback(keep("c"), name="ask", key="c")]


@shape(result=[["a", "a"], ["b", "b"], ["a", "a"]], once=("a outer", "b outer"))
async def keyed_children(event: Any, ctx: Ctx) -> Any:
    async def work(c: Ctx, key: str, where: str) -> list[str]:
        await c.step(keyed("x"), f"{key} {where}")
        await c.sleep(10)
        assert c.branch.endswith(f"work:{key}")
        return [key, await c.step(effect, key)]

    async def nested(c: Ctx) -> list[str]:
        return await c.child(work, "a", "inner", key="a")

    found = [await ctx.child(work, key, "outer", key=key) for key in "ab"]
    return [*found, await ctx.child(nested, key="n")]


@shape(result=[["0", "0"], ["1", "1"]], once=("0 a", "1 a"), same=False)
async def keys_in_branches(event: Any, ctx: Ctx) -> Any:
    """Each branch has its own."""

    async def one(c: Ctx, n: int) -> list[str]:
        await c.step(keyed("k"), f"{n} a")
        await c.sleep(10)
        return [str(n), await c.step(step(effect, name="again", key="k"), str(n))]

    return (await ctx.map(one, range(2))).results


@shape(result={tool: f"{tool}!" for tool in TOOLS}, once=TOOLS, native=True, same=False)
async def keyed_tools_in_tasks(event: Any, ctx: Ctx) -> Any:
    async def call(tool: str) -> tuple[str, str]:
        own = current_context(AsyncDurableContext)
        assert own is not None
        assert not own.branch
        await own.step(keyed(tool), tool)
        return tool, await own.child(finish, tool, key=tool)

    async def finish(c: Ctx, tool: str) -> str:
        await c.sleep(len(tool))
        return f"{tool}!"

    return dict(await asyncio.gather(*map(call, TOOLS)))


@shape(
    result=["read", "write"], outside=every(answers("read", "read"), answers("write", "write")), native=True, same=False
)
async def keyed_approvals_in_tasks(event: Any, ctx: Ctx) -> Any:
    async def ask(tool: str) -> Any:
        return await ctx.wait_for_callback(keep(tool), name="approval", key=tool)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(tool)) for tool in ("read", "write")]
    return [task.result() for task in tasks]
