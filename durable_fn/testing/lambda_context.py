"""A Lambda context on a clock of ours."""

from __future__ import annotations

import uuid

from ..backends.ports import Clock


class FakeLambdaContext:
    """Answers what the real one answers. `timeout` is the function's, in seconds, from the moment of creation."""

    memory_limit_in_mb = 128
    function_version = "$LATEST"

    def __init__(self, clock: Clock, *, timeout: float = 900.0, function_name: str = "local") -> None:
        self._clock = clock
        self.longest_ms = round(timeout * 1000)
        self._ends = clock.now() + self.longest_ms
        self.aws_request_id = str(uuid.uuid4())
        self.function_name = function_name
        self.invoked_function_arn = f"arn:aws:lambda:us-east-1:000000000000:function:{function_name}"
        self.log_group_name = f"/aws/lambda/{function_name}"
        self.log_stream_name = "local"

    def get_remaining_time_in_millis(self) -> int:
        return max(0, self._ends - self._clock.now())
