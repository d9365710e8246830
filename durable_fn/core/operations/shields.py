"""The end of a shielded block.

`def` handlers: a cancellation that came inside is raised at an operation of its own, so that a replay raises it there again.
If none came, nothing is written, and the block has no place among the operations. `async def` handlers: the line that cancels
them names the operations that wait for it (see `runtime/aio/ending.py`).
"""

from __future__ import annotations

from ...log.kinds import SHIELD
from ..effects import Operation, Park
from ..scope import Op, Scope

_PART = "$shielded"


def block_id(scope: Scope) -> str:
    """The id for the end of the next block that ends in this scope. No operation can have it."""
    id = scope.next_id(_PART)
    scope.count(_PART)
    return id


def block_end(scope: Scope) -> Op | None:
    """In a `def` handler: the operation at which a cancellation was raised at this end, or has to be raised now; else None."""
    turn = scope.turn
    if turn.closed is None and scope.next_id(_PART) not in turn.journal.records:
        turn.look_at_deadline()
        if not (scope.cancel_scope.cancel_pending and scope.live):
            scope.count(_PART)
            return None
    return scope.enter(SHIELD, _PART)


def unshield(op: Op) -> Operation[None]:
    """The driver raises the cancellation before this effect."""
    yield Park(op.turn.time())
