"""What is applied for, what people answer, and how it ends."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

Address = Annotated[str, Field(min_length=3, max_length=200)]
Words = Annotated[str, Field(max_length=500)]


class Application(BaseModel):
    application_id: Annotated[str, Field(min_length=1, max_length=80)]
    company: Annotated[str, Field(min_length=1, max_length=200)]
    email: Address
    approver: Address
    supervisor: Address


class RegisterEntry(BaseModel):
    """What the company register says."""

    reference: str
    risk: Literal["low", "high"]


class Decision(BaseModel):
    """The fields of the link in the mail: what the callback is answered with."""

    verdict: Literal["approve", "reject"]
    by: Address
    note: Words = ""


class Withdrawal(BaseModel):
    """Payload of the signal `withdraw`."""

    reason: Words = ""


class Outcome(BaseModel):
    application_id: str
    status: Literal["active", "rejected", "withdrawn", "expired"]
    decided_by: str | None = None
    reason: str | None = None
