"""The budget of the protocol, counted on the wire: every botocore request, and the capacity DynamoDB would charge."""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from durable_fn import AsyncDurableContext, DurableContext, DurableFunction, RetryPolicy, current_step, durable, step
from durable_fn.codecs import KmsAesGcm
from durable_fn.log.header import Header
from durable_fn.testing.cloud import LocalCloud
from durable_fn.testing.moto_wire import Request
from durable_fn.types import ExecutionFilter


def work(n: int) -> int:
    return n


@durable(name="straight")
def straight(event: int, ctx: DurableContext) -> int:
    return sum(ctx.step(work, n) for n in range(event))


@durable(name="straight")
async def a_straight(event: int, ctx: AsyncDurableContext) -> int:
    return sum([await ctx.step(work, n) for n in range(event)])


@durable(name="naps")
def naps(event: float, ctx: DurableContext) -> int:
    ctx.step(work, 1)
    ctx.sleep(event)
    return ctx.step(work, 2)


@durable(name="naps")
async def a_naps(event: float, ctx: AsyncDurableContext) -> int:
    await ctx.step(work, 1)
    await ctx.sleep(event)
    return await ctx.step(work, 2)


@step(retry=RetryPolicy(max_attempts=3, initial_delay=30, jitter="none"))
def fails_once() -> int:
    if current_step().attempt == 1:
        raise ConnectionError("once")
    return 1


@durable(name="retries")
def retries(event: None, ctx: DurableContext) -> int:
    return ctx.step(fails_once)


@step(semantics="at_most_once")
def once() -> int:
    return 1


@durable(name="once")
def at_most_once(event: None, ctx: DurableContext) -> int:
    return ctx.step(once)


@durable(name="draws")
def draws(event: None, ctx: DurableContext) -> str:
    ctx.now(), ctx.random()
    ctx.logger.info("nothing")
    return str(ctx.uuid4())


FUNCTIONS = (straight, naps, retries, at_most_once, draws)
fronts = pytest.mark.parametrize("front", ["def", "async def"])


@pytest.fixture
def cloud() -> Iterator[LocalCloud]:
    with LocalCloud() as cloud:
        for function in FUNCTIONS:
            cloud.attach(function)
        cloud.requests.clear()
        yield cloud


def actions(requests: list[Request]) -> Counter[str]:
    return Counter(request.action for request in requests)


def index_units(requests: list[Request]) -> tuple[float, float]:
    """Of the index of due times, and of the one for lists."""
    lists = sum(request.listing_units for request in requests)
    return sum(request.index_units for request in requests) - lists, lists


def direct(cloud: LocalCloud, function: DurableFunction[Any, Any], event: Any) -> str:
    cloud.attach(function)
    return str(cloud.invoke(function, event)["execution_id"])


@fronts
@pytest.mark.parametrize("steps", [0, 1, 10, 100])
def test_a_straight_run_by_the_lambda_event(cloud: LocalCloud, front: str, steps: int) -> None:
    direct(cloud, straight if front == "def" else a_straight, steps)
    requests = cloud.requests
    assert actions(requests) == {"PutItem": steps + 1, "UpdateItem": 1}, "N + 2 writes, no reads, no messages"
    assert [request.units for request in requests] == [1] * (steps + 2)
    assert index_units(requests) == (2, 3), "due: start and end; lists: start, and a move at the end"
    cloud.advance(3600)
    assert len(cloud.requests) == steps + 2, "and nothing comes after"


@fronts
def test_a_straight_run_by_the_client(cloud: LocalCloud, front: str) -> None:
    cloud.attach(straight if front == "def" else a_straight)
    id = cloud.client.start(straight, 10)
    assert cloud.run(id).status == "SUCCEEDED"
    assert actions(cloud.requests) == {"PutItem": 11, "UpdateItem": 2, "SendMessage": 1}, "N + 3 writes and 1 message"
    assert sum(request.units for request in cloud.requests) == 13
    assert index_units(cloud.requests) == (2, 3)


class Kms:
    """What KMS answers, in KMS's own size: moto's wrapped keys have half of it."""

    def generate_data_key(self, **_: Any) -> dict[str, bytes]:
        key = secrets.token_bytes(32)
        return {"Plaintext": key, "CiphertextBlob": secrets.token_bytes(152) + key}

    def decrypt(self, *, CiphertextBlob: bytes, **_: Any) -> dict[str, bytes]:
        return {"Plaintext": CiphertextBlob[-32:]}


