"""The driver of `def` handlers: performs the effects of operations by direct calls, in the calling thread."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

from ...core.cancellation import error_of, is_raised_before, raise_again_at, raise_at
from ...core.current import current_scope, running_arguments, running_step
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
    Tell,
)
from ...core.scope import Op
from ...errors import ExecutionCancelled, ExecutionTimedOut, StepTimeout
from ...log.events import Event
from ...log.failures import is_native_cancellation, is_stop, own_cancellation
from ...log.kinds import SIGNAL
from ...log.origins import mark
from ..session import RECORDED_END, Session
from .waits import Parked, plain, ready, suspend, wait_for

T = TypeVar("T")


def drive(session: Session, op: Op, operation: Operation[T]) -> T:
    """Performs an operation's effects. A replayed one has none, and ends at the first `send`."""
    if op.record is not None and op.record.raised:
        operation.close()
        raised = raise_again_at(op)
        mark(op.turn, raised, op.id)
        raise raised
    send: Callable[[Any], Effect] = operation.send
    value: Any = None
    cancellation: BaseException | None = None
    while True:
        effect: Effect | None = None
        try:
            effect = send(value)
        except StopIteration as stop:
            result: T = stop.value
            return result
        except (ExecutionCancelled, ExecutionTimedOut) as error:
            if error is cancellation:
                _exhaust(session, op, raise_at(op))
            mark(op.turn, error, op.id)
            raise
        except Exception as error:
            if not is_stop(value) or error.__cause__ is not value:
                mark(op.turn, error, op.id)
                raise
        except BaseException as end:
            raise op.scope.cancel_scope.leave(end) from end.__cause__
        if effect is None:  # the operation raised it, and no generator can
            mark(op.turn, value, op.id)
            raise value
        try:
            if cancellation is None and is_raised_before(op, effect):
                raise _cancellation(op)
            value, send = _perform(session, op, effect), operation.send
        except BaseException as error:
            if op.scope.cancel_scope.cancel_pending and isinstance(error, ExecutionCancelled | ExecutionTimedOut):
                cancellation = error
            value, send = error, operation.throw


def _cancellation(op: Op) -> BaseException:
    cancellation = op.scope.cancel_scope.cancellation
    assert cancellation is not None
    return error_of(cancellation)


def _exhaust(session: Session, op: Op, operation: Operation[None]) -> None:
    value: Any = None
    while True:
        try:
            value = _perform(session, op, operation.send(value))
        except StopIteration:
            return


_NEW: Final = (Commit, Decide, Expire, Launch, Post, Settle, Tell)
"""Effects that write, or make requests: a read-only replay must not perform them."""


def _perform(session: Session, op: Op, effect: Effect) -> Any:
    if session.read_only and isinstance(effect, _NEW):
        raise suspend(session, RECORDED_END, None)
    if isinstance(effect, Call):
        return _call(session, op, effect)
    if isinstance(effect, CheckTime):
        return _check_time(session, op, effect.timeout)
    if isinstance(effect, Settle):
        return _settle(session, op, effect)
    if isinstance(effect, Commit):
        return session.commit()
    if isinstance(effect, Park):
        return _park(session, op, effect)
    if isinstance(effect, Inside):
        return _inside(op, effect)
    if isinstance(effect, Fork):
        from .fan import run_fan

        return run_fan(session, op, effect.fan)
    if isinstance(effect, Decide):
        return session.decide(effect)
    if isinstance(effect, Expire | Launch | Post | Tell):
        return _request(session, effect)
    return None  # Take: in a `def` handler nobody can see which branch was first


def _settle(session: Session, op: Op, settle: Settle) -> Event:
    """For a signal: after a crash another branch might take it, so the entry must be durable before a body begins."""
    if settle.event.kind == SIGNAL:  # also for a wait inside another operation
        session.turn.choose(op.scope, settle.event)
    if settle.durable:
        session.commit()
    return settle.event


def _request(session: Session, effect: Expire | Launch | Post | Tell) -> Any:
    session.gate()
    if isinstance(effect, Expire):
        return session.expire(effect.key, effect.body)
    session.turn.act(begun=isinstance(effect, Tell))
    if isinstance(effect, Post):
        return session.post(effect)
    return session.launch(effect) if isinstance(effect, Launch) else session.tell(effect.id, effect.reason)


def _inside(op: Op, effect: Inside) -> Any:
    """Runs the child in a context of its own, because a replay may skip it and then sets no contextvars either."""
    context, cancel_scope = contextvars.copy_context(), op.scope.cancel_scope
    context.run(current_scope.set, effect.scope)
    try:
        return plain(context.run(effect.fn, *effect.args, **effect.kwargs), "child", effect.fn)
    finally:
        closed = cancel_scope.closed or op.turn.closed
        if cancel_scope.leaving and closed is not None:  # even if the code caught the reason: it is walked again
            raise closed


def _check_time(session: Session, op: Op, timeout: float | None) -> None:
    session.look_for_news()
    if not session.read_only:
        session.turn.look_at_deadline()
    if op.scope.cancel_scope.cancel_pending:
        raise _cancellation(op)
    session.look_at_lease()
    if session.must_yield(timeout):
        raise suspend(session, "too little Lambda time is left", session.clock.now())


def _call(session: Session, op: Op, call: Call) -> Any:
    session.gate()
    if call.begun:
        session.look_at_lease()
    else:
        _check_time(session, op, call.timeout)
    session.turn.act(begun=call.begun)
    began = session.activity.begin_body()
    try:
        return contextvars.copy_context().run(_attempt, session, call)
    except BaseException as death:
        if is_native_cancellation(death):
            raise own_cancellation(death) from death
        if not isinstance(death, Exception | ExecutionCancelled):
            session.turn.end(death)
        raise
    finally:
        session.activity.end_body(began)


def _attempt(session: Session, call: Call) -> Any:
    """Runs the body in a context of its own: the contextvars that it sets are dropped, because a replay runs no body."""
    current_scope.set(None)
    running_step.set(call.info)
    running_arguments.set((call.args, call.kwargs))
    if not session.hooks:
        return _body(call)
    from ..hooking import attempt

    with attempt(session.hooks, call.info):
        return _body(call)


def _body(call: Call) -> Any:
    return call.fn(*call.args, **call.kwargs) if call.timeout is None else _call_in_time(call, call.timeout)


def _call_in_time(call: Call, timeout: float) -> Any:
    """Runs the body in a thread, because a `def` body cannot be interrupted; after its timeout the thread goes on,
    unattended."""
    outcome: list[tuple[bool, Any]] = []

    def body() -> None:
        try:
            outcome.append((True, call.fn(*call.args, **call.kwargs)))
        except BaseException as error:
            outcome.append((False, error))

    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(body,), name=f"step {call.info.name}", daemon=True)
    thread.start()
    thread.join(timeout)
    if not outcome:
        raise StepTimeout(f"attempt {call.info.attempt} of step {call.info.name!r} ran longer than {timeout:g} s")
    ok, value = outcome[0]
    if ok:
        return value
    raise value


def _park(session: Session, op: Op, park: Park) -> None:
    """The handler itself waits in place if the time is near. A branch never does: it unwinds, and its thread is free."""
    cancel_scope = op.scope.cancel_scope
    if ready(session, park.due, park.wake):
        return
    if cancel_scope is not session.turn.cancel_scope:
        cancel_scope.closed = Parked(park.due, (park.wake,) if park.wake else (), told=cancel_scope.shields > 0)
        raise cancel_scope.closed
    wait_for(session, park.due, (park.wake,) if park.wake else ())
