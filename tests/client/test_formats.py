"""Executions whose journal has another format: held with both numbers named, left as they are, and ended from outside."""

from __future__ import annotations

import json
from typing import Any

import pytest

from durable_fn import AsyncDurableContext, DurableClient, DurableContext, DurableFunction, durable
from durable_fn.codecs import AesGcm
from durable_fn.errors import CallbackError, CallTimeout, ExecutionConflict, ExecutionNotFound, FormatError
from durable_fn.log.events import Segment
from durable_fn.log.formats import JOURNAL, UNNUMBERED
from durable_fn.log.header import Header
from durable_fn.sweeper import sweep
from durable_fn.testing import LocalRunner
from durable_fn.testing.cloud import LocalCloud
from durable_fn.triggers.direct import answer as answer_of
from tests.effects import EFFECTS, effect
from tests.environments import AwsWorld, SqliteWorld, World
from tests.foreign import NEWER, OLDER, log_of, renumber
from tests.intercepted import Bench
from tests.triggers.samples import sample

BOTH = pytest.mark.parametrize("number", [OLDER, NEWER], ids=["older", "newer"])
TOKENS: list[str] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    TOKENS.clear()


@durable(name="waits")
def waits(event: Any, ctx: DurableContext) -> Any:
    ctx.set_status("waiting")
    first = ctx.step(effect, "first")
    ctx.sleep(60)
    return [
        first,
        ctx.step(effect, "second"),
        ctx.wait_for_callback(TOKENS.append, name="c"),
        ctx.wait_for_signal("go"),
    ]


@durable(name="waits")
async def a_waits(event: Any, ctx: AsyncDurableContext) -> Any:
    await ctx.set_status("waiting")
    first = await ctx.step(effect, "first")
    await ctx.sleep(60)
    second = await ctx.step(effect, "second")
    answer = await ctx.wait_for_callback(TOKENS.append, name="c")
    return [first, second, answer, await ctx.wait_for_signal("go")]


def header(world: World, id: str = "x") -> Header:
    found = world.backend.store.head(id)
    assert found is not None
    return found


def started(world: World, function: DurableFunction[Any, Any] = waits, event: Any = "e", id: str = "x") -> str:
    """An execution that sleeps, and does not go on before somebody lets time pass."""
    if isinstance(world, AwsWorld):
        world.cloud.attach(function)
        world.client.start(function, event, id=id)
        world.cloud.run_until_idle()
    else:
        assert isinstance(world, SqliteWorld)
        runner = world.runner(function)
        runner.start(event, id)
        runner.run_until_idle()
    return id


def said(number: int | None) -> tuple[str, str]:
    """Both numbers, as an error names them."""
    written = UNNUMBERED if number is None else number
    return f"has format {written};", f"reads and writes format {JOURNAL}."


# -- held ----------------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("function", [waits, a_waits], ids=["def", "async def"])
def test_it_is_held_shows_both_numbers_and_goes_on_where_its_own_version_runs(
    world: World, function: DurableFunction[Any, Any], number: int | None
) -> None:
    id = started(world, function)
    renumber(world.backend, id, number)
    before = log_of(world.backend, id)
    world.advance(600)
    info = world.client.describe(id)
    assert (info.status, info.custom_status, info.input, info.next_due_at is None) == ("SUSPENDED", None, None, False)
    assert info.error is not None
    assert info.error["error_type"] == "durable_fn.errors.FormatError"
    assert info.error["data"] == {"written": number or UNNUMBERED, "expected": JOURNAL}
    for words in (*said(number), "'x'", "'waits'", "deploy that version again", "terminate the execution, purge it"):
        assert words in info.error["message"]
    assert ("A newer" if number else "An older") in info.error["message"]
    assert log_of(world.backend, id) == before, "nothing was written into it"
    assert EFFECTS == ["first"], "nothing ran"
    renumber(world.backend, id, JOURNAL)
    world.advance(3600)
    assert world.client.describe(id).error is None
    world.client.complete_callback(TOKENS[0], "answer")
    world.client.signal(id, "go", 1)
    world.advance(60)
    assert world.client.result(id) == ["first", "second", "answer", 1]
    assert EFFECTS == ["first", "second"]


def test_it_is_tried_again_with_growing_delays_up_to_an_hour(sqlite_world: SqliteWorld) -> None:
    started(sqlite_world)
    renumber(sqlite_world.backend, "x", NEWER)
    sqlite_world.advance(60)
    delays = []
    for _ in range(10):
        due = header(sqlite_world).due
        assert due is not None
        delays.append((due - sqlite_world.backend.clock.now()) / 1000)
        sqlite_world.advance(delays[-1])
    assert delays == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600]


