"""Shapes that the other modules share. Nothing here does anything; importing it costs next to nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
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
    operation at which it was cut (empty where nothing was forgotten), "fork" and "generation" for what it went on from."""
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
    """Who asked, of what came from outside: a redrive, a fork."""
    reason: str | None = None
    """Why, in their words."""
    forgotten: bool = False
    """A later redrive made the execution forget it: it is here for who reads, and no replay sees it."""

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
    """JSON form; None where it cannot be read."""
    error: ErrorInfo | None
    held: ErrorInfo | None = None
    """Why it cannot go on (a mismatch, damage, a codec, a write that is refused), while it is tried again and again."""
