"""sleep, sleep_until: wait for a time.

Written to the log: the due time before the wait, and that it is over. The next commit or the suspension writes both, so a sleep
has no write of its own.
"""

from __future__ import annotations

from ...log.events import BEGUN, SUCCEEDED
from ..effects import Operation, Settle, until
from ..scope import Op


def sleep(op: Op, due: int) -> Operation[None]:
    """`due` counts only where nothing is recorded yet."""
    turn, record = op.turn, op.record
    if record is not None and record.done is not None:
        turn.deliver(op, record)
        return
    if record is not None and record.begun is not None:
        due = record.begun.due
    else:
        turn.record(op, BEGUN, due=due)
    yield from until(turn, due)
    event = turn.record(op, SUCCEEDED, value="null")
    yield Settle(event)
    turn.show(op, event)