@BOTH
def test_a_runner_stops_at_it(number: int | None) -> None:
    with LocalRunner(waits) as runner:
        execution = runner.start(None, "x")
        runner.run_until_idle()
        renumber(runner.backend, "x", number, junk=True)
        runner.run_on(execution)
        error = execution.error
        assert isinstance(error, FormatError)
        assert (error.written, error.expected, error.execution_id) == (number or UNNUMBERED, JOURNAL, "x")
        with pytest.raises(FormatError):
            execution.result


def test_a_cloud_stops_at_it(aws_world: AwsWorld) -> None:
    started(aws_world)
    renumber(aws_world.backend, "x", NEWER, junk=True)
    assert aws_world.cloud.run("x").strikes == 1
    assert not aws_world.cloud.deaths


@BOTH
def test_beside_it_others_go_on(world: World, number: int | None) -> None:
    started(world, id="x")
    renumber(world.backend, "x", number, junk=True)
    started(world, id="y")
    world.advance(120)
    assert EFFECTS == ["first", "first", "second"]
    shown = {info.id: (info.status, info.error is None) for info in world.client.list()}
    assert shown == {"x": ("SUSPENDED", False), "y": ("SUSPENDED", True)}
    assert [info.id for info in world.client.list(name="waits", status="SUSPENDED")] == ["y", "x"]


@BOTH
def test_it_is_described_before_anybody_tried(world: World, number: int | None) -> None:
    started(world)
    renumber(world.backend, "x", number, junk=True)
    info = world.client.describe("x")
    assert (info.status, info.name, info.invocations) == ("SUSPENDED", "waits", 1)
    assert info.error is not None
    assert all(words in info.error["message"] for words in said(number))
    assert [row.id for row in world.client.list()] == ["x"]


def test_the_sweeper_finds_it(aws_world: AwsWorld) -> None:
    """Whoever loses its messages is as well off as before."""
    started(aws_world)
    renumber(aws_world.backend, "x", NEWER, junk=True)
    aws_world.cloud._moto_queue(aws_world.cloud.queue_url(waits))._messages.clear()
    aws_world.cloud.clock.sleep(100)
    report = sweep(aws_world.backend)
    assert (report.sent, report.failed) == (1, 0)
    aws_world.cloud.advance(60)
    assert header(aws_world).strikes >= 1


def test_months_of_being_held_lose_nothing(aws_world: AwsWorld) -> None:
    @durable(name="patient", retention=0)
    def patient(event: Any, ctx: DurableContext) -> Any:
        first = ctx.step(effect, "x" * 3000)
        return [len(event), len(first), ctx.wait_for_signal("go"), ctx.wait_for_signal("go")]

    cloud = aws_world.cloud
    cloud.attach(patient)
    cloud.client.start(patient, "e" * 5000, id="x")
    cloud.client.signal("x", "go", 1)
    cloud.run_until_idle()
    end = cloud.store.tail(header(aws_world))
    renumber(cloud.backend, "x", NEWER)
    cloud.client.cancel("x")  # wakes it
    for _ in range(30):
        cloud._pass_time(cloud.clock.now() + 3 * 86_400_000)
        cloud.run_until_idle()
    assert header(aws_world).strikes > 20
    assert not cloud.deaths
    renumber(cloud.backend, "x", JOURNAL)
    loaded = cloud.backend.store.load(header(aws_world).key)
    assert loaded is not None
    assert loaded.header.input == json.dumps("e" * 5000)
    assert len(loaded.segments) == end > 0
    assert len(loaded.inbox) == 2
    cloud.advance(3600)
    assert cloud.client.describe("x").status == "CANCELLED"


@pytest.mark.parametrize("died", [False, True])
def test_whoever_is_held_after_a_death_leaves_the_fence_to_the_next(died: bool) -> None:
    """A stale owner may still have an append under way: the next one's first write fences it, whoever looked in between."""
    bench = Bench(waits)
    bench.start()

    def ends(*_: Any) -> None:
        raise KeyboardInterrupt

    if died:
        bench.store.before["append"] = ends
        with pytest.raises(KeyboardInterrupt):
            bench.resume()
        bench.clock.sleep(100)
    renumber(bench.backend.__class__(bench.sqlite, bench.hints, bench.clock, "sqlite"), "x", NEWER)  # type: ignore[arg-type]
    for n in range(1, 4):
        bench.resume()
        assert (bench.header().strikes, bench.header().status, bench.bodies()) == (n, "SUSPENDED", [])
        bench.clock.sleep(1000)
    renumber(bench.backend.__class__(bench.sqlite, bench.hints, bench.clock, "sqlite"), "x", JOURNAL)  # type: ignore[arg-type]
    bench.resume()
    assert ("handover" in bench.bodies()[0]) is died


