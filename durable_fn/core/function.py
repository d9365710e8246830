"""A durable function: a handler, its options and its types."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ..log.durations import milliseconds
from ..log.events import component
from ..types import Duration
from ..values.annotations import note_names
from .retry import DEFAULT_RETRY, Retry, checked_retry
from .step_options import is_async

if TYPE_CHECKING:
    from ..hooks import Hooks
    from ..values.adapters import Adapter

E_contra = TypeVar("E_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)

_DEFAULT_RETENTION = 30 * 86_400


class DurableFunction(Generic[E_contra, R_co]):
    """A decorated handler. Calling it is the Lambda invocation: `(event, lambda_context)`.

    ```python
    ctx.call(order, Order(id="o-1"))  # it carries its payload's and its result's type
    order.__wrapped__(Order(id="o-1"), fake_context)  # the plain function
    ```
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        *,
        name: str,
        execution_id: str | Callable[[Any], str] | None,
        execution_timeout: Duration | None,
        retention: Duration | None,
        step_retry: Retry | None,
        envelope: bool | None,
        hooks: Sequence[Hooks],
        invoke: Callable[[DurableFunction[Any, Any], Any, Any], Any],
    ) -> None:
        self.is_async = _checked_shape(fn)
        self.name: str = name
        component(self.name)
        self.execution_id = _checked_rule(execution_id)
        self.retention_ms = milliseconds(_DEFAULT_RETENTION if retention is None else retention, "retention")
        self.timeout_ms = None if execution_timeout is None else milliseconds(execution_timeout, "execution_timeout")
        self.hooks = _checked_hooks(hooks)
        self.step_retry: Retry = checked_retry(step_retry, "step_retry") or DEFAULT_RETRY
        self._envelope = envelope
        self._invoke = invoke
        note_names(fn)
        self.__wrapped__: Callable[..., Any] = fn
        functools.update_wrapper(self, fn)

    def __call__(self, event: Any, context: Any, /) -> Any:
        """One Lambda invocation."""
        return self._invoke(self, event, context)

    def __repr__(self) -> str:
        return f"<durable function {self.name!r}>"

    @functools.cached_property
    def envelope(self) -> bool:
        """Whether the handler gets the payload, and not the event as Lambda delivered it. Without a word of its author: by its
        signature, once it is needed, because annotations may name what is defined later."""
        if self._envelope is not None:
            return self._envelope
        from ..values.event_classes import takes_raw_events

        return not takes_raw_events(self.__wrapped__)

    @functools.cached_property
    def event_adapter(self) -> Adapter:
        from ..values.adapters import parameter_adapter

        return parameter_adapter(self.__wrapped__, 0)

    @functools.cached_property
    def result_adapter(self) -> Adapter:
        from ..values.adapters import result_adapter

        return result_adapter(self.__wrapped__)

    @functools.cached_property
    def declared(self) -> list[tuple[Adapter, str]]:
        """Of what its annotations, and those of the steps that its code names, have to say: what it is of. Raises
        SerializationError for one that cannot work."""
        from .declared import steps_named
        from .step_options import plan_of

        own = [
            (self.event_adapter, f"the event of {self.name!r}"),
            (self.result_adapter, f"the result of {self.name!r}"),
        ]
        return own + [(plan.adapter, plan.result_what) for plan in map(plan_of, steps_named(self.__wrapped__))]


def _checked_rule(rule: Any) -> str | Callable[[Any], str] | None:
    """Raises TypeError or ValueError for what gives no execution id."""
    if rule is None or (callable(rule) and not is_async(rule)):
        return rule  # type: ignore[no-any-return]
    if not isinstance(rule, str):
        got = "an async function" if callable(rule) else type(rule).__name__
        raise TypeError(f"execution_id must be a function of the event, or a JMESPath into it, not {got}")
    import jmespath

    try:
        jmespath.compile(rule)
    except jmespath.exceptions.JMESPathError as error:
        why = " ".join(str(error).split())
        raise ValueError(f"execution_id is no JMESPath: {rule!r}: {why}; a literal is written '`x`'") from None
    return rule


def _checked_hooks(hooks: Any) -> tuple[Hooks, ...]:
    if hooks == () or hooks == []:
        return ()
    from ..hooks import checked_hooks

    return checked_hooks(hooks)


def _checked_shape(fn: Any) -> bool:
    """Whether the handler is async. Raises TypeError for one that cannot be a handler."""
    if not callable(fn):
        raise TypeError(f"@durable takes a function, got {type(fn).__name__}")
    if isinstance(fn, DurableFunction):
        raise TypeError(f"@durable was given {fn.name!r}, which is durable already; apply it once")
    name = getattr(fn, "__qualname__", repr(fn))
    inner = inspect.unwrap(fn)
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        raise TypeError(f"@durable handler {name} is a generator; return the result instead of yielding")
    runs_async = is_async(fn)
    annotation = _context_annotation(inner)
    if runs_async and annotation == "DurableContext":
        raise TypeError(f"@durable handler {name} is async def: annotate its context as AsyncDurableContext")
    if not runs_async and annotation == "AsyncDurableContext":
        raise TypeError(f"@durable handler {name} takes AsyncDurableContext: make it async def")
    return runs_async


def _context_annotation(fn: Any) -> str:
    """Name of the class that the second parameter is annotated with, unresolved, because imports may be for checkers."""
    try:
        parameters = [p for p in inspect.signature(fn).parameters.values() if p.kind != p.KEYWORD_ONLY]
    except (TypeError, ValueError):
        return ""
    if len(parameters) < 2 and not any(p.kind == p.VAR_POSITIONAL for p in parameters):
        raise TypeError(
            f"@durable handler {getattr(fn, '__qualname__', fn)!r} must take two arguments: (event, context)"
        )
    annotation = parameters[1].annotation if len(parameters) > 1 else ""
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return text.strip("'\"").rpartition(".")[2]
