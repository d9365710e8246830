"""Ids and positions: each scope (the handler, a task, a branch) counts its own operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..errors import NonDeterminismError
from .events import operation_name
from .journal import Record

if TYPE_CHECKING:
    from .turn import Turn


class Op:
    """One call of an operation: its id, its place, and what the journal holds for it."""

    __slots__ = ("begun", "id", "kind", "number", "position", "record", "scope", "turn")

    def __init__(
        self, scope: Scope, kind: str, id: str, position: int, record: Record | None, number: int = 0
    ) -> None:
        self.scope = scope
        self.turn = scope.turn
        self.kind = kind
        self.id = id
        self.position = position
        self.record = record
        self.number = number  # among the operations that its scope called
        self.begun = record is not None and record.begun is not None  # that it began is written, or about to be


class Branch:
    """What can be cancelled as one: the handler, or a branch of a fan. All scopes inside share it.

    `doom` is raised at its next live operation, once; then `raised` is set and durable calls work again, for clean-up.
    """

    __slots__ = ("closed", "doom", "inner", "leaving", "raised", "shields")

    def __init__(self) -> None:
        self.doom: Doom | None = None
        self.raised = False
        self.shields = 0  # compensations that run: a cancellation waits for them
        self.inner: set[Branch] = set()  # branches of a fan that runs inside
        self.closed: BaseException | None = None  # what every further durable call raises until it is walked again
        self.leaving = False  # its code unwinds, to be walked again

    @property
    def doomed(self) -> bool:
        return self.doom is not None and not self.raised and not self.shields

    def leave(self, closed: BaseException) -> BaseException:
        """This is about to be raised in it, and ends its walk."""
        if not isinstance(closed, Exception) and getattr(closed, "walked_again", True):
            self.leaving = True
        return closed

    def condemn(self, doom: Doom) -> None:
        """Also the branches inside. The first reason stays."""
        if self.doom is None:
            self.doom = doom
        for branch in tuple(self.inner):
            branch.condemn(Doom("cancelled", doom.reason) if doom.kind == "timed out" else doom)


class Doom(NamedTuple):
    """Why a branch is to end. `kind`: "cancelled", "timed out" or "lost"."""

    kind: str
    reason: str | None


class Scope:
    """Operations and child scopes are counted separately: `asyncio.wait_for` makes a task on 3.11 but not on 3.12."""

    __slots__ = (
        "_names", "at", "branch", "calls", "drawn", "left", "operations", "parent", "path", "reached", "tasks", "threads", "timers",
        "turn",
    )  # fmt: skip

    def __init__(self, turn: Turn, path: str, at: int, branch: Branch, parent: Scope | None = None) -> None:
        self.turn = turn
        self.path = path
        self.branch = branch
        self.parent = parent
        self.left = turn.journal.operations(path)  # recorded before this walk, and not called yet
        self.calls = 0  # operations that were called
        self.reached = 0  # the last of them that is recorded
        self.at = at  # journal time of the last result this scope saw: what ctx.now() gives
        self.operations = 0
        self.tasks = self.timers = self.threads = 0  # native ones that were set and started here
        self.drawn = 0  # random values
        self._names: dict[str, int] = {}

    def enter(self, kind: str, component: str) -> Op:
        """The next operation of this scope. Raises NonDeterminismError if the journal holds another one here."""
        turn = self.turn
        if turn.closed is not None:
            raise self.branch.leave(turn.closed)
        if self.branch.closed is not None:
            raise self.branch.leave(self.branch.closed)
        self.calls += 1
        position = self.operations
        self.operations = position + 1
        id = self.next_id(component)
        self._names[component] = self._names.get(component, 0) + 1
        journal = turn.journal
        record = journal.records.get(id)
        if record is not None:
            if record.kind != kind or record.position != position:
                raise self._mismatch(kind, id, position)
            self.left -= 1
            self.reached = self.calls
            if not record.taken:
                record.taken = True
                journal.untaken.discard(id)
                if turn.front is None and record.done is None and record.begun is not None:
                    turn.at = max(turn.at, record.begun.at)
        elif journal.untaken and journal.at_position(self.path, position) is not None:
            raise self._mismatch(kind, id, position)
        return Op(self, kind, id, position, record, self.calls)

    def next_id(self, component: str) -> str:
        """Of the next operation with this name."""
        count = self._names.get(component, 0) + 1
        return f"{self.path}{component}" if count == 1 else f"{self.path}{component}#{count}"

    def task(self) -> Scope:
        """The scope of the next native task that is started here."""
        self.tasks += 1
        self.turn.tasks[self.path] = self.tasks
        return Scope(self.turn, f"{self.path}~{self.tasks}/", self.at, self.branch)

    def inside(self, op: Op) -> Scope:
        """The scope of what an operation is made of: its operations are counted for themselves."""
        return Scope(self.turn, f"{op.id}/", self.at, self.branch, self)

    def fork(self, op: Op, component: str) -> Scope:
        """The scope of a branch, which can be cancelled by itself."""
        return Scope(self.turn, f"{op.id}/{component}/", self.at, Branch(), self)

    @property
    def live(self) -> bool:
        """Whether nothing is recorded at this place or behind it."""
        return not self.turn.journal.has_from(self.path, self.operations)

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
