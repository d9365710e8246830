"""Messages and schedules: when which is sent, to which queue, and what happens when it cannot be."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from moto.scheduler.models import scheduler_backends

from durable_fn import DurableContext, durable
from durable_fn.backends.aws import connect
from durable_fn.backends.aws.queues import check_queue_url, queue_arn, told_queues
from durable_fn.backends.aws.wakeups import SqsWakeups, schedule_name
from durable_fn.errors import UnknownFunction
from durable_fn.log.wake import Wake
from durable_fn.testing.cloud import LocalCloud
from durable_fn.testing.moto_account import REGION
from durable_fn.testing.moto_account import client as _client

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
    made = SqsWakeups(
        lambda: _client("sqs"),
        lambda: _client("scheduler"),
        cloud.store,
        sleep=cloud.clock.sleep,
        monotonic=cloud.clock.monotonic,
        **(options | changes),
    )
    if made._queue_url is not None:
        made.serve("nap")
    return made


def schedules() -> list[Any]:
    groups = scheduler_backends["123456789012"][REGION].schedule_groups.values()
    return [schedule for group in groups for schedule in group.schedules.values()]


def hint(cloud: LocalCloud, seconds: float, id: str = "x") -> Wake:
    return Wake(id, "r1", "nap", cloud.clock.now() + round(seconds * 1000))


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
        name = schedule_name(Wake(id, run, "f", due), "arn:aws:sqs:r:1:q")
    except UnicodeEncodeError:
        return
    assert len(name) <= 64
    assert name.replace("-", "").isalnum()
    assert name.isascii()
    assert name != schedule_name(Wake(id, run, "f", due + 1), "arn:aws:sqs:r:1:q")
    assert name != schedule_name(Wake(id, run, "f", due), "arn:aws:sqs:r:1:another"), "the queue was replaced"


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


def test_a_queue_is_told_by_the_variables_before_the_registry(cloud: LocalCloud) -> None:
    with cloud.wire.aside():
        cloud.store.register("other", f"{URL}-registered")
    told = wakeups(cloud, queues={"other": cloud.queue_url(nap)})
    told.send(Wake("x", "r", "other", 0), cloud.clock.now())
    assert len(cloud._moto_queue(cloud.queue_url(nap))._messages) == 1
    assert [r.action for r in cloud.requests] == ["SendMessage"], "and costs no read"


@pytest.mark.parametrize("queue", [None, "own"])
def test_an_unknown_function_is_refused_by_name(cloud: LocalCloud, queue: str | None) -> None:
    """Also by a process that has a queue of its own: it is nobody else's."""
    with cloud.wire.aside():
        cloud.store.register("registered", URL)
    url = None if queue is None else cloud.queue_url(nap)
    told = wakeups(cloud, queue_url=url, queues={"told": URL})
    known = ("nap", "registered", "told") if queue else ("registered", "told")
    for ask in (
        lambda: told.send(Wake("x", "r", "tpyo", 0), cloud.clock.now()),
        lambda: told.check("tpyo", given=True),
    ):
        with pytest.raises(UnknownFunction, match=r"'tpyo' is known.*DURABLE_FN_QUEUES") as caught:
            ask()
        assert (caught.value.name, caught.value.known) == ("tpyo", known)
    ((_, why),) = told.send_all([Wake("x", "r", "tpyo", 0)])
    assert isinstance(why, UnknownFunction)


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
        ("https://sqs.us-iso-east-1.c2s.ic.gov/1/q", "arn:aws-iso:sqs:us-iso-east-1:1:q"),
        ("https://sqs.us-isob-east-1.sc2s.sgov.gov/1/q", "arn:aws-iso-b:sqs:us-isob-east-1:1:q"),
        ("https://sqs.eu-isoe-west-1.cloud.adc-e.uk/1/q", "arn:aws-iso-e:sqs:eu-isoe-west-1:1:q"),
        ("https://sqs.us-isof-south-1.csp.hci.ic.gov/1/q", "arn:aws-iso-f:sqs:us-isof-south-1:1:q"),
        ("https://sqs.eusc-de-east-1.amazonaws.eu/1/q", "arn:aws-eusc:sqs:eusc-de-east-1:1:q"),
        ("https://vpce-1a-2b.sqs.eu-west-1.vpce.amazonaws.com/1/q", "arn:aws:sqs:eu-west-1:1:q"),
        ("https://queue.amazonaws.com/1/q", "arn:aws:sqs:us-east-1:1:q"),
        ("http://sqs.eu-west-1.localhost.localstack.cloud:4566/1/q", "arn:aws:sqs:eu-west-1:1:q"),
        ("http://127.0.0.1:4566/000000000000/q", "arn:aws:sqs:ap-south-1:000000000000:q"),
    ],
)
def test_queue_arn(url: str, arn: str) -> None:
    assert queue_arn(url, "ap-south-1") == arn


