"""What the agent is asked, what is said in between, and how it ends."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, Field, JsonValue

Limit = Literal["turns", "tokens", "cost"]


class Budget(BaseModel):
    """What a task may use. `max_cost` is in dollars."""

    max_turns: Annotated[int, Field(ge=1, le=100)] = 10
    max_tokens: Annotated[int, Field(ge=1)] = 50_000
    max_cost: Annotated[Decimal, Field(gt=0, max_digits=10)] = Decimal(1)


class Task(BaseModel):
    task_id: Annotated[str, Field(min_length=1, max_length=80)]
    prompt: Annotated[str, Field(min_length=1, max_length=20_000)]
    approver: Annotated[str, Field(min_length=3, max_length=200)]
    budget: Budget = Budget()


class ToolCall(BaseModel):
    """As the model wrote it: neither the name nor the arguments are to be trusted."""

    id: str
    name: str
    arguments: dict[str, JsonValue] = {}


class Message(BaseModel):
    """`call_id`: of a tool's answer, the call that it answers."""

    role: Literal["user", "assistant", "tool"]
    text: str = ""
    calls: list[ToolCall] = []
    call_id: str = ""


class Usage(BaseModel):
    input_tokens: Annotated[int, Field(ge=0)] = 0
    output_tokens: Annotated[int, Field(ge=0)] = 0
    cost: Decimal = Decimal(0)
    """Dollars, by the prices of the day: recorded with the answer, so that a replay counts the same."""


class Reply(BaseModel):
    text: str = ""
    calls: list[ToolCall] = []
    usage: Usage = Usage()


class Decision(BaseModel):
    """The fields of the link in the mail."""

    verdict: Literal["approve", "reject"]
    by: Annotated[str, Field(max_length=200)]


class Spent(BaseModel):
    """What a task has used so far."""

    turns: int = 0
    tokens: int = 0
    cost: Decimal = Decimal(0)

    def plus(self, usage: Usage) -> Spent:
        tokens = self.tokens + usage.input_tokens + usage.output_tokens
        return Spent(turns=self.turns + 1, tokens=tokens, cost=self.cost + usage.cost)

    def limit_reached(self, budget: Budget) -> Limit | None:
        if self.turns >= budget.max_turns:
            return "turns"
        if self.tokens >= budget.max_tokens:
            return "tokens"
        return "cost" if self.cost >= budget.max_cost else None


class Outcome(BaseModel):
    """`stopped_by`: the limit that was reached before the agent had an answer."""

    status: Literal["answered", "stopped"]
    answer: str = ""
    stopped_by: Limit | None = None
    spent: Spent
