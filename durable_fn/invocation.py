"""One invocation of one execution: take the lease, load, run the handler, and write down how it stands.

The order of requests and what a failed condition means are the protocol's; its table is the map of this file.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .core import failures
from .core.header import Ending, Header, Lease, Parking, Refusal
from .core.hint import Hint
from .core.journal import Journal
from .core.turn import STALL_LIMIT, Fenced, Suspension, Turn
from .errors import NonDeterminismError, SerializationError
from .fronts.session import Session
from .ports import Backend, Loaded
from .types import LambdaContext

if TYPE_CHECKING:
    from .handler import DurableFunction

_log = logging.getLogger("durable_fn")

WAIT_IN_PLACE_MS: Final = 3000
"""A message that comes this much too early, or finds a lease that ends so soon, waits instead of being lost."""
_FIRST_STRIKE_MS: Final = 30_000
_LONGEST_STRIKE_MS: Final = 3_600_000
_RELOADS: Final = 20


class Outcome(NamedTuple):
    """How the handler's run ended. `ending` None: it waits, and `due` says for what time."""

    ending: Ending | None
    due: int | None = None
    error: BaseException | None = None
    value: Any = None
    strikes: int = 0


class Invocation:
    """Runs executions of one function within one Lambda invocation. Each has a fresh writer id: Lambda's asynchronous
    retries keep the request id, so that is never the writer."""

    def __init__(self, function: DurableFunction[Any, Any], backend: Backend, context: LambdaContext) -> None:
        self.function = function
        self.backend = backend
        self.context = context
        self.writer = secrets.token_hex(6)
        self.raised: BaseException | None = None  # what the handler itself raised in this invocation, if it did

    def lease(self) -> Lease:
        """As long as the invocation can live, and twice the clocks' disagreement on top."""
        now = self.backend.clock.now()
        return Lease(self.writer, now, now + self.remaining_ms() + 2 * self.backend.store.skew_ms)

    def remaining_ms(self) -> int:
        return max(0, int(self.context.get_remaining_time_in_millis()))

    # -- entries ---------------------------------------------------------------------------------------------------

    def start(self, wanted: Header) -> Header:
        """A direct start: header and lease in one write. An id in use attaches to what is there."""
        from .starting import check_same

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
        took_over = header.prev_lease != 0
        for _ in range(_RELOADS):
            loaded = self._load(header)
            if loaded is None:
                return header
            turn = self._turn(loaded)
            session = Session(turn, self.backend, lease.end, self.remaining_ms())
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
            if loaded is None or len(loaded.inbox) + loaded.header.gone >= loaded.header.n:
                return loaded
            self.backend.clock.sleep(0.01 * 2 ** min(attempt, 6))  # a transaction shows its items one by one
        raise RuntimeError(
            f"the inbox of execution {header.id!r} stays incomplete: an entry that it counts is not there"
        )

    def _turn(self, loaded: Loaded) -> Turn:
        return Turn(
            loaded.header,
            Journal(loaded.segments),
            self.writer,
            self.backend.clock.now,
            step_retry=self.function.step_retry,
            in_hand=len(loaded.inbox),
            max_body=self.backend.store.max_body,
        )

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
        except Exception as error:
            return self._closed(turn) or self._raised(turn, error)
        except BaseException:
            # Suspended, fenced, cut off from the journal (a TaskGroup may have wrapped it), or the handler ends its
            # process (SystemExit, KeyboardInterrupt): that is like a death, nothing more is committed.
            outcome = self._closed(turn)
            if outcome is None:
                raise
            return outcome
        return self._closed(turn) or self._returned(turn, value)

    def _closed(self, turn: Turn) -> Outcome | None:
        reason = turn.closed
        if reason is None:
            return None
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
        return Outcome(Ending("SUCCEEDED", self.backend.clock.now(), result=text))

    def _raised(self, turn: Turn, error: Exception) -> Outcome:
        leftover = turn.leftover()
        if leftover is not None:
            return self._mismatched(turn, leftover)
        self.raised = error
        failure = failures.encode(failures.capture(error, keep_state=False))
        return Outcome(Ending("FAILED", self.backend.clock.now(), error=failure))

    # -- how it stands ---------------------------------------------------------------------------------------------

    def _settle(self, session: Session, outcome: Outcome) -> Header:
        if outcome.ending is None:
            session.write(session.take())
            return self._park(session, outcome)
        session.write([] if session.turn.only_woke() else session.take())
        return self._end(session, outcome.ending)

    def _end(self, session: Session, ending: Ending) -> Header:
        turn = session.turn
        reply = self.backend.store.complete(turn.header, turn.writer, ending)
        if isinstance(reply, Refusal):
            return self._fenced(session, f"could not complete: {reply.reason}")
        return reply

    def _park(self, session: Session, outcome: Outcome) -> Header:
        """Suspends; a moved inbox means something arrived: RUNNING comes back, and the turn is run again."""
        turn = session.turn
        error = None
        if outcome.error is not None:
            error = failures.encode(failures.capture(outcome.error, keep_state=False))
        parking = Parking(outcome.due, outcome.due, turn.in_hand + turn.header.gone, error, outcome.strikes)
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

    def _hint(self, header: Header, already: int | None) -> None:
        """Sent after the state is written, and once per due time: a message for a time that is still ahead is out."""
        if header.due is None:
            return
        now = self.backend.clock.now()
        if already == header.due and header.due > now:
            return
        send_hint(self.backend, header, now)


def send_hint(backend: Backend, header: Header, now: int) -> None:
    """A hint may be lost, so failing to send one is no error: the sweeper finds the execution by its due time."""
    try:
        backend.wakeups.send(Hint(header.id, header.run, header.fn, header.due or now), now)
    except Exception:
        _log.warning("no wake-up could be sent for execution %r; the sweeper will", header.id, exc_info=True)


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
