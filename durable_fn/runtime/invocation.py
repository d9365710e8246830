"""One invocation of one execution: take the lease, load, run the handler, and store how that ended.

The protocol fixes the order of the requests and the meaning of each failed condition: see `log/header.py`.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ..backends.ports import Backend, BlobRefused, Loaded
from ..core.turn import STALL_LIMIT, Progress, Turn
from ..core.unwinding import Fenced, Held, Renewed, Suspension
from ..errors import (
    ExecutionCancelled,
    ExecutionTimedOut,
    FormatError,
    JournalDamaged,
    NonDeterminismError,
    RecordFailed,
    SerializationError,
)
from ..log import failures, origins
from ..log.damage import reading
from ..log.events import Segment, is_fence
from ..log.foreign import foreign
from ..log.header import Header, Refusal
from ..log.inbox import in_hand
from ..log.inputs import admitted
from ..log.journal import Journal
from ..log.pauses import OUTAGE_MS, pause_ms
from ..log.redrive import failed_operations, redrive_line
from ..log.requests import Ending, Lease
from ..log.retention import OF_FUNCTION
from ..log.writers import with_version
from ..types import ExecutionStatus, LambdaContext
from ..values.documents import from_outside
from . import metrics
from .executions import check_annotations, check_same, read_input, terms_of
from .holding import hold, prolonged
from .lambda_time import remaining_ms
from .outcome import Outcome, OutcomeWriter
from .session import Outage, Session, unstored
from .versions import code_version
from .wakes import send_wake

if TYPE_CHECKING:
    from ..core.function import DurableFunction
    from ..hooks import InvocationInfo

_log = logging.getLogger("durable_fn")


WAIT_IN_PLACE_MS: Final = 3000
"""A message that comes up to this much too early waits in place instead of being dropped."""
_RELOADS: Final = 20


class Invocation:
    """Runs executions of one function within one Lambda invocation. Each run has a fresh writer id: Lambda's asynchronous
    retries keep the request id, so that cannot be the writer."""

    read_only = False
    always_suspend = False
    in_order = False

    def __init__(self, function: DurableFunction[Any, Any], backend: Backend, context: LambdaContext) -> None:
        self.function = function
        self.backend = backend
        self.context = context
        self.hooks = (*backend.hooks, *function.hooks)
        self.writer = with_version(secrets.token_hex(6), code_version(function))
        self.info: InvocationInfo | None = None  # for hooks, if there are any
        self.header: Header  # the execution that is run, as far as it is known
        self._fenced = True  # whether an owner before is certain to write nothing more
        self.of_record = False  # whether the event source of a record waits for this invocation's answer
        self.raised: BaseException | None = None  # what the handler itself raised in this invocation, if it did

    def lease(self) -> Lease:
        """A lease for as long as the invocation can live, plus twice the difference that clocks may have."""
        now = self.backend.clock.now()
        return Lease(self.writer, now, now + self.remaining_ms() + 2 * self.backend.store.skew_ms, self.function.name)

    def remaining_ms(self) -> int:
        return remaining_ms(self.context)

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
        again = self._again(there) if self.of_record and there.status == "FAILED" else None
        if again is not None:
            return again
        now = self.backend.clock.now()
        if there.live and there.lease < now and there.reached(now):
            taken = self.resume(wanted.id)
            if isinstance(taken, Header):
                return taken
        return self.backend.store.get(wanted.id) or there

    def _again(self, there: Header) -> Header | None:
        """A record that was reported as failed has come again: redrives its execution. None for any other, and if another
        invocation was faster."""
        store, now = self.backend.store, self.backend.clock.now()
        loaded = None if there.foreign else store.load(there.key)
        if loaded is None or not is_reported(loaded.header):
            return None
        failure = failures.decode(loaded.header.error or failures.NOTHING)
        causes = failure.causes or failed_operations(loaded.segments)
        line = redrive_line(loaded.segments, None, now, failures.encode(replace(failure, causes=causes)))
        reply = store.revive(loaded.header, Segment(len(loaded.segments), self.writer, line), now)
        taken = self.resume(there.id) if isinstance(reply, Header) else None
        return taken if isinstance(taken, Header) else None

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
        """Runs turns until the execution has ended, is suspended, or another invocation owns it. Returns the header of then. An
        error of the journal is raised, after the lease is given back, so that nobody has to wait for its end."""
        self.header = header
        run = self._turns if not self.hooks else self._hooked
        return run(header, lease) if self.read_only or not metrics.wanted() else self._measured(run, header, lease)

    def _measured(self, run: Callable[[Header, Lease], Header], header: Header, lease: Lease) -> Header:
        measured, after = metrics.Run(header, lease.now), None
        try:
            after = run(header, lease)
            return after
        finally:
            measured.tell(after, self.writer)

    def _turns(self, header: Header, lease: Lease) -> Header:
        try:
            return self._run(header, lease)
        except (Exception, Outage) as error:
            cause = error.__cause__ or error if isinstance(error, Outage) else error
            if isinstance(cause, JournalDamaged):
                return self._hold(cause)
            self._give_back(cause)
            raise

    def _hold(self, why: JournalDamaged | FormatError) -> Header:
        """For a journal that this version cannot read: somebody may repair it, or another version may read it. Nothing of this
        turn is written."""
        header = self._limited(self.header)
        snapshot = prolonged(self.backend, header)
        return hold(self.backend, header, self.writer, why, fenced=self._fenced, snapshot=snapshot)

    def _give_back(self, error: BaseException) -> None:
        """Gives the lease back. If even that cannot be written, the lease lapses."""
        header, now = self.header, self.backend.clock.now()
        due = now + pause_ms(OUTAGE_MS, header.tries)
        _log.error("execution %r could not be written, and goes on in %d s: %s", header.id, (due - now) // 1000, error)
        failure = replace(failures.capture(error), data=None)
        try:
            reply = self.backend.store.release(header, self.writer, due, failures.encode(failure))
        except Exception as also:
            _log.warning("execution %r goes on when its lease is over: it could not be given back: %s", header.id, also)
            return
        if isinstance(reply, Header):
            send_wake(self.backend, reply, now)

    def _hooked(self, header: Header, lease: Lease) -> Header:
        from ..hooks import wrapped
        from . import hooking

        request_id = str(getattr(self.context, "aws_request_id", ""))
        self.info = info = hooking.invocation_info(header, lease.now, request_id)
        with wrapped(self.hooks, lambda hook: hook.invocation(info)):
            after = self._turns(header, lease)
            hooking.left(info, after, self.writer, self.raised)
        return after

    def _run(self, header: Header, lease: Lease) -> Header:
        dead = header.prev_lease != 0
        self._fenced = not (dead or header.doubtful)
        error = foreign(header)
        if error is not None:
            return self._hold(error)
        counts = set()
        for _ in range(_RELOADS):
            loaded = self._load(header)
            if loaded is None or not self._is_mine(loaded):
                return header
            with reading(loaded.header.id):
                turn = self._turn(loaded)
            self.header = turn.header
            counts.add(turn.header.n)
            if self.info is not None:
                from .hooking import TurnProgress

                self.info.follow(TurnProgress(turn, loaded.segments, header.prev_lease != 0))
            session = Session(turn, self.backend, lease.end, self.remaining_ms(), self.hooks)
            session.read_only, session.always_suspend = self.read_only, self.always_suspend
            session.activity.in_order = self.in_order
            settlement = OutcomeWriter(session, self.function)
            try:
                if not self._fenced:
                    if dead and turn.journal.fences >= STALL_LIMIT:
                        return settlement.end(_stalled(turn))
                    session.fence(dead=dead)
                    self._fenced = True
                header = self._settle(settlement, turn, self._handler(session, loaded.header))
            except Fenced as fenced:
                if not self._fenced:
                    continue  # the stale owner was faster: read again, fence again
                return settlement.make_way(str(fenced))
            if header.status != "RUNNING":
                return header
        if len(counts) == 1 and turn.seen > turn.header.n:
            return self._hold(_miscounted(turn))
        return settlement.make_way(f"the inbox of {header.id!r} moved {_RELOADS} times")

    def _is_mine(self, loaded: Loaded) -> bool:
        """Whether nobody ended it, or took it, since it was acquired: a tombstone that is read with the log fences nobody. The
        header may have been read before that came, so where the log ends with somebody else's fence it is read again."""
        there: Header | None = loaded.header
        last = loaded.tail[-1] if loaded.tail else None
        if last is not None and last.writer != self.writer and is_fence(last.body):
            there = self.backend.store.head(loaded.header.id)
        return there is not None and there.live and there.own == self.writer

    def _load(self, header: Header) -> Loaded | None:
        """Loads the journal; without a read if the header shows that it is empty."""
        if header.turns == 1 and header.n == 0 and header.prev_lease == 0 and header.input is not None:
            return Loaded(header, [], {})
        for attempt in range(_RELOADS):
            loaded = self.backend.store.load(header.key)
            if loaded is None:
                return None
            with reading(header.id):
                if _complete(loaded):
                    return loaded
            self.backend.clock.sleep(0.01 * 2 ** min(attempt, 6))  # a transaction's items become visible one by one
        raise JournalDamaged(
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
            terms=terms_of(self.backend),
        )

    def _limited(self, header: Header) -> Header:
        """Sets the function's own limits if the execution was started by name, without them."""
        if header.retention == OF_FUNCTION:
            header.retention = max(1, -(-self.function.retention_ms // 1000))
        if header.timeout_from is not None and self.function.timeout_ms is not None:
            header.deadline = header.timeout_from + self.function.timeout_ms
        return header

    def _handler(self, session: Session, header: Header) -> Outcome:
        """Runs the handler. If the turn was closed meanwhile, the reason counts, whatever the handler returns or raises."""
        turn, function = session.turn, self.function
        self.raised = None
        run: Callable[..., Any]
        if function.is_async:
            from .aio.context import run
        else:
            from .threads.context import run
        try:
            event = self._event(turn, header)
            value = run(session, function.__wrapped__, event, self.context)
        except (Exception, ExecutionCancelled) as error:
            return self._closed(turn) or self._raised(turn, error)
        except BaseException as error:
            # Suspended, fenced, cut off from the journal (a TaskGroup may have wrapped it), or the handler ends its
            # process (SystemExit, KeyboardInterrupt): that counts as a crash, and nothing more is committed.
            outcome = self._closed(turn)
            if outcome is None and failures.is_native_cancellation(error):
                return self._raised(turn, failures.own_cancellation(error))
            if outcome is None:
                raise
            return outcome
        return self._closed(turn) or self._returned(turn, value)

    def _event(self, turn: Turn, header: Header) -> Any:
        """The event, validated when the execution was started, or here. Raises SerializationError if it does not fit when it is
        first seen, and Held if it cannot be read later."""
        function, journal, what = self.function, turn.journal, f"the event for {self.function.name!r}"
        kept, text = journal.event, header.input or "null"
        new = kept is None and from_outside(text) is not None and not journal.records
        try:
            check_annotations(function, turn.terms)
            adapter = function.event_adapter
        except SerializationError as error:
            raise turn.hold(error) from error
        try:
            event = read_input(adapter, text if kept is None else kept, what, turn.terms)
        except SerializationError as error:
            if new:
                raise
            raise turn.hold(error) from error
        if new and not adapter.pure:
            turn.keep_event(event.text)
        return event.value

    def _closed(self, turn: Turn) -> Outcome | None:
        reason = turn.closed
        if reason is None:
            return None
        if isinstance(reason, Renewed):
            return self._renewed(turn, reason)
        if isinstance(reason, Suspension):
            return Outcome(None, due=reason.due)
        if isinstance(reason, NonDeterminismError):
            return Outcome(None, held=reason)
        if isinstance(reason, Held):
            return Outcome(None, held=reason.error)
        raise reason

    def _returned(self, turn: Turn, value: Any) -> Outcome:
        leftover = turn.leftover()
        if leftover is not None:
            return Outcome(None, held=leftover)
        what = f"the result of {self.function.name!r}"
        try:
            text = self.function.result_adapter.result(value, what, turn.terms)
            turn.check_size(text, what)
        except SerializationError as error:
            return self._raised(turn, error)
        if not self.function.envelope and _names_a_failure(value):
            return self._raised(
                turn, RecordFailed("the handler reported its record in batchItemFailures"), reported=True
            )
        if turn.timed_out:
            return self._raised(turn, ExecutionTimedOut("execution_timeout passed; the handler went on and returned"))
        return Outcome(self._ending(turn, "SUCCEEDED", result=text))

    def _raised(self, turn: Turn, error: Exception | ExecutionCancelled, *, reported: bool = False) -> Outcome:
        """If the handler of a record fails before it did anything durable, the record is reported as failed, as without a
        decorator."""
        leftover = turn.leftover()
        if leftover is not None:
            return Outcome(None, held=leftover)
        self.raised = error
        told = failures.capture(error)
        cancelled = isinstance(error, ExecutionCancelled)
        did_something = turn.progress is Progress.WORKED or turn.pending or turn.journal.records
        reported = reported or (self.of_record and not cancelled and not did_something)
        failure = failures.encode(replace(told, causes=origins.origins_of(turn, error), reported=reported))
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
        return Outcome(None, held=leftover) if leftover is not None else Outcome(None, renewal=renewed)

    # -- how it stands ---------------------------------------------------------------------------------------------

    def _settle(self, settlement: OutcomeWriter, turn: Turn, outcome: Outcome) -> Header:
        try:
            if outcome.renewal is not None:
                return self._renew(settlement, turn, outcome.renewal)
            return settlement.settle(outcome)
        except BlobRefused as refused:
            turn.closed = None
            return settlement.settle(self._raised(turn, unstored(self.function.name, refused)))

    def _renew(self, settlement: OutcomeWriter, turn: Turn, renewed: Renewed) -> Header:
        """Starts the next generation. If that could not read the payload, the execution fails."""
        function, what = self.function, f"the payload for {self.function.name!r}"
        try:
            text = admitted(function.event_adapter, renewed.payload, what, turn.terms).text
            turn.check_size(text, what)
        except SerializationError as error:
            turn.closed = None
            return settlement.settle(self._raised(turn, error))
        return settlement.renew(text)


def _complete(loaded: Loaded) -> bool:
    """Whether every inbox entry that the header counts was read."""
    header, missing = loaded.header, loaded.header.n - loaded.header.gone - len(loaded.inbox)
    return missing <= 0 or in_hand(loaded.inbox, Journal(loaded.segments).used) + header.gone >= header.n


def _miscounted(turn: Turn) -> JournalDamaged:
    """No condition on the count would ever hold, so each owner would make way for the next at once."""
    return JournalDamaged(
        f"the header of execution {turn.header.id!r} counts {turn.header.n} inbox entries, and {turn.seen} are there: it was "
        "changed by something else. Restore `n`, or terminate the execution"
    )


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


def is_reported(header: Header) -> bool:
    """Whether it ended with its record reported as failed, so that it goes on when the record comes again."""
    if header.foreign or header.status != "FAILED" or header.error is None:
        return False
    return failures.decode(header.error).reported


def _names_a_failure(value: Any) -> bool:
    failed = value.get("batchItemFailures") if isinstance(value, dict) and len(value) == 1 else None
    return isinstance(failed, list) and bool(failed)