@pytest.mark.parametrize("url", ["", "my-queue", "arn:aws:sqs:eu-west-1:123456789012:q", "https://example.com/q"])
def test_what_is_no_queue_url(url: str) -> None:
    with pytest.raises(RuntimeError, match="DURABLE_FN_QUEUE_URL must be a queue's URL"):
        queue_arn(url, "eu-west-1")


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        (f"{URL}.fifo", r"FIFO queue .* no delay per message"),
        ("https://sqs.eu-west-1.amazonaws.com/1/q", "in the region eu-west-1, but this process works in eu-central-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/1/q", "in the region cn-north-1"),
        ("my-queue", "must be a queue's URL"),
    ],
)
def test_a_queue_that_can_wake_nobody_is_refused(
    cloud: LocalCloud, url: str, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whoever would send to it, and by a process that has it in its variables, before it does anything."""
    with pytest.raises(RuntimeError, match=complaint):
        wakeups(cloud, queue_url=None, queues={"other": url}).send(Wake("x", "r", "other", 0), cloud.clock.now())
    with pytest.raises(RuntimeError, match=complaint):
        wakeups(cloud, queue_url=url).check("nap", given=True)
    monkeypatch.setenv("DURABLE_FN_TABLE", "t")
    monkeypatch.setenv("AWS_REGION", REGION)
    for variable, text in (("DURABLE_FN_QUEUE_URL", url), ("DURABLE_FN_QUEUES", json.dumps({"other": url}))):
        with monkeypatch.context() as patch:
            patch.setenv(variable, text)
            with pytest.raises(RuntimeError, match=rf"{variable}.*{complaint}"):
                connect()


@pytest.mark.parametrize("text", ["{", "[]", '"x"', '{"a": 1}', '{"a": ""}', '{"a": null}'])
def test_what_does_not_name_queues(text: str) -> None:
    with pytest.raises(RuntimeError, match=r"DURABLE_FN_QUEUES .*\{\"billing\": \"https://sqs"):
        told_queues(text)


def test_nothing_names_no_queues() -> None:
    assert told_queues(None) == told_queues("") == told_queues("{}") == {}
    check_queue_url(URL, "", "a queue")  # of a process that does not know its region


# -- queues that are replaced --------------------------------------------------------------------------------------


def replace_queue(cloud: LocalCloud) -> str:
    """As a stack update does that gives it another name. Returns the new URL."""
    sqs = _client("sqs")
    with cloud.wire.aside():
        sqs.delete_queue(QueueUrl=cloud.queue_url(nap))
        return str(sqs.create_queue(QueueName="nap-2")["QueueUrl"])


def bodies(url: str) -> list[Any]:
    messages = _client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    return [json.loads(message["Body"])["id"] for message in messages]


@pytest.mark.parametrize("variable", [True, False])
def test_a_warm_process_finds_a_replaced_queue(cloud: LocalCloud, variable: bool) -> None:
    """At the first message that the old one does not take; the variable of an older deployment is passed over."""
    queues = {"nap": cloud.queue_url(nap)} if variable else {}
    warm = wakeups(cloud, queue_url=None, queues=queues)
    with cloud.wire.aside():
        cloud.store.register("nap", cloud.queue_url(nap))
    warm.send(hint(cloud, 0, "before"), cloud.clock.now())
    new = replace_queue(cloud)
    with cloud.wire.aside():
        cloud.store.register("nap", new)
    warm.send(hint(cloud, 0, "after"), cloud.clock.now())
    assert warm.send_all([hint(cloud, 0, f"{n}") for n in range(12)]) == []
    warm.send(hint(cloud, 7200), cloud.clock.now())
    with cloud.wire.aside():
        assert sorted(bodies(new) + bodies(new)) == sorted(["after", *(f"{n}" for n in range(12))])
    (schedule,) = schedules()
    assert schedule.target["Arn"].endswith(":nap-2")


def test_a_queue_that_may_not_be_used_any_more_was_perhaps_replaced(cloud: LocalCloud) -> None:
    """A role's rights name the queue that is there: to the one before it has none, and IAM does not say whether it is."""
    old, sqs = cloud.queue_url(nap), _client("sqs")
    with cloud.wire.aside():
        cloud.store.register("nap", old)
    warm, send, send_batch = wakeups(cloud, queue_url=None), sqs.send_message, sqs.send_message_batch
    warm.send(hint(cloud, 0, "before"), cloud.clock.now())

    def rightly(send: Callable[..., Any]) -> Callable[..., Any]:
        def sending(**arguments: Any) -> Any:
            if arguments["QueueUrl"] == old:
                said = {"Error": {"Code": "AccessDenied", "Message": "no identity-based policy allows it"}}
                raise ClientError(said, "SendMessage")
            return send(**arguments)

        return sending

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqs, "send_message", rightly(send))
        patch.setattr(sqs, "send_message_batch", rightly(send_batch))
        with pytest.raises(RuntimeError, match="has no right to call SendMessage"):
            warm.send(hint(cloud, 0, "lost"), cloud.clock.now())  # it was not replaced
        new = replace_queue(cloud)
        with cloud.wire.aside():
            cloud.store.register("nap", new)
        for sender in (warm, wakeups(cloud, queue_url=None, queues={"nap": old})):
            sender.send(hint(cloud, 0, "one"), cloud.clock.now())
            assert sender.send_all([hint(cloud, 0, "many")]) == []
    with cloud.wire.aside():
        assert sorted(bodies(new)) == ["many", "many", "one", "one"]


