"""What a server on this machine is to serve, and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Plan:
    """`url`: of the journal. `timeout`: the Lambda timeout in seconds; `timeouts`: of single functions. `size`: processes at
    most."""

    targets: Sequence[str]
    url: str
    size: int = 4
    timeout: float = 60.0
    timeouts: dict[str, float] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    reload: bool = False

    def timeout_of(self, fn: str) -> float:
        return self.timeouts.get(fn, self.timeout)
