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
    """A promise that somebody outside keeps.

    ```python
    paid = ctx.callback("paid", timeout=3600)
    ctx.step(send_invoice, order, paid.token)
    receipt = paid.result()
    ```

    The timeout runs from its creation.
    """

    def __init__(self, promise: Promise, ctx: DurableContext) -> None:
        self._promise = promise
        self._ctx = ctx

    @property
    def token(self) -> str:
        """Unguessable, and safe to hand out: it reveals nothing."""
        return self._promise.token

    def result(self) -> T_co:
        """Waits for the answer. May be called again. Raises CallbackFailed, CallbackTimeout, SerializationError."""
        value: T_co = self._ctx._drive(*begin.callback_result(self._ctx, self._promise))
        return value


class Saga(BaseSaga):
    """Undo actions of a block: they run, last first, if it fails or is cancelled.

    ```python
    with ctx.saga() as saga:
        saga.add_compensation(refund, ctx.step(charge, order))
        ctx.step(ship, order)
    ```

    They run as steps (options by `@step`), all of them; then the error goes on. One that fails raises CompensationError
    at the end. A suspension runs none. When the block ends well they are forgotten. Register before the step if it may
    fail after its effect.
    """

    def __init__(self, ctx: DurableContext) -> None:
        super().__init__(ctx)
        self._ctx = ctx

    def add_compensation(self, fn: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Registers what undoes.

        Args:
            fn: Runs as a step if the block fails.
            *args: What it is called with.
            **kwargs: The same.
        """
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
    """What a `def` handler, and each of its branches, does durable things with.

    ```python
    @durable
    def fulfil(order: Order, ctx: DurableContext) -> str:
        receipt = ctx.step(charge, order)
        ctx.sleep(86_400)
        return ctx.step(ship, order, receipt)
    ```

    An operation gets its id when the method is called, in program order: the path of names with an occurrence number
    ("charge", "charge#2", "fan-out/3/resize"), or with `key=` "name:key" in the nearest branch, found in whatever
    order. The branch is that of the code that runs: inside a branch the handler's own `ctx` does the same as the
    branch's. A durable call in the body of a step raises RuntimeError. Clean up by `saga()` or `except
    ExecutionCancelled`: `finally` blocks run at every suspension, too.
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
        """Runs `fn(*args, **kwargs)` once, durably: when this returns, the result is stored, and the body never runs
        again.

        ```python
        receipt = ctx.step(charge, order)
        page = ctx.step(step(fetch, timeout=30, name="front-page"), url)
        ```

        Options travel with the function: `@step(...)` above it, or `step(fn, ...)` in place. The arguments are not
        recorded, and may be anything. The result goes through the journal's form, the first time too: types stay,
        identity is lost.

        Args:
            fn: Any plain function.
            *args: What it is called with.
            **kwargs: The same. An option of the step (`retry=`, `timeout=`) has no place here: `step(fn, retry=...)`.

        Raises:
            StepError: Attempts are used up, or the policy gave up. A class that `raises=` names comes as itself.
            StepTimeout: The last attempt took longer than the step's `timeout`.
            StepInterrupted: The process died in a body that is `at_most_once`.
            SerializationError: The result would not come back as it was. The body has run.
            TypeError: `fn` is no function. Or it is `async def`, in a `def` handler.
        """
        result: T = drive(self._session, *begin.step(self, fn, args, kwargs))
        return result

    def sleep(self, duration: Duration, *, name: str | None = None) -> None:
        """Waits durably. The handler is left, and nothing is paid meanwhile; up to about a second is slept through in
        place.

        ```python
        ctx.sleep(3 * 86_400)
        ctx.sleep(timedelta(hours=6), name="cool-down")
        ```

        Args:
            duration: Seconds, or a `timedelta`. 0 returns at once.
            name: What the journal calls it. Default: "sleep".

        Raises:
            ValueError: It is negative.
        """
        self._drive(*begin.sleep(self, duration, name))

    def sleep_until(self, when: datetime, *, name: str | None = None) -> None:
        """Waits durably until a moment. One that is over returns at once.

        ```python
        ctx.sleep_until(datetime(2027, 1, 1, tzinfo=UTC))
        ```

        Args:
            when: An aware datetime.
            name: What the journal calls it. Default: "sleep_until".

        Raises:
            ValueError: It is naive: whose midnight would it be?
        """
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
        """Makes a promise that somebody outside keeps, once: it has a `token` to hand out, and a `result()` to wait for.

        ```python
        paid = ctx.callback("paid", result_type=Receipt, timeout=3600)
        ctx.step(send_invoice, order, paid.token)
        receipt = paid.result()
        ```

        The other side answers by `DurableClient.complete_callback(token, ...)`, or over HTTP by
        `durable_fn.callback_api`. For many messages, or where the sender knows the execution's id, use signals.

        Args:
            name: What the journal calls it. Default: "callback".
            key: An id of its own, "name:key" in the nearest branch.
            result_type: What the answer is validated as. Default: plain JSON.
            timeout: Seconds, or a `timedelta`, from now on. Default: it waits for ever.
            heartbeat_timeout: It is given up when no `heartbeat_callback` comes for so long. Default: none is needed.
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
        """Makes a callback, hands its token out in a step, and waits for the answer.

        ```python
        decision = ctx.wait_for_callback(
            lambda token: mail(boss, token), name="approval", result_type=Decision, timeout=2 * 86_400
        )
        ```

        Args:
            submit: Is called with the token, as a step: at least once, always with the same token.
            name: What the journal calls it. Default: "callback".
            key: An id of its own, "name:key" in the nearest branch.
            result_type: What the answer is validated as. Default: plain JSON.
            timeout: Seconds, or a `timedelta`, from now on. Default: it waits for ever.
            heartbeat_timeout: It is given up when no `heartbeat_callback` comes for so long. Default: none is needed.
            retry: Of the submitter. Default: the handler's `step_retry`, else `RetryPolicy()`.

        Raises:
            StepError: Submitting failed for good.
            CallbackFailed: The other side gave up.
            CallbackTimeout: Nobody answered in time; `.heartbeat` says which time.
            SerializationError: The answer does not fit; `.raw` has it.
        """
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
        """Takes the next signal of a name. It may have come before: signals are buffered, in order, and each is consumed
        once.

        ```python
        approve = Signal("approve", Decision)
        decision = ctx.wait_for_signal(approve, timeout=86_400)
        ```

        A wait that is cancelled, times out or loses a race consumes nothing: the signal stays for the next one. Unread
        signals survive `continue_as_new`.

        Args:
            signal: A `Signal`, or its name.
            result_type: What the payload is validated as, where the signal is given by its name.
            timeout: Seconds, or a `timedelta`. 0 takes what is buffered. Default: it waits for ever.

        Raises:
            SignalTimeout: None came in time.
            SerializationError: The payload does not fit; `.raw` has it. It is consumed, so that a loop may go on to the
                next one.
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
        """Takes exactly one signal, the oldest that has one of these names; the others stay, in order.

        ```python
        name, payload = ctx.wait_for_any_signal(deposit, close)
        ```

        A wait that is cancelled, times out or loses a race consumes nothing. Types are kept for 2 to 4 Signals: tell
        the payloads apart by `isinstance`, or by the name. A deploy may add names; one that was taken must stay among
        them.

        Args:
            *signals: Signals, or names.
            timeout: Seconds, or a `timedelta`. 0 takes what is buffered. Default: it waits for ever.

        Returns:
            The signal's name and its payload.

        Raises:
            SignalTimeout: None came in time.
            SerializationError: The payload does not fit; `.raw` has it. It is consumed.
            ValueError: No signal is given, or one name twice.
        """
        return self._drive(*begin.wait_for_any_signal(self, signals, timeout))

    @overload
    def signal(self, target_id: str, signal: Signal[None], payload: None = None) -> bool: ...
    @overload
    def signal(self, target_id: str, signal: Signal[T], payload: T) -> bool: ...
    @overload
    def signal(self, target_id: str, signal: str, payload: object = None) -> bool: ...
    def signal(self, target_id: str, signal: Signal[Any] | str, payload: Any = None) -> bool:
        """Signals another execution, durably and exactly once, whatever dies.

        ```python
        if not ctx.signal("account-7", deposit, Deposit(amount=5)):
            ctx.step(give_back, 5)
        ```

        Args:
            target_id: The other execution's id.
            signal: A `Signal`, or its name.
            payload: What it carries. By name, anything that is JSON.

        Returns:
            False if that execution has ended: the same on every replay.

        Raises:
            ExecutionNotFound: Nobody has that id.
            SerializationError: The payload does not fit; nothing is sent.
        """
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
        """Runs branches side by side, and returns when they are over, also when some failed: `.results` raises then.

        ```python
        cost, stock = ctx.parallel((price, in_stock)).results
        offers = ctx.parallel({"dhl": ask_dhl, "ups": ask_ups}, completion=Completion.all_settled())
        ```

        Args:
            branches: Functions `fn(ctx)`, or a dict that names them. A tuple of 2 to 4 keeps each result's type.
            name: What the journal calls it. Default: "parallel".
            max_concurrency: How many run at a time. Default: all, with 32 threads at most.
            completion: When it is over. Default: when all are done, or one fails.

        Returns:
            A BatchResult: `.results`, `.items`, `.succeeded`, `.failed`.

        Raises:
            ValueError: `max_concurrency` is below 1, or more successes are asked for than there are branches.
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
        """Runs `fn(ctx, item)` for each item, side by side, and returns when they are over, also when some failed.

        ```python
        batch = ctx.map(resize, images, max_concurrency=10, completion=Completion(max_failure_ratio=0.1))
        for item in batch.failed:
            ctx.logger.warning("%s: %s", item.name, item.error)
        ```

        Args:
            fn: A branch. With a return annotation its result is recorded; without one (a lambda) it is walked again on
                replay.
            items: Listed once. They must come out the same on replay: take them from the event or a step.
            name: What the journal calls it. Default: "map".
            max_concurrency: How many run at a time. Default: all, with 32 threads at most.
            completion: When it is over. Default: when all are done, or one fails.
            item_name: Gives the name of an item's branch, for its ids. Default: its position.

        Returns:
            A BatchResult, in the order of the items.

        Raises:
            ValueError: `max_concurrency` is below 1, or more successes are asked for than there are items.
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
        """Runs branches side by side, and takes the first that succeeds.

        ```python
        winner, reply = ctx.race({"mail": wait_for_mail, "clock": give_up})
        ```

        The others get `ExecutionCancelled` at their next durable call, so their sagas roll back; a step body that runs
        already runs to its end, and its result is dropped. A wait of a loser consumes nothing.

        Args:
            branches: Functions `fn(ctx)`, or a dict that names them.
            name: What the journal calls it. Default: "race".

        Returns:
            The winner's position, or its name, and its result.

        Raises:
            BatchError: All failed.
        """
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
        """Runs `fn(ctx, ...)` as a part with a name of its own: its ids are below it, and its result is recorded.

        ```python
        total = ctx.child(settle, order, key=order.id)  # ids: "settle:o-7/charge"
        ```

        Args:
            fn: A function whose first parameter is the context.
            *args: What it gets behind the context.
            **kwargs: The same. `name=` (default: the function's name) and `key=` (an id of its own, "name:key") are
                taken by `child` itself; with one of them a checker cannot check the other arguments.

        Raises:
            Exception: What `fn` raises, as it is: on a replay a child that failed is walked again.
            ValueError: That "name:key" is there already, in this branch.
        """
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
        """Starts another durable function, and waits for its result.

        ```python
        receipt = ctx.call(payment, Payment(amount=64), timeout=86_400)
        stock = ctx.call("inventory", {"sku": "tea"}, result_type=int)
        ```

        Cancelling this execution cancels the other one, if this one made it.

        Args:
            target: The other function, or its name.
            payload: What it gets: the object, or plain JSON data that validates as it.
            result_type: What its result is read as, where it is given by name.
            name: What the journal calls it. Default: the target's name.
            id: The other execution's id. Default: made of this execution and this operation, so that a replay attaches.
                One that exists gives its result if it has ended with the same payload; if it is under way, this call
                attaches to it, unless it tells its end to another one.
            timeout: Seconds, or a `timedelta`. Default: none.

        Raises:
            CallError: It ended otherwise; `.status`, `.error_type` and `.message` say how.
            CallTimeout: No result in time. It goes on.
            ExecutionConflict: The id is in use, with another payload or by another function.
            UnknownFunction: Nobody of that name is known; nothing was written.
        """
        return self._drive(*begin.call(self, target, payload, result_type, name, id, timeout))

    @overload
    def send(
        self, target: DurableFunction[E, Any], payload: E, *, id: str | None = None, delay: Duration | None = None
    ) -> str: ...
    @overload
    def send(self, target: str, payload: object, *, id: str | None = None, delay: Duration | None = None) -> str: ...
    def send(self, target: Any, payload: Any, *, id: str | None = None, delay: Duration | None = None) -> Any:
        """Starts another durable function, and goes on. It is not cancelled with this one.

        ```python
        ctx.send(newsletter, user.id, delay=timedelta(days=7))
        ```

        Args:
            target: The other function, or its name.
            payload: What it gets: the object, or plain JSON data that validates as it.
            id: Its execution id. Default: by the target's own rule, else made of this execution and this operation.
            delay: Seconds, or a `timedelta`, until it begins. Default: at once.

        Returns:
            The id of the execution.

        Raises:
            ExecutionConflict: The id is in use, with another payload or by another function.
            UnknownFunction: Nobody of that name is known; nothing was written.
        """
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
        """Asks again and again until an answer is good. Each check is a step, the time between is a durable timer.

        ```python
        job = ctx.poll(look, initial=job, until=lambda job: job.done, every=30, timeout=timedelta(hours=6))
        ```

        Args:
            check: Gets the last state, and gives the next one. It runs at least once, before the first wait, and for
                the last time at the end of `timeout`.
            initial: The state that the first check gets.
            until: Whether a state is good. It must be pure.
            every: Between two checks: seconds, a RetryPolicy for growing delays, or a function of the state and the
                number of checks, which may give None to give up. Default: 5 s, doubling to 5 min. A `max_attempts` that
                is given limits the checks.
            retry: For a check that raises. Default: the handler's `step_retry`, else `RetryPolicy()`.
            timeout: Seconds, or a `timedelta`. Default: none.
            name: What the journal calls it. Default: the check's name.

        Returns:
            The state that was good.

        Raises:
            PollTimeout: It was not good in time, or within the checks; `.state` is the last.
            StepError: A check failed for good.
        """
        state: T = self._drive(*begin.poll(self, check, initial, until, every, timeout, retry, name))
        return state

    def saga(self) -> Saga:
        """A block that undoes what was done in it, if it fails or is cancelled.

        ```python
        with ctx.saga() as saga:
            saga.add_compensation(refund, ctx.step(charge, order))
            ctx.step(ship, order)
        ```
        """
        return Saga(self)

    @contextlib.contextmanager
    def _shielded(self) -> Iterator[None]:
        with self._holding_back("shielded"):
            yield
        op = ops.block_end(self._scope("shielded"))
        if op is not None:
            self._drive(op, ops.unshield(op))

    def shielded(self) -> AbstractContextManager[None]:
        """A block that must not be torn apart: a cancellation, a lost race or `execution_timeout` that comes inside is
        raised at its end.

        ```python
        with ctx.shielded():
            ctx.step(debit, transfer)
            ctx.step(credit, transfer)
        ```

        Inside all is as ever: it suspends, and goes on after a death. If the block fails, its error goes first. Blocks
        nest, and hold for branches begun inside. Not held back: `terminate`, and what your own code cancels
        (`task.cancel()`, `asyncio.timeout`).
        """
        return self._shielded()

    def set_status(self, value: object) -> None:
        """Says how far it is, to who looks: `describe`, the dashboard, `durable-fn show`.

        ```python
        ctx.set_status({"done": 3, "of": 10})
        ```

        It is written along with the next entry or suspension, so it costs nothing extra. It is not replayed.

        Args:
            value: Anything that is JSON.
        """
        self._set_status(value)

    def patched(self, change_id: str) -> bool:
        """Whether this execution takes the new code: True for one that reaches this line first with it.

        ```python
        if ctx.patched("fraud-check"):
            ctx.step(check_fraud, order)
        ```

        The answer is kept. Keep both ways until no execution of before is left; then the old way goes, and a release
        later the call.

        Args:
            change_id: A name for the change. A new one for each; never an old one again.
        """
        return self._patched(change_id)

    def continue_as_new(self, payload: object) -> NoReturn:
        """Ends this execution and begins it anew, under the same id, with an empty journal. It never returns.

        ```python
        ctx.continue_as_new(day + 1)
        ```

        Unread signals and a pending cancellation go along, open callbacks do not. Do not catch `BaseException` around
        it.

        Args:
            payload: What the handler gets as its event.
        """
        self._continue(payload)


def run(session: Session, handler: Callable[[Any, Any], Any], event: Any, lambda_context: LambdaContext) -> Any:
    """The handler's return value, or what it raised. Contextvars that it sets end with it: the next turn in this process is
    another execution's."""
    inside = contextvars.copy_context()
    inside.run(current_scope.set, Scope.of_handler(session.turn))
    session.turn.sequential = True
    return inside.run(handler, event, DurableContext(session, lambda_context))
