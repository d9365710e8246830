"""The pump as its parts see it: it is made of them, so they cannot import its class."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any, Protocol

from ...core.cancel_scope import CancelScope
from ...core.effects import Decide
from ...core.scope import Scope
from ...core.turn import Turn
from ...log.events import Event
from ..session import Session
from .agenda import Agenda
from .bodies import Bodies
from .commits import Commits
from .line import Line
from .loop import DurableLoop, HandlerTask
from .mismatches import Mismatches
from .unawaited import Unawaited
from .waiting import Decider, Runnable, Target


class Mover(Protocol):
    """`pump.py`."""

    session: Session
    loop: DurableLoop
    turn: Turn
    line: Line
    targets: dict[str, Target]
    agenda: Agenda
    bodies: Bodies
    mismatches: Mismatches
    commits: Commits
    unawaited: Unawaited
    over: bool
    decided: Event | None
    held_back: dict[CancelScope, Callable[[], None]]
    threads: int

    def commits_before_a_body(self) -> None: ...
    def start(self, coroutine: Any, context: contextvars.Context, scope: Scope) -> HandlerTask[Any]: ...
    def finish(self, outcome: BaseException | None) -> None: ...
    def die(self, death: BaseException) -> None: ...
    def wake(self, handle: Runnable) -> None: ...
    def stir(self, work: Callable[[], object]) -> None: ...
    def enqueue(self, event: Event, target: Target, *, held: bool) -> None: ...
    def new_line(self, event: Event, target: Target) -> None: ...
    def expect(self, id: str, target: Target) -> None: ...
    def await_line(self, id: str, target: Target) -> None: ...
    def decide(self, decision: Decide, operation: Decider) -> None: ...
    def cancel_main(self, error: BaseException, id: str) -> None: ...
    def cancel(self, task: asyncio.Task[Any], error: BaseException) -> None: ...
