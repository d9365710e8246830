"""How a turn ends in the journal: the execution has ended, continues as a new generation, or is suspended until its next due
time.

Each is one conditional write. If it is refused because something came meanwhile, the header that comes back is RUNNING, and the
invocation runs another turn.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core.turn import Progress
from ..log import failures
from ..log.events import SUCCEEDED, Segment, beginning
from ..log.header import Header, Refusal
from ..log.kinds import SIGNAL
from ..log.requests import Ending, ParentNotice, Parking, Renewal
from ..log.retention import SPARE_MS, Snapshot, first_horizon, keep_at, next_horizon, packed_log
from .holding import hold
from .wakes import send_told, wake

if TYPE_CHECKING:
    from ..core.function import DurableFunction
    from ..core.unwinding import Renewed
    from .session import Session

_log = logging.getLogger("durable_fn")


class Outcome(NamedTuple):
    """How the handler's run ended. `ending` None: it waits, until `due` at the latest; `held`: why it cannot go on; `renewal`:
    the payload of the next generation."""

    ending: Ending | None
    due: int | None = None
    held: Exception | None = None
    renewal: Renewed | None = None


class OutcomeWriter:
    """For one turn. Every method returns the header of then."""

    def __init__(self, session: Session, function: DurableFunction[Any, Any]) -> None:
        self._session = session
        self._turn = session.turn
        self._backend = session.backend
        self._store = session.store
        self._function = function

    def settle(self, outcome: Outcome) -> Header:
        """Ends the execution, or suspends it."""
        session, turn = self._session, self._turn
        if outcome.held is not None:
            return self._hold(outcome.held)
        if outcome.ending is None:
            turn.tell_walked()
            session.write(session.take())
            return self._park(outcome)
        turn.report_batches()
        unwritten = session.take() if turn.only_woke() else []
        session.write(session.take())
        after = self.end(outcome.ending)
        if not after.live and after.own == turn.writer:
            session.report(unwritten)  # the end of the execution implies them
        return after

    def end(self, ending: Ending) -> Header:
        """Completes the execution. If a cancellation came meanwhile, the handler has to see that first."""
        turn = self._turn
        while True:
            note = _note(turn.header, turn.writer, ending)
            reply = self._store.complete(turn.header, turn.writer, ending, note)
            if not isinstance(reply, Refusal) or reply.reason != "moved" or reply.header is None:
                break
            turn.header.parent = reply.header.parent  # somebody began to wait for this end meanwhile
        if isinstance(reply, Refusal):
            if reply.reason == "cancelled" and reply.header is not None:
                return reply.header
            return self.make_way(f"could not complete: {reply.reason}")
        if note is not None:
            send_told(self._backend, note, self._backend.clock.now())
        if reply.status == ending.status:  # a store may put large values elsewhere, and does not read them back
            reply.result, reply.error = ending.result, ending.error
        return reply

    def renew(self, payload: str) -> Header:
        """Starts the next generation. Entries that came meanwhile belong to it, so they must be counted."""
        turn, now, limit = self._turn, self._backend.clock.now(), self._function.timeout_ms
        horizon = max(turn.header.horizon, first_horizon(now, turn.header.retention * 1000, limit))
        renewal = Renewal(
            payload,
            Segment(0, turn.writer, beginning(now, turn.custom)),
            tuple(turn.inbox.used),
            turn.closed_entries(),
            turn.seen,
            now,
            None if limit is None else now + limit,
            horizon,
            uncancelled=turn.cancel_scope.raised,
        )
        self._stamp(Snapshot("", 0, horizon), [])
        if any(event.kind == SIGNAL and event.status == SUCCEEDED for event in turn.pending):
            self._session.write(
                self._session.take()
            )  # if this is interrupted, the deleted entries must still count as read
        reply = self._store.renew(turn.header, turn.writer, renewal)
        if isinstance(reply, Refusal):
            return self._moved(reply, "continue as new")
        self._session.report(self._session.take())  # the next generation implies these
        wake(self._backend, reply, None)
        return reply

    def make_way(self, why: str) -> Header:
        """Suspends the execution for another invocation at once, if this one still owns it: the next need not wait for the
        lease. What this one did and did not write, it may have done: the next one writes a fence."""
        turn, now = self._turn, self._backend.clock.now()
        _log.info("execution %r makes way: %s", turn.header.id, why)
        acted = turn.progress is not Progress.NONE
        reason = failures.Failure("RuntimeError", f"made way for another invocation: {why}", "", None, None)
        error = failures.encode(reason) if acted else None
        parking = Parking(now, now, None, error, doubtful=acted, now=now)
        reply = self._store.suspend(turn.header, turn.writer, parking)
        if isinstance(reply, Header):
            wake(self._backend, reply, None)
            return reply
        return reply.header or turn.header

    def _hold(self, why: Exception) -> Header:
        """Holds the execution. The pending entries of this turn are not written."""
        turn = self._turn
        turn.pending.clear()
        snapshot = self._keep()
        fenced = turn.progress is Progress.NONE
        return hold(self._backend, turn.header, turn.writer, why, fenced=fenced, custom=turn.custom, snapshot=snapshot)

    # -- a wait ----------------------------------------------------------------------------------------------------

    def _park(self, outcome: Outcome) -> Header:
        """Suspends the execution, unless something unread is in the inbox."""
        turn = self._turn
        snapshot = self._keep()
        keep = turn.keep_at() if snapshot is None else keep_at(snapshot.horizon)
        if outcome.due is None or outcome.due > keep:  # the sweeper wakes it to renew its items: no message is needed
            due, hint, timer = keep, None, outcome.due or 0
        else:
            due, hint, timer = outcome.due, outcome.due, None
        # A yield has no condition: if something came, this invocation would go on, and begin a body with no time left.
        now = self._backend.clock.now()
        seen = turn.seen if due > now else None
        parking = Parking(due, hint, seen, custom=turn.custom, timer=timer, snapshot=snapshot, now=now)
        reply = self._store.suspend(turn.header, turn.writer, parking)
        if isinstance(reply, Refusal):
            return self._moved(reply, "suspend")
        wake(self._backend, reply, turn.header.hint)
        return reply

    def _moved(self, refusal: Refusal, what: str) -> Header:
        if refusal.reason == "moved" and refusal.header is not None:
            return refusal.header
        return self.make_way(f"could not {what}: {refusal.reason}")

    def _keep(self) -> Snapshot | None:
        """For a long execution: before its items are removed, copies its log into a few large ones. Inbox entries that have an
        older horizon get a later TTL by themselves."""
        turn, header, now = self._turn, self._turn.header, self._backend.clock.now()
        if keep_at(turn.log_horizon) > now:
            if turn.keep_at() <= now:
                self._stamp(Snapshot("", 0, header.horizon), [])
            return None
        loaded = self._store.load(header.key)
        if loaded is None:
            return None
        horizon = next_horizon(now, header.started, header.retention * 1000)
        snapshot = Snapshot(secrets.token_hex(4), turn.journal.next_seq, horizon)
        self._stamp(snapshot, packed_log([s for s in loaded.segments if s.seq < snapshot.base]))
        return snapshot

    def _stamp(self, snapshot: Snapshot, chunks: list[str]) -> None:
        """Writes the copy, and a later TTL for the inbox entries that would be removed before the snapshot's horizon."""
        turn, now = self._turn, self._backend.clock.now()
        due = snapshot.horizon if chunks else now // 1000 + SPARE_MS // 1000
        entries = [e for e in turn.inbox.entries.values() if 0 < e.horizon <= due]
        if chunks or entries:
            self._store.keep(turn.header, snapshot, chunks, entries)
            turn.inbox.stamp(entries, snapshot.horizon)


def _note(header: Header, writer: str, ending: Ending) -> ParentNotice | None:
    """The notice for the execution that waits for this one's end, if there is one."""
    if header.parent is None:
        return None
    from .calls import notice_of

    ended = replace(header, status=ending.status, result=ending.result, error=ending.error)
    return notice_of(ended, writer, ending.finished)
