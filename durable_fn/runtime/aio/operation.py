"""An operation of an async handler while it runs. The pump advances its generator; the handler only waits for the outcome.

The outcome reaches the handler when the operation's line is handed out, in a live turn as in a replay. On a native cancellation
the handler leaves the operation at once: it is `gone`, a running body unwinds in the background, and its line, if any, is
dropped.
"""

from __future__ import annotations

import asyncio
import collections.abc
import contextvars
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Final

from ...core.cancellation import cancellation_text, error_of
from ...core.current import current_scope
from ...core.effects import (
    Call,
    CheckTime,
    Commit,
    Decide,
    Effect,
    Expire,
    Fork,
    Inside,
    Launch,
    Operation,
    Park,
    Post,
    Settle,
    Take,
    Tell,
)
from ...core.scope import Op
from ...errors import ExecutionTimedOut
from ...log.events import CANCELLED, SUCCEEDED, Event
from ...log.journal import Record
from ...log.kinds import CALL, CODE, FANS, STEP, WALKED
from ...log.origins import mark
from .loop import inline
from .native import InContext, result_of

if TYPE_CHECKING:
    from .mover import Mover

_WAITS: Final = object()


class RunningOperation:
    """`parked`: not 0 while it waits on the agenda.

    For the handler's task it is the future that the task waits for, and for the pump the callback that wakes that task: a
    future and a handle of its own for each operation would cost as much as the rest of a replay.
    """

    _cancelled = False  # as a handle: see `asyncio.Handle`

    __slots__ = (
        "_asyncio_future_blocking", "_context", "_error", "_left", "_unwinds", "_value", "_wakeup", "context", "ended", "gone",
        "op", "operation", "order", "parked", "pump", "wake",
    )  # fmt: skip

    def __init__(self, pump: Mover, op: Op, operation: Operation[Any]) -> None:
        self.pump = pump
        self.op = op
        self.operation = operation
        self.context: contextvars.Context | None = None  # for its bodies: the handler's context, without a scope
        self.gone = False  # the handler does not wait for it any more
        self.parked = self.order = 0
        self.wake: str | None = None  # the inbox entry that it waited for last
        self.ended = False
        self._unwinds = False
        self._left = 0  # how often the handler left it: answers to older requests are ignored
        self._value: Any = None
        self._error: BaseException | None = None
        self._wakeup: Callable[[Any], object] | None = None
        self._context: contextvars.Context | None = None
        self._asyncio_future_blocking = False

    # -- what a task asks of a future, and the pump of a handle ------------------------------------------------------

    def __await__(self) -> Generator[Any, None, Any]:
        """Runs once, in the task that called the operation."""
        if not self.ended:
            self._asyncio_future_blocking = True
            try:
                yield self
            except BaseException:
                if not self.ended:
                    self._leave()
                raise
        if self._error is not None:
            raise self._error
        return self._value

    def add_done_callback(self, fn: Callable[[Any], object], *, context: contextvars.Context) -> None:
        self._wakeup, self._context = fn, context

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self.pump.loop

    def done(self) -> bool:
        return self.ended or self.gone

    def cancel(self, msg: Any = None) -> bool:
        """The task that waits is cancelled. The handler leaves the operation once the cancellation arrives in `__await__`."""
        if self.done():
            return False
        self.gone, self._value = True, msg
        self.pump.wake(self)
        return True

    def result(self) -> None:
        if not self.ended:
            raise asyncio.CancelledError(*(() if self._value is None else (self._value,)))

    def _run(self) -> None:
        assert self._wakeup is not None
        assert self._context is not None
        self._context.run(self._wakeup, self)

    # -- the handler's side ----------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Runs in the task that called the operation."""
        turn, record = self.pump.turn, self.op.record
        if turn.closed is not None:
            raise turn.ended()
        if record is not None and record.done is not None and self.op.kind not in WALKED:
            self.pump.await_line(self.op.id, self)  # the generator starts when its line is handed out, and ends at once
            return
        self.context = contextvars.copy_context()
        self.context.run(current_scope.set, None)
        if record is not None and record.given_up is not None and self.op.kind == STEP:
            # The code left it, and does so in each replay. Whether its body was interrupted is decided at the end of the log.
            self.pump.bodies.queue(self, CheckTime(None))
            return
        self.resume()

    def _leave(self) -> None:
        """A native cancellation reached the handler's wait. If it came from above, a call gets it too, to cancel the other
        execution."""
        cancel_scope, record = self.op.scope.cancel_scope, self.op.record
        self.gone = True
        self._left += 1
        self.pump.agenda.unpark(self)
        self.pump.bodies.drop(self)
        if self.pump.over:
            self.operation.close()
            return
        if (
            self.op.kind == CALL
            and cancel_scope.raised
            and cancel_scope.cancellation is not None
            and (record is None or not record.given_up)
        ):
            self._unwinds = True
            self.pump.bodies.leaving += 1
            self.resume(error=error_of(cancel_scope.cancellation))
        else:
            self.operation.close()
            self._note()

    def _note(self) -> None:
        """Records, for the history, that nobody waits for this operation any more."""
        record = self.op.record
        if self.context is not None and (record is None or (record.done is None and record.given_up is None)):
            _note_left(self.op)

    # -- the pump's side -------------------------------------------------------------------------------------------

    def hand(self, event: Event) -> bool:
        """Its line is handed out. False: nobody waits for it any more."""
        if self.gone:
            return False
        self.resume(event if self.context is not None else None)
        return True

    def is_due_on_record(self, due: int) -> bool:
        """Whether the log has this time, so that it is the same after a death."""
        record = self.op.record
        return record is not None and any(e is not None and e.due == due for e in (record.begun, record.retry))

    def resume(self, value: Any = None, error: BaseException | None = None) -> None:
        """Advances the generator until it waits again or ends."""
        if self.gone and not self._unwinds:
            return
        if self.parked:
            self.pump.agenda.unpark(self)
        send: Callable[[Any], Effect] = self.operation.send
        if error is not None:
            value, send = error, self.operation.throw
        try:
            while True:
                effect = send(value)
                if (value := _EFFECTS[type(effect)](self, effect)) is _WAITS:
                    return
                send = self.operation.send
        except StopIteration as stop:
            self._end(stop.value, None)
        except BaseException as failed:
            if self._unwinds:
                self._unwound()
            elif isinstance(failed, Exception):
                mark(self.pump.turn, failed, self.op.id)
                self._end(None, failed)
            else:
                self.pump.finish(failed)

    def _unwound(self) -> None:
        self._unwinds = False
        self._note()
        self.pump.bodies.has_left()

    def answer(self) -> Callable[[Any, BaseException | None], None]:
        """A callback for the answer to a request that is made now."""
        left = self._left

        def answered(value: Any, error: BaseException | None) -> None:
            if left == self._left:
                self.resume(value, error)

        return answered

    def _end(self, value: Any, error: BaseException | None) -> None:
        self.ended, self._value, self._error = True, value, error
        if self._wakeup is not None:
            self.pump.wake(self)

    def _settle(self, effect: Settle) -> Any:
        self.pump.enqueue(effect.event, self, held=effect.durable)
        return _WAITS

    def _decide(self, effect: Decide) -> Any:
        self.pump.decide(effect, self)
        return _WAITS

    def _take(self, effect: Take) -> Any:
        self.pump.await_line(effect.record.id, self)
        return _WAITS

    def _commit(self, effect: Commit) -> Any:
        self.pump.commits.when_durable(self)
        return _WAITS

    def _park(self, effect: Park) -> Any:
        self.pump.agenda.park(self, effect.due, effect.wake)
        return _WAITS

    def _at_the_gate(self, effect: Effect) -> Any:
        self.pump.bodies.queue(self, effect)
        return _WAITS