def test_a_reply_that_is_lost_holds_it_once() -> None:
    bench = Bench(waits)
    bench.start()
    renumber(bench.backend.__class__(bench.sqlite, bench.hints, bench.clock, "sqlite"), "x", NEWER)  # type: ignore[arg-type]
    bench.store.after["suspend"] = lambda *args: bench.sqlite.suspend(*args)  # sent twice
    bench.resume()
    assert bench.header().strikes == 1
    assert len(bench.hints.sent) == 1


# -- ended from outside --------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("tried", [False, True], ids=["untried", "held"])
def test_it_is_terminated_and_purged(world: World, number: int | None, tried: bool) -> None:
    started(world)
    renumber(world.backend, "x", number, junk=True)
    if tried:
        world.advance(120)
    with pytest.raises(ExecutionConflict, match="cancel or terminate it first"):
        world.client.purge("x")
    world.client.terminate("x", "enough")
    world.client.terminate("x", "again")
    info = world.client.describe("x")
    assert (info.status, info.input) == ("TERMINATED", None)
    assert info.error is not None
    assert info.error["message"] == "terminated: enough"
    world.advance(3600)
    assert EFFECTS == ["first"]
    world.client.purge("x")
    with pytest.raises(ExecutionNotFound):
        world.client.describe("x")
    assert log_of(world.backend, "x") == []
    started(world)
    assert header(world).format == JOURNAL


@BOTH
def test_a_stale_owner_of_the_other_version_is_fenced_by_its_end(world: World, number: int | None) -> None:
    started(world)
    renumber(world.backend, "x", number)
    end = world.backend.store.tail(header(world))
    assert end == len(log_of(world.backend, "x")) > 0
    world.client.terminate("x")
    assert not world.backend.store.append(header(world), Segment(end, "stale", "what the owner had under way"))
    assert world.backend.store.tail(header(world)) == end + 1


def test_its_end_is_told_to_who_waits_for_it(world: World) -> None:
    @durable(name="calls")
    def calls(event: Any, ctx: DurableContext) -> Any:
        return ctx.call("waits", None, id="kid")

    if isinstance(world, AwsWorld):
        world.cloud.attach(waits)
        started(world, calls)
    else:
        assert isinstance(world, SqliteWorld)
        world._runners["calls"] = LocalRunner(calls, waits)
        started(world, calls)
    for id in ("x", "kid"):
        renumber(world.backend, id, NEWER)
    world.client.terminate("kid", "enough")
    renumber(world.backend, "x", JOURNAL)  # the version that wrote them is back
    world.advance(3600)
    info = world.client.describe("x")
    assert info.status == "FAILED"
    assert info.error is not None
    assert "ended TERMINATED" in info.error["message"]


@BOTH
def test_an_end_that_another_version_wrote_is_shown_and_not_read(world: World, number: int | None) -> None:
    @durable(name="quick")
    def quick(event: Any, ctx: DurableContext) -> Any:
        if event == "fail":
            raise ValueError("no")
        return ctx.step(effect, "first")

    for event in ("well", "fail"):
        started(world, quick, event, id=event)
        renumber(world.backend, event, number, junk=True)
    well, fail = world.client.describe("well"), world.client.describe("fail")
    assert (well.status, well.error, fail.status) == ("SUCCEEDED", None, "FAILED")
    assert fail.error is not None
    assert fail.error["message"] == "no"
    for id in ("well", "fail"):
        with pytest.raises(FormatError, match=f"has format {number or UNNUMBERED}"):
            world.client.result(id)
        with pytest.raises(FormatError, match="purge it, and start it anew"):
            world.client.redrive(id, from_step="effect")
        world.client.purge(id)


# -- what is not written into it -----------------------------------------------------------------------------------


@BOTH
def test_signals_and_answers_are_refused(world: World, number: int | None) -> None:
    started(world)
    world.advance(60)
    (token,) = TOKENS
    renumber(world.backend, "x", number, junk=True)
    before = log_of(world.backend, "x")
    written = f"has format {number or UNNUMBERED}; this version .* format {JOURNAL}"
    with pytest.raises(FormatError, match=written):
        world.client.signal("x", "go", 1)
    for ask in (
        lambda: world.client.complete_callback(token, 1),
        lambda: world.client.fail_callback(token, "no"),
        lambda: world.client.heartbeat_callback(token),
    ):
        with pytest.raises(CallbackError, match=written):
            ask()
    with pytest.raises(CallbackError, match="unknown callback token"):
        world.client.complete_callback(token[:-1], 1)
    assert log_of(world.backend, "x") == before