@fronts
def test_encryption_by_kms_costs_no_units(front: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A header carries the wrapped data key three times: of its secret, its input and its result."""
    function = straight if front == "def" else a_straight
    monkeypatch.setattr("durable_fn.wiring._codec", KmsAesGcm("alias/journal", client=Kms()))
    with LocalCloud() as cloud:
        direct(cloud, function, 10)
        assert [request.units for request in cloud.requests] == [1] * 12


@fronts
@pytest.mark.parametrize("seconds", [5, 300, 899])
def test_a_sleep(cloud: LocalCloud, front: str, seconds: float) -> None:
    function = naps if front == "def" else a_naps
    id = direct(cloud, function, seconds)
    before = [*cloud.requests]
    assert actions(before) == {"PutItem": 3, "UpdateItem": 1, "SendMessage": 1}, "suspend: 2 writes, 1 message"
    assert cloud.run(id).status == "SUCCEEDED"
    after = cloud.requests[len(before) :]
    assert actions(after) == {"UpdateItem": 2, "Query": 1, "PutItem": 1}, (
        "resume: 1 write, 1 query; then the step, the end"
    )
    assert sum(request.units for request in cloud.requests) == 8
    assert index_units(cloud.requests) == (4, 3), (
        "due: start, suspend (moved), end; lists know of no suspend and no resume"
    )


def test_a_sleep_with_nothing_after_it(cloud: LocalCloud) -> None:
    """Its end is not written: the execution's own end tells."""

    @durable(name="naps")
    def only(event: float, ctx: DurableContext) -> None:
        ctx.sleep(event)

    id = direct(cloud, only, 300)
    assert actions(cloud.requests) == {"PutItem": 2, "UpdateItem": 1, "SendMessage": 1}
    assert cloud.run(id).status == "SUCCEEDED"
    assert actions(cloud.requests) == {"PutItem": 2, "UpdateItem": 3, "SendMessage": 1, "Query": 1}
    history = [(e.kind, e.status) for e in cloud.client.history(id) if e.kind != "execution"]
    assert history == [("sleep", "STARTED"), ("sleep", "SUCCEEDED")]


@fronts
def test_a_sleep_above_fifteen_minutes(cloud: LocalCloud, front: str) -> None:
    function = naps if front == "def" else a_naps
    id = direct(cloud, function, 30 * 86_400)
    assert actions(cloud.requests) == {"PutItem": 3, "UpdateItem": 1, "CreateSchedule": 1}
    began = cloud.now()
    assert cloud.run(id).status == "SUCCEEDED"
    assert cloud.now() - began == timedelta(days=30)
    assert actions(cloud.requests) == {
        "PutItem": 4, "UpdateItem": 3, "Query": 1, "CreateSchedule": 1, "SendMessage": 1,
        "GetItem": 1,  # the schedule's message comes early: it is looked at before it costs another one
    }  # fmt: skip


def test_lists_are_told_of_being_held_and_going_on_and_of_nothing_between(cloud: LocalCloud) -> None:
    id = cloud.client.start(straight, 2)
    assert index_units(cloud.requests)[1] == 1
    cloud.attach(naps)
    header = cloud.store.get(cloud.client.start(naps, 60, id="nap"))
    assert header is not None
    cloud.run_until_idle()
    cloud.requests.clear()

    @durable(name="naps")
    def other(event: float, ctx: DurableContext) -> int:
        ctx.sleep(event)
        return ctx.step(work, 2)

    cloud.attach(other)
    cloud.advance(61)
    assert cloud.client.describe("nap").held
    assert index_units(cloud.requests)[1] == 2, "from live to held"
    cloud.advance(31)
    assert index_units(cloud.requests)[1] == 2, "it was tried again, and is held as before"
    cloud.attach(naps)
    cloud.requests.clear()
    cloud.client.redrive("nap")
    assert index_units(cloud.requests)[1] == 4, "to live; a transaction costs twice as much"
    assert cloud.run("nap").status == "SUCCEEDED"
    assert index_units(cloud.requests)[1] == 6, "and to ended"
    assert cloud.client.describe(id).status == "SUCCEEDED"


def test_a_page_of_a_list_reads_a_bounded_number_of_units(cloud: LocalCloud) -> None:
    """64 queries (4 states in 16 shards) and a header each; a filter that no index has reads no more than twice as many."""
    for n in range(300):
        cloud.store.create(header_of(n))
    cloud.requests.clear()
    page = cloud.client.page(limit=50)
    assert [info.id for info in page.executions] == [f"id-{n:03}" for n in reversed(range(250, 300))]
    assert actions(cloud.requests) == {"Query": 64, "BatchGetItem": 1}
    assert sum(request.units for request in cloud.requests) <= 64 * 0.5 + 50 * 0.5
    cloud.requests.clear()
    failed = cloud.client.page(ExecutionFilter(status="FAILED"), limit=50)
    assert actions(cloud.requests) == {"Query": 16}
    assert (failed.executions, failed.cursor) == ([], None)
    cloud.requests.clear()
    rare = ExecutionFilter(updated_after=cloud.now() + timedelta(days=1))
    page = cloud.client.page(rare, limit=50)
    assert page.executions == []
    assert page.cursor is not None, "there may be more"
    assert actions(cloud.requests)["BatchGetItem"] == 2
    assert sum(request.units for request in cloud.requests) <= 110


def header_of(n: int) -> Header:
    return Header(f"id-{n:03}", "straight", f"r{n}", "s", "PENDING", 1_767_225_600_000 + n, 1_800_000_000, "h", "1")


def test_a_retry_is_one_segment_and_a_suspend(cloud: LocalCloud) -> None:
    id = direct(cloud, retries, None)
    assert actions(cloud.requests) == {"PutItem": 2, "UpdateItem": 1, "SendMessage": 1}
    assert cloud.run(id).status == "SUCCEEDED"
    assert actions(cloud.requests) == {"PutItem": 3, "UpdateItem": 3, "SendMessage": 1, "Query": 1}


def test_at_most_once_is_two_segments(cloud: LocalCloud) -> None:
    direct(cloud, at_most_once, None)
    assert actions(cloud.requests) == {"PutItem": 3, "UpdateItem": 1}


def test_draws_cost_nothing(cloud: LocalCloud) -> None:
    direct(cloud, draws, None)
    assert actions(cloud.requests) == {"PutItem": 1, "UpdateItem": 1}


def test_concurrent_steps_share_segments(cloud: LocalCloud) -> None:
    """Branches whose results come together are committed together."""

    @durable(name="wide")
    async def wide(event: int, ctx: AsyncDurableContext) -> int:
        import asyncio

        async def one(n: int) -> int:
            return n

        return sum(await asyncio.gather(*(ctx.step(one, n) for n in range(event))))

    direct(cloud, wide, 200)
    assert actions(cloud.requests)["PutItem"] <= 1 + 20


@fronts
def test_the_second_start_of_a_finished_id_costs_a_write_that_fails_and_a_read(cloud: LocalCloud, front: str) -> None:
    function = straight if front == "def" else a_straight
    cloud.attach(function)
    cloud.invoke(function, 3, request_id="again")
    cloud.requests.clear()
    assert cloud.invoke(function, 3, request_id="again")["result"] == 3
    assert sum(request.is_write for request in cloud.requests) == 1
    assert not any(request.is_message for request in cloud.requests)


@pytest.mark.parametrize("steps", [100, 500])
def test_requests_grow_with_the_steps_and_no_faster(cloud: LocalCloud, steps: int) -> None:
    """The history is read once per turn and written once per step: nothing is quadratic."""
    direct(cloud, straight, steps)
    assert len(cloud.requests) == steps + 2
    assert sum(request.units for request in cloud.requests) == steps + 2


@durable(name="fan")
def fan(event: int, ctx: DurableContext) -> int:
    def one(c: DurableContext, n: int) -> int:
        return c.step(work, n)

    return sum(ctx.map(one, range(event)).results)


@durable(name="fan")
async def a_fan(event: int, ctx: AsyncDurableContext) -> int:
    async def one(c: AsyncDurableContext, n: int) -> int:
        return await c.step(work, n)

    return sum((await ctx.map(one, range(event))).results)


@pytest.mark.parametrize("handler", [fan, a_fan])
def test_a_map_of_a_thousand_items_takes_a_tenth_of_the_writes(
    cloud: LocalCloud, handler: DurableFunction[int, int]
) -> None:
    direct(cloud, handler, 1000)
    assert sum(request.is_write for request in cloud.requests) <= 100


def test_a_commit_does_not_wait_for_bodies_that_run_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits while threads may come; one whose body has run for a while is none of them."""
    from durable_fn.runtime.activity import Activity

    release, begun, looks = threading.Event(), threading.Semaphore(0), []
    may_come = Activity.may_come

    def seen(activity: Activity) -> int:
        looks.append(may_come(activity))
        return looks[-1]

    def long() -> int:
        begun.release()
        release.wait(30)
        return 0

    @durable(name="long")
    def handler(event: int, ctx: DurableContext) -> Any:
        def quick(c: DurableContext) -> int:
            for _ in range(3):
                assert begun.acquire(timeout=30)
            time.sleep(0.05)  # by now the others' bodies have run for a while
            looks.clear()
            c.step(work, 1)
            release.set()
            return 1

        return ctx.parallel([quick, *[lambda c: c.step(long)] * 3]).results

    monkeypatch.setattr(Activity, "may_come", seen)
    with LocalCloud() as cloud:
        direct(cloud, handler, 0)
    assert looks
    assert looks[0] == 1, "only itself"