_EFFECTS: Final[dict[type, Callable[[RunningOperation, Any], Any]]] = {
    Settle: RunningOperation._settle,
    Decide: RunningOperation._decide,
    Take: RunningOperation._take,
    Commit: RunningOperation._commit,
    Park: RunningOperation._park,
    Call: RunningOperation._at_the_gate,
    CheckTime: RunningOperation._at_the_gate,
    Launch: RunningOperation._at_the_gate,
    Expire: RunningOperation._at_the_gate,
    Post: RunningOperation._at_the_gate,
    Tell: RunningOperation._at_the_gate,
}


def _note_left(op: Op) -> None:
    """Records what cancelled it: the cancellation of its branch, or else the handler's own code."""
    cancel_scope = op.scope.cancel_scope
    from_above = cancel_scope.cancellation if cancel_scope.raised else None
    op.turn.record(op, CANCELLED, value="" if from_above is None else cancellation_text(from_above))


def drive(pump: Mover, op: Op, operation: Operation[Any]) -> collections.abc.Coroutine[Any, Any, Any]:
    """To be awaited once."""
    coroutine = _walk(pump, op, operation) if op.kind in CODE else _run(pump, op, operation)
    pump.unawaited.called(operation, op, op.scope.cancel_scope, coroutine)
    return coroutine


