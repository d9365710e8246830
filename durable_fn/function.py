"""`@durable`: from a handler to a Lambda entry point."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from .core.function import DurableFunction
from .core.retry import Retry
from .types import Duration, LambdaContext

if TYPE_CHECKING:
    from typing_extensions import deprecated

    from .hooks import Hooks
    from .runtime.aio.context import AsyncDurableContext
    from .runtime.threads.context import DurableContext

else:

    def deprecated(_message: str) -> Callable[[Any], Any]:  # for checkers only; not worth an import at run time
        return lambda fn: fn


E = TypeVar("E")
R = TypeVar("R")
L = TypeVar("L", bound=LambdaContext)

_GENERIC_NAMES = ("handler", "lambda_handler")


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
            name=_default_name(fn) if name is None else name,
            execution_id=execution_id,
            execution_timeout=execution_timeout,
            retention=retention,
            step_retry=step_retry,
            envelope=envelope,
            hooks=hooks,
            invoke=_invoke,
        )

    return decorate if fn is None else decorate(fn)


def _invoke(function: DurableFunction[Any, Any], event: Any, context: Any) -> Any:
    """One Lambda invocation."""
    from .triggers.dispatch import handle

    return handle(function, event, context)


def _default_name(fn: Callable[..., Any]) -> str:
    name = getattr(fn, "__name__", type(fn).__name__)
    if name in _GENERIC_NAMES:
        return os.environ.get("AWS_LAMBDA_FUNCTION_NAME") or name
    return "lambda" if name == "<lambda>" else name
