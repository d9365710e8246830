"""step: run user code once, durably.

Written to the log: the result; each failed attempt with the time of the next one; for at-most-once a marker before the
body. A replayed step yields nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from ...errors import ExecutionTimedOut, PayloadTooLarge, SerializationError, StepError, StepInterrupted, StepTimeout
from ...log import failures, interrupted
from ...log.events import BEGUN, FAILED, RETRY, SUCCEEDED, Event
from ..current import StepInfo
from ..effects import COMMIT, Call, CheckTime, Operation, Settle, until
from ..retry import Retry, RetryPolicy, next_delay
from ..scope import Op
from ..step_options import StepPlan
from .reading import check_adapter, recorded


def step(
    op: Op, plan: StepPlan, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Operation[Any]:
    record = op.record
    if record is not None and record.done is not None:
        event = op.turn.deliver(op, record)
        if event.status == SUCCEEDED:
            return recorded(op.turn, plan.adapter, event.value, plan.result_what)
        _raise(op, plan, event, None)
    return (yield from _live(op, plan, fn, args, kwargs))


def _live(
    op: Op, plan: StepPlan, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Operation[Any]:
    attempt = 1
    try:
        check_adapter(op, plan.adapter, plan.result_what)
    except SerializationError as error:
        yield from _fail(op, plan, attempt, failures.capture(error, own=True), None)
    if op.record is not None and op.record.retry is not None:
        attempt = op.record.retry.attempt + 1
        yield from until(op.turn, op.record.retry.due)
    while True:
        if plan.at_most_once:
            if op.record is not None and op.record.begun is not None and op.record.begun.attempt == attempt:
                yield from _interrupted(op, plan, attempt)
                attempt += 1
                continue
            yield CheckTime(plan.timeout)
            op.turn.record(op, BEGUN, attempt)
            yield COMMIT
        try:
            result = yield _call(op, plan, fn, args, kwargs, attempt)
        except Exception as error:
            raised = op.record is not None and op.record.raised
            if isinstance(error, ExecutionTimedOut) and (raised or op.scope.cancel_scope.cancel_pending):
                raise  # the execution's time is over: the body never ran
            yield from _failed(op, plan, attempt, error)
            attempt += 1
            continue
        return (yield from _succeed(op, plan, attempt, result))


def _call(
    op: Op, plan: StepPlan, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], attempt: int
) -> Call:
    turn = op.turn
    deadline = turn.deadline
    if plan.timeout is not None:
        deadline = min(deadline, turn.time() + int(plan.timeout * 1000))
    again = turn.journal.again.get(op.id, 0)  # after a redrive a provider must not answer with the undone result
    purpose = f"step {op.id}\0{again}" if again else "step " + op.id
    key = turn.derive(purpose + "\0" * op.cleans_up).hex()
    info = StepInfo(turn.header.id, op.id, plan.name, attempt, key, deadline)
    return Call(fn, args, kwargs, info, plan.timeout, plan.is_async, plan.at_most_once)


def _succeed(op: Op, plan: StepPlan, attempt: int, result: Any) -> Operation[Any]:
    """The caller gets what a replay will get: the value after a round trip through its encoding."""
    if not plan.keeps_result:
        result = None
    try:
        text, value = plan.adapter.keep(result, plan.result_what, op.turn.terms)
        op.turn.check_size(text, plan.result_what)
    except SerializationError as error:
        # The effect has happened: running the body again would not make its result fit.
        yield from _fail(op, plan, attempt, failures.capture(error, own=True), error)
    event = op.turn.record(op, SUCCEEDED, attempt, value=text)
    yield Settle(event, durable=True)
    op.turn.show(op, event)
    if event.status == FAILED:  # it fits, but the blob store refused it
        _raise(op, plan, event, None)
    return value


def _failed(op: Op, plan: StepPlan, attempt: int, error: Exception) -> Operation[None]:
    """Waits for the next attempt, or raises if there is none."""
    failure = failures.capture(error, classes=plan.raises)
    retry = _retry(op, plan, error)
    delay = None if retry is None else next_delay(retry, error, attempt, lambda: _jitter(op, attempt))
    if delay is None:
        yield from _fail(op, plan, attempt, failure, error)
    else:
        due = op.turn.time() + delay
        op.turn.record(op, RETRY, attempt, due=due, value=failures.encode(failure))
        yield COMMIT
        yield from until(op.turn, due)


def _interrupted(op: Op, plan: StepPlan, attempt: int) -> Operation[None]:
    """Waits for the next attempt if the step's own policy names this end, else raises it."""
    policy = plan.retry
    if isinstance(policy, RetryPolicy) and policy.retries_interrupted(attempt, _error(op, attempt)):
        due = op.turn.time() + policy.delay_ms(attempt, lambda: _jitter(op, attempt))
        op.turn.record(op, RETRY, attempt, due=due, value=failures.encode(interrupted.FAILURE))
        yield COMMIT
        yield from until(op.turn, due)
    else:
        yield from _fail(op, plan, attempt, interrupted.FAILURE, None)


