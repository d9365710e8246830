"""Lambda's detection of recursive loops: it sees a loop in every timer, so durable functions switch it off, and calls have a
limit of their own."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest

from durable_fn import DurableContext, durable
from durable_fn.cli import starting_point
from durable_fn.testing.cloud import LocalCloud
from durable_fn.testing.moto_account import client as _client
from tests.template.cloudformation import TEMPLATE, load
from tests.template.stage import FUNCTIONS

SETTINGS: list[tuple[str, Any]] = [
    *(("template.yaml", load(TEMPLATE.read_text())["Resources"][name]) for name in FUNCTIONS),
    ("starter", load(starting_point.files()["template.yaml"])["Resources"]["Welcome"]),
    ("snippet", load(starting_point.files(snippet=True)[starting_point.SNIPPET])["Resources"]["Welcome"]),
]


@durable
def ticks(event: int, ctx: DurableContext) -> int:
    for _ in range(event):
        ctx.sleep(50)
    return event


def run(setting: Literal["Allow", "Terminate"], event: int) -> tuple[str, int]:
    """How it stands soon after it should have ended, and how many messages were refused. Before the sweeper, whose own messages
    begin a new chain, could help."""
    with LocalCloud(recursive_loop=setting) as cloud:
        cloud.attach(ticks)
        id = cloud.client.start(ticks, event)
        cloud.advance(50 * event + 1)
        return cloud.client.describe(id).status, len(cloud.dead_letters(ticks))


@pytest.mark.parametrize(("where", "function"), SETTINGS)
def test_every_durable_function_may_wake_itself_as_often_as_it_likes(where: str, function: dict[str, Any]) -> None:
    assert run(function["Properties"].get("RecursiveLoop", "Terminate"), 20) == ("SUCCEEDED", 0), where


def test_without_it_lambda_refuses_the_seventeenth_invocation_of_a_chain() -> None:
    """The first one is the start's own message."""
    assert run("Terminate", 15) == ("SUCCEEDED", 0)
    assert run("Terminate", 16) == ("SUSPENDED", 1)


def test_each_function_is_counted_by_itself_and_each_chain() -> None:
    @durable(name="asks")
    def asks(event: int, ctx: DurableContext) -> int:
        return sum(ctx.call(ticks, 1) for _ in range(event))

    with LocalCloud(recursive_loop="Terminate") as cloud:
        cloud.attach(ticks)
        cloud.attach(asks)
        ids = [cloud.client.start(asks, 5) for _ in range(4)]
        cloud.advance(310)
        assert {cloud.client.describe(id).status for id in ids} == {"SUCCEEDED"}
        assert cloud.dead_letters(asks) == cloud.dead_letters(ticks) == []


def test_a_chain_goes_through_a_message_of_the_functions_own() -> None:
    """Not only wake messages: what a handler sends itself counts too."""

    @durable(name="echo", execution_id="n")
    def echo(event: dict[str, int], ctx: DurableContext) -> None:
        def send() -> None:
            _client("sqs").send_message(
                QueueUrl=cloud.queue_url(echo), MessageBody=json.dumps({"n": str(int(event["n"]) + 1)})
            )

        ctx.step(send)

    with LocalCloud(recursive_loop="Terminate") as cloud:
        cloud.attach(echo)
        with cloud.wire.aside():
            _client("sqs").send_message(QueueUrl=cloud.queue_url(echo), MessageBody='{"n": "1"}')
        cloud.run_until_idle()
        assert [body for body in cloud.dead_letters(echo) if "durable_fn" not in body] == ['{"n": "17"}']
        assert sum(1 for _ in cloud.client.list()) == 16
