"""Calls hooks. An error in a hook does not affect the execution."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Final

from ..core.current import StepInfo
from ..core.turn import Turn
from ..hooks import AttemptInfo, Caller, Hooks, InvocationInfo, tell, wrapped
from ..log.durations import aware
from ..log.events import NO_OPERATIONS, Event, Segment, parse
from ..log.header import Header
from ..log.history import shown
from ..log.kinds import STEP
from .context import is_replaying

_ENDED_HERE: Final = frozenset({"SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT"})


class TurnProgress:
    """Computes each value on access: a hook that does not ask costs nothing."""

    def __init__(self, turn: Turn, segments: Sequence[Segment], after_death: bool) -> None:
        self._turn = turn
        self._newest = "" if after_death or not segments else segments[-1].body.rpartition("\n")[2]

    @property
    def is_replaying(self) -> bool:
        return is_replaying(self._turn)

    @property
    def replayed_steps(self) -> int:
        return sum(record.kind == STEP and record.handed_out for record in self._turn.journal.deliveries)

    @property
    def suspended_at(self) -> datetime | None:
        return aware(parse(self._newest).at) if self._newest else None


def invocation_info(header: Header, now: int, request_id: str) -> InvocationInfo:
    """The info when an invocation begins."""
    return InvocationInfo(
        header.id,
        header.fn,
        header.turns,
        request_id,
        "RUNNING",
        generation=header.gen,
        started_at=aware(header.started),
        began_at=aware(now),
        due_at=None if header.due is None or header.due > now else aware(header.due),
        caller=_caller(header.parent),
    )


def _caller(parent: str | None) -> Caller | None:
    if parent is None:
        return None
    told = json.loads(parent)
    started = told.get("started")
    operation = told.get("by") or told["key"].rpartition("/")[2]
    return Caller(told["id"], told["fn"], told["gen"], operation, None if started is None else aware(started))


def left(info: InvocationInfo, after: Header, writer: str, raised: BaseException | None) -> None:
    """Completes the info when an invocation ends. `finished_at` and `error` stay empty if somebody else ended the execution."""
    info.status = after.status
    if after.own == writer and after.status in _ENDED_HERE and after.finished is not None:
        info.finished_at = aware(after.finished)
        info.error = None if after.status == "SUCCEEDED" else raised


def attempt(hooks: tuple[Hooks, ...], info: StepInfo) -> AbstractContextManager[None]:
    told = AttemptInfo(info.execution_id, info.operation_id, info.name, info.attempt, info.idempotency_key)
    return wrapped(hooks, lambda hook: hook.attempt(told))


def recorded(
    hooks: tuple[Hooks, ...], execution_id: str, events: list[Event], begun: Callable[[str], int | None]
) -> None:
    """Reports entries that are durable now. `begun`: when an operation began, if that is recorded."""
    for event in events:
        if event.id not in NO_OPERATIONS:
            tell(hooks, execution_id, shown(event, begun(event.id)))
