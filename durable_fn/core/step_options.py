"""Options that travel with a step function."""

from __future__ import annotations

import contextlib
import functools
import inspect
import types
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar, overload

from ..log.durations import milliseconds
from ..log.events import component, key_component
from ..types import Duration, Semantics
from ..values.annotations import note_names
from .retry import Retry, checked_retry

if TYPE_CHECKING:
    from ..values.adapters import Adapter

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = "__durable_step__"
_PLAN = "__durable_plan__"
_ORIGINAL = "__durable_original__"
_RESULT = "__durable_result__"


class StepOptions(NamedTuple):
    """What `@step(...)` was given; None means not given."""

    name: str | None = None
    key: str | None = None
    retry: Retry | None = None
    timeout_ms: int | None = None
    semantics: Semantics | None = None
    raises: tuple[type[Exception], ...] | None = None
    result_type: object = None

    def over(self, base: StepOptions) -> StepOptions:
        """These options, and those of `base` where these are silent."""
        given = {name: value for name, value in self._asdict().items() if value is not None}
        return base._replace(**given)


_KEYWORDS = frozenset({"name", "key", "retry", "timeout", "semantics", "raises", "result_type"})


class StepPlan:
    """A step function as the core needs it: its options settled, its result adapter found. Made once per function."""

    __slots__ = (
        "adapter", "at_most_once", "component", "is_async", "keeps_result", "key", "name", "raises", "result_what", "retry",
        "target", "timeout",
    )  # fmt: skip

    def __init__(self, fn: Callable[..., Any], given: StepOptions | None = None) -> None:
        options = options_of(fn)
        if given is not None:
            options = given.over(options)
        self.keeps_result = True
        self.target = _target(fn)
        self.name = options.name or callable_name(fn)
        self.component = component(self.name)
        self.key = None if options.key is None else key_component(options.key)
        self.retry = options.retry
        self.timeout = None if options.timeout_ms is None else options.timeout_ms / 1000
        self.at_most_once = options.semantics == "at_most_once"
        self.raises = options.raises or ()
        self.is_async = is_async(fn)
        self.result_what = f"the result of step {self.name!r}"
        self.adapter = _adapter_of(fn, options)


def _adapter_of(fn: Callable[..., Any], options: StepOptions) -> Adapter:
    """Of its result. To resolve an annotation takes long: it is kept on the function, for the copies that are made of it with a
    key each."""
    from ..values.adapters import adapter, result_adapter, usable

    if options.result_type is not None:
        return usable(adapter, options.result_type)
    original = _target(getattr(fn, _ORIGINAL, fn))
    known: tuple[Any, Adapter] | None = getattr(original, _RESULT, None)
    if known is not None and known[0] is original:
        return known[1]
    found = usable(result_adapter, fn)
    if found.usable:
        with contextlib.suppress(AttributeError, TypeError):
            setattr(original, _RESULT, (original, found))
    return found


def plan_of(fn: Callable[..., Any]) -> StepPlan:
    """The plan of a step function, kept on the function itself. Raises TypeError for what cannot be called."""
    plan: StepPlan | None = getattr(fn, _PLAN, None)
    if plan is not None and plan.target is _target(fn):  # functools.wraps copies the attribute to another function
        return plan
    if not callable(fn):
        raise TypeError(
            f"a step takes a function and its arguments, got {type(fn).__name__}; write ctx.step(fn, argument), "
            "not ctx.step(fn(argument))"
        )
    plan = StepPlan(fn)
    if plan.adapter.usable:  # else a name in its annotation may be there later
        with contextlib.suppress(
            AttributeError, TypeError
        ):  # a built-in or an object with slots: planned again next time
            setattr(plan.target, _PLAN, plan)
    return plan


def is_step(fn: Any) -> bool:
    """Whether it is one by declaration: by `@step`, or `step(fn, ...)`."""
    return callable(fn) and isinstance(getattr(fn, _OPTIONS, None), StepOptions)


