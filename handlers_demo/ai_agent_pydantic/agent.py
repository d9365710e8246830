"""The agent: its model, its tools, who approves what is dangerous. Nothing here but DurableFn() is about durability."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Annotated

from pydantic import Field, ValidationError
from pydantic_ai import Agent, DeferredToolRequests, DeferredToolResults, RunContext, ToolDenied, ToolFailed
from pydantic_ai.capabilities import HandleDeferredToolCalls
from pydantic_ai.external_events import ExternalEventError, wait_for_external_event
from pydantic_ai.messages import ToolCallPart

from durable_fn import RetryPolicy
from durable_fn.ext.pydantic_ai import DurableFn

from ..ai_agent import tools
from ..ai_agent.desk import PATIENCE, ask_approval
from ..ai_agent.models import Decision, Task
from .model import hopeless, model

Customer = Annotated[str, Field(min_length=3, max_length=200)]
Amount = Annotated[Decimal, Field(gt=0, max_digits=10, decimal_places=2)]


@dataclass(frozen=True)
class Desk:
    """What the tools work with."""

    task: Task
    sandbox: str


async def decide(run: RunContext[Desk], requests: DeferredToolRequests) -> DeferredToolResults:
    """Asks a human about all calls at once. Each answer is a callback: nothing runs meanwhile, for hours."""
    verdicts = await asyncio.gather(*(verdict(run.deps.task, call) for call in requests.approvals))
    return DeferredToolResults(
        approvals={call.tool_call_id: said for call, said in zip(requests.approvals, verdicts, strict=True)}
    )


async def verdict(task: Task, call: ToolCallPart) -> bool | ToolDenied:
    mail = partial(ask_approval, task, call.tool_name, call.args_as_dict())
    try:
        decision = Decision.model_validate(await wait_for_external_event("approval", ask=mail, timeout=PATIENCE))
    except (ExternalEventError, ValidationError):
        return ToolDenied("not done: there was no clear approval in time")
    return True if decision.verdict == "approve" else ToolDenied(f"not done: rejected by {decision.by}")


support: Agent[Desk, str] = Agent(
    model(),
    name="support",
    deps_type=Desk,
    instructions="You work in the support of a shop. Find out with the tools what happened and put it right.",
    capabilities=[
        DurableFn(
            step_options={"retry": RetryPolicy(max_attempts=6, initial_delay=2, give_up_on=hopeless), "timeout": 120}
        ),
        HandleDeferredToolCalls(decide),
    ],
)


@support.tool
def find_orders(run: RunContext[Desk], customer: Customer) -> str:
    """All orders of a customer, by e-mail address."""
    return tools.find_orders(run.deps.sandbox, tools.Customer(customer=customer))


@support.tool
def find_payments(run: RunContext[Desk], customer: Customer) -> str:
    """All payments of a customer, by e-mail address."""
    return tools.find_payments(run.deps.sandbox, tools.Customer(customer=customer))


@support.tool(requires_approval=True)
def refund_payment(run: RunContext[Desk], payment_id: str, amount: Amount) -> str:
    """Pays back (a part of) a payment. A human approves it first."""
    try:
        return tools.refund_payment(run.deps.sandbox, tools.Refund(payment_id=payment_id, amount=amount))
    except tools.ToolError as refused:
        raise ToolFailed(str(refused)) from None