@BOTH
def test_history_fork_and_result_say_why_not(world: World, number: int | None) -> None:
    started(world)
    renumber(world.backend, "x", number, junk=True)
    with pytest.raises(FormatError):
        world.client.history("x")
    with pytest.raises(FormatError):
        world.client.fork("x", from_step="effect")
    with pytest.raises(CallTimeout, match="is SUSPENDED and has no result yet"):
        world.client.result("x")
    with pytest.raises(ExecutionConflict, match="SUSPENDED: there is nothing to redrive"):
        world.client.redrive("x")


def test_a_cancellation_is_kept_for_the_version_that_reads_it(world: World) -> None:
    started(world)
    renumber(world.backend, "x", NEWER)
    world.client.cancel("x", "not needed")
    world.client.cancel("x", "asked twice")
    assert header(world).cancel
    world.advance(120)
    assert world.client.describe("x").status == "SUSPENDED"
    renumber(world.backend, "x", JOURNAL)
    world.advance(3600)
    info = world.client.describe("x")
    assert info.status == "CANCELLED"
    assert info.error is not None
    assert "not needed" in info.error["message"]


def test_a_redrive_tries_a_held_one_at_once(world: World) -> None:
    started(world)
    renumber(world.backend, "x", NEWER, junk=True)
    world.advance(8000)
    tried = header(world).strikes
    world.client.redrive("x")
    world.advance(1)
    assert (tried > 3, header(world).strikes) == (True, 1)
    assert world.client.describe("x").status == "SUSPENDED"


# -- started again -------------------------------------------------------------------------------------------------


@BOTH
def test_the_same_start_attaches_and_another_conflicts(world: World, number: int | None) -> None:
    started(world)
    renumber(world.backend, "x", number, junk=True)
    assert world.client.start(waits, "e", id="x") == "x"
    with pytest.raises(FormatError, match="'x'"):
        world.client.start(waits, "else", id="x")
    with pytest.raises(ExecutionConflict, match="if_exists is 'reject'"):
        world.client.start(waits, "e", id="x", if_exists="reject")
    with pytest.raises(ExecutionConflict, match="in use by the durable function 'waits', not 'others'"):
        world.client.start("others", "e", id="x")
    world.advance(120)
    assert EFFECTS == ["first"]


@durable(name="keyed", execution_id="id")
def keyed(event: dict[str, str], ctx: DurableContext) -> Any:
    ctx.step(effect, "first")
    return ctx.wait_for_signal("go")


@durable(name="keyed", execution_id="id", envelope=False)
def raw(event: dict[str, str], ctx: DurableContext) -> Any:
    return keyed.__wrapped__(event, ctx)


@BOTH
def test_a_direct_invocation_is_told_that_it_is_held(world: World, number: int | None) -> None:
    assert world.invoke(keyed, {"id": "x"})["status"] == "SUSPENDED"
    renumber(world.backend, "x", number, junk=True)
    world.client.cancel("x")  # due now
    answer = world.invoke(keyed, {"id": "x"})
    assert (answer["status"], answer["error"]["error_type"]) == ("SUSPENDED", "durable_fn.errors.FormatError")
    world.client.terminate("x")
    with pytest.raises(FormatError):
        world.invoke(keyed, {"id": "x"})
    with pytest.raises(FormatError):
        answer_of(raw, header(world), None)


@BOTH
def test_a_request_over_http_is_told_so(world: World, number: int | None) -> None:
    event = sample("apigateway-v2") | {"body": '{"id": "x"}', "isBase64Encoded": False}
    event["headers"] = {"content-type": "application/json"}
    assert world.invoke(keyed, event)["statusCode"] == 202
    renumber(world.backend, "x", number, junk=True)
    world.client.cancel("x")
    assert world.invoke(keyed, event)["statusCode"] == 202
    world.client.terminate("x")
    answer = world.invoke(keyed, event)
    assert answer["statusCode"] == 409
    assert "another version" in json.loads(answer["body"])["error"]["message"]


