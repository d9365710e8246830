"""The demos in real environments, on an emulator of AWS: its DynamoDB, SQS and Scheduler, all over the wire."""

from __future__ import annotations

import json
import random
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.emulator import ministack
from durable_fn.testing.lambda_runtime import EventSource
from durable_fn.types import HistoryEvent
from durable_fn.values.adapters import return_annotation
from durable_fn.wiring import using
from handlers_demo.customer_onboarding.script import answers
from handlers_demo.order_fulfilment.systems import SYSTEMS as COMPANIES
from handlers_demo.order_fulfilment.systems import WAREHOUSE
from handlers_demo.script import NAMES, Act, Play, Scene, after, load
from handlers_demo.systems import DIRECTORY_VARIABLE, LATENCY_VARIABLE, effects
from tests.lambda_runtime.account import Account
from tests.lambda_runtime.conftest import until
from tests.lambda_runtime.recorder import Attempt, attempts, repeated

HANDLER = "tests.lambda_runtime.functions.demos.handler"
SMALLER = {"audit_pipeline": {"records": 60, "max_concurrency": 8}}
ON_THE_FIRST_MAIL = Scene(  # days pass quickly on virtual time only, in tests/e2e
    "The approver approves at once.",
    kills=(),
    effects=lambda _application, _outcome: {"look up": 1, "ask": 1, "open": 1, "welcome": 1},
    acts=(Act("approver", "approves", after("submit"), answers("ask", "approve")),),
)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with ministack(tmp_path_factory.mktemp("ministack")) as endpoint:
        yield endpoint


@pytest.fixture
def account(endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path / "systems"))
    variables = {DIRECTORY_VARIABLE: str(tmp_path / "systems"), "WITNESS": str(tmp_path / "witness")}
    with Account(endpoint, tmp_path, **variables) as account:
        yield account


QUICK_TO_START = [name for name in NAMES if not name.startswith("ai_agent_")]
"""The others import a framework in every environment, which takes seconds: they die in processes in tests/ext/agents."""


@pytest.mark.parametrize("name", QUICK_TO_START)
def test_each_demo_by_its_script(account: Account, name: str) -> None:
    script = load(name)
    scene = ON_THE_FIRST_MAIL if name == "customer_onboarding" else script.scene()
    event, acts = script.event(scene, SMALLER.get(name)), Play(scene)
    queue, dead = account.queue()
    client, backend = account.client(queue, script.handler.name)
    scene.prepare()
    account.subscribe(account.function(HANDLER, queue, timeout=5, DEMO=name), queue)
    id = client.start(script.handler, event, id=script.id(event))

    def over() -> bool:
        act = acts.next(client.history(id))
        if act is not None:
            with using(backend):
                act.do(client, id)
        return client.describe(id).finished_at is not None

    until(over, f"{name} is finished", every=0.05)
    result = client.result(id, result_type=return_annotation(script.handler.__wrapped__))
    assert effects(script.systems) == scene.effects(event, result)
    assert repeated(attempts(account.directory / "witness"), client.history(id)) == []
    assert account.messages(dead) == 0
    if name == "customer_onboarding":
        group = account.variables["DURABLE_FN_SCHEDULE_GROUP"]
        assert account.scheduler.list_schedules(GroupName=group)["Schedules"], "the reminder in a day"


# -- killed at random ------------------------------------------------------------------------------------------------

KILLS = 6
LATENCY_S = 0.04


class Orders:
    """Orders that come one after the other, by the client and as messages of a shop, until enough of their processes were
    killed."""

    def __init__(self, account: Account, seed: int) -> None:
        self.chance = random.Random(seed)
        self.account = account
        self.queue, self.dead = account.queue()
        self.client, self.backend = account.client(self.queue)
        variables = {"DEMO": "order_fulfilment", LATENCY_VARIABLE: str(LATENCY_S)}
        self.function = account.function(HANDLER, self.queue, timeout=3, **variables)
        self.witness = account.directory / "witness"
        self.ids: list[str] = []
        self.kills = 0

    def place(self) -> None:
        order = {"order_id": f"order-{len(self.ids)}", "customer": "ada@example.com",
                 "lines": [{"sku": "tea", "quantity": 2, "price": "3.50"}]}  # fmt: skip
        self.ids.append(order["order_id"])  # type: ignore[arg-type]
        if self.chance.random() < 0.5:
            self.client.start("order-fulfilment", order, id=order["order_id"])  # type: ignore[arg-type]
        else:
            self.account.sqs.send_message(QueueUrl=self.queue, MessageBody=json.dumps(order))

    def kill_at_random(self) -> None:
        """Whoever has just begun a body, a moment later."""
        seen = 0
        while self.kills < KILLS:
            begun = until(lambda known=seen: attempts(self.witness)[known:], "a body begins")  # type: ignore[misc]
            seen += len(begun)
            threading.Event().wait(self.chance.uniform(0, 3 * LATENCY_S))
            for environment in self.function.environments:
                if environment.pid == begun[-1].pid and environment.request_id is not None:
                    environment.kill()
                    self.kills += 1
            if self.kills < KILLS:
                self.place()

    def all_over(self) -> bool:
        infos = [self.client.describe(id) for id in self.ids if self.backend.store.get(id) is not None]
        return len(infos) == len(self.ids) and all(info.finished_at for info in infos)


