"""Messages and schedules: when which is sent, to which queue, and what happens when it cannot be."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto.scheduler.models import scheduler_backends

from durable_fn import DurableContext, durable
from durable_fn.backends.aws.wakeups import SqsWakeups, queue_arn, schedule_name
from durable_fn.core.hint import Hint
from durable_fn.testing.cloud import REGION, LocalCloud, _client

URL = f"https://sqs.{REGION}.amazonaws.com/123456789012/nap"


@durable
def nap(event: Any, ctx: DurableContext) -> str:
    ctx.sleep(event)
    return "up"


@pytest.fixture
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud() as cloud:
        cloud.attach(nap)
        yield cloud


def wakeups(cloud: LocalCloud, **changes: Any) -> SqsWakeups:
    options: dict[str, Any] = {"queue_url": cloud.queue_url(nap), "role_arn": "arn:aws:iam::123456789012:role/r"}
    return SqsWakeups(
        lambda: _client("sqs"),
        lambda: _client("scheduler"),
        cloud.store,
        sleep=cloud.clock.sleep,
        **(options | changes),
    )


def schedules() -> list[Any]:
    groups = scheduler_backends["123456789012"][REGION].schedule_groups.values()
    return [schedule for group in groups for schedule in group.schedules.values()]


def hint(cloud: LocalCloud, seconds: float, id: str = "x") -> Hint:
    return Hint(id, "r1", "nap", cloud.clock.now() + round(seconds * 1000))


@pytest.mark.parametrize(
    ("seconds", "delay"), [(-5, 0), (0, 0), (0.2, 1), (1, 1), (1.001, 2), (899.5, 900), (900, 900)]
)
def test_a_delay_is_rounded_up_to_seconds(cloud: LocalCloud, seconds: float, delay: int) -> None:
    """Never too early: an early message costs an invocation."""
    wakeups(cloud).send(hint(cloud, seconds), cloud.clock.now())
    message = cloud._moto_queue(cloud.queue_url(nap))._messages[0]
    assert message.delayed_until == (cloud.clock.now() + delay * 1000 if delay else 0)


def test_a_schedule_is_set_for_a_minute_before(cloud: LocalCloud) -> None:
    wakeups(cloud, group="durable-fn").send(hint(cloud, 3600.5), cloud.clock.now())
    (schedule,) = schedules()
    at = datetime.fromtimestamp((cloud.clock.now() + 3_540_500) // 1000, UTC)
    assert schedule.schedule_expression == f"at({at:%Y-%m-%dT%H:%M:%S})"
    assert schedule.schedule_expression_timezone == "UTC"
    assert schedule.action_after_completion == "DELETE"
    assert schedule.flexible_time_window == {"Mode": "OFF"}
    assert schedule.target["Arn"] == f"arn:aws:sqs:{REGION}:123456789012:nap"
    assert schedule.target["RoleArn"] == "arn:aws:iam::123456789012:role/r"
    assert json.loads(schedule.target["Input"]) == json.loads(hint(cloud, 3600.5).body())


def test_the_same_wait_makes_one_schedule(cloud: LocalCloud) -> None:
    for _ in range(2):
        wakeups(cloud, group="durable-fn").send(hint(cloud, 3600), cloud.clock.now())
    wakeups(cloud, group="durable-fn").send(hint(cloud, 7200), cloud.clock.now())
    assert len(schedules()) == 2


@given(st.text(max_size=600), st.text(max_size=40), st.integers(0, 2**48))
def test_any_id_has_a_schedule_name(id: str, run: str, due: int) -> None:
    try:
        name = schedule_name(Hint(id, run, "f", due))
    except UnicodeEncodeError:
        return
    assert len(name) <= 64
    assert name.replace("-", "").isalnum()
    assert name.isascii()
    assert name != schedule_name(Hint(id, run, "f", due + 1))


def test_without_a_role_a_long_wait_is_a_chain_of_messages() -> None:
    with LocalCloud(schedules=False) as cloud:
        cloud.attach(nap)
        id = cloud.client.start(nap, 3600)
        began = cloud.clock.now()
        assert cloud.run(id).status == "SUCCEEDED"
        assert cloud.clock.now() - began == 3_600_000
        sent = [r for r in cloud.requests if r.action == "SendMessage"]
        assert len(sent) == 1 + 4, "the start, then 15 + 15 + 15 + 15 minutes"
        assert sum(r.is_write for r in cloud.requests) == 6, "a message on its way costs no write"


def test_an_early_message_is_sent_on_with_the_rest(cloud: LocalCloud) -> None:
    """A schedule fires a minute early and puts the message in: the handler's queue delays the rest."""
    id = cloud.client.start(nap, 3600)
    began = cloud.clock.now()
    assert cloud.run(id).status == "SUCCEEDED"
    assert cloud.clock.now() - began == 3_600_000
    assert [r.action for r in cloud.requests if r.is_message] == ["SendMessage", "CreateSchedule", "SendMessage"]
    assert schedules() == [], "it deleted itself"


