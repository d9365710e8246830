"""What the dashboard shows: a backend, and how it may be dealt with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ..backends.ports import Backend
from ..client import DurableClient


def _unknown() -> list[str] | None:
    return None


@dataclass(frozen=True)
class World:
    """`label`: what the backend is called. `read_only`: nothing can be changed. `poll_s`: how often the page looks again.
    `served`: names of functions that run here, None where that is not known."""

    backend: Backend
    label: str
    read_only: bool
    poll_s: float = 1.0
    served: Callable[[], list[str] | None] = _unknown
    client: DurableClient = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "client", DurableClient(self.backend))

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.backend.clock.now() / 1000, UTC)
