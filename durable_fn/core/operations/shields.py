"""The end of a shielded block.

`def` handlers: where a cancellation came inside, it is raised at an operation of its own, so that a replay raises it there again.
Nothing is written where none came, and the block takes no place among the operations. `async def` handlers: the line that
cancels them says who waits for it (see `runtime/aio/ending.py`).
"""

from __future__ import annotations

from ...log.kinds import SHIELD
from ..effects import Operation, Park
from ..scope import Op, Scope

_PART = "$shielded"


def block_id(scope: Scope) -> str:
    """Of the end of the next block that ends in this scope. No operation can have it."""
    id = scope.next_id(_PART)
    scope.count(_PART)
    return id


def block_end(scope: Scope) -> Op | None:
    """In a `def` handler: where a cancellation was raised at this end, or is to be raised now."""
    turn = scope.turn
    if turn.closed is None and scope.next_id(_PART) not in turn.journal.records:
        turn.look_at_deadline()
        if not (scope.cancel_scope.cancel_pending and scope.live):
            scope.count(_PART)
            return None
    return scope.enter(SHIELD, _PART)


def unshield(op: Op) -> Operation[None]:
    """What came is raised before this."""
    yield Park(op.turn.time())