def test_a_schedule_that_is_lost_is_found_by_the_sweeper(cloud: LocalCloud) -> None:
    id = cloud.client.start(nap, 3600)
    cloud.run_until_idle()
    (schedule,) = schedules()
    with cloud.wire.aside():
        _client("scheduler").delete_schedule(Name=schedule.name, GroupName=schedule.group_name)
    header = cloud.run(id)
    assert header.status == "SUCCEEDED"
    assert header.finished is not None
    assert 3_600_000 <= header.finished - header.started <= 3_600_000 + 63_000


def test_all_messages_lost(cloud: LocalCloud) -> None:
    """A queue that loses everything: the sweeper alone brings it to its end."""
    id = cloud.client.start(nap, 300)
    for _ in range(3):
        cloud._moto_queue(cloud.queue_url(nap))._messages.clear()
        cloud.advance(61)
    cloud._moto_queue(cloud.queue_url(nap))._messages.clear()
    assert cloud.run(id).status == "SUCCEEDED"


def test_a_queue_that_cannot_be_reached_does_not_fail_the_execution(
    cloud: LocalCloud, caplog: pytest.LogCaptureFixture
) -> None:
    url = cloud.queue_url(nap).replace("nap", "gone")
    cloud._queues["nap"], right = url, cloud._queues["nap"]
    with caplog.at_level(logging.WARNING, "durable_fn"):
        answer = cloud.invoke(nap, 60, request_id="x")
    cloud._queues["nap"] = right
    assert answer["status"] == "SUSPENDED"
    assert "no wake-up could be sent for execution 'x'; the sweeper will" in caplog.text
    assert cloud.run("x").status == "SUCCEEDED"


# -- whose queue ---------------------------------------------------------------------------------------------------


def test_an_unknown_function_is_sent_to_the_queue_of_the_environment(cloud: LocalCloud) -> None:
    wakeups(cloud).send(Hint("x", "r", "never-ran", 0), cloud.clock.now())
    assert len(cloud._moto_queue(cloud.queue_url(nap))._messages) == 1


def test_without_any_queue_it_says_what_to_set(cloud: LocalCloud) -> None:
    with pytest.raises(RuntimeError, match=r"'never-ran'.*DURABLE_FN_QUEUE_URL"):
        wakeups(cloud, queue_url=None).send(Hint("x", "r", "never-ran", 0), cloud.clock.now())


def test_a_function_registers_its_queue_once_and_only_in_lambda(
    cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = wakeups(cloud)
    outside.serve("other")
    assert cloud.store.locate("other") is None
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "other-fn")
    inside = wakeups(cloud)
    cloud.requests.clear()
    inside.serve("other")
    assert cloud.store.locate("other") == cloud.queue_url(nap)
    asked = len(cloud.requests)
    inside.serve("other")
    assert len(cloud.requests) == asked


def test_a_registry_that_cannot_be_written_stops_nobody(
    cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "other-fn")

    def refused(*args: Any) -> None:
        raise RuntimeError("no right")

    monkeypatch.setattr(cloud.store, "register", refused)
    with caplog.at_level(logging.WARNING, "durable_fn"):
        wakeups(cloud).serve("other")
    assert "the queue of durable function 'other' could not be registered" in caplog.text


@pytest.mark.parametrize(
    ("url", "arn"),
    [
        ("https://sqs.eu-west-1.amazonaws.com/123456789012/q", "arn:aws:sqs:eu-west-1:123456789012:q"),
        ("https://sqs.us-gov-west-1.amazonaws.com/1/q", "arn:aws-us-gov:sqs:us-gov-west-1:1:q"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/1/q", "arn:aws-cn:sqs:cn-north-1:1:q"),
        ("https://eu-west-1.queue.amazonaws.com/1/q", "arn:aws:sqs:eu-west-1:1:q"),
        ("http://127.0.0.1:4566/000000000000/q", "arn:aws:sqs:ap-south-1:000000000000:q"),
    ],
)
def test_queue_arn(url: str, arn: str) -> None:
    assert queue_arn(url, "ap-south-1") == arn


@pytest.mark.parametrize("url", ["", "my-queue", "arn:aws:sqs:eu-west-1:123456789012:q", "https://example.com/q"])
def test_what_is_no_queue_url(url: str) -> None:
    with pytest.raises(RuntimeError, match="DURABLE_FN_QUEUE_URL must be a queue's URL"):
        queue_arn(url, "eu-west-1")
