"""What the witness in the environments wrote, and what the journal says about it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from durable_fn.types import HistoryEvent


class Attempt(NamedTuple):
    """A body that began. `at`: seconds since the epoch."""

    execution: str
    operation: str
    name: str
    at: float
    pid: int


def attempts(path: Path) -> list[Attempt]:
    if not path.exists():
        return []
    return [Attempt(*json.loads(line)) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def repeated(seen: Iterable[Attempt], history: Iterable[HistoryEvent]) -> list[str]:
    """Bodies of this execution that began after their step's result was there."""
    over = {e.id: e.at.timestamp() for e in history if e.kind == "step" and e.status == "SUCCEEDED"}
    return [f"{a.name} began again in process {a.pid}" for a in seen if a.at > over.get(a.operation, a.at) + 0.001]