def options_of(fn: Any) -> StepOptions:
    """What `@step` gave it. A partial has those of the function in it, and may have its own."""
    found: StepOptions = getattr(fn, _OPTIONS, StepOptions())
    return found.over(options_of(fn.func)) if isinstance(fn, functools.partial) else found


def _target(fn: Any) -> Any:
    return getattr(fn, "__func__", fn)


def callable_name(fn: Any) -> str:
    while isinstance(fn, functools.partial):
        fn = fn.func
    name = getattr(fn, "__name__", None) or type(fn).__name__
    return "lambda" if name == "<lambda>" else str(name)


def is_async(fn: Any) -> bool:
    while isinstance(fn, functools.partial):
        fn = fn.func
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))  # noqa: B004


def check_keywords(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Raises TypeError for an option of the step that was given as if it were an argument of its function."""
    options = kwargs.keys() & _KEYWORDS
    if not options:
        return
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):  # a built-in that does not say: it will
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        wrong = sorted(name for name in options if f"unexpected keyword argument '{name}'" in str(error))
        if wrong:
            name = callable_name(fn)
            raise TypeError(
                f"step {name!r} {error}; {wrong[0]} is an option of the step, not an argument of its function: write "
                f"ctx.step(step({name}, {wrong[0]}=...), ...), or @step({wrong[0]}=...) at its definition"
            ) from None


class _StepDecorator:
    """What `@step(...)` with options is until it meets the function."""

    def __init__(self, options: StepOptions) -> None:
        self._options = options

    def __call__(self, fn: F, /) -> F:
        note_names(fn)
        return _decorate(fn, self._options)


@overload
def step(
    fn: Callable[P, Coroutine[Any, Any, Any]],
    /,
    *,
    result_type: type[R],
    name: str | None = None,
    key: str | None = None,
    retry: Retry | None = None,
    timeout: Duration | None = None,
    semantics: Semantics = "at_least_once",
    raises: tuple[type[Exception], ...] = (),
) -> Callable[P, Coroutine[Any, Any, R]]: ...
@overload
def step(
    fn: Callable[P, Any],
    /,
    *,
    result_type: type[R],
    name: str | None = None,
    key: str | None = None,
    retry: Retry | None = None,
    timeout: Duration | None = None,
    semantics: Semantics = "at_least_once",
    raises: tuple[type[Exception], ...] = (),
) -> Callable[P, R]: ...
@overload
def step(
    fn: F,
    /,
    *,
    name: str | None = None,
    key: str | None = None,
    retry: Retry | None = None,
    timeout: Duration | None = None,
    semantics: Semantics = "at_least_once",
    raises: tuple[type[Exception], ...] = (),
    result_type: object = None,
) -> F: ...
@overload
def step(
    *,
    name: str | None = None,
    key: str | None = None,
    retry: Retry | None = None,
    timeout: Duration | None = None,
    semantics: Semantics = "at_least_once",
    raises: tuple[type[Exception], ...] = (),
    result_type: object = None,
) -> _StepDecorator: ...
def step(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    key: str | None = None,
    retry: Retry | None = None,
    timeout: Duration | None = None,
    semantics: Semantics | None = None,
    raises: tuple[type[Exception], ...] | None = None,
    result_type: object = None,
) -> Any:
    """Gives a function the options it has as a step. A plain function needs none of it.

    ```python
    @step(retry=RetryPolicy(max_attempts=5), timeout=30)
    def charge(order: Order) -> Receipt: ...

    receipt = ctx.step(charge, order)
    again = ctx.step(step(charge, name="charge-rest", key=order.id), order)
    ```

    Three forms: `@step`, `@step(retry=...)`, and `step(fn, ...)` in place, which returns a copy; what is given in place
    wins. A decorated function is still that function: called directly, it just runs.

    Args:
        fn: The function.
        name: What the journal calls it. Default: the function's name. Set it before you rename a function that live
            executions recorded.
        key: An id of its own, "name:key" in the nearest branch (the handler, a child, a branch of a fan), found in
            whatever order. In place it is for one call; the same id twice in a branch is a ValueError. Default: its
            place is its id.
        retry: A RetryPolicy, or a function `(error, attempt)` that gives the delay before the next attempt, or None to
            give up. Default: the handler's `step_retry`, else `RetryPolicy()`.
        timeout: Of one attempt, in seconds or as a `timedelta`. Default: none.
        semantics: "at_least_once", the default, or "at_most_once": after a death in the body StepInterrupted is raised,
            and the body is never begun again, unless `retry_on` of a policy given here names StepInterrupted. Errors
            that it raises itself are retried only if `retry` is given here.
        raises: Classes whose errors come back as themselves, with their subclasses, instead of StepError. They are made
            again from what is recorded, without `__init__`, and are retried as others are.
        result_type: How the result is stored; it wins over the return annotation. For lambdas and untyped libraries.

    Raises:
        TypeError: An option makes no sense.
        ValueError: The same.
    """
    options = _checked(name, key, retry, timeout, semantics, raises, result_type)
    if fn is None:
        return _StepDecorator(options)
    if not callable(fn):
        raise TypeError(f"step() takes a function, got {type(fn).__name__}")
    note_names(fn)
    if options == StepOptions():  # the bare @step: a marker
        if not is_step(fn):
            with contextlib.suppress(AttributeError, TypeError):  # a built-in
                setattr(fn, _OPTIONS, options)
        return fn
    return _decorate(_copy(fn), options)


def _checked(
    name: str | None,
    key: str | None,
    retry: Retry | None,
    timeout: Duration | None,
    semantics: Semantics | None,
    raises: tuple[type[Exception], ...] | None,
    result_type: object,
) -> StepOptions:
    if name is not None:
        component(name)
    if key is not None:
        key_component(key)
    checked_retry(retry, "retry")
    if semantics not in (None, "at_least_once", "at_most_once"):
        raise ValueError(f'semantics must be "at_least_once" or "at_most_once", got {semantics!r}')
    if raises is not None:
        classes = raises if isinstance(raises, tuple) else (raises,)
        if not all(isinstance(cls, type) and issubclass(cls, Exception) for cls in classes):
            raise TypeError(f"raises must be a tuple of Exception classes, got {raises!r}")
        raises = classes
        for cls in classes:
            _check_class(cls)
    timeout_ms = None if timeout is None else milliseconds(timeout, "timeout")
    if timeout_ms == 0:
        raise ValueError("timeout must be more than 0 seconds")
    return StepOptions(name, key, retry, timeout_ms, semantics, raises, result_type)


def _check_class(cls: type[Exception]) -> None:
    from ..values.remade import check

    try:
        check(cls)
    except TypeError as error:
        raise TypeError(
            f"raises names {cls.__qualname__}, which cannot be made again from what is recorded ({error}): leave it out, and "
            "look at StepError.error_type, or raise an error of your own from it"
        ) from None


def _decorate(fn: F, options: StepOptions) -> F:
    base = options_of(fn)
    fn.__dict__.pop(_PLAN, None)
    setattr(fn, _OPTIONS, options.over(base))
    return fn


def _copy(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A function that does the same and can carry options of its own."""
    copy: Callable[..., Any]
    if not isinstance(fn, types.FunctionType):
        copy = functools.partial(fn)
        if hasattr(fn, _OPTIONS):
            setattr(copy, _OPTIONS, getattr(fn, _OPTIONS))
    else:
        twin = types.FunctionType(fn.__code__, fn.__globals__, fn.__name__, fn.__defaults__, fn.__closure__)
        twin.__kwdefaults__ = fn.__kwdefaults__
        twin.__dict__.update(fn.__dict__)
        copy = functools.update_wrapper(twin, fn, updated=())
    setattr(copy, _ORIGINAL, fn)
    return copy
