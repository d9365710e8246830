"""An audit of thousands of invoices: each is read once, a few at a time; those that cannot be read are tolerated up to a ratio.

A branch per invoice, written to the journal together with those that end at the same time; a worker that dies in the middle costs
only what was in flight. Each flagged invoice becomes exactly one case.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from durable_fn import BatchResult, Completion, DurableContext, RetryPolicy, StepError, current_step, durable, step

from ..systems import take_a_moment
from . import archive
from .models import Audit, Finding, Invoice, Issue, Report
from .systems import MAIL, TRACKER

LIMIT = Decimal(18_000)


@step
def list_records(audit: Audit) -> list[str]:
    return archive.numbers(audit.archive, audit.records)


@step(retry=RetryPolicy(max_attempts=4, initial_delay=1, give_up_on=archive.Unreadable))
def inspect(number: str) -> Finding:
    take_a_moment()
    invoice = archive.read(number, current_step().attempt)
    return Finding(number=number, amount=invoice.total, issues=issues(invoice))


def issues(invoice: Invoice) -> list[Issue]:
    net = sum(invoice.net, Decimal(0))
    checks: dict[Issue, bool] = {
        "wrong sum": invoice.total != net + invoice.tax,
        "wrong tax": invoice.tax != (net * archive.TAX).quantize(Decimal("0.01")),
        "self-approved": invoice.issued_by == invoice.approved_by,
        "over limit": invoice.total > LIMIT,
    }
    return [issue for issue, found in checks.items() if found]


@step(retry=RetryPolicy(max_attempts=8, initial_delay=1))
def open_case(finding: Finding) -> None:
    TRACKER.perform("case", current_step().idempotency_key, f"{finding.number}: {', '.join(finding.issues)}")


@step(retry=RetryPolicy(max_attempts=8, initial_delay=1))
def send_report(report: Report) -> None:
    MAIL.perform("report", current_step().idempotency_key, f"{report.audit_id}: {report.verdict}")


def audit_one(ctx: DurableContext, number: str) -> Finding:
    finding = ctx.step(inspect, number)
    if finding.issues:
        ctx.step(open_case, finding)
    return finding


def summary(audit: Audit, batch: BatchResult[Finding]) -> Report:
    findings = [item.result for item in batch.succeeded]
    flagged = [finding for finding in findings if finding.issues]
    complete = batch.completion_reason == "ALL_COMPLETED"
    return Report(
        audit_id=audit.audit_id,
        verdict="incomplete" if not complete else "findings" if flagged else "clean",
        records=len(batch),
        audited=len(findings),
        amount=sum((finding.amount for finding in findings), Decimal(0)),
        issues=dict(sorted(Counter(issue for finding in flagged for issue in finding.issues).items())),
        flagged=[finding.number for finding in flagged],
        failed={item.name: reason(item.error) for item in batch.failed},
    )


def reason(error: Exception) -> str:
    return error.message if isinstance(error, StepError) else str(error)


@durable(name="audit-pipeline", execution_id="audit_id")
def handler(audit: Audit, ctx: DurableContext) -> Report:
    batch = ctx.map(
        audit_one,
        ctx.step(list_records, audit),
        name="audit",
        max_concurrency=audit.max_concurrency,
        completion=Completion(max_failure_ratio=audit.max_failure_ratio),
        item_name=str,
    )
    report = summary(audit, batch)
    ctx.step(send_report, report)
    return report
