"""poll: a check that runs as a step, again and again, until its state is good. The state is what the last step recorded.

Written to the log: that it began, with its deadline; each check and each wait, as steps and sleeps below it; that it gave up. A
wait that is recorded has its due time, so a function that paces the checks is asked once for each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from ...errors import PollTimeout
from ...log import failures
from ...log.events import BEGUN, FAILED, operation_name
from ...log.kinds import SLEEP, STEP
from ..current import apart
from ..effects import Operation, Settle, Take
from ..retry import RetryPolicy, asked
from ..scope import Op, Scope
from ..step_options import StepPlan
from .callbacks import part
from .sleep import sleep
from .step import step

if TYPE_CHECKING:
    from ..arguments import Pace

_TIMED_OUT = "durable_fn.errors.PollTimeout"


def poll(
    op: Op,
    plan: StepPlan,
    check: Callable[..., Any],
    state: Any,
    until: Callable[[Any], bool],
    every: Pace,
    timeout_ms: int | None,
) -> Operation[Any]:
    turn, inner = op.turn, op.scope.inside(op)
    done = op.record.done if op.record is not None else None
    if op.record is None or op.record.begun is None:
        now = turn.time()
        turn.record(op, BEGUN, due=0 if timeout_ms is None else now + timeout_ms)
        due = None if timeout_ms is None else now + timeout_ms
    else:
        due = op.record.begun.due or None
    checks = 0
    while True:
        checks += 1
        try:
            state = yield from part(inner.enter(STEP, plan.component), step, plan, check, (state,), {})
        finally:
            turn.pass_time(op.scope, inner.at)
        if _good(until, state):
            return state
        at = _next(op, inner, every, state, checks, due)
        if at is None:
            break
        try:
            yield from part(inner.enter(SLEEP, "wait"), sleep, at)
        finally:
            turn.pass_time(op.scope, inner.at)
    if done is not None and op.record is not None:
        yield Take(op.record)
        _give_up(op, turn.deliver(op, op.record).value, state, checks)
    event = turn.record(op, FAILED, value=_failure(op, checks))
    yield Settle(event)
    turn.show(op, event)
    _give_up(op, event.value, state, checks)


def _good(until: Callable[[Any], bool], state: Any) -> bool:
    try:
        return apart(until, state)
    except StopIteration as stop:
        raise failures.own_stop(stop) from stop


def _next(op: Op, inner: Scope, every: Pace, state: Any, checks: int, due: int | None) -> int | None:
    """When the next check is due: at the latest at the poll's deadline; None: there is no further check."""
    wait = op.turn.journal.records.get(inner.next_id("wait"))
    if wait is not None and wait.kind == SLEEP and wait.begun is not None:
        return wait.begun.due
    if due is not None and inner.at >= due:
        return None
    if op.record is not None and op.record.done is not None:
        return None  # it gave up here
    delay = _delay(op, inner, every, state, checks)
    if delay is None:
        return None
    return inner.at + delay if due is None else min(inner.at + delay, due)


def _delay(op: Op, inner: Scope, every: Pace, state: Any, checks: int) -> int | None:
    """Milliseconds; None gives up. The poll raises what the user's function raises, as with `until`."""
    if isinstance(every, RetryPolicy):
        if every.checks is not None and checks >= every.checks:
            return None
        return every.delay_ms(checks, lambda: _jitter(inner, checks))
    try:
        return apart(asked, every, state, checks, "every")
    except StopIteration as stop:
        raise failures.own_stop(stop) from stop


def _failure(op: Op, checks: int) -> str:
    text = (
        f"poll {operation_name(op.id)!r} was not done after {checks} check{'s' * (checks > 1)}; give it more time (timeout=, "
        "every=), or catch PollTimeout, whose `state` is the last one"
    )
    return failures.encode(failures.Failure(_TIMED_OUT, text, "", None, None))


def _give_up(op: Op, value: str, state: Any, checks: int) -> NoReturn:
    raise PollTimeout(failures.decode(value).message, state=state, checks=checks)


def _jitter(inner: Scope, checks: int) -> float:
    """The same on every replay."""
    return int.from_bytes(inner.turn.draw(inner, f"poll {inner.path} {checks}")[:8]) / 2**64
