"""`def` handlers: operations are driven by direct calls in the handler's own thread."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

from ..core.current import current_scope, running_step
from ..core.durations import milliseconds, moment
from ..core.effects import Call, Commit, Effect, Operation
from ..core.events import component
from ..core.operations.sleep import sleep as sleep_operation
from ..core.operations.step import step as step_operation
from ..core.steps import plan_of
from ..core.turn import Suspension
from ..errors import StepTimeout
from ..types import Duration, LambdaContext
from .context import BaseContext
from .session import Session

P = ParamSpec("P")
T = TypeVar("T")


class DurableContext(BaseContext):
    """Handed to `def` handlers. An operation id is assigned when the method is called, in program order, and is the path
    of names with an occurrence number ("charge", "charge#2"). A durable call inside a step body raises RuntimeError.

    While a handler unwinds to suspend, `finally` blocks run: a durable call there only re-raises the suspension, but
    other code there runs at every suspension.
    """

    def __init__(self, session: Session, lambda_context: LambdaContext) -> None:
        super().__init__(session.turn, lambda_context)
        self._session = session

    def step(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs `fn(*args, **kwargs)` once, durably: when this returns, the result is stored and the body never runs again.

        Options travel with the function (`@step(...)` or `step(fn, name=...)`). The value went through encode/decode, so
        mutations and identity are lost, the types stay. Raises StepError, StepTimeout, StepInterrupted, a class named in
        `raises=`, SerializationError. An `async def` fn is a TypeError here. The arguments are not recorded.
        """
        plan = plan_of(fn)
        if plan.is_async:
            raise TypeError(
                f"step {plan.name!r} is an async function, but this handler is a plain def: make the handler "
                "`async def` (with AsyncDurableContext), or the step a plain function"
            )
        op = self._scope("step").enter("step", plan.component)
        result: T = drive(self._session, step_operation(op, plan, fn, args, kwargs))
        return result

    def sleep(self, duration: Duration, *, name: str | None = None) -> None:
        """Seconds or timedelta. Suspends, unless it is short (about a second)."""
        delay = milliseconds(duration, "the duration of ctx.sleep")
        op = self._scope("sleep").enter("sleep", component(name or "sleep"))
        drive(self._session, sleep_operation(op, self._turn.time() + delay))

    def sleep_until(self, when: datetime, *, name: str | None = None) -> None:
        """ValueError for a naive datetime; a past one returns at once."""
        due = moment(when, "the time of ctx.sleep_until")
        op = self._scope("sleep_until").enter("sleep", component(name or "sleep_until"))
        drive(self._session, sleep_operation(op, due))


def run(session: Session, handler: Callable[[Any, Any], Any], event: Any, lambda_context: LambdaContext) -> Any:
    """The handler's return value, or what it raised."""
    token = current_scope.set(session.turn.root)
    try:
        return handler(event, DurableContext(session, lambda_context))
    finally:
        current_scope.reset(token)


def drive(session: Session, operation: Operation[T]) -> T:
    """Performs an operation's effects. A replayed one has none, and ends at the first `send`."""
    send: Callable[[Any], Effect] = operation.send
    value: Any = None
    while True:
        try:
            effect = send(value)
        except StopIteration as stop:
            result: T = stop.value
            return result
        try:
            value, send = _perform(session, effect), operation.send
        except BaseException as error:
            value, send = error, operation.throw


def _perform(session: Session, effect: Effect) -> Any:
    if isinstance(effect, Call):
        return _call(session, effect)
    if isinstance(effect, Commit):
        return session.commit()
    return _park(session, effect.due)


def _call(session: Session, call: Call) -> Any:
    session.look_at_lease()
    if session.must_yield(call.timeout):
        raise _suspend(session, "too little Lambda time is left", session.clock.now())
    scope, step = current_scope.set(None), running_step.set(call.info)
    try:
        if call.timeout is None:
            return call.fn(*call.args, **call.kwargs)
        return _call_in_time(call, call.timeout)
    finally:
        running_step.reset(step)
        current_scope.reset(scope)


def _call_in_time(call: Call, timeout: float) -> Any:
    """In a thread, because a `def` body cannot be interrupted; past its time it is left to itself."""
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


def _park(session: Session, due: int) -> None:
    delay = due - session.clock.now()
    while delay > 0:
        if not session.fits_in_place(delay):
            raise _suspend(session, "waits for a time", due)
        session.clock.sleep(delay / 1000)
        delay = due - session.clock.now()


def _suspend(session: Session, why: str, due: int) -> Suspension:
    suspension = Suspension(why, due)
    session.turn.closed = suspension
    return suspension
