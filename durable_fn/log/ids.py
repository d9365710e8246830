"""Execution ids: what a user may choose, and what is made for them."""

from __future__ import annotations

import uuid

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


def new_id() -> str:
    return uuid.uuid4().hex
