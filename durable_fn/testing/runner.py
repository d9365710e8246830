"""LocalRunner: SQLite in memory and a virtual clock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, Generic, NoReturn, Protocol, TypeVar, overload

from ..backends.clocks import VirtualClock
from ..backends.packed import PackedStore
from ..backends.ports import Backend, JournalStore, every
from ..backends.sqlite import PollingWakeups, SQLiteBlobs, SQLiteStore
from ..client import DurableClient
from ..core.function import DurableFunction
from ..core.signal import Signal
from ..errors import CallError, DurableError, FormatError, NonDeterminismError, SerializationError
from ..log.durations import aware, milliseconds, moment
from ..log.header import Header
from ..log.ids import rule_text
from ..runtime.invocation import Invocation
from ..runtime.session import Outage
from ..runtime.signalling import not_found
from ..types import Duration, ErrorInfo, ExecutionStatus, HistoryEvent
from ..values.parts import class_name
from ..wiring import extensions, using
from .handlers import by_name, decorated
from .lambda_context import FakeLambdaContext
from .waits import Patience, busy, jumps_to, open_callbacks, patience_ends, waits_outside

E = TypeVar("E")
R = TypeVar("R")
T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)

EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)
_MOST_TURNS: Final = 20_000


class _Closed:
    """In the place of a journal that is gone."""

    def close(self) -> None:
        """It is."""

    def __getattr__(self, name: str) -> NoReturn:
        raise RuntimeError(
            "this LocalRunner is closed, and its journal is gone: look at executions inside of its `with` block"
        )


class Runner(Protocol):
    """Where an execution is looked at: a LocalRunner, or a LocalCloud."""

    _functions: dict[str, DurableFunction[Any, Any]]
    _raised: dict[str, BaseException]

    @property
    def client(self) -> DurableClient: ...

    @property
    def _journal(self) -> JournalStore: ...

    def _header(self, id: str) -> Header: ...


class Execution(Generic[R_co]):
    """A live view: it shows where the execution stands now, in a LocalRunner or a LocalCloud."""

    def __init__(self, runner: Runner, function: DurableFunction[Any, R_co], id: str) -> None:
        self._runner = runner
        self._function = function
        self._id = id

    @property
    def id(self) -> str:
        return self._id

    @property
    def status(self) -> ExecutionStatus:
        return self._runner.client.describe(self._id).status

    @property
    def result(self) -> R_co:
        """Decoded; raises the execution's error, or CallTimeout if it is not finished."""
        if self.status == "SUCCEEDED":
            header = self._runner._header(self._id)
            function = self._runner._functions.get(self._function.name, self._function)
            decoded: R_co = function.result_adapter.decode(header.result or "null", f"the result of {function.name!r}")
            return decoded
        error = self.error
        if error is not None:
            raise error
        self._runner.client.result(self._id)
        raise AssertionError("unreachable: an execution without error has a result or times out")

    @property
    def error(self) -> BaseException | None:
        """What the handler raised, if the execution failed in this runner; why it cannot go on, if it is held up."""
        info = self._runner.client.describe(self._id)
        if info.error is None:
            return None
        raised = self._runner._raised.get(self._id)
        if raised is not None:
            return raised
        if info.status == "SUSPENDED":
            return _held(self._id, info.error)
        text = f"execution {self._id!r} ended {info.status}: {info.error['error_type']}: {info.error['message']}"
        return CallError(
            text,
            execution_id=self._id,
            status=info.status,
            error_type=info.error["error_type"],
            message=info.error["message"],
            data=info.error.get("data"),
            causes=info.error.get("causes"),
        )

    @property
    def custom_status(self) -> Any:
        return self._runner.client.describe(self._id).custom_status

    @property
    def history(self) -> list[HistoryEvent]:
        return self._runner.client.history(self._id)

    @property
    def invocations(self) -> int:
        return self._runner.client.describe(self._id).invocations

    def callback_token(self, name: str) -> str:
        """Of the newest open callback with that name, or of the one with that "name:key"; LookupError names the open ones."""
        header = self._runner._header(self._id)
        loaded = self._runner._journal.load(header.key)
        if loaded is None:
            raise not_found(self._id)
        open_ = open_callbacks(loaded)
        if name not in open_:
            names = ", ".join(map(repr, open_)) or "none"
            raise LookupError(f"execution {self._id!r} has no open callback {name!r}; open: {names}")
        return open_[name]

    def __repr__(self) -> str:
        return f"<execution {self._id!r} of {self._function.name!r}: {self.status}>"


