"""What is cancelled as one, and why."""

from __future__ import annotations

from typing import NamedTuple


class Branch:
    """What can be cancelled as one: the handler, or a branch of a fan. All scopes inside share it.

    `doom` is raised at its next live operation, once; then `raised` is set and durable calls work again, for clean-up.
    """

    __slots__ = ("closed", "doom", "inner", "leaving", "raised", "shields")

    def __init__(self) -> None:
        self.doom: Doom | None = None
        self.raised = False
        self.shields = 0  # compensations that run: a cancellation waits for them
        self.inner: set[Branch] = set()  # branches of a fan that runs inside
        self.closed: BaseException | None = None  # what every further durable call raises until it is walked again
        self.leaving = False  # its code unwinds, to be walked again

    @property
    def doomed(self) -> bool:
        return self.doom is not None and not self.raised and not self.shields

    @property
    def sheltered(self) -> bool:
        """Whether a shielded block runs in it, or in a branch inside."""
        return self.shields > 0 or any(branch.sheltered for branch in self.inner)

    def leave(self, closed: BaseException) -> BaseException:
        """This is about to be raised in it, and ends its walk."""
        if not isinstance(closed, Exception) and getattr(closed, "walked_again", True):
            self.leaving = True
        return closed

    def condemn(self, doom: Doom) -> None:
        """Also the branches inside. The first reason stays."""
        if self.doom is None:
            self.doom = doom
        for branch in tuple(self.inner):
            branch.condemn(Doom("cancelled", doom.reason) if doom.kind == "timed out" else doom)


class Doom(NamedTuple):
    """Why a branch is to end. `kind`: "cancelled", "timed out" or "lost"."""

    kind: str
    reason: str | None
