"""Errors. Standard library only. Every message says what happened, to which operation, and the way out.

`DurableError` is an `Exception`. Two classes are not, on purpose, so that `except Exception` cannot swallow them:
`ExecutionCancelled` and the private suspension that unwinds a `def` handler while it waits.
Where several errors are behind one (a batch, an ExceptionGroup), `causes` lists them and the message ends with the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .batch import BatchResult
    from .types import Cause, ExecutionStatus


class DurableError(Exception):
    """Base of every error below, except `ExecutionCancelled`."""


class StepError(DurableError):
    """A step failed for good: its attempts are used up, or the policy gave up. Raised the same on first run and replay.

    The original exception is `__cause__` on the first run ONLY; do not branch on it, use `error_type` or `raises=`.
    """

    def __init__(
        self,
        text: str,
        *,
        error_type: str = "",
        message: str = "",
        attempts: int = 1,
        data: Any = None,
        traceback: str = "",
        causes: list[Cause] | None = None,
    ) -> None:
        super().__init__(text)
        self.error_type = error_type
        """Class name of what the body raised, "module.QualName" (built-ins without a module)."""
        self.message = message
        self.attempts = attempts
        self.data = data
        """JSON form of the exception's `.data` or of its `args`, where encodable; else None."""
        self.traceback = traceback
        """Text of the traceback where the body failed, innermost frames, shortened."""
        self.causes = causes or []
        """The leaves, if the body raised an ExceptionGroup; else empty."""


class StepTimeout(StepError):
    """The last attempt ran longer than `timeout=`.

    A `def` body cannot be killed: its thread may still finish its side effect.
    """


class StepInterrupted(StepError):
    """An `at_most_once` body was started and the process died: nobody knows whether it took effect.

    It is not run again, unless its `retry_on` names this class, or a redrive names the step.
    """


class CallbackError(DurableError):
    """Base of the two callback errors. From `DurableClient` it says why a token was not accepted."""

    def __init__(self, text: str, *, name: str = "") -> None:
        super().__init__(text)
        self.name = name


class CallbackFailed(CallbackError):
    """The other side called `fail_callback`."""

    def __init__(self, text: str, *, name: str, error_type: str, message: str) -> None:
        super().__init__(text, name=name)
        self.error_type = error_type
        self.message = message


class CallbackTimeout(CallbackError):
    """`timeout` passed, or no heartbeat came within `heartbeat_timeout` (`.heartbeat` is true then)."""

    def __init__(self, text: str, *, name: str, heartbeat: bool) -> None:
        super().__init__(text, name=name)
        self.heartbeat = heartbeat


class SignalTimeout(DurableError):
    """No signal of that name within `timeout`. A signal that arrives later stays buffered for the next wait."""

    def __init__(self, text: str, *, name: str) -> None:
        super().__init__(text)
        self.name = name


class CallError(DurableError):
    """The other execution ended without a result. Raised by `ctx.call` and by `DurableClient.result`."""

    def __init__(
        self,
        text: str,
        *,
        execution_id: str,
        status: ExecutionStatus,
        error_type: str | None = None,
        message: str = "",
        data: Any = None,
        causes: list[Cause] | None = None,
    ) -> None:
        super().__init__(text)
        self.execution_id = execution_id
        self.status: ExecutionStatus = status
        self.error_type = error_type
        """Of what failed there: for its StepError that of the step's body, for a group its first cause."""
        self.message = message
        self.data = data
        """What failed there, as `StepError.data`."""
        self.causes = causes or []
        """What failed there, if it was several (BatchError, ExceptionGroup); else empty."""


class CallTimeout(CallError):
    """No result within `timeout`/`wait`. The other execution goes on; ask again or cancel it by `execution_id`."""


class PollTimeout(DurableError):
    """`until` was not met within `timeout`, or within the checks that `every` allows."""

    def __init__(self, text: str, *, state: Any, checks: int) -> None:
        super().__init__(text)
        self.state = state
        """The last state."""
        self.checks = checks


class BatchError(DurableError):
    """`BatchResult.results` was read though a branch failed or was not finished. The first failure is `__cause__`."""

    def __init__(self, text: str, *, batch: BatchResult[Any]) -> None:
        super().__init__(text)
        self.batch = batch
        self.causes: list[Cause] = []
        """Of the failed branches, in input order."""


class CompensationError(DurableError):
    """A compensation failed for good. The rest still ran. What started the rollback is `__cause__`."""

    def __init__(self, text: str, *, failures: tuple[StepError, ...]) -> None:
        super().__init__(text)
        self.failures = failures


