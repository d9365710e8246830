"""The end of an async execution from outside, by a cancellation or by its deadline. It is a line like any other."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from ...core.cancel_scope import Cancellation
from ...core.cancellation import error_of
from ...core.effects import Decide
from ...log.events import END_ID, SUCCEEDED, Event
from ...log.kinds import END
from .native import native

if TYPE_CHECKING:
    from .mover import Mover


class ExecutionEnd:
    """For one turn. `came`: the line exists. The line names the ends of shielded blocks that waited for it: in a replay they
    wait again, so that no code behind them runs first."""

    gone = False

    def __init__(self, pump: Mover) -> None:
        self._pump = pump
        self._turn = pump.turn
        self.came = END_ID in pump.line.known
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._awaited: list[str] = []  # the ends of shielded blocks that the recorded line names
        if self.came:
            pump.targets[END_ID] = self
            line = next(event for event in pump.line.events if event.id == END_ID)
            self._awaited = json.loads(line.value)[3:]

    @property
    def may_come(self) -> bool:
        """Whether it may come: not twice, and not while a shielded block runs in any task of the execution."""
        return not self.came and not self._turn.shields

    async def let_come(self, id: str) -> None:
        """At the end of a shielded block: waits for the line, if it has to come here. In a replay that is so only if the
        recorded line names this block."""
        turn = self._turn
        if not self.came and self.may_come and not self._pump.line.replaying and not turn.journal.has_uncalled():
            turn.look_at_deadline()
            if turn.cancel_scope.cancellation is None:
                return
        elif id not in self._awaited:
            return
        self._waiting[id] = future = self._pump.loop.plain_future()
        await future

    def look(self) -> bool:
        """Makes the line if it is time. False: it is not. A timeout is a decision from absence: the inbox may hold nothing
        unread."""
        if not self.may_come:
            return False
        turn = self._turn
        turn.look_at_deadline()
        cancellation = turn.cancel_scope.cancellation
        if cancellation is None:
            return False
        self.came = True
        # With the number of native tasks that each scope had started, for a redrive.
        told = [cancellation.kind, cancellation.reason, turn.tasks, *self._waiting]
        value = json.dumps(told, ensure_ascii=False)
        event = Event(END_ID, END, -1, SUCCEEDED, 1, turn.time(), 0, value)
        if cancellation.kind == "timed out":
            self._pump.decide(Decide(event, turn.inbox.version), self)
        else:
            self._pump.new_line(event, self)
        return True

    def resume(self, value: Any = None) -> None:
        """The decision failed, because something came: looks again."""
        self.came = False
        self._turn.cancel_scope.cancellation = None
        self._turn.notice()

    def hand(self, event: Event) -> bool:
        """Its line: the handler's own task is cancelled."""
        kind, reason = json.loads(event.value)[:2]
        cancel_scope = self._turn.cancel_scope
        cancel_scope.cancellation, cancel_scope.raised = Cancellation(kind, reason), True
        self._pump.cancel_main(native(error_of(cancel_scope.cancellation)), END_ID)
        self._awaited = []
        for future in self._waiting.values():  # the error is raised in the handler's own task; the others go on
            if not future.done():
                future.set_result(None)
        return True
