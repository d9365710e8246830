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
from ..values.adapters import to_plain_json
from . import documents, endings, lists, reruns, starts, views
from .callbacks import Callbacks
from .executions import Executions

E = TypeVar("E")
T = TypeVar("T")


class DurableClient:
    """Blocking and thread-safe; in asyncio use `asyncio.to_thread`. Not for use in a handler body (use `ctx`), but fine in
    a step. Every method with an id raises ExecutionNotFound."""

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
        """By DURABLE_FN_*. RuntimeError names the variable that is missing."""
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
        """The execution id. It runs soon, in the function's own Lambda; this only writes it down and sends a message.

        "attach": an id in use is returned as it is, in whatever status, if the payload is the same; another payload is
        ExecutionConflict. "reject": an id in use is always ExecutionConflict. So is an id of another durable function. Without
        `id`: by the function's own `execution_id` rule, also when it is given by name; a rule that cannot be applied from here (a
        function, or one that is not known because nothing has registered yet) is a ValueError that asks for `id`; no rule is a
        new id. A function is found through DURABLE_FN_QUEUES, or the
        registry row that it writes into the table when it runs for the first time; an unknown one is UnknownFunction, and
        nothing is written. Raises SerializationError, PayloadTooLarge, ValueError for an id or delay that is none.
        """
        return starts.start(self._executions.backend, name, payload, id, delay, if_exists)

    def start_many(
        self,
        name: DurableFunction[E, Any] | str,
        payloads: Iterable[E],
        *,
        ids: Iterable[str] | None = None,
    ) -> builtins.list[str]:
        """As many `start`s, written together where that is cheaper; the ids in order. One whose id is in use with another payload
        is ExecutionConflict after the others were started. ValueError where there are more ids than payloads, or fewer: then
        nothing is started, and neither is anything where one payload is refused.

            client.start_many(order, orders, ids=[order.number for order in orders])
        """
        return starts.start_many(self._executions.backend, name, payloads, ids)

    # -- watching --------------------------------------------------------------------------------------------------

    def describe(self, id: str) -> ExecutionInfo:
        """A snapshot. The custom status of a RUNNING execution, and of one that has just gone on as a new generation, is read
        from its log."""
        return views.snapshot(self._executions, id)

    @overload
    def result(self, id: str, *, wait: Duration | None = None, result_type: type[T]) -> T: ...
    @overload
    def result(self, id: str, *, wait: Duration | None = None, result_type: object = None) -> Any: ...
    def result(self, id: str, *, wait: Duration | None = None, result_type: object = None) -> Any:
        """The result, decoded by `result_type`, else as plain JSON values (types the SDK tagged come back).

        `wait=None` does not wait. Not finished (in time): CallTimeout. Ended otherwise: CallError, with `.status`.
        """
        wait_ms = 0 if wait is None else milliseconds(wait, "wait")
        return views.result(views.waited_for(self._executions, id, wait_ms), result_type)

    def wait(self, id: str, *, status: Collection[ExecutionStatus] | None = None, timeout: Duration) -> ExecutionInfo:
        """Until it has one of these statuses (default: one in which it has ended). CallTimeout when that takes longer, and
        at once where it has ended in another one. Looks again and again, a little later each time, every 2 seconds at most.

            client.wait("order-1", status=["SUSPENDED"], timeout=60)
        """
        return views.awaited(self._executions, id, status, milliseconds(timeout, "timeout"))

    def waits(self, id: str) -> builtins.list[Wait]:
        """What it waits for: on whom, since when and until when, what is over first to the front."""
        return views.open_waits(self._executions, id)

    def history(self, id: str, *, after: str | None = None) -> builtins.list[HistoryEvent]:
        """All journal entries, in journal order, between the start and the end of the execution (kind "execution"). What a
        redrive made it forget is among them (`forgotten`), and so are the redrives themselves, the fork that it is, the
        beginning of its generation, and cancellations that somebody asked for. `after`: only what came behind the last entry with
        this operation id; ValueError where there is none."""
        loaded = self._executions.loaded(id)
        return views.behind(whole_history(loaded.header, loaded.segments, loaded.inbox), after)

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
        """Newest first, fetched as you iterate. `limit=None`: all of them. `ExecutionFilter` says what the others mean. On
        DynamoDB the index `listing` is read, which may be a moment behind; a table without it is scanned. `page` gives a
        cursor."""
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
    def signal(self, id: str, signal: Signal[None], payload: None = None, *, signal_id: str | None = None) -> None: ...
    @overload
    def signal(self, id: str, signal: Signal[T], payload: T, *, signal_id: str | None = None) -> None: ...
    @overload
    def signal(self, id: str, signal: str, payload: object = None, *, signal_id: str | None = None) -> None: ...
    def signal(
        self, id: str, signal: Signal[Any] | str, payload: object = None, *, signal_id: str | None = None
    ) -> None:
        """Durable when it returns. A finished execution: ExecutionConflict. One whose journal has another format: FormatError.
        One of a function that nobody could wake: UnknownFunction, and nothing is written. A payload that does not fit a
        Signal: SerializationError, nothing is sent.

        A second delivery within 30 days with the same `signal_id` (one execution, one signal) is dropped quietly, also after
        the first was consumed, over continue_as_new, and when the execution has ended since, whatever its payload. Default: none,
        each call delivers; but inside a step body it is made of the step's idempotency key and of the operation (target, signal,
        and which such call of the body it is), so a body that is tried again delivers once. In a handler: `ctx.signal`.
        """
        backend = self._executions.backend
        name, text = name_of(signal), sendable(signal, payload, terms_of(backend))
        check_fits(backend.store, text, f"the payload of signal {name!r}")
        if signal_id is None:
            step = running_step.get()
            own = None if step is None else step.signal_id(id, name)
        else:
            own = f"given {checked_signal_id(signal_id)}"
        if not send_signal(backend, id, name, text, own, self._executions.writer()):
            raise ExecutionConflict(f"execution {id!r} has ended and takes no signal {name!r}", execution_id=id)

    def complete_callback(self, token: str, result: object = None) -> None:
        """Once. The same result again is accepted quietly; a completed, expired or unknown token is a CallbackError."""
        text = to_plain_json(result)
        check_fits(self._executions.store, text, "the result of the callback")
        self._callbacks.settle(token, SUCCESS + text)

    def fail_callback(self, token: str, message: str, error_type: str = "CallbackFailed") -> None:
        """The other side gives up: CallbackFailed is raised where the handler waits."""
        failure = failures.Failure(
            failures.readable(str(error_type), 200), failures.readable(str(message)), "", None, None
        )
        self._callbacks.settle(token, FAILURE + failures.encode(failure))

    def heartbeat_callback(self, token: str) -> None:
        """The other side is still at it: `heartbeat_timeout` begins anew."""
        self._callbacks.beat(token)

    def callback_token(self, id: str, name: str) -> str:
        """Of an open callback by the name of its operation, or by "name:key" where it has a key: for who has to answer in
        the place of whom it was given to. Whoever may read the journal may do that. LookupError names those that are open."""
        return views.callback_token(self._executions, id, name)

    def cancel(self, id: str, reason: str | None = None, *, by: str | None = None) -> None:
        """Asks. Compensations run, then CANCELLED. Finished: no effect. `by`, here and below: who, for the history; default
        DURABLE_FN_ACTOR, else nobody."""
        self._executions.head(id)
        own = self._executions.writer(by)
        request_cancel(self._executions.backend, id, failures.readable(reason or "") or None, own)

    def terminate(self, id: str, reason: str | None = None, *, by: str | None = None) -> None:
        """At once; no code of yours runs. Finished: no effect."""
        endings.terminate(self._executions, id, reason, by)

    def redrive(
        self, id: str, *, from_step: str | None = None, reason: str | None = None, by: str | None = None
    ) -> str:
        """A FAILED, TIMED_OUT, CANCELLED or TERMINATED execution goes on. Gives the operation id at which it was cut, which is
        empty where nothing had to be forgotten.

        From where it ended: what made it fail is tried again, with fresh attempts, and what came after it (compensations, say)
        is forgotten; what ran beside it, or before it, stays done. Was the error the handler's own, only its code runs again. A
        called execution that failed is started anew, unless it was redriven itself. Or with everything from that operation id
        on forgotten. A saga whose compensations ran is done anew from its beginning, also when `from_step` lies inside of it; one
        with a compensation that failed first gets that one done. A step that failed keeps its idempotency key, one that had
        succeeded and is done again gets a new one. An at_most_once step that ended as StepInterrupted is run again only if
        `from_step` names it; else it raises that again. `history` keeps all of it and shows the redrive: `by` whom (default:
        DURABLE_FN_ACTOR, else nobody) and for what `reason`.

        An execution that is held is tried again at once. A running or succeeded one: ExecutionConflict; an unknown operation id:
        ValueError.
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
        """A copy that has everything before that operation behind it and goes on from there, with the code of today. Its id.

        What was drawn before (`uuid4`, `random`, `now`) is the same there; idempotency keys of steps are its own. Unread signals,
        and outcomes that nobody has taken, go along. A saga that was undone is done anew from its beginning there.
        A call under way is started anew, an open callback is asked anew.
        ValueError for an unknown operation, and where other operations before it handed out the token of an open callback.
        """
        return reruns.fork(self._executions, id, from_step, new_id, reason, by)

    def purge(self, id: str, *, reason: str | None = None, by: str | None = None) -> None:
        """Removes a finished one with all it stored. Running: ExecutionConflict. Nothing of it is left that could tell who and
        why: a line in the log of this process (logger `durable_fn`) does."""
        endings.purge(self._executions, id, reason, by)
