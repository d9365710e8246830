"""Signals and branches on threads: whose wait lost gives its signal back, and nothing follows from what a death can revoke."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from durable_fn import (
    Completion,
    DurableContext,
    DurableFunction,
    RetryPolicy,
    SignalTimeout,
    current_step,
    durable,
    step,
)
from durable_fn.backends.aws import dynamodb
from durable_fn.errors import BatchError, CallError, ExecutionCancelled
from durable_fn.log.journal import Journal
from durable_fn.runtime import activity
from durable_fn.testing import Execution, LocalRunner
from durable_fn.testing.cloud import LocalCloud
from durable_fn.testing.crashes import _Plan, _Run
from tests.effects import EFFECTS, effect
from tests.environments import AwsWorld, SqliteWorld, World

ONE = Completion(min_successful=1)


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads are switched a thousand times as often as usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)


class Meeting:
    """Branches that come here wait for each other, the first time that they come: all of them have their signal then."""

    def __init__(self, count: int = 2) -> None:
        self._barrier = threading.Barrier(count)
        self._left = count
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left < 0:
                return
        with contextlib.suppress(threading.BrokenBarrierError):  # the process died meanwhile
            self._barrier.wait(2)


def taken(name: str, meeting: Meeting) -> Callable[[DurableContext], str]:
    def branch(c: DurableContext) -> str:
        value: str = c.wait_for_signal(name, result_type=str)
        meeting()
        return value

    return branch


def started(runner: LocalRunner[Any, Any], *signals: tuple[str, str]) -> Execution[Any]:
    """An execution that sleeps for ten seconds first finds these signals."""
    execution = runner.start(None, "x")
    runner.run_until_idle()
    for name, value in signals:
        runner.signal("x", name, value)
    runner.advance(20)
    return execution


def lines(execution: Execution[Any], status: str) -> list[tuple[str, str]]:
    """Kind and id of the entries with this status in the log."""
    rows = [event.entry.split("\t") for event in execution.history if event.kind != "execution" and event.entry]
    return [(row[1], row[0]) for row in rows if row[3] == status]


def drained(c: DurableContext, name: str) -> list[str]:
    found: list[str] = []
    while True:
        try:
            found.append(c.wait_for_signal(name, result_type=str, timeout=0))
        except SignalTimeout:
            return found


# -- who gets it next ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("restless")
@pytest.mark.parametrize("always_suspend", [False, True])
def test_a_race_over_two_names_hands_out_both(always_suspend: bool) -> None:
    @durable(name="both")
    def both(event: None, ctx: DurableContext) -> list[str]:
        ctx.sleep(10)
        waits = {n: (lambda c, n=n: c.wait_for_signal(n, result_type=str)) for n in ("a", "b")}
        return sorted(ctx.race(waits)[1] for _ in range(2))

    for local in [True] * 8 + [False] * 4:
        with LocalRunner(both, always_suspend=always_suspend) as runner:
            runner.backend.store.local = local
            assert started(runner, ("a", "one"), ("b", "two")).result == ["one", "two"]


def test_the_line_that_gives_it_back() -> None:
    meeting = Meeting()

    @durable(name="race")
    def handler(event: None, ctx: DurableContext) -> Any:
        ctx.sleep(10)
        won, value = ctx.race({"a": taken("s", meeting), "b": taken("s", meeting)})
        return [won, value, drained(ctx, "s")]

    with LocalRunner(handler) as runner:
        execution = started(runner, ("s", "1"), ("s", "2"), ("s", "3"))
        won, value, rest = execution.result
        lost = "b" if won == "a" else "a"
        assert [value, *rest] in (["1", "2", "3"], ["2", "1", "3"]), "the one that comes back is the oldest again"
        assert lines(execution, "G") == [("signal", f"race/{lost}/s")]
        assert lines(execution, "C") == [("branch", f"race/{lost}")]
        shown = [e for e in execution.history if e.id == f"race/{lost}/s"]
        assert [e.status for e in shown] == ["STARTED", "SUCCEEDED", "FAILED"]
        assert shown[-1].error is not None
        assert "next wait gets it" in shown[-1].error["message"]
        assert Journal(segments(runner)).used == {e.key for e in entries(runner)}


def segments(runner: LocalRunner[Any, Any]) -> Any:
    loaded = runner.backend.store.load(runner._header("x").key)
    assert loaded is not None
    return loaded.segments


def entries(runner: LocalRunner[Any, Any]) -> Any:
    loaded = runner.backend.store.load(runner._header("x").key)
    assert loaded is not None
    return loaded.inbox.values()


def fails(meeting: Meeting) -> Callable[[DurableContext], str]:
    def branch(c: DurableContext) -> str:
        meeting()
        raise ValueError("fails fast")

    return branch


def shapes(meeting: Meeting) -> dict[str, Callable[[DurableContext], Any]]:
    """What a handler does in which one wait, or more, may lose; it gives what it got."""
    two = [taken("s", meeting), taken("s", meeting)]

    def inner(c: DurableContext) -> list[str]:
        return [c.race(two)[1]]

    def quick(c: DurableContext) -> list[str]:
        meeting()
        return []

    def deep(c: DurableContext) -> list[str]:
        return c.parallel([lambda d: d.child(taken("s", meeting), name="kid"), lambda d: d.sleep(9)]).results

    def gone(batch: Any) -> list[str]:
        return [item.result for item in batch.items if item.status == "SUCCEEDED" and item.result]

    return {
        "race": inner,
        "parallel": lambda c: gone(c.parallel(two, completion=ONE)),
        "map": lambda c: gone(c.map(lambda d, n: two[n](d), range(2), completion=ONE)),
        "fails fast": lambda c: gone(c.parallel([fails(meeting), taken("s", meeting)])),
        "a race inside": lambda c: c.parallel([inner, lambda d: None]).results[0],
        "a child inside": lambda c: c.child(inner, name="inner"),
        "a loser inside a loser": lambda c: c.race([deep, quick])[1],
    }


@pytest.mark.parametrize("shape", list(shapes(Meeting())))
def test_every_signal_is_handed_out_once(shape: str) -> None:
    meeting = Meeting()

    @durable(name="handler")
    def handler(event: None, ctx: DurableContext) -> Any:
        ctx.sleep(10)
        return [shapes(meeting)[shape](ctx), drained(ctx, "s")]

    with LocalRunner(handler) as runner:
        got, rest = started(runner, ("s", "1"), ("s", "2"), ("s", "3")).result
        assert sorted([*got, *rest]) == ["1", "2", "3"]
        assert rest == sorted(rest), "in their order"


def test_a_wait_that_lost_while_it_slept_gives_its_signal_back() -> None:
    @durable(name="handler")
    def handler(event: None, ctx: DurableContext) -> Any:
        def took(c: DurableContext) -> str:
            value: str = c.wait_for_signal("s")
            c.sleep(100)
            return value

        ctx.sleep(10)
        won, _ = ctx.race({"took": took, "short": lambda c: c.sleep(50)})
        ctx.sleep(1000)
        return [won, ctx.wait_for_signal("s")]

    with LocalRunner(handler) as runner:
        execution = started(runner, ("s", "1"))
        runner.advance(5000)
        assert execution.result == ["short", "1"]


def test_two_threads_do_not_take_one_signal() -> None:
    """They stop where one has seen which is the next and has not taken it."""
    barrier = threading.Barrier(2)

    def profile(frame: Any, event: str, arg: Any) -> None:
        if event == "return" and (frame.f_code.co_name, frame.f_back.f_code.co_name) == ("first", "take"):
            with contextlib.suppress(threading.BrokenBarrierError):
                barrier.wait(0.5)

    def waits(c: DurableContext) -> Any:
        sys.setprofile(profile)
        try:
            return c.wait_for_signal("s")
        finally:
            sys.setprofile(None)

    @durable(name="handler")
    def handler(event: None, ctx: DurableContext) -> Any:
        ctx.sleep(10)
        return sorted(ctx.parallel([waits, waits]).results)

    with LocalRunner(handler) as runner:
        assert started(runner, ("s", "1"), ("s", "2")).result == ["1", "2"]


# -- what counts as having got it ----------------------------------------------------------------------------------


def used(c: DurableContext, how: str) -> None:
    value: str = c.wait_for_signal("s", result_type=str)
    if how == "step":
        c.step(effect, value)
    elif how == "failing step":
        with contextlib.suppress(Exception):
            c.step(broken, value)
    elif how == "clean-up":
        try:
            c.sleep(1000)
        except ExecutionCancelled:
            c.step(effect, value)
    elif how == "child":
        c.child(lambda d: d.step(effect, value), name="kid")
    elif how == "inner branch":
        c.parallel([lambda d: d.step(effect, value)])
    elif how == "send":
        c.send(kid, value)
    elif how == "step to be tried again":
        c.step(slowly, value)
    elif how == "call":
        c.call(kid, value)
    elif how == "call that lasts":
        c.call(patient, value)
    elif how == "submitter":
        c.wait_for_callback(lambda token: EFFECTS.append(value))
    elif how == "poll":
        c.poll(lambda state: effect(value), initial="", until=bool)
    c.sleep(1000)


@step(retry=None)
def broken(value: str) -> None:
    effect(value)
    raise ValueError


@step(retry=RetryPolicy(initial_delay=1000, max_delay=1000, jitter="none"))
def slowly(value: str) -> None:
    effect(value)
    raise ValueError


@durable(name="kid")
def kid(event: str, ctx: DurableContext) -> str:
    return effect(event)


@durable(name="patient")
def patient(event: str, ctx: DurableContext) -> str:
    effect(event)
    ctx.sleep(1000)
    return event


HOW = (
    "step", "failing step", "step to be tried again", "clean-up", "child", "inner branch", "send", "call", "call that lasts",
    "submitter", "poll",
)  # fmt: skip


@pytest.mark.parametrize("how", HOW)
def test_a_loser_that_did_something_with_it_has_got_it(how: str) -> None:
    @durable(name="handler")
    def handler(event: None, ctx: DurableContext) -> Any:
        ctx.sleep(10)
        ctx.race([lambda c: used(c, how), lambda c: c.sleep(500)])
        return drained(ctx, "s")

    with LocalRunner(handler, kid, patient) as runner:
        execution = started(runner, ("s", "1"))
        runner.advance(5000)
        assert execution.result == []
        assert "1" in EFFECTS


def test_what_a_loser_did_elsewhere_does_not_count() -> None:
    """Before it had the signal, and beside it."""

    @durable(name="handler")
    def handler(event: None, ctx: DurableContext) -> Any:
        def beside(c: DurableContext) -> None:
            c.step(effect, "before")
            waits = (lambda d: d.wait_for_signal("s"), lambda d: [d.wait_for_signal("s"), d.sleep(1000)])
            c.parallel([*waits, lambda d: [d.sleep(5), d.step(effect, "x"), d.sleep(1000)]])

        ctx.sleep(10)
        ctx.race([beside, lambda c: c.sleep(500)])
        return drained(ctx, "s")

    with LocalRunner(handler) as runner:
        execution = started(runner, ("s", "1"), ("s", "2"))
        runner.advance(5000)
        assert execution.result == ["1", "2"]
        assert EFFECTS == ["before", "x"]


def test_a_branch_that_waits_gets_what_another_gives_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread for all, so that it waits before the other ends."""
    monkeypatch.setattr(activity, "MOST_HELPERS", 0)

    @durable(name="handler")
    def handler(event: None, ctx: DurableContext) -> Any:
        def loses(c: DurableContext) -> None:
            c.race([lambda d: [d.wait_for_signal("s"), d.sleep(1000)], lambda d: d.sleep(50)])
            c.sleep(5000)

        def waits(c: DurableContext) -> list[Any]:
            c.sleep(20)  # the other has it by then
            return [c.wait_for_signal("s"), c.now()]

        ctx.sleep(10)
        before = ctx.now()
        value, after = ctx.parallel([waits, loses]).results[0]
        return [value, (after - before).total_seconds()]

    with LocalRunner(handler) as runner:
        execution = started(runner, ("s", "1"))
        runner.advance(9000)
        assert execution.result == ["1", 50.0]