def _held(id: str, error: ErrorInfo) -> DurableError:
    data = error.get("data") or {}
    if error["error_type"] == class_name(NonDeterminismError):
        return NonDeterminismError(error["message"], **data)
    if error["error_type"] == class_name(FormatError):
        return FormatError(error["message"], execution_id=id, **data)
    if error["error_type"] == class_name(SerializationError):
        return SerializationError(error["message"])
    return DurableError(f"{error['error_type']}: {error['message']}")


class LocalRunner(Generic[E, R]):
    """Runs handlers in a test: a journal in memory, and a virtual clock.

    ```python
    with LocalRunner(order) as runner:
        execution = runner.run(Order(id="o-1"))
        runner.complete_callback(execution.callback_token("approval"), True)
        runner.advance(86_400)
        assert execution.result == "shipped"
    ```

    `run` is `start` and `run_on`: the clock jumps over sleeps and retry delays, and it stops when the execution is
    finished, held up by a mismatch, or waits for something from outside. Hooks and codec are those that `configure` was
    given before.

    Args:
        handler: The one that `run` and `start` start.
        *others: Durable functions that it calls.
        now: An aware datetime at which the clock begins. Default: 2026-01-01.
        always_suspend: Every operation gets an invocation of its own, so that all of them are replayed. Default: False.
    """

    def __init__(
        self,
        handler: DurableFunction[E, R],
        /,
        *others: DurableFunction[Any, Any],
        now: datetime | None = None,
        always_suspend: bool = False,
    ) -> None:
        self._always_suspend = always_suspend
        self._in_order = False
        self._lambda_timeout = 900.0
        self._handler = handler
        self._functions = by_name("LocalRunner", handler, *others)
        self._clock = VirtualClock(moment(EPOCH if now is None else now, "now"))
        self._store = SQLiteStore(":memory:", synchronous="off")
        hooks, codec = extensions()
        self._journal = PackedStore(self._store, codec, SQLiteBlobs(self._store))
        self._backend = Backend(self._journal, PollingWakeups(self._store), self._clock, "sqlite", hooks)
        for function in self._functions.values():
            self._backend.wakeups.serve(function.name, rule_text(function.execution_id))
        self._client = DurableClient(self._backend)
        self._raised: dict[str, BaseException] = {}

    def __enter__(self) -> LocalRunner[E, R]:
        return self

    def __exit__(self, *exc: object) -> None:
        self._store.close()
        self._store.database = _Closed()  # type: ignore[assignment]

    @property
    def client(self) -> DurableClient:
        return self._client

    @property
    def backend(self) -> Backend:
        """For `DurableClient` and for looking into the journal."""
        return self._backend

    def now(self) -> datetime:
        """Virtual time."""
        return aware(self._clock.now())

    def run(self, event: E, id: str | None = None) -> Execution[R]:
        """Starts an execution and runs it to its end, or to where it waits for something from outside."""
        execution = self.start(event, id)
        self.run_on(execution)
        return execution

    def run_on(self, execution: Execution[Any]) -> None:
        """Runs a started execution to its end, or to where it waits for something from outside."""
        self.run_until_idle()
        patience = Patience(execution.id)
        while True:
            header = self._header(execution.id)
            moment = self._next_moment()
            if not header.live or header.held or moment is None or self._leaps_over(header, moment):
                return
            patience.spend(self._journal, header, self._clock.now())
            self._clock.advance_to(moment)
            self.run_until_idle()

    def _leaps_over(self, header: Header, moment: int) -> bool:
        """Whether another execution goes on only after this one's wait for somebody outside would be over."""
        if header.foreign or header.status != "SUSPENDED" or header.due is None or header.due > moment:
            return False
        loaded = self._journal.load(header.key)
        end = None if loaded is None or not waits_outside(loaded) else patience_ends(loaded)
        return end is not None and end <= moment

    def _next_moment(self) -> int | None:
        """When the next execution goes on by itself."""
        live = (header for header in every(self._store) if header.live)
        times = [time for header in live if (time := jumps_to(self._journal, header)) is not None]
        return min(times, default=None)

    def start(self, event: E, id: str | None = None) -> Execution[R]:
        """Starts an execution; nothing runs yet."""
        return Execution(self, self._handler, self._client.start(self._handler, event, id=id))

    def invoke(self, event: object) -> Any:
        """The Lambda entry with a raw Lambda event: its raw response."""
        with using(self._backend):
            return self._handler(event, self._context(self._handler))

    def advance(self, duration: Duration) -> None:
        """Fires, in order, all that becomes due, and runs until idle after each. Finished executions whose retention is over
        are gone after it."""
        until = self._clock.now() + milliseconds(duration, "the duration to advance")
        self.run_until_idle()
        while (due := self._store.next_due(self._clock.now())) is not None and due <= until:
            self._clock.advance_to(due)
            self.run_until_idle()
        self._clock.advance_to(until)
        self._store.remove_expired(until)

    def deploy(self, handler: DurableFunction[Any, Any], /) -> None:
        """New code for the handler of that name; a new name is added. Executions under way go on with it at their next
        invocation, and one whose log it does not fit is held then: `execution.error` says why.

            runner.start(event, id="o-1")
            runner.run_until_idle()
            runner.deploy(version_2)
            runner.advance(3600)
        """
        decorated("deploy", handler)
        self._functions[handler.name] = handler
        if handler.name == self._handler.name:
            self._handler = handler
        self._backend.wakeups.serve(handler.name)

    def run_until_idle(self) -> None:
        """All that is due at the present time; the clock stands."""
        for _ in range(_MOST_TURNS):
            rows = self._store.due(0, self._clock.now(), 100)
            if not rows:
                return
            for row in rows:
                self._wake(row.id)
        raise busy(self._header(rows[0].id), _MOST_TURNS)

    # -- from outside ----------------------------------------------------------------------------------------------

    @overload
    def signal(self, id: str, signal: Signal[None], payload: None = None, *, signal_id: str | None = None) -> None: ...
    @overload
    def signal(self, id: str, signal: Signal[T], payload: T, *, signal_id: str | None = None) -> None: ...
    @overload
    def signal(self, id: str, signal: str, payload: object = None, *, signal_id: str | None = None) -> None: ...
    def signal(self, id: str, signal: Any, payload: Any = None, *, signal_id: str | None = None) -> None:
        """As `DurableClient.signal`. Nothing runs before `run_until_idle` or `advance`."""
        self._client.signal(id, signal, payload, signal_id=signal_id)

    def complete_callback(self, token: str, result: object = None) -> None:
        self._client.complete_callback(token, result)

    def fail_callback(self, token: str, message: str, error_type: str = "CallbackFailed") -> None:
        self._client.fail_callback(token, message, error_type)

    def heartbeat_callback(self, token: str) -> None:
        self._client.heartbeat_callback(token)

    def cancel(self, id: str, reason: str | None = None) -> None:
        self._client.cancel(id, reason)

    def _wake(self, id: str) -> None:
        fn = self._header(id).fn
        function = self._functions.get(fn)
        if function is None:
            raise LookupError(f"execution {id!r} needs the handler {fn!r}; pass it to LocalRunner after the first one")
        invocation = Invocation(function, self._backend, self._context(function))
        invocation.always_suspend, invocation.in_order = self._always_suspend, self._in_order
        with using(self._backend):
            try:
                invocation.resume(id)
            except Outage as outage:
                raise (outage.__cause__ or RuntimeError(str(outage))) from None
        if invocation.raised is not None:
            self._raised[id] = invocation.raised

    def _context(self, function: DurableFunction[Any, Any]) -> FakeLambdaContext:
        return FakeLambdaContext(self._clock, timeout=self._lambda_timeout, function_name=function.name)

    def _header(self, id: str) -> Header:
        header = self._journal.get(id)
        if header is None:
            raise not_found(id)
        return header