def _jitter(op: Op, attempt: int) -> float:
    """Drawn from the execution's seed, so that runs with one seed have the same delays."""
    return int.from_bytes(op.turn.draw(op.scope, f"retry {op.id} {attempt}")[:8]) / 2**64


def _retry(op: Op, plan: StepPlan, error: Exception) -> Retry | None:
    if plan.at_most_once and isinstance(error, StepTimeout):
        return None  # the body may still be at work: its thread cannot be ended
    if plan.retry is not None:
        return plan.retry
    return None if plan.at_most_once else op.turn.step_retry


def _fail(
    op: Op, plan: StepPlan, attempt: int, failure: failures.Failure, cause: Exception | None
) -> Operation[NoReturn]:
    event = op.turn.record(op, FAILED, attempt, value=failures.encode(failure))
    yield Settle(event, durable=True)
    op.turn.show(op, event)
    _raise(op, plan, event, cause)


def _raise(op: Op, plan: StepPlan, event: Event, cause: Exception | None) -> NoReturn:
    """Always from the recorded form, so that the first run and a replay raise the same."""
    failure = failures.decode(event.value)
    if failure.own and failure.error_type == interrupted.TYPE:
        raise _error(op, event.attempt)
    if failure.own:
        raise _unstorable(failure) from cause
    known = failures.rebuild(failure, plan.raises)
    if known is not None:
        raise known from cause
    text = f"step {op.id!r} failed after {event.attempt} attempt{'s' * (event.attempt > 1)}: "
    timed_out = failure.error_type == "durable_fn.errors.StepTimeout"
    raise (StepTimeout if timed_out else StepError)(
        text + (failure.message if timed_out else f"{failure.error_type}: {failure.message}"),
        error_type=failure.error_type,
        message=failure.message,
        attempts=event.attempt,
        data=failure.data,
        traceback=failure.traceback,
        causes=list(failure.several),
    ) from cause


def _error(op: Op, attempt: int) -> StepInterrupted:
    return StepInterrupted(
        f"step {op.id!r} was started (attempt {attempt}) and its process died: nobody knows whether it took "
        "effect, and at_most_once forbids running it again; look at the other system, then redrive from this step if it "
        "did not, or from the one behind it",
        error_type=interrupted.TYPE,
        attempts=attempt,
    )


def _unstorable(failure: failures.Failure) -> SerializationError:
    """The body did its work, and its result could not be stored."""
    sizes = failure.data if isinstance(failure.data, dict) else {}
    if failure.error_type == "durable_fn.errors.PayloadTooLarge" and sizes.keys() >= {"size", "limit"}:
        return PayloadTooLarge(failure.message, size=sizes["size"], limit=sizes["limit"])
    return SerializationError(failure.message)
