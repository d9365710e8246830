"""patched: which path an execution takes at a change of the code. Written to the log: that it took the new one."""

from __future__ import annotations

from ...log.events import NO_PLACE, SUCCEEDED, component
from ...log.kinds import PATCH
from ..scope import Op, Scope


def patched(scope: Scope, change_id: str) -> bool:
    """The first time that an execution asks decides for good: new code, unless something is recorded at this place or behind
    it, which old code must have written."""
    turn, id = scope.turn, f"$patch {component(change_id)}"
    if turn.closed is not None:
        raise turn.ended()
    known = turn.patches.get(change_id)
    if known is not None:
        return known
    record = turn.journal.records.get(id)
    if record is not None:
        turn.journal.skip(record)
        turn.patches[change_id] = True
    elif scope.live:
        turn.choose(scope, turn.record(Op(scope, PATCH, id, NO_PLACE, None), SUCCEEDED, value="true"))
        turn.patches[change_id] = True
    else:
        turn.patches[change_id] = False
    return turn.patches[change_id]