def test_orders_whose_environments_are_killed_at_random(account: Account) -> None:
    """All orders complete, each effect happens once, and no body begins again once its result is recorded."""
    orders = Orders(account, seed=20261124)
    WAREHOUSE.refuse(2)
    account.sweep(orders.queue)
    account.subscribe(orders.function, orders.queue, batch_size=3)
    for _ in range(4):
        orders.place()
    orders.kill_at_random()
    until(orders.all_over, "all orders are over", 100, every=0.05)
    histories = {id: orders.client.history(id) for id in orders.ids}
    assert {orders.client.result(id)["status"] for id in orders.ids} == {"fulfilled"}
    assert effects(COMPANIES) == dict.fromkeys(("charge", "reserve", "ship", "mail"), len(orders.ids))
    seen = attempts(orders.witness)
    for id, history in histories.items():
        assert repeated([a for a in seen if a.execution == id], history) == []
        done = Counter(e.id for e in history if e.kind == "step" and e.status == "SUCCEEDED")
        assert sorted(done.values()) == [1, 1, 1, 1]
    assert orders.kills == KILLS
    assert max(orders.client.describe(id).invocations for id in orders.ids) > 1, "nobody took over"
    assert account.messages(orders.dead) == 0


def test_a_body_that_begins_again_would_be_seen(tmp_path: Path) -> None:
    """The judge itself."""
    at = datetime.now(UTC)
    event = HistoryEvent(id="charge", kind="step", name="charge", status="SUCCEEDED", attempt=1, at=at)
    once = Attempt("e", "charge", "charge", at.timestamp() - 0.1, 7)
    assert repeated([once], [event]) == []
    assert repeated([once, once._replace(at=at.timestamp() + 0.1, pid=8)], [event]) == [
        "charge began again in process 8"
    ]


# -- the queue in front ----------------------------------------------------------------------------------------------


def test_only_the_bad_message_of_a_batch_comes_again(account: Account) -> None:
    """And ends in the dead-letter queue; the good ones are deleted, and done once."""
    queue, dead = account.queue(max_receives=2, visibility=2)
    client, _ = account.client(queue)
    function = account.function(HANDLER, queue, timeout=2, DEMO="order_fulfilment")
    source = EventSource(function, account.sqs, queue)
    order = load("order_fulfilment").event(load("order_fulfilment").scene()).model_dump(mode="json")
    assert not function.invoke(order | {"order_id": "warm"}).failed
    bodies = [json.dumps(order | {"order_id": f"order-{n}"}) for n in range(3)]
    bodies.insert(1, '{"durable_fn": 1, "id": "order-1"}')
    account.sqs.send_message_batch(
        QueueUrl=queue, Entries=[{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies)]
    )
    first = source.poll_once()
    assert first is not None
    assert len(first.value["batchItemFailures"]) == 1
    assert {client.result(f"order-{n}")["status"] for n in range(3)} == {"fulfilled"}
    assert account.messages(queue) == 1
    again = until(source.poll_once, "the bad message comes again")
    assert again.value == first.value
    until(lambda: source.poll_once() is None and account.messages(dead) == 1, "it is a dead letter")
    with closing(sqlite3.connect(account.directory / "systems" / "payments.sqlite")) as db:
        assert db.execute("SELECT count(*) FROM calls").fetchone() == (4,)


def test_a_queue_that_lambda_does_not_take(account: Account) -> None:
    queue, _ = account.queue(visibility=2)
    with pytest.raises(ValueError, match="visibility timeout: 2 seconds is less than Function timeout: 3"):
        EventSource(account.function(HANDLER, queue, timeout=3), account.sqs, queue)
