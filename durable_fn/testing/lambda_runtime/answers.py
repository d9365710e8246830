"""What a caller of a Lambda function gets: its result, or what went wrong, in the shapes that Lambda uses."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from typing import Any, Final

MOST_PAYLOAD: Final = 6_291_556
"""Bytes of a synchronous invocation's request and of its response: 6 MB and a little, as Lambda's own message says."""


@dataclass(frozen=True)
class Answer:
    """`payload` is what the caller reads; `failed`: it has an errorType and an errorMessage instead of a result (the header
    X-Amz-Function-Error). `pid`: of the environment's process. `cold`: this invocation started it. `seconds`: as the caller
    waited."""

    request_id: str
    payload: bytes
    failed: bool
    pid: int
    cold: bool
    seconds: float

    @property
    def value(self) -> Any:
        """The payload as JSON."""
        return json.loads(self.payload)

    @property
    def error_type(self) -> str | None:
        return str(self.value.get("errorType", "")) if self.failed else None


def error(kind: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


def timed_out(request_id: str, seconds: float) -> bytes:
    return error("Sandbox.Timedout", f"RequestId: {request_id} Error: Task timed out after {seconds:.2f} seconds")


def exited(request_id: str, code: int) -> bytes:
    """By the process's exit code, negative for a signal."""
    if code < 0:
        how = f"with error: signal: {(signal.strsignal(-code) or str(-code)).lower()}"
    else:
        how = f"with error: exit status {code}" if code else "without providing a reason"
    return error("Runtime.ExitError", f"RequestId: {request_id} Error: Runtime exited {how}")


def too_large(size: int) -> bytes:
    return error(
        "Function.ResponseSizeTooLarge",
        f"Response payload size ({size} bytes) exceeded maximum allowed payload size ({MOST_PAYLOAD} bytes).",
    )
