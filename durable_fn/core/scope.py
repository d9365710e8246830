"""Ids and positions: each scope (the handler, a task, a branch) counts its own operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import NonDeterminismError
from .events import operation_name
from .journal import Record

if TYPE_CHECKING:
    from .turn import Turn


class Op:
    """One call of an operation: its id, its place, and what the journal holds for it."""

    __slots__ = ("id", "kind", "position", "record", "scope", "turn")

    def __init__(self, scope: Scope, kind: str, id: str, position: int, record: Record | None) -> None:
        self.scope = scope
        self.turn = scope.turn
        self.kind = kind
        self.id = id
        self.position = position
        self.record = record


class Scope:
    """Operations and child scopes are counted separately: `asyncio.wait_for` makes a task on 3.11 but not on 3.12."""

    __slots__ = ("_names", "at", "drawn", "operations", "path", "tasks", "turn")

    def __init__(self, turn: Turn, path: str, at: int) -> None:
        self.turn = turn
        self.path = path
        self.at = at  # journal time of the last result this scope saw: what ctx.now() gives
        self.operations = 0
        self.tasks = 0
        self.drawn = 0  # random values
        self._names: dict[str, int] = {}

    def enter(self, kind: str, component: str) -> Op:
        """The next operation of this scope. Raises NonDeterminismError if the journal holds another one here."""
        turn = self.turn
        if turn.closed is not None:
            raise turn.closed
        position = self.operations
        self.operations = position + 1
        count = self._names.get(component, 0) + 1
        self._names[component] = count
        id = f"{self.path}{component}" if count == 1 else f"{self.path}{component}#{count}"
        journal = turn.journal
        record = journal.records.get(id)
        if record is not None:
            if record.kind != kind or record.position != position:
                raise self._mismatch(kind, id, position)
            if not record.taken:
                record.taken = True
                journal.untaken -= 1
                if record.done is None and record.begun is not None:
                    turn.at = max(turn.at, record.begun.at)
        elif journal.untaken and journal.at_position(self.path, position) is not None:
            raise self._mismatch(kind, id, position)
        return Op(self, kind, id, position, record)

    def task(self) -> Scope:
        """The scope of the next native task that is started here."""
        self.tasks += 1
        return Scope(self.turn, f"{self.path}~{self.tasks}/", self.at)

    def _mismatch(self, kind: str, id: str, position: int) -> NonDeterminismError:
        journal = self.turn.journal
        there = journal.at_position(self.path, position) or journal.records[id]
        if there.kind != kind and there.id == id:
            cause = "the operation of this name became another kind"
        elif id in journal.records:
            cause = "an operation before this one was removed, or the order changed"
        elif operation_name(there.id) != operation_name(id):
            cause = (
                "an operation was added before recorded ones, or this one was renamed (give it its old name with name=)"
            )
        else:
            cause = "the code took another way than before"
        return self.turn.mismatch(f"{there.kind} {there.id!r}", f"{kind} {id!r}", position, self.path, cause)