def test_a_queue_that_is_gone_is_looked_for_again(cloud: LocalCloud) -> None:
    with cloud.wire.aside():
        cloud.store.register("nap", cloud.queue_url(nap))
    warm = wakeups(cloud, queue_url=None)
    new = replace_queue(cloud)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="does not exist"):
            warm.send(hint(cloud, 0), cloud.clock.now())
        warm.check("nap", given=False)  # it is known all the same
    with cloud.wire.aside():
        cloud.store.register("nap", new)
    warm.send(hint(cloud, 0, "now"), cloud.clock.now())
    with cloud.wire.aside():
        assert bodies(new) == ["now"]


def test_a_row_is_remembered_for_a_minute(cloud: LocalCloud) -> None:
    with cloud.wire.aside():
        cloud.store.register("nap", cloud.queue_url(nap))
    warm = wakeups(cloud, queue_url=None)
    for _ in range(3):
        warm.send(hint(cloud, 0), cloud.clock.now())
    assert [r.action for r in cloud.requests] == ["GetItem", *["SendMessage"] * 3]
    new = replace_queue(cloud)
    with cloud.wire.aside():  # a queue of the old name is there again: nothing says that it is the wrong one
        _client("sqs").create_queue(QueueName="nap")
        cloud.store.register("nap", new)
    cloud.clock.sleep(60)
    warm.send(hint(cloud, 0, "now"), cloud.clock.now())
    with cloud.wire.aside():
        assert bodies(new) == ["now"]


# -- many at once --------------------------------------------------------------------------------------------------


def test_messages_are_sent_ten_at_a_time(cloud: LocalCloud) -> None:
    hints = [hint(cloud, -5, f"{n}") for n in range(23)]
    assert wakeups(cloud).send_all(hints) == []
    assert [r.action for r in cloud.requests] == ["SendMessageBatch"] * 3
    assert len(cloud._moto_queue(cloud.queue_url(nap))._messages) == 23
    assert wakeups(cloud).send_all([]) == []


def test_what_a_batch_refuses_is_told(cloud: LocalCloud) -> None:
    def refusing(**arguments: Any) -> Any:
        failed = [{"Id": e["Id"], "Code": "InternalError", "Message": "later"} for e in arguments["Entries"][1:3]]
        return {"Successful": [], "Failed": failed}

    sender = wakeups(cloud)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_client("sqs"), "send_message_batch", refusing)
        failed = sender.send_all([hint(cloud, 0, f"{n}") for n in range(4)])
    assert [one.id for one, _ in failed] == ["1", "2"]
    assert "InternalError: later" in str(failed[0][1])
