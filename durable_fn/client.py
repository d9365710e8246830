"""Starting and watching executions from outside: scripts, API handlers, consoles."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from datetime import datetime
from typing import Any, TypeVar, overload

from .core import failures
from .core.durations import aware, milliseconds, moment
from .core.events import component
from .core.header import Header, Refusal
from .core.history import history as history_of
from .core.ids import checked_id, new_id
from .core.values import UNTYPED, adapter, plain, to_plain_json
from .errors import CallError, CallTimeout, ExecutionConflict, ExecutionNotFound
from .handler import DurableFunction
from .invocation import send_hint
from .ports import Backend
from .starting import check_same, new_header
from .types import Duration, ErrorInfo, ExecutionInfo, ExecutionStatus, HistoryEvent, IfExists

E = TypeVar("E")
T = TypeVar("T")

_DEFAULT_RETENTION_MS = 30 * 86_400_000
_FIRST_LOOK_S = 0.05
_LONGEST_LOOK_S = 2.0


class DurableClient:
    """Blocking and thread-safe; in asyncio use `asyncio.to_thread`. Not for use in a handler body (use `ctx`), but fine in
    a step. Every method with an id raises ExecutionNotFound."""

    def __init__(self, backend: object) -> None:
        if not isinstance(backend, Backend):
            raise TypeError(
                f"DurableClient takes a Backend, not {type(backend).__name__}; use DurableClient.from_env(), or "
                "durable_fn.wiring.sqlite(path)"
            )
        self._backend = backend
        self._store = backend.store
        self._clock = backend.clock

    @classmethod
    def from_env(cls) -> DurableClient:
        """By DURABLE_FN_*. RuntimeError names the variable that is missing."""
        from .wiring import backend

        return cls(backend())

    # -- starting --------------------------------------------------------------------------------------------------

    @overload
    def start(
        self,
        name: DurableFunction[E, Any],
        payload: E,
        *,
        id: str | None = None,
        delay: Duration | None = None,
        if_exists: IfExists = "attach",
    ) -> str: ...
    @overload
    def start(
        self,
        name: str,
        payload: object,
        *,
        id: str | None = None,
        delay: Duration | None = None,
        if_exists: IfExists = "attach",
    ) -> str: ...
    def start(
        self,
        name: DurableFunction[Any, Any] | str,
        payload: object,
        *,
        id: str | None = None,
        delay: Duration | None = None,
        if_exists: IfExists = "attach",
    ) -> str:
        """The execution id. It runs soon, in the function's own Lambda; this only writes it down and sends a message.

        "attach": an id in use is returned as it is, in whatever status, if the payload is the same; another payload is
        ExecutionConflict. "reject": an id in use is always ExecutionConflict. So is an id of another durable function.
        Without `id`: by the function's own `execution_id` rule, else a new one. A function given by name is found through
        the registry row it writes in the table, else behind DURABLE_FN_QUEUE_URL. Raises SerializationError,
        PayloadTooLarge, ValueError for an id or delay that is none.
        """
        if if_exists not in ("attach", "reject"):
            raise ValueError(f'if_exists must be "attach" or "reject", got {if_exists!r}')
        function = name if isinstance(name, DurableFunction) else None
        fn = function.name if function else str(name)
        component(fn)
        input = self._encode(function, fn, payload)
        wanted = new_header(
            self._backend,
            self._id(function, fn, payload, input, id),
            fn,
            input,
            retention_ms=function.retention_ms if function else _DEFAULT_RETENTION_MS,
            delay_ms=0 if delay is None else milliseconds(delay, "delay"),
        )
        reply = self._store.create(wanted)
        if isinstance(reply, Header):
            send_hint(self._backend, reply, self._clock.now())
            return reply.id
        self._attach(reply, wanted, function, if_exists)
        return wanted.id

    def _encode(self, function: DurableFunction[Any, Any] | None, fn: str, payload: object) -> str:
        what = f"the payload for {fn!r}"
        if function is None:
            return to_plain_json(payload)
        text = function.event_adapter.encode(payload, what)
        function.event_adapter.decode(text, what)
        return text

    def _id(
        self, function: DurableFunction[Any, Any] | None, fn: str, payload: object, input: str, id: str | None
    ) -> str:
        if id is not None:
            return checked_id(id)
        if function is None or function.execution_id is None:
            return new_id()
        from .triggers import execution_id

        return execution_id(function, plain(input), input, None)

    def _attach(
        self, refusal: Refusal, wanted: Header, function: DurableFunction[Any, Any] | None, if_exists: IfExists
    ) -> None:
        there = refusal.header
        assert there is not None
        if if_exists == "reject":
            raise ExecutionConflict(
                f"execution id {there.id!r} is in use (status {there.status}), and if_exists is 'reject'",
                execution_id=there.id,
            )
        check_same(self._backend, there, wanted, function.event_adapter if function else adapter(UNTYPED))

    # -- watching --------------------------------------------------------------------------------------------------

    def describe(self, id: str) -> ExecutionInfo:
        """A snapshot."""
        return info(self._header(id))

    @overload
    def result(self, id: str, *, wait: Duration | None = None, result_type: type[T]) -> T: ...
    @overload
    def result(self, id: str, *, wait: Duration | None = None, result_type: object = None) -> Any: ...
    def result(self, id: str, *, wait: Duration | None = None, result_type: object = None) -> Any:
        """The result, decoded by `result_type`, else as plain JSON values (types the SDK tagged come back).

        `wait=None` does not wait. Not finished (in time): CallTimeout. Ended otherwise: CallError, with `.status`.
        """
        header = self._wait(id, 0 if wait is None else milliseconds(wait, "wait"))
        if header.status == "SUCCEEDED":
            kind = adapter(UNTYPED if result_type is None else result_type)
            return kind.decode(header.result or "null", f"the result of execution {id!r}")
        if header.live:
            raise CallTimeout(
                f"execution {id!r} is {header.status} and has no result yet; it goes on, ask again later",
                execution_id=id,
                status=header.status,
            )
        failure = failures.decode(header.error or failures.NOTHING)
        raise CallError(
            f"execution {id!r} ended {header.status}: {failure.error_type}: {failure.message}",
            execution_id=id,
            status=header.status,
            error_type=failure.error_type or None,
            message=failure.message,
        )

    def _wait(self, id: str, wait_ms: int) -> Header:
        """Looks again and again, a little later each time."""
        until = self._clock.now() + wait_ms
        pause = _FIRST_LOOK_S
        while True:
            header = self._header(id)
            left = (until - self._clock.now()) / 1000
            if not header.live or left <= 0:
                return header
            self._clock.sleep(min(pause, left))
            pause = min(pause * 1.5, _LONGEST_LOOK_S)

    def history(self, id: str) -> builtins.list[HistoryEvent]:
        """All journal entries, in journal order."""
        loaded = self._store.load(self._header(id).key)
        return history_of(loaded.segments, loaded.header.finished) if loaded is not None else []

    def list(
        self,
        *,
        name: str | None = None,
        status: ExecutionStatus | None = None,
        started_after: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[ExecutionInfo]:
        """Newest first. `limit=None`: all of them. On DynamoDB this reads the whole table (there is no index for it, so
        that running an execution stays cheap): for people and nightly jobs, not for a hot path."""
        if limit is not None and limit < 0:
            raise ValueError(f"limit must be 0 or more, got {limit}")
        after = None if started_after is None else moment(started_after, "started_after")
        for header in self._store.executions(name, status, after, limit):
            yield info(header)

    def _header(self, id: str) -> Header:
        checked_id(id)
        header = self._store.get(id)
        if header is None:
            raise ExecutionNotFound(f"there is no execution {id!r}; it was never started, or its retention is over")
        return header


def info(header: Header) -> ExecutionInfo:
    """What people are shown of a header."""
    error: ErrorInfo | None = failures.info(failures.decode(header.error)) if header.error is not None else None
    return ExecutionInfo(
        id=header.id,
        name=header.fn,
        status=header.status,
        custom_status=None,
        started_at=aware(header.started),
        finished_at=None if header.finished is None else aware(header.finished),
        next_due_at=None if header.due is None or header.status == "RUNNING" else aware(header.due),
        parent_id=header.parent,
        generation=header.gen,
        invocations=header.turns,
        input=plain(header.input or "null"),
        error=error,
    )
