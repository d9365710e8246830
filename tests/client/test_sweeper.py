"""The sweeper: what cannot be woken is told, backs off, and starves nobody."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any
from zlib import crc32

import pytest
from botocore.exceptions import ClientError

from durable_fn import DurableContext, durable, sweeper
from durable_fn.log.header import Header
from durable_fn.runtime.executions import new_header
from durable_fn.testing.cloud import LocalCloud
from durable_fn.testing.lambda_context import FakeLambdaContext
from durable_fn.testing.moto_account import TABLE
from durable_fn.testing.moto_account import client as _client
from durable_fn.wiring import using
from tests.intercepted import START, Bench

MINUTE, HOUR = 60_000, 3_600_000


@durable(name="works")
def works(event: Any, ctx: DurableContext) -> str:
    return ctx.step(lambda: "done")


@durable(name="rests")
def rests(event: Any, ctx: DurableContext) -> str:
    ctx.sleep(600)
    return "done"


@pytest.fixture
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud(shards=2) as cloud:
        cloud.attach(works)
        cloud.attach(rests)
        yield cloud


def sweep_for(cloud: LocalCloud, minutes: int) -> list[sweeper.SweepReport]:
    """Once a minute, as its rule does. Nothing else happens."""
    reports = []
    for _ in range(minutes):
        cloud.clock.advance_to((cloud.clock.now() // MINUTE + 1) * MINUTE)
        reports.append(sweeper.sweep(cloud.backend))
    return reports


def sent(reports: list[sweeper.SweepReport]) -> list[int]:
    """In which minutes."""
    return [minute for minute, report in enumerate(reports) for _ in range(report.sent)]


def lose_messages(cloud: LocalCloud, function: Any) -> None:
    cloud._moto_queue(cloud.queue_url(function))._messages.clear()


def header(cloud: LocalCloud, id: str) -> Header:
    found = cloud.store.get(id)
    assert found is not None
    return found


# -- backing off ---------------------------------------------------------------------------------------------------


def test_an_execution_that_nobody_takes_is_woken_less_and_less_often(cloud: LocalCloud) -> None:
    cloud.client.start(works, None)
    lose_messages(cloud, works)
    assert sent(sweep_for(cloud, 6 * 60)) == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243, 303]


def test_a_message_of_the_sweeper_is_taken_whenever_it_arrives(cloud: LocalCloud) -> None:
    """Also between two looks, when the next one is far: a queue may be slow."""
    id = cloud.client.start(works, None)
    lose_messages(cloud, works)
    sweep_for(cloud, 35)
    cloud.clock.advance_to(cloud.clock.now() + 12_345)
    cloud.run_until_idle()
    assert cloud.client.result(id) == "done"


def test_progress_begins_the_pauses_anew(cloud: LocalCloud) -> None:
    """A suspend, and a segment that was written before its owner died."""
    id = cloud.client.start(rests, None)
    lose_messages(cloud, rests)
    sweep_for(cloud, 20)
    assert header(cloud, id).tries == 5
    cloud.run_until_idle()
    assert (header(cloud, id).status, header(cloud, id).tries) == ("SUSPENDED", 0)
    cloud.clock.advance_to(cloud.clock.now() + 700_000)
    lose_messages(cloud, rests)
    assert sent(sweep_for(cloud, 8)) == [0, 1, 3, 7]


class Death(BaseException): ...


def test_a_segment_is_progress_also_where_its_owner_dies() -> None:
    bodies: list[int] = []

    @durable(name="dies")
    def dies(event: Any, ctx: DurableContext) -> None:
        for n in range(3):
            ctx.step(bodies.append, n)

    bench = Bench(dies)
    bench.start()
    for minute in (1, 2, 4, 8):
        bench.clock.advance_to(START + minute * MINUTE)
        sweeper.sweep(bench.backend)
    assert bench.header().tries == 4

    def die(*args: Any) -> None:
        if len(bodies) == 2:
            raise Death
        bench.store.before["append"] = die

    bench.store.before["append"] = die
    with pytest.raises(Death):
        bench.resume()
    left = bench.header()
    assert (left.status, left.tries, left.due) == ("RUNNING", 0, left.lease + 1)
    assert bench.store.log.count("progressed") == 1, "one more request, and only where it was woken in vain"


def test_what_goes_right_costs_no_request_more() -> None:
    bench = Bench(works)
    bench.start()
    bench.resume()
    assert bench.store.log == ["acquire", "append", "complete"]


# -- failures ------------------------------------------------------------------------------------------------------


def refuse(patch: pytest.MonkeyPatch, *actions: str) -> None:
    import botocore.client

    call = botocore.client.BaseClient._make_api_call

    def denied(self: Any, operation: str, arguments: dict[str, Any]) -> Any:
        if operation in actions:
            said = {"Error": {"Code": "AccessDenied", "Message": "denied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
            raise ClientError(said, operation)
        return call(self, operation, arguments)

    patch.setattr(botocore.client.BaseClient, "_make_api_call", denied)


@pytest.mark.parametrize("fault", ["may not send", "queue is gone", "unknown function", "fifo queue"])
def test_what_cannot_be_woken_fails_the_sweep(
    cloud: LocalCloud, fault: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Everybody else is woken all the same, and the handler raises at the end, so that the alarm tells."""
    bad = [cloud.client.start(works, n) for n in range(12)]
    good = cloud.client.start(rests, None)
    for function in (works, rests):
        lose_messages(cloud, function)
    if fault == "may not send":
        refuse(monkeypatch, "SendMessage", "SendMessageBatch")
    elif fault == "queue is gone":
        with cloud.wire.aside():
            _client("sqs").delete_queue(QueueUrl=cloud.queue_url(works))
    elif fault == "unknown function":
        del cloud._told["works"]
    else:
        cloud._told["works"] += ".fifo"
    cloud.clock.sleep(1)
    with (
        using(cloud.backend),
        pytest.raises(RuntimeError, match=r"1[23] of 13 due executions could not be swept or woken"),
    ):
        sweeper.handler({}, FakeLambdaContext(cloud.clock))
    said = [record for record in caplog.records if "executions of 'works' could not be woken" in record.getMessage()]
    assert len(said) == 1, "a line for many"
    assert any(repr(id) in caplog.text for id in bad)
    if fault != "may not send":
        assert len(cloud._moto_queue(cloud.queue_url(rests))._messages) == 1, good
    assert sum(report.failed for report in sweep_for(cloud, 2)) >= 12, "and it does so again"


