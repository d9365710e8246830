"""Each rule of the protocol that is kept by the invocation (and not by a single conditional write: those are in the store
contract). Every test here fails when its rule is taken away."""

from __future__ import annotations

from typing import Any

import pytest

from durable_fn import AsyncDurableContext, Completion, DurableContext, DurableFunction, durable, step
from durable_fn.core.turn import STALL_LIMIT
from durable_fn.errors import ExecutionConflict, StepInterrupted
from durable_fn.log.events import Segment, fence, is_fence
from durable_fn.log.header import Header, Refusal
from durable_fn.log.inbox import Entry, entry, numbered, signal_prefix
from durable_fn.log.requests import Ending, Lease, Parking
from durable_fn.runtime.executions import new_header
from durable_fn.sweeper import sweep
from tests.intercepted import START, Bench

BODIES: list[str] = []


def body(name: str) -> str:
    BODIES.append(name)
    return name


@pytest.fixture(autouse=True)
def _fresh() -> None:
    BODIES.clear()


@durable(name="two")
def sync_two(event: Any, ctx: DurableContext) -> str:
    return ctx.step(body, "a") + ctx.step(body, "b")


@durable(name="two")
async def async_two(event: Any, ctx: AsyncDurableContext) -> str:
    return await ctx.step(body, "a") + await ctx.step(body, "b")


@durable(name="nap")
def sync_nap(event: Any, ctx: DurableContext) -> str:
    ctx.sleep(600)
    return ctx.step(body, "a")


@durable(name="nap")
async def async_nap(event: Any, ctx: AsyncDurableContext) -> str:
    await ctx.sleep(600)
    return await ctx.step(body, "a")


two = pytest.mark.parametrize("function", [sync_two, async_two], ids=["sync", "async"])
nap = pytest.mark.parametrize("function", [sync_nap, async_nap], ids=["sync", "async"])


def kill(bench: Bench, request: str, *, before: bool = False, **kwargs: Any) -> None:
    """One invocation that dies at a request."""

    class Death(BaseException): ...

    def die(*args: Any) -> None:
        raise Death

    (bench.store.before if before else bench.store.after)[request] = die
    with pytest.raises(Death):
        bench.resume(**kwargs)


def expire(bench: Bench) -> None:
    """The dead owner's lease ends."""
    bench.clock.advance_to(bench.header().lease + 1)


# -- acquire and load ----------------------------------------------------------------------------------------------


@two
def test_the_lease_is_taken_before_anything_is_read(function: DurableFunction[Any, Any]) -> None:
    bench = Bench(function)
    bench.start()
    kill(bench, "append")
    expire(bench)
    bench.store.log.clear()
    assert bench.resume().status == "SUCCEEDED"
    assert bench.store.log[:3] == ["acquire", "load", "append"]
    assert BODIES == ["a", "b"]


@two
def test_a_first_turn_reads_nothing(function: DurableFunction[Any, Any]) -> None:
    bench = Bench(function)
    bench.start()
    bench.resume()
    assert bench.store.log == ["acquire", "append", "append", "complete"]


@two
def test_an_incomplete_inbox_is_read_again_before_anything_runs(function: DurableFunction[Any, Any]) -> None:
    bench = Bench(function)
    bench.start()
    entry = Entry("signal/1", "w", "d", "null")
    bench.sqlite.deliver(bench.header(), entry, START)

    def torn(*args: Any) -> Any:
        assert BODIES == []
        loaded = bench.sqlite.load(*args)
        assert loaded is not None
        loaded.inbox.clear()  # the transaction's entry is not visible yet
        return loaded

    bench.store.after["load"] = torn
    assert bench.resume().status == "SUCCEEDED"
    assert bench.store.log[:3] == ["acquire", "load", "load"]


@two
def test_every_invocation_has_its_own_writer(function: DurableFunction[Any, Any]) -> None:
    """Lambda's asynchronous retries keep the request id: it must not pass for the same owner."""
    bench = Bench(function)
    bench.start()
    kill(bench, "append", request_id="same")
    assert isinstance(bench.resume(request_id="same"), Refusal), "the lease of the first attempt still holds"
    expire(bench)
    assert bench.resume(request_id="same").status == "SUCCEEDED"
    assert BODIES == ["a", "b"]


