"""Ids and positions: each scope (the handler, a task, a branch) counts its own operations.

An operation with a key is found by its id alone, in the nearest branch (the handler, a child, a branch of a fan), whatever
native task asks: it takes no position, and its place is not compared.
"""

from __future__ import annotations

from typing import Final

from ..errors import NonDeterminismError
from ..log.events import NO_PLACE, has_key, operation_name
from ..log.journal import Record
from ..log.trails import trail
from ..log.undone import Extent, Rollback, saga_id
from .cancel_scope import CancelScope
from .turn import Turn

KEY_CHANGED: Final = "the operation got a key, or lost it"
"""The cause in a NonDeterminismError."""


class Op:
    """One call of an operation: its id, its place, and what the journal has of it. `asked`: see `Event`. `cleans_up`: clean-up
    code called it, after a cancellation had been raised in its scope. A process that died may have begun an operation of the
    same id that the log does not have; this one counts as another operation."""

    __slots__ = ("asked", "begun", "cleans_up", "id", "kind", "number", "position", "record", "scope", "turn")

    def __init__(
        self,
        scope: Scope,
        kind: str,
        id: str,
        position: int,
        record: Record | None,
        asked: str = "",
        number: int = 0,
    ) -> None:
        self.asked = asked
        self.cleans_up = scope.ended
        self.scope = scope
        self.turn = scope.turn
        self.kind = kind
        self.id = id
        self.position = position
        self.record = record
        self.number = number  # among the operations that its scope called
        self.begun = record is not None and record.begun is not None  # that it began is written, or about to be


class OpenSaga:
    """A saga whose block runs, in the scope that it began in."""

    __slots__ = ("begun", "id", "keys", "scope")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        scope.sagas_begun += 1
        self.begun = scope.extent
        self.id = saga_id(scope.path, scope.sagas_begun, self.begun)
        self.keys: list[str] = []  # ids of operations with a key that this scope asked for meanwhile
        scope.sagas += (self,)

    def close(self) -> None:
        self.scope.sagas = tuple(saga for saga in self.scope.sagas if saga is not self)

    def rollback(self, undo_keys: list[str | None]) -> Rollback:
        """The saga as it is about to be undone. `undo_keys`: for each compensation its id if it has a key, else None."""
        now = self.scope.extent
        ended = now._replace(operations=now.operations + undo_keys.count(None))
        keyed = tuple(key for key in undo_keys if key is not None)
        return Rollback(self.id, self.begun, ended, now.operations, tuple(self.keys), keyed)


