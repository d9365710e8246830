"""`python -m benchmarks.workflows`: what typical workflows cost, counted on the wire. docs/guide/limits-and-costs.md shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from durable_fn import (
    AsyncDurableContext,
    CallbackTimeout,
    DurableContext,
    DurableFunction,
    RetryPolicy,
    Signal,
    SignalTimeout,
    durable,
    step,
)
from durable_fn.cli.bills import AWS_DURABLE_OPERATIONS, READ_UNITS, SCHEDULES, SQS, STATE_TRANSITIONS, WRITE_UNITS
from durable_fn.testing.cloud import LocalCloud

DAY: Final = 86_400
LAMBDA_REQUESTS: Final = 0.20
"""US dollars per million invocations; duration is your code's."""


def work(n: int) -> int:
    return n


@step(retry=RetryPolicy(max_attempts=1))
def fails() -> None:
    raise RuntimeError("no lorry")


@durable(name="order")
def order(event: bool, ctx: DurableContext) -> int:
    with ctx.saga() as saga:
        for n in (1, 2):
            saga.add_compensation(work, -ctx.step(work, n))
        if not event:
            ctx.step(fails)
        return ctx.step(work, 3)


@durable(name="approval")
def approval(event: None, ctx: DurableContext) -> int:
    ctx.step(work, 1)
    try:
        ctx.wait_for_callback(TOKENS.append, timeout=3 * DAY)
    except CallbackTimeout:
        return 0
    return ctx.step(work, 2)


@durable(name="trial")
def trial(event: None, ctx: DurableContext) -> int:
    ctx.step(work, 1)
    ctx.sleep(30 * DAY)
    return ctx.step(work, 2)


@durable(name="export")
def export(event: None, ctx: DurableContext) -> int:
    ctx.step(work, 1)
    return ctx.poll(lambda n: n + 1, initial=0, until=lambda n: n == 10, every=60)


def ask_model(turn: int) -> str:
    return "tokens " * 280  # 2 kB


@durable(name="agent")
def agent(event: None, ctx: DurableContext) -> int:
    for turn in range(20):
        ctx.step(ask_model, turn)
        ctx.step(work, turn)
    return 20


async def awork(n: int) -> int:
    return n


@durable(name="nightly")
async def nightly(event: int, ctx: AsyncDurableContext) -> int:
    async def one(c: AsyncDurableContext, n: int) -> int:
        return await c.step(awork, n)

    return len((await ctx.map(one, range(event))).results)


paid = Signal("paid")


@durable(name="subscription")
def subscription(event: None, ctx: DurableContext) -> int:
    for month in range(12):
        try:
            ctx.wait_for_signal(paid, timeout=35 * DAY)
        except SignalTimeout:
            return month
        ctx.step(work, month)
    return 12


FUNCTIONS: Final = (order, approval, trial, export, agent, nightly, subscription)
TOKENS: Final[list[str]] = []


def answered(cloud: LocalCloud, id: str) -> None:
    cloud.advance(2 * DAY)
    cloud.complete_callback(TOKENS[-1], "yes")


def a_year(cloud: LocalCloud, id: str) -> None:
    for _ in range(12):
        cloud.advance(30 * DAY)
        cloud.signal(id, paid)
        cloud.run_until_idle()


def nobody(cloud: LocalCloud, id: str) -> None:
    """Nothing comes from outside."""


@dataclass(frozen=True)
class Workflow:
    """`operations`: steps with their attempts, waits and maps (flat: branches are free), as AWS's durable functions charge for
    them besides the start. `transitions`: as Step Functions does. Each is counted in its favour."""

    title: str
    function: DurableFunction[Any, Any]
    event: Any
    operations: int
    transitions: int
    status: str = "SUCCEEDED"
    drive: Callable[[LocalCloud, str], None] = nobody


WORKFLOWS: Final = (
    Workflow("an order of 3 steps in a saga", order, True, 3, 3),
    Workflow("the same, failed: 2 steps undone", order, False, 5, 5, "FAILED"),
    Workflow("an approval: 2 steps, an answer after 2 days", approval, None, 4, 3, drive=answered),
    Workflow("a trial: 2 steps, 30 days between them", trial, None, 3, 3),
    Workflow("an export: a step, 10 checks a minute apart", export, None, 11, 20),
    Workflow("an agent: 40 steps, half with 2 kB", agent, None, 40, 40),
    Workflow("a subscription: a year of 12 signals, a step each", subscription, None, 24, 24, drive=a_year),
    Workflow("a map of 1,000 items whose steps end together", nightly, 1000, 1001, 1000),
)


@dataclass(frozen=True)
class Row:
    """`dollars`: per million executions."""

    title: str
    invocations: int
    writes: int
    units: float
    read_units: float
    messages: int
    schedules: int
    dollars: float
    dollars_aws: float
    dollars_step_functions: float


def measured(workflow: Workflow) -> Row:
    with LocalCloud(*FUNCTIONS) as cloud:
        cloud.invoke(order, True, request_id="first")  # the function's row in the registry is written once
        cloud.requests.clear()
        plain, count = cloud.invoke, [0]

        def counted(*args: Any, **kwargs: Any) -> Any:
            count[0] += 1
            return plain(*args, **kwargs)

        cloud.invoke = counted  # type: ignore[method-assign]
        id = str(cloud.invoke(workflow.function, workflow.event, request_id="x")["execution_id"])
        workflow.drive(cloud, id)
        header = cloud.run(id)
        assert header.status == workflow.status, header
        return _row(workflow, cloud, count[0])


def _row(workflow: Workflow, cloud: LocalCloud, invocations: int) -> Row:
    seen = cloud.requests
    writes = [request for request in seen if request.is_write]
    units = sum(request.units + request.index_units for request in writes)
    read = sum(request.units for request in seen if request.action in ("Query", "GetItem"))
    messages = sum(request.action == "SendMessage" for request in seen)
    schedules = sum(request.action == "CreateSchedule" for request in seen)
    waking = messages * 3 * SQS + schedules * (SCHEDULES + 2 * SQS) + invocations * LAMBDA_REQUESTS
    return Row(
        workflow.title,
        invocations,
        len(writes),
        units,
        read,
        messages,
        schedules,
        units * WRITE_UNITS + read * READ_UNITS + waking,
        (workflow.operations + 1) * AWS_DURABLE_OPERATIONS + invocations * LAMBDA_REQUESTS,
        workflow.transitions * STATE_TRANSITIONS,
    )


def table() -> str:
    """In Markdown: what a million cost, and what is counted for it."""
    rows = [measured(workflow) for workflow in WORKFLOWS]
    dollars = ["| dollars a million | durable_fn | AWS durable | Step Functions |", "|---|---:|---:|---:|"]
    counts = ["| counted | invoked | writes | write units | read units | messages | schedules |", f"|---{'|---:' * 6}|"]
    for row in rows:
        others = f"{row.dollars_aws:,.2f} | {row.dollars_step_functions:,.0f}"
        dollars.append(f"| {row.title} | **{row.dollars:,.2f}** | {others} |")
        requests = (row.invocations, row.writes, row.units, row.read_units, row.messages, row.schedules)
        counts.append(f"| {row.title} | {' | '.join(f'{count:g}' for count in requests)} |")
    return "\n".join([*dollars, "", *counts]) + "\n"


if __name__ == "__main__":
    print(table(), end="")
