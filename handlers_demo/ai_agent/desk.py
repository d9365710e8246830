"""What an agent of the shop needs around it: a sandbox for its tools, and somebody who approves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from durable_fn import current_step, step

from ..links import link
from .models import Task
from .systems import MAIL, SANDBOX

PATIENCE: Final = timedelta(hours=4)
"""For an approval."""


@step
def rent_sandbox(task: Task) -> str:
    return SANDBOX.perform("rent", current_step().idempotency_key, task.task_id)


@step
def release_sandbox(sandbox: str) -> None:
    SANDBOX.perform("release", current_step().idempotency_key, sandbox)


def ask_approval(task: Task, tool: str, arguments: Mapping[str, Any], token: str) -> None:
    """A mail with two links, which answer the callback."""
    approve = link(token, verdict="approve", approved="true", by=task.approver)
    reject = link(token, verdict="reject", approved="false", by=task.approver)
    wants = f"{tool} {json.dumps(arguments, sort_keys=True)}"
    text = f"to {task.approver}: the agent of {task.task_id} wants {wants}. Approve: {approve} Reject: {reject}"
    MAIL.perform("approval", current_step().idempotency_key, text)
