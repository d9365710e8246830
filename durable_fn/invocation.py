"""One invocation of one execution: take the lease, load, run the handler, and write down how it stands.

The order of requests and what a failed condition means are the protocol's; its table is the map of this file.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .core import causes, failures
from .core.events import beginning
from .core.header import Ending, Header, Lease, Note, Parking, Refusal, Renewal
from .core.hint import Hint
from .core.inbox import in_hand
from .core.journal import Journal, Segment
from .core.retention import OF_FUNCTION, SPARE_MS, Edition, first_horizon, folded, keep_at, next_horizon
from .core.turn import STALL_LIMIT, Fenced, Renewed, Suspension, Turn
from .errors import ExecutionCancelled, ExecutionTimedOut, NonDeterminismError, SerializationError
from .fronts.session import Session
from .hints import send, send_hint
from .launching import note_of
from .ports import Backend, Loaded
from .starting import check_same
from .types import ExecutionStatus, LambdaContext

if TYPE_CHECKING:
    from .handler import DurableFunction
    from .hooks import InvocationInfo

_log = logging.getLogger("durable_fn")

WAIT_IN_PLACE_MS: Final = 3000
"""A message that comes this much too early, or finds a lease that ends so soon, waits instead of being lost."""
_FIRST_STRIKE_MS: Final = 30_000
_LONGEST_STRIKE_MS: Final = 3_600_000
_RELOADS: Final = 20


class Outcome(NamedTuple):
    """How the handler's run ended. `ending` None: it waits, and `due` says for what time; `renewal`: what it goes on with as the
    next generation."""

    ending: Ending | None
    due: int | None = None
    error: BaseException | None = None
    strikes: int = 0
    renewal: Renewed | None = None


class Invocation:
    """Runs executions of one function within one Lambda invocation. Each has a fresh writer id: Lambda's asynchronous
    retries keep the request id, so that is never the writer."""

    read_only = False
    always_suspend = False

    def __init__(self, function: DurableFunction[Any, Any], backend: Backend, context: LambdaContext) -> None:
        self.function = function
        self.backend = backend
        self.context = context
        self.hooks = (*backend.hooks, *function.hooks)
        self.writer = secrets.token_hex(6)
        self.info: InvocationInfo | None = None  # for hooks, if there are any
        self.raised: BaseException | None = None  # what the handler itself raised in this invocation, if it did

    def lease(self) -> Lease:
        """As long as the invocation can live, and twice the clocks' disagreement on top."""
        now = self.backend.clock.now()
        return Lease(self.writer, now, now + self.remaining_ms() + 2 * self.backend.store.skew_ms, self.function.name)

    def remaining_ms(self) -> int:
        return max(0, int(self.context.get_remaining_time_in_millis()))

    # -- entries ---------------------------------------------------------------------------------------------------

    def start(self, wanted: Header) -> Header:
        """A direct start: header and lease in one write. An id in use attaches to what is there."""
        lease = self.lease()
        wanted.status, wanted.own, wanted.lease, wanted.turns = "RUNNING", lease.writer, lease.end, 1
        wanted.due = lease.end + 1
        reply = self.backend.store.create(wanted)
        if isinstance(reply, Header) and reply.own == self.writer:
            return self.run(reply, lease)
        there = reply if isinstance(reply, Header) else reply.header
        assert there is not None
        check_same(self.backend, there, wanted, self.function.event_adapter)
        now = self.backend.clock.now()
        if there.live and there.lease < now and (there.due or now + 1) <= now:
            taken = self.resume(wanted.id)
            if isinstance(taken, Header):
                return taken
        return self.backend.store.get(wanted.id) or there

    def resume(self, id: str) -> Header | Refusal:
        """Takes the execution and goes on with it. A Refusal says why there is nothing to do."""
        while True:
            lease = self.lease()
            reply = self.backend.store.acquire(id, lease)
            if isinstance(reply, Header):
                return self.run(reply, lease)
            wait = self._worth_waiting(reply, lease.now)
            if wait is None:
                return reply
            self.backend.clock.sleep(wait / 1000)

    def _worth_waiting(self, refusal: Refusal, now: int) -> int | None:
        header = refusal.header
        if header is None or refusal.reason != "early" or header.due is None:
            return None
        wait = header.due - now
        return wait if 0 < wait <= WAIT_IN_PLACE_MS and wait * 2 < self.remaining_ms() else None

    # -- a turn ----------------------------------------------------------------------------------------------------

    def run(self, header: Header, lease: Lease) -> Header:
        """Turns until the execution is finished, parked, or somebody else's. Returns the header as it then stands."""
        if not self.hooks:
            return self._run(header, lease)
        from .fronts import hooking
        from .hooks import wrapped

        self.info = info = hooking.invocation_info(header, lease.now, str(self.context.aws_request_id))
        with wrapped(self.hooks, lambda hook: hook.invocation(info)):
            after = self._run(header, lease)
            hooking.left(info, after, self.writer, self.raised)
        return after

    def _run(self, header: Header, lease: Lease) -> Header:
        took_over = header.prev_lease != 0
        for _ in range(_RELOADS):
            loaded = self._load(header)
            if loaded is None:
                return header
            turn = self._turn(loaded)
            if self.info is not None:
                from .fronts.hooking import TurnProgress

                self.info.follow(TurnProgress(turn, loaded.segments, header.prev_lease != 0))
            session = Session(turn, self.backend, lease.end, self.remaining_ms(), self.hooks)
            session.read_only, session.always_suspend = self.read_only, self.always_suspend
            try:
                if took_over:
                    if turn.journal.fences >= STALL_LIMIT:
                        return self._end(session, _stalled(turn))
                    session.fence()
                    took_over = False
                outcome = self._handler(session, loaded.header)
                header = self._settle(session, outcome)
            except Fenced as fenced:
                if took_over:
                    continue  # the stale owner was faster: read again, fence again
                return self._fenced(session, str(fenced))
            if header.status != "RUNNING":
                return header
        return self._fenced(session, f"the inbox of {header.id!r} moved {_RELOADS} times")

    def _load(self, header: Header) -> Loaded | None:
        """No read where the header shows that nothing can be there yet."""
        if header.turns == 1 and header.n == 0 and header.prev_lease == 0 and header.input is not None:
            return Loaded(header, [], {})
        for attempt in range(_RELOADS):
            loaded = self.backend.store.load(header.key)
            if loaded is None or _complete(loaded):
                return loaded
            self.backend.clock.sleep(0.01 * 2 ** min(attempt, 6))  # a transaction shows its items one by one
        raise RuntimeError(
            f"the inbox of execution {header.id!r} stays incomplete: an entry that it counts is not there"
        )

    def _turn(self, loaded: Loaded) -> Turn:
        return Turn(
            self._limited(loaded.header),
            Journal(loaded.segments),
            self.writer,
            self.backend.clock.now,
            step_retry=self.function.step_retry,
            entries=loaded.inbox,
            max_body=self.backend.store.max_body,
            fits=self.backend.store.fits,
            log_horizon=loaded.horizon,
        )

    def _limited(self, header: Header) -> Header:
        """With the function's own limits where who started it, by name, did not know them."""
        if header.retention == OF_FUNCTION:
            header.retention = max(1, -(-self.function.retention_ms // 1000))
        if header.deadline is not None and header.deadline < 0:
            limit = self.function.timeout_ms
            header.deadline = None if limit is None else limit - header.deadline
        return header

    def _handler(self, session: Session, header: Header) -> Outcome:
        """Runs the handler; whatever it returns or raises, a turn that was closed meanwhile says how it ended."""
        turn, function = session.turn, self.function
        self.raised = None
        run: Callable[..., Any]
        if function.is_async:
            from .fronts.aio import run
        else:
            from .fronts.sync import run
        try:
            event = function.event_adapter.decode(header.input or "null", f"the event for {function.name!r}")
            value = run(session, function.__wrapped__, event, self.context)
        except (Exception, ExecutionCancelled) as error:
            return self._closed(turn) or self._raised(turn, error)
        except BaseException as error:
            # Suspended, fenced, cut off from the journal (a TaskGroup may have wrapped it), or the handler ends its
            # process (SystemExit, KeyboardInterrupt): that is like a death, nothing more is committed.
            outcome = self._closed(turn)
            if outcome is None and failures.is_native_cancellation(error):
                return self._raised(turn, failures.own_cancellation(error))
            if outcome is None:
                raise
            return outcome
        return self._closed(turn) or self._returned(turn, value)

    def _closed(self, turn: Turn) -> Outcome | None:
        reason = turn.closed
        if reason is None:
            return None
        if isinstance(reason, Renewed):
            return self._renewed(turn, reason)
        if isinstance(reason, Suspension):
            return Outcome(None, due=reason.due)
        if isinstance(reason, NonDeterminismError):
            return self._mismatched(turn, reason)
        raise reason

    def _mismatched(self, turn: Turn, error: NonDeterminismError) -> Outcome:
        """Stays suspended with the error shown, and is tried again later: a fixed deployment picks it up."""
        turn.pending.clear()
        strikes = turn.header.strikes + 1
        delay = min(_FIRST_STRIKE_MS * 2 ** (strikes - 1), _LONGEST_STRIKE_MS) if strikes < 20 else _LONGEST_STRIKE_MS
        _log.error("%s", error)
        return Outcome(None, due=self.backend.clock.now() + delay, error=error, strikes=strikes)

    def _returned(self, turn: Turn, value: Any) -> Outcome:
        leftover = turn.leftover()
        if leftover is not None:
            return self._mismatched(turn, leftover)
        what = f"the result of {self.function.name!r}"
        try:
            text = self.function.result_adapter.encode(value, what)
            turn.check_size(text, what)
        except SerializationError as error:
            return self._raised(turn, error)
        if turn.timed_out:
            return self._raised(turn, ExecutionTimedOut("execution_timeout passed; the handler went on and returned"))
        return Outcome(self._ending(turn, "SUCCEEDED", result=text))

    def _raised(self, turn: Turn, error: Exception | ExecutionCancelled) -> Outcome:
        leftover = turn.leftover()
        if leftover is not None:
            return self._mismatched(turn, leftover)
        self.raised = error
        told = failures.capture(error, keep_state=False)
        failure = failures.encode(replace(told, causes=causes.behind(turn, error)))
        cancelled = isinstance(error, ExecutionCancelled)
        return Outcome(
            self._ending(turn, "TIMED_OUT" if turn.timed_out else "CANCELLED" if cancelled else "FAILED", error=failure)
        )

    def _ending(
        self, turn: Turn, status: ExecutionStatus, *, result: str | None = None, error: str | None = None
    ) -> Ending:
        return Ending(
            status, self.backend.clock.now(), result, error, turn.header.cancel, turn.custom, turn.header.retention
        )

    def _renewed(self, turn: Turn, renewed: Renewed) -> Outcome:
        leftover = turn.leftover()
        return self._mismatched(turn, leftover) if leftover is not None else Outcome(None, renewal=renewed)

    # -- how it stands ---------------------------------------------------------------------------------------------

    def _settle(self, session: Session, outcome: Outcome) -> Header:
        if outcome.renewal is not None:
            return self._renew(session, outcome.renewal)
        if outcome.ending is None:
            session.write(session.take())
            return self._park(session, outcome)
        session.turn.report_batches()
        unwritten = session.take() if session.turn.only_woke() else []
        session.write(session.take())
        after = self._end(session, outcome.ending)
        if not after.live and after.own == self.writer:
            session.report(unwritten)  # the end of the execution says that they are over
        return after

    def _end(self, session: Session, ending: Ending) -> Header:
        """Completes. A cancel that came meanwhile is looked at first: RUNNING comes back, and the turn is run again."""
        turn = session.turn
        while True:
            note = _note(turn.header, turn.writer, ending)
            reply = self.backend.store.complete(turn.header, turn.writer, ending, note)
            if not isinstance(reply, Refusal) or reply.reason != "moved" or reply.header is None:
                break
            turn.header.parent = reply.header.parent  # somebody began to wait for this end meanwhile
        if isinstance(reply, Refusal):
            if reply.reason == "cancelled" and reply.header is not None:
                return reply.header
            return self._fenced(session, f"could not complete: {reply.reason}")
        if note is not None:
            waiting = Hint(note.waiting.id, note.waiting.run, note.fn, note.now)
            send(self.backend, waiting, self.backend.clock.now())
        if reply.status == ending.status:  # a store may keep large values elsewhere, and does not read them back
            reply.result, reply.error = ending.result, ending.error
        return reply

    def _renew(self, session: Session, renewed: Renewed) -> Header:
        """The next generation. What came meanwhile goes along, so it must be counted: the turn is run again."""
        turn, function, now = session.turn, self.function, self.backend.clock.now()
        what = f"the payload for {function.name!r}"
        try:
            text = function.event_adapter.encode(renewed.payload, what)
            function.event_adapter.decode(text, what)
            turn.check_size(text, what)
        except SerializationError as error:
            turn.closed = None
            return self._settle(session, self._raised(turn, error))
        limit = function.timeout_ms
        horizon = max(turn.header.horizon, first_horizon(now, turn.header.retention * 1000, limit))
        renewal = Renewal(
            text,
            Segment(0, turn.writer, beginning(now, turn.custom)),
            tuple(turn.inbox.used),
            turn.closed_entries(),
            turn.seen,
            now,
            None if limit is None else now + limit,
            horizon,
            uncancelled=turn.branch.raised,
        )
        self._stamp(turn, Edition("", 0, horizon), [])
        reply = self.backend.store.renew(turn.header, turn.writer, renewal)
        if isinstance(reply, Refusal):
            if reply.reason == "moved" and reply.header is not None:
                return reply.header
            return self._fenced(session, f"could not continue as new: {reply.reason}")
        session.report(session.take())  # that there is a next generation says that these are over
        self._hint(reply, already=None)
        return reply

    def _park(self, session: Session, outcome: Outcome) -> Header:
        """Suspends; a moved inbox means something arrived: RUNNING comes back, and the turn is run again."""
        turn = session.turn
        error = None
        if outcome.error is not None:
            error = failures.encode(failures.capture(outcome.error, keep_state=False))
        edition = self._keep(turn)
        keep = turn.keep_at() if edition is None else keep_at(edition.horizon)
        if outcome.due is None or outcome.due > keep:  # it is only to be woken so that its items live on: no message
            due, hint, timer = keep, None, outcome.due or 0
        else:
            due, hint, timer = outcome.due, outcome.due, None
        # A yield waits for nothing: to go on in this invocation because something came would begin a body with no time left.
        seen = turn.seen if due > self.backend.clock.now() else None
        parking = Parking(due, hint, seen, error, outcome.strikes, turn.custom, timer, edition)
        reply = self.backend.store.suspend(turn.header, turn.writer, parking)
        if isinstance(reply, Refusal):
            if reply.reason == "moved" and reply.header is not None:
                return reply.header
            return self._fenced(session, f"could not suspend: {reply.reason}")
        self._hint(reply, already=turn.header.hint)
        return reply

    def _fenced(self, session: Session, why: str) -> Header:
        """Makes way. If the header still says that this invocation owns it, the next one need not wait for the lease."""
        _log.info("execution %r makes way: %s", session.turn.header.id, why)
        turn, now = session.turn, self.backend.clock.now()
        reply = self.backend.store.suspend(turn.header, turn.writer, Parking(now, now, None))
        if isinstance(reply, Header):
            self._hint(reply, already=None)
            return reply
        return reply.header or turn.header

    def _keep(self, turn: Turn) -> Edition | None:
        """An execution that lives long writes its log anew before it is removed, large items of few; what came late from
        outside, with the stamp of an older horizon, is stamped by itself."""
        header, now = turn.header, self.backend.clock.now()
        if keep_at(turn.log_horizon) > now:
            if turn.keep_at() <= now:
                self._stamp(turn, Edition("", 0, header.horizon), [])
            return None
        loaded = self.backend.store.load(header.key)
        if loaded is None:
            return None
        horizon = next_horizon(now, header.started, header.retention * 1000)
        edition = Edition(secrets.token_hex(4), turn.journal.next_seq, horizon)
        self._stamp(turn, edition, folded([s for s in loaded.segments if s.seq < edition.base]))
        return edition

    def _stamp(self, turn: Turn, edition: Edition, chunks: list[str]) -> None:
        """The entries that would not last until the edition's horizon, and the copy."""
        now = self.backend.clock.now()
        due = edition.horizon if chunks else now // 1000 + SPARE_MS // 1000
        entries = [e for e in turn.inbox.entries.values() if 0 < e.horizon <= due]
        if chunks or entries:
            self.backend.store.keep(turn.header, edition, chunks, entries)
            turn.inbox.stamp(entries, edition.horizon)

    def _hint(self, header: Header, already: int | None) -> None:
        """Sent after the state is written, and once per due time: a message for a time that is still ahead is out."""
        if header.due is None or header.timer is not None:
            return
        now = self.backend.clock.now()
        if already == header.due and header.due > now:
            return
        send_hint(self.backend, header, now)


def _complete(loaded: Loaded) -> bool:
    """Whether all that the header counts is in hand."""
    header, missing = loaded.header, loaded.header.n - loaded.header.gone - len(loaded.inbox)
    return missing <= 0 or in_hand(loaded.inbox, Journal(loaded.segments).used) + header.gone >= header.n


def _note(header: Header, writer: str, ending: Ending) -> Note | None:
    """For the execution that waits for this one's end."""
    if header.parent is None:
        return None
    ended = replace(header, status=ending.status, result=ending.result, error=ending.error)
    return note_of(ended, writer, ending.finished)


def _stalled(turn: Turn) -> Ending:
    records = list(turn.journal.records)
    after = f"after {records[-1]!r}" if records else "at its beginning"
    failure = failures.Failure(
        "durable_fn.errors.ExecutionStalled",
        f"{turn.journal.fences} invocations in a row died {after} without recording anything: most likely a step needs "
        "more time or memory than the function has. Raise the function's limits or split the step, then start it again",
        "",
        None,
        None,
    )
    return Ending("FAILED", turn.time(), error=failures.encode(failure))