def test_of_several_the_loser_keeps_those_that_it_used() -> None:
    @durable(name="handler")
    def handler(event: None, ctx: DurableContext) -> Any:
        def mailbox(c: DurableContext) -> None:
            c.step(effect, c.wait_for_signal("s"))
            c.wait_for_signal("s")
            c.wait_for_signal("s")
            c.wait_for_signal("s")

        ctx.sleep(10)
        ctx.race([mailbox, lambda c: c.sleep(500)])
        return drained(ctx, "s")

    with LocalRunner(handler) as runner:
        execution = started(runner, ("s", "1"), ("s", "2"), ("s", "3"))
        runner.advance(5000)
        assert execution.result == ["2", "3"]
        assert EFFECTS == ["1"]


def test_callbacks_and_calls_are_never_lost_by_losing() -> None:
    tokens: list[str] = []

    @durable(name="handler")
    def handler(event: None, ctx: DurableContext) -> Any:
        first, second = ctx.callback("first"), ctx.callback("second")
        ctx.step(step(lambda: tokens.extend([first.token, second.token]), name="hand out"))
        ctx.sleep(10)
        _, one = ctx.race([lambda c: first.result(), lambda c: second.result()])
        return [one, first.result(), second.result()]

    with LocalRunner(handler) as runner:
        execution = runner.start(None, "x")
        runner.run_until_idle()
        runner.complete_callback(tokens[0], 1)
        runner.complete_callback(tokens[1], 2)
        runner.advance(20)
        one, *both = execution.result
        assert (one in (1, 2), both) == (True, [1, 2])


