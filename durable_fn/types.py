"""Shapes that the other modules share. Nothing here does anything; importing it costs next to nothing."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypedDict, TypeVar

T = TypeVar("T")

Duration: TypeAlias = timedelta | int | float
"""A `timedelta`, or seconds. Negative raises ValueError at the call; 0 is allowed and means "now"."""

Semantics: TypeAlias = Literal["at_least_once", "at_most_once"]
IfExists: TypeAlias = Literal["attach", "reject"]
ExecutionStatus: TypeAlias = Literal[
    "PENDING", "RUNNING", "SUSPENDED", "SUCCEEDED", "FAILED", "CANCELLED", "TERMINATED", "TIMED_OUT"
]
EventStatus: TypeAlias = Literal["STARTED", "SUCCEEDED", "FAILED"]

ItemStatus: TypeAlias = Literal["SUCCEEDED", "FAILED", "CANCELLED"]
CompletionReason: TypeAlias = Literal["ALL_COMPLETED", "MIN_SUCCESSFUL_REACHED", "FAILURE_TOLERANCE_EXCEEDED"]


class LambdaContext(Protocol):
    """What Lambda passes as its second argument.

    Powertools' `LambdaContext` fits it, so an existing handler that is annotated with either keeps type-checking under
    `@durable`.
    """

    @property
    def aws_request_id(self) -> str: ...
    @property
    def function_name(self) -> str: ...
    @property
    def invoked_function_arn(self) -> str: ...
    @property
    def log_stream_name(self) -> str: ...
    def get_remaining_time_in_millis(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Message(Generic[T]):
    """For `def handler(event: Message[Order], ctx)`: what a queue or a topic brings, with its message attributes beside its body.

    Without it the event is the body alone. Both are recorded, so every replay sees them. Other sources have no attributes; who
    starts the function by code or HTTP sends a Message, or `{"body": ..., "attributes": {...}}`.
    """

    body: T
    attributes: dict[str, str] = field(default_factory=dict)
    """Texts, numbers as text and binary ones as base64 text, as Lambda has them. In a queue those of the message, and those of
    the topic that put it there."""


class Cause(TypedDict):
    """One of several failures behind an error."""

    error_type: str
    message: str


class ErrorInfo(TypedDict, total=False):
    """A failure as JSON shows it (envelope, `describe`, history). `causes`: only where there were several."""

    error_type: str
    message: str
    causes: list[Cause]
    attempts: int
    data: Any
    traceback: str


@dataclass(frozen=True, slots=True)
class HistoryEvent:
    """One journal entry, in journal order."""

    id: str
    """Operation id: the path of names, "fan-out/3/resize", "charge#2"."""
    kind: str
    """"step", "sleep", "callback", "signal", "call", ...; "execution" for its start and its end; "redrive", whose `id` is the
    operation at which it was cut (empty where nothing was forgotten), "fork" and "generation" for what it went on from; "cancel"
    where somebody asked for its end."""
    name: str
    at: datetime
    """Aware, UTC."""
    status: EventStatus
    attempt: int
    """From 1."""
    result: Any = None
    """JSON form; None where there is none."""
    error: ErrorInfo | None = None
    due: datetime | None = None
    """When a sleep ends or the next attempt starts."""
    entry: str = ""
    """As the journal has it, for `testing.replay`."""
    began: datetime | None = None
    """When the operation began, where that is recorded before its end: waits, calls, branches."""
    origin: str = ""
    """On the start of an execution: what `testing.replay` needs besides the entries. No secret is in it."""
    by: str | None = None
    """Who asked, of what came from outside: a redrive, a fork, a cancellation, a termination, a signal."""
    reason: str | None = None
    """Why, in their words."""
    forgotten: bool = False
    """A later redrive made the execution forget it: it is here for who reads, and no replay sees it."""
    code_version: str | None = None
    """Of the function that wrote it: DURABLE_FN_CODE_VERSION, else the published Lambda version, else a hash of the handler's
    file."""
    invocation: str = ""
    """Stands for the invocation that wrote it: where it changes, the code was run from its beginning again."""

    def to_json(self) -> dict[str, Any]:
        """A JSON object; entries without a value are left out."""
        row: dict[str, Any] = {
            "id": self.id,
            "kind": self.kind,
            "name": self.name,
            "at": self.at.isoformat(),
            "status": self.status,
            "attempt": self.attempt,
        }
        if self.status == "SUCCEEDED":
            row["result"] = self.result
        if self.error is not None:
            row["error"] = dict(self.error)
        if self.due is not None:
            row["due"] = self.due.isoformat()
        if self.entry:
            row["entry"] = self.entry
        if self.origin:
            row["origin"] = self.origin
        if self.by is not None:
            row["by"] = self.by
        if self.reason is not None:
            row["reason"] = self.reason
        if self.forgotten:
            row["forgotten"] = True
        if self.began is not None:
            row["began"] = self.began.isoformat()
        if self.code_version is not None:
            row["code_version"] = self.code_version
        if self.invocation:
            row["invocation"] = self.invocation
        return row


@dataclass(frozen=True, slots=True)
class ExecutionInfo:
    """What `DurableClient.describe` and `list` show. A snapshot: it does not move by itself."""

    id: str
    name: str
    status: ExecutionStatus
    custom_status: Any
    started_at: datetime
    finished_at: datetime | None
    next_due_at: datetime | None
    """The earliest timer, while suspended."""
    parent_id: str | None
    generation: int
    """1, and one more for each continue_as_new."""
    invocations: int
    input: Any
    """JSON form; None where it cannot be read, and in a list where it is too large for the header (1,000 bytes on DynamoDB)."""
    error: ErrorInfo | None
    held: ErrorInfo | None = None
    """Why it cannot go on (a mismatch, damage, a codec, a write that is refused), while it is tried again and again."""
    updated_at: datetime | None = None
    """When it was started, taken, parked, told something or ended last; a step alone does not count. None: before this was
    recorded."""
    waiting_for: tuple[str, ...] = ()
    """Ids of the operations that it waits for, while suspended. `describe` reads them from the log, `list` does not."""
    overdue: bool = False
    """Its time came more than a minute ago, or the sweeper woke it in vain, and nobody has taken it."""
    result: Any = None
    """JSON form; None unless it succeeded, and in a list where it is too large for the header."""

    def to_json(self) -> dict[str, Any]:
        """A JSON object with all of it; times are ISO texts with their zone."""
        row = {part.name: getattr(self, part.name) for part in fields(self)}
        times = {name: value.isoformat() for name, value in row.items() if isinstance(value, datetime)}
        return {**row, **times, "waiting_for": list(self.waiting_for)}


@dataclass(frozen=True, slots=True)
class ExecutionFilter:
    """Which executions a list shows: those for which all of it holds. What is left out holds for all.

    ExecutionFilter(name="order", status=("FAILED", "TIMED_OUT"), started_after=yesterday)
    """

    name: str | None = None
    """Of this durable function."""
    name_prefix: str = ""
    """Of durable functions whose names begin so."""
    id_prefix: str = ""
    """Whose ids begin so."""
    status: ExecutionStatus | Collection[ExecutionStatus] | None = None
    """In this status, or in one of these."""
    parent: str | None = None
    """Which the execution with this id waits for."""
    started_after: datetime | None = None
    """Then or later."""
    started_before: datetime | None = None
    updated_after: datetime | None = None
    """Then or later. No index has it: on DynamoDB what is left by the rest is read, and shown if it fits."""
    held: bool | None = None
    """Cannot go on, and is tried again and again."""
    overdue: bool | None = None
    """Was due more than a minute ago, or was woken in vain, and nobody has taken it."""
    has_error: bool | None = None
    """Has an error recorded: why it ended, or why it is held."""


@dataclass(frozen=True, slots=True)
class ExecutionPage:
    """A part of a list, newest first."""

    executions: list[ExecutionInfo]
    cursor: str | None
    """Give it to `page` for what comes behind; None where nothing does. A page may hold fewer than were asked for, none even,
    and have a cursor: a page reads a bounded number of rows, whatever the filter."""
    read_units: float = 0
    """Of DynamoDB, as it told; 0 on SQLite."""
    scanned: bool = False
    """The whole table was read, because it has no index for lists (docs/guide/listing.md)."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Something that an execution waits for."""

    id: str
    """Of the operation."""
    kind: str
    """"sleep", "callback", "signal", "call", "poll", or "step" for one that is to be tried again."""
    name: str
    since: datetime
    until: datetime | None
    """When it is over by itself; None: never."""
    on: str
    """On what or whom, in words."""

    def to_json(self) -> dict[str, Any]:
        """A JSON object; times are ISO texts with their zone."""
        return {
            "id": self.id,
            "kind": self.kind,
            "name": self.name,
            "since": self.since.isoformat(),
            "until": None if self.until is None else self.until.isoformat(),
            "on": self.on,
        }
