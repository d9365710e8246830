"""An agent that survives its process: each answer of the model is paid once, each tool runs once, a refund happens once.

A loop of model call and tool calls. Tools run side by side; a dangerous one waits for a human, for hours if need be, and nothing
runs meanwhile. The budget ends the loop with a clear outcome. Whatever ends it, also a cancellation, gives the sandbox back.
"""

from __future__ import annotations

import asyncio
import functools

from durable_fn import AsyncDurableContext, CallbackTimeout, StepError, durable, step
from durable_fn.errors import CallbackFailed, SerializationError

from .desk import PATIENCE, ask_approval, release_sandbox, rent_sandbox
from .model import ask_model
from .models import Decision, Message, Outcome, Reply, Spent, Task, ToolCall
from .providers import ModelBusy
from .tools import ToolError, check, run_tool

MOST_WAITS = 20


async def ask(ctx: AsyncDurableContext, messages: list[Message]) -> Reply:
    """Waits as long as the model says when it is busy: a durable timer, nothing is paid meanwhile."""
    for _ in range(MOST_WAITS):
        try:
            return await ctx.step(ask_model, messages)
        except ModelBusy as busy:
            await ctx.sleep(busy.retry_after, name="retry_after")
    return await ctx.step(ask_model, messages)


async def objection(ctx: AsyncDurableContext, task: Task, call: ToolCall) -> str | None:
    """Why a dangerous call must not be made; None if a human approved it."""
    mail = functools.partial(ask_approval, task, call.name, call.arguments)
    try:
        decision = await ctx.wait_for_callback(mail, name="approval", result_type=Decision, timeout=PATIENCE)
    except CallbackTimeout:
        return "not done: nobody approved it in time"
    except (CallbackFailed, SerializationError):
        return "not done: there was no clear approval"
    return None if decision.verdict == "approve" else f"not done: rejected by {decision.by}"


async def use_tool(ctx: AsyncDurableContext, task: Task, sandbox: str, call: ToolCall) -> Message:
    try:
        tool = check(call)
        text = await objection(ctx, task, call) if tool.dangerous else None
        if text is None:
            text = await ctx.step(step(run_tool, name=tool.name), sandbox, call)
    except (ToolError, StepError) as error:
        text = f"failed: {error.message if isinstance(error, StepError) else error}"
    return Message(role="tool", text=text, call_id=call.id)


async def converse(ctx: AsyncDurableContext, task: Task, sandbox: str) -> Outcome:
    messages, spent = [Message(role="user", text=task.prompt)], Spent()
    while (limit := spent.limit_reached(task.budget)) is None:
        reply = await ask(ctx, messages)
        spent = spent.plus(reply.usage)
        if not reply.calls:
            return Outcome(status="answered", answer=reply.text, spent=spent)
        await ctx.set_status({**spent.model_dump(mode="json"), "doing": [call.name for call in reply.calls]})
        messages.append(Message(role="assistant", text=reply.text, calls=reply.calls))
        messages += await asyncio.gather(*(ctx.child(use_tool, task, sandbox, call) for call in reply.calls))
    return Outcome(status="stopped", stopped_by=limit, spent=spent)


@durable(name="ai-agent", execution_id="task_id")
async def handler(task: Task, ctx: AsyncDurableContext) -> Outcome:
    sandbox = await ctx.step(rent_sandbox, task)
    async with ctx.saga() as saga:
        saga.add_compensation(release_sandbox, sandbox)  # on an error, and when the task is cancelled
        outcome = await converse(ctx, task, sandbox)
    await ctx.step(release_sandbox, sandbox)
    return outcome
