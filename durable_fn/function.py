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
    """Makes a handler durable: what it returns is the Lambda entry point, `(event, lambda_context)`.

    ```python
    @durable(name="order", execution_id="order_id", execution_timeout=7 * 86_400)
    def order(event: Order, ctx: DurableContext) -> Receipt: ...
    ```

    Event and result are validated and stored by their annotations, in pydantic's JSON mode; without one, or with `Any`
    or `dict`, as they are. The event is validated once: defaults are drawn once. A result is stored by the annotation:
    fields of a subclass are dropped. The context answers the Lambda context's attributes too (`aws_request_id`, ...),
    so that an existing handler and Powertools go on working.

    Args:
        fn: The handler, `(event, ctx)`: `def` with a DurableContext, or `async def` with an AsyncDurableContext.
        name: Whom executions belong to. Default: the function's name, or AWS_LAMBDA_FUNCTION_NAME where that is
            "handler" or "lambda_handler".
        execution_id: What makes a second delivery the same execution: a function of the validated event, or a JMESPath
            into the payload ("detail.order_id"; a literal is "'x'"). Default: the record's own id, an HTTP request's
            Idempotency-Key, or the Lambda request id. Ids share one space per table.
        execution_timeout: Seconds, or a `timedelta`, from the start; it ends as TIMED_OUT. `continue_as_new` starts it
            anew. Default: none.
        retention: How long an execution stays when it is over. Default: 30 days.
        step_retry: For steps that bring no policy of their own. Default: `RetryPolicy()`.
        envelope: True: the handler gets the payload (HTTP body, SQS body, EventBridge detail, ...), and a direct caller
            gets `{"execution_id", "status", "result" or "error"}`. False: the handler gets the event as Lambda
            delivered it, a batch cut to one record, and the plain result is returned, or the error raised, if it ends
            within the invocation; records that it names in `{"batchItemFailures": [...]}` have failed. Default (None):
            False for a handler whose second parameter is a Lambda context (annotated so; or named `context` without an
            annotation), or whose event is annotated with an event class of Powertools or a TypedDict of
            aws-lambda-typing; else True.
        hooks: Of this function, besides those of `configure`.

    Raises:
        TypeError: At import: `async def` and the context's annotation disagree, or it is a generator.
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
