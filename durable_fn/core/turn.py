"""One invocation's view of an execution: its journal, what it has not committed yet, and how it stands."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from ..errors import NonDeterminismError, PayloadTooLarge, SerializationError
from ..log import origins
from ..log.draws import derived, drawn, seed_of
from ..log.events import BEGUN, EVENT_ID, NO_PLACE, RETRY, RETURNED, STATUS_ID, SUCCEEDED, WALKED_ID, Event
from ..log.header import Header
from ..log.inbox import CANCEL, Entry, Inbox, of_generation
from ..log.journal import Journal, Record, signal_key
from ..log.kinds import NATIVE, SLEEP
from ..log.retention import keep_at
from ..log.undone import Rollback
from ..log.unread import unread
from ..values.terms import STRICT, Terms
from .cancel_scope import Cancellation, CancelScope
from .retry import DEFAULT_RETRY, Retry
from .walks import Place, Walks

if TYPE_CHECKING:
    from ..batch import BatchResult

_log = logging.getLogger("durable_fn")


class Front(Protocol):
    """Who moves an async handler. A `def` handler moves itself."""

    def unshielded(self) -> None:
        """A shielded block is over."""

    def replays(self) -> bool:
        """Whether the handler has not come to the end of what is recorded."""

    def commits_before_a_body(self) -> None:
        """What is pending now is durable before anything happens outside."""

    def looked_at_time(self) -> None:
        """What the handler does next may depend on the time."""

    def leftover(self) -> NonDeterminismError | None:
        """The error of a handler that ended without asking for everything that is recorded."""


class Called(Protocol):
    """An operation: see `core/scope.py`."""

    id: str
    kind: str
    position: int
    asked: str
    begun: bool
    number: int
    record: Record | None

    @property
    def scope(self) -> Place:
        """That called it."""


class Suspension(BaseException):
    """Unwinds a handler that waits, or whose invocation must make way. Not an Exception: user code must not catch it."""

    def __init__(self, why: str, due: int | None = None) -> None:
        super().__init__(why)
        self.due = due


class Renewed(Suspension):
    """The handler goes on as the next generation, with another payload."""

    walked_again = False

    def __init__(self, payload: object) -> None:
        super().__init__("continues as new")
        self.payload = payload


class Fenced(BaseException):
    """Another invocation owns the execution now. Nothing more is committed here."""


class Held(BaseException):
    """Something recorded, which the handler saw before, cannot be read now. It is not raised in the handler, which would take
    another way: the execution waits for code or a configuration that reads it. Nothing more is committed here."""

    def __init__(self, error: SerializationError) -> None:
        super().__init__(str(error))
        self.error = error


class Progress(IntEnum):
    """What a turn has done that stays."""

    NONE = 0
    ACTED = 1
    """A body began, or another execution was written to."""
    WORKED = 2
    """A segment was written, or something that counts as one: an invocation that makes way now has not run in vain."""


R = TypeVar("R", bound=BaseException)


class Turn:
    """Pure state. `time` is the only thing from outside: it tells epoch milliseconds."""

    def __init__(
        self,
        header: Header,
        journal: Journal,
        writer: str,
        time: Callable[[], int],
        step_retry: Retry = DEFAULT_RETRY,
        entries: dict[str, Entry] | None = None,
        max_body: int = 380_000,
        fits: Callable[[str], bool] | None = None,
        log_horizon: int = 0,
        terms: Terms = STRICT,
    ) -> None:
        self.terms = terms  # on which values are stored
        self.log_horizon = log_horizon or header.horizon  # epoch seconds: the earliest stamp in the log and the input
        self.header = header
        self.journal = journal
        self.writer = writer
        self.time = time
        self.step_retry = step_retry
        self.inbox = Inbox(entries if entries is not None else {}, journal.used)
        self.max_body = max_body
        self.fits = fits
        self.pending: list[Event] = []
        self.flying: list[Event] = []  # that are being written
        self.chosen: set[Event] = (
            set()
        )  # pending ones that a death could make otherwise: who was first in a `def` handler, what was drawn
        self.lock: AbstractContextManager[Any] = nullcontext()  # where branches run on threads: a lock of theirs
        self.deadline = 0  # epoch milliseconds: when the invocation ends
        self.progress = Progress.NONE
        self.took_over = False  # from an owner that died, or gave the execution back
        self.closed: BaseException | None = None  # what every further durable call raises: see `close`
        self.cancel_scope = CancelScope()
        self.started = journal.origin or journal.generation or header.started  # journal time begins then
        self.walks = Walks(journal)
        self.at = max(self.started, journal.resumed)
        self.last_now = 0  # the latest time that `now` has given the handler
        self.patches: dict[str, bool] = {}
        self.seed: str | None = None  # of what is drawn; made of the header when it is first needed
        self.tasks: dict[str, int] = {}  # native tasks that each scope has started, by its trail
        self.asked: dict[str, str] = {}  # native tasks that asked for an operation with a key, by its id
        self.sequential = False  # the operations of a scope come one after the other: a `def` handler
        self.context: Any = None  # the handler's
        self.shields = 0  # shielded blocks that run
        self.custom = journal.custom  # what `set_status` said last
        self.said: str | None = None  # what it said last while an async handler was replayed
        self.batches: list[BatchResult[Any]] = []
        self.front: Front | None = None
        self.notice()

    def replays(self, scope: Place | None = None) -> bool:
        """Whether the code runs over what is recorded; in a `def` handler each scope does for itself."""
        if self.front is not None:
            return self.front.replays()
        return not self.journal.over if scope is None else self.walks.walked(scope)

    def notice(self) -> None:
        """A cancellation that is in hand, or a deadline that is over, is raised at the handler's next live operation."""
        if self.header.cancel:
            asked = self.inbox.last(CANCEL)
            self.cancel_scope.cancel(Cancellation("cancelled", asked.body or None if asked is not None else None))
        elif self.late:
            self.cancel_scope.cancel(Cancellation("timed out", None))

    def look_at_deadline(self) -> None:
        if self.cancel_scope.cancellation is None and self.late:
            self.notice()

    @property
    def timed_out(self) -> bool:
        """Whether the execution's deadline was raised, whatever the handler made of it."""
        cancellation = self.cancel_scope.cancellation
        return cancellation is not None and cancellation.kind == "timed out" and self.cancel_scope.raised

    def closed_entries(self) -> tuple[str, ...]:
        """Keys of entries that no other generation reads."""
        return tuple(key for key in self.inbox.entries if of_generation(key))

    def keep_at(self) -> int:
        """Epoch milliseconds at which the first of the items in hand has to be stamped anew."""
        return keep_at(min([self.log_horizon, *(e.horizon for e in self.inbox.entries.values() if e.horizon)]))

    def report_batches(self) -> None:
        """Batches over their tolerance that nobody looked at."""
        for batch in self.batches:
            if batch.completion_reason_unseen == "FAILURE_TOLERANCE_EXCEEDED":
                _log.error("execution %r ends without having looked at a failed batch: %r", self.header.id, batch)

    @property
    def next_deadline(self) -> int | None:
        """Until it was raised."""
        return None if self.cancel_scope.cancellation is not None else self.header.deadline

    @property
    def late(self) -> bool:
        return self.header.deadline is not None and self.time() >= self.header.deadline

    @property
    def seen(self) -> int:
        """Inbox entries in hand and gone: what the header's count must be for a decision from absence."""
        return self.inbox.count + self.header.gone

    def record(self, op: Called, status: str, attempt: int = 1, *, due: int = 0, value: str = "") -> Event:
        """Adds an event to what the next commit writes."""
        event = self.draft(op, status, attempt, due=due, value=value)
        self.pending.append(event)
        self.recorded(op, event)
        return event

    def draft(self, op: Called, status: str, attempt: int = 1, *, due: int = 0, value: str = "") -> Event:
        """An event that no commit writes by itself."""
        return Event(op.id, op.kind, op.position, status, attempt, self.time(), due, value, op.asked)

    def recorded(self, op: Called, event: Event) -> None:
        if event.status == BEGUN:
            op.begun = True
        op.scope.reached = max(op.scope.reached, op.number)
        if self.front is None and op.scope.cancel_scope is not self.cancel_scope:
            op.record = self.journal.remember(event)  # a branch may be walked again in this turn

    def choose(self, scope: Place, event: Event) -> None:
        """What this entry says might have come otherwise, where branches run beside each other: nothing may follow from it before
        it is durable."""
        if self.front is None and scope.cancel_scope is not self.cancel_scope:
            self.chosen.add(event)

    def drew(self, event: Event) -> None:
        """Code of the user's had a part in what this entry says (a default that is drawn, a validator), and would say something
        else the next time: nothing may follow from it before it is durable."""
        if self.front is None:
            self.chosen.add(event)
        else:
            self.front.commits_before_a_body()

    def give_back(self, branch: str) -> None:
        """The signals that a losing branch took and did nothing with, oldest first. They are unread when that is on its way to
        the log, not before."""
        with self.lock:
            for record in unread(self.journal, f"{branch}/"):
                assert record.done is not None
                event = Event(record.id, record.kind, record.position, RETURNED, 1, self.time(), 0, branch)
                self.pending.append(event)
                self.journal.remember(event)
                self.inbox.give_back(signal_key(record.done))

    def tell_walked(self) -> None:
        """How far code went that says something and recorded nothing behind it: the turn ends, and it is walked again."""
        for text in self.walks.untold():
            self.pending.append(Event(WALKED_ID, "walked", 0, SUCCEEDED, 1, self.time(), 0, text))

    def set_status(self, value: str) -> None:
        """Rides along with the next commit or the suspension."""
        self.custom, self.said = value, None
        self.pending.append(Event(STATUS_ID, "status", 0, SUCCEEDED, 1, self.time(), 0, value))

    def look_at_time(self) -> None:
        """What follows may depend on the time: nothing begins outside before the results that moved it are durable."""
        if self.front is not None:
            self.front.looked_at_time()
            return
        with self.lock:
            unwritten = (*self.flying, *self.pending)
            self.chosen.update(event for event in unwritten if event.status not in (BEGUN, RETRY))

    def say_again(self) -> None:
        """The log is at its end: what led here was written, but what was said on the way may have been lost in a death."""
        if self.said is not None and self.said != self.custom:
            self.set_status(self.said)
        self.said = None

    def continue_as_new(self, payload: object) -> Renewed:
        return self.close(Renewed(payload))

    def close(self, reason: R) -> R:
        """Every further durable call raises this, and its class says how the turn stands: it waits or makes way (Suspension),
        goes on as new (Renewed), the code does not match the journal, something cannot be read (Held), another one owns the
        execution (Fenced), the journal cannot be reached, or the process dies."""
        self.closed = reason
        return reason

    def end(self, reason: BaseException) -> None:
        """Closes it, unless something did before: that stays its end. By a death nothing more is committed, also not by `finally`
        blocks."""
        if self.closed is None:
            self.closed = reason

    def made(self, progress: Progress) -> None:
        self.progress = max(self.progress, progress)

    def drop_pending(self, id: str) -> None:
        """What an operation was about to record when it was ended from above; that it began stays."""
        with self.lock:
            for event in tuple(self.pending):
                if event.id == id and event.status not in (BEGUN, RETRY):
                    self.pending.remove(event)  # in place: others append meanwhile

    def check_size(self, text: str, what: str) -> None:
        """Raises PayloadTooLarge for a value that no segment can carry."""
        if len(text) * 5 <= self.max_body:
            return
        size = len(text.encode())
        if not (self.fits(text) if self.fits is not None else size <= self.max_body):
            raise PayloadTooLarge(
                f"{what} is {size:,} bytes as JSON; the journal takes at most {self.max_body:,}. Set "
                "DURABLE_FN_BUCKET, or store it elsewhere and return its key",
                size=size,
                limit=self.max_body,
            )

    def show(self, op: Called, event: Event) -> None:
        """The result in this event is about to reach the handler: journal time moves on."""
        op.scope.at = max(op.scope.at, event.at)
        self.at = max(self.at, event.at)

    def pass_time(self, scope: Place, at: int) -> None:
        """What happened in a scope that is not walked again took until then."""
        scope.at = max(scope.at, at)
        self.at = max(self.at, at)

    def deliver(self, op: Called, record: Record) -> Event:
        """Hands out a recorded result."""
        event = record.done
        assert event is not None
        self.journal.hand_out(record)
        at, scope = event.at, op.scope
        if at > scope.at:
            scope.at = at
        if at > self.at:
            self.at = at
        if self.front is None and record.resumed > self.at:
            self.at = record.resumed
        return event

    def only_woke(self) -> bool:
        """Whether all that is pending is the end of recorded sleeps. At the end of an execution that needs no write: no
        replay comes after it, and the due time tells. It does not where one woke late and the handler looked at the time."""
        return all(e.kind == SLEEP and e.status == SUCCEEDED and self._due_tells(e) for e in self.pending)

    def _due_tells(self, end: Event) -> bool:
        record = self.journal.records.get(end.id)
        if record is None:
            return False
        return end.at > self.last_now or record.begun is None or end.at == record.begun.due

    def mismatch(
        self, recorded: str | None, attempted: str | None, position: int, scope: str, cause: str
    ) -> NonDeterminismError:
        """The error of DESIGN promise 7; from now on every durable call of this turn raises it."""
        with self.lock:
            return self.close(self._mismatched(recorded, attempted, position, scope, cause))

    def _mismatched(
        self, recorded: str | None, attempted: str | None, position: int, scope: str, cause: str
    ) -> NonDeterminismError:
        where = "an operation with a key" if position == NO_PLACE else f"operation {position + 1}"
        where += f" of branch {scope.rstrip('/')!r}" if scope else ""
        nothing = self.progress is Progress.NONE
        before = (
            "Nothing was run or recorded" if nothing else "What ran in this invocation before stays as it was recorded"
        )
        text = (
            f"the code of {self.header.fn!r} no longer matches the journal of execution {self.header.id!r} at {where}: "
            f"recorded {recorded or 'nothing'}, attempted {attempted or 'nothing'}. Likely cause: {cause}. "
            f"{before}. Way out: deploy code that keeps the recorded order (it is tried again by itself), keep both ways and "
            'ask `ctx.patched("name-of-the-change")` which one to take, let live executions finish before such a change, or '
            "start under a new name."
        )
        return NonDeterminismError(text, recorded=recorded, attempted=attempted, position=position)

    def act(self, *, begun: bool = False) -> None:
        """A body begins, or another execution is written to. Raises what ends the turn where that came first; `begun`: a marker
        is durable already, so it must not be put off."""
        with self.lock:
            closed = self.closed
            if closed is None or (begun and isinstance(closed, Suspension)):
                self.made(Progress.ACTED)
                return
        raise self.ended()

    def ended(self) -> BaseException:
        """What every further durable call raises. A mismatch is an error that code may catch, and try again: it is told once."""
        closed = self.closed
        assert closed is not None
        again = isinstance(closed, NonDeterminismError)
        return Suspension("the code does not match the journal") if again else closed

    def hold(self, error: SerializationError) -> Held:
        """From now on every durable call of this turn raises it."""
        reason = SerializationError(
            f"execution {self.header.id!r} of {self.header.fn!r} is held: {error}. It was read before, so nothing goes on "
            "without it. Way out: deploy code, or a configuration, that reads it (it is tried again by itself); to start it "
            "anew under another id; or to terminate it."
        )
        held = self.close(Held(reason))
        held.__cause__ = error
        return held

    def undo(self, saga: Rollback, error: BaseException) -> None:
        """A saga is about to be undone because of this error. That is durable before its first compensation does anything, so
        that whoever redrives the execution knows."""
        origins.mark_undone(self, error, saga.id)
        with self.lock:
            if saga.id in self.journal.undone:
                return
            self.journal.undone.add(saga.id)
            event = saga.line(self.time())
            self.pending.append(event)
        self.drew(event)

    def keep_event(self, text: str) -> None:
        """The event as it was validated, where that was not done before. It rides along with the next commit, and is durable
        before anything happens outside."""
        event = Event(EVENT_ID, "event", 0, SUCCEEDED, 1, self.time(), 0, text)
        self.pending.append(event)
        self.chosen.add(event)

    def leftover(self) -> NonDeterminismError | None:
        """The error of a handler that ended without asking for everything that is recorded."""
        if self.front is not None:
            return self.front.leftover()
        record = None if self.journal.over else self.journal.first_left()
        if record is None:
            return None
        return self.mismatch(
            f"{record.kind} {record.id!r}",
            "the end of the handler",
            record.position,
            record.id.rpartition("/")[0],
            "an async def handler became a def handler"
            if record.kind in NATIVE
            else "an operation was removed, or a condition around it changed",
        )

    def derive(self, purpose: str) -> bytes:
        """16 bytes that are the same on every replay and that nobody else can guess."""
        return derived(self.header, purpose)

    def draw(self, scope: Place, purpose: str) -> bytes:
        """16 bytes that are the same on every replay, and in forks as far as the place where it is drawn is behind them."""
        for seed in self.journal.seeds:
            if seed.covers(scope.path, scope.operations, scope.drawn):
                return drawn(seed.text, purpose)
        if self.seed is None:
            self.seed = seed_of(self.header)
        return drawn(self.seed, purpose)


STALL_LIMIT: Final = 5
"""Owners that may die in a row without committing anything before an execution is ended as stalled."""