@BOTH
def test_a_record_that_comes_again_is_done(world: World, number: int | None) -> None:
    """What it asked for exists, whoever runs it."""
    event = sample("sqs")
    event["Records"] = [event["Records"][0] | {"messageId": "x", "body": '{"id": "x"}'}]
    assert world.invoke(keyed, event) == {"batchItemFailures": []}
    renumber(world.backend, "x", number, junk=True)
    assert world.invoke(keyed, event) == {"batchItemFailures": []}
    world.client.terminate("x")
    assert world.invoke(keyed, event) == {"batchItemFailures": []}
    assert EFFECTS == ["first"]


@pytest.mark.parametrize("front", ["def", "async def"])
def test_a_call_of_it_is_refused(sqlite_world: SqliteWorld, front: str) -> None:
    """Neither could read what the other says of its end."""

    @durable(name="calls")
    def calls(event: Any, ctx: DurableContext) -> Any:
        assert ctx.send("waits", "e", id="kid") == "kid", "which exists"
        ctx.sleep(1)
        return ctx.call("waits", "e", id="kid")

    @durable(name="calls")
    async def a_calls(event: Any, ctx: AsyncDurableContext) -> Any:
        assert await ctx.send("waits", "e", id="kid") == "kid"
        await ctx.sleep(1)
        return await ctx.call("waits", "e", id="kid")

    function = calls if front == "def" else a_calls
    runner = sqlite_world._runners["calls"] = LocalRunner(function, waits)
    sqlite_world.runner(function, waits)
    runner.client.start("waits", "e", id="kid")
    runner.run_until_idle()
    renumber(runner.backend, "kid", NEWER, junk=True)
    started(sqlite_world, function, id="x")
    sqlite_world.advance(60)
    info = runner.client.describe("x")
    assert info.status == "FAILED"
    assert info.error is not None
    assert info.error["error_type"] == "durable_fn.errors.ExecutionConflict"
    assert all(words in info.error["message"] for words in said(NEWER))
    assert header(sqlite_world, "kid").parent is None


# -- which number --------------------------------------------------------------------------------------------------


def test_whatever_is_written_here_carries_the_number_of_this_version(world: World) -> None:
    @durable(name="loops")
    def loops(event: int, ctx: DurableContext) -> Any:
        ctx.step(effect, str(event))
        if event == 1:
            ctx.continue_as_new(2)
        if event == 2 and EFFECTS.count("2") == 1:
            raise ValueError("once")
        return event

    started(world, loops, 1)
    world.advance(1)
    world.client.redrive("x")
    copy = world.client.fork("x", from_step="effect")
    world.advance(1)
    assert {header(world, id).format for id in ("x", copy)} == {JOURNAL}
    assert header(world).gen == 2


def test_with_a_codec_the_reason_can_still_be_read() -> None:
    """It is not packed: neither version need know how the other does that."""
    with LocalCloud() as cloud:
        cloud.backend.store.packing.codec = AesGcm(bytes(32))  # type: ignore[attr-defined]
        cloud.attach(waits)
        cloud.client.start(waits, "e", id="x")
        cloud.backend.store.packing.codec = None  # type: ignore[attr-defined]
        renumber(cloud.backend, "x", NEWER, junk=True)
        cloud.run_until_idle()
        error = DurableClient(cloud.backend).describe("x").error
        assert error is not None
        assert error["data"] == {"written": NEWER, "expected": JOURNAL}
        stored: Any = cloud.store.table.get({"pk": {"S": "x"}, "sk": {"S": "H"}})
        assert stored["error"]["S"].startswith('{"type":"durable_fn.errors.FormatError"')
        cloud.client.terminate("x", "enough")
        cloud.client.purge("x")


def test_nothing_of_a_journal_is_read_to_end_it(aws_world: AwsWorld) -> None:
    """Of this format too: what is damaged can be ended."""
    started(aws_world, event="e" * 5000)
    table = aws_world.cloud.store.table
    for item in list(table.partition("x")):
        if item["sk"]["S"][:2] in ("V#", "L#") and not item["sk"]["S"].endswith("00000001"):
            table.delete({"pk": item["pk"], "sk": item["sk"]})
    aws_world.client.terminate("x")
    assert header(aws_world).status == "TERMINATED"
    aws_world.client.purge("x")
    assert list(table.partition("x")) == []


def test_the_end_of_a_log_that_was_copied_is_behind_the_copy(aws_world: AwsWorld) -> None:
    """Its first segments may be removed already."""
    started(aws_world)
    store = aws_world.cloud.store
    known = header(aws_world)
    known.copied = 7
    assert store.tail(known) == 7
    known.copied = 1
    assert store.tail(known) == len(log_of(aws_world.backend, "x")) > 1
