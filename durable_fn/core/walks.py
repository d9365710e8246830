"""How far the code of each scope of a `def` handler got before: in earlier turns, and in earlier walks of a branch in this one.

Handler code runs again in every replay, but its log lines and its status must come out once. The code between two operations of
a scope has run before if an operation behind it is recorded, if the scope's end is, or if the same is true of a scope around
it. Where code logged something, and the turn ended before it recorded an operation behind that (too little time was left for a
body, say), a line of its own in the log says so. After a crash there is no such line, and the code logs it again.
"""

from __future__ import annotations

import json
from typing import Final, Protocol

from ..log.journal import Journal
from .cancel_scope import CancelScope

_MOST: Final = 1000
"""The most scopes in one line of the log."""


class Place(Protocol):
    """What counts operations: see `core/scope.py`."""

    path: str
    at: int
    left: int
    calls: int
    reached: int
    operations: int
    drawn: int
    cancel_scope: CancelScope

    @property
    def parent(self) -> Place | None:
        """The scope around it."""


class Walks:
    """The walks of one turn. Scopes count the operations that they called; a walk is known by its scope object."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._said: dict[str, tuple[Place | None, int]] = {
            path: (None, calls) for path, calls in journal.walked.items()
        }

    def walked(self, scope: Place) -> bool:
        """Whether the code of this scope has been here before, so that it must not log again. True also while code unwinds."""
        if scope.cancel_scope.leaving:
            return True
        around: Place | None = scope
        while around is not None:
            if around.left > 0 or self._ended(around) or self._said_before(around):
                return True
            around = around.parent
        return False

    def say(self, scope: Place) -> None:
        """The code of this scope logs something, or sets the status, here."""
        self._said[scope.path] = (scope, scope.calls)

    def untold(self) -> list[str]:
        """Texts of lines for what the rest of the log does not imply."""
        rows = [
            (path, calls)
            for path, (scope, calls) in tuple(self._said.items())
            if scope is not None and scope.reached <= calls and not self._ended(scope)
        ]
        chunks = (rows[first : first + _MOST] for first in range(0, len(rows), _MOST))
        return [json.dumps(dict(chunk), ensure_ascii=False, separators=(",", ":")) for chunk in chunks]

    def _ended(self, scope: Place) -> bool:
        record = self._journal.records.get(scope.path[:-1])
        return record is not None and record.done is not None

    def _said_before(self, scope: Place) -> bool:
        by, calls = self._said.get(scope.path, (None, -1))
        return by is not scope and calls >= scope.calls
