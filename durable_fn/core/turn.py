"""One invocation's view of an execution: its journal, what it has not committed yet, and whether and why it is closed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar

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
from .front import Called, Front
from .retry import DEFAULT_RETRY, Retry
from .unwinding import Held, Renewed, Suspension
from .walks import Place, Walks

if TYPE_CHECKING:
    from ..batch import BatchResult

_log = logging.getLogger("durable_fn")


class Progress(IntEnum):
    """What a turn has done that outlives it."""

    NONE = 0
    ACTED = 1
    """A body began, or a request to another execution did."""
    WORKED = 2
    """A segment was written, or something that counts as one: an invocation that stops now has made progress."""


R = TypeVar("R", bound=BaseException)


class Turn:
    """Pure state. `time` is the only thing from outside: it returns epoch milliseconds."""

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
        self.terms = terms  # how values are stored
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
        self.flying: list[Event] = []  # events that are being written
        self.chosen: set[Event] = (
            set()
        )  # pending events that would differ after a crash: which branch was first in a `def` handler, what was drawn
        self.lock: AbstractContextManager[Any] = nullcontext()  # where branches run on threads: a lock of theirs
        self.deadline = 0  # epoch milliseconds: when the invocation ends
        self.progress = Progress.NONE
        self.took_over = False  # the owner before died, or gave the execution back
        self.closed: BaseException | None = None  # what every further durable call raises: see `close`
        self.cancel_scope = CancelScope()
        self.started = journal.origin or journal.generation or header.started  # journal time begins then
        self.walks = Walks(journal)
        self.at = max(self.started, journal.resumed)
        self.last_now = 0  # the latest time that `now` has given the handler
        self.patches: dict[str, bool] = {}
        self.seed: str | None = None  # for random draws; derived from the header on first use
        self.tasks: dict[str, int] = {}  # native tasks that each scope has started, by its trail
        self.asked: dict[str, str] = {}  # native tasks that asked for an operation with a key, by its id
        self.sequential = False  # the operations of a scope come one after the other: a `def` handler
        self.context: Any = None  # the handler's
        self.shields = 0  # shielded blocks that are running
        self.custom = journal.custom  # the last status that `set_status` wrote
        self.said: str | None = None  # the last status that `set_status` was given while an async handler was replayed
        self.batches: list[BatchResult[Any]] = []
        self.front: Front | None = None
        self.notice()

    def replays(self, scope: Place | None = None) -> bool:
        """Whether the code is replaying; in a `def` handler each scope has its own answer."""
        if self.front is not None:
            return self.front.replays()
        return not self.journal.over if scope is None else self.walks.walked(scope)

    def notice(self) -> None:
        """Sets a cancellation that the inbox has, or a deadline that has passed, to be raised at the handler's next live
        operation."""
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
        """Keys of the entries that only this generation reads."""
        return tuple(key for key in self.inbox.entries if of_generation(key))

    def keep_at(self) -> int:
        """Epoch milliseconds at which the first of the items that were read needs a later TTL."""
        return keep_at(min([self.log_horizon, *(e.horizon for e in self.inbox.entries.values() if e.horizon)]))

    def report_batches(self) -> None:
        """Logs the batches over their failure tolerance that the handler did not look at."""
        for batch in self.batches:
            if batch.completion_reason_unseen == "FAILURE_TOLERANCE_EXCEEDED":
                _log.error("execution %r ends without having looked at a failed batch: %r", self.header.id, batch)

    @property
    def next_deadline(self) -> int | None:
        """The execution's deadline, until it is raised."""
        return None if self.cancel_scope.cancellation is not None else self.header.deadline

    @property
    def late(self) -> bool:
        return self.header.deadline is not None and self.time() >= self.header.deadline

    @property
    def seen(self) -> int:
        """The number of inbox entries that were read, and of those that were deleted: the header's count must equal it for a
        decision from absence."""
        return self.inbox.count + self.header.gone

    def record(self, op: Called, status: str, attempt: int = 1, *, due: int = 0, value: str = "") -> Event:
        """Adds an event to what the next commit writes."""
        event = self.draft(op, status, attempt, due=due, value=value)
        self.pending.append(event)
        self.recorded(op, event)
        return event

    def draft(self, op: Called, status: str, attempt: int = 1, *, due: int = 0, value: str = "") -> Event:
        """An event that is not pending: no commit writes it unless it is given one."""
        return Event(op.id, op.kind, op.position, status, attempt, self.time(), due, value, op.asked)

    def recorded(self, op: Called, event: Event) -> None:
        if event.status == BEGUN:
            op.begun = True
        op.scope.reached = max(op.scope.reached, op.number)
        if self.front is None and op.scope.cancel_scope is not self.cancel_scope:
            op.record = self.journal.remember(event)  # a branch may be walked again in this turn
        self.journal.passed(event)

    def choose(self, scope: Place, event: Event) -> None:
        """Where branches run beside each other, this entry might be another one after a crash: no body and no request begins
        before it is durable."""
        if self.front is None and scope.cancel_scope is not self.cancel_scope:
            self.chosen.add(event)

    def drew(self, event: Event) -> None:
        """User code took part in this entry (a default that it draws, a validator) and may give something else the next time:
        no body and no request begins before the entry is durable."""
        if self.front is None:
            self.chosen.add(event)
        else:
            self.front.commits_before_a_body()

    def give_back(self, branch: str) -> None:
        """Makes the signals unread again that a losing branch took and did nothing with, oldest first. Other waits get them
        only once the entry that says so is pending."""
        with self.lock:
            for record in unread(self.journal, f"{branch}/"):
                assert record.done is not None
                event = Event(record.id, record.kind, record.position, RETURNED, 1, self.time(), 0, branch)
                self.pending.append(event)
                self.journal.remember(event)
                self.inbox.give_back(signal_key(record.done))

    def tell_walked(self) -> None:
        """Records how far code got that logged something or set a status, and recorded no operation behind it: the turn ends,
        and the next one walks that code again and must not repeat it."""
        for text in self.walks.untold():
            self.pending.append(Event(WALKED_ID, "walked", 0, SUCCEEDED, 1, self.time(), 0, text))

    def set_status(self, value: str) -> None:
        """The next commit or the suspension writes it."""
        self.custom, self.said = value, None
        self.pending.append(Event(STATUS_ID, "status", 0, SUCCEEDED, 1, self.time(), 0, value))

    def look_at_time(self) -> None:
        """What follows may depend on the time: no body and no request begins before the results that led here are durable."""
        if self.front is not None:
            self.front.looked_at_time()
            return
        with self.lock:
            unwritten = (*self.flying, *self.pending)
            self.chosen.update(event for event in unwritten if event.status not in (BEGUN, RETRY))

    def say_again(self) -> None:
        """The replay is over. The entries that led here were written, but a crash may have lost a status that was set on the
        way: it is set again."""
        if self.said is not None and self.said != self.custom:
            self.set_status(self.said)
        self.said = None

    def continue_as_new(self, payload: object) -> Renewed:
        return self.close(Renewed(payload))

    def close(self, reason: R) -> R:
        """Every further durable call raises `reason`, whose class says why the turn is closed: it waits or stops early
        (Suspension), it continues as new (Renewed), the code does not match the journal, something cannot be read (Held),
        another invocation owns the execution (Fenced), the journal cannot be reached, or the process dies."""
        self.closed = reason
        return reason

    def end(self, reason: BaseException) -> None:
        """Closes the turn, unless it is closed already: the first reason stays. After a crash nothing more is committed, by
        `finally` blocks neither."""
        if self.closed is None:
            self.closed = reason

    def made(self, progress: Progress) -> None:
        self.progress = max(self.progress, progress)

    def drop_pending(self, id: str) -> None:
        """Drops what an operation was about to record when a cancellation from above ended it; the entry that it began
        stays."""
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
        """The handler is about to see the result in this event: advances journal time."""
        op.scope.at = max(op.scope.at, event.at)
        self.at = max(self.at, event.at)

    def pass_time(self, scope: Place, at: int) -> None:
        """Advances journal time to when an inner scope ended."""
        scope.at = max(scope.at, at)
        self.at = max(self.at, at)

    def deliver(self, op: Called, record: Record) -> Event:
        """Hands out a recorded result, and advances journal time."""
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
        """Whether everything pending is the end of a recorded sleep. At the end of an execution that needs no write: no replay
        follows, and the due time implies it. It does not if a sleep woke late and the handler looked at the time."""
        return all(e.kind == SLEEP and e.status == SUCCEEDED and self._due_tells(e) for e in self.pending)

    def _due_tells(self, end: Event) -> bool:
        record = self.journal.records.get(end.id)
        if record is None:
            return False
        return end.at > self.last_now or record.begun is None or end.at == record.begun.due

    def mismatch(
        self, recorded: str | None, attempted: str | None, position: int, scope: str, cause: str
    ) -> NonDeterminismError:
        """The code does not match the journal. From now on every durable call of this turn raises this error."""
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
        """A body begins, or a request to another execution does. Raises the reason if the turn is closed; `begun`: a marker is
        durable already, so the body must not be put off."""
        with self.lock:
            closed = self.closed
            if closed is None or (begun and isinstance(closed, Suspension)):
                self.made(Progress.ACTED)
                return
        raise self.ended()

    def ended(self) -> BaseException:
        """What every further durable call raises. Code may catch a NonDeterminismError and call again: it gets that error once,
        then a Suspension."""
        closed = self.closed
        assert closed is not None
        again = isinstance(closed, NonDeterminismError)
        return Suspension("the code does not match the journal") if again else closed

    def hold(self, error: SerializationError) -> Held:
        """Closes the turn: from now on every durable call raises the Held that this returns."""
        reason = SerializationError(
            f"execution {self.header.id!r} of {self.header.fn!r} is held: {error}. It was read before, so nothing goes on "
            "without it. Way out: deploy code, or a configuration, that reads it (it is tried again by itself); to start it "
            "anew under another id; or to terminate it."
        )
        held = self.close(Held(reason))
        held.__cause__ = error
        return held

    def undo(self, saga: Rollback, error: BaseException) -> None:
        """A saga is about to be undone because of this error. An entry that says so is durable before the first compensation
        begins, so that a redrive knows of it."""
        origins.mark_undone(self, error, saga.id)
        with self.lock:
            if saga.id in self.journal.undone:
                return
            self.journal.undone.add(saga.id)
            event = saga.line(self.time())
            self.pending.append(event)
        self.drew(event)

    def keep_event(self, text: str) -> None:
        """Records the event as validated, if whoever started the execution could not validate it. The next commit writes it,
        and no body begins before it is durable."""
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
        """16 bytes that are the same on every replay; a fork draws the same ones as the original before the fork point."""
        for seed in self.journal.seeds:
            if seed.covers(scope.path, scope.operations, scope.drawn):
                return drawn(seed.text, purpose)
        if self.seed is None:
            self.seed = seed_of(self.header)
        return drawn(self.seed, purpose)


STALL_LIMIT: Final = 5
"""After this many owners in a row have died without committing anything, the next one ends the execution as stalled."""