# -- from above, and over generations ------------------------------------------------------------------------------


def test_a_cancellation_from_above_gives_back_as_well() -> None:
    @durable(name="handler")
    def handler(event: None, ctx: DurableContext) -> Any:
        try:
            ctx.parallel([lambda c: [c.wait_for_signal("s"), c.sleep(1000)], lambda c: c.sleep(1000)])
        except ExecutionCancelled:
            return drained(ctx, "s")

    with LocalRunner(handler) as runner:
        execution = runner.start(None, "x")
        runner.signal("x", "s", "1")
        runner.run_until_idle()
        runner.cancel("x")
        runner.run_until_idle()
        assert execution.result == ["1"]
        assert len(lines(execution, "C")) == 2


@durable(name="generations")
def generations(event: list[str], ctx: DurableContext) -> Any:
    if len(event) >= 4:
        return event
    ctx.sleep(10)
    waits = [lambda c, n=n: c.wait_for_signal(n, result_type=str) for n in "abab"]
    return ctx.continue_as_new([*event, ctx.race(waits)[1]])


def send(world: World, *names: str) -> None:
    for n, name in enumerate(names):
        world.client.signal("x", name, f"{name}{n}")


@pytest.mark.usefixtures("restless")
def test_the_next_generation_gets_it(world: World) -> None:
    world.run(generations, [], "x") if isinstance(world, SqliteWorld) else _start(world)
    send(world, "a", "b", "a", "b")
    world.advance(1000)
    assert sorted(world.client.result("x")) == ["a0", "a2", "b1", "b3"]
    header = world.backend.store.get("x")
    assert header is not None
    assert (header.n, header.gone) == (4, 4)


