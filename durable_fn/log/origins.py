"""Which operation's failure ended an execution. Operations note their ids on the exceptions that they raise; the notes are
found again behind whatever the handler made of these (`raise ... from`, an `except` block that raises, a batch, an exception
group), and stored with the recorded error.
"""

from __future__ import annotations

import itertools
from typing import Any, Final, NamedTuple, Protocol

from ..errors import BatchError, CompensationError
from .trails import trail

MARK: Final = "_durable_fn_cause"
UNDONE_MARK: Final = "_durable_fn_undone"
MARKS: Final = frozenset({MARK, UNDONE_MARK})
"""The attributes that the SDK sets on exceptions."""


class Named(Protocol):
    """The header of an execution."""

    id: str


class Raiser(Protocol):
    """The turn in which an error is raised."""

    writer: str
    asked: dict[str, str]
    tasks: dict[str, int]

    @property
    def header(self) -> Named:
        """Of its execution."""


class Cause(NamedTuple):
    """An operation that failed. `tasks`: how many native tasks the scopes around it had started by then, by the trails of
    those scopes. What these tasks do is no consequence of the failure; what later ones do is."""

    id: str
    tasks: tuple[tuple[str, int], ...] = ()

    def row(self) -> Any:
        """The cause as JSON data."""
        return [self.id, dict(self.tasks)] if self.tasks else self.id


def read(rows: Any) -> tuple[Cause, ...]:
    """The reverse of `row`. Anything else in a stored text is ignored."""
    found = []
    for row in rows if isinstance(rows, list) else []:
        id, tasks = row if isinstance(row, list) and len(row) == 2 else (row, {})
        if isinstance(id, str) and isinstance(tasks, dict):
            found.append(Cause(id, tuple((path, n) for path, n in tasks.items() if isinstance(n, int))))
    return tuple(found)


class Note(NamedTuple):
    """What an error carries. `whose`: the turn in which it was raised; `number`: grows with each note; `own`: what the error
    was raised after is not its cause."""

    whose: str
    number: int
    cause: Cause
    own: bool


_numbers: Final = itertools.count()


def mark(turn: Raiser, error: BaseException, id: str) -> None:
    """Notes that this operation raised the error, unless an operation inside it did. The note names the turn, because code may
    raise one and the same exception object again and again."""
    if not _behind(_whose(turn), error, set()):
        _note(turn, error, id, own=False)


def mark_own(turn: Raiser, error: BaseException, id: str) -> None:
    """As `mark`, but ignores notes on other errors that this one was raised after."""
    _note(turn, error, id, own=True)


def _note(turn: Raiser, error: BaseException, id: str, *, own: bool) -> None:
    error.__dict__[MARK] = Note(_whose(turn), next(_numbers), _cause(turn, id), own)


def mark_undone(turn: Raiser, error: BaseException, id: str) -> None:
    """Notes that a saga was undone because of this error, which the saga then raises again."""
    whose, found = error.__dict__.get(UNDONE_MARK, ("", ()))
    before = found if whose == _whose(turn) else ()
    error.__dict__[UNDONE_MARK] = (_whose(turn), (*before, _cause(turn, id)))


def _cause(turn: Raiser, id: str) -> Cause:
    walked = trail(id, turn.asked)
    return Cause(id, tuple((path, n) for path, n in turn.tasks.items() if walked.startswith(path)))


def origins_of(turn: Raiser, error: BaseException) -> tuple[Cause, ...]:
    """The operations that an error comes from, none if the handler's own code raised it; and the sagas that were undone on its
    way."""
    whose = _whose(turn)
    behind = [note.cause for note in _behind(whose, error, set())]
    return tuple(dict.fromkeys([*behind, *_undone(whose, error, set())]))


def _whose(turn: Raiser) -> str:
    return f"{turn.header.id}\0{turn.writer}"


def _behind(whose: str, error: BaseException | None, seen: set[int]) -> list[Note]:
    """The notes on its parts; else the first one on it and on what it was raised after. A task gets its error when it goes on,
    so what that was raised after is known later than the note."""
    if error is None or id(error) in seen:
        return []
    seen.add(id(error))
    found = [note for part in _parts(error) for note in _behind(whose, part, seen)]
    if found:
        return found
    note: Note | None = error.__dict__.get(MARK)
    noted = [note] if note is not None and note.whose == whose else []
    if noted and noted[0].own:
        return noted
    behind = _behind(whose, error.__cause__, seen) or _behind(whose, error.__context__, seen)
    return min(noted or behind, behind or noted, key=lambda notes: [note.number for note in notes])


def _undone(whose: str, error: BaseException | None, seen: set[int]) -> list[Cause]:
    """The sagas that were undone; none if a compensation failed, because that rollback is not over."""
    if error is None or id(error) in seen or isinstance(error, CompensationError):
        return []
    seen.add(id(error))
    mark = error.__dict__.get(UNDONE_MARK)
    found = list(mark[1]) if mark is not None and mark[0] == whose else []
    for part in (*_parts(error), error.__cause__, error.__context__):
        found += _undone(whose, part, seen)
    return found


def _parts(error: BaseException) -> list[BaseException]:
    if isinstance(error, BatchError):
        return [item.error for item in error.batch if item.error is not None]
    if isinstance(error, CompensationError):
        return list(error.failures)
    return list(error.exceptions) if isinstance(error, BaseExceptionGroup) else []
