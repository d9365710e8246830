"""How the code of a `def` handler waits: the handler in place or by a suspension, a branch by unwinding."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from ...core.step_options import callable_name
from ...core.unwinding import Suspension
from ..session import Session

T = TypeVar("T")


class Parked(Suspension):
    """Unwinds a branch that waits; the rest of the handler goes on. `wakes`: inbox keys that end the wait; `told`: a
    cancellation does not end this wait: the execution that it waits for has been asked to cancel, or a shielded block has to
    end first."""

    def __init__(self, due: int | None, wakes: tuple[str, ...], *, told: bool = False) -> None:
        super().__init__("the branch waits", due)
        self.wakes = wakes
        self.told = told

    def forget(self) -> None:
        """Drops the frames that it unwound, which would take most of the memory of 10,000 waiting branches."""
        self.__traceback__ = self.__context__ = None


def ready(session: Session, due: int | None, wake: str | None) -> bool:
    if wake is not None and session.turn.inbox.waits_for(wake):
        return True
    return due is not None and due <= session.clock.now()


def wait_for(session: Session, due: int | None, wakes: tuple[str, ...]) -> None:
    """Waits in place, or by suspending the execution. Also returns when the execution's deadline has passed."""
    turn = session.turn
    while not any(ready(session, due, wake) for wake in wakes or (None,)):
        if turn.late and turn.cancel_scope.cancellation is None:
            turn.notice()
            return
        next_due = min((time for time in (due, turn.next_deadline) if time is not None), default=None)
        delay = None if next_due is None else next_due - session.clock.now()
        if delay is None or not session.fits_in_place(delay):
            raise suspend(session, "waits for a time" if delay is not None else "waits for the outside", next_due)
        session.clock.sleep(delay / 1000)


def suspend(session: Session, why: str, due: int | None) -> Suspension:
    return session.turn.close(Suspension(why, due))


def plain(value: T, what: str, fn: Callable[..., Any]) -> T:
    """The value that handler code returned. Raises TypeError for a coroutine, which nobody would run."""
    if inspect.iscoroutine(value):
        value.close()
        raise TypeError(
            f"{what} {callable_name(fn)!r} returned a coroutine, which a plain def handler cannot run: make the handler "
            f"`async def` (with AsyncDurableContext), or the {what} a plain function"
        )
    return value
