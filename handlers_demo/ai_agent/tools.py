"""What the agent can do. Arguments come from a model: each tool checks them before anything happens."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from importlib import resources
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from durable_fn import RetryPolicy, current_step, step

from .models import ToolCall
from .systems import PAYMENTS, SANDBOX

_LONGEST_ANSWER: Final = 8_000


class ToolError(ValueError):
    """The tool refuses: the model is told why. Trying again would not help."""


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Customer(_Arguments):
    customer: Annotated[str, Field(min_length=3, max_length=200)]


class Refund(_Arguments):
    payment_id: Annotated[str, Field(min_length=1, max_length=80)]
    amount: Annotated[Decimal, Field(gt=0, max_digits=10, decimal_places=2)]


@dataclass(frozen=True)
class Tool:
    """`dangerous`: a human is asked first."""

    name: str
    description: str
    arguments: type[_Arguments]
    run: Callable[[str, Any], str]
    dangerous: bool = False

    def check(self, call: ToolCall) -> _Arguments:
        """The arguments. ToolError says what is wrong with them."""
        try:
            return self.arguments.model_validate(call.arguments)
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:5])
            raise ToolError(f"wrong arguments: {wrong}") from None

    @property
    def schema(self) -> dict[str, Any]:
        return self.arguments.model_json_schema()


def find_orders(sandbox: str, arguments: Customer) -> str:
    return _rows(sandbox, "orders", arguments.customer)


def find_payments(sandbox: str, arguments: Customer) -> str:
    return _rows(sandbox, "payments", arguments.customer)


def _rows(sandbox: str, table: str, customer: str) -> str:
    SANDBOX.perform("run", current_step().idempotency_key, f"{sandbox}: {table} of {customer}")
    return json.dumps([row for row in _shop()[table] if row["customer"] == customer])


def refund_payment(_sandbox: str, arguments: Refund) -> str:
    paid = {row["payment_id"]: Decimal(row["amount"]) for row in _shop()["payments"]}
    amount = paid.get(arguments.payment_id)
    if amount is None:
        raise ToolError(f"there is no payment {arguments.payment_id!r}")
    if arguments.amount > amount:
        raise ToolError(f"only {amount} was paid")
    key = current_step().idempotency_key
    PAYMENTS.perform("refund", key, f"{arguments.amount} of {arguments.payment_id}")
    return f"{arguments.amount} of {arguments.payment_id} refunded"


@functools.cache
def _shop() -> Any:
    return json.loads((resources.files(__package__) / "shop.json").read_text("utf-8"))


TOOLS: Final = {
    tool.name: tool
    for tool in (
        Tool("find_orders", "All orders of a customer, by e-mail address.", Customer, find_orders),
        Tool("find_payments", "All payments of a customer, by e-mail address.", Customer, find_payments),
        Tool("refund_payment", "Pays back (a part of) a payment. A human approves it first.", Refund, refund_payment,
             dangerous=True),
    )
}  # fmt: skip


def check(call: ToolCall) -> Tool:
    """The tool of a call whose arguments fit it. ToolError says what is wrong."""
    tool = TOOLS.get(call.name)
    if tool is None:
        raise ToolError(f"there is no tool {call.name[:80]!r}; there are {', '.join(TOOLS)}")
    tool.check(call)
    return tool


@step(retry=RetryPolicy(max_attempts=4, initial_delay=1, max_delay=30, give_up_on=ToolError), timeout=60)
def run_tool(sandbox: str, call: ToolCall) -> str:
    tool = TOOLS[call.name]
    return tool.run(sandbox, tool.check(call))[:_LONGEST_ANSWER]