# -- fences and clocks ---------------------------------------------------------------------------------------------


@two
def test_a_new_owner_fences_a_stale_append(function: DurableFunction[Any, Any]) -> None:
    """The dead owner's last append lands after the new owner's read: without a fence its step would run again and the
    late segment would be the linear log's next one."""
    bench = Bench(function)
    bench.start()
    late: list[tuple[Any, ...]] = []
    bench.store.before["append"] = lambda *args: late.append(args)

    class Death(BaseException): ...

    def die(*args: Any) -> None:
        raise Death

    def hold_back(header: Header, segment: Segment) -> None:
        late.append((header, segment))
        raise Death

    bench.store.before["append"] = hold_back
    with pytest.raises(Death):
        bench.resume()
    expire(bench)
    header, segment = late[0]

    def lands(*args: Any) -> None:
        assert bench.sqlite.append(header, segment) is False, "the fence has taken the sequence number"

    def when_body_runs(*args: Any) -> None:
        bench.store.before["append"] = lands

    bench.store.after["append"] = when_body_runs  # right after the fence
    assert bench.resume().status == "SUCCEEDED"
    assert is_fence(bench.bodies()[0])
    assert len(bench.bodies()) == 3


@two
def test_a_stale_append_that_is_faster_than_the_fence_is_read(function: DurableFunction[Any, Any]) -> None:
    bench = Bench(function)
    bench.start()
    late: list[tuple[Any, ...]] = []

    class Death(BaseException): ...

    def hold_back(*args: Any) -> None:
        late.append(args)
        raise Death

    bench.store.before["append"] = hold_back
    with pytest.raises(Death):
        bench.resume()
    expire(bench)
    bench.store.before["append"] = lambda *args: bench.sqlite.append(*late[0])
    assert bench.resume().status == "SUCCEEDED"
    assert BODIES == ["a", "b"], "the late segment counts: its step does not run again"


@two
def test_no_fence_without_a_death(function: DurableFunction[Any, Any]) -> None:
    bench = Bench(function)
    bench.start()
    bench.resume()
    assert not any(is_fence(text) for text in bench.bodies())


@two
def test_a_thawed_owner_runs_nothing_more(function: DurableFunction[Any, Any]) -> None:
    """Lambda froze the environment in the middle; when it goes on, the lease is over and somebody else may run."""
    bench = Bench(function)
    bench.start()

    def frozen(*args: Any) -> None:
        bench.clock.advance_to(bench.header().lease + 1)
        assert bench.resume().status == "SUCCEEDED"

    bench.store.after["append"] = frozen
    bench.resume()
    assert BODIES == ["a", "b"], "b ran once, by the new owner"


def lingers(bench: Bench, *, asyn: bool) -> DurableFunction[Any, Any]:
    """The handler's own code outlives the lease before the first body (before a later one the invocation would yield)."""

    @durable(name="two")
    def sync(event: Any, ctx: DurableContext) -> None:
        bench.clock.advance_to(bench.header().lease + 1)
        ctx.step(body, "a")

    @durable(name="two")
    async def asynchronous(event: Any, ctx: AsyncDurableContext) -> None:
        bench.clock.advance_to(bench.header().lease + 1)
        await ctx.step(body, "a")

    return asynchronous if asyn else sync


@pytest.mark.parametrize("asyn", [False, True], ids=["sync", "async"])
def test_the_clocks_are_looked_at_before_a_body(asyn: bool) -> None:
    bench = Bench(sync_two)
    bench.start()
    bench.function = lingers(bench, asyn=asyn)
    bench.resume()
    assert BODIES == [], "somebody else may own the execution by now"


