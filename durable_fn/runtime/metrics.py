"""The SDK's own metrics: a line of CloudWatch's embedded metric format (EMF) on standard output, which Lambda puts into the
log.

    Started, Succeeded, Failed, TimedOut, Cancelled    executions, by the invocation that began or ended them
    Held        times that an execution could not go on, with a reason that `describe` shows
    Overdue     executions that the sweeper found due for more than a minute, or woke in vain before
    WakeLag     milliseconds from when an execution was due, or the sweeper sent its last message, until somebody took it

Namespace `durable_fn`, one dimension, `function`. Only inside of Lambda, and not with DURABLE_FN_METRICS=off. An invocation
that is killed writes none.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Final

from ..log.header import Header

VARIABLE: Final = "DURABLE_FN_METRICS"
NAMESPACE: Final = "durable_fn"
LATE_MS: Final = 60_000
"""An execution that has been due for this long is overdue: the sweeper's interval."""

_LAMBDA: Final = "AWS_LAMBDA_FUNCTION_NAME"
_ENDS: Final = {"SUCCEEDED": "Succeeded", "FAILED": "Failed", "TIMED_OUT": "TimedOut", "CANCELLED": "Cancelled"}
_LAG: Final = "WakeLag"


def wanted() -> bool:
    """Whether to write metrics. Raises RuntimeError for an unknown value of the variable."""
    given = os.environ.get(VARIABLE, "")
    if given not in ("", "off"):
        raise RuntimeError(f"{VARIABLE} must be 'off' or not set, got {given!r}")
    return not given and bool(os.environ.get(_LAMBDA))


class Run:
    """What one invocation did for one execution. It is made with the header as it was taken."""

    def __init__(self, header: Header, now: int) -> None:
        self._fn = header.fn
        self._now = now
        self._strikes = header.strikes
        self._found: dict[str, float] = {"Started": 1} if header.turns == 1 else {}
        since = header.hint if header.tries and header.hint is not None else header.due
        if since is not None and since <= now:  # `hint`: when the sweeper sent its message; it moves `due`
            self._found[_LAG] = now - since

    def tell(self, after: Header | None, writer: str) -> None:
        """`after`: the header of now, None if it could not be written. What another invocation did is not reported here."""
        if after is not None and after.own == writer:
            if after.finished is not None and after.status in _ENDS:
                self._found[_ENDS[after.status]] = 1
            elif after.held and after.strikes > self._strikes:
                self._found["Held"] = 1
        if self._found:
            _write(self._fn, self._found, self._now)


def overdue(counts: Mapping[str, int], now: int) -> None:
    """For the sweeper: how many overdue executions each function has."""
    for fn, count in counts.items():
        _write(fn, {"Overdue": count}, now)


def _write(fn: str, values: Mapping[str, float], now: int) -> None:
    metrics = [{"Name": name, "Unit": "Milliseconds" if name == _LAG else "Count"} for name in values]
    told = {"Namespace": NAMESPACE, "Dimensions": [["function"]], "Metrics": metrics}
    function = fn.encode("ascii", "backslashreplace").decode()  # CloudWatch takes no other
    line = {"_aws": {"Timestamp": now, "CloudWatchMetrics": [told]}, "function": function, **values}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
