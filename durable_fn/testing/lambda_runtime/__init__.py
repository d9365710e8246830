"""A Lambda function in AWS's own Python runtime, on this machine, without Docker: real processes, cold starts, environments that
are reused and frozen between invocations, and deadlines that kill.

    with LambdaFunction("orders.handler", timeout=3, variables={"DURABLE_FN_BACKEND": "sqlite:///journal.db"}) as function:
        answer = function.invoke({"order_id": "1001"})

It needs the package `awslambdaric` in the Python that runs the function (wheels for Linux), and a Unix. `EventSource` joins a
function to an SQS queue as Lambda does. Slower than `LocalRunner` and on real time: for what only a process of its own can show.
"""

from __future__ import annotations

from .answers import Answer
from .environment import Environment
from .event_source import EventSource
from .function import LambdaFunction

__all__ = ["Answer", "Environment", "EventSource", "LambdaFunction"]
