"""How both contexts begin each operation: check its arguments, and enter it in the running scope. The driver of the handler's
kind then runs the generator that is returned."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from ..core import lazily as ops
from ..core.operations.sleep import sleep as sleeping
from ..core.operations.step import step as stepping
from ..core.retry import Retry
from ..core.step_options import callable_name, check_keywords, plan_of
from ..log.durations import milliseconds, moment
from ..log.ids import checked_id
from ..types import Duration
from .context import BaseContext

if TYPE_CHECKING:
    from ..batch import Completion
    from ..core.effects import Operation
    from ..core.operations.callbacks import Promise
    from ..core.scope import Op
    from ..core.signal import Signal

    Begun = tuple[Op, Operation[Any]]


def step(ctx: BaseContext, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Begun:
    plan = plan_of(fn)
    if kwargs:
        check_keywords(fn, args, kwargs)
    if plan.is_async:
        ctx._checked(plan)
    op = ctx._scope("step").enter("step", plan.component, plan.key)
    return op, stepping(op, plan, fn, args, kwargs)


def sleep(ctx: BaseContext, duration: Duration, name: str | None) -> Begun:
    delay = milliseconds(duration, "the duration of ctx.sleep")
    op = ctx._enter("sleep", "sleep", _or(name, "sleep"))
    return op, sleeping(op, ctx._turn.time() + delay)


def sleep_until(ctx: BaseContext, when: datetime, name: str | None) -> Begun:
    due = moment(when, "the time of ctx.sleep_until")
    op = ctx._enter("sleep_until", "sleep", _or(name, "sleep_until"))
    return op, sleeping(op, due)


def callback(
    ctx: BaseContext,
    name: str | None,
    key: str | None,
    result_type: object,
    timeout: Duration | None,
    heartbeat_timeout: Duration | None,
) -> tuple[Op, Promise]:
    """Returns the promise at once: the handler waits only for its result."""
    limits = ops.optional_ms(timeout, "timeout"), ops.optional_ms(heartbeat_timeout, "heartbeat_timeout")
    name = _or(name, "callback")
    op = ctx._enter("callback", "callback", name, key)
    return op, ops.callback(op, name, ops.of(result_type), *limits)


def callback_result(ctx: BaseContext, promise: Promise) -> Begun:
    op = ops.waiting(promise, ctx._scope("callback().result"))
    return op, ops.result(op, promise)


def wait_for_callback(
    ctx: BaseContext,
    submit: Callable[[str], object],
    name: str | None,
    key: str | None,
    result_type: object,
    timeout: Duration | None,
    heartbeat_timeout: Duration | None,
    retry: Retry | None,
) -> Begun:
    limits = ops.optional_ms(timeout, "timeout"), ops.optional_ms(heartbeat_timeout, "heartbeat_timeout")
    plan, name = ctx._checked(ops.submitter(submit, retry)), _or(name, "callback")
    op = ctx._enter("wait_for_callback", "callback", name, key)
    return op, ops.wait_for_callback(op, name, ops.of(result_type), *limits, plan, submit)


def wait_for_signal(
    ctx: BaseContext, signal: Signal[Any] | str, result_type: object, timeout: Duration | None
) -> Begun:
    limit, wanted = ops.optional_ms(timeout, "timeout"), ops.awaited(signal, result_type)
    op = ctx._enter("wait_for_signal", "signal", wanted.name)
    return op, ops.wait_for_signal(op, wanted, limit)


def wait_for_any_signal(ctx: BaseContext, signals: tuple[Signal[Any] | str, ...], timeout: Duration | None) -> Begun:
    limit, wanted = ops.optional_ms(timeout, "timeout"), ops.any_awaited(signals)
    op = ctx._enter("wait_for_any_signal", "signal", "any_signal")
    return op, ops.wait_for_any_signal(op, wanted, limit)


def signal(ctx: BaseContext, target_id: str, signal: Signal[Any] | str, payload: object) -> Begun:
    name, target = ops.name_of(signal), checked_id(target_id, "the id of ctx.signal")
    op = ctx._enter("signal", "post", name)
    return op, ops.post(op, target, name, partial(ops.sendable, signal, payload))


def parallel(
    ctx: BaseContext, branches: Any, name: str | None, max_concurrency: int | None, completion: Completion | None
) -> Begun:
    fan = ops.parallel_fan(branches, ctx, completion, max_concurrency)
    ctx._check_branches("branch", (branch.fn for branch in fan.branches))
    op = ctx._enter("parallel", "parallel", _or(name, "parallel"))
    return op, ops.fan_out(op, fan, tuple if isinstance(branches, tuple) else list)


def map(
    ctx: BaseContext,
    fn: Callable[..., Any],
    items: Iterable[Any],
    name: str | None,
    max_concurrency: int | None,
    completion: Completion | None,
    item_name: Callable[[Any], str] | None,
) -> Begun:
    fan = ops.map_fan(fn, items, ctx, completion, max_concurrency, item_name)
    ctx._check_branches("branch", (fn,))
    op = ctx._enter("map", "map", _or(name, "map"))
    return op, ops.fan_out(op, fan, list)


def race(ctx: BaseContext, branches: Any, name: str | None) -> Begun:
    fan = ops.race_fan(branches, ctx)
    ctx._check_branches("branch", (branch.fn for branch in fan.branches))
    op = ctx._enter("race", "race", _or(name, "race"))
    return op, ops.race(op, fan, named=isinstance(branches, Mapping))


def child(ctx: BaseContext, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Begun:
    """`name` and `key` among the keywords are the operation's."""
    name, key = kwargs.pop("name", None), kwargs.pop("key", None)
    if not callable(fn):
        raise TypeError(f"ctx.child takes a function of the context, got {type(fn).__name__}")
    ctx._check_branches("child", (fn,))
    op = ctx._enter("child", "child", _or(name, callable_name(fn)), key)
    return op, ops.child(op, fn, (ctx, *args), kwargs, ops.branch_adapter(fn))


def call(
    ctx: BaseContext,
    target: Any,
    payload: Any,
    result_type: object,
    name: str | None,
    id: str | None,
    timeout: Duration | None,
) -> Begun:
    wanted, limit = ops.target_of(target, payload, result_type), ops.optional_ms(timeout, "timeout")
    op = ctx._enter("call", "call", _or(name, wanted.fn))
    return op, ops.call(op, wanted, id, limit)


def send(ctx: BaseContext, target: Any, payload: Any, id: str | None, delay: Duration | None) -> Begun:
    wanted, wait = ops.target_of(target, payload), ops.optional_ms(delay, "delay") or 0
    op = ctx._enter("send", "send", wanted.fn)
    return op, ops.send(op, wanted, id, wait)


def poll(
    ctx: BaseContext,
    check: Callable[[Any], Any],
    initial: object,
    until: Callable[[Any], bool],
    every: Any,
    timeout: Duration | None,
    retry: Retry | None,
    name: str | None,
) -> Begun:
    plan, limit = ctx._checked(ops.checker(check, until, retry)), ops.optional_ms(timeout, "timeout")
    pace = ops.pace_of(every)
    op = ctx._enter("poll", "poll", _or(name, plan.name))
    return op, ops.poll(op, plan, check, initial, until, pace, limit)


def _or(name: str | None, default: str) -> str:
    """The name that was given, even an invalid one, which is checked later."""
    return default if name is None else name
