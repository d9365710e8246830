"""Public extension points: what tracing and metrics stand on."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from .types import ExecutionStatus, HistoryEvent


@dataclass(slots=True)
class InvocationInfo:
    """`number` from 1; `status`: RUNNING on entry, the outcome on exit."""

    execution_id: str
    name: str
    number: int
    request_id: str
    status: ExecutionStatus


@dataclass(frozen=True, slots=True)
class AttemptInfo:
    """`attempt` from 1; the key is the same on every attempt and replay."""

    execution_id: str
    operation_id: str
    name: str
    attempt: int
    idempotency_key: str


class Hooks:
    """Override what you need. `invocation` and `attempt` wrap, in the thread or task that runs the code, so that contextvars (a
    span, a log key) reach it; exceptions pass through them. `recorded` is told each entry once, after it is durable, never on
    replay, and maybe not at all if the process dies just then. An error in a hook is logged and never fails the execution."""

    def invocation(self, info: InvocationInfo, /) -> AbstractContextManager[object]:
        return contextlib.nullcontext()

    def attempt(self, info: AttemptInfo, /) -> AbstractContextManager[object]:
        return contextlib.nullcontext()

    def recorded(self, execution_id: str, event: HistoryEvent, /) -> None:
        return None


class Codec(Protocol):
    """Last step before storage and first after it: encryption, compression. `context` is the execution id, for use as associated
    data. `decode` must keep reading what older versions wrote."""

    def encode(self, data: bytes, context: str, /) -> bytes: ...
    def decode(self, data: bytes, context: str, /) -> bytes: ...


__all__ = ["AttemptInfo", "Codec", "Hooks", "InvocationInfo"]
