"""Errors. Standard library only. Every message says what happened, to which operation, and the way out.

`DurableError` is an `Exception`. Two classes are not, on purpose, so that `except Exception` cannot swallow them:
`ExecutionCancelled` (a later release) and the private suspension that unwinds a `def` handler while it waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .types import ExecutionStatus


class DurableError(Exception):
    """Base of every error below."""


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


class StepTimeout(StepError):
    """The last attempt ran longer than `timeout=`.

    A `def` body cannot be killed: its thread may still finish its side effect.
    """


class StepInterrupted(StepError):
    """An `at_most_once` body was started and the process died: nobody knows whether it took effect.

    It is not run again.
    """


class CallError(DurableError):
    """The other execution ended without a result. Raised by `DurableClient.result`."""

    def __init__(
        self,
        text: str,
        *,
        execution_id: str,
        status: ExecutionStatus,
        error_type: str | None = None,
        message: str = "",
    ) -> None:
        super().__init__(text)
        self.execution_id = execution_id
        self.status: ExecutionStatus = status
        self.error_type = error_type
        self.message = message


class CallTimeout(CallError):
    """No result within `wait`. The other execution goes on; ask again by `execution_id`."""


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
    """A value cannot be encoded, or recorded data does not fit the annotation any more."""


class PayloadTooLarge(SerializationError):
    """An encoded value is larger than the journal takes."""

    def __init__(self, text: str, *, size: int, limit: int) -> None:
        super().__init__(text)
        self.size = size
        """Bytes."""
        self.limit = limit
        """Bytes."""


class ExecutionNotFound(DurableError):
    """No execution has this id (or it was removed after its retention)."""


class ExecutionConflict(DurableError):
    """The id is in use: by another durable function, with another payload, or at all where `if_exists="reject"`."""

    def __init__(self, text: str, *, execution_id: str) -> None:
        super().__init__(text)
        self.execution_id = execution_id


class ExecutionStalled(DurableError):
    """Several invocations in a row died without committing anything, so the execution was ended as FAILED.

    Never raised in a handler: it is the recorded `error_type` of such an execution.
    """
