"""What a doctor finds: of which part, in which state, and how to mend it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple

OK: Final = "ok"
WARN: Final = "warn"
FAIL: Final = "fail"
State = Literal["ok", "warn", "fail"]


class Finding(NamedTuple):
    part: str
    state: State
    told: str
    fix: str = ""


def asked(question: Callable[[], Any]) -> Any:
    """The answer, or why there is none: one part that fails must not hide the others."""
    try:
        return question()
    except Exception as error:
        return error