def test_what_is_mended_goes_on(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within an hour, by itself, however long it was broken."""
    id = cloud.client.start(works, None)
    lose_messages(cloud, works)
    with monkeypatch.context() as patch:
        refuse(patch, "SendMessage", "SendMessageBatch")
        sweep_for(cloud, 300)
    cloud.advance(3700)
    assert cloud.client.result(id) == "done"


def test_a_status_of_another_version_is_left_alone_and_told(
    cloud: LocalCloud, caplog: pytest.LogCaptureFixture
) -> None:
    id = cloud.client.start(works, None)
    lose_messages(cloud, works)
    table = _client("dynamodb")
    key = {"pk": {"S": id}, "sk": {"S": "H"}}
    table.update_item(
        TableName=TABLE, Key=key, UpdateExpression="SET #s = :s", ExpressionAttributeNames={"#s": "status"},
        ExpressionAttributeValues={":s": {"S": "PAUSED"}},
    )  # fmt: skip
    before = table.get_item(TableName=TABLE, Key=key)["Item"]
    reports = sweep_for(cloud, 3)
    assert [(report.failed, report.sent) for report in reports] == [(1, 0)] * 3
    assert "has the status 'PAUSED', which this version of durable_fn does not know" in caplog.text
    assert table.get_item(TableName=TABLE, Key=key)["Item"] == before


# -- many ----------------------------------------------------------------------------------------------------------


class Sharded:
    """The embedded journal, its due index in 16 parts."""

    shards = 16

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.rows: dict[int, list[Any]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.bench.sqlite, name)

    def due(self, shard: int, now: int, limit: int, *, after: Any = None) -> list[Any]:
        if after is None:
            rows = self.bench.sqlite.due(0, now, 100_000)
            self.rows = {n: [row for row in rows if crc32(row.id.encode()) % 16 == n] for n in range(16)}
        mine = self.rows[shard]
        place = 0 if after is None else mine.index(after) + 1
        return mine[place : place + limit]


def dead(bench: Bench, count: int) -> None:
    """Executions that nobody takes."""
    for n in range(count):
        bench.sqlite.create(new_header(bench.backend, f"dead-{n}", "dead", "null", retention_ms=1000))


@pytest.mark.parametrize("count", [1, 100])
def test_a_dead_function_costs_a_bounded_number_of_messages(count: int) -> None:
    """Six in the first hour, and then one an hour, for each execution; it was 60."""
    bench = Bench(works)
    dead(bench, count)
    hours: Counter[int] = Counter()
    for minute in range(1, 304):
        bench.clock.advance_to(START + minute * MINUTE)
        hours[(minute - 1) // 60] += sweeper.sweep(bench.backend).sent
    assert [hours[hour] // count for hour in range(5)] == [6, 1, 1, 1, 1]


class Slow:
    """A store that takes time for each request."""

    def __init__(self, store: Any, clock: Any) -> None:
        self.store, self.clock = store, clock

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self.store, name)
        if name not in ("head", "postpone", "due"):
            return attribute

        def request(*args: Any, **kwargs: Any) -> Any:
            self.clock.advance_to(self.clock.now() + 5)
            return attribute(*args, **kwargs)

        return request


def test_ten_thousand_dead_executions_do_not_starve_one_that_lives() -> None:
    """With 5 ms for a request there is no time for all of them in a minute: shards are seen in random order, and what was woken
    in vain is not looked at again for a while."""
    bench = Bench(works)
    dead(bench, 10_000)
    bench.backend.store = Slow(Sharded(bench), bench.clock)  # type: ignore[assignment]
    lives = bench.start(id="lives")
    seen, sweeps = False, 0
    while not seen and sweeps < 30:
        bench.clock.advance_to(START + (bench.clock.now() - START) // MINUTE * MINUTE + MINUTE)
        sweeps += 1
        with using(bench.backend):
            report = sweeper.handler({}, FakeLambdaContext(bench.clock, timeout=50))
        assert bench.clock.now() % MINUTE < 50_000, "it ends in its time"
        assert report["unseen"] or report["due"] < 10_000
        seen = any(hint.id == lives.id for hint in bench.hints.sent)
    assert seen
    assert sweeps < 30


@pytest.mark.parametrize("timeout", [1, 3, 5, 6])
def test_one_of_little_time_sweeps_all_the_same(timeout: int) -> None:
    bench = Bench(works)
    dead(bench, 3)
    with using(bench.backend):
        assert sweeper.handler({}, FakeLambdaContext(bench.clock, timeout=timeout))["due"] == 3


def test_what_cannot_be_looked_at_hides_nobody_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays where it is in the index: the pages after it are read all the same."""
    monkeypatch.setattr(sweeper, "_PAGE", 2)
    bench = Bench(works)
    dead(bench, 7)
    bench.sqlite.database._db.execute("UPDATE executions SET status = 'PAUSED'")
    bench.clock.advance_to(START + 1)
    bench.start(id="lives")
    report = sweeper.sweep(bench.backend)
    assert (report.due, report.failed, report.sent) == (8, 7, 1)


def test_shards_come_in_another_order_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(works)
    many = Sharded(bench)
    orders: list[list[int]] = [[]]
    many.due = lambda shard, *args, **kwargs: orders[-1].append(shard) or []  # type: ignore[method-assign,func-returns-value]
    bench.backend.store = many  # type: ignore[assignment]
    for _ in range(5):
        sweeper.sweep(bench.backend)
        orders.append([])
    assert all(sorted(order) == list(range(16)) for order in orders[:-1])
    assert len({tuple(order) for order in orders[:-1]}) > 1


def test_no_time_is_told(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(works)
    bench.start()
    with caplog.at_level(logging.WARNING, "durable_fn"):
        report = sweeper.sweep(bench.backend, until=bench.clock.now())
    assert (report.due, report.unseen) == (0, 1)
    assert "no time was left for 1 of 1 shards" in caplog.text
