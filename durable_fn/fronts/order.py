"""The order in which an async handler sees results: the log's, in a live turn as in a replay of it.

Live, a result has a place in a line from the moment at which it is recorded. On replay it waits for its record's turn. Both
queues stand in the director, which moves them on when every task has come to rest.
"""

from __future__ import annotations

import asyncio
from typing import Final

from ..core.effects import Commit, Deliver, Effect, Take
from ..core.journal import Record
from ..core.scope import Op
from .director import TurnDirector

_MADE_OF_OTHERS: Final = frozenset({"parallel", "map", "race", "callback", "poll"})
"""Operations that end what is inside them before they end. A child's code is asked itself."""


class ResultOrder:
    """Where the operations of one turn wait until it is their turn."""

    def __init__(self, director: TurnDirector) -> None:
        self._director = director
        self._loop = director.loop
        self._turn = director.turn
        self.ended = False  # the handler has returned or raised

    # -- replay ----------------------------------------------------------------------------------------------------

    def out_of_turn(self, record: Record) -> bool:
        """Whether a recorded result must wait. Results are handed out in journal order, and only when every other task
        waits too: so it was when they came, and code that cancels or counts tasks must find them as they were then."""
        if record.handed_out:
            return False
        return bool(self._loop._ready) or record is not self._turn.journal.next_record() or record.cancelled

    async def turn_of(self, op: Op | None, record: Record) -> None:
        """Waits for its turn; an operation that was cancelled waits for that. No operation: the end of a
        branch, or of a part of an operation."""
        queue = self._director.perishing if record.cancelled else self._director.waiting
        future = self._loop.create_future()
        queue.setdefault(record.id, []).append(future)
        try:
            await future
        except asyncio.CancelledError:
            if op is not None:
                self.cancelled(op)
            raise
        finally:
            queue[record.id].remove(future)
            if not queue[record.id]:
                del queue[record.id]

    async def take(self, record: Record) -> None:
        if self.out_of_turn(record):
            await self.turn_of(None, record)

    def cancelled(self, op: Op, effect: Effect | None = None) -> None:
        """Native cancellation reached this operation before its result reached the handler. When the handler has ended, that
        only matters of results that are recorded already."""
        if self._turn.closed is None or (
            self.ended and (effect is None or isinstance(effect, Commit | Deliver | Take))
        ):
            record = op.record
            if op.kind in _MADE_OF_OTHERS:  # what was written and had not reached it when it was cancelled
                self._turn.journal.skip_below(f"{op.id}/")
            if record is not None and record.done is not None and (record.raised or not record.handed_out):
                self._turn.journal.hand_out(record)
                self._turn.pass_time(op.scope, max(record.done.at, record.resumed))
            elif not (op.kind == "child" and op.scope.branch.raised):  # a replay is cancelled inside it again
                self._turn.abandon(op)

    def settle(self) -> None:
        """After each operation: was it the last recorded one?"""
        if not self._director.live and self._turn.journal.over and not self._director.parked:
            self._director.go_live()

    # -- what happens for the first time ---------------------------------------------------------------------------

    @property
    def waits_for_replay(self) -> bool:
        """Whether what happens now must wait at the gate: what is recorded came before it."""
        return self._turn.replaying and not self._director.live

    @property
    def waits_for_timeouts(self) -> bool:
        """And a timeout that passed while nothing ran came before it: always, not by chance."""
        return self._loop.late()

    async def gate(self) -> None:
        gate = self._loop.create_future()
        self._director.gate.append(gate)
        await gate

    # -- the line of live results ----------------------------------------------------------------------------------

    def join(self, place: asyncio.Future[None] | None = None) -> asyncio.Future[None]:
        """The place of a result that is recorded now; without `place` a new one. Live results reach the handler in the order
        of the log, each when what the one before set off has come to rest: that is how a replay hands them out."""
        place = place or self._loop.create_future()
        self._director.line.append(place)
        return place

    async def reach(self, place: asyncio.Future[None]) -> None:
        """Waits until it is its turn. With nobody before it and nothing else that could run, that is now."""
        self._director.arrived.add(place)
        try:
            if self._director.first_in_line(place) and not self._loop._ready:
                return
            await place
        finally:
            place.cancel()
            self._director.arrived.discard(place)
