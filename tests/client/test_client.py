"""DurableClient and the Lambda entry, on both journals: starting, attaching, watching, and what people get wrong."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from durable_fn import DurableClient, DurableContext, durable
from durable_fn.errors import (
    CallError,
    CallTimeout,
    DurableError,
    ExecutionConflict,
    ExecutionNotFound,
    SerializationError,
)
from durable_fn.testing import LocalRunner
from durable_fn.wiring import sqlite
from tests.environments import World


class Order(BaseModel):
    order_id: str
    total: int = 1


class Receipt(BaseModel):
    paid: int
    at: datetime


@durable(execution_id=lambda order: f"order-{order.order_id}", retention=3600)
def buy(order: Order, ctx: DurableContext) -> Receipt:
    return Receipt(paid=ctx.step(lambda: order.total), at=ctx.now())


@durable
def echo(event: Any, ctx: DurableContext) -> Any:
    if event == "fail":
        raise LookupError("nothing there")
    if event == "wait":
        ctx.sleep(3600)
    return event


@durable(execution_id="detail.id", envelope=False)
def routed(event: Any, ctx: DurableContext) -> Any:
    return echo.__wrapped__(event["detail"]["do"], ctx)


# -- starting ------------------------------------------------------------------------------------------------------


def test_the_id_comes_from_the_functions_own_rule(world: World) -> None:
    assert world.run(buy, Order(order_id="7")) == "order-7"
    assert world.invoke(buy, {"order_id": "8"})["execution_id"] == "order-8"
    assert world.invoke(routed, {"detail": {"id": 9, "do": "x"}}) == "x"
    assert world.client.describe("9").status == "SUCCEEDED"


def test_the_same_id_and_input_attaches(world: World) -> None:
    id = world.run(buy, Order(order_id="7", total=1))
    assert world.client.start(buy, Order(order_id="7"), id=id) == id
    again = world.invoke(buy, {"total": 1, "order_id": "7"})
    assert (again["status"], again["result"]["paid"]) == ("SUCCEEDED", 1)
    assert world.invoke(buy, {"order_id": "7"}) == again, "a default that is left out is the same input"
    assert world.client.describe(id).invocations == 1


def test_the_same_id_with_another_input_or_function_is_a_conflict(world: World) -> None:
    id = world.run(buy, Order(order_id="7"))
    for start in (
        lambda: world.client.start(buy, Order(order_id="7", total=2)),
        lambda: world.invoke(buy, {"order_id": "7", "total": 2}),
        lambda: world.client.start("echo", {"order_id": "7"}, id=id),
        lambda: world.client.start(buy, Order(order_id="7"), if_exists="reject"),
    ):
        with pytest.raises(ExecutionConflict, match=id) as caught:
            start()
        assert caught.value.execution_id == id


def test_sets_have_no_order(world: World) -> None:
    """The same input from another process, which writes a set of texts in another order."""

    @durable(execution_id=lambda tags: "tagged")
    def tagged(event: set[str], ctx: DurableContext) -> int:
        return len(event)

    assert world.invoke(tagged, ["a", "b", "c"])["result"] == 3
    assert world.invoke(tagged, ["c", "a", "b"])["result"] == 3
    with pytest.raises(ExecutionConflict):
        world.invoke(tagged, ["c", "a"])


def test_a_conflict_is_also_one_while_it_runs(world: World) -> None:
    world.run(echo, "wait", "x")
    with pytest.raises(ExecutionConflict, match="another payload"):
        world.client.start(echo, "else", id="x")
    assert world.client.start(echo, "wait", id="x") == "x"


def test_a_delayed_start(world: World) -> None:
    world.run(echo, "first", "first")
    id = world.client.start(echo, "later", delay=timedelta(days=3))
    world.advance(3 * 86_400 - 5)
    assert world.client.describe(id).status == "PENDING"
    world.advance(65)
    assert world.client.result(id) == "later"


@pytest.mark.parametrize(
    ("arguments", "error", "why"),
    [
        ({"id": ""}, ValueError, "the execution id must be 1 to 512 bytes"),
        ({"id": "x" * 2048}, ValueError, "2,048 bytes, at most 512 are allowed"),
        ({"id": "a\nb"}, ValueError, "printable"),
        ({"delay": -1}, ValueError, "delay must be 0 or more"),
        ({"delay": "1h"}, TypeError, "delay must be a timedelta or a number of seconds"),
        ({"if_exists": "replace"}, ValueError, 'if_exists must be "attach" or "reject"'),
        ({"payload": object()}, SerializationError, "the payload for 'echo' cannot be stored"),
    ],
)
def test_starts_that_are_refused_write_nothing(world: World, arguments: Any, error: Any, why: str) -> None:
    world.run(echo, "first", "first")
    with pytest.raises(error, match=why):
        world.client.start(echo, **({"payload": 1} | arguments))
    assert [info.id for info in world.client.list()] == ["first"]


def test_an_event_without_its_id_is_refused(world: World) -> None:
    with pytest.raises(ValueError, match=r"the JMESPath 'detail.id', and the event has nothing there"):
        world.invoke(routed, {"detail": {}})
    assert list(world.client.list()) == []


def test_an_event_that_does_not_validate(world: World) -> None:
    for bad in ({"total": 1}, {"order_id": "1", "total": "many"}, None, "text", [1]):
        with pytest.raises(SerializationError, match="for 'buy' does not fit its annotation"):
            world.invoke(buy, bad)
    assert list(world.client.list()) == []


def test_an_event_that_is_no_json(world: World) -> None:
    for bad in ({"order_id": {1, 2}}, float("nan"), {"a": b"x"}):
        with pytest.raises(SerializationError, match=r"is not JSON"):
            world.invoke(buy, bad)


# -- what a caller gets --------------------------------------------------------------------------------------------


def test_envelopes(world: World) -> None:
    done = world.invoke(echo, "x")
    assert (done["status"], done["result"]) == ("SUCCEEDED", "x")
    failed = world.invoke(echo, "fail")
    assert (failed["status"], failed["error"]["error_type"]) == ("FAILED", "LookupError")
    assert failed["error"]["message"] == "nothing there"
    waiting = world.invoke(echo, "wait")
    assert set(waiting) == {"execution_id", "status"}
    assert waiting["status"] == "SUSPENDED"


def test_without_an_envelope(world: World) -> None:
    assert world.invoke(routed, {"detail": {"id": "1", "do": [1, 2]}}) == [1, 2]
    with pytest.raises(LookupError, match="nothing there"):
        world.invoke(routed, {"detail": {"id": "2", "do": "fail"}})
    with pytest.raises(DurableError, match="execution '2' ended FAILED: LookupError: nothing there"):
        world.invoke(routed, {"detail": {"id": "2", "do": "fail"}})
    assert world.invoke(routed, {"detail": {"id": "3", "do": "wait"}})["status"] == "SUSPENDED"


# -- watching ------------------------------------------------------------------------------------------------------


def test_describe(world: World) -> None:
    id = world.run(buy, Order(order_id="7"))
    info = world.client.describe(id)
    assert (info.id, info.name, info.status, info.invocations, info.generation) == (id, "buy", "SUCCEEDED", 1, 1)
    assert info.input == {"order_id": "7", "total": 1}
    assert info.finished_at is not None
    assert info.started_at <= info.finished_at
    assert (info.error, info.next_due_at, info.parent_id) == (None, None, None)


def test_results(world: World) -> None:
    id = world.run(buy, Order(order_id="7"))
    plain = world.client.result(id)
    assert plain["paid"] == 1
    assert world.client.result(id, result_type=Receipt) == Receipt.model_validate(plain)
    with pytest.raises(SerializationError, match=f"the result of execution '{id}' does not fit"):
        world.client.result(id, result_type=int)


def test_no_result_yet_and_no_result_ever(world: World) -> None:
    failed = world.run(echo, "fail")
    with pytest.raises(CallError, match="ended FAILED: LookupError: nothing there") as caught:
        world.client.result(failed)
    assert (caught.value.status, caught.value.error_type, caught.value.message) == (
        "FAILED",
        "LookupError",
        "nothing there",
    )
    waiting = world.client.start(echo, "wait")
    for wait in (None, 0, 5):
        with pytest.raises(CallTimeout, match=f"{waiting}.* has no result yet") as late:
            world.client.result(waiting, wait=wait)
        assert late.value.execution_id == waiting


@pytest.mark.parametrize("method", ["describe", "result", "history"])
@pytest.mark.parametrize("id", ["never", "'; --", "x" * 512])
def test_unknown_ids(world: World, method: str, id: str) -> None:
    world.run(echo, "first", "first")
    with pytest.raises(ExecutionNotFound, match="there is no execution"):
        getattr(world.client, method)(id)


@pytest.mark.parametrize("method", ["describe", "result", "history"])
def test_ids_that_are_none(world: World, method: str) -> None:
    world.run(echo, "first", "first")
    for id in ("", "x" * 2048, "a\x00", 5):
        with pytest.raises(ValueError, match="the execution id"):
            getattr(world.client, method)(id)


def test_history(world: World) -> None:
    id = world.run(buy, Order(order_id="7", total=3))
    start, event, end = world.client.history(id)
    assert (start.kind, start.status, start.result) == ("execution", "STARTED", {"order_id": "7", "total": 3})
    assert (end.kind, end.status, end.result["paid"]) == ("execution", "SUCCEEDED", 3)
    assert (event.id, event.kind, event.name, event.status, event.attempt, event.result) == (
        "lambda", "step", "lambda", "SUCCEEDED", 1, 3,
    )  # fmt: skip


def test_list(world: World) -> None:
    for n in range(5):
        world.run(echo, n if n % 2 else "fail", f"e-{n}")
    listed = list(world.client.list())
    assert sorted(info.id for info in listed) == [f"e-{n}" for n in range(5)]
    assert {info.id for info in world.client.list(status="FAILED")} == {"e-0", "e-2", "e-4"}
    assert len(list(world.client.list(limit=2))) == 2
    assert list(world.client.list(limit=0)) == []
    assert list(world.client.list(name="else")) == []
    assert list(world.client.list(started_after=datetime(2100, 1, 1, tzinfo=UTC))) == []
    with pytest.raises(ValueError, match="limit must be 0 or more"):
        list(world.client.list(limit=-1))
    with pytest.raises(ValueError, match="started_after must have a time zone"):
        list(world.client.list(started_after=datetime(2026, 1, 1)))


# -- races ---------------------------------------------------------------------------------------------------------


def test_many_start_one_id_and_it_runs_once() -> None:
    ran: list[int] = []

    @durable
    def once(event: Any, ctx: DurableContext) -> int:
        return ctx.step(lambda: ran.append(1) or 7)  # type: ignore[func-returns-value]

    with LocalRunner(once) as runner:
        barrier = threading.Barrier(8)
        answers: list[Any] = []

        def start() -> None:
            barrier.wait()
            answers.append(runner.client.start(once, 1, id="x"))

        threads = [threading.Thread(target=start) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        runner.run_until_idle()
        assert answers == ["x"] * 8
        assert runner.client.result("x") == 7
    assert ran == [1]


# -- set-up --------------------------------------------------------------------------------------------------------


def test_a_client_of_nothing() -> None:
    with pytest.raises(TypeError, match=r"takes a Backend, not str; use DurableClient\.from_env"):
        DurableClient("journal.db")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    from durable_fn import wiring

    for name in ("BACKEND", "TABLE", "QUEUE_URL", "SCHEDULE_GROUP", "SCHEDULE_ROLE_ARN"):
        monkeypatch.delenv(f"DURABLE_FN_{name}", raising=False)
    monkeypatch.setattr(wiring, "_configured", None)
    monkeypatch.setattr(wiring, "_used", False)
    return monkeypatch


def test_a_missing_variable_is_named(bare: pytest.MonkeyPatch) -> None:
    for call in (DurableClient.from_env, lambda: echo(1, None)):
        with pytest.raises(RuntimeError, match=r"DURABLE_FN_TABLE is not set: .*DURABLE_FN_BACKEND=sqlite:///path"):
            call()


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        ({"BACKEND": "postgres://x"}, "DURABLE_FN_BACKEND must look like sqlite:///path/to/file.db"),
        ({"BACKEND": "sqlite:///"}, "must look like sqlite"),
        ({"BACKEND": "sqlite:///a.db?fast=yes"}, r"unknown options \['fast'\]; known: synchronous"),
        ({"TABLE": "t", "QUEUE_URL": "my-queue"}, "DURABLE_FN_QUEUE_URL must be a queue's URL"),
    ],
)
def test_variables_that_make_no_sense(bare: pytest.MonkeyPatch, variables: dict[str, str], why: str) -> None:
    for name, value in variables.items():
        bare.setenv(f"DURABLE_FN_{name}", value)
    bare.setenv("AWS_REGION", "eu-central-1")
    with pytest.raises(RuntimeError, match=why):
        DurableClient.from_env()


def test_a_missing_region_is_named(bare: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        bare.delenv(name, raising=False)
    bare.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    bare.setenv("DURABLE_FN_TABLE", "t")
    with pytest.raises(RuntimeError, match="no AWS region is set: set AWS_REGION"):
        DurableClient.from_env()


def test_a_handler_without_a_lambda(bare: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """In a script: no context, a file for a journal."""
    bare.setenv("DURABLE_FN_BACKEND", f"sqlite:///{tmp_path}/journal.db")
    answer = echo({"a": 1}, None)
    assert (answer["status"], answer["result"]) == ("SUCCEEDED", {"a": 1})
    client = DurableClient(sqlite(str(tmp_path / "journal.db")))
    assert client.result(answer["execution_id"]) == {"a": 1}
