"""An agent of the OpenAI Agents SDK that survives its process: each answer is paid once, a refund happens once."""

from __future__ import annotations

import json
from typing import Any

from agents import MaxTurnsExceeded, RunConfig, RunContextWrapper, RunHooks
from agents.items import ModelResponse, ToolApprovalItem
from agents.usage import Usage as Used

from durable_fn import AsyncDurableContext, RetryPolicy, durable
from durable_fn.ext.openai_agents import Runner, StepSettings

from ..ai_agent.desk import PATIENCE, ask_approval, release_sandbox, rent_sandbox
from ..ai_agent.model import SCRIPTED, provider
from ..ai_agent.models import Limit, Outcome, Spent, Task, Usage
from ..ai_agent.providers import cost_of
from .agent import Desk, support

STEPS: StepSettings = {"retry": RetryPolicy(max_attempts=6, initial_delay=2, max_delay=60), "timeout": 120}


class OverBudget(Exception):
    """The next answer would be paid by nobody."""

    def __init__(self, limit: Limit) -> None:
        super().__init__(limit)
        self.limit: Limit = limit


class Budget(RunHooks[Desk]):
    """Looks at what was spent, before the model is asked again. Handler code: it counts what is recorded."""

    def __init__(self) -> None:
        self.spent = Spent()

    async def on_llm_start(
        self, context: RunContextWrapper[Desk], agent: Any, system_prompt: Any, input_items: Any
    ) -> None:
        limit = self.spent.limit_reached(context.context.task.budget)
        if limit is not None:
            raise OverBudget(limit)

    async def on_llm_end(self, context: RunContextWrapper[Desk], agent: Any, response: ModelResponse) -> None:
        self.spent = self.spent.plus(_billed(response.usage))


def _billed(used: Used) -> Usage:
    usage = Usage(input_tokens=used.input_tokens, output_tokens=used.output_tokens)
    return usage.model_copy(update={"cost": cost_of(usage)})


async def converse(task: Task, sandbox: str) -> Outcome:
    def mail(item: ToolApprovalItem, token: str) -> None:
        ask_approval(task, item.name or "", json.loads(item.arguments or "{}"), token)

    budget = Budget()
    try:
        run = await Runner.run(
            support, task.prompt, context=Desk(task, sandbox), hooks=budget, max_turns=task.budget.max_turns,
            run_config=RunConfig(tracing_disabled=provider() == SCRIPTED), step_options=STEPS,
            on_approval=mail, approval_timeout=PATIENCE,
        )  # fmt: skip
    except OverBudget as over:
        return Outcome(status="stopped", stopped_by=over.limit, spent=budget.spent)
    except MaxTurnsExceeded:
        return Outcome(status="stopped", stopped_by="turns", spent=budget.spent)
    return Outcome(status="answered", answer=run.final_output, spent=budget.spent)


@durable(name="ai-agent-openai", execution_id="task_id")
async def handler(task: Task, ctx: AsyncDurableContext) -> Outcome:
    sandbox = await ctx.step(rent_sandbox, task)
    async with ctx.saga() as saga:
        saga.add_compensation(release_sandbox, sandbox)  # on an error, and when the task is cancelled
        outcome = await converse(task, sandbox)
    await ctx.step(release_sandbox, sandbox)
    return outcome
