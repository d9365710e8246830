"""What a turn needs to know of the front that drives its handler, and of an operation that the handler called."""

from __future__ import annotations

from typing import Protocol

from ..errors import NonDeterminismError
from ..log.journal import Record
from .walks import Place


class Front(Protocol):
    """What drives the tasks of an async handler (`runtime/aio/pump.py`). A `def` handler has none."""

    def unshielded(self) -> None:
        """A shielded block is over."""

    def replays(self) -> bool:
        """Whether the handler has not come to the end of what is recorded."""

    def commits_before_a_body(self) -> None:
        """No body and no request begins before what is pending now is durable."""

    def looked_at_time(self) -> None:
        """What the handler does next may depend on the time."""

    def leftover(self) -> NonDeterminismError | None:
        """The error of a handler that ended without asking for everything that is recorded."""


class Called(Protocol):
    """An operation: see `core/scope.py`."""

    id: str
    kind: str
    position: int
    asked: str
    begun: bool
    number: int
    record: Record | None

    @property
    def scope(self) -> Place:
        """The scope that called it."""
