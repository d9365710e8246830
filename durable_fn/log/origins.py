"""Which operation an execution ended by: noted on the exceptions that operations raise, found again behind what the handler
made of them (`raise ... from`, an `except` block that raises, a batch, an exception group), and kept with the recorded error.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, Protocol

from ..errors import BatchError
from .trails import trail

MARK: Final = "_durable_fn_cause"


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
    those. What they do is
    no consequence of the failure; what later ones do is."""

    id: str
    tasks: tuple[tuple[str, int], ...] = ()

    def row(self) -> Any:
        """As JSON keeps it."""
        return [self.id, dict(self.tasks)] if self.tasks else self.id


def read(rows: Any) -> tuple[Cause, ...]:
    """What `row` made. Anything else in a stored text is passed over."""
    found = []
    for row in rows if isinstance(rows, list) else []:
        id, tasks = row if isinstance(row, list) and len(row) == 2 else (row, {})
        if isinstance(id, str) and isinstance(tasks, dict):
            found.append(Cause(id, tuple((path, n) for path, n in tasks.items() if isinstance(n, int))))
    return tuple(found)


def mark(turn: Raiser, error: BaseException, id: str) -> None:
    """Notes that this operation raised it, unless one inside did. The note says in whose turn, because code may raise one and
    the same exception object again and again."""
    if not origins_of(turn, error):
        walked = trail(id, turn.asked)
        tasks = tuple((path, n) for path, n in turn.tasks.items() if walked.startswith(path))
        error.__dict__[MARK] = (_whose(turn), Cause(id, tasks))


def origins_of(turn: Raiser, error: BaseException) -> tuple[Cause, ...]:
    """The operations that an error comes from; none where it is the handler's own."""
    return tuple(dict.fromkeys(_behind(_whose(turn), error, set())))


def _whose(turn: Raiser) -> str:
    return f"{turn.header.id}\0{turn.writer}"


def _behind(whose: str, error: BaseException | None, seen: set[int]) -> list[Cause]:
    if error is None or id(error) in seen:
        return []
    seen.add(id(error))
    found = [cause for part in _parts(error) for cause in _behind(whose, part, seen)]
    if found:
        return found
    mark = error.__dict__.get(MARK)
    if mark is not None and mark[0] == whose:
        return [mark[1]]
    return _behind(whose, error.__cause__, seen) or _behind(whose, error.__context__, seen)


def _parts(error: BaseException) -> list[BaseException]:
    if isinstance(error, BatchError):
        return [item.error for item in error.batch if item.error is not None]
    return list(error.exceptions) if isinstance(error, BaseExceptionGroup) else []
