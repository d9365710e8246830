"""What is audited and what comes of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, Field

Issue = Literal["wrong sum", "wrong tax", "self-approved", "over limit"]


class Audit(BaseModel):
    """`max_failure_ratio`: of records that cannot be read; above it the report is not complete."""

    audit_id: Annotated[str, Field(min_length=1, max_length=80)]
    archive: Annotated[str, Field(min_length=1, max_length=80)]
    records: Annotated[int, Field(ge=1, le=10_000)] = 2_000
    max_concurrency: Annotated[int, Field(ge=1, le=256)] = 32
    max_failure_ratio: Annotated[float, Field(ge=0, le=1)] = 0.02


class Invoice(BaseModel):
    number: str
    net: list[Decimal]
    tax: Decimal
    total: Decimal
    issued_by: str
    approved_by: str


class Finding(BaseModel):
    """Of one record."""

    number: str
    amount: Decimal
    issues: list[Issue] = []


class Report(BaseModel):
    """`failed`: records that could not be audited, with the reason. `verdict`: "incomplete" if those were too many."""

    audit_id: str
    verdict: Literal["clean", "findings", "incomplete"]
    records: int
    audited: int
    amount: Decimal
    issues: dict[Issue, int]
    flagged: list[str]
    failed: dict[str, str]