@inline
async def _run(pump: Mover, op: Op, operation: Operation[Any]) -> Any:
    pump.unawaited.begun(operation)
    running = RunningOperation(pump, op, operation)
    running.begin()
    return await running


# -- operations that run handler code ------------------------------------------------------------------------------


class _Line:
    """A task of the handler that runs the code of an operation waits for that operation's line."""

    def __init__(self, future: asyncio.Future[Event]) -> None:
        self.future = future

    def hand(self, event: Event) -> bool:
        if self.future.done():
            return False
        self.future.set_result(event)
        return True


@inline
async def _walk(pump: Mover, op: Op, operation: Operation[Any]) -> Any:
    pump.unawaited.begun(operation)
    if pump.turn.closed is not None:
        raise pump.turn.ended()
    send: Callable[[Any], Effect] = operation.send
    value: Any = None
    effect: Effect | None = None
    try:
        while True:
            effect = send(value)
            try:
                value, send = await _walked(pump, op, effect), operation.send
            except BaseException as error:
                value, send = error, operation.throw
            if pump.over or pump.turn.closed is not None:  # even if the code caught the reason: it is walked again
                raise pump.turn.closed or asyncio.CancelledError
    except StopIteration as stop:
        return stop.value
    except Exception as error:
        mark(op.turn, error, op.id)
        raise
    except asyncio.CancelledError:
        if op.begun and not pump.over and (op.record is None or op.record.given_up is None):
            _note_left(op)
            if isinstance(effect, Settle):  # the child had ended
                pump.commits_before_a_body()
        raise


async def _walked(pump: Mover, op: Op, effect: Effect) -> Any:
    if isinstance(effect, Inside):
        return await _inside(effect)
    if isinstance(effect, Fork):
        from .fan import run_fan

        return await run_fan(pump, op, effect.fan)
    assert isinstance(effect, Settle | Take)
    if op.kind in FANS:  # a fan's own end is only for the history: the handler went on by the ends of its branches
        if isinstance(effect, Settle):
            effect.event.at = pump.turn.at
        return None
    line = _Line(pump.loop.plain_future())
    if isinstance(effect, Settle):
        pump.enqueue(effect.event, line, held=effect.durable)
        return await line.future
    pump.await_line(op.id, line)
    while True:
        try:
            return await line.future
        except (asyncio.CancelledError, ExecutionTimedOut):
            if pump.over or not _kept_a_cancellation(effect.record):
                raise
            line.future = pump.loop.plain_future()


def _kept_a_cancellation(record: Record) -> bool:
    """For a child that a replay skips: whether its code caught a cancellation that arrived while it ran, which is so if it
    returned. A cancellation between its end and its line is recorded in `given_up`."""
    return record.done is not None and record.done.status == SUCCEEDED and record.given_up is None


async def _inside(effect: Inside) -> Any:
    """Runs the child in a context of its own, because a replay may skip it and then sets no contextvars either."""
    context = contextvars.copy_context()
    context.run(current_scope.set, effect.scope)
    value = context.run(effect.fn, *effect.args, **effect.kwargs)
    if not isinstance(value, collections.abc.Awaitable):
        return value
    return await InContext(context, value if asyncio.iscoroutine(value) else result_of(value))
