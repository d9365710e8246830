"""Execution ids: which ones a user may choose, and rules that make them."""

from __future__ import annotations

import uuid
from typing import Final

_MAX_BYTES = 512


def checked_id(id: object, what: str = "the execution id") -> str:
    """The id. Raises ValueError for one that a table key, a log line or a console could not show as it is."""
    if not isinstance(id, str):
        raise ValueError(f"{what} must be a str, not {type(id).__name__}: {str(id)[:80]!r}")
    if not id or not id.isprintable() or id != id.strip():
        raise ValueError(
            f"{what} must be 1 to {_MAX_BYTES} bytes of printable characters, without blanks at its ends, got {id[:80]!r}"
        )
    if len(id.encode()) > _MAX_BYTES:
        raise ValueError(
            f"{what} is {len(id.encode()):,} bytes, at most {_MAX_BYTES} are allowed; hash it: {id[:40]!r}..."
        )
    return id


def checked_signal_id(id: object) -> str:
    """The id of one signal, as its sender gives it. Raises TypeError or ValueError."""
    if not isinstance(id, str):
        raise TypeError(f"signal_id must be a str, not {type(id).__name__}: {str(id)[:80]!r}")
    if not id or not id.isprintable() or len(id.encode()) > _MAX_BYTES:
        raise ValueError(f"signal_id must be 1 to {_MAX_BYTES} bytes of printable characters, got {id[:80]!r}")
    return id


NO_RULE: Final = ""
BY_CODE: Final = "code"
_BY_PATH: Final = "path "
"""How executions of a function get their ids, as the registry stores it for callers that know the function by name only: no
rule, code that only the function has, or a path into the payload."""


def rule_text(rule: object) -> str:
    return NO_RULE if rule is None else f"{_BY_PATH}{rule}" if isinstance(rule, str) else BY_CODE


def path_of(rule: str) -> str | None:
    """None for a rule that is no path."""
    return rule.removeprefix(_BY_PATH) if rule.startswith(_BY_PATH) else None


def new_id() -> str:
    return uuid.uuid4().hex