def _start(world: World) -> None:
    assert isinstance(world, AwsWorld)
    world.cloud.attach(generations)
    world.client.start(generations, [], id="x")
    world.cloud.run_until_idle()


# -- whatever dies -------------------------------------------------------------------------------------------------


KEYS: dict[str, set[Any]] = {}
"""What a step's body was called with, by its idempotency key."""


def noted(value: Any) -> Any:
    KEYS.setdefault(current_step().idempotency_key, set()).add(value)
    return value


@durable(name="much")
def much(event: list[str], ctx: DurableContext) -> Any:
    """Generation by generation it takes what three fans give it, until all six signals were handed out."""

    def kept(c: DurableContext) -> str:
        return str(c.step(noted, c.wait_for_signal("s", result_type=str)))

    def bare(c: DurableContext) -> str:
        return c.wait_for_signal("s", result_type=str)  # type: ignore[no-any-return]

    def both(c: DurableContext) -> str:
        return c.race([bare, bare])[1]

    got = [*event]
    if not event:
        ctx.sleep(10)
    got += ctx.parallel([bare, bare]).results
    ctx.step(noted, tuple(got))
    got.append(ctx.race([both, bare])[1])
    ctx.step(noted, tuple(got))
    return got if len(got) >= 6 else ctx.continue_as_new(got)


def dies_at(point: int | None, handler: DurableFunction[Any, Any], *, local: bool) -> tuple[Any, int]:
    KEYS.clear()
    with _Run(_Plan(handler), point, False) as runner:
        runner._journal.local = local  # type: ignore[attr-defined]
        execution = runner.start([], "x")
        runner.run_until_idle()
        for n in range(6):
            runner.client.signal("x", "s", f"{n}")
        for _ in range(10):
            runner.advance(2000)
        assert execution.status == "SUCCEEDED", (point, execution.status, execution.error)
        return execution.result, runner.dying.requests


@pytest.mark.usefixtures("restless")
@pytest.mark.parametrize("local", [True, False], ids=["embedded", "remote"])
def test_nothing_is_lost_or_handed_out_twice_wherever_it_dies(local: bool) -> None:
    """And a body that began again began with the same: what led to it was not forgotten."""
    _, points = dies_at(None, much, local=local)
    for point in range(1, points + 1):
        result, _ = dies_at(point, much, local=local)
        assert sorted(result) == ["0", "1", "2", "3", "4", "5"], point
        assert all(len(values) == 1 for values in KEYS.values()), (point, KEYS)


