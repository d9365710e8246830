"""What an operation asks its driver to do. Operations are generators that yield these and do no I/O themselves."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from .current import StepInfo

if TYPE_CHECKING:
    from .fan import Fan
    from .journal import Record
    from .scope import Scope
    from .turn import Turn

T = TypeVar("T")


class Call:
    """Run user code. Sent back: its return value; thrown in: what it raised, or StepTimeout past `timeout` (seconds)."""

    __slots__ = ("args", "fn", "info", "is_async", "kwargs", "timeout")

    def __init__(
        self,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        info: StepInfo,
        timeout: float | None,
        is_async: bool,
    ) -> None:
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self.info = info
        self.timeout = timeout
        self.is_async = is_async


class Commit:
    """Make all that is pending durable before anything else happens."""

    __slots__ = ()


class Park:
    """Wait until `due` (epoch milliseconds; None: no end) or until what `wake` names is in the inbox: in place if it is
    near, else by suspending the execution."""

    __slots__ = ("due", "wake")

    def __init__(self, due: int | None, wake: str | None = None) -> None:
        self.due = due
        self.wake = wake


class Decide:
    """Commit, if nothing has come that is not in hand: what is pending was decided because something did not come. Sent
    back: True, or False after the inbox was read again (nothing was written then)."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Expire:
    """Write a timeout into the inbox, under the key that a completion would have. Sent back: nothing; whatever stands there
    is in hand then."""

    key: str
    body: str


@dataclass(frozen=True, slots=True)
class Launch:
    """Write down another execution and send its first message. `key`: of the entry that its end puts into this execution's
    inbox; None: nobody waits. Sent back: the outcome of an execution that has already ended and will put none, else None."""

    fn: str
    id: str
    input: str
    key: str | None
    retention_ms: int
    timeout_ms: int | None = None
    delay_ms: int = 0
    adapter: Any = None


@dataclass(frozen=True, slots=True)
class Tell:
    """Ask another execution to cancel itself."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Take:
    """Wait until it is the turn of this recorded result."""

    record: Record


@dataclass(frozen=True, slots=True)
class Inside:
    """Run handler code in a scope of its own, in the same thread or task. Sent back or thrown in: as Call."""

    scope: Scope
    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fork:
    """Run the branches of a fan, until it is over and each of them has ended."""

    scope: Scope
    fan: Fan


COMMIT: Final = Commit()
DECIDE: Final = Decide()


def until(turn: Turn, due: int) -> Operation[None]:
    """Parks until then. At least once, also when the time has passed: others may come first. A wait may end early, to raise a
    cancellation at the next one."""
    yield Park(due)
    while turn.time() < due:
        yield Park(due)


Effect: TypeAlias = Call | Commit | Park | Decide | Expire | Launch | Tell | Take | Inside | Fork
Operation: TypeAlias = Generator[Effect, Any, T]
