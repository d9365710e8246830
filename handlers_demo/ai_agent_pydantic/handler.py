"""An agent of Pydantic AI that survives its process: each answer is paid once, each tool runs once, a refund happens once."""

from __future__ import annotations

from pydantic_ai import UsageLimits
from pydantic_ai.exceptions import UsageLimitExceeded
from pydantic_ai.usage import RunUsage

from durable_fn import AsyncDurableContext, durable

from ..ai_agent.desk import release_sandbox, rent_sandbox
from ..ai_agent.models import Outcome, Spent, Task
from .agent import Desk, support


def limits(task: Task) -> UsageLimits:
    budget = task.budget
    return UsageLimits(request_limit=budget.max_turns, total_tokens_limit=budget.max_tokens, cost_limit=budget.max_cost)


def spent(usage: RunUsage) -> Spent:
    return Spent(turns=usage.requests, tokens=usage.total_tokens, cost=usage.cost or Spent().cost)


async def converse(task: Task, sandbox: str) -> Outcome:
    usage = RunUsage()
    try:
        run = await support.run(task.prompt, deps=Desk(task, sandbox), usage_limits=limits(task), usage=usage)
    except UsageLimitExceeded:
        return Outcome(status="stopped", stopped_by=spent(usage).limit_reached(task.budget), spent=spent(usage))
    return Outcome(status="answered", answer=run.output, spent=spent(usage))


@durable(name="ai-agent-pydantic", execution_id="task_id")
async def handler(task: Task, ctx: AsyncDurableContext) -> Outcome:
    sandbox = await ctx.step(rent_sandbox, task)
    async with ctx.saga() as saga:
        saga.add_compensation(release_sandbox, sandbox)  # on an error, and when the task is cancelled
        outcome = await converse(task, sandbox)
    await ctx.step(release_sandbox, sandbox)
    return outcome
