"""How an async execution is ended from outside: by a cancellation, or by its deadline. That is a line like any other."""

from __future__ import annotations

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
    """Of one turn. `came`: it was handed out, or is in line."""

    gone = False

    def __init__(self, pump: Mover) -> None:
        self._pump = pump
        self._turn = pump.turn
        self.came = END_ID in pump.line.known
        if self.came:
            pump.targets[END_ID] = self

    @property
    def may_come(self) -> bool:
        """Not twice, and not while a shielded block runs in any task of the execution."""
        return not self.came and not self._turn.shields

    def look(self) -> bool:
        """Whether it is in line now. That a deadline is over is decided from absence: nothing may have come that is not in
        hand."""
        if not self.may_come:
            return False
        turn = self._turn
        turn.look_at_deadline()
        cancellation = turn.cancel_scope.cancellation
        if cancellation is None:
            return False
        self.came = True
        # With how many native tasks each scope had started: a redrive asks.
        value = json.dumps([cancellation.kind, cancellation.reason, turn.tasks], ensure_ascii=False)
        event = Event(END_ID, END, -1, SUCCEEDED, 1, turn.time(), 0, value)
        if cancellation.kind == "timed out":
            self._pump.decide(Decide(event, turn.inbox.version), self)
        else:
            self._pump.new_line(event, self)
        return True

    def resume(self, value: Any = None) -> None:
        """Something came at the last moment."""
        self.came = False
        self._turn.cancel_scope.cancellation = None
        self._turn.notice()

    def hand(self, event: Event) -> bool:
        """Its line: the handler's own task is cancelled."""
        kind, reason, _ = json.loads(event.value)
        cancel_scope = self._turn.cancel_scope
        cancel_scope.cancellation, cancel_scope.raised = Cancellation(kind, reason), True
        self._pump.cancel_main(native(error_of(cancel_scope.cancellation)), END_ID)
        return True
