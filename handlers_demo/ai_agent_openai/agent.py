"""The agent: its model and its tools, as the SDK's documentation shows them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated

from agents import Agent, RunContextWrapper, function_tool
from pydantic import Field

from ..ai_agent import tools
from ..ai_agent.models import Task
from .model import model

Customer = Annotated[str, Field(min_length=3, max_length=200)]


@dataclass(frozen=True)
class Desk:
    """What the tools work with."""

    task: Task
    sandbox: str


@function_tool
def find_orders(run: RunContextWrapper[Desk], customer: Customer) -> str:
    """All orders of a customer, by e-mail address."""
    return tools.find_orders(run.context.sandbox, tools.Customer(customer=customer))


@function_tool
def find_payments(run: RunContextWrapper[Desk], customer: Customer) -> str:
    """All payments of a customer, by e-mail address."""
    return tools.find_payments(run.context.sandbox, tools.Customer(customer=customer))


@function_tool(needs_approval=True)
def refund_payment(run: RunContextWrapper[Desk], payment_id: str, amount: str) -> str:
    """Pays back (a part of) a payment, an amount like 39.00. A human approves it first."""
    try:
        return tools.refund_payment(run.context.sandbox, tools.Refund(payment_id=payment_id, amount=Decimal(amount)))
    except ValueError as refused:  # a text for the model: to try again would not help
        return f"failed: {refused}"


support = Agent[Desk](
    name="support",
    model=model(),
    instructions="You work in the support of a shop. Find out with the tools what happened and put it right.",
    tools=[find_orders, find_payments, refund_payment],
)
