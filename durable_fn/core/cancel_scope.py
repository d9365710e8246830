"""What is cancelled as one, and why."""

from __future__ import annotations

from typing import NamedTuple


class CancelScope:
    """What can be cancelled as one: the handler, or a branch of a fan. All scopes inside share it.

    `cancellation` is raised at its next live operation, once; then `raised` is set and durable calls work again, for clean-up.
    """

    __slots__ = ("cancellation", "closed", "inner", "leaving", "raised", "shields")

    def __init__(self) -> None:
        self.cancellation: Cancellation | None = None
        self.raised = False
        self.shields = 0  # shielded blocks and compensations that run: a cancellation waits for them
        self.inner: set[CancelScope] = set()  # branches of a fan that runs inside
        self.closed: BaseException | None = None  # what every further durable call raises until it is walked again
        self.leaving = False  # its code unwinds, to be walked again

    @property
    def cancel_pending(self) -> bool:
        return self.cancellation is not None and not self.raised and not self.shields

    @property
    def sheltered(self) -> bool:
        """Whether a shielded block runs in it, or in a branch inside."""
        return self.shields > 0 or any(inside.sheltered for inside in self.inner)

    def leave(self, closed: BaseException) -> BaseException:
        """`closed` is about to be raised in the scope's code and unwinds it."""
        if not isinstance(closed, Exception) and getattr(closed, "walked_again", True):
            self.leaving = True
        return closed

    def cancel(self, cancellation: Cancellation) -> None:
        """Cancels the branches inside as well, unless a shielded block runs here: then they belong to that block. The first
        reason stays."""
        if self.cancellation is None:
            self.cancellation = cancellation
        if self.shields:
            return
        for inside in tuple(self.inner):
            inside.cancel(
                Cancellation("cancelled", cancellation.reason) if cancellation.kind == "timed out" else cancellation
            )


class Cancellation(NamedTuple):
    """Why the handler or a branch has to end. `kind`: "cancelled", "timed out" or "lost"."""

    kind: str
    reason: str | None
