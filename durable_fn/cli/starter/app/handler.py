"""A durable function: what it did is stored in the journal, so it may die anywhere, sleep for days, and go on."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import BaseModel

from durable_fn import DurableContext, RetryPolicy, current_step, durable, step


class Signup(BaseModel):
    email: str


@step(retry=RetryPolicy(max_attempts=5, initial_delay=2))
def send_mail(to: str, subject: str) -> str:
    key = current_step().idempotency_key  # the same on every attempt: hand it to your mail provider
    current_step().logger.info("mail to %s: %s", to, subject)
    return f"mail-{key[:8]}"


@durable(name="welcome", execution_id="email")  # the same address again is the same execution
def handler(signup: Signup, ctx: DurableContext) -> Literal["welcomed"]:
    ctx.step(send_mail, signup.email, "Welcome!")
    ctx.sleep(timedelta(days=3))  # nothing runs meanwhile
    ctx.step(send_mail, signup.email, "How is it going?")
    return "welcomed"
