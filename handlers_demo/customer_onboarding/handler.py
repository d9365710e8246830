"""Customer onboarding: somebody has to approve. Waiting for days costs nothing, and no mail is sent twice.

The approver is asked by mail, reminded after a day and after two; after three days the supervisor is asked; after a week the
application expires. Meanwhile the customer may withdraw at any moment: whoever is first decides.
"""

from __future__ import annotations

import functools
from datetime import timedelta

from durable_fn import CallbackTimeout, DurableContext, RetryPolicy, current_step, durable, step
from durable_fn.errors import SerializationError

from .letters import ask_for_decision, send_goodbye, send_welcome
from .models import Application, Decision, Outcome, RegisterEntry, Withdrawal
from .systems import ACCOUNTS, REGISTER

DAY = timedelta(days=1)
PATIENT = RetryPolicy(max_attempts=8, initial_delay=5, max_delay=timedelta(hours=1))


@step(retry=PATIENT)
def check_register(application: Application) -> RegisterEntry:
    reference = REGISTER.perform("look up", current_step().idempotency_key, application.company)
    return RegisterEntry(reference=reference, risk="high" if "offshore" in application.company.lower() else "low")


@step(retry=PATIENT)
def open_account(application: Application) -> str:
    return ACCOUNTS.perform("open", current_step().idempotency_key, application.company)


def decided(ctx: DurableContext, application: Application, entry: RegisterEntry) -> Decision | None:
    """The decision; None if nobody made one in time. Each mail has a link of its own, which works until the next mail."""
    mails = (
        ("ask", application.approver, DAY),
        ("remind", application.approver, DAY),
        ("remind", application.approver, DAY),
        ("escalate", application.supervisor, 4 * DAY),
    )
    for kind, to, patience in mails:
        mail = step(functools.partial(ask_for_decision, kind, to, application, entry), name=kind)
        try:
            return ctx.wait_for_callback(mail, name=kind, result_type=Decision, timeout=patience, retry=PATIENT)
        except CallbackTimeout:
            ctx.logger.info("no answer from %s", to)
        except SerializationError:
            ctx.logger.warning("%s sent something that is no decision", to)
    return None


def withdrawn(ctx: DurableContext) -> Withdrawal:
    return ctx.wait_for_signal("withdraw", result_type=Withdrawal)


def onboarding_id(application: Application) -> str:
    return f"onboarding-{application.application_id}"


@durable(name="customer-onboarding", execution_id=onboarding_id)
def handler(application: Application, ctx: DurableContext) -> Outcome:
    entry = ctx.step(check_register, application)

    def decision(branch: DurableContext) -> Decision | None:
        return decided(branch, application, entry)

    _, answer = ctx.race({"decision": decision, "withdrawal": withdrawn})
    outcome = Outcome(application_id=application.application_id, status="expired")
    if isinstance(answer, Withdrawal):
        outcome = outcome.model_copy(update={"status": "withdrawn", "reason": answer.reason or None})
    elif answer is not None:
        status = "active" if answer.verdict == "approve" else "rejected"
        update = {"status": status, "decided_by": answer.by, "reason": answer.note or None}
        outcome = outcome.model_copy(update=update)
    if outcome.status == "active":
        account = ctx.step(open_account, application)
        ctx.step(send_welcome, application, account)
    else:
        ctx.step(send_goodbye, application, f"is {outcome.status}")
    return outcome
