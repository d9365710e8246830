"""poll: a check that runs as a step, again and again, until its state is good. The state is what the last step recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...errors import PollTimeout
from ..effects import Operation
from ..events import BEGUN
from ..retry import RetryPolicy
from ..scope import Op, Scope
from ..steps import StepPlan
from .callbacks import part
from .sleep import sleep
from .step import step


def poll(
    op: Op,
    plan: StepPlan,
    check: Callable[..., Any],
    state: Any,
    until: Callable[[Any], bool],
    every: RetryPolicy,
    timeout_ms: int | None,
) -> Operation[Any]:
    turn, inner = op.turn, op.scope.inside(op)
    if op.record is None or op.record.begun is None:
        now = turn.time()
        turn.record(op, BEGUN, due=0 if timeout_ms is None else now + timeout_ms)
        due = None if timeout_ms is None else now + timeout_ms
    else:
        due = op.record.begun.due or None
    checks = 0
    while True:
        checks += 1
        state = yield from part(inner.enter("step", plan.component), step, plan, check, (state,), {})
        turn.pass_time(op.scope, inner.at)
        if until(state):
            return state
        at = inner.at + every.delay_ms(checks, lambda: _jitter(inner, checks))  # noqa: B023  (called at once)
        if (every.max_attempts is not None and checks >= every.max_attempts) or (due is not None and at > due):
            name = plan.name
            raise PollTimeout(f"poll {name!r} was not done after {checks} checks", state=state, checks=checks)
        yield from part(inner.enter("sleep", "wait"), sleep, at)


def _jitter(inner: Scope, checks: int) -> float:
    """The same on every replay."""
    return int.from_bytes(inner.turn.draw(inner, f"poll {inner.path} {checks}")[:8]) / 2**64
