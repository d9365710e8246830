"""now, uuid4, random: the same on replay without an entry of their own.

`now` is the journal's time; the other two are derived from the execution's secret, the scope and a counter.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from ...log.durations import aware
from ..scope import Scope


def now(scope: Scope) -> datetime:
    turn = scope.turn
    at = scope.at if turn.front is None else turn.at
    turn.last_now = max(turn.last_now, at)
    turn.look_at_time()
    return aware(at)


def uuid4(scope: Scope) -> UUID:
    return UUID(bytes=_draw(scope), version=4)


def random(scope: Scope) -> float:
    return (int.from_bytes(_draw(scope)[:8]) >> 11) * 2.0**-53


def _draw(scope: Scope) -> bytes:
    if scope.turn.closed is not None:
        raise scope.turn.ended()
    scope.drawn += 1
    return scope.turn.draw(scope, f"draw {scope.path} {scope.drawn}")