@durable(name="mailbox")
def mailbox(event: list[int], ctx: DurableContext) -> Any:
    """What it took is on no record when it goes on as the next generation."""
    got = [*event, ctx.wait_for_signal("s"), ctx.wait_for_signal("s")]
    return got if len(got) >= 4 else ctx.continue_as_new(got)


@pytest.mark.parametrize(("parts", "points"), [(100, 4), (3, 6)])
def test_a_renewal_that_dies_half_done_loses_no_signal(
    parts: int, points: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On DynamoDB consumed signals are deleted with the change of the generation, and before it where they are too many."""
    monkeypatch.setattr(dynamodb, "_MOST_PARTS", parts)
    for point in range(1, points + 2):
        with LocalCloud(timeout=10) as cloud:
            cloud.attach(mailbox)
            cloud.client.start(mailbox, [], id="x")
            for n in range(4):
                cloud.client.signal("x", "s", n)
            died = _dies(cloud, point)
            cloud.advance(180)
            assert cloud.client.result("x") == [0, 1, 2, 3], point
            assert died == ([point] if point <= points else []), "these are all points"


class _Death(BaseException):
    """The process is gone in the middle of an invocation."""


def _dies(cloud: Any, point: int) -> list[int]:
    """At one of those requests of its invocations that make a generation the next one: before it, or after it."""
    request, invoke = cloud.store.table.request, cloud.invoke
    passed, died = [0], []

    def dies(action: str) -> None:
        if action in ("delete_item", "transact_write_items"):
            passed[0] += 1
            if passed[0] == point:
                died.append(point)
                raise _Death

    def asked(action: str, **arguments: Any) -> Any:
        dies(action)
        reply = request(action, **arguments)
        dies(action)
        return reply

    def invoked(*args: Any, **kwargs: Any) -> Any:
        cloud.store.table.request = asked
        try:
            return invoke(*args, **kwargs)
        finally:
            cloud.store.table.request = request

    cloud.invoke = invoked
    return died


def test_a_body_in_a_branch_begins_when_its_signal_is_on_record() -> None:
    seen: list[bool] = []

    def body(value: str) -> None:
        there = [line for segment in segments(runner) for line in segment.body.split("\n")]
        seen.append(any(line.split("\t")[1] == "signal" and value in line for line in there))

    @durable(name="handler")
    def handler(event: None, ctx: DurableContext) -> Any:
        ctx.sleep(10)
        ctx.parallel([lambda c: c.step(body, c.wait_for_signal("s")) for _ in range(2)])

    with LocalRunner(handler) as runner:
        assert started(runner, ("s", "1-"), ("s", "2-")).status == "SUCCEEDED"
    assert seen == [True, True]


def test_a_body_behind_a_fan_begins_when_its_signals_are_on_record() -> None:
    seen: list[int] = []

    def body() -> None:
        seen.append(sum(segment.body.count("\tsignal\t") for segment in segments(runner)))

    @durable(name="handler")
    def handler(event: None, ctx: DurableContext) -> Any:
        ctx.sleep(10)
        ctx.parallel([lambda c: c.wait_for_signal("s"), lambda c: c.wait_for_signal("s")])
        ctx.step(body)

    with LocalRunner(handler) as runner:
        assert started(runner, ("s", "1"), ("s", "2")).status == "SUCCEEDED"
    assert seen == [4], "two began, and two got theirs"


@pytest.mark.parametrize("how", ["launch", "tell"])
def test_a_request_of_a_branch_waits_as_a_body_does(how: str) -> None:
    seen: list[str] = []

    @durable(name="waits")
    def waits(event: Any, ctx: DurableContext) -> None:
        ctx.wait_for_signal("never")

    @durable(name="handler")
    def handler(event: None, ctx: DurableContext) -> Any:
        ctx.sleep(10)
        if how == "launch":
            return ctx.parallel([lambda c: c.send(waits, c.wait_for_signal("s")), lambda c: None]).results
        return ctx.race({"told": lambda c: c.call(waits, 1), "won": lambda c: c.sleep(50)})[0]

    with LocalRunner(handler, waits) as runner:
        execution = runner.start(None, "x")
        runner.run_until_idle()
        runner.advance(20)
        store: Any = runner.backend.store.store  # type: ignore[attr-defined]
        real = store.create if how == "launch" else store.deliver

        def asked(header: Any, *args: Any) -> Any:
            if header.fn == "waits":
                seen.append("\n".join(segment.body for segment in segments(runner)))
            return real(header, *args)

        runner.signal("x", "s", "go")
        setattr(store, real.__name__, asked)
        runner.advance(100)
        assert execution.status == "SUCCEEDED"
        line = "race/won\tbranch" if how == "tell" else "\tsignal\t0\tS"
        assert [line in text for text in seen] == [True]


def test_what_a_patch_decides_in_a_branch_is_on_record_before_a_body() -> None:
    """Another branch, which has old operations behind the place, may be the first to ask after a death."""
    seen: list[bool] = []

    def body() -> None:
        seen.append(any("$patch p" in segment.body for segment in segments(runner)))

    def branch(c: DurableContext) -> None:
        c.step(body) if c.patched("p") else c.sleep(1)

    @durable(name="handler")
    def handler(event: None, ctx: DurableContext) -> None:
        ctx.parallel([branch, branch])

    with LocalRunner(handler) as runner:
        assert runner.run(None, "x").status == "SUCCEEDED"
    assert seen == [True, True]


def test_what_another_branch_wrote_is_not_written_for_again() -> None:
    """The signal of the second branch goes with the step of the first, so nothing is owed behind the fan."""
    runs, has = threading.Event(), threading.Event()

    def body() -> None:
        runs.set()
        assert has.wait(10)

    def second(c: DurableContext) -> None:
        assert runs.wait(10)
        c.wait_for_signal("s")
        has.set()

    @durable(name="handler")
    def handler(event: None, ctx: DurableContext) -> None:
        ctx.sleep(10)
        ctx.parallel([lambda c: c.step(body), second])
        ctx.sleep(0.5)
        ctx.step(effect, "after")

    with LocalRunner(handler) as runner:
        assert started(runner, ("s", "1")).status == "SUCCEEDED"
        last = segments(runner)[-1].body
        assert ("effect\tstep" in last, last.count("sleep#2\tsleep")) == (True, 2), "the nap rides along with the step"


def test_branches_share_the_writes_of_their_signals() -> None:
    @durable(name="handler")
    def handler(event: None, ctx: DurableContext) -> int:
        ctx.sleep(10)
        return len(ctx.map(lambda c, n: c.step(effect, c.wait_for_signal("s")), range(100)).results)

    with LocalRunner(handler) as runner:
        runner.backend.store.local = False
        assert started(runner, *[("s", f"{n}") for n in range(100)]).result == 100
        assert sorted(EFFECTS) == sorted(f"{n}" for n in range(100))
        assert len(segments(runner)) <= 30


def test_a_handler_without_branches_pays_nothing_more() -> None:
    @durable(name="handler")
    def handler(event: None, ctx: DurableContext) -> Any:
        return [ctx.step(effect, ctx.wait_for_signal("s")) for _ in range(3)]

    with LocalRunner(handler) as runner:
        execution = runner.start(None, "x")
        for n in range(3):
            runner.signal("x", "s", f"{n}")
        runner.run_until_idle()
        assert execution.result == ["0", "1", "2"]
        assert [segment.body.count("\n") + 1 for segment in segments(runner)] == [3, 3, 3], "began, came, step"


def test_the_loser_of_a_refused_batch_is_told_by_name() -> None:
    """Everything failed: what was taken was handed out, to whoever failed with it."""

    @durable(name="handler")
    def handler(event: None, ctx: DurableContext) -> Any:
        def breaks(c: DurableContext) -> None:
            raise LookupError(c.wait_for_signal("s"))

        ctx.sleep(10)
        try:
            ctx.race([breaks, breaks])
        except BatchError as error:
            return [sorted(str(item.error) for item in error.batch), drained(ctx, "s")]

    with LocalRunner(handler) as runner:
        assert started(runner, ("s", "1"), ("s", "2")).result == [["1", "2"], []]


def test_what_a_called_one_answers_is_not_lost_by_losing() -> None:
    @durable(name="handler")
    def handler(event: None, ctx: DurableContext) -> Any:
        def calls(c: DurableContext) -> Any:
            return c.call(kid, "x", id="the-kid")

        ctx.race([calls, lambda c: c.sleep(0.1)])
        try:
            return ctx.call(kid, "x", id="the-kid", name="again")
        except CallError as error:
            return error.status

    with LocalRunner(handler, kid) as runner:
        execution = runner.run(None, "x")
        assert execution.result in ("x", "CANCELLED")