class NonDeterminismError(DurableError):
    """The code asked for another operation than the journal holds. Nothing recorded is consumed.

    The execution stays SUSPENDED with this error shown, and is tried again with growing delays (up to an hour), so that
    a fixed deployment picks it up.
    """

    def __init__(self, text: str, *, recorded: str | None, attempted: str | None, position: int) -> None:
        super().__init__(text)
        self.recorded = recorded
        self.attempted = attempted
        self.position = position

    @property
    def data(self) -> dict[str, Any]:
        """The three as JSON shows them."""
        return {"recorded": self.recorded, "attempted": self.attempted, "position": self.position}


class SerializationError(DurableError):
    """A value cannot be encoded, would come back as another one, or came from outside and does not fit. The message names the
    path inside the value, and the way out."""

    def __init__(self, text: str, *, raw: Any = None) -> None:
        super().__init__(text)
        self.raw = raw
        """Of a signal or an answer that came and did not fit: what came, in JSON form; else None."""


class PayloadTooLarge(SerializationError):
    """An encoded value is larger than the journal takes."""

    def __init__(self, text: str, *, size: int, limit: int) -> None:
        super().__init__(text)
        self.size = size
        """Bytes."""
        self.limit = limit
        """Bytes."""

    @property
    def data(self) -> dict[str, int]:
        """The two as JSON shows them."""
        return {"size": self.size, "limit": self.limit}


class ExecutionNotFound(DurableError):
    """No execution has this id (or it was removed after its retention)."""


class UnknownFunction(DurableError):
    """No durable function of this name is known: neither its queue nor a registry row. Nothing was written for it."""

    def __init__(self, text: str, *, name: str, known: tuple[str, ...] = ()) -> None:
        super().__init__(text)
        self.name = name
        self.known = known
        """Names that are known."""

    @property
    def data(self) -> dict[str, Any]:
        """The two as JSON shows them."""
        return {"name": self.name, "known": list(self.known[:100])}


class CallTooDeep(DurableError):
    """`ctx.call` was asked for an execution below too many others that wait for each other: as a rule a function calls itself
    without an end, or several call each other in a circle. Nothing was started."""

    def __init__(self, text: str, *, depth: int, limit: int) -> None:
        super().__init__(text)
        self.depth = depth
        self.limit = limit

    @property
    def data(self) -> dict[str, int]:
        """The two as JSON shows them."""
        return {"depth": self.depth, "limit": self.limit}


class ExecutionConflict(DurableError):
    """The id is in use: by another durable function, with another payload, or at all where `if_exists="reject"`. Of `ctx.call`,
    also: by an execution that is under way and tells its end to another one."""

    def __init__(self, text: str, *, execution_id: str) -> None:
        super().__init__(text)
        self.execution_id = execution_id


class FormatError(ExecutionConflict):
    """The execution's journal has another format than this version of durable_fn reads and writes. Nothing of it was read.

    While it is under way it stays SUSPENDED with this error shown, and is tried again with growing delays (up to an hour), so
    that the version which wrote it picks it up. `terminate` and `purge` work on it.
    """

    def __init__(self, text: str, *, execution_id: str, written: int, expected: int) -> None:
        super().__init__(text, execution_id=execution_id)
        self.written = written
        self.expected = expected

    @property
    def data(self) -> dict[str, int]:
        """The two as JSON shows them."""
        return {"written": self.written, "expected": self.expected}


class JournalDamaged(DurableError):
    """What is stored of an execution cannot be read: a part of it is missing, was changed, or was written in a way that this
    process does not know (another codec or version). Never raised in a handler: such an execution is held, with this error
    shown, and tried again with growing delays (up to an hour), so that it goes on by itself when it is mended."""


class RecordFailed(DurableError):
    """The handler named its record in {"batchItemFailures": [...]}. It comes again, and the execution is redriven then."""


class ExecutionStalled(DurableError):
    """Several invocations in a row died without committing anything, so the execution was ended as FAILED.

    Never raised in a handler: it is the recorded `error_type` of such an execution.
    """


class ExecutionTimedOut(DurableError):
    """`execution_timeout` passed. Raised inside the handler at its next durable call, once; then the status is TIMED_OUT.

    In async it is also an `asyncio.CancelledError` and is delivered to the handler's own task, so a `TaskGroup` that waits for
    its tasks ends them, and they clean up.
    """


class ExecutionCancelled(BaseException):
    """`cancel` was asked for. Raised once, at the next (or current) durable call; after it durable calls work again, so clean
    up and re-raise.

    In async it is also an `asyncio.CancelledError` and is delivered to the handler's own task, so `TaskGroup` and
    `asyncio.timeout` pass it on unwrapped. The losers of a `race`, and the branches that were not finished when a batch was
    over, get it too.
    """

    def __init__(self, text: str = "the execution was cancelled", *, reason: str | None = None) -> None:
        super().__init__(text)
        self.reason = reason
