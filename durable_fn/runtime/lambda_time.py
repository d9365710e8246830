"""How long an invocation has left, within what is plausible."""

from __future__ import annotations

import math
from typing import Any, Final

MOST_MS: Final = 900_000
"""No Lambda function runs longer than 15 minutes. An emulator that says otherwise would give out leases for decades."""


def remaining_ms(context: Any) -> int:
    """Raises TypeError for an object that is no Lambda context."""
    ask = getattr(context, "get_remaining_time_in_millis", None)
    if not callable(ask):
        raise TypeError(
            "a durable function is called with the event and the Lambda context, which has get_remaining_time_in_millis(); got a "
            f"{type(context).__name__}. Without Lambda pass None, or use durable_fn.testing.LocalRunner"
        )
    left = ask()
    if isinstance(left, bool) or not isinstance(left, int | float) or not math.isfinite(left):
        raise TypeError(
            f"get_remaining_time_in_millis() of the Lambda context must give milliseconds, got {type(left).__name__} "
            f"{str(left)[:40]!r}. In a test without Lambda pass None as the context, or use durable_fn.testing.LocalRunner"
        )
    own = getattr(context, "longest_ms", MOST_MS)  # of a context of ours, whose clock may go faster
    return max(0, min(int(left), own if isinstance(own, int) else MOST_MS))
