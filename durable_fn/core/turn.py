"""One invocation's view of an execution: its journal, what it has not committed yet, and how it stands."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

from ..errors import NonDeterminismError, PayloadTooLarge
from .events import BEGUN, CANCELLED, RETRY, SUCCEEDED, Event
from .header import Header
from .journal import Journal, Record
from .retry import DEFAULT_RETRY, RetryPolicy
from .scope import Op, Scope


class Suspension(BaseException):
    """Unwinds a handler that waits, or whose invocation must make way. Not an Exception: user code must not catch it."""

    def __init__(self, why: str, due: int | None = None) -> None:
        super().__init__(why)
        self.due = due


class Fenced(BaseException):
    """Another invocation owns the execution now. Nothing more is committed here."""


class Turn:
    """Pure state. `time` is the only thing from outside: it tells epoch milliseconds."""

    def __init__(
        self,
        header: Header,
        journal: Journal,
        writer: str,
        time: Callable[[], int],
        step_retry: RetryPolicy = DEFAULT_RETRY,
        in_hand: int = 0,
        max_body: int = 380_000,
    ) -> None:
        self.header = header
        self.journal = journal
        self.writer = writer
        self.time = time
        self.step_retry = step_retry
        self.in_hand = in_hand
        self.max_body = max_body
        self.pending: list[Event] = []
        self.deadline = 0  # epoch milliseconds: when the invocation ends
        self.worked = False  # a body was run or a segment written, so yielding makes progress
        self.closed: BaseException | None = None  # what every further durable call raises
        self.root = Scope(self, "", header.started)
        self.at = max(header.started, journal.resumed)

    @property
    def replaying(self) -> bool:
        return self.journal.replaying

    def resume(self, at: int) -> None:
        """A new owner takes over: the code after the last result runs again, now."""
        self.journal.resume(at)
        self.at = max(self.at, self.journal.resumed)

    def record(self, op: Op, status: str, attempt: int = 1, *, due: int = 0, value: str = "") -> Event:
        """Adds an event to what the next commit writes."""
        event = Event(op.id, op.kind, op.position, status, attempt, self.time(), due, value)
        self.pending.append(event)
        return event

    def check_size(self, text: str, what: str) -> None:
        """Raises PayloadTooLarge for a value that no segment can carry."""
        size = len(text.encode()) if len(text) * 4 > self.max_body else 0
        if size > self.max_body:
            raise PayloadTooLarge(
                f"{what} is {size:,} bytes as JSON; the journal takes at most {self.max_body:,}. Store it elsewhere "
                "(S3, say) and return its key",
                size=size,
                limit=self.max_body,
            )

    def seen(self, op: Op, event: Event) -> None:
        """The result in this event is about to reach the handler: journal time moves on."""
        op.scope.at = max(op.scope.at, event.at)
        self.at = max(self.at, event.at)

    def deliver(self, op: Op, record: Record) -> Event:
        """Hands out a recorded result."""
        event = record.done
        assert event is not None
        if event.status == CANCELLED:  # the async driver waits for the cancellation instead of asking
            raise self.mismatch(
                f"{record.kind} {record.id!r} (cancelled by an async handler)",
                f"{op.kind} {op.id!r}",
                op.position,
                op.scope.path,
                "an async def handler became a def handler",
            )
        self.journal.step_past(record)
        at, scope = event.at, op.scope
        if at > scope.at:
            scope.at = at
        if at > self.at:
            self.at = at
        if record.resumed > self.at:
            self.at = record.resumed
        return event

    def abandon(self, op: Op) -> None:
        """The operation was cancelled natively before its result reached the handler: replay must do the same."""
        if op.record is not None and op.record.done is not None:
            return
        self.pending = [e for e in self.pending if e.id != op.id or e.status in (BEGUN, RETRY)]
        self.seen(op, self.record(op, CANCELLED))

    def only_woke(self) -> bool:
        """Whether all that is pending is the end of recorded sleeps. At the end of an execution that needs no write: no
        replay comes after it, and the due time tells."""
        return all(e.kind == "sleep" and e.status == SUCCEEDED and e.id in self.journal.records for e in self.pending)

    def mismatch(
        self, recorded: str | None, attempted: str | None, position: int, scope: str, cause: str
    ) -> NonDeterminismError:
        """The error of DESIGN promise 7; from now on every durable call of this turn raises it."""
        where = f"operation {position + 1}" + (f" of branch {scope.rstrip('/')!r}" if scope else "")
        text = (
            f"the code of {self.header.fn!r} no longer matches the journal of execution {self.header.id!r} at {where}: "
            f"recorded {recorded or 'nothing'}, attempted {attempted or 'nothing'}. Likely cause: {cause}. "
            "Nothing was run or recorded. Way out: deploy code that keeps the recorded order (it is tried again by "
            "itself), let live executions finish before such a change, or start under a new name."
        )
        error = NonDeterminismError(text, recorded=recorded, attempted=attempted, position=position)
        self.closed = error
        return error

    def leftover(self) -> NonDeterminismError | None:
        """The error of a handler that ended without asking for everything that is recorded."""
        record = self.journal.first_untaken() if self.journal.untaken else None
        if record is None:
            return None
        return self.mismatch(
            f"{record.kind} {record.id!r}",
            "the end of the handler",
            record.position,
            record.id.rpartition("/")[0],
            "an operation was removed, or a condition around it changed",
        )

    def derive(self, purpose: str) -> bytes:
        """16 bytes that are the same on every replay and that nobody else can guess."""
        text = f"{self.header.run}\x00{self.header.gen}\x00{purpose}"
        return hashlib.blake2b(text.encode(), key=self.header.secret.encode(), digest_size=16).digest()


STALL_LIMIT: Final = 5
"""Owners that may die in a row without committing anything before an execution is ended as stalled."""
