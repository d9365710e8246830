"""What an operation asks its driver to do. Operations are generators that yield these and do no I/O themselves."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from .current import StepInfo

if TYPE_CHECKING:
    from ..log.events import Event
    from ..log.inputs import Input
    from ..log.journal import Record
    from ..values.adapters import Adapter
    from .fan import Fan
    from .function import DurableFunction
    from .scope import Scope
    from .turn import Turn

T = TypeVar("T")


class Call:
    """Run user code. Sent back: its return value; thrown in: what it raised, or StepTimeout past `timeout` (seconds)."""

    __slots__ = ("args", "begun", "fn", "info", "is_async", "kwargs", "timeout")

    def __init__(
        self,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        info: StepInfo,
        timeout: float | None,
        is_async: bool,
        begun: bool = False,
    ) -> None:
        self.begun = begun  # a marker says so: it must not be put off any more
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self.info = info
        self.timeout = timeout
        self.is_async = is_async


class CheckTime:
    """Look, before anything of an attempt is written down, whether its body may run now."""

    __slots__ = ("timeout",)

    def __init__(self, timeout: float | None) -> None:
        self.timeout = timeout


class Commit:
    """Make what is pending durable before the operation goes on: a marker, a failed attempt."""

    __slots__ = ()


class Settle:
    """The operation's last entry: its outcome. Sent back: the entry, when the handler may see it. `durable`: it is written
    before that; else the next write includes it."""

    __slots__ = ("durable", "event")

    def __init__(self, event: Event, *, durable: bool = False) -> None:
        self.event = event
        self.durable = durable


class Park:
    """Wait until `due` (epoch milliseconds; None: no limit) or until the inbox has what `wake` names: in place if `due` is
    near, else by suspending the execution."""

    __slots__ = ("due", "wake")

    def __init__(self, due: int | None, wake: str | None = None) -> None:
        self.due = due
        self.wake = wake


class Decide:
    """A decision from absence, as a timeout is: like a durable `Settle`, but written only if the inbox has received nothing
    since `version`, which the operation looked at. Sent back: True, or False where something came, which the inbox in memory
    has then. The event is never pending, so no other commit can write it without the condition."""

    __slots__ = ("event", "version")

    def __init__(self, event: Event, version: object) -> None:
        self.event = event
        self.version = version


class Expire:
    """Write a timeout into the inbox, under the key that a completion would have. Sent back: nothing; the inbox in memory then
    has whichever of the two was first."""

    __slots__ = ("body", "key")

    def __init__(self, key: str, body: str) -> None:
        self.key = key
        self.body = body


class Launch:
    """Store another execution and send its first message. `by`: a hash of the operation that starts it. `key`: of the entry
    that its end puts into this execution's inbox; None: nobody waits. `attach`: start nothing, only wait for one that exists.
    `retention_ms` None: the function sets both limits, and this process does not know them. `ruled`: the function's id rule, if
    it has one, gives the id; `function`: the function, where this process has it. Sent back: the outcome of an execution that
    has already ended; NOT_THERE; else None. Where nobody waits: the id."""

    __slots__ = (
        "adapter", "attach", "by", "delay_ms", "fn", "function", "id", "input", "key", "retention_ms", "ruled", "timeout_ms",
    )  # fmt: skip

    def __init__(
        self,
        fn: str,
        id: str,
        input: Input,
        key: str | None,
        retention_ms: int | None,
        timeout_ms: int | None = None,
        delay_ms: int = 0,
        adapter: Adapter | None = None,
        attach: bool = False,
        by: str = "",
        ruled: bool = False,
        function: DurableFunction[Any, Any] | None = None,
    ) -> None:
        self.ruled = ruled
        self.function = function
        self.attach = attach
        self.by = by
        self.fn = fn
        self.id = id
        self.input = input
        self.key = key
        self.retention_ms = retention_ms
        self.timeout_ms = timeout_ms
        self.delay_ms = delay_ms
        self.adapter = adapter


class Post:
    """Signal another execution, once: `signal_id` is the same after a crash. Sent back: True, or False if that one has
    ended."""

    __slots__ = ("id", "name", "signal_id", "text")

    def __init__(self, id: str, name: str, text: str, signal_id: str) -> None:
        self.id = id
        self.name = name
        self.text = text
        self.signal_id = signal_id


class Tell:
    """Ask another execution to cancel itself."""

    __slots__ = ("id", "reason")

    def __init__(self, id: str, reason: str) -> None:
        self.id = id
        self.reason = reason


class Take:
    """Wait until this recorded result is the next one in the log's order."""

    __slots__ = ("record",)

    def __init__(self, record: Record) -> None:
        self.record = record


class Inside:
    """Run handler code in a scope of its own, in the same thread or task. Sent back or thrown in: as Call."""

    __slots__ = ("args", "fn", "kwargs", "scope")

    def __init__(self, scope: Scope, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.scope = scope
        self.fn = fn
        self.args = args
        self.kwargs = kwargs


class Fork:
    """Run the branches of a fan, until it is over and each of them has ended."""

    __slots__ = ("fan", "scope")

    def __init__(self, scope: Scope, fan: Fan) -> None:
        self.scope = scope
        self.fan = fan


NOT_THERE: Final = ""
"""There is no execution to attach to, or it has ended without a result."""

COMMIT: Final = Commit()


def until(turn: Turn, due: int) -> Operation[None]:
    """Parks until `due`. It parks once even when the time has passed, because another operation may be the one to go on first.
    A wait may end early: the next one then raises a cancellation."""
    yield Park(due)
    while turn.time() < due:
        yield Park(due)


Effect: TypeAlias = (
    Call | CheckTime | Commit | Settle | Park | Decide | Expire | Launch | Post | Tell | Take | Inside | Fork
)
Operation: TypeAlias = Generator[Effect, Any, T]
