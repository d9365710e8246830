"""What can be done to an execution as it stands: who does something to many passes over the others."""

from __future__ import annotations

from typing import Final, Literal

from ..types import ExecutionInfo

Verb = Literal["cancel", "terminate", "redrive", "purge"]
VERBS: Final[tuple[Verb, ...]] = ("cancel", "terminate", "redrive", "purge")
_ENDED: Final = frozenset({"SUCCEEDED", "FAILED", "CANCELLED", "TERMINATED", "TIMED_OUT"})


def doable(verb: Verb, info: ExecutionInfo, *, from_step: bool = False) -> bool:
    """`from_step`: a redrive that says from where, which what succeeded takes, too."""
    ended = info.status in _ENDED
    match verb:
        case "purge":
            return ended
        case "redrive":
            return info.held is not None or (ended and (from_step or info.status != "SUCCEEDED"))
        case _:
            return not ended
