"""What the page reads and changes, over a real journal on virtual time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from durable_fn import DurableContext, RetryPolicy, durable, step
from durable_fn.testing import LocalRunner
from tests.ui.desk import Desk

DOWN = [True]


@pytest.fixture(autouse=True)
def _down() -> None:
    DOWN[0] = True


def ok(value: Any = None) -> Any:
    return value


@step(retry=RetryPolicy(max_attempts=2, initial_delay=1))
def ship() -> str:
    if DOWN[0]:
        raise ConnectionError("the warehouse is down")
    return "shipped"


@durable(name="child")
def child(event: None, ctx: DurableContext) -> str:
    ctx.sleep(5)
    return "done"


@durable(name="order")
def order(event: dict[str, Any], ctx: DurableContext) -> str:
    ctx.set_status("charging")
    ctx.step(step(ok, name="charge"), event)
    return ctx.step(ship)


@durable(name="approval")
def approval(event: None, ctx: DurableContext) -> Any:
    ctx.call(child, None, name="sub")
    answer = ctx.callback("boss", timeout=3600)
    got = answer.result()
    return [got, ctx.wait_for_signal("paid")]


@pytest.fixture
def runner() -> Iterator[LocalRunner]:
    with LocalRunner(order, child, approval) as runner:
        yield runner


@pytest.fixture
def desk(runner: LocalRunner) -> Desk:
    return Desk(runner, served=["order"])


def ids(found: dict[str, Any]) -> list[str]:
    return [row["id"] for row in found["executions"]]


def test_what_the_page_has_to_know(desk: Desk, runner: LocalRunner) -> None:
    meta = desk.get("/api/meta")
    assert (meta["kind"], meta["read_only"], meta["by"], meta["served"]) == ("sqlite", False, "ada", ["order"])
    assert meta["functions"] == sorted(runner.client.functions())


def test_lists_are_filtered_and_paged(desk: Desk, runner: LocalRunner) -> None:
    for number in range(5):
        runner.run({}, f"o-{number}")
    DOWN[0] = False
    runner.run({}, "good")
    assert set(ids(desk.get("/api/executions"))) == {*(f"o-{number}" for number in range(5)), "good"}
    failed = desk.get("/api/executions?status=FAILED,TIMED_OUT")
    assert len(failed["executions"]) == 5
    row = failed["executions"][0]
    assert row["error"]["message"].endswith("the warehouse is down")
    assert row["custom_status"] == {"json": "charging"}
    assert not {"input", "result"} & row.keys(), "a list carries no values"
    first = desk.get("/api/executions?limit=4")
    second = desk.get(f"/api/executions?limit=4&cursor={first['cursor']}")
    assert sorted(ids(first) + ids(second)) == sorted(ids(desk.get("/api/executions")))
    assert ids(desk.get("/api/executions?id_prefix=goo")) == ["good"]
    assert ids(desk.get("/api/executions?name=child")) == []
    assert len(ids(desk.get("/api/executions?started_after=24h&has_error=1"))) == 5
    runner.advance(86_400)
    assert ids(desk.get("/api/executions?started_after=1h")) == []
    assert ids(desk.get("/api/executions?started_after=2000-01-01T00:00:00&status=SUCCEEDED")) == ["good"]


@pytest.mark.parametrize(
    "query",
    [
        "status=NOPE",
        "limit=0",
        "limit=201",
        "limit=x",
        "held=maybe",
        "started_after=yesterday",
        "started_after=99999999d",
        "cursor=x",
    ],
)
def test_what_means_nothing_is_said(desk: Desk, query: str) -> None:
    assert desk.get(f"/api/executions?{query}", 400)["error"]


def test_what_wants_attention_is_counted(desk: Desk, runner: LocalRunner) -> None:
    assert desk.get("/api/attention") == {"failed": 0, "held": 0, "overdue": 0}
    for number in range(3):
        runner.run({}, f"o-{number}")
    assert desk.get("/api/attention") == {"failed": 3, "held": 0, "overdue": 0}


def begun(runner: LocalRunner, id: str = "a") -> None:
    """It waits for a callback."""
    runner.client.start(approval, None, id=id)
    runner.advance(10)


def test_one_execution_is_read_again_only_where_it_moved(desk: Desk, runner: LocalRunner) -> None:
    begun(runner)
    first = desk.send("GET", "/api/execution?id=a")
    assert first.status == 200
    assert desk.send("GET", "/api/execution?id=a", if_none_match=first.headers["etag"]).status == 304
    runner.client.signal("a", "paid", 1)
    assert desk.send("GET", "/api/execution?id=a", if_none_match=first.headers["etag"]).status == 200


def test_a_step_alone_is_seen(desk: Desk, runner: LocalRunner) -> None:
    """While an invocation runs only the log grows."""
    seen: list[str] = []

    @durable(name="looks")
    def looks(event: None, ctx: DurableContext) -> None:
        for _ in range(3):
            ctx.step(ok)
            seen.append(desk.send("GET", "/api/execution?id=l").headers["etag"])

    runner.deploy(looks)
    runner.client.start(looks, None, id="l")
    runner.advance(1)
    assert len(set(seen)) == 3


def test_one_execution_with_its_waits_and_children(desk: Desk, runner: LocalRunner) -> None:
    begun(runner)
    shown = desk.get("/api/execution?id=a")
    (sub,) = [one for one in shown["operations"] if one["id"] == "sub"]
    (boss,) = shown["waits"]
    assert (boss["id"], boss["kind"]) == ("boss", "callback")
    assert [info["id"] for info in desk.get("/api/children?id=a")["executions"]] == [sub["child"]]
    assert desk.get(f"/api/execution?id={sub['child'].replace('~', '%7E')}")["execution"]["parent_id"] == "a"


def test_the_history_is_the_versioned_document(desk: Desk, runner: LocalRunner) -> None:
    begun(runner)
    assert desk.get("/api/history?id=a") == runner.client.document("a")


def test_long_values_come_when_they_are_asked_for(desk: Desk, runner: LocalRunner) -> None:
    DOWN[0] = False
    long = {"text": "ä" * 30_000}
    runner.run(long, "long")
    shown = desk.get("/api/execution?id=long")
    assert len(shown["execution"]["input"]["cut"]) == 20_000
    (charge,) = [one for one in shown["operations"] if one["id"] == "charge"]
    assert charge["shown"]["size"] > 30_000 > len(charge["shown"]["cut"])
    assert desk.get("/api/value?id=long&what=input")["json"] == long
    assert desk.get("/api/value?id=long&op=charge")["json"] == long
    assert desk.get("/api/value?id=long&op=nope", 404)
    assert desk.get("/api/value?id=long&what=secret", 400)


def test_no_such_execution(desk: Desk) -> None:
    for address in ("execution?id=x", "history?id=x", "value?id=x"):
        assert "x" in desk.get(f"/api/{address}", 404)["error"]
    assert desk.get("/api/execution", 400)["error"] == "which execution? id=..."


def test_times_as_in_the_command(desk: Desk, runner: LocalRunner) -> None:
    runner.run({}, "o-1")
    assert ids(desk.get("/api/executions?started_after=1w")) == ["o-1"]
    assert "'soon' is no time" in desk.get("/api/executions?started_after=soon", 400)["error"]
    assert "is no time" in desk.get("/api/executions?updated_after=99999999d", 400)["error"]


# -- changes


def test_a_callback_is_completed_by_its_operation(desk: Desk, runner: LocalRunner) -> None:
    begun(runner)
    desk.post("callback", {"id": "a", "operation": "boss", "how": "heartbeat"}, 200)
    desk.post("callback", {"id": "a", "operation": "boss", "how": "complete", "result": {"yes": True}})
    assert desk.post("callback", {"id": "a", "operation": "boss", "how": "complete", "result": "other"}, 409)["error"]
    desk.post("signal", {"id": "a", "name": "paid", "payload": 7})
    runner.advance(1)
    assert runner.client.result("a") == [{"yes": True}, 7]
    answered = {event.kind: event.by for event in runner.client.history("a") if event.kind in ("callback", "signal")}
    assert answered == {"callback": "ada", "signal": "ada"}, "the history says who did it"


def test_a_callback_is_failed(desk: Desk, runner: LocalRunner) -> None:
    begun(runner)
    desk.post("callback", {"id": "a", "operation": "boss", "how": "fail", "message": "lost", "error_type": "Lost"})
    runner.advance(1)
    assert runner.client.describe("a").error["message"].endswith("lost")
    assert [e.by for e in runner.client.history("a") if e.kind == "callback" and e.error] == ["ada"]


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"id": "a", "operation": "nope", "how": "complete"}, 409),
        ({"id": "a", "operation": "sub", "how": "complete"}, 409),
        ({"id": "x", "operation": "boss", "how": "complete"}, 404),
        ({"id": "a", "operation": "boss", "how": "maybe"}, 400),
        ({"token": "nonsense", "how": "complete"}, 409),
        ({"id": 1, "operation": "boss", "how": "complete"}, 400),
    ],
)
def test_a_callback_that_is_none(desk: Desk, runner: LocalRunner, given: dict[str, Any], status: int) -> None:
    begun(runner)
    assert desk.post("callback", given, status)["error"]
    assert runner.client.describe("a").status == "SUSPENDED"


def test_a_redrive_says_who_and_why(desk: Desk, runner: LocalRunner) -> None:
    runner.run({}, "o")
    DOWN[0] = False
    assert desk.post("redrive", {"id": "o", "reason": "the warehouse is up"}) == {"cut": "ship"}
    runner.advance(5)
    assert runner.client.result("o") == "shipped"
    (marker,) = desk.get("/api/execution?id=o")["markers"]
    assert (marker["kind"], marker["by"], marker["reason"]) == ("redrive", "ada", "the warehouse is up")
    assert desk.post("redrive", {"id": "o"}, 409)["error"]


def test_a_fork_and_a_start(desk: Desk, runner: LocalRunner) -> None:
    runner.run({"n": 1}, "o")
    DOWN[0] = False
    assert desk.post("fork", {"id": "o", "from_step": "ship", "new_id": "copy"}) == {"id": "copy"}
    assert desk.post("start", {"name": "order", "payload": {"n": 2}, "id": "new"}) == {"id": "new"}
    runner.advance(5)
    assert [runner.client.describe(id).status for id in ("o", "copy", "new")] == ["FAILED", "SUCCEEDED", "SUCCEEDED"]
    assert desk.post("start", {"name": "order", "payload": {"n": 3}, "id": "new"}, 409)["error"]
    assert desk.post("start", {"name": "nobody", "payload": 1}, 400)["error"]
    assert desk.post("start", {"name": "order", "delay": "soon"}, 400)["error"]


def test_cancel_terminate_and_purge(desk: Desk, runner: LocalRunner) -> None:
    begun(runner, "a")
    begun(runner, "b")
    desk.post("cancel", {"id": "a", "reason": "not needed"})
    desk.post("terminate", {"id": "b"})
    runner.advance(1)
    assert [runner.client.describe(id).status for id in "ab"] == ["CANCELLED", "TERMINATED"]
    desk.post("purge", {"id": "a"})
    assert desk.get("/api/execution?id=a", 404)
    begun(runner, "c")
    assert desk.post("purge", {"id": "c"}, 409)["error"]


def test_many_are_counted_before_anything_is_done(desk: Desk, runner: LocalRunner) -> None:
    for number in range(3):
        runner.run({}, f"o-{number}")
    begun(runner, "a")
    counted = desk.post("count", {"action": "redrive", "filter": {"name": "order"}})
    assert (sorted(counted["ids"]), counted["passed_over"], counted["more"]) == (["o-0", "o-1", "o-2"], 0, False)
    counted = desk.post("count", {"action": "cancel", "filter": {"id_prefix": ""}})
    assert (counted["ids"], counted["passed_over"]) == (["a"], 4)
    assert [info.status for info in runner.client.list(name="order")] == ["FAILED"] * 3
    DOWN[0] = False
    done = desk.post("many", {"action": "redrive", "ids": ["o-0", "o-1", "gone"], "reason": "up again"})
    assert (done["done"], [one["id"] for one in done["failed"]]) == (2, ["gone"])
    runner.advance(5)
    assert {info.id: info.status for info in runner.client.list(name="order")} == {
        "o-0": "SUCCEEDED", "o-1": "SUCCEEDED", "o-2": "FAILED"
    }  # fmt: skip


@pytest.mark.parametrize(
    "given",
    [
        {"action": "signal", "ids": ["x"]},
        {"action": "cancel"},
        {"action": "cancel", "ids": "abc"},
        {"action": "cancel", "ids": ["x"] * 101},
    ],
)
def test_many_that_are_none(desk: Desk, given: dict[str, Any]) -> None:
    assert desk.post("many", given, 400)["error"]
    assert desk.post("count", {"action": given["action"], "filter": 3}, 400)["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"[" * 100_000, b"\xff"])
def test_a_body_that_is_no_object(desk: Desk, body: bytes) -> None:
    from durable_fn.ui.messages import Request
    from tests.ui.desk import OWN

    headers = {**OWN, "content-type": "application/json", "x-durable-fn": "1"}
    assert desk.dashboard.answer(Request("POST", "/api/cancel", {}, headers, body)).status == 400


HOSTILE = "</script><img src=x onerror=alert(1)>\u202e"


def test_hostile_texts_come_as_they_are(desk: Desk, runner: LocalRunner) -> None:
    """As JSON, which the page puts into text nodes."""
    DOWN[0] = False
    runner.run({"x": HOSTILE}, "</script>/..")
    answer = desk.send("GET", "/api/execution?id=%3C%2Fscript%3E%2F..")
    assert answer.headers["content-type"].startswith("application/json")
    assert HOSTILE in desk.get("/api/value?id=%3C%2Fscript%3E%2F..&what=input")["json"]["x"]
