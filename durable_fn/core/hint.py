"""Wake messages: a hint that an execution should be looked at. The table is the truth."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from ..errors import SerializationError
from .formats import WAKE
from .ids import checked_id

_FIELDS: Final = frozenset({"durable_fn", "id", "run", "fn", "due"})


class Hint(NamedTuple):
    """A message that says: look at this execution, at `due` (epoch milliseconds) or later. It may be lost, late, early or
    doubled."""

    id: str
    run: str
    fn: str
    due: int

    def body(self) -> str:
        """As a message. It holds nothing secret: whoever can send one can only make the table be looked at."""
        data = {"durable_fn": WAKE, **self._asdict()}
        return json.dumps(data, separators=(",", ":"), ensure_ascii=False)


def parse_hint(body: Any) -> Hint | None:
    """The hint in a message body; None for one of another version, which nobody needs: the sweeper sends again. Raises
    SerializationError for anything else: it ends in the dead-letter queue, where somebody can look at it."""
    try:
        data = json.loads(body)
        version, id, fn = (data[key] for key in ("durable_fn", "id", "fn"))
        if isinstance(version, bool) or not isinstance(version, int):
            raise ValueError("no version")
        if not isinstance(fn, str):
            raise ValueError("fn must be text")
        if version != WAKE:
            checked_id(id)
            return None
        if data.keys() != _FIELDS:
            raise ValueError(f"it must have exactly {', '.join(sorted(_FIELDS))}")
        run, due = data["run"], data["due"]
        if not isinstance(run, str) or isinstance(due, bool) or not isinstance(due, int):
            raise ValueError("run must be text, and due a number")
        return Hint(checked_id(id), run, fn, due)
    except (TypeError, ValueError, KeyError, RecursionError) as error:
        raise SerializationError(
            f"not a wake message of durable_fn ({type(error).__name__}: {error}): {str(body)[:200]!r}. A message "
            'that begins with the key "durable_fn" is one of the SDK\'s own: name yours otherwise'
        ) from error
