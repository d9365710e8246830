"""`@durable`: from a handler to a Lambda entry point."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, overload

from .core.retry import DEFAULT_RETRY, Retry, checked_retry
from .core.step_options import is_async
from .log.durations import milliseconds
from .log.events import component
from .types import Duration, LambdaContext
from .values.annotations import note_names

if TYPE_CHECKING:
    from typing_extensions import deprecated

    from .hooks import Hooks
    from .runtime.aio.context import AsyncDurableContext
    from .runtime.threads.context import DurableContext
    from .values.adapters import Adapter

else:

    def deprecated(_message: str) -> Callable[[Any], Any]:  # for checkers only; not worth an import at run time
        return lambda fn: fn


E = TypeVar("E")
R = TypeVar("R")
E_contra = TypeVar("E_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)
L = TypeVar("L", bound=LambdaContext)

_GENERIC_NAMES = ("handler", "lambda_handler")
_DEFAULT_RETENTION = 30 * 86_400


class DurableFunction(Generic[E_contra, R_co]):
    """A decorated handler. Calling it IS the Lambda invocation: `(event, lambda_context)`.

    As a target of `DurableClient.start` and `LocalRunner` it carries its payload and result types. The plain function is
    `__wrapped__`.
    """

    def __init__(
        self,
        fn: Callable[..., Any],
        *,
        name: str | None,
        execution_id: str | Callable[[Any], str] | None,
        execution_timeout: Duration | None,
        retention: Duration | None,
        step_retry: Retry | None,
        envelope: bool | None,
        hooks: Sequence[Hooks],
    ) -> None:
        self.is_async = _checked_shape(fn)
        self.name: str = name if name is not None else _default_name(fn)
        component(self.name)
        self.execution_id = _checked_rule(execution_id)
        self.retention_ms = milliseconds(_DEFAULT_RETENTION if retention is None else retention, "retention")
        self.timeout_ms = None if execution_timeout is None else milliseconds(execution_timeout, "execution_timeout")
        self.hooks = _checked_hooks(hooks)
        self.step_retry: Retry = checked_retry(step_retry, "step_retry") or DEFAULT_RETRY
        self._envelope = envelope
        note_names(fn)
        self.__wrapped__: Callable[..., Any] = fn
        functools.update_wrapper(self, fn)

    def __call__(self, event: Any, context: Any, /) -> Any:
        """One Lambda invocation."""
        from .triggers.dispatch import handle

        return handle(self, event, context)

    def __repr__(self) -> str:
        return f"<durable function {self.name!r}>"

    @functools.cached_property
    def envelope(self) -> bool:
        """Whether the handler gets the payload, and not the event as Lambda delivered it. Without a word of its author: by its
        signature, once it is needed, because annotations may name what is defined later."""
        if self._envelope is not None:
            return self._envelope
        from .values.event_classes import takes_raw_events

        return not takes_raw_events(self.__wrapped__)

    @functools.cached_property
    def event_adapter(self) -> Adapter:
        from .values.adapters import parameter_adapter

        return parameter_adapter(self.__wrapped__, 0)

    @functools.cached_property
    def result_adapter(self) -> Adapter:
        from .values.adapters import result_adapter

        return result_adapter(self.__wrapped__)

    @functools.cached_property
    def declared(self) -> list[tuple[Adapter, str]]:
        """Of what its annotations, and those of the steps that its code names, have to say: what it is of. Raises
        SerializationError for one that cannot work."""
        from .core.declared import steps_named
        from .core.step_options import plan_of

        own = [
            (self.event_adapter, f"the event of {self.name!r}"),
            (self.result_adapter, f"the result of {self.name!r}"),
        ]
        return own + [(plan.adapter, plan.result_what) for plan in map(plan_of, steps_named(self.__wrapped__))]


class _DurableDecorator(Protocol):
    @overload
    def __call__(self, fn: Callable[[E, AsyncDurableContext], Coroutine[Any, Any, R]], /) -> DurableFunction[E, R]: ...
    @overload
    @deprecated("an async def handler takes AsyncDurableContext")
    def __call__(self, fn: Callable[[E, DurableContext], Coroutine[Any, Any, R]], /) -> DurableFunction[E, R]: ...
    @overload
    def __call__(self, fn: Callable[[E, DurableContext], R], /) -> DurableFunction[E, R]: ...
    @overload
    def __call__(self, fn: Callable[[E, L], R], /) -> DurableFunction[E, R]: ...


@overload
def durable(fn: Callable[[E, AsyncDurableContext], Coroutine[Any, Any, R]], /) -> DurableFunction[E, R]: ...
@overload
@deprecated("an async def handler takes AsyncDurableContext")
def durable(fn: Callable[[E, DurableContext], Coroutine[Any, Any, R]], /) -> DurableFunction[E, R]: ...
@overload
def durable(fn: Callable[[E, DurableContext], R], /) -> DurableFunction[E, R]: ...
@overload
def durable(fn: Callable[[E, L], R], /) -> DurableFunction[E, R]: ...
@overload
def durable(
    *,
    name: str | None = None,
    execution_id: str | Callable[[Any], str] | None = None,
    execution_timeout: Duration | None = None,
    retention: Duration | None = None,
    step_retry: Retry | None = None,
    envelope: bool | None = None,
    hooks: Sequence[Hooks] = (),
) -> _DurableDecorator: ...
def durable(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    execution_id: str | Callable[[Any], str] | None = None,
    execution_timeout: Duration | None = None,
    retention: Duration | None = None,
    step_retry: Retry | None = None,
    envelope: bool | None = None,
    hooks: Sequence[Hooks] = (),
) -> Any:
    """Makes a handler durable.

    TypeError at import if `async def` and the context annotation disagree, or if it is a generator.

    event and result  validated and encoded by annotation, in pydantic's JSON mode. No annotation, `Any` or `dict`: taken as
                      it is. A result is stored by the ANNOTATION: fields of a subclass are dropped. An event that does not
                      fit: HTTP 400, a failed record, or a raised error. Annotations that cannot work, of the handler
                      or of a step that it names, are said at the first event, before anything happens.
    context           `DurableContext`/`AsyncDurableContext`; at run time it also answers the Lambda context's attributes
                      (`aws_request_id`, `get_remaining_time_in_millis()`, ...), so an existing handler and Powertools keep
                      working.
    name              default: the function's name, or AWS_LAMBDA_FUNCTION_NAME where that is "handler" or
                      "lambda_handler".
    execution_id      the idempotency key: a function of the validated event, or a JMESPath into the payload
                      ("detail.order_id"; a literal is '`x`'). Default: the record's own id, an HTTP request's Idempotency-Key, or
                      the Lambda request id. Ids share one space per table.
    execution_timeout from the start; ends as TIMED_OUT. Default none. continue_as_new starts it anew.
    retention         how long an execution stays after it is over. Default 30 days.
    step_retry        for steps that bring no policy of their own.
    envelope          True: the handler gets the payload (HTTP body, SQS body, SNS Message, EventBridge detail, S3 record,
                      stream images, Kinesis data) and a direct caller {"execution_id", "status", "result"|"error"}. False:
                      the event is handed over as Lambda delivered it (batches cut to one record) and the plain result is
                      returned, or the error raised, if the execution ends within the invocation. A record that it names in
                      {"batchItemFailures": [...]} has failed: the execution ends FAILED, and is redriven when the record
                      comes again. None (default): False for a handler whose second parameter is a Lambda context
                      (annotated so; or named `context` and not annotated, or as Any) or whose event is annotated with an
                      event class of Powertools or a TypedDict of aws-lambda-typing, so that an existing handler needs
                      nothing but the decorator; else True.
    hooks             `durable_fn.hooks.Hooks` of this function, besides those of `configure`.
    """

    def decorate(fn: Callable[..., Any]) -> DurableFunction[Any, Any]:
        return DurableFunction(
            fn,
            name=name,
            execution_id=execution_id,
            execution_timeout=execution_timeout,
            retention=retention,
            step_retry=step_retry,
            envelope=envelope,
            hooks=hooks,
        )

    return decorate if fn is None else decorate(fn)


def _default_name(fn: Callable[..., Any]) -> str:
    name = getattr(fn, "__name__", type(fn).__name__)
    if name in _GENERIC_NAMES:
        return os.environ.get("AWS_LAMBDA_FUNCTION_NAME") or name
    return "lambda" if name == "<lambda>" else name


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
    from .hooks import checked_hooks

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
