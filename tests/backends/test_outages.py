"""A write that fails while the process lives: the lease is given back, and the execution goes on in seconds. A place for large
values that takes none fails the step that made one, once, with the reason."""

from __future__ import annotations

import itertools
import json
import logging
import random
import string
from collections.abc import Callable, Iterator
from typing import Any

import botocore.client
import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError

from durable_fn import AsyncDurableContext, DurableContext, DurableFunction, durable, step
from durable_fn.backends.packed import PackedStore
from durable_fn.backends.ports import Backend, BlobRefused
from durable_fn.codecs import AesGcm
from durable_fn.core.effects import Decide
from durable_fn.core.turn import Turn
from durable_fn.errors import SerializationError
from durable_fn.log.events import Event, is_fence
from durable_fn.log.events import body as events_body
from durable_fn.log.header import Header
from durable_fn.log.inbox import Entry
from durable_fn.log.journal import Journal
from durable_fn.log.requests import Lease
from durable_fn.runtime.session import Session
from durable_fn.testing.cloud import LocalCloud
from durable_fn.types import ExecutionInfo
from tests.intercepted import START, Bench
from tests.protocol.test_rules import expire

BODIES: list[str] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    BODIES.clear()


def body(name: str) -> str:
    BODIES.append(name)
    return name


@durable(name="works")
def works(event: Any, ctx: DurableContext) -> str:
    ctx.step(body, "a")
    ctx.sleep(100)
    return ctx.step(body, "b")


@durable(name="works")
async def a_works(event: Any, ctx: AsyncDurableContext) -> str:
    await ctx.step(body, "a")
    await ctx.sleep(100)
    return await ctx.step(body, "b")


fronts = pytest.mark.parametrize("function", [works, a_works], ids=["def", "async def"])
Fault = Callable[[str, dict[str, Any]], Exception | None]


def later(operation: str) -> Exception:
    said = {"Error": {"Code": "InternalServerError", "Message": "later"}, "ResponseMetadata": {"HTTPStatusCode": 500}}
    return ClientError(said, operation)


def denied(operation: str) -> Exception:
    said = {"Error": {"Code": "AccessDenied", "Message": "denied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
    return ClientError(said, operation)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Fault], None]:
    """Requests fail as the fault says."""

    def plan(fault: Fault) -> None:
        call = botocore.client.BaseClient._make_api_call

        def faulty(self: Any, operation: str, arguments: dict[str, Any]) -> Any:
            error = fault(operation, arguments)
            if error is not None:
                raise error
            return call(self, operation, arguments)

        monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", faulty)

    return plan


@pytest.fixture
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud(timeout=900, bucket=True) as cloud:
        yield cloud


def took(info: ExecutionInfo) -> float:
    assert info.finished_at is not None
    return (info.finished_at - info.started_at).total_seconds()


# -- one write ------------------------------------------------------------------------------------------------------

REQUESTS = {
    "a segment": lambda operation, text: operation == "PutItem" and "L#" in text,
    "the suspend": lambda operation, text: (
        operation == "UpdateItem" and "SUSPENDED" in text and "doubtful =" not in text
    ),
    "the end": lambda operation, text: operation == "UpdateItem" and "'SUCCEEDED'" in text,
    "the read": lambda operation, text: operation == "Query",
}


@fronts
@pytest.mark.parametrize("which", REQUESTS)
@pytest.mark.parametrize(
    "how", [later, lambda operation: ConnectTimeoutError(endpoint_url="x")], ids=["500", "time-out"]
)
def test_a_request_that_fails_once_costs_seconds(
    cloud: LocalCloud, failing: Any, function: DurableFunction[Any, Any], which: str, how: Any
) -> None:
    failed: list[str] = []

    def once(operation: str, arguments: dict[str, Any]) -> Exception | None:
        if failed or not REQUESTS[which](operation, str(arguments)):
            return None
        failed.append(operation)
        return how(operation)  # type: ignore[no-any-return]

    cloud.attach(function)
    failing(once)
    id = cloud.client.start(function, None)
    cloud.advance(180)
    info = cloud.client.describe(id)
    assert (info.status, len(failed)) == ("SUCCEEDED", 1)
    assert 100 <= took(info) <= 110, "not the lease of 15 minutes"
    assert info.error is None
    assert BODIES in (["a", "b"], ["a", "a", "b"], ["a", "b", "b"])


