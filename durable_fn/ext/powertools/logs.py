"""Log keys, and silence on replay, by a filter that looks where the logging code runs.

Not by `append_keys` or `append_context_keys`: they write into the formatter, which all threads share. A context variable
follows threads and tasks, is gone with the invocation whatever happened in it, and survives `clear_state`.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ...hooks import AttemptInfo, Hooks, InvocationInfo

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger

T = TypeVar("T")


class _Here(NamedTuple):
    """What runs in this thread or task."""

    keys: dict[str, Any]
    handler_of: InvocationInfo | None
    """None in a step, whose body never runs on replay."""


_here: ContextVar[_Here | None] = ContextVar("durable_fn_log_keys", default=None)


class DurableFilter(logging.Filter):
    """Adds the keys as extra fields, where the caller gave none of that name, and drops what was logged before."""

    def filter(self, record: logging.LogRecord) -> bool:
        here = _here.get()
        if here is None:
            return True
        if here.handler_of is not None and here.handler_of.is_replaying:
            return False
        for key, value in here.keys.items():
            record.__dict__.setdefault(key, value)
        return True


_FILTER = DurableFilter()
"""One for all: a logger keeps the same filter once."""


class LoggerHooks(Hooks):
    """`logger`: Powertools' or the standard library's."""

    def __init__(self, logger: Logger | logging.Logger | bool) -> None:
        self._make = logger is True
        if not isinstance(logger, bool):
            _attach(logger)

    @contextlib.contextmanager
    def invocation(self, info: InvocationInfo, /) -> Iterator[None]:
        if self._make:
            from aws_lambda_powertools import Logger

            _attach(Logger())
            self._make = False
        keys = {"execution_id": info.execution_id, "durable_function": info.name, "invocation": info.number}
        with _set(_here, _Here(keys, info)):
            yield

    @contextlib.contextmanager
    def attempt(self, info: AttemptInfo, /) -> Iterator[None]:
        outer = _here.get()
        keys = {"execution_id": info.execution_id} if outer is None else outer.keys
        with _set(_here, _Here({**keys, "operation_id": info.operation_id, "attempt": info.attempt}, None)):
            yield


def _attach(logger: Logger | logging.Logger) -> None:
    """To the logger, for all that handle its lines, and to its handlers, for the lines of its child loggers."""
    if not callable(getattr(logger, "addFilter", None)):
        raise TypeError(f"logger must be a Powertools Logger, not {type(logger).__name__}")
    targets: list[Any] = [logger, *logger.handlers]
    for target in targets:
        target.addFilter(_FILTER)


@contextlib.contextmanager
def _set(variable: ContextVar[T], value: T) -> Iterator[None]:
    token: Token[T] = variable.set(value)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # a task that was dropped is closed in another context, which has no keys
            variable.reset(token)