@pytest.mark.parametrize("asyn", [False, True], ids=["sync", "async"])
def test_a_turn_that_has_done_nothing_does_not_yield(asyn: bool) -> None:
    """A step that never fits a Lambda would be put off for ever."""
    bounded = step(body, timeout=120)

    @durable(name="two")
    def sync(event: Any, ctx: DurableContext) -> str:
        return ctx.step(bounded, "a")

    @durable(name="two")
    async def asynchronous(event: Any, ctx: AsyncDurableContext) -> str:
        return await ctx.step(bounded, "a")

    bench = Bench(asynchronous if asyn else sync)
    bench.start()
    assert bench.resume(timeout=60).status == "SUCCEEDED"


@two
def test_the_clocks_are_looked_at_before_an_append(function: DurableFunction[Any, Any]) -> None:
    bench = Bench(function)
    bench.start()

    @durable(name="two")
    def slow(event: Any, ctx: DurableContext) -> None:
        ctx.step(lambda: bench.clock.advance_to(bench.header().lease + 1))

    bench.function = slow
    bench.resume()
    assert bench.bodies() == []


@two
def test_a_foreign_segment_makes_the_owner_give_way(function: DurableFunction[Any, Any]) -> None:
    bench = Bench(function)
    bench.start()

    def intrude(header: Header, segment: Segment) -> None:
        bench.sqlite.append(header, Segment(segment.seq, "other", fence(START)))

    bench.store.before["append"] = intrude
    header = bench.resume()
    assert (header.status, header.lease, header.due) == ("SUSPENDED", 0, bench.clock.now())
    assert [hint.due for hint in bench.hints.sent] == [bench.clock.now()]
    assert BODIES == ["a"]
    assert bench.resume().status == "SUCCEEDED"


@two
def test_owners_that_die_in_a_row_end_as_stalled(function: DurableFunction[Any, Any]) -> None:
    bench = Bench(function)
    bench.start()
    for turn in range(STALL_LIMIT + 1):
        kill(bench, "append") if not turn else kill_after_fence(bench)
        expire(bench)
    header = bench.resume()
    assert header.status == "FAILED"
    assert "ExecutionStalled" in (header.error or "")
    assert "5 invocations in a row died after 'body'" in (header.error or "")
    assert header.due is None


def kill_after_fence(bench: Bench) -> None:
    class Death(BaseException): ...

    def die(*args: Any) -> None:
        raise Death

    bench.store.after["append"] = lambda *args: bench.store.before.__setitem__("append", die)
    with pytest.raises(Death):
        bench.resume()


@two
def test_progress_between_deaths_is_no_stall(function: DurableFunction[Any, Any]) -> None:
    bench = Bench(function)
    header = bench.start()
    for seq in range(STALL_LIMIT):
        bench.sqlite.append(header, Segment(seq, "w", fence(START)))
    bench.sqlite.append(header, Segment(STALL_LIMIT, "w", f'body\tstep\t0\tS\t1\t{START}\t\t"a"'))
    bench.sqlite.acquire("x", Lease("dead", START, START + 5))
    bench.clock.advance_to(START + 6)
    assert bench.resume().status == "SUCCEEDED"
    assert BODIES == ["b"]


# -- at most once --------------------------------------------------------------------------------------------------


@step(semantics="at_most_once")
def fragile() -> str:
    return body("fragile")


@durable(name="amo")
def sync_amo(event: Any, ctx: DurableContext) -> str:
    try:
        return ctx.step(fragile)
    except StepInterrupted as error:
        return f"interrupted {error.attempts}"


@durable(name="amo")
async def async_amo(event: Any, ctx: AsyncDurableContext) -> str:
    try:
        return await ctx.step(fragile)
    except StepInterrupted as error:
        return f"interrupted {error.attempts}"


amo = pytest.mark.parametrize("function", [sync_amo, async_amo], ids=["sync", "async"])


@amo
def test_at_most_once_is_marked_before_its_body(function: DurableFunction[Any, Any]) -> None:
    bench = Bench(function)
    bench.start()

    def marked(header: Header, segment: Segment) -> None:
        assert BODIES == []
        assert segment.body.split("\t")[3] == "B"

    bench.store.after["append"] = marked
    assert bench.resume().result == '"fragile"'
    assert len(bench.bodies()) == 2, "an at-most-once step costs two segments"


