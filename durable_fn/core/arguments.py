"""What the contexts' methods are asked for, checked and made ready for the operations: the same for both fronts."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Reversible, Sequence, Set
from typing import Any, Final, TypeAlias
from weakref import WeakSet

from ..batch import Completion
from ..log.durations import milliseconds
from ..log.events import component
from ..types import Duration
from ..values.adapters import UNTYPED, Adapter, adapter, result_adapter, return_annotation, usable
from .current import apart
from .fan import Branch, Fan
from .operations.calls import Target
from .retry import Every, Retry, RetryPolicy, checked_retry
from .step_options import StepOptions, StepPlan, callable_name, is_async, plan_of

Pace: TypeAlias = RetryPolicy | Callable[[Any, int], Duration | None]
DEFAULT_EVERY = RetryPolicy(max_attempts=None, initial_delay=5, max_delay=300, jitter="none")


def of(result_type: object) -> Adapter:
    return usable(adapter, UNTYPED if result_type is None else result_type)


def optional_ms(duration: Duration | None, what: str) -> int | None:
    return None if duration is None else milliseconds(duration, what)


# -- branches ------------------------------------------------------------------------------------------------------


def branch_adapter(fn: Callable[..., Any]) -> Adapter | None:
    """None where the function does not say what it returns."""
    found = usable(result_adapter, fn)
    return found if found.typed or return_annotation(fn) is not UNTYPED else None


def parallel_fan(
    branches: Sequence[Callable[..., Any]] | Mapping[str, Callable[..., Any]],
    ctx: object,
    completion: Completion | None,
    max_concurrency: int | None,
    what: str = "ctx.parallel",
) -> Fan:
    if isinstance(branches, Mapping):
        named = [(str(name), component(name), fn) for name, fn in branches.items()]
    else:
        listed = _listed(branches, what, _BRANCHES)
        named = [(callable_name(fn), str(index), fn) for index, fn in enumerate(listed)]
    for _, _, fn in named:
        if not callable(fn):
            raise TypeError(f"a branch must be a function of the context, got {_shown(fn)}")
    made = [Branch(i, name, part, fn, (ctx,), branch_adapter(fn)) for i, (name, part, fn) in enumerate(named)]
    return _fan(made, completion or Completion.all_successful(), max_concurrency)


def map_fan(
    fn: Callable[..., Any],
    items: Iterable[Any],
    ctx: object,
    completion: Completion | None,
    max_concurrency: int | None,
    item_name: Callable[[Any], str] | None,
) -> Fan:
    if not callable(fn):
        raise TypeError(f"ctx.map takes a function of the context and an item, got {_shown(fn)}")
    listed = _listed(items, "ctx.map", _ITEMS)
    kind, name = branch_adapter(fn), callable_name(fn)
    if item_name is None:
        branches = [Branch(i, name, str(i), fn, (ctx, item), kind) for i, item in enumerate(listed)]
    else:
        names = [apart(item_name, item) for item in listed]
        _check_unique(names)
        branches = [
            Branch(i, own, component(own), fn, (ctx, item), kind)
            for i, (own, item) in enumerate(zip(names, listed, strict=True))
        ]
    return _fan(branches, completion or Completion.all_successful(), max_concurrency)


def _check_unique(names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"two branches are called {name!r}; item_name must give each item a name of its own")
        seen.add(name)


_BRANCHES: Final = "a list, a tuple or a dict of branches"
_ITEMS: Final = "a function and the items for it"
_IN_ORDER: Final = {
    _BRANCHES: "a list, or a dict that names the branches",
    _ITEMS: "ctx.map(fn, sorted(items)), with a key= for sorted() where the items cannot be compared",
}


def _listed(items: Any, asks: str, what: str) -> list[Any]:
    """Raises TypeError for a value without items, and for one whose order a replay would not find again."""
    if _is_unordered(items):
        raise TypeError(
            f"{asks} got a {type(items).__name__}, whose order differs from process to process: a replay would take one's result "
            f"for another one's. Write {_IN_ORDER[what]}"
        )
    try:
        return list(items)
    except TypeError:
        if hasattr(items, "__iter__"):
            raise  # its own failure
        raise TypeError(f"{asks} takes {what}, got {_shown(items)}; for a single one write a list of one") from None


def _is_unordered(items: Any) -> bool:
    """Sets; views of a dict and sets that keep an order can be read backwards."""
    return (isinstance(items, Set) and not isinstance(items, Reversible)) or isinstance(
        items, WeakSet | type(iter(set()))
    )


def _shown(value: object) -> str:
    """What stands where a function or a list should: a coroutine is a function that was called too early."""
    if inspect.iscoroutine(value):
        value.close()  # nobody will await it: no warning on top of the error
        return f"a coroutine; hand over the function {value.__name__!r} itself, without calling it"
    return type(value).__name__


def _fan(branches: list[Branch], completion: Completion, max_concurrency: int | None) -> Fan:
    if max_concurrency is not None and (not isinstance(max_concurrency, int) or max_concurrency < 1):
        raise ValueError(f"max_concurrency must be 1 or more, or None for no limit, got {max_concurrency!r}")
    if not isinstance(completion, Completion):
        raise TypeError(f"completion must be a Completion, not {_shown(completion)}; Completion.all_settled(), say")
    if completion.min_successful is not None and completion.min_successful > len(branches):
        raise ValueError(f"min_successful is {completion.min_successful}, but there are only {len(branches)} branches")
    return Fan(branches, completion, max_concurrency)


def race_fan(branches: Any, ctx: object) -> Fan:
    if not isinstance(branches, Mapping):
        branches = _listed(branches, "ctx.race", _BRANCHES)
    if not branches:
        raise ValueError("ctx.race needs at least one branch: nobody could win")
    return parallel_fan(branches, ctx, Completion.first_successful(), None, "ctx.race")


# -- other executions ----------------------------------------------------------------------------------------------


def target_of(target: Any, payload: object, result_type: object = None) -> Target:
    """`target`: a DurableFunction or the name of one."""
    if isinstance(target, str):
        component(target)
        return Target(target, payload, of(result_type), None, retention_ms=None, timeout_ms=None)
    if not hasattr(target, "event_adapter"):
        raise TypeError(f"the target must be a durable function or its name, got {type(target).__name__}")
    limits = {"retention_ms": target.retention_ms, "timeout_ms": target.timeout_ms}
    return Target(target.name, payload, target.result_adapter, target.event_adapter, **limits, function=target)


# -- steps inside other operations ---------------------------------------------------------------------------------


def submitter(submit: Callable[..., Any], retry: Retry | None) -> StepPlan:
    """A step that hands the token out. Its result is ignored."""
    if not callable(submit):
        raise TypeError(f"ctx.wait_for_callback takes a function of the token, got {_shown(submit)}")
    checked_retry(retry, "the retry of ctx.wait_for_callback")
    plan = StepPlan(submit, StepOptions(name="submit", retry=retry, result_type=UNTYPED))
    if plan.key is not None:
        raise ValueError(
            f"the submitter of ctx.wait_for_callback has the key {plan.key!r}; give it to the callback, which it is a part of: "
            "ctx.wait_for_callback(submit, key=...)"
        )
    plan.keeps_result = False
    return plan


def checker(check: Callable[..., Any], until: Callable[..., Any], retry: Retry | None) -> StepPlan:
    """The step of a poll."""
    if not callable(check):
        raise TypeError(f"ctx.poll takes a function of the state, got {_shown(check)}")
    if not callable(until) or is_async(until):
        got = "an async function" if callable(until) else _shown(until)
        raise TypeError(
            f"until of ctx.poll must be a plain function of the state that says whether it is good, got {got}"
        )
    checked_retry(retry, "the retry of ctx.poll")
    own = plan_of(check)
    if own.key is not None:
        raise ValueError(
            f"the check {own.name!r} of ctx.poll has the key {own.key!r}, and a key is good for one call: a poll calls its check "
            "again and again, under an id of its own. Take key= away, or poll inside a ctx.child with that key"
        )
    if retry is None:
        return own
    return StepPlan(check, StepOptions(retry=retry))


def pace_of(every: Every | None) -> Pace:
    """Raises TypeError or ValueError for a value that gives no time between checks."""
    if every is None:
        return DEFAULT_EVERY
    if isinstance(every, RetryPolicy):
        return every
    if callable(every):
        checked_retry(every, "every")
        return every
    fixed = milliseconds(every, "every") / 1000
    return RetryPolicy(max_attempts=None, initial_delay=fixed, backoff=1, max_delay=fixed, jitter="none")
