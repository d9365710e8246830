"""The client: one method for each thing that can be done from outside."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Any, TypeVar, overload

from ..backends.ports import Backend
from ..core.current import running_step
from ..core.function import DurableFunction
from ..core.signal import Signal, name_of, sendable
from ..errors import ExecutionConflict
from ..log import failures
from ..log.damage import reading
from ..log.durations import milliseconds
from ..log.history import whole_history
from ..log.ids import checked_signal_id
from ..log.inbox import FAILURE, SUCCESS
from ..runtime.calls import cancel as request_cancel
from ..runtime.executions import check_fits, terms_of
from ..runtime.signalling import send_signal
from ..types import (
    Duration,
    ExecutionFilter,
    ExecutionInfo,
    ExecutionPage,
    ExecutionStatus,
    HistoryEvent,
    IfExists,
    Wait,
)
from ..values.plain import to_plain_json
from . import documents, endings, lists, reruns, starts, views
from .callbacks import Callbacks
from .executions import Executions

E = TypeVar("E")
T = TypeVar("T")


class DurableClient:
    """Starts, watches and steers executions from outside: scripts, API handlers, consoles, the body of a step.

    ```python
    client = DurableClient.from_env()
    id = client.start(order, Order(id="o-1"))
    receipt = client.result(id, wait=30, result_type=Receipt)
    ```

    Blocking and thread-safe; in asyncio use `asyncio.to_thread`. In a handler use `ctx`. Every method with an id raises
    ExecutionNotFound.

    Args:
        backend: As `durable_fn.wiring.sqlite(path)` gives it. On AWS: `DurableClient.from_env()`.
    """

    def __init__(self, backend: object) -> None:
        if not isinstance(backend, Backend):
            raise TypeError(
                f"DurableClient takes a Backend, not {type(backend).__name__}; use DurableClient.from_env(), or "
                "durable_fn.wiring.sqlite(path)"
            )
        self._executions = Executions(backend)
        self._callbacks = Callbacks(self._executions)

    @classmethod
    def from_env(cls) -> DurableClient:
        """By the environment: DURABLE_FN_TABLE and its companions, or DURABLE_FN_BACKEND.

        ```python
        client = DurableClient.from_env()
        ```

        Raises:
            RuntimeError: It names the variable that is missing.
        """
        from ..wiring import backend

        return cls(backend())

    # -- starting --------------------------------------------------------------------------------------------------

    @overload
    def start(
        self,
        name: DurableFunction[E, Any],
        payload: E,
        *,
        id: str | None = None,
        delay: Duration | None = None,
        if_exists: IfExists = "attach",
    ) -> str: ...
    @overload
    def start(
        self,
        name: str,
        payload: object,
        *,
        id: str | None = None,
        delay: Duration | None = None,
        if_exists: IfExists = "attach",
    ) -> str: ...
    def start(
        self,
        name: DurableFunction[Any, Any] | str,
        payload: object,
        *,
        id: str | None = None,
        delay: Duration | None = None,
        if_exists: IfExists = "attach",
    ) -> str:
        """Starts an execution. It runs soon, in the function's own Lambda: this writes it down, and sends a message.

        ```python
        id = client.start(order, Order(id="o-1"), id="order-o-1")
        ```

        Args:
            name: The function, or its name. By name it is found through DURABLE_FN_QUEUES, or the registry row that it
                writes when it first runs.
            payload: The object, or plain JSON data that validates as it. Stored as validated.
            id: The execution id. Default: by the function's own `execution_id` rule, else a new one.
            delay: Seconds, or a `timedelta`, until it begins. Default: at once.
            if_exists: "attach", the default: an id in use is returned as it is, in whatever status, if the payload is
                the same. "reject": an id in use is a conflict.

        Returns:
            The execution id.

        Raises:
            ExecutionConflict: The id is in use: with another payload, by another function, or at all.
            UnknownFunction: Nobody of that name is known; nothing was written.
            SerializationError: The payload does not fit. PayloadTooLarge: it is too large.
            ValueError: The id or the delay is none, or the function's rule cannot be applied from here: give `id`.
        """
        return starts.start(self._executions.backend, name, payload, id, delay, if_exists)

    def start_many(
        self,
        name: DurableFunction[E, Any] | str,
        payloads: Iterable[E],
        *,
        ids: Iterable[str] | None = None,
    ) -> builtins.list[str]:
        """As many `start`s, written together where that is cheaper.

        ```python
        client.start_many(order, orders, ids=[order.number for order in orders])
        ```

        Args:
            name: The function, or its name.
            payloads: One for each execution.
            ids: As many. Default: by the function's rule, else new ones.

        Returns:
            The ids, in order.

        Raises:
            ExecutionConflict: An id is in use with another payload. The others were started.
            ValueError: More ids than payloads, or fewer. Nothing was started; nor is anything where a payload is
                refused.
        """
        return starts.start_many(self._executions.backend, name, payloads, ids)

    # -- watching --------------------------------------------------------------------------------------------------

    def describe(self, id: str) -> ExecutionInfo:
        """A snapshot: status, custom status, times, input, error, what holds it.

        ```python
        info = client.describe("order-7")
        print(info.status, info.custom_status, info.waiting_for, info.held)
        ```
        """
        return views.snapshot(self._executions, id)

    @overload
    def result(self, id: str, *, wait: Duration | None = None, result_type: type[T]) -> T: ...
    @overload
    def result(self, id: str, *, wait: Duration | None = None, result_type: object = None) -> Any: ...
    def result(self, id: str, *, wait: Duration | None = None, result_type: object = None) -> Any:
        """What it returned.

        ```python
        receipt = client.result("order-7", wait=30, result_type=Receipt)
        ```

        Args:
            id: The execution.
            wait: How long to wait for its end, in seconds or as a `timedelta`. Default: not at all.
            result_type: What it is read as. Default: plain JSON values; types that the SDK tagged come back.

        Raises:
            CallTimeout: It is not finished (in time).
            CallError: It ended otherwise; `.status` says how.
        """
        wait_ms = 0 if wait is None else milliseconds(wait, "wait")
        return views.result(views.waited_for(self._executions, id, wait_ms), result_type)

    def wait(self, id: str, *, status: Collection[ExecutionStatus] | None = None, timeout: Duration) -> ExecutionInfo:
        """Waits until it has one of some statuses.

        ```python
        client.wait("order-7", status=["SUSPENDED"], timeout=60)
        ```

        It looks again and again, a little later each time, every 2 seconds at most.

        Args:
            id: The execution.
            status: Those that are waited for. Default: one in which it has ended.
            timeout: Seconds, or a `timedelta`.

        Raises:
            CallTimeout: That takes longer; at once where it has ended in another one.
        """
        return views.awaited(self._executions, id, status, milliseconds(timeout, "timeout"))

    def waits(self, id: str) -> builtins.list[Wait]:
        """What it waits for: on whom, since when and until when, what is over first to the front."""
        return views.open_waits(self._executions, id)

    def history(self, id: str, *, after: str | None = None) -> builtins.list[HistoryEvent]:
        """Everything it did, in journal order, between its start and its end.

        ```python
        for event in client.history("order-7"):
            print(event.at, event.kind, event.id, event.status)
        ```

        What a redrive made it forget is among it (`forgotten`), and so are redrives, forks, generations and
        cancellations.

        Args:
            id: The execution.
            after: Only what came behind the last entry with this operation id.

        Raises:
            ValueError: There is no such operation.
            JournalDamaged: What is stored cannot be read.
        """
        loaded = self._executions.loaded(id)
        with reading(id):
            events = whole_history(loaded.header, loaded.segments, loaded.inbox)
        return views.behind(events, after)

    def document(self, id: str) -> dict[str, Any]:
        """The execution, what it waits for, the invocations that wrote anything, and its history, as one JSON object with a
        format and a version: what `durable-fn history --json` and the dashboard show (docs/guide/history.md)."""
        return documents.document(self._executions, id)

    def list(
        self,
        *,
        name: str | None = None,
        status: ExecutionStatus | Collection[ExecutionStatus] | None = None,
        started_after: datetime | None = None,
        limit: int | None = None,
        name_prefix: str = "",
        id_prefix: str = "",
        parent: str | None = None,
        started_before: datetime | None = None,
        updated_after: datetime | None = None,
        held: bool | None = None,
        overdue: bool | None = None,
        has_error: bool | None = None,
    ) -> Iterator[ExecutionInfo]:
        """Executions, newest first, fetched as you iterate.

        ```python
        for info in client.list(name="order", status=["FAILED", "TIMED_OUT"], limit=20):
            print(info.id, info.error)
        ```

        On DynamoDB the index `listing` is read, which may be a moment behind; a table without it is scanned. `page`
        gives a cursor.

        Args:
            name: Of this durable function.
            status: In this status, or in one of these.
            started_after: Then or later.
            limit: At most so many. Default: all.
            name_prefix: Of functions whose names begin so.
            id_prefix: Whose ids begin so.
            parent: Which the execution with this id waits for.
            started_before: Earlier.
            updated_after: To which something happened then or later.
            held: Cannot go on, or can.
            overdue: Was due more than a minute ago and nobody took it, or not so.
            has_error: Has an error recorded, or none.
        """
        wanted = ExecutionFilter(
            name=name,
            name_prefix=name_prefix,
            id_prefix=id_prefix,
            status=status,
            parent=parent,
            started_after=started_after,
            started_before=started_before,
            updated_after=updated_after,
            held=held,
            overdue=overdue,
            has_error=has_error,
        )
        return lists.listed(self._executions, wanted, limit)

    def page(
        self,
        wanted: ExecutionFilter | None = None,
        *,
        cursor: str | None = None,
        limit: int = 50,
        scan: bool = False,
    ) -> ExecutionPage:
        """At most `limit` (1 to 1,000) of a list, newest first, from behind `cursor`, which is that of the page before. It
        reads a bounded number of rows: where few match, it may hold fewer, and have a cursor all the same. `scan`: reads
        the whole table, also where there is an index, which lacks what ended before there was one.

            first = client.page(ExecutionFilter(held=True), limit=20)
            second = client.page(ExecutionFilter(held=True), cursor=first.cursor, limit=20)
        """
        return lists.page(self._executions, wanted or ExecutionFilter(), cursor, limit, scan=scan)

    def functions(self) -> builtins.list[str]:
        """Names of the durable functions that have registered themselves."""
        return sorted(self._executions.store.functions())

    # -- steering --------------------------------------------------------------------------------------------------

    @overload
    def signal(
        self,
        id: str,
        signal: Signal[None],
        payload: None = None,
        *,
        signal_id: str | None = None,
        by: str | None = None,
    ) -> None: ...
    @overload
    def signal(
        self, id: str, signal: Signal[T], payload: T, *, signal_id: str | None = None, by: str | None = None
    ) -> None: ...
    @overload
    def signal(
        self, id: str, signal: str, payload: object = None, *, signal_id: str | None = None, by: str | None = None
    ) -> None: ...
    def signal(
        self,
        id: str,
        signal: Signal[Any] | str,
        payload: object = None,
        *,
        signal_id: str | None = None,
        by: str | None = None,
    ) -> None:
        """Sends a signal. It is durable when this returns.

        ```python
        client.signal("account-7", deposit, Deposit(amount=5), signal_id=transfer.id)
        ```

        Args:
            id: The execution.
            signal: A `Signal`, or its name.
            payload: What it carries. By name, anything that is JSON.
            signal_id: A second delivery with the same one within 30 days is dropped quietly, also after the first was
                consumed, over `continue_as_new`, and when the execution has ended since. Default: each call delivers;
                in the body of a step it is made for you, so that a body that is tried again delivers once.
            by: Who, for the history. Default: DURABLE_FN_ACTOR, else nobody.

        Raises:
            ExecutionConflict: The execution has ended. FormatError: its journal has another format.
            UnknownFunction: Nobody could wake its function; nothing was written.
            SerializationError: The payload does not fit; nothing is sent.
        """
        backend = self._executions.backend
        name, text = name_of(signal), sendable(signal, payload, terms_of(backend))
        check_fits(backend.store, text, f"the payload of signal {name!r}")
        if signal_id is None:
            step = running_step.get()
            own = None if step is None else step.signal_id(id, name)
        else:
            own = f"given {checked_signal_id(signal_id)}"
        if not send_signal(backend, id, name, text, own, self._executions.writer(by)):
            raise ExecutionConflict(f"execution {id!r} has ended and takes no signal {name!r}", execution_id=id)

    def complete_callback(self, token: str, result: object = None, *, by: str | None = None) -> None:
        """Answers a callback, once. The same result again is accepted quietly.

        ```python
        client.complete_callback(token, {"approved": True})
        ```

        Args:
            token: As the handler handed it out.
            result: Anything that is JSON. The handler's `result_type` reads it.
            by: Who, for the history. Default: DURABLE_FN_ACTOR, else nobody.

        Raises:
            CallbackError: The token is completed, expired or unknown.
        """
        text = to_plain_json(result)
        check_fits(self._executions.store, text, "the result of the callback")
        self._callbacks.settle(token, SUCCESS + text, by)

    def fail_callback(
        self, token: str, message: str, error_type: str = "CallbackFailed", *, by: str | None = None
    ) -> None:
        """Gives a callback up: CallbackFailed is raised where the handler waits.

        ```python
        client.fail_callback(token, "the bank refuses", error_type="Refused")
        ```

        Args:
            token: As the handler handed it out.
            message: What is said.
            error_type: What kind of failure it is. Default: "CallbackFailed".
            by: Who, for the history. Default: DURABLE_FN_ACTOR, else nobody.

        Raises:
            CallbackError: The token is completed, expired or unknown.
        """
        failure = failures.Failure(
            failures.readable(str(error_type), 200), failures.readable(str(message)), "", None, None
        )
        self._callbacks.settle(token, FAILURE + failures.encode(failure), by)

    def heartbeat_callback(self, token: str) -> None:
        """Says that the other side is still at it: `heartbeat_timeout` begins anew.

        ```python
        client.heartbeat_callback(token)
        ```
        """
        self._callbacks.beat(token)

    def callback_token(self, id: str, name: str) -> str:
        """The token of an open callback, to answer in the place of whom it was given to. Whoever may read the journal may
        do that.

        ```python
        client.complete_callback(client.callback_token("order-7", "approval"), True)
        ```

        Args:
            id: The execution.
            name: Of the callback's operation, or "name:key".

        Raises:
            LookupError: It names those that are open.
        """
        return views.callback_token(self._executions, id, name)

    def cancel(self, id: str, reason: str | None = None, *, by: str | None = None) -> None:
        """Asks it to end: its compensations run, then it is CANCELLED. One that has ended is left alone.

        ```python
        client.cancel("order-7", reason="the customer changed her mind", by="ann")
        ```

        Args:
            id: The execution.
            reason: For the handler (`ExecutionCancelled.reason`) and the history.
            by: Who, for the history. Default: DURABLE_FN_ACTOR, else nobody.
        """
        self._executions.head(id)
        own = self._executions.writer(by)
        request_cancel(self._executions.backend, id, failures.readable(reason or "") or None, own)

    def terminate(self, id: str, reason: str | None = None, *, by: str | None = None) -> None:
        """Ends it at once: no code of yours runs. One that has ended is left alone.

        ```python
        client.terminate("order-7", reason="duplicate")
        ```

        Args:
            id: The execution.
            reason: For the history.
            by: Who, for the history. Default: DURABLE_FN_ACTOR, else nobody.
        """
        endings.terminate(self._executions, id, reason, by)

    def redrive(
        self, id: str, *, from_step: str | None = None, reason: str | None = None, by: str | None = None
    ) -> str:
        """Lets a FAILED, TIMED_OUT, CANCELLED or TERMINATED execution go on. One that is held is tried again at once.

        ```python
        client.redrive("order-7", reason="the warehouse is back", by="ann")
        ```

        What made it fail is tried again, with fresh attempts; what came after it (compensations, say) is forgotten;
        what succeeded before it or beside it stays done. A saga whose compensations ran is done anew from its
        beginning; one with a compensation that failed first gets that one done. A called execution that failed is
        started anew. A step that failed keeps its idempotency key; one that had succeeded and is done again gets a new
        one. `history` keeps all of it.

        Args:
            id: The execution.
            from_step: This operation, and all that was recorded behind it, is forgotten and done again. An
                `at_most_once` step that ended as StepInterrupted runs again only if it is named here. Default: from
                where it ended.
            reason: For the history.
            by: Who, for the history. Default: DURABLE_FN_ACTOR, else nobody.

        Returns:
            The operation id at which it was cut; empty where nothing had to be forgotten.

        Raises:
            ExecutionConflict: It runs, or succeeded.
            ValueError: There is no such operation.
        """
        return reruns.redrive(self._executions, id, from_step, reason, by)

    def fork(
        self,
        id: str,
        *,
        from_step: str,
        new_id: str | None = None,
        reason: str | None = None,
        by: str | None = None,
    ) -> str:
        """A copy that has everything before an operation behind it, and goes on from there with the code of today.

        ```python
        client.fork("order-7", from_step="ship", new_id="order-7-again")
        ```

        What was drawn before (`uuid4`, `random`, `now`) is the same there; idempotency keys are its own. Unread
        signals, and outcomes that nobody has taken, go along. A call under way is started anew, an open callback is
        asked anew.

        Args:
            id: The execution that is copied.
            from_step: The operation that the copy begins with.
            new_id: The copy's id. Default: a new one.
            reason: For the history.
            by: Who, for the history. Default: DURABLE_FN_ACTOR, else nobody.

        Returns:
            The copy's id.

        Raises:
            ValueError: There is no such operation, or operations before it handed out the token of an open callback.
        """
        return reruns.fork(self._executions, id, from_step, new_id, reason, by)

    def purge(self, id: str, *, reason: str | None = None, by: str | None = None) -> None:
        """Removes an execution that has ended, with all it stored. A line in the log of this process tells who and why.

        ```python
        client.purge("order-7", reason="asked by the customer")
        ```

        Args:
            id: The execution.
            reason: For the log.
            by: Who, for the log. Default: DURABLE_FN_ACTOR, else nobody.

        Raises:
            ExecutionConflict: It runs.
        """
        endings.purge(self._executions, id, reason, by)
