"""Waits for what comes from outside a run, an approval say: a callback."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import partial

from pydantic import JsonValue
from pydantic_ai.external_events import ExternalEventError, ExternalEventWaiter, external_event_scope

from ... import CallbackTimeout
from ...errors import CallbackFailed
from ..agent_runs import Run
from ..step_settings import StepSettings
from .threads import in_threads


def event_scope(run: Run, agent: str, settings: StepSettings) -> AbstractContextManager[object]:
    """Waits inside are callbacks of the handler."""
    return external_event_scope(CallbackWaiter(run, agent, settings))


class CallbackWaiter(ExternalEventWaiter):
    """The token is a callback token: `DurableClient.complete_callback` or the callback API answers it."""

    def __init__(self, run: Run, agent: str, settings: StepSettings) -> None:
        self._run = run
        self._agent = agent
        self._settings = settings

    async def wait(
        self, name: str, *, ask: Callable[[str], Awaitable[JsonValue]], timeout: timedelta | None
    ) -> JsonValue:
        ctx, own = self._run.ctx, f"{self._agent}.{name}"
        key = self._run.next(own)
        callback = await ctx.callback(own, key=key, timeout=timeout)
        asking = in_threads(partial(ask, callback.token))
        answer: JsonValue = await self._run.step(f"{own}.ask", key, asking, self._settings)
        if answer is not None:
            return answer
        try:
            got: JsonValue = await callback.result()
        except CallbackTimeout as late:
            raise ExternalEventError(f"nobody answered {own!r} within {timeout}") from late
        except CallbackFailed as refused:
            raise ExternalEventError(str(refused)) from refused
        return got
