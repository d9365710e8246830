"""What an operation asks its driver to do. Operations are generators that yield these and do no I/O themselves."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, Final, TypeAlias, TypeVar

from .current import StepInfo

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
    """Wait until `due` (epoch milliseconds): in place if it is near, else by suspending the execution."""

    __slots__ = ("due",)

    def __init__(self, due: int) -> None:
        self.due = due


COMMIT: Final = Commit()

Effect: TypeAlias = Call | Commit | Park
Operation: TypeAlias = Generator[Effect, Any, T]
