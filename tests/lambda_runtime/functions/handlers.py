"""Handlers that tests run in real environments."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import sys
import threading
import time
from contextvars import ContextVar
from typing import Any

from durable_fn import AsyncDurableContext, DurableContext, RetryPolicy, current_step, durable, step
from durable_fn.core.current import current_scope
from durable_fn.errors import StepTimeout
from tests.lambda_runtime.functions.stage import gate, note

INVOCATIONS = 0
TENANT: ContextVar[str | None] = ContextVar("tenant", default=None)


def plain(event: Any, context: Any) -> dict[str, Any]:
    """Not durable: what the runtime itself does."""
    global INVOCATIONS
    INVOCATIONS += 1
    return {
        "invocations": INVOCATIONS,
        "pid": os.getpid(),
        "request_id": context.aws_request_id,
        "left": context.get_remaining_time_in_millis(),
        "arn": context.invoked_function_arn,
        "inherited": sorted(name for name in os.environ if name.startswith(("HOME", "STAGE", "PYTEST"))),
    }


def body(id: str, name: str, gated: bool) -> str:
    note("begins", id, name)
    if gated:
        gate(f"{id}-{name}")
    return name


@durable(name="steps", execution_id="id")
def steps(event: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    """Runs `steps` in order. It waits inside those in `gated`, and before those in `before`."""
    for name in event["steps"]:
        if name in event.get("before", ()):
            gate(f"{event['id']}-before-{name}")
        ctx.step(step(functools.partial(body, event["id"], name, name in event.get("gated", ())), name=name))
    return {"pid": os.getpid()}


async def abody(id: str, name: str, gated: bool) -> str:
    return await asyncio.to_thread(body, id, name, gated)


@durable(name="steps", execution_id="id")
async def asteps(event: dict[str, Any], ctx: AsyncDurableContext) -> dict[str, Any]:
    """The same on asyncio."""
    for name in event["steps"]:
        if name in event.get("before", ()):
            await asyncio.to_thread(gate, f"{event['id']}-before-{name}")
        await ctx.step(step(functools.partial(abody, event["id"], name, name in event.get("gated", ())), name=name))
    return {"pid": os.getpid()}


# -- what stays in a process and what does not ---------------------------------------------------------------------


def seen() -> dict[str, Any]:
    info = current_step()
    return {"tenant": TENANT.get(), "execution": info.execution_id, "operation": info.operation_id}


@durable(name="isolated", execution_id="id")
def isolated(event: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    global INVOCATIONS
    INVOCATIONS += 1
    inherited = TENANT.get()
    TENANT.set(event["id"])
    return {"pid": os.getpid(), "invocations": INVOCATIONS, "inherited": inherited, "seen": ctx.step(seen)}


@durable(name="isolated", execution_id="id")
async def aisolated(event: dict[str, Any], ctx: AsyncDurableContext) -> dict[str, Any]:
    global INVOCATIONS
    INVOCATIONS += 1
    inherited = TENANT.get()
    TENANT.set(event["id"])
    return {"pid": os.getpid(), "invocations": INVOCATIONS, "inherited": inherited, "seen": await ctx.step(seen)}


def scoped(handler: Any) -> Any:
    """Adds what is left in the process when the durable handler has answered."""

    def entry(event: Any, context: Any) -> dict[str, Any]:
        answer = handler(event, context)
        with contextlib.suppress(RuntimeError):
            current_step()
            answer["left"] = "a step"
        if current_scope.get() is not None:
            answer["left"] = "a scope"
        return {**answer, "tenant_after": TENANT.get(), "threads": sorted(t.name for t in threading.enumerate())}

    return entry


isolated_entry = scoped(isolated)
aisolated_entry = scoped(aisolated)

CONNECTION: list[Any] = []


async def ask(address: str, word: str) -> dict[str, Any]:
    """Over a connection that is made once per process, as a client at module level does."""
    if not CONNECTION:
        host, port = address.split(":")
        CONNECTION.extend(await asyncio.open_connection(host, int(port)))
    reader, writer = CONNECTION
    writer.write(word.encode() + b"\n")
    answer = (await reader.readline()).decode().strip()
    return {"answer": answer, "port": writer.get_extra_info("sockname")[1], "loop": id(asyncio.get_running_loop())}


@durable(name="connected", execution_id="id")
async def connected(event: dict[str, Any], ctx: AsyncDurableContext) -> list[Any]:
    """Twice over the same connection, once below a timer of the loop."""
    first = await ctx.step(step(functools.partial(ask, event["address"], event["id"] + "-1"), name="ask"))
    async with asyncio.timeout(10):
        second = await ctx.step(step(functools.partial(ask, event["address"], event["id"] + "-2"), name="ask"))
    return [first, second]


# -- time ----------------------------------------------------------------------------------------------------------


def tick(id: str, n: int, context: Any) -> int:
    """Until there is hardly any time left, by the runtime's own count."""
    note("begins", id, n)
    while context.get_remaining_time_in_millis() > 200:
        time.sleep(0.01)
    return n


@durable(name="long", execution_id="id")
def long(event: dict[str, Any], ctx: DurableContext) -> int:
    for n in range(event["steps"]):
        ctx.step(step(functools.partial(tick, event["id"], n, ctx.lambda_context), name="tick"))
    return int(event["steps"])


@durable(name="long", execution_id="id")
async def along(event: dict[str, Any], ctx: AsyncDurableContext) -> int:
    for n in range(event["steps"]):
        await ctx.step(step(functools.partial(tick, event["id"], n, ctx.lambda_context), name="tick"))
    return int(event["steps"])


@step(timeout=0.1, retry=RetryPolicy(max_attempts=1), raises=(StepTimeout,))
def overtime(id: str) -> str:
    note("begins", id, "overtime")
    gate(f"{id}-overtime")
    note("late", id, current_step().execution_id)
    gate(f"{id}-end")
    return "too late"


@durable(name="leaving", execution_id="id")
def leaving(event: dict[str, Any], ctx: DurableContext) -> str:
    """Leaves a thread behind: a body that ran over its time. With `meets` it waits until such a thread goes on in it."""
    if "meets" in event:
        gate(f"{event['meets']}-end")
        return ctx.step(step(functools.partial(body, event["id"], "own", False), name="own"))
    try:
        return ctx.step(overtime, event["id"])
    except StepTimeout:
        return "gave up"


# -- answers -------------------------------------------------------------------------------------------------------


@durable(name="huge", execution_id="id")
def huge(event: dict[str, Any], ctx: DurableContext) -> str:
    return "x" * event["size"]


@durable(name="failing", execution_id="id")
def failing(event: dict[str, Any], ctx: DurableContext) -> str:
    raise LookupError("no such customer")


@durable(name="failing", execution_id="id", envelope=False)
def failing_bare(event: dict[str, Any], ctx: DurableContext) -> str:
    raise LookupError("no such customer")


@durable(name="steps", execution_id="id")
def terminated(event: dict[str, Any], ctx: DurableContext) -> dict[str, Any]:
    """Ends itself when it is asked to, as code that cleans up on SIGTERM does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        return steps.__wrapped__(event, ctx)
    finally:
        note("leaves", event["id"])
        with contextlib.suppress(BaseException):
            ctx.step(step(functools.partial(body, event["id"], "clean-up", False), name="clean-up"))
