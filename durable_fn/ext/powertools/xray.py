"""X-Ray subsegments. The recorder keeps its open subsegments per thread, as a stack; attempts run on other threads and,
in asyncio, interleaved on one. So each is opened below the invocation's own, and closed by itself, not as the stack's top."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from ...hooks import AttemptInfo, Hooks, InvocationInfo

if TYPE_CHECKING:
    from aws_lambda_powertools import Tracer

_NOT_IN_NAMES: Final = re.compile(r"[^\w\s.:/%&#=+\\@-]")
_LONGEST_NAME: Final = 200


class Open:
    """An invocation's subsegment, as attempts find it."""

    def __init__(self, entity: Any) -> None:
        self.entity = entity
        self.thread = threading.get_ident()
        self.moved = False  # the stack of its thread was replaced

    @property
    def on_top(self) -> bool:
        """Whether this thread's stack is the one it is on, and nobody else's code runs in between."""
        return threading.get_ident() == self.thread and not _in_loop()


_open: ContextVar[Open | None] = ContextVar("durable_fn_subsegment", default=None)


class TracerHooks(Hooks):
    def __init__(self, tracer: Tracer | bool) -> None:
        self._tracer: Any = None if isinstance(tracer, bool) else _checked(tracer)

    def _recorder(self) -> Any:
        """None where nothing is traced. A Tracer of ours is made in the first invocation that X-Ray samples."""
        if self._tracer is None:
            if not _sampled():
                return None
            from aws_lambda_powertools import Tracer

            self._tracer = _checked(Tracer())
        return None if self._tracer.disabled else self._tracer.provider

    @contextlib.contextmanager
    def invocation(self, info: InvocationInfo, /) -> Iterator[None]:
        recorder = self._recorder()
        if recorder is None:
            yield
            return
        before = recorder.get_trace_entity()
        entity = recorder.begin_subsegment(_name(info.name))
        _annotate(entity, execution_id=info.execution_id, durable_function=info.name, invocation=info.number)
        open_ = Open(entity)
        token = _open.set(open_)
        try:
            with _exceptions(recorder, entity):
                yield
        finally:
            _open.reset(token)
            _annotate(entity, status=info.status)
            if info.error is not None:
                _add_exception(recorder, entity, info.error)
            _close(recorder, entity, before, stacked=not open_.moved)

    @contextlib.contextmanager
    def attempt(self, info: AttemptInfo, /) -> Iterator[None]:
        open_, recorder = _open.get(), self._recorder()
        if recorder is None or open_ is None or open_.entity is None:
            yield
            return
        if open_.on_top:
            before, stacked = recorder.get_trace_entity(), True
        else:
            before, stacked = open_.entity, False
            open_.moved = open_.moved or threading.get_ident() == open_.thread
            recorder.set_trace_entity(before)
        entity = recorder.begin_subsegment(_name(info.name))
        _annotate(entity, execution_id=info.execution_id, operation_id=info.operation_id, attempt=info.attempt)
        try:
            with _exceptions(recorder, entity):
                yield
        finally:
            _close(recorder, entity, before, stacked=stacked)


def _close(recorder: Any, entity: Any, before: Any, *, stacked: bool) -> None:
    """Sends it, too, if it is complete. `before`: what is the current one then."""
    if entity is None:
        return
    if stacked and recorder.get_trace_entity() is entity:
        recorder.end_subsegment()
        return
    if entity.in_progress:
        entity.close()
    recorder.set_trace_entity(before)
    recorder.stream_subsegments()


@contextlib.contextmanager
def _exceptions(recorder: Any, entity: Any) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        _add_exception(recorder, entity, error)
        raise


def _add_exception(recorder: Any, entity: Any, error: BaseException) -> None:
    if entity is not None:
        entity.add_exception(error, traceback.extract_tb(error.__traceback__, limit=recorder.max_trace_back))


def _annotate(entity: Any, **annotations: str | int) -> None:
    if entity is not None:
        for key, value in annotations.items():
            entity.put_annotation(key, value)


def _name(name: str) -> str:
    """As Powertools marks functions; without what X-Ray does not take."""
    return f"## {_NOT_IN_NAMES.sub('', name)}"[:_LONGEST_NAME]


def _in_loop() -> bool:
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _sampled() -> bool:
    disabled = os.environ.get("POWERTOOLS_TRACE_DISABLED", "").lower() in ("1", "true", "y", "yes", "t", "on")
    in_lambda = "LAMBDA_TASK_ROOT" in os.environ and "AWS_SAM_LOCAL" not in os.environ
    return in_lambda and not disabled and "Sampled=1" in os.environ.get("_X_AMZN_TRACE_ID", "")


def _checked(tracer: Any) -> Any:
    """Raises TypeError for a tracer that does not record for X-Ray."""
    if not callable(getattr(getattr(tracer, "provider", None), "begin_subsegment", None)):
        raise TypeError(f"tracer must be a Powertools Tracer with the X-Ray SDK, not {type(tracer).__name__}")
    return tracer
