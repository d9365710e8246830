"""Calls hooks, and keeps their failures away from executions."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from ..core.current import StepInfo
from ..core.events import NO_OPERATIONS, Event
from ..core.history import shown
from ..hooks import AttemptInfo, Hooks

_log = logging.getLogger("durable_fn")


@contextlib.contextmanager
def wrapped(hooks: tuple[Hooks, ...], open_: Callable[[Hooks], AbstractContextManager[object]]) -> Iterator[None]:
    """Inside all of them. What the code raises passes through; what a hook raises is logged."""
    entered: list[AbstractContextManager[object]] = []
    for hook in hooks:
        try:
            manager = open_(hook)
            manager.__enter__()
            entered.append(manager)
        except Exception:
            _log.exception("a hook failed")
    try:
        yield
    finally:
        error = sys.exc_info()
        for manager in reversed(entered):
            try:
                manager.__exit__(*error)
            except Exception as failure:
                if failure is not error[1]:  # contextlib's own managers raise what passes through them
                    _log.exception("a hook failed")


def attempt(hooks: tuple[Hooks, ...], info: StepInfo) -> AbstractContextManager[None]:
    told = AttemptInfo(info.execution_id, info.operation_id, info.name, info.attempt, info.idempotency_key)
    return wrapped(hooks, lambda hook: hook.attempt(told))


def recorded(hooks: tuple[Hooks, ...], execution_id: str, events: list[Event]) -> None:
    """After they are durable."""
    for event in events:
        if event.id in NO_OPERATIONS:
            continue
        entry = shown(event)
        for hook in hooks:
            try:
                hook.recorded(execution_id, entry)
            except Exception:
                _log.exception("a hook failed")
