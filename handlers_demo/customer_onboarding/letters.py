"""The mails, as steps: each is sent once, whatever dies."""

from __future__ import annotations

from durable_fn import current_step

from ..links import link
from .models import Application, RegisterEntry
from .systems import MAIL


def ask_for_decision(kind: str, to: str, application: Application, entry: RegisterEntry, token: str) -> None:
    """`kind`: "ask", "remind" or "escalate". Its links answer the callback behind the token."""
    approve = link(token, verdict="approve", by=to)
    reject = link(token, verdict="reject", by=to)
    text = f"{application.company} would like an account (risk: {entry.risk}). Approve: {approve} Reject: {reject}"
    MAIL.perform(kind, current_step().idempotency_key, f"to {to}: {text}")


def send_welcome(application: Application, account: str) -> None:
    MAIL.perform("welcome", current_step().idempotency_key, f"to {application.email}: your account is {account}")


def send_goodbye(application: Application, why: str) -> None:
    MAIL.perform("goodbye", current_step().idempotency_key, f"to {application.email}: your application {why}")
