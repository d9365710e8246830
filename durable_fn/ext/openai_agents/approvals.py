"""Interruptions of a run, answered by humans: callbacks."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from agents import RunState
from agents.items import ToolApprovalItem

from ... import AsyncCallback, CallbackTimeout
from ...errors import CallbackFailed
from ...types import Duration
from .tools import Steps

OnApproval: TypeAlias = Callable[[ToolApprovalItem, str], Awaitable[object] | object]
"""Gets the call that waits and the token of the callback that answers it: JSON true or false."""

_UNCLEAR = "it was not approved: there was no clear answer"


async def decide(
    state: RunState[Any],
    items: list[ToolApprovalItem],
    steps: Steps,
    ask: OnApproval,
    timeout: Duration | None,
) -> None:
    """All are asked before the first answer is waited for."""
    asked = [(item, await _ask(item, steps, ask, timeout)) for item in items]
    for item, callback in asked:
        denial = await _denial(callback)
        if denial is None:
            state.approve(item)
        else:
            state.reject(item, rejection_message=denial)


async def _ask(item: ToolApprovalItem, steps: Steps, ask: OnApproval, timeout: Duration | None) -> AsyncCallback[Any]:
    name = f"{steps.name}.approval"
    key = steps.key_of_call(name, item.call_id or item.name or "")
    callback = await steps.run.ctx.callback(name, key=key, timeout=timeout)

    async def body() -> None:
        sent = ask(item, callback.token)
        if inspect.isawaitable(sent):
            await sent

    await steps.run.step(f"{name}.ask", key, body, steps.settings)
    return callback


async def _denial(callback: AsyncCallback[Any]) -> str | None:
    """What the model is told; None if it was approved. A form's answer, of a link, has texts only."""
    try:
        answer = await callback.result()
    except CallbackTimeout:
        return "it was not approved in time"
    except CallbackFailed as refused:
        return f"it was not approved: {refused}"
    said = answer.get("approved") if isinstance(answer, dict) else answer
    if said is True or said == "true":
        return None
    return "it was not approved" if said is False or said == "false" else _UNCLEAR