@amo
@pytest.mark.parametrize("deaths", [1, 2])
def test_an_interrupted_at_most_once_body_never_runs_again(function: DurableFunction[Any, Any], deaths: int) -> None:
    bench = Bench(function)
    bench.start()
    kill_after_fence(bench)  # the marker is written, the body has run, its result is not
    assert BODIES == ["fragile"]
    expire(bench)
    if deaths == 2:
        kill(bench, "complete", before=True)
        expire(bench)
    assert bench.resume().result == '"interrupted 1"'
    assert BODIES == ["fragile"]


@amo
def test_a_marked_body_that_did_not_start_counts_as_interrupted(function: DurableFunction[Any, Any]) -> None:
    bench = Bench(function)
    bench.start()
    kill(bench, "append")
    expire(bench)
    assert bench.resume().result == '"interrupted 1"'
    assert BODIES == []


# -- suspend, hints, time ------------------------------------------------------------------------------------------


@nap
def test_a_suspended_execution_keeps_its_due_time(function: DurableFunction[Any, Any]) -> None:
    bench = Bench(function)
    bench.start()
    header = bench.resume()
    assert (header.status, header.due, header.lease) == ("SUSPENDED", START + 600_000, 0)
    assert [hint.due for hint in bench.hints.sent] == [START + 600_000]
    assert bench.store.log == ["acquire", "append", "suspend"]


@nap
def test_the_hint_is_sent_after_the_state_is_written(function: DurableFunction[Any, Any]) -> None:
    bench = Bench(function)
    bench.start()

    def nothing_sent(*args: Any) -> None:
        assert bench.hints.sent == []

    bench.store.after["suspend"] = nothing_sent
    bench.resume()
    assert len(bench.hints.sent) == 1


@nap
def test_an_early_message_does_not_end_a_sleep(function: DurableFunction[Any, Any]) -> None:
    bench = Bench(function)
    bench.start()
    bench.resume()
    bench.clock.advance_to(START + 500_000)
    refusal = bench.resume()
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "early"
    assert BODIES == []


@nap
def test_a_spurious_turn_sends_no_second_message(function: DurableFunction[Any, Any]) -> None:
    """Something else woke it (an inbox entry sets due = now): the message for the timer is still out."""
    bench = Bench(function)
    bench.start()
    bench.resume()
    bench.clock.advance_to(START + 1000)
    bench.sqlite.deliver(bench.header(), Entry("k", "w", "d", "null"), bench.clock.now())
    assert bench.resume().due == START + 600_000
    assert len(bench.hints.sent) == 1


@nap
def test_a_due_time_that_has_passed_meanwhile_is_hinted_again(function: DurableFunction[Any, Any]) -> None:
    """The message for it may have come while the lease was held, and been dropped."""
    bench = Bench(function)
    bench.start()
    bench.resume()
    bench.sqlite.deliver(bench.header(), Entry("k", "w", "d", "null"), bench.clock.now())
    bench.store.before["suspend"] = lambda *args: bench.clock.advance_to(START + 600_000)
    bench.resume()
    assert [hint.due for hint in bench.hints.sent] == [START + 600_000] * 2


@nap
def test_an_entry_that_arrives_while_suspending_is_not_parked_over(function: DurableFunction[Any, Any]) -> None:
    bench = Bench(function)
    bench.start()

    def arrives(header: Header, writer: str, parking: Parking) -> None:
        bench.sqlite.deliver(header, Entry("k", "w", "d", "null"), bench.clock.now())

    bench.store.before["suspend"] = arrives
    header = bench.resume()
    assert header.status == "SUSPENDED"
    assert bench.store.log == ["acquire", "append", "suspend", "load", "suspend"], "read again, then parked"


