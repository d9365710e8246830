"""`async def` handlers: the context's methods. Each is one line into the driver."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, NoReturn, ParamSpec, TypeVar, overload

from ...core import lazily as ops
from ...core.retry import Retry, RetryPolicy
from ...core.step_options import StepPlan
from ...types import Duration, LambdaContext
from .. import operations as begin
from ..context import BaseContext, BaseSaga, Undo
from ..session import Session
from .loop import inline
from .native import in_full
from .operation import drive
from .pump import Pump
from .run import execute

if TYPE_CHECKING:
    from ...batch import BatchResult, Completion, _Batch2, _Batch3, _Batch4
    from ...core.effects import Operation
    from ...core.function import DurableFunction
    from ...core.operations.callbacks import Promise
    from ...core.scope import Op
    from ...core.signal import Signal

P = ParamSpec("P")
T = TypeVar("T")
K = TypeVar("K", bound=str)
E = TypeVar("E")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
Item = TypeVar("Item")
T_co = TypeVar("T_co", covariant=True)


class AsyncCallback(Generic[T_co]):
    """A promise that somebody outside completes. `token` is unguessable and safe to hand out; `result()` waits (suspends), may
    be called again, raises CallbackFailed or CallbackTimeout. The timeout runs from creation, not from `result()`."""

    def __init__(self, promise: Promise, ctx: AsyncDurableContext) -> None:
        self._promise = promise
        self._ctx = ctx

    @property
    def token(self) -> str:
        return self._promise.token

    def result(self) -> Coroutine[object, None, T_co]:
        return self._ctx._drive(*begin.callback_result(self._ctx, self._promise))


class AsyncSaga(BaseSaga):
    """`async with ctx.saga() as saga:` registers undo actions.

    On an error or cancellation inside the block they all run, last-in first-out, as steps (options by `@step`); then the error
    is raised again, or CompensationError if one of them failed. A suspension runs none of them. After the block ends without an
    error they are dropped. Register before the step if the step may fail after its effect.
    """

    def __init__(self, ctx: AsyncDurableContext) -> None:
        super().__init__(ctx)
        self._ctx = ctx

    def add_compensation(self, fn: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """`fn(*args, **kwargs)` is the undo action."""
        self._add(fn, args, kwargs)

    async def __aenter__(self) -> AsyncSaga:
        self._begin()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        undo = self._to_undo(exc)
        if undo:
            with self._shield():
                await in_full(self._run(undo))
        self._tell(exc)

    @inline
    async def _run(self, undo: list[Undo]) -> None:
        for fn, args, kwargs in undo:
            id = self._id_of(fn)
            try:
                await self._ctx.step(fn, *args, **kwargs)
            except Exception as error:
                self._failed(fn, error, id)


class _Shielded(AbstractAsyncContextManager[None]):
    """One block, entered once."""

    def __init__(self, ctx: AsyncDurableContext) -> None:
        self._context = ctx

    async def __aenter__(self) -> None:
        self._held = self._context._holding_back("shielded")
        self._held.__enter__()

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        pump = self._context._pump
        scope = None if exc_type is not None else self._context._scope("shielded")
        held = scope is not None and scope.cancel_scope in pump.held_back
        self._held.__exit__(None, None, None)
        if scope is None or pump.over:
            return
        if held and scope.cancel_scope not in pump.held_back:
            await asyncio.sleep(0)  # raises the cancellation here, because there may be no later wait
        await pump.end.let_come(ops.block_id(scope))


@inline
async def done(value: T) -> T:
    """A coroutine that returns `value` at once."""
    return value


class AsyncDurableContext(BaseContext):
    """Handed to `async def` handlers and to every branch. The scope comes from the running branch (contextvars), not from the
    object: inside a branch the handler's own ctx does the same as the branch's.

    An operation id is assigned when the method is CALLED, in program order; with `key=` it is "name:key" in the nearest branch,
    whatever native task asks, and its place is not compared. A method returns a coroutine: await it once, or
    hand it to gather / TaskGroup / create_task. Methods without I/O need no await: now, uuid4, random, saga (`async with`),
    continue_as_new (it raises). A durable call inside a step body raises RuntimeError.
    """

    def __init__(self, pump: Pump, lambda_context: LambdaContext) -> None:
        super().__init__(pump.turn, lambda_context)
        self._pump = pump

    def _drive(self, op: Op, operation: Operation[T]) -> Coroutine[object, None, T]:
        return drive(self._pump, op, operation)

    def _checked(self, plan: StepPlan) -> StepPlan:
        return plan

    def _check_branches(self, what: str, fns: Iterable[Any]) -> None:
        pass

    def _watched(self, coroutine: Coroutine[object, None, T], what: str) -> Coroutine[object, None, T]:
        """Notes the coroutine, so that a missing `await` is reported: a coroutine is always true."""
        self._pump.unawaited.called(coroutine, what, self._scope(what).cancel_scope, coroutine)
        return coroutine

    @overload
    def step(
        self, fn: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[object, None, T]: ...
    @overload
    def step(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[object, None, T]: ...
    def step(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Coroutine[object, None, Any]:
        """Runs `fn(*args, **kwargs)` once, durably: when this returns, the result is stored and the body never runs again.

        `fn` may be `async def` or `def`; a `def` runs in a worker thread (contextvars are copied), so it does not block
        the loop. Options travel with the function (`@step(...)` or `step(fn, name=...)`). The value went through
        encode/decode, so mutations and identity are lost, the types stay. Raises StepError, StepTimeout, StepInterrupted,
        a class named in `raises=`, SerializationError. The arguments are not recorded.
        """
        return drive(self._pump, *begin.step(self, fn, args, kwargs))

    def sleep(self, duration: Duration, *, name: str | None = None) -> Coroutine[object, None, None]:
        """Seconds or timedelta. Suspends, unless it is short (about a second)."""
        return self._drive(*begin.sleep(self, duration, name))

    def sleep_until(self, when: datetime, *, name: str | None = None) -> Coroutine[object, None, None]:
        """ValueError for a naive datetime; a past one returns at once."""
        return self._drive(*begin.sleep_until(self, when, name))

    @overload
    def callback(
        self,
        name: str | None = None,
        *,
        key: str | None = None,
        result_type: type[T],
        timeout: Duration | None = None,
        heartbeat_timeout: Duration | None = None,
    ) -> Coroutine[object, None, AsyncCallback[T]]: ...
    @overload
    def callback(
        self,
        name: str | None = None,
        *,
        key: str | None = None,
        result_type: object = None,
        timeout: Duration | None = None,
        heartbeat_timeout: Duration | None = None,
    ) -> Coroutine[object, None, AsyncCallback[Any]]: ...
    def callback(
        self,
        name: str | None = None,
        *,
        key: str | None = None,
        result_type: object = None,
        timeout: Duration | None = None,
        heartbeat_timeout: Duration | None = None,
    ) -> Any:
        """For the other side to complete through `DurableClient.complete_callback(token, ...)`.

        Use it for third parties and one answer; use signals where the sender knows the execution id, or there are many
        messages. No `timeout`: waits for ever.
        """
        op, promise = begin.callback(self, name, key, result_type, timeout, heartbeat_timeout)
        return self._watched(done(AsyncCallback(promise, self)), f"callback {op.id!r}")

    @overload
    def wait_for_callback(
        self,
        submit: Callable[[str], object],
        *,
        name: str | None = None,
        key: str | None = None,
        result_type: type[T],
        timeout: Duration | None = None,
        heartbeat_timeout: Duration | None = None,
        retry: Retry | None = None,
    ) -> Coroutine[object, None, T]: ...
    @overload
    def wait_for_callback(
        self,
        submit: Callable[[str], object],
        *,
        name: str | None = None,
        key: str | None = None,
        result_type: object = None,
        timeout: Duration | None = None,
        heartbeat_timeout: Duration | None = None,
        retry: Retry | None = None,
    ) -> Coroutine[object, None, Any]: ...
    def wait_for_callback(
        self,
        submit: Callable[[str], object],
        *,
        name: str | None = None,
        key: str | None = None,
        result_type: object = None,
        timeout: Duration | None = None,
        heartbeat_timeout: Duration | None = None,
        retry: Retry | None = None,
    ) -> Any:
        """`submit(token)` runs as a step (at least once: the token may be sent twice, it is the same token); `retry` is the
        submitter's. Raises StepError if submitting failed for good, CallbackFailed, CallbackTimeout."""
        return self._drive(
            *begin.wait_for_callback(self, submit, name, key, result_type, timeout, heartbeat_timeout, retry)
        )

    @overload
    def wait_for_signal(self, signal: Signal[T], *, timeout: Duration | None = None) -> Coroutine[object, None, T]: ...
    @overload
    def wait_for_signal(
        self, signal: str, *, result_type: type[T], timeout: Duration | None = None
    ) -> Coroutine[object, None, T]: ...
    @overload
    def wait_for_signal(
        self, signal: str, *, result_type: object = None, timeout: Duration | None = None
    ) -> Coroutine[object, None, Any]: ...
    def wait_for_signal(
        self, signal: Signal[Any] | str, *, result_type: object = None, timeout: Duration | None = None
    ) -> Any:
        """Buffered, in order, each consumed once, also when it came before the wait; unread ones survive continue_as_new.

        A wait that is cancelled, times out or loses a race (`race`, `parallel`, asyncio) consumes nothing: the signal stays for
        the next wait. `timeout=0` takes what is buffered or raises SignalTimeout at once. Data that does not fit:
        SerializationError with `.raw`, consumed, so that a loop may go on to the next one.
        """
        return self._drive(*begin.wait_for_signal(self, signal, result_type, timeout))

    @overload
    def wait_for_any_signal(
        self, s1: Signal[T1], s2: Signal[T2], /, *, timeout: Duration | None = None
    ) -> Coroutine[object, None, tuple[str, T1 | T2]]: ...
    @overload
    def wait_for_any_signal(
        self, s1: Signal[T1], s2: Signal[T2], s3: Signal[T3], /, *, timeout: Duration | None = None
    ) -> Coroutine[object, None, tuple[str, T1 | T2 | T3]]: ...
    @overload
    def wait_for_any_signal(
        self, s1: Signal[T1], s2: Signal[T2], s3: Signal[T3], s4: Signal[T4], /, *, timeout: Duration | None = None
    ) -> Coroutine[object, None, tuple[str, T1 | T2 | T3 | T4]]: ...
    @overload
    def wait_for_any_signal(
        self, *signals: Signal[Any] | str, timeout: Duration | None = None
    ) -> Coroutine[object, None, tuple[str, Any]]: ...
    def wait_for_any_signal(self, *signals: Signal[Any] | str, timeout: Duration | None = None) -> Any:
        """The name and the payload of exactly one signal: the oldest that has one of these names; the others stay, in order.

        As in wait_for_signal, a wait that is cancelled, times out or loses a race consumes nothing, and data that does not fit
        is a SerializationError, consumed. Types are kept for 2 to 4 Signals: tell the payloads apart by `isinstance`, or by the
        name. Code under way may be given more names later, in any order; one that was taken must stay among them. ValueError
        for no signal, or for one name twice.
        """
        return self._drive(*begin.wait_for_any_signal(self, signals, timeout))

    @overload
    def signal(self, target_id: str, signal: Signal[None], payload: None = None) -> Coroutine[object, None, bool]: ...
    @overload
    def signal(self, target_id: str, signal: Signal[T], payload: T) -> Coroutine[object, None, bool]: ...
    @overload
    def signal(self, target_id: str, signal: str, payload: object = None) -> Coroutine[object, None, bool]: ...
    def signal(self, target_id: str, signal: Signal[Any] | str, payload: Any = None) -> Coroutine[object, None, bool]:
        """Signals another execution, durably and exactly once, whatever dies. False: that one has ended (the same answer on
        replay). Unknown: ExecutionNotFound. A payload that does not fit a Signal: SerializationError, nothing is sent."""
        return self._drive(*begin.signal(self, target_id, signal, payload))

    @overload
    def parallel(
        self,
        branches: tuple[Callable[[AsyncDurableContext], Awaitable[T1]], Callable[[AsyncDurableContext], Awaitable[T2]]],
        *,
        name: str | None = None,
        max_concurrency: int | None = None,
        completion: Completion | None = None,
    ) -> Coroutine[object, None, _Batch2[T1, T2]]: ...
    @overload
    def parallel(
        self,
        branches: tuple[
            Callable[[AsyncDurableContext], Awaitable[T1]],
            Callable[[AsyncDurableContext], Awaitable[T2]],
            Callable[[AsyncDurableContext], Awaitable[T3]],
        ],
        *,
        name: str | None = None,
        max_concurrency: int | None = None,
        completion: Completion | None = None,
    ) -> Coroutine[object, None, _Batch3[T1, T2, T3]]: ...
    @overload
    def parallel(
        self,
        branches: tuple[
            Callable[[AsyncDurableContext], Awaitable[T1]],
            Callable[[AsyncDurableContext], Awaitable[T2]],
            Callable[[AsyncDurableContext], Awaitable[T3]],
            Callable[[AsyncDurableContext], Awaitable[T4]],
        ],
        *,
        name: str | None = None,
        max_concurrency: int | None = None,
        completion: Completion | None = None,
    ) -> Coroutine[object, None, _Batch4[T1, T2, T3, T4]]: ...
    @overload
    def parallel(
        self,
        branches: Sequence[Callable[[AsyncDurableContext], Awaitable[T]]]
        | Mapping[str, Callable[[AsyncDurableContext], Awaitable[T]]],
        *,
        name: str | None = None,
        max_concurrency: int | None = None,
        completion: Completion | None = None,
    ) -> Coroutine[object, None, BatchResult[T]]: ...
    def parallel(
        self,
        branches: Any,
        *,
        name: str | None = None,
        max_concurrency: int | None = None,
        completion: Completion | None = None,
    ) -> Any:
        """Branches are `fn(ctx)`; a dict names them. A tuple of 2 to 4 keeps each result's type in `.results`.

        Default completion: fail fast. Returns a BatchResult also on failure: read `.results` to raise. No branches: it is over
        at once.
        """
        return self._drive(*begin.parallel(self, branches, name, max_concurrency, completion))

    def map(
        self,
        fn: Callable[[AsyncDurableContext, Item], Awaitable[T]],
        items: Iterable[Item],
        *,
        name: str | None = None,
        max_concurrency: int | None = None,
        completion: Completion | None = None,
        item_name: Callable[[Item], str] | None = None,
    ) -> Coroutine[object, None, BatchResult[T]]:
        """`fn(ctx, item)` per item. `items` is listed once and must come out the same on replay (take it from the event or a
        step).

        A branch function with no return annotation (a lambda) is walked again on replay; an annotated one is decoded from
        its record.
        """
        return self._drive(*begin.map(self, fn, items, name, max_concurrency, completion, item_name))

    @overload
    def race(
        self,
        branches: tuple[Callable[[AsyncDurableContext], Awaitable[T1]], Callable[[AsyncDurableContext], Awaitable[T2]]],
        *,
        name: str | None = None,
    ) -> Coroutine[object, None, tuple[Literal[0], T1] | tuple[Literal[1], T2]]: ...
    @overload
    def race(
        self,
        branches: tuple[
            Callable[[AsyncDurableContext], Awaitable[T1]],
            Callable[[AsyncDurableContext], Awaitable[T2]],
            Callable[[AsyncDurableContext], Awaitable[T3]],
        ],
        *,
        name: str | None = None,
    ) -> Coroutine[object, None, tuple[Literal[0], T1] | tuple[Literal[1], T2] | tuple[Literal[2], T3]]: ...
    @overload
    def race(
        self, branches: Sequence[Callable[[AsyncDurableContext], Awaitable[T]]], *, name: str | None = None
    ) -> Coroutine[object, None, tuple[int, T]]: ...
    @overload
    def race(
        self, branches: Mapping[K, Callable[[AsyncDurableContext], Awaitable[T]]], *, name: str | None = None
    ) -> Coroutine[object, None, tuple[K, T]]: ...
    def race(self, branches: Any, *, name: str | None = None) -> Any:
        """The first success wins; all failed: BatchError. Losers get ExecutionCancelled at their next durable call, so their
        sagas roll back; a step body that runs is cancelled, and its result is dropped."""
        return self._drive(*begin.race(self, branches, name))

    @overload
    def child(
        self,
        fn: Callable[Concatenate[AsyncDurableContext, ...], Awaitable[T]],
        /,
        *args: Any,
        name: str,
        key: str | None = None,
        **kwargs: Any,
    ) -> Coroutine[object, None, T]: ...
    @overload
    def child(
        self, fn: Callable[Concatenate[AsyncDurableContext, ...], Awaitable[T]], /, *args: Any, key: str, **kwargs: Any
    ) -> Coroutine[object, None, T]: ...
    @overload
    def child(
        self, fn: Callable[Concatenate[AsyncDurableContext, P], Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Coroutine[object, None, T]: ...
    def child(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """`fn(ctx, ...)` in its own id namespace. `name=` and `key=` are taken by `child` itself, never passed on; with one of
        them the checker cannot check the other arguments (PEP 612). Below a keyed child ids are as stable as inside it:
        "name:key/charge"."""
        return self._drive(*begin.child(self, fn, args, kwargs))

    @overload
    def call(
        self,
        target: DurableFunction[E, T],
        payload: E,
        *,
        name: str | None = None,
        id: str | None = None,
        timeout: Duration | None = None,
    ) -> Coroutine[object, None, T]: ...
    @overload
    def call(
        self,
        target: str,
        payload: object,
        *,
        result_type: type[T],
        name: str | None = None,
        id: str | None = None,
        timeout: Duration | None = None,
    ) -> Coroutine[object, None, T]: ...
    @overload
    def call(
        self,
        target: str,
        payload: object,
        *,
        result_type: object = None,
        name: str | None = None,
        id: str | None = None,
        timeout: Duration | None = None,
    ) -> Coroutine[object, None, Any]: ...
    def call(
        self,
        target: Any,
        payload: Any,
        *,
        result_type: object = None,
        name: str | None = None,
        id: str | None = None,
        timeout: Duration | None = None,
    ) -> Any:
        """Starts another durable function and waits.

        `id` default: derived from this execution and operation, so a replay attaches. An `id` that exists: takes
        the result if it has ended with the same payload; attaches to it while it is under way, if it tells its end to no other
        execution; else ExecutionConflict. Cancelling this execution
        cancels the other, if this one made it. Raises CallError, CallTimeout.
        """
        return self._drive(*begin.call(self, target, payload, result_type, name, id, timeout))

    @overload
    def send(
        self, target: DurableFunction[E, Any], payload: E, *, id: str | None = None, delay: Duration | None = None
    ) -> Coroutine[object, None, str]: ...
    @overload
    def send(
        self, target: str, payload: object, *, id: str | None = None, delay: Duration | None = None
    ) -> Coroutine[object, None, str]: ...
    def send(self, target: Any, payload: Any, *, id: str | None = None, delay: Duration | None = None) -> Any:
        """Fire and forget; the id of the new execution. Not cancelled with this one. `payload`, and the id by the target's own
        rule, as in DurableClient.start; where there is no rule the id is derived from this execution and operation."""
        return self._drive(*begin.send(self, target, payload, id, delay))

    def poll(
        self,
        check: Callable[[T], Awaitable[T] | T],
        *,
        initial: T,
        until: Callable[[T], bool],
        every: Duration | RetryPolicy | Callable[[T, int], Duration | None] | None = None,
        retry: Retry | None = None,
        timeout: Duration | None = None,
        name: str | None = None,
    ) -> Coroutine[object, None, T]:
        """`check(state)` runs as a step until `until(state)`, which must be pure.

        `every`: time between checks; a RetryPolicy gives growing ones (default: 5 s, doubling to 5 min), and so does a
        function of the state and of the number of checks so far, which may return None to give up. `retry`: for a check
        that RAISES. Raises PollTimeout (with the last state), StepError. `check` runs at least once, before the first wait,
        and for the last time at the end of `timeout`; a `max_attempts` that is given in `every` limits the checks.
        """
        return self._drive(*begin.poll(self, check, initial, until, every, timeout, retry, name))

    def saga(self) -> AsyncSaga:
        """A block whose undo actions run if it fails."""
        return AsyncSaga(self)

    def shielded(self) -> AbstractAsyncContextManager[None]:
        """`async with ctx.shielded():` for steps that belong together.

        A cancellation (of the execution, of a branch that lost) or deadline (`execution_timeout`) that arrives inside is raised
        after the block; if the block fails, its error is raised first. Inside, everything else works as usual: it suspends, and
        goes on after a crash. Nests, and holds for branches begun inside. While any task is inside, no task gets the
        cancellation. Not held back: `terminate`, and what your own code cancels natively (`task.cancel()`, asyncio.timeout).
        """
        return _Shielded(self)

    def set_status(self, value: object) -> Coroutine[object, None, None]:
        """JSON value, written along with the next entry or suspension, so it costs nothing extra; not replayed."""
        self._set_status(value)
        return done(None)

    def patched(self, change_id: str) -> Coroutine[object, None, bool]:
        """True for executions that reach this line first with the new code. Keep both paths until the old ones are done."""
        return self._watched(done(self._patched(change_id)), f"patched {change_id!r}")

    def continue_as_new(self, payload: object) -> NoReturn:
        """Never returns: do not catch BaseException around it. Same id, next generation, empty journal; unread signals and a
        pending cancel go along, open callbacks do not."""
        self._continue(payload)


def run(session: Session, handler: Callable[[Any, Any], Any], event: Any, lambda_context: LambdaContext) -> Any:
    """The handler's return value, or what it raised. Also from a thread that already runs a loop of its own."""
    return execute(session, lambda pump: handler(event, AsyncDurableContext(pump, lambda_context)))