class Scope:
    """Counts operations and child scopes separately: `asyncio.wait_for` makes a task on 3.11 but not on 3.12. `home`: for a
    native task, the scope of the branch that it belongs to."""

    __slots__ = (
        "_home", "_keyed", "_names", "at", "calls", "cancel_scope", "drawn", "left", "made", "operations", "parent",
        "path", "reached", "sagas", "sagas_begun", "tasks", "threads", "timers", "turn",
    )  # fmt: skip

    def __init__(
        self,
        turn: Turn,
        path: str,
        at: int,
        cancel_scope: CancelScope,
        home: Scope | None = None,
        parent: Scope | None = None,
    ) -> None:
        self.turn = turn
        self.path = path
        self._home = home
        self.cancel_scope = cancel_scope
        self.parent = parent
        self.left = turn.journal.operations(path)  # recorded before this walk, and not called yet
        self.calls = 0  # operations that were called
        self.reached = 0  # the last of them that is recorded
        self.at = at  # journal time of the last result this scope saw: what ctx.now() gives
        self.operations = 0
        self.tasks = self.timers = self.threads = self.made = 0  # native ones that were started, set and made here
        self.drawn = 0  # random values
        self.sagas_begun = 0
        self.sagas: tuple[OpenSaga, ...] = ()  # that are open
        self._names: dict[str, int] = {}
        self._keyed: dict[str, tuple[str, int]] = {}  # of a branch: kind by id, and how often it came

    @classmethod
    def of_handler(cls, turn: Turn) -> Scope:
        return cls(turn, "", turn.started, turn.cancel_scope)

    def enter(self, kind: str, component: str, key: str | None = None, *, repeats: bool = False) -> Op:
        """The next operation of this scope. Raises NonDeterminismError if the journal has another one here, ValueError for a
        key that its branch has used already, unless the operation `repeats`: then the code may call it again."""
        turn = self.turn
        if turn.closed is not None:
            raise self.cancel_scope.leave(turn.ended())
        if self.cancel_scope.closed is not None:
            raise self.cancel_scope.leave(self.cancel_scope.closed)
        self.calls += 1
        if key is not None:
            return self._enter_keyed(kind, component, key, repeats=repeats)
        position = self.operations
        self.operations = position + 1
        id = self.next_id(component)
        self._names[component] = self._names.get(component, 0) + 1
        journal = turn.journal
        record = journal.records.get(id)
        if record is not None:
            if record.kind != kind or (record.position != position and not record.aside):
                raise self._mismatch(kind, id, position)
            self.left -= not record.aside
            self.reached = self.calls
            self._take(record)
        elif journal.untaken:
            if journal.at_position(self.path, position) is not None:
                raise self._mismatch(kind, id, position)
            self._check_twin(kind, id, position)
        return Op(self, kind, id, position, record, number=self.calls)

    @property
    def ended(self) -> bool:
        """Whether a cancellation was raised in this branch, or in one around it."""
        around = self.home.parent
        return self.cancel_scope.raised or (around is not None and around.ended)

    @property
    def extent(self) -> Extent:
        """How much this scope has counted so far."""
        return Extent(self.operations, self.tasks, self.timers, self.threads)

    @property
    def home(self) -> Scope:
        """The scope of the nearest branch, in which a key is unique."""
        return self._home or self

    def _enter_keyed(self, kind: str, component: str, key: str, *, repeats: bool) -> Op:
        turn, home = self.turn, self.home
        id = home._id_of_key(kind, f"{home.path}{component}:{key}", repeats=repeats)
        tasks = self.path[len(home.path) :]
        for saga in self.sagas:
            saga.keys.append(id)
        if tasks:
            turn.asked[id] = tasks
        record = turn.journal.records.get(id)
        if record is not None:
            if record.kind != kind:
                raise self._mismatch(kind, id, NO_PLACE)
            home.left -= not record.aside
            home.reached = home.calls
            self._take(record)
        elif turn.journal.untaken:
            self._check_twin(kind, id, NO_PLACE)
        return Op(self, kind, id, NO_PLACE, record, f"{tasks}:{self.drawn}", self.calls)

    def _id_of_key(self, kind: str, id: str, *, repeats: bool) -> str:
        before = self._keyed.get(id)
        if before is not None and not (repeats and before[0] == kind):
            raise ValueError(
                f"{id!r} is asked for twice in one branch, as {before[0]} and as {kind}: a key is good for one call of a name. "
                "Give this call another key, or put it into a ctx.child with a key of its own"
            )
        times = 1 if before is None else before[1] + 1
        self._keyed[id] = kind, times
        return id if times == 1 else f"{id}#{times}"

    def _take(self, record: Record) -> None:
        """The code calls an operation that has a record."""
        turn = self.turn
        if not record.taken:
            record.taken = True
            turn.journal.untaken.discard(record.id)
            if turn.front is None and record.done is None and record.begun is not None:
                turn.at = max(turn.at, record.begun.at)

    def _check_twin(self, kind: str, id: str, position: int) -> None:
        """Raises NonDeterminismError for a new operation if the code has not yet called a recorded one of the same name that
        has a key where this one has none, or the reverse. In a scope whose operations run one after the other that is the same
        operation, and it must not run twice."""
        if not self.turn.sequential:
            return
        for record in self.turn.journal.left_in(self.path):
            same = record.kind == kind and operation_name(record.id) == operation_name(id)
            if same and has_key(record.id) is not has_key(id):
                raise self._differs(record, kind, id, position, KEY_CHANGED)

    def next_id(self, component: str) -> str:
        """The id of the next operation with this name."""
        count = self._names.get(component, 0) + 1
        return f"{self.path}{component}" if count == 1 else f"{self.path}{component}#{count}"

    def count(self, component: str) -> None:
        """Counts something of this name that is no operation."""
        self._names[component] = self._names.get(component, 0) + 1

    def task(self) -> Scope:
        """The scope of the next native task that is started here."""
        self.tasks += 1
        self.turn.tasks[trail(self.path, self.turn.asked)] = self.tasks
        return Scope(self.turn, f"{self.path}~{self.tasks}/", self.at, self.cancel_scope, self.home)

    def inside(self, op: Op) -> Scope:
        """The scope of the operations that an operation is made of: they have a count of their own."""
        return Scope(self.turn, f"{op.id}/", self.at, self.cancel_scope, parent=self)

    def fork(self, op: Op, component: str) -> Scope:
        """The scope of a branch, which can be cancelled by itself."""
        return Scope(self.turn, f"{op.id}/{component}/", self.at, CancelScope(), parent=self)

    @property
    def live(self) -> bool:
        """Whether nothing is recorded at this place or behind it. An operation with a key has no place: it counts as behind
        this one until the code calls it. In an async handler all tasks together are at one place: whatever any of them calls
        later is recorded behind what this one records now."""
        turn, journal = self.turn, self.turn.journal
        if turn.front is not None:
            return not journal.has_uncalled()
        if journal.has_from(self.path, self.operations):
            return False
        return not turn.walks.walked(self) and not any(has_key(r.id) for r in journal.left_in(self.home.path))

    def _mismatch(self, kind: str, id: str, position: int) -> NonDeterminismError:
        journal = self.turn.journal
        there = journal.at_position(self.path, position) if position != NO_PLACE else None
        there = there or journal.records[id]
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
        return self._differs(there, kind, id, position, cause)

    def _differs(self, there: Record, kind: str, id: str, position: int, cause: str) -> NonDeterminismError:
        return self.turn.mismatch(f"{there.kind} {there.id!r}", f"{kind} {id!r}", position, self.path, cause)