@nap
def test_what_is_seen_is_counted_from_entries_in_hand(function: DurableFunction[Any, Any]) -> None:
    """A Query is no snapshot: it may show an entry that the header it shows does not count yet."""
    bench = Bench(function)
    bench.start()
    kill(bench, "append")
    expire(bench)

    def torn(*args: Any) -> Any:
        bench.sqlite.deliver(bench.header(), Entry("k", "w", "d", "null"), bench.clock.now())
        loaded = bench.sqlite.load(*args)
        assert loaded is not None
        loaded.header.n = 0
        return loaded

    bench.store.after["load"] = torn
    bench.resume()
    assert bench.store.log.count("suspend") == 1, "the suspend's condition held at the first try"


# -- start and complete --------------------------------------------------------------------------------------------


class _Gone(BaseException):
    """The process, in the middle of a handler."""


def _told(winner: int) -> None:
    BODIES.append(str(winner))
    if len(BODIES) == 1:
        raise _Gone


def _answers(n: int) -> int:
    """Branches that do nothing durable: the first one fails, but would not if it were asked again."""
    if n == 0 and not BODIES:
        raise OSError("not now")
    return n


_FIRST: dict[str, Any] = {"max_concurrency": 1, "completion": Completion(min_successful=1)}


@durable(name="raced")
def sync_raced(event: Any, ctx: DurableContext) -> None:
    _told(ctx.map(lambda _, n: _answers(n), range(3), **_FIRST).succeeded[0].index)


@durable(name="raced")
async def async_raced(event: Any, ctx: AsyncDurableContext) -> None:
    async def answers(_: AsyncDurableContext, n: int) -> int:
        return _answers(n)

    first = (await ctx.map(answers, range(3), **_FIRST)).succeeded[0].index
    await ctx.step(_told, first)


@pytest.mark.parametrize("function", [sync_raced, async_raced], ids=["sync", "async"])
def test_who_was_first_is_not_decided_again(function: DurableFunction[Any, Any]) -> None:
    """The handler, in async in a step, may have told somebody before it died."""
    bench = Bench(function)
    bench.start()
    with pytest.raises(_Gone):
        bench.resume()
    expire(bench)
    assert bench.resume().status == "SUCCEEDED"
    assert BODIES == ["1", "1"]


@two
def test_a_direct_start_can_be_found_when_its_process_dies(function: DurableFunction[Any, Any]) -> None:
    bench = Bench(function)
    wanted = new_header(bench.backend, "x", function.name, "null", retention_ms=1000)

    class Death(BaseException): ...

    def die(*args: Any) -> None:
        raise Death

    bench.store.after["create"] = die
    with pytest.raises(Death):
        bench.invocation().start(wanted)
    header = bench.header()
    assert (header.status, header.due) == ("RUNNING", header.lease + 1)
    expire(bench)
    assert bench.sqlite.due(0, bench.clock.now(), 10)
    assert bench.resume().status == "SUCCEEDED"


@two
def test_the_same_id_with_another_input_or_function_is_a_conflict(function: DurableFunction[Any, Any]) -> None:
    bench = Bench(function)
    first = new_header(bench.backend, "x", function.name, '{"a":1,"b":2}', retention_ms=1000)
    assert bench.invocation().start(first).status == "SUCCEEDED"
    again = new_header(bench.backend, "x", function.name, '{"b": 2, "a": 1}', retention_ms=1000)
    assert bench.invocation().start(again).status == "SUCCEEDED", "the order of keys does not matter"
    assert BODIES == ["a", "b"], "it attached"
    other = new_header(bench.backend, "x", function.name, '{"a":2}', retention_ms=1000)
    with pytest.raises(ExecutionConflict, match="another payload"):
        bench.invocation().start(other)
    renamed = new_header(bench.backend, "x", "else", '{"a":1,"b":2}', retention_ms=1000)
    with pytest.raises(ExecutionConflict, match="durable function 'two'"):
        bench.invocation().start(renamed)


@two
def test_a_start_whose_reply_was_lost_until_somebody_took_over_runs_nothing(
    function: DurableFunction[Any, Any],
) -> None:
    bench = Bench(function)
    wanted = new_header(bench.backend, "x", function.name, "null", retention_ms=1000)

    def taken(created: Header) -> Header:
        thief = Lease("thief", created.lease + 1, created.lease + 9999)
        taken = bench.sqlite.acquire("x", thief)
        assert isinstance(taken, Header)
        return taken

    bench.store.after["create"] = taken
    header = bench.invocation().start(wanted)
    assert (header.status, header.own, BODIES) == ("RUNNING", "thief", [])


