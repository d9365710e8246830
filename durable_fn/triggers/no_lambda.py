"""A durable function called without Lambda, in a script or a test."""

from __future__ import annotations

from ..backends.ports import Clock
from ..log.ids import new_id

_MINUTE_MS = 60_000


class NoLambda:
    """Stands in for a Lambda context where there is none. The invocation has a minute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ends = clock.now() + _MINUTE_MS
        self.aws_request_id = new_id()
        self.function_name = "local"
        self.invoked_function_arn = "arn:aws:lambda:local:000000000000:function:local"
        self.log_stream_name = "local"

    def get_remaining_time_in_millis(self) -> int:
        return max(0, self._ends - self._clock.now())
