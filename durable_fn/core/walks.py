"""How far the code of each scope of a `def` handler went before: in earlier turns, and in earlier walks of a branch in this one.

Handler code is walked again and again; what it logs, and the status it sets, must be said once. The code between two operations
of a scope was walked before where an operation behind it is recorded, where the scope's end is, or where the same is true of a
scope around it. Only where code said something, and the turn ended before it recorded anything behind (too little time was left
for a body, say), a line of its own tells that. After a death there is none, and it is said again.
"""

from __future__ import annotations

import json
from typing import Final, Protocol

from ..log.journal import Journal
from .cancel_scope import CancelScope

_MOST: Final = 1000
"""Scopes in one line."""


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
        """Around it."""


class Walks:
    """Of one turn. Scopes count the operations that they called, and this walk's are told from those of another by the object."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._said: dict[str, tuple[Place | None, int]] = {
            path: (None, calls) for path, calls in journal.walked.items()
        }

    def walked(self, scope: Place) -> bool:
        """Whether the code of this scope was here before. Code that unwinds, to be walked again, is not there yet."""
        if scope.cancel_scope.leaving:
            return True
        around: Place | None = scope
        while around is not None:
            if around.left > 0 or self._ended(around) or self._said_before(around):
                return True
            around = around.parent
        return False

    def say(self, scope: Place) -> None:
        """It says something here."""
        self._said[scope.path] = (scope, scope.calls)

    def untold(self) -> list[str]:
        """What nothing in the log tells, as the texts of lines."""
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
