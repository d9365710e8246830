"""Where the running code is: the scope that gives operations their ids, or the step whose body runs.

Both travel by contextvars, so they follow threads and tasks that copy the context, and no others.
"""

from __future__ import annotations

import contextvars
import itertools
import logging
from collections.abc import Callable, Iterator, MutableMapping
from contextvars import ContextVar
from datetime import datetime
from typing import Any, TypeVar

from ..log.durations import aware

T = TypeVar("T")

_LOGGER = logging.getLogger("durable_fn.step")


class StepInfo:
    """The running attempt of a step, as `current_step()` gives it.

    ```python
    @step
    def charge(order: Order) -> str:
        return PROVIDER.charge(order.total, idempotency_key=current_step().idempotency_key)
    ```
    """

    __slots__ = ("_attempt", "_deadline", "_execution_id", "_key", "_name", "_operation_id", "_sent")

    def __init__(
        self, execution_id: str, operation_id: str, name: str, attempt: int, idempotency_key: str, deadline: int
    ) -> None:
        self._execution_id = execution_id
        self._operation_id = operation_id
        self._name = name
        self._attempt = attempt
        self._key = idempotency_key
        self._deadline = deadline
        self._sent: dict[tuple[str, str], Iterator[int]] = {}

    def signal_id(self, target: str, name: str) -> str:
        """Of the next signal of this name that the body sends there: the same in every attempt, and nobody else's."""
        count = self._sent.setdefault(
            (target, name), itertools.count(1)
        )  # the body may have threads: each call here is atomic
        return f"step {self._key} {next(count)}"

    @property
    def attempt(self) -> int:
        """From 1."""
        return self._attempt

    @property
    def name(self) -> str:
        return self._name

    @property
    def operation_id(self) -> str:
        return self._operation_id

    @property
    def execution_id(self) -> str:
        return self._execution_id

    @property
    def idempotency_key(self) -> str:
        """The same on every attempt and replay, unguessable, 32 characters: hand it to payment providers."""
        return self._key

    @property
    def deadline(self) -> datetime:
        """Aware; the step's timeout or the Lambda's end, whichever is first."""
        return aware(self._deadline)

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """Carries execution id, operation id and attempt; a module-level step cannot reach `ctx.logger`."""
        fields = {"execution_id": self.execution_id, "operation_id": self.operation_id, "attempt": self.attempt}
        return FieldLogger(_LOGGER, fields)


class FieldLogger(logging.LoggerAdapter[logging.Logger]):
    """Adds its fields to the caller's `extra` (the standard adapter before 3.13 throws the caller's away)."""

    def process(self, msg: object, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


current_scope: ContextVar[Any] = ContextVar("durable_fn_scope", default=None)
"""A `core/scope.py:Scope`, or None outside of handler code. Its class is not named: it is above this file."""
running_step: ContextVar[StepInfo | None] = ContextVar("durable_fn_step", default=None)


running_arguments: ContextVar[tuple[tuple[Any, ...], dict[str, Any]]] = ContextVar("durable_fn_arguments")
"""What that body was called with: test tools look at it."""


class MisplacedCall(RuntimeError):
    """A durable call in a step's body. The code is wrong, so no attempt after it can be better."""

    __module__, __qualname__ = "builtins", "RuntimeError"  # what it is to users


def apart(function: Callable[..., T], *args: Any) -> T:
    """What a function of the user says that is asked in the middle of an operation: no durable call has a place there, and as it
    may be asked only once, the contextvars that it sets end with it."""
    context = contextvars.copy_context()
    context.run(current_scope.set, None)
    return context.run(function, *args)


def current_step() -> StepInfo:
    """The running attempt, in the body of a step, a submitter, a check of a poll, a compensation.

    ```python
    key = current_step().idempotency_key  # the same on every attempt
    ```

    It travels by contextvars: threads that you start yourself do not see it, unless you copy the context.

    Raises:
        RuntimeError: Anywhere else.
    """
    info = running_step.get()
    if info is None:
        raise RuntimeError(
            "current_step() was called outside a step body; call it in the function you hand to ctx.step "
            "(threads you start yourself need contextvars.copy_context().run)"
        )
    return info
