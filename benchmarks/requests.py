"""AWS requests and consumed capacity per scenario, counted on the wire, and what they cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from durable_fn import DurableFunction
from durable_fn.cli.bills import AWS_DURABLE_OPERATIONS, READ_UNITS, SCHEDULES, SQS, WRITE_UNITS
from durable_fn.testing.cloud import LocalCloud

from .handlers import retried, sleepy, straight, wide


@dataclass(frozen=True)
class Cost:
    """One scenario. `operations`: what AWS's durable functions would charge for, the start included."""

    scenario: str
    operations: int
    writes: int
    write_units: float
    index_units: float
    queries: int
    read_units: float
    messages: int
    schedules: int

    @property
    def dollars(self) -> float:
        """Per million executions."""
        tables = (self.write_units + self.index_units) * WRITE_UNITS + self.read_units * READ_UNITS
        return tables + self.messages * 3 * SQS + self.schedules * (SCHEDULES + 2 * SQS)

    @property
    def dollars_aws(self) -> float:
        """Per million executions, by AWS's durable functions."""
        return self.operations * AWS_DURABLE_OPERATIONS


def measure() -> list[Cost]:
    return [
        _cost("10 steps, by the Lambda event", 11, _direct(straight, 10)),
        _cost("10 steps, by the client", 11, _client(straight, 10)),
        _cost("10 steps, 5 minutes' sleep between", 12, _direct(sleepy, 300)),
        _cost("10 steps, 2 hours' sleep between", 12, _direct(sleepy, 7200)),
        _cost("10 steps, one retried after 30 s", 12, _direct(retried, 0)),
        _cost("a map of 1,000 items, a step each", 2002, _direct(wide, 1000)),
    ]


def _direct(function: DurableFunction[Any, Any], event: Any) -> Callable[[LocalCloud], str]:
    return lambda cloud: str(cloud.invoke(function, event)["execution_id"])


def _client(function: DurableFunction[Any, Any], event: Any) -> Callable[[LocalCloud], str]:
    return lambda cloud: cloud.client.start(function, event)


def _cost(scenario: str, operations: int, start: Callable[[LocalCloud], str]) -> Cost:
    with LocalCloud() as cloud:
        for function in (straight, sleepy, retried, wide):
            cloud.attach(function)
        cloud.client.start(straight, 0)  # a process that runs already knows the queues
        cloud.run_until_idle()
        cloud.requests.clear()
        id = start(cloud)
        header = cloud.run(id)
        assert header.status == "SUCCEEDED", header
        seen = cloud.requests
        writes = [r for r in seen if r.is_write]
        reads = [r for r in seen if r.action in ("Query", "GetItem")]
        return Cost(
            scenario,
            operations,
            len(writes),
            sum(r.units for r in writes),
            sum(r.index_units for r in writes),
            len(reads),
            sum(r.units for r in reads),
            sum(r.action == "SendMessage" for r in seen),
            sum(r.action == "CreateSchedule" for r in seen),
        )