@two
def test_a_fenced_owner_completes_nothing(function: DurableFunction[Any, Any]) -> None:
    bench = Bench(function)
    bench.start()

    def stolen(header: Header, writer: str, ending: Ending, note: None) -> None:
        bench.clock.advance_to(bench.header().lease + 1)
        assert isinstance(bench.sqlite.acquire("x", Lease("thief", bench.clock.now(), bench.clock.now() + 99)), Header)

    bench.store.before["complete"] = stolen
    header = bench.resume()
    assert (header.status, header.own) == ("RUNNING", "thief")


# -- the sweeper ---------------------------------------------------------------------------------------------------


@nap
def test_a_lost_hint_is_sent_again_by_the_sweeper(function: DurableFunction[Any, Any]) -> None:
    bench = Bench(function)
    bench.start()
    bench.resume()
    bench.hints.sent.clear()
    bench.clock.advance_to(START + 660_000)
    report = sweep(bench.backend)
    assert (report.due, report.sent) == (1, 1)
    assert [hint.due for hint in bench.hints.sent] == [START + 660_000]
    assert bench.header().due == START + 720_000
    assert sweep(bench.backend).due == 0, "not again before its new due time"
    assert bench.resume().status == "SUCCEEDED", "at once: its time has come"


@nap
def test_the_sweeper_reads_the_index_from_its_beginning(function: DurableFunction[Any, Any]) -> None:
    """A row that the index shows late has a due time before the last sweep's."""
    bench = Bench(function)
    bench.start()
    bench.resume()
    bench.clock.advance_to(START + 700_000)
    rows = bench.sqlite.due
    bench.sqlite.due = lambda *args, **kwargs: []  # type: ignore[method-assign]
    assert sweep(bench.backend).due == 0
    bench.sqlite.due = rows  # type: ignore[method-assign]
    bench.clock.advance_to(START + 760_000)
    assert sweep(bench.backend).sent == 1


@two
def test_the_sweeper_leaves_a_held_lease_alone(function: DurableFunction[Any, Any]) -> None:
    bench = Bench(function)
    bench.start()
    bench.sqlite.acquire("x", Lease("w", START, START + 50_000))
    due = bench.header().due
    assert due is not None
    reply = bench.sqlite.postpone("x", due, START + 10, START + 2010)
    assert isinstance(reply, Refusal)
    assert reply.reason == "held"
    assert bench.header().due == START + 50_001, "looked at again when the lease ends"


# -- signals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asyn", [False, True], ids=["sync", "async"])
def test_a_signal_is_consumed_by_a_line_no_later_than_what_follows(asyn: bool) -> None:
    """It rides along: after a death before that, the same signal is handed out again, and nothing that followed is recorded."""
    got: list[Any] = []

    def uses(value: Any) -> Any:
        got.append(value)
        if len(got) == 1:
            raise _Gone
        return value

    @durable(name="listens")
    def sync(event: Any, ctx: DurableContext) -> Any:
        return ctx.step(uses, ctx.wait_for_signal("x"))

    @durable(name="listens")
    async def asynchronous(event: Any, ctx: AsyncDurableContext) -> Any:
        return await ctx.step(uses, await ctx.wait_for_signal("x"))

    bench = Bench(asynchronous if asyn else sync)
    header = bench.start()
    for n, payload in enumerate("78"):
        bench.sqlite.deliver(
            bench.header() if n else header, entry(numbered(signal_prefix("x"), n, "r"), "w", payload), START
        )
    with pytest.raises(_Gone):
        bench.resume()
    expire(bench)
    assert bench.resume().result == "7"
    assert got == [7, 7]
    lines = [line.split("\t") for body in bench.bodies() for line in body.split("\n")]
    assert [(kind, status) for _, kind, _, status, *_ in lines if status == "S"] == [("signal", "S"), ("step", "S")]
