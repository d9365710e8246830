"""Wake messages: a hint that an execution should be looked at. The table is the truth."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple

from ..errors import SerializationError
from .ids import checked_id

_VERSION: Final = 1


class Hint(NamedTuple):
    """A message that says: look at this execution, at `due` (epoch milliseconds) or later. It may be lost, late, early or
    doubled."""

    id: str
    run: str
    fn: str
    due: int

    def body(self) -> str:
        """As a message. It holds nothing secret: whoever can send one can only make the table be looked at."""
        data = {"durable_fn": _VERSION, **self._asdict()}
        return json.dumps(data, separators=(",", ":"), ensure_ascii=False)


def parse_hint(body: Any) -> Hint:
    """The hint in a message body. Raises SerializationError for anything else: it ends in the dead-letter queue, where
    somebody can look at it."""
    try:
        data = json.loads(body)
        version, id, run, fn, due = (data[key] for key in ("durable_fn", "id", "run", "fn", "due"))
        if version != _VERSION or isinstance(due, bool) or not isinstance(due, int):
            raise ValueError("unknown version" if version != _VERSION else "due is not a number")
        if not isinstance(run, str) or not isinstance(fn, str):
            raise ValueError("run and fn must be text")
        return Hint(checked_id(id), run, fn, due)
    except (TypeError, ValueError, KeyError, RecursionError) as error:
        raise SerializationError(
            f"not a wake message of durable_fn ({type(error).__name__}: {error}): {str(body)[:200]!r}. A message "
            'that begins with the key "durable_fn" is one of the SDK\'s own: name yours otherwise'
        ) from error
