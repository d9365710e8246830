"""Native cancellations: telling asyncio's own from ours, and raising ours in a branch in the way asyncio does."""

from __future__ import annotations

import asyncio
import collections.abc
import contextvars
import sys
from collections.abc import Callable, Generator, Iterator
from types import FrameType
from typing import Any

from ...errors import ExecutionCancelled, ExecutionTimedOut


class AsyncExecutionCancelled(ExecutionCancelled, asyncio.CancelledError):
    """Native code treats it as a cancellation of the task, and handlers as one of the execution. Journals and logs have the
    name that handlers know."""


class AsyncExecutionTimedOut(ExecutionTimedOut, asyncio.CancelledError):
    """As above: a group whose body waits for its tasks ends them, so that they clean up."""


_FORMS = (AsyncExecutionCancelled, AsyncExecutionTimedOut)
for _form in _FORMS:
    _form.__module__ = "durable_fn.errors"
    _form.__name__ = _form.__qualname__ = _form.__name__.removeprefix("Async")


def _let_through_groups() -> None:
    """Up to Python 3.12 a TaskGroup whose body is cancelled checks for exactly CancelledError, and wraps a subclass into an
    exception group. This makes it raise ours unwrapped, after its tasks have ended, as it does since 3.13."""
    known: Callable[[asyncio.TaskGroup, BaseException], bool] = asyncio.TaskGroup._is_base_error  # type: ignore[attr-defined]

    def is_base_error(group: asyncio.TaskGroup, error: BaseException) -> bool:
        return isinstance(error, _FORMS) or known(group, error)

    asyncio.TaskGroup._is_base_error = is_base_error  # type: ignore[attr-defined]


def _close_what_groups_refuse() -> None:
    """Up to Python 3.12 a TaskGroup that shuts down refuses a coroutine and leaves it unawaited; since 3.13 it closes it."""
    known = asyncio.TaskGroup.create_task

    def create_task(group: asyncio.TaskGroup, coro: Any, **kwargs: Any) -> Any:
        try:
            return known(group, coro, **kwargs)
        except RuntimeError:
            coro.close()
            raise

    asyncio.TaskGroup.create_task = create_task  # type: ignore[method-assign,assignment]


def _let_through_timeouts() -> None:
    """Since Python 3.13 an `asyncio.timeout` that has expired turns a subclass of CancelledError into TimeoutError, too. This
    makes ours pass through unchanged."""
    known = asyncio.Timeout.__aexit__

    async def aexit(limit: asyncio.Timeout, kind: Any, error: BaseException | None, traceback: Any) -> None:
        ours = isinstance(error, _FORMS)
        await (known(limit, None, None, None) if ours else known(limit, kind, error, traceback))

    asyncio.Timeout.__aexit__ = aexit  # type: ignore[method-assign,assignment]


if sys.version_info < (3, 13):
    _let_through_groups()
    _close_what_groups_refuse()
else:
    _let_through_timeouts()


def is_foreign(error: BaseException) -> bool:
    """Whether it is a native cancellation, and none of ours."""
    return isinstance(error, asyncio.CancelledError) and not isinstance(error, ExecutionCancelled | ExecutionTimedOut)


def native(error: BaseException) -> BaseException:
    """An error of ours in the form that native code expects."""
    if isinstance(error, _FORMS):
        return error
    if isinstance(error, ExecutionTimedOut):
        return AsyncExecutionTimedOut(*error.args)
    return AsyncExecutionCancelled(str(error), reason=error.reason) if isinstance(error, ExecutionCancelled) else error


class InContext:
    """Awaits a coroutine in a context of its own, in the task that runs already."""

    def __init__(self, context: contextvars.Context, coroutine: collections.abc.Coroutine[Any, Any, Any]) -> None:
        self._context = context
        self.gi_yieldfrom = coroutine  # as generators show what they wait for

    def __await__(self) -> InContext:
        return self

    def __iter__(self) -> InContext:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        return self._context.run(self.gi_yieldfrom.send, value)

    def throw(self, type: Any, value: Any = None, traceback: Any = None) -> Any:
        return self._context.run(self.gi_yieldfrom.throw, type if value is None else value)

    def close(self) -> None:
        self._context.run(self.gi_yieldfrom.close)


async def result_of(awaitable: collections.abc.Awaitable[Any]) -> Any:
    return await awaitable


def is_asyncio(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0] == "asyncio"


def _frames(coroutine: Any) -> Iterator[FrameType]:
    """The frames of a suspended coroutine, from its own to the innermost one that it awaits."""
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame is not None:
            yield frame
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)


class BranchCoroutine(collections.abc.Coroutine[Any, Any, Any]):
    """The coroutine of a branch's own task. A native cancellation that the SDK requested arrives in it as `cancellation`, so
    that `gather`, `TaskGroup` and `asyncio.timeout` on the way treat it like any cancellation. If the code that the branch
    awaited caught the cancellation, it is raised when the branch goes on.

    `goes_on`: whether what the branch waits for can be had at once, so that its task need not be suspended.
    """

    def __init__(self, inner: collections.abc.Coroutine[Any, Any, Any], goes_on: Callable[[Any], bool]) -> None:
        self.inner = inner
        self._goes_on = goes_on
        self.cancellation: BaseException | None = None
        self.task: asyncio.Task[Any] | None = None
        self._thrown: BaseException | None = None  # an error that the branch's own code may not have seen yet

    def send(self, value: Any) -> Any:
        waited = self._step(value)
        while self._goes_on(waited):  # a task that cancels itself leaves no line of what it waits for
            waited = self.inner.send(None) if self._thrown is None else self._step(None)
        return waited

    def _step(self, value: Any) -> Any:
        if self._thrown is not None and self._was_eaten(self._thrown):
            return self.inner.throw(self._thrown.with_traceback(None))
        if self.cancellation is not None and not getattr(self.task, "_must_cancel", False):
            return self.throw(asyncio.CancelledError())
        return self.inner.send(value)

    def throw(self, type: Any, value: Any = None, traceback: Any = None) -> Any:
        error = type if value is None else value
        if self.cancellation is not None and isinstance(error, asyncio.CancelledError):
            error, self.cancellation = self.cancellation, None
            self._thrown = error
            assert self.task is not None
            self.task.uncancel()
        return self.inner.throw(error)

    def _was_eaten(self, error: BaseException) -> bool:
        """Whether asyncio code that the branch awaited caught the error and then ended in another way: a TaskGroup that was
        aborting already, a `wait_for` whose task was done. An asyncio frame that still runs may yet raise it."""
        caught = error.__traceback__.tb_frame if error.__traceback__ is not None else None
        if caught is None or not is_asyncio(caught):
            self._thrown = None  # the branch's own code has seen it
            return False
        return not any(frame is caught for frame in _frames(self.inner))

    def close(self) -> None:
        self.inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self.inner.__await__()

    def cancel(self, error: BaseException) -> None:
        self.cancellation = error
        assert self.task is not None
        self.task.cancel()


async def in_full(coroutine: collections.abc.Coroutine[Any, Any, Any]) -> None:
    """Awaits it to its end: a native cancellation of the running task that comes meanwhile is raised after that."""
    task = asyncio.get_running_loop().create_task(coroutine)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled
