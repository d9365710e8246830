"""`def` handlers: the context's methods. Each is one line into the driver."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, NoReturn, ParamSpec, TypeVar, overload

from ...core import lazily as ops
from ...core.current import current_scope
from ...core.retry import Retry, RetryPolicy
from ...core.scope import Scope
from ...core.step_options import StepPlan, callable_name, is_async
from ...types import Duration, LambdaContext
from .. import operations as begin
from ..context import BaseContext, BaseSaga
from ..session import Session
from .driver import drive

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


class Callback(Generic[T_co]):
    """A promise that somebody outside completes. `token` is unguessable and safe to hand out; `result()` waits (suspends), may
    be called again, raises CallbackFailed or CallbackTimeout. The timeout runs from creation, not from `result()`."""

    def __init__(self, promise: Promise, ctx: DurableContext) -> None:
        self._promise = promise
        self._ctx = ctx

    @property
    def token(self) -> str:
        return self._promise.token

    def result(self) -> T_co:
        value: T_co = self._ctx._drive(*begin.callback_result(self._ctx, self._promise))
        return value


class Saga(BaseSaga):
    """`with ctx.saga() as saga:` registers undo actions.

    On an error or cancellation inside the block they all run, last-in first-out, as steps (options by `@step`); then the error
    is raised again, or CompensationError if one of them failed. A suspension runs none of them. After the block ends without an
    error they are dropped. Register before the step if the step may fail after its effect.
    """

    def __init__(self, ctx: DurableContext) -> None:
        super().__init__(ctx)
        self._ctx = ctx

    def add_compensation(self, fn: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """`fn(*args, **kwargs)` is the undo action."""
        self._add(fn, args, kwargs)

    def __enter__(self) -> Saga:
        self._begin()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        for fn, args, kwargs in self._to_undo(exc):
            with self._shield():
                id = self._id_of(fn)
                try:
                    self._ctx.step(fn, *args, **kwargs)
                except Exception as error:
                    self._failed(fn, error, id)
        self._tell(exc)


class DurableContext(BaseContext):
    """Handed to `def` handlers and to every branch. The scope comes from the running branch (contextvars), not from the object:
    inside a branch the handler's own ctx does the same as the branch's.

    An operation id is assigned when the method is called, in program order, and is the path of names with an occurrence
    number ("charge", "charge#2", "fan-out/3/resize"), or with `key=` "name:key" in the nearest branch, whose place is not
    compared. A durable call inside a step body raises RuntimeError. While a handler
    unwinds to suspend, `finally` blocks run: a durable call there only re-raises the suspension, but other code there runs at
    every suspension, so put clean-up in `saga()` or `except ExecutionCancelled`.
    """

    def __init__(self, session: Session, lambda_context: LambdaContext) -> None:
        super().__init__(session.turn, lambda_context)
        self._session = session

    def _drive(self, op: Op, operation: Operation[T]) -> T:
        return drive(self._session, op, operation)

    def _checked(self, plan: StepPlan) -> StepPlan:
        if plan.is_async:
            raise TypeError(
                f"step {plan.name!r} is an async function, but this handler is a plain def: make the handler "
                "`async def` (with AsyncDurableContext), or the step a plain function"
            )
        return plan

    def _check_branches(self, what: str, fns: Iterable[Any]) -> None:
        for fn in fns:
            if is_async(fn):
                raise TypeError(
                    f"{what} {callable_name(fn)!r} is an async function, but this handler is a plain def, which would never "
                    f"run it: make the handler `async def` (with AsyncDurableContext), or the {what} a plain function"
                )

    def step(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs `fn(*args, **kwargs)` once, durably: when this returns, the result is stored and the body never runs again.

        Options travel with the function (`@step(...)` or `step(fn, name=...)`). The value went through encode/decode, so
        mutations and identity are lost, the types stay. Raises StepError, StepTimeout, StepInterrupted, a class named in
        `raises=`, SerializationError. An `async def` fn is a TypeError here. The arguments are not recorded.
        """
        result: T = drive(self._session, *begin.step(self, fn, args, kwargs))
        return result

    def sleep(self, duration: Duration, *, name: str | None = None) -> None:
        """Seconds or timedelta. Suspends, unless it is short (about a second)."""
        self._drive(*begin.sleep(self, duration, name))

    def sleep_until(self, when: datetime, *, name: str | None = None) -> None:
        """ValueError for a naive datetime; a past one returns at once."""
        self._drive(*begin.sleep_until(self, when, name))

    @overload
    def callback(
        self,
        name: str | None = None,
        *,
        key: str | None = None,
        result_type: type[T],
        timeout: Duration | None = None,
        heartbeat_timeout: Duration | None = None,
    ) -> Callback[T]: ...
    @overload
    def callback(
        self,
        name: str | None = None,
        *,
        key: str | None = None,
        result_type: object = None,
        timeout: Duration | None = None,
        heartbeat_timeout: Duration | None = None,
    ) -> Callback[Any]: ...
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
        _, promise = begin.callback(self, name, key, result_type, timeout, heartbeat_timeout)
        return Callback(promise, self)

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
    ) -> T: ...
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
    ) -> Any: ...
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
    def wait_for_signal(self, signal: Signal[T], *, timeout: Duration | None = None) -> T: ...
    @overload
    def wait_for_signal(self, signal: str, *, result_type: type[T], timeout: Duration | None = None) -> T: ...
    @overload
    def wait_for_signal(self, signal: str, *, result_type: object = None, timeout: Duration | None = None) -> Any: ...
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
    ) -> tuple[str, T1 | T2]: ...
    @overload
    def wait_for_any_signal(
        self, s1: Signal[T1], s2: Signal[T2], s3: Signal[T3], /, *, timeout: Duration | None = None
    ) -> tuple[str, T1 | T2 | T3]: ...
    @overload
    def wait_for_any_signal(
        self, s1: Signal[T1], s2: Signal[T2], s3: Signal[T3], s4: Signal[T4], /, *, timeout: Duration | None = None
    ) -> tuple[str, T1 | T2 | T3 | T4]: ...
    @overload
    def wait_for_any_signal(self, *signals: Signal[Any] | str, timeout: Duration | None = None) -> tuple[str, Any]: ...
    def wait_for_any_signal(self, *signals: Signal[Any] | str, timeout: Duration | None = None) -> Any:
        """The name and the payload of exactly one signal: the oldest that has one of these names; the others stay, in order.

        As in wait_for_signal, a wait that is cancelled, times out or loses a race consumes nothing, and data that does not fit
        is a SerializationError, consumed. Types are kept for 2 to 4 Signals: tell the payloads apart by `isinstance`, or by the
        name. Code under way may be given more names later, in any order; one that was taken must stay among them. ValueError
        for no signal, or for one name twice.
        """
        return self._drive(*begin.wait_for_any_signal(self, signals, timeout))

    @overload
    def signal(self, target_id: str, signal: Signal[None], payload: None = None) -> bool: ...
    @overload
    def signal(self, target_id: str, signal: Signal[T], payload: T) -> bool: ...
    @overload
    def signal(self, target_id: str, signal: str, payload: object = None) -> bool: ...
    def signal(self, target_id: str, signal: Signal[Any] | str, payload: Any = None) -> bool:
        """Signals another execution, durably and exactly once, whatever dies. False: that one has ended (the same answer on
        replay). Unknown: ExecutionNotFound. A payload that does not fit a Signal: SerializationError, nothing is sent."""
        taken: bool = self._drive(*begin.signal(self, target_id, signal, payload))
        return taken

    @overload
    def parallel(
        self,
        branches: tuple[Callable[[DurableContext], T1], Callable[[DurableContext], T2]],
        *,
        name: str | None = None,
        max_concurrency: int | None = None,
        completion: Completion | None = None,
    ) -> _Batch2[T1, T2]: ...
    @overload
    def parallel(
        self,
        branches: tuple[Callable[[DurableContext], T1], Callable[[DurableContext], T2], Callable[[DurableContext], T3]],
        *,
        name: str | None = None,
        max_concurrency: int | None = None,
        completion: Completion | None = None,
    ) -> _Batch3[T1, T2, T3]: ...
    @overload
    def parallel(
        self,
        branches: tuple[
            Callable[[DurableContext], T1],
            Callable[[DurableContext], T2],
            Callable[[DurableContext], T3],
            Callable[[DurableContext], T4],
        ],
        *,
        name: str | None = None,
        max_concurrency: int | None = None,
        completion: Completion | None = None,
    ) -> _Batch4[T1, T2, T3, T4]: ...
    @overload
    def parallel(
        self,
        branches: Sequence[Callable[[DurableContext], T]] | Mapping[str, Callable[[DurableContext], T]],
        *,
        name: str | None = None,
        max_concurrency: int | None = None,
        completion: Completion | None = None,
    ) -> BatchResult[T]: ...
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
        fn: Callable[[DurableContext, Item], T],
        items: Iterable[Item],
        *,
        name: str | None = None,
        max_concurrency: int | None = None,
        completion: Completion | None = None,
        item_name: Callable[[Item], str] | None = None,
    ) -> BatchResult[T]:
        """`fn(ctx, item)` per item. `items` is listed once and must come out the same on replay (take it from the event or a
        step).

        A branch function with no return annotation (a lambda) is walked again on replay; an annotated one is decoded from
        its record.
        """
        return self._drive(*begin.map(self, fn, items, name, max_concurrency, completion, item_name))

    @overload
    def race(
        self,
        branches: tuple[Callable[[DurableContext], T1], Callable[[DurableContext], T2]],
        *,
        name: str | None = None,
    ) -> tuple[Literal[0], T1] | tuple[Literal[1], T2]: ...
    @overload
    def race(
        self,
        branches: tuple[Callable[[DurableContext], T1], Callable[[DurableContext], T2], Callable[[DurableContext], T3]],
        *,
        name: str | None = None,
    ) -> tuple[Literal[0], T1] | tuple[Literal[1], T2] | tuple[Literal[2], T3]: ...
    @overload
    def race(self, branches: Sequence[Callable[[DurableContext], T]], *, name: str | None = None) -> tuple[int, T]: ...
    @overload
    def race(self, branches: Mapping[K, Callable[[DurableContext], T]], *, name: str | None = None) -> tuple[K, T]: ...
    def race(self, branches: Any, *, name: str | None = None) -> Any:
        """The first success wins; all failed: BatchError. Losers get ExecutionCancelled at their next durable call, so their
        sagas roll back; a step body that runs already runs to its end and its result is dropped."""
        return self._drive(*begin.race(self, branches, name))

    @overload
    def child(
        self,
        fn: Callable[Concatenate[DurableContext, ...], T],
        /,
        *args: Any,
        name: str,
        key: str | None = None,
        **kwargs: Any,
    ) -> T: ...
    @overload
    def child(self, fn: Callable[Concatenate[DurableContext, ...], T], /, *args: Any, key: str, **kwargs: Any) -> T: ...
    @overload
    def child(self, fn: Callable[Concatenate[DurableContext, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
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
    ) -> T: ...
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
    ) -> T: ...
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
    ) -> Any: ...
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
    ) -> str: ...
    @overload
    def send(self, target: str, payload: object, *, id: str | None = None, delay: Duration | None = None) -> str: ...
    def send(self, target: Any, payload: Any, *, id: str | None = None, delay: Duration | None = None) -> Any:
        """Fire and forget; the id of the new execution. Not cancelled with this one. `payload`, and the id by the target's own
        rule, as in DurableClient.start; where there is no rule the id is derived from this execution and operation."""
        return self._drive(*begin.send(self, target, payload, id, delay))

    def poll(
        self,
        check: Callable[[T], T],
        *,
        initial: T,
        until: Callable[[T], bool],
        every: Duration | RetryPolicy | Callable[[T, int], Duration | None] | None = None,
        retry: Retry | None = None,
        timeout: Duration | None = None,
        name: str | None = None,
    ) -> T:
        """`check(state)` runs as a step until `until(state)`, which must be pure.

        `every`: time between checks; a RetryPolicy gives growing ones (default: 5 s, doubling to 5 min), and so does a
        function of the state and of the number of checks so far, which may return None to give up. `retry`: for a check
        that RAISES. Raises PollTimeout (with the last state), StepError. `check` runs at least once, before the first wait,
        and for the last time at the end of `timeout`; a `max_attempts` that is given in `every` limits the checks.
        """
        state: T = self._drive(*begin.poll(self, check, initial, until, every, timeout, retry, name))
        return state

    def saga(self) -> Saga:
        """A block whose undo actions run if it fails."""
        return Saga(self)

    @contextlib.contextmanager
    def _shielded(self) -> Iterator[None]:
        with self._holding_back("shielded"):
            yield
        op = ops.block_end(self._scope("shielded"))
        if op is not None:
            self._drive(op, ops.unshield(op))

    def shielded(self) -> AbstractContextManager[None]:
        """`with ctx.shielded():` for steps that belong together.

        A cancellation (of the execution, of a branch that lost) or deadline (`execution_timeout`) that arrives inside is raised
        after the block; if the block fails, its error is raised first. Inside, everything else works as usual: it suspends, and
        goes on after a crash. Nests, and holds for branches begun inside. Not held back: `terminate`, and what your own code
        cancels natively (`task.cancel()`, asyncio.timeout).
        """
        return self._shielded()

    def set_status(self, value: object) -> None:
        """JSON value, written along with the next entry or suspension, so it costs nothing extra; not replayed."""
        self._set_status(value)

    def patched(self, change_id: str) -> bool:
        """True for executions that reach this line first with the new code. Keep both paths until the old ones are done."""
        return self._patched(change_id)

    def continue_as_new(self, payload: object) -> NoReturn:
        """Never returns: do not catch BaseException around it. Same id, next generation, empty journal; unread signals and a
        pending cancel go along, open callbacks do not."""
        self._continue(payload)


def run(session: Session, handler: Callable[[Any, Any], Any], event: Any, lambda_context: LambdaContext) -> Any:
    """Returns or raises what the handler does. The contextvars that it sets are dropped: the next turn in this process may be
    another execution's."""
    inside = contextvars.copy_context()
    inside.run(current_scope.set, Scope.of_handler(session.turn))
    session.turn.sequential = True
    return inside.run(handler, event, DurableContext(session, lambda_context))