@fronts
def test_why_is_shown_while_it_waits(
    cloud: LocalCloud, failing: Any, function: DurableFunction[Any, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A right that is missing does not come back in seconds: the pauses grow to an hour, and the reason can be seen."""
    on = [True]
    tried: list[int] = []

    def no_segments(operation: str, arguments: dict[str, Any]) -> Exception | None:
        if on[0] and operation == "PutItem" and "L#" in str(arguments):
            tried.append(cloud.clock.now())
            return denied(operation)
        return None

    cloud.attach(function)
    failing(no_segments)
    id = cloud.client.start(function, None)
    cloud.advance(6 * 3600)
    info = cloud.client.describe(id)
    assert info.status == "SUSPENDED"
    assert info.error is not None
    assert "no right to call PutItem" in info.error["message"]
    pauses = [(b - a) // 1000 for a, b in itertools.pairwise(tried)]
    assert pauses[:4] == [2, 4, 8, 16]
    assert pauses[-1] == 3600
    assert len(tried) < 20, "in six hours"
    assert "could not be written" in caplog.text
    cloud.client.redrive(id)
    before = len(tried)
    cloud.run_until_idle()
    assert len(tried) == before + 1, "a redrive tries it at once"
    on[0] = False
    cloud.advance(3700)
    assert cloud.client.result(id) == "b", "and by itself when it is mended"


def test_a_lease_that_cannot_be_given_back_lapses(
    cloud: LocalCloud, failing: Any, caplog: pytest.LogCaptureFixture
) -> None:
    on = [True]

    def no_writes(operation: str, arguments: dict[str, Any]) -> Exception | None:
        if on[0] and operation in ("PutItem", "UpdateItem") and BODIES:
            return later(operation)
        return None

    cloud.attach(works)
    failing(no_writes)
    id = cloud.client.start(works, None)
    cloud.run_until_idle()
    assert cloud.client.describe(id).status == "RUNNING"
    assert "goes on when its lease is over" in caplog.text
    on[0] = False
    cloud.advance(1200)
    assert cloud.client.result(id) == "b"


@fronts
def test_the_next_owner_fences_the_write_whose_fate_nobody_knows(function: DurableFunction[Any, Any]) -> None:
    """The reply was lost for good, and the write may still come: then it must not be in the way of what is done again."""
    bench = Bench(function)
    bench.start()

    def lose(*args: Any) -> None:
        raise ConnectionError("no answer")

    bench.store.before["append"] = lose
    with pytest.raises(BaseException, match="no answer"):
        bench.resume()
    given = bench.header()
    assert (given.status, given.lease, given.due, given.doubtful) == ("SUSPENDED", 0, START + 2000, 1)
    assert [hint.due for hint in bench.hints.sent] == [START + 2000]
    bench.clock.advance_to(START + 2000)
    assert bench.resume().status == "SUSPENDED"
    first, *_ = bench.bodies()
    assert is_fence(first)
    assert BODIES == ["a", "a"]
    assert bench.header().doubtful == 0


def test_owners_that_gave_it_back_are_not_counted_as_dead() -> None:
    """Five deaths in a row end an execution as stalled; no number of outages does."""
    bench = Bench(works)
    bench.start()

    def lose(header: Any, segment: Any) -> None:
        if not is_fence(segment.body):
            raise ConnectionError("no answer")
        bench.store.before["append"] = lose

    for _ in range(12):
        bench.store.before["append"] = lose
        with pytest.raises(BaseException, match="no answer"):
            bench.resume()
        bench.clock.advance_to(bench.header().due or 0)
    bench.store.before.clear()
    assert bench.resume().status == "SUSPENDED"


def test_a_process_that_dies_gives_nothing_back() -> None:
    """Not even when the death looks like an error of the journal: nothing more is written."""
    bench = Bench(works)
    bench.start()

    def die(*args: Any) -> None:
        raise SystemExit

    bench.store.before["append"] = die
    with pytest.raises(SystemExit):
        bench.resume()
    assert "release" not in bench.store.log
    expire(bench)
    assert bench.resume().status == "SUSPENDED"


# -- the place for large values ------------------------------------------------------------------------------------


def large() -> str:
    BODIES.append("large")
    return random.Random(1).randbytes(400_000).hex()


@durable(name="reports")
def reports(event: str, ctx: DurableContext) -> int:
    if event == "caught":
        try:
            return len(ctx.step(large))
        except SerializationError as error:
            ctx.sleep(600)
            return len(str(error))
    if event == "beside":
        both = ctx.parallel([lambda c: c.step(large), lambda c: c.step(body, "small")])
        return len(list(both.succeeded))
    return len(ctx.step(large))


@durable(name="reports")
async def a_reports(event: str, ctx: AsyncDurableContext) -> int:
    if event == "caught":
        try:
            return len(await ctx.step(large))
        except SerializationError as error:
            await ctx.sleep(600)
            return len(str(error))
    if event == "beside":
        both = await ctx.parallel([lambda c: c.step(large), lambda c: c.step(body, "small")])
        return len(list(both.succeeded))
    return len(await ctx.step(large))


both_fronts = pytest.mark.parametrize("function", [reports, a_reports], ids=["def", "async def"])


def no_objects(operation: str, arguments: dict[str, Any]) -> Exception | None:
    return denied(operation) if operation == "PutObject" else None


@both_fronts
def test_a_bucket_that_refuses_fails_the_step_once_with_the_reason(
    cloud: LocalCloud, failing: Any, function: DurableFunction[Any, Any]
) -> None:
    cloud.attach(function)
    failing(no_objects)
    id = cloud.client.start(function, "")
    cloud.advance(60)
    info = cloud.client.describe(id)
    assert info.status == "FAILED"
    assert info.error is not None
    assert "'large' could not be stored" in info.error["message"]
    assert "no right to call PutObject on the bucket 'durable-fn-values'" in info.error["message"]
    assert BODIES == ["large"], "its effect has happened: it is not repeated"
    (event,) = [event for event in cloud.client.history(id) if event.kind == "step"]
    assert event.status == "FAILED"


@both_fronts
def test_the_handler_may_catch_it_and_a_replay_sees_the_same(
    cloud: LocalCloud, failing: Any, function: DurableFunction[Any, Any]
) -> None:
    cloud.attach(function)
    failing(no_objects)
    id = cloud.client.start(function, "caught")
    cloud.advance(700)
    assert cloud.client.result(id) > 100
    assert BODIES == ["large"]


@both_fronts
def test_what_is_written_beside_it_is_not_to_blame(
    cloud: LocalCloud, failing: Any, function: DurableFunction[Any, Any]
) -> None:
    cloud.attach(function)
    failing(no_objects)
    id = cloud.client.start(function, "beside")
    cloud.advance(60)
    steps = {event.name: event.status for event in cloud.client.history(id) if event.kind == "step"}
    assert steps.get("large") == "FAILED"
    assert steps.get("body", "SUCCEEDED") == "SUCCEEDED"


@pytest.mark.parametrize("kind", ["result", "next generation"])
def test_a_result_that_the_bucket_refuses_fails_the_execution(cloud: LocalCloud, failing: Any, kind: str) -> None:
    @durable(name="makes")
    def makes(event: Any, ctx: DurableContext) -> str:
        text = random.Random(1).randbytes(400_000).hex()
        if kind != "result":
            ctx.continue_as_new(text)
        return text

    cloud.attach(makes)
    failing(no_objects)
    id = cloud.client.start(makes, None)
    cloud.advance(60)
    info = cloud.client.describe(id)
    assert info.status == "FAILED"
    assert info.error is not None
    assert "'makes' could not be stored" in info.error["message"]
    assert "PutObject" in info.error["message"]


def test_what_no_step_made_is_tried_again_with_the_reason_shown(cloud: LocalCloud, failing: Any) -> None:
    """A call's input: nothing has happened yet, so it may go on when the bucket takes it."""
    on = [True]

    @durable(name="asks")
    def asks(event: Any, ctx: DurableContext) -> int:
        return ctx.call(sized, random.Random(1).randbytes(400_000).hex())

    @durable(name="sized")
    def sized(event: str, ctx: DurableContext) -> int:
        return len(event)

    cloud.attach(asks)
    cloud.attach(sized)
    failing(lambda operation, arguments: no_objects(operation, arguments) if on[0] else None)
    id = cloud.client.start(asks, None)
    cloud.advance(60)
    info = cloud.client.describe(id)
    assert info.status == "SUSPENDED"
    assert info.error is not None
    assert "PutObject" in info.error["message"]
    on[0] = False
    cloud.advance(3700)
    assert cloud.client.result(id) == 800_000


def test_a_step_of_options_is_no_exception(cloud: LocalCloud, failing: Any) -> None:
    """At most once, and with `raises`."""

    @step(semantics="at_most_once", raises=(ValueError,))
    def once() -> str:
        return large()

    @durable(name="careful")
    def careful(event: Any, ctx: DurableContext) -> str:
        return ctx.step(once)

    cloud.attach(careful)
    failing(no_objects)
    id = cloud.client.start(careful, None)
    cloud.advance(60)
    info = cloud.client.describe(id)
    assert info.error is not None
    assert (info.status, "PutObject" in info.error["message"], BODIES) == ("FAILED", True, ["large"])


def test_a_client_is_told_at_once(cloud: LocalCloud, failing: Any, caplog: pytest.LogCaptureFixture) -> None:
    cloud.attach(reports)
    failing(no_objects)
    with caplog.at_level(logging.ERROR), pytest.raises(Exception, match="PutObject"):
        cloud.client.start(reports, random.Random(1).randbytes(400_000).hex(), id="x")
    assert list(cloud.client.list()) == []


class Full:
    """A place for large values that takes none."""

    def put(self, key: str, data: bytes) -> None:
        raise BlobRefused("it is full")

    def get(self, key: str) -> bytes:
        raise KeyError(key)

    def delete(self, prefix: str) -> None: ...


@pytest.mark.parametrize("moved", [False, True])
def test_a_decision_is_not_to_blame_for_what_is_written_before_it(moved: bool) -> None:
    """What nearly fills an item does not fit one when it is sealed."""
    noise = "".join(
        random.Random(1).choices(string.ascii_letters + string.digits + "!#$%&()*+,-./:;<=>?@[]^_`{|}~", k=385_000)
    )
    bench = Bench(works)
    bench.start()
    store = PackedStore(bench.sqlite, AesGcm(bytes(32)), Full())
    backend = Backend(store, bench.hints, bench.clock, "sqlite")
    owned = store.acquire("x", Lease("w", START, START + 60_000))
    assert isinstance(owned, Header)
    turn = Turn(owned, Journal([]), "w", bench.clock.now, max_body=store.max_body, fits=store.fits)
    session = Session(turn, backend, START + 60_000, 60_000, ())
    steps = [
        Event("large", "step", 0, "S", 1, START, value=json.dumps(noise)),
        Event("small", "step", 1, "S", 1, START, value="1"),
    ]
    decision = Decide(Event("s", "signal", 2, "F", 1, START), turn.inbox.version)
    if moved:
        assert isinstance(bench.sqlite.deliver(bench.header(), Entry("k", "o", "d", "1"), START), Header)
    assert store.fits(events_body([*steps, decision.event])), "they are one part"
    assert session.decide_on(steps, decision) == ([] if moved else None), "the steps need not be written once more"
    loaded = store.load(owned.key)
    assert loaded is not None
    lines = [line.split("\t")[::3] for segment in loaded.segments for line in segment.body.splitlines()]
    assert [(id, status) for id, status, *_ in lines] == [("large", "F"), ("small", "S"), ("s", "F")][
        : 2 if moved else 3
    ]
    assert turn.closed is None
