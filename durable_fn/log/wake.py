"""Wake messages: a hint to look at an execution. The table is the truth."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from ..errors import SerializationError
from .formats import WAKE
from .ids import checked_id

_VERSION: Final = f"wake/{WAKE}"
_BEGINNING: Final = '{"durable_fn":"wake/'
"""Every wake message, of any version, begins exactly like this. JSON that somebody else writes does not: its key may be the
same, but its value is not."""
_FIRST_KIND: Final = '{"durable_fn":1,"id":'
_FIELDS: Final = ("durable_fn", "id", "run", "fn", "due")


class Wake(NamedTuple):
    """A message that says: look at this execution, at `due` (epoch milliseconds) or later. It may be lost, late, early or
    doubled."""

    id: str
    run: str
    fn: str
    due: int

    def body(self) -> str:
        """The message. It contains nothing secret: a forged one only makes an invocation look at the table."""
        data = {"durable_fn": _VERSION, **self._asdict()}
        return _json(data)


def is_wake_message(body: object) -> bool:
    """Whether the SDK wrote it, whatever is in it. All other messages are the user's."""
    return isinstance(body, str) and (body.startswith(_BEGINNING) or _is_of_the_first_kind(body))


def _is_of_the_first_kind(body: str) -> bool:
    """Older versions wrote a number there: such a message counts only if it has exactly the right fields, byte for byte."""
    if not body.startswith(_FIRST_KIND):
        return False
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return tuple(data) == _FIELDS and _json(data) == body


def _json(data: dict[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False)


def parse_wake(body: str) -> Wake | None:
    """The content of a wake message; None for one of another version, which this one ignores: the sweeper sends another one.
    Raises SerializationError for a malformed message, which ends in the dead-letter queue, where somebody can look at it."""
    try:
        data = json.loads(body)
        if data["durable_fn"] != _VERSION:
            return None  # of the first kind, too
        id, run, fn, due = (data[key] for key in ("id", "run", "fn", "due"))
        if isinstance(due, bool) or not isinstance(due, int):
            raise ValueError("due is not a number")
        if not isinstance(run, str) or not isinstance(fn, str):
            raise ValueError("run and fn must be text")
        if len(data) != len(_FIELDS):
            raise ValueError(f"it has {len(data) - len(_FIELDS)} fields too many")
        return Wake(checked_id(id), run, fn, due)
    except (TypeError, ValueError, KeyError, RecursionError) as error:
        raise SerializationError(
            f"not a wake message of durable_fn ({type(error).__name__}: {error}): {body[:200]!r}. A message that begins with "
            f"{_BEGINNING} is one of the SDK's own: write yours otherwise"
        ) from error
