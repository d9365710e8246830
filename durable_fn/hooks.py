"""Public extension points: what tracing and metrics stand on."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from .types import ExecutionStatus, HistoryEvent

_log = logging.getLogger("durable_fn")


@dataclass(frozen=True, slots=True)
class Caller:
    """The execution that waits for this one in `ctx.call`."""

    execution_id: str
    name: str
    generation: int
    operation: str
    """Stands for the id of its call: `operation_key(id)`."""
    started_at: datetime | None
    """None for a caller that an older version of durable_fn ran."""


def operation_key(operation_id: str) -> str:
    """20 hexadecimal digits that stand for an operation id: what `Caller.operation` has."""
    return hashlib.blake2b(operation_id.encode(), digest_size=10).hexdigest()


class Progress(Protocol):
    """What an InvocationInfo asks about the turn that runs."""

    @property
    def is_replaying(self) -> bool: ...
    @property
    def replayed_steps(self) -> int: ...
    @property
    def suspended_at(self) -> datetime | None: ...


@dataclass(slots=True)
class InvocationInfo:
    """`number` from 1; `status`: RUNNING on entry, the outcome on exit. Times are aware, by the journal's clock."""

    execution_id: str
    name: str
    number: int
    request_id: str
    status: ExecutionStatus
    generation: int = field(kw_only=True)
    """1, and one more for each continue_as_new."""
    started_at: datetime = field(kw_only=True)
    """Of the execution: the same in all its invocations and generations."""
    began_at: datetime = field(kw_only=True)
    """Of this invocation."""
    due_at: datetime | None = field(default=None, kw_only=True)
    """Since when it was to run. None for the direct start of an execution, which nothing waited for."""
    caller: Caller | None = field(default=None, kw_only=True)
    finished_at: datetime | None = field(default=None, kw_only=True)
    """On exit, if this invocation ended the execution; no other invocation of it ever says so again, unless it is redriven."""
    error: BaseException | None = field(default=None, kw_only=True)
    """On exit: what the handler raised, if that ended the execution."""
    _progress: Progress | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def is_replaying(self) -> bool:
        """Now: as `ctx.is_replaying`. Ask where the handler's code runs; a step's body never runs on replay."""
        return self._progress is not None and self._progress.is_replaying

    @property
    def replayed_steps(self) -> int:
        """Until now: steps whose recorded results were handed out instead of running them."""
        return 0 if self._progress is None else self._progress.replayed_steps

    @property
    def suspended_at(self) -> datetime | None:
        """When the execution stopped before this invocation: the time of the journal's newest entry. None for the first
        invocation, after one that died, and before the journal is read; so ask on exit."""
        return None if self._progress is None else self._progress.suspended_at

    def follow(self, progress: Progress) -> None:
        """The SDK's own: the turn that runs from now on."""
        self._progress = progress


@dataclass(frozen=True, slots=True)
class AttemptInfo:
    """`attempt` from 1; the key is the same on every attempt and replay."""

    execution_id: str
    operation_id: str
    name: str
    attempt: int
    idempotency_key: str


class Hooks:
    """What is told of invocations, attempts and entries: override what you need.

    ```python
    class Counting(Hooks):
        def recorded(self, execution_id: str, event: HistoryEvent, /) -> None:
            COUNTER[event.kind] += 1

    configure(hooks=(Counting(),))
    ```

    `invocation` and `attempt` wrap the code, in the thread or task that runs it, so that contextvars (a span, a log
    key) reach it; exceptions pass through them. An error in a hook is logged, and never fails the execution.
    """

    def invocation(self, info: InvocationInfo, /) -> AbstractContextManager[object]:
        """Around an invocation of the handler."""
        return contextlib.nullcontext()

    def attempt(self, info: AttemptInfo, /) -> AbstractContextManager[object]:
        """Around an attempt of a step."""
        return contextlib.nullcontext()

    def recorded(self, execution_id: str, event: HistoryEvent, /) -> None:
        """Each entry once, after it is durable; never on a replay, and maybe not at all if the process dies just then."""


def checked_hooks(hooks: Iterable[Hooks]) -> tuple[Hooks, ...]:
    """Raises TypeError for what cannot be told anything."""
    if isinstance(hooks, Hooks) or not isinstance(hooks, Iterable):
        raise TypeError(f"hooks must be a list or tuple of durable_fn.hooks.Hooks, got {type(hooks).__name__}")
    listed = tuple(hooks)
    for hook in listed:
        whole = all(callable(getattr(hook, name, None)) for name in ("invocation", "attempt", "recorded"))
        if isinstance(hook, type) or not whole:
            shown = f"the class {hook.__name__}" if isinstance(hook, type) else type(hook).__name__
            raise TypeError(f"hooks must be durable_fn.hooks.Hooks, got {shown}; subclass Hooks, and give objects")
    return listed


class HookChain(Hooks):
    """Several hooks as one. Each fails by itself: the others go on."""

    def __init__(self, *hooks: Hooks) -> None:
        self.hooks = hooks

    def invocation(self, info: InvocationInfo, /) -> AbstractContextManager[object]:
        return wrapped(self.hooks, lambda hook: hook.invocation(info))

    def attempt(self, info: AttemptInfo, /) -> AbstractContextManager[object]:
        return wrapped(self.hooks, lambda hook: hook.attempt(info))

    def recorded(self, execution_id: str, event: HistoryEvent, /) -> None:
        tell(self.hooks, execution_id, event)


@contextlib.contextmanager
def wrapped(hooks: tuple[Hooks, ...], open_: Callable[[Hooks], AbstractContextManager[object]]) -> Iterator[None]:
    """Inside all of them. What the code raises passes through; what a hook raises is logged."""
    entered: list[AbstractContextManager[object]] = []
    for hook in hooks:
        try:
            manager = open_(hook)
            manager.__enter__()
            entered.append(manager)
        except Exception:
            _log.exception("a hook failed")
    try:
        yield
    except BaseException as error:
        _leave(entered, error)
        raise
    _leave(entered, None)


def _leave(entered: list[AbstractContextManager[object]], error: BaseException | None) -> None:
    kind, traceback = (None, None) if error is None else (type(error), error.__traceback__)
    for manager in reversed(entered):
        try:
            manager.__exit__(kind, error, traceback)
        except Exception as failure:
            if failure is not error:  # contextlib's own managers raise what passes through them
                _log.exception("a hook failed")


def tell(hooks: tuple[Hooks, ...], execution_id: str, event: HistoryEvent) -> None:
    """All of them; what a hook raises is logged."""
    for hook in hooks:
        try:
            hook.recorded(execution_id, event)
        except Exception:
            _log.exception("a hook failed")


class Codec(Protocol):
    """The last step before storage and the first after it, for encryption.

    ```python
    configure(codec=AesGcm(key))  # durable_fn.codecs has this one, and KmsAesGcm
    ```

    `context` says where a value stands: execution, run and place, a line each. Use it as associated data, so that no
    value can be moved. `decode` must keep reading what older versions wrote.
    """

    def encode(self, data: bytes, context: str, /) -> bytes: ...
    def decode(self, data: bytes, context: str, /) -> bytes: ...


__all__ = ["AttemptInfo", "Caller", "Codec", "HookChain", "Hooks", "InvocationInfo", "operation_key"]
