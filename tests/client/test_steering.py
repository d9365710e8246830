"""Redrive, fork, terminate, purge, patched, replay, status: on both journals."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from durable_fn import DurableContext, RetryPolicy, durable, step
from durable_fn.errors import (
    CallbackError,
    CallTimeout,
    ExecutionConflict,
    ExecutionNotFound,
    NonDeterminismError,
    StepError,
)
from durable_fn.testing import FaultyBackend, LocalRunner, replay
from tests.effects import EFFECTS, effect
from tests.environments import World

ONCE = RetryPolicy(max_attempts=1)
BROKEN: set[str] = set()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    BROKEN.clear()


def risky(name: str) -> str:
    EFFECTS.append(name)
    if name in BROKEN:
        raise ConnectionError(name)
    return name


@durable
def order(event: Any, ctx: DurableContext) -> Any:
    with ctx.saga() as saga:
        saga.add_compensation(effect, "undo")
        first = ctx.step(risky, "first")
        second = ctx.step(step(risky, retry=ONCE, name="second"), "second")
    ctx.sleep(60)
    return [first, second, ctx.step(risky, "third")]


# -- redrive -------------------------------------------------------------------------------------------------------


def test_redrive_tries_again_what_failed_and_forgets_what_came_after(world: World) -> None:
    BROKEN.add("second")
    id = world.run(order, None)
    assert world.client.describe(id).status == "FAILED"
    assert EFFECTS == ["first", "second", "undo"]
    world.client.redrive(id)
    world.advance(120)
    assert EFFECTS == ["first", "second", "undo"] * 2, (
        "its saga was undone: it is done anew, failed again, and was undone again"
    )
    BROKEN.clear()
    world.client.redrive(id)
    world.advance(120)
    assert world.client.result(id) == ["first", "second", "third"]
    assert EFFECTS[6:] == ["first", "second", "third"]
    assert world.client.describe(id).error is None


def test_redrive_from_a_step(world: World) -> None:
    BROKEN.add("third")
    id = world.run(order, None)
    assert world.client.describe(id).status == "FAILED"
    BROKEN.clear()
    EFFECTS.clear()
    world.client.redrive(id, from_step="second")
    world.advance(600)
    assert world.client.result(id) == ["first", "second", "third"]
    assert EFFECTS == ["second", "third"]


def test_redrive_after_a_mistake_in_the_handler_itself(world: World) -> None:
    """Nothing recorded failed: the code is tried again at its end."""
    wrong = [True]

    @durable(name="fixed")
    def handler(event: Any, ctx: DurableContext) -> str:
        done = ctx.step(risky, "first")
        if wrong:
            raise KeyError("a bug")
        return done

    id = world.run(handler, None)
    assert world.client.describe(id).status == "FAILED"
    wrong.clear()
    world.client.redrive(id)
    world.advance(1)
    assert world.client.result(id) == "first"
    assert EFFECTS == ["first"]


def test_a_cancelled_one_can_be_redriven_and_cancelled_again(world: World) -> None:
    @durable(name="waits")
    def handler(event: Any, ctx: DurableContext) -> Any:
        return ctx.wait_for_signal("go")

    id = world.run(handler, None)
    world.client.cancel(id, "first")
    world.advance(1)
    assert world.client.describe(id).status == "CANCELLED"
    world.client.cancel(id, "no effect")
    world.client.redrive(id)
    world.advance(1)
    assert world.client.describe(id).status == "SUSPENDED"
    world.client.cancel(id, "second")
    world.advance(1)
    info = world.client.describe(id)
    assert (info.status, "second" in info.error["message"]) == ("CANCELLED", True)  # type: ignore[index]


def test_what_cannot_be_redriven(world: World) -> None:
    id = world.run(order, None)
    with pytest.raises(ExecutionConflict, match="SUCCEEDED: there is nothing to redrive"):
        world.client.redrive(id)
    with pytest.raises(ValueError, match=r"no operation 'nothing' is recorded; there are 'risky', 'second'"):
        world.client.redrive(id, from_step="nothing")
    with pytest.raises(ExecutionNotFound):
        world.client.redrive("never")


# -- fork ----------------------------------------------------------------------------------------------------------


def test_fork(world: World) -> None:
    id = world.run(order, {"a": 1})
    EFFECTS.clear()
    copy = world.client.fork(id, from_step="second")
    world.advance(600)
    assert world.client.result(copy) == ["first", "second", "third"]
    assert EFFECTS == ["second", "third"]
    assert world.client.describe(copy).input == {"a": 1}
    assert world.client.fork(id, from_step="risky", new_id="mine") == "mine"
    with pytest.raises(ExecutionConflict, match="'mine' is in use"):
        world.client.fork(id, from_step="risky", new_id="mine")


# -- terminate and purge -------------------------------------------------------------------------------------------


def test_terminate_runs_no_code(world: World) -> None:
    @durable(name="waits")
    def handler(event: Any, ctx: DurableContext) -> Any:
        with ctx.saga() as saga:
            saga.add_compensation(effect, "undo")
            ctx.wait_for_signal("go")

    id = world.run(handler, None)
    world.client.terminate(id, "enough")
    world.advance(3600)
    info = world.client.describe(id)
    assert (info.status, info.error["message"]) == ("TERMINATED", "terminated: enough")  # type: ignore[index]
    assert EFFECTS == []
    world.client.terminate(id)
    with pytest.raises(ExecutionConflict, match="has ended and takes no signal 'go'"):
        world.client.signal(id, "go")


def test_purge(world: World) -> None:
    id = world.run(order, None)
    world.client.purge(id)
    with pytest.raises(ExecutionNotFound):
        world.client.describe(id)
    with pytest.raises(ExecutionNotFound):
        world.client.purge(id)


def test_a_running_one_is_not_purged(world: World) -> None:
    @durable(name="waits")
    def handler(event: Any, ctx: DurableContext) -> Any:
        ctx.wait_for_signal("go")

    id = world.run(handler, None)
    with pytest.raises(ExecutionConflict, match="is under way; cancel or terminate it first"):
        world.client.purge(id)


# -- callbacks from outside ----------------------------------------------------------------------------------------


def test_tokens(world: World) -> None:
    tokens: list[str] = []

    @durable(name="asks")
    def handler(event: Any, ctx: DurableContext) -> Any:
        return ctx.wait_for_callback(tokens.append, name="a", timeout=1000)

    id = world.run(handler, None)
    (token,) = tokens
    other = "A" if token[40] != "A" else "B"
    for forged in (
        "",
        "x",
        token[:-1],
        token[:30],
        token[:40] + other + token[41:],
        "A" * 90,
        "é",
        token * 20,
        5,
        None,
    ):
        with pytest.raises(
            CallbackError, match=r"^unknown callback token: .*take it again from where it was handed out$"
        ):
            world.client.complete_callback(forged, 1)  # type: ignore[arg-type]
    world.client.heartbeat_callback(token)
    world.client.complete_callback(token, {"by": "me"})
    world.client.complete_callback(token, {"by": "me"})
    with pytest.raises(CallbackError, match="completed before, with another outcome"):
        world.client.complete_callback(token, {"by": "you"})
    with pytest.raises(CallbackError, match="another outcome"):
        world.client.fail_callback(token, "no")
    with pytest.raises(CallbackError, match="a heartbeat changes nothing"):
        world.client.heartbeat_callback(token)
    world.advance(1)
    assert world.client.result(id) == {"by": "me"}
    with pytest.raises(CallbackError):
        world.client.complete_callback(token, "late")


def test_a_completion_after_the_timeout(world: World) -> None:
    tokens: list[str] = []

    @durable(name="asks")
    def handler(event: Any, ctx: DurableContext) -> Any:
        try:
            ctx.wait_for_callback(tokens.append, name="a", timeout=100)
        except CallbackError:
            ctx.sleep(100_000)

    id = world.run(handler, None)
    world.advance(200)
    with pytest.raises(CallbackError, match=r"timed out before"):
        world.client.complete_callback(tokens[0], 1)
    assert world.client.describe(id).status in ("SUSPENDED", "SUCCEEDED")


def test_a_heartbeat_and_a_signal_cost_the_same_however_many_came_before(aws_world: Any) -> None:
    """The log and the inbox, which grow, are read by the first heartbeat alone. So is a large input."""
    tokens: list[str] = []

    @durable(name="long")
    def long(event: str, ctx: DurableContext) -> str:
        for n in range(20):
            ctx.step(str, n)
        return str(ctx.wait_for_callback(tokens.append, name="a", heartbeat_timeout=100))

    cloud, client = aws_world.cloud, aws_world.client
    cloud.attach(long)
    id = client.start(long, "x" * 50_000)
    cloud.run_until_idle()

    def cost(ask: Callable[[], None]) -> dict[str, int]:
        cloud.requests.clear()
        ask()
        found = dict(Counter(request.action for request in cloud.requests))
        cloud.run_until_idle()
        return found

    beats = [cost(lambda: client.heartbeat_callback(tokens[0])) for _ in range(6)]
    assert beats[0] == {"GetItem": 2, "Query": 1, "TransactWriteItems": 2, "SendMessage": 1}
    assert beats[1:] == [{"GetItem": 3, "TransactWriteItems": 1, "SendMessage": 1}] * 5
    header = cloud.store.get(id)
    assert header is not None
    loaded = cloud.backend.store.load(header.key)
    assert loaded is not None
    assert len(loaded.inbox) == 1, "and the inbox does not grow"
    signals = [cost(lambda: client.signal(id, "any", 1)) for _ in range(4)]
    assert signals == [{"GetItem": 1, "TransactWriteItems": 1, "SendMessage": 1}] * 4
    client.complete_callback(tokens[0], "done")
    cloud.run(id)
    assert client.result(id) == "done"


def test_heartbeats_survive_a_new_generation(world: World) -> None:
    """What is counted must stay countable: the entry that was replaced is gone."""
    tokens: list[str] = []

    @durable(name="loops")
    def loops(event: int, ctx: DurableContext) -> str:
        answer = str(ctx.wait_for_callback(tokens.append, name="a", heartbeat_timeout=100))
        if event:
            ctx.continue_as_new(event - 1)
        return answer

    id = world.run(loops, 2)
    for n in range(3):
        for _ in range(4):
            world.advance(90)
            world.client.heartbeat_callback(tokens[-1])
        world.advance(1)
        assert len(tokens) == n + 1
        world.client.complete_callback(tokens[-1], n)
        world.advance(1)
    assert world.client.result(id) == "2"


def test_heartbeats_keep_a_callback_open(world: World) -> None:
    tokens: list[str] = []

    @durable(name="asks")
    def handler(event: Any, ctx: DurableContext) -> Any:
        return ctx.wait_for_callback(tokens.append, name="a", heartbeat_timeout=100)

    id = world.run(handler, None)
    for _ in range(4):
        world.advance(80)
        world.client.heartbeat_callback(tokens[0])
    world.client.complete_callback(tokens[0], "done")
    world.advance(1)
    assert world.client.result(id) == "done"


# -- status and code that evolves ----------------------------------------------------------------------------------


def test_status(world: World) -> None:
    @durable(name="tells")
    def handler(event: Any, ctx: DurableContext) -> None:
        ctx.set_status({"at": "first"})
        ctx.step(risky, "first")
        ctx.sleep(60)
        ctx.set_status("second")
        ctx.wait_for_signal("go")
        ctx.set_status("third")

    id = world.run(handler, None)
    assert world.client.describe(id).custom_status == "second"
    world.client.signal(id, "go")
    world.advance(1)
    assert world.client.describe(id).custom_status == "third"


def _version(new: bool) -> Any:
    @durable(name="evolves")
    def handler(event: Any, ctx: DurableContext) -> Any:
        before = ctx.step(risky, "before")
        way = "new" if new and ctx.patched("fraud-v2") else "old"
        ctx.step(risky, way)
        ctx.sleep(100)
        again = "new" if new and ctx.patched("fraud-v2") else "old"
        return [before, way, again]

    return handler


def test_patched() -> None:
    with LocalRunner(_version(False)) as runner:
        execution = runner.start(None, "old")
        runner.run_until_idle()
        new = _version(True)
        runner._functions["evolves"] = new
        runner.advance(200)
        assert execution.result == ["before", "old", "old"], "it went the old way before, and stays on it"
        fresh = runner.start(None, "new")
        runner.run_until_idle()
        runner.advance(200)
        assert fresh.result == ["before", "new", "new"]


def test_replay_of_recorded_histories() -> None:
    with LocalRunner(order) as runner:
        recorded = runner.run(None).history
    rows = json.loads(json.dumps([event.to_json() for event in recorded]))
    EFFECTS.clear()
    assert replay(order, recorded) == replay(order, rows) == ["first", "second", "third"]
    assert EFFECTS == [], "no effect"

    @durable(name="order")
    def renamed(event: Any, ctx: DurableContext) -> Any:
        return ctx.step(effect, "else")

    with pytest.raises(NonDeterminismError, match="recorded step 'risky', attempted step 'effect'"):
        replay(renamed, rows)

    @durable(name="order")
    def longer(event: Any, ctx: DurableContext) -> Any:
        order.__wrapped__(event, ctx)
        return ctx.step(effect, "more")

    with pytest.raises(NonDeterminismError, match="goes on where the recorded execution"):
        replay(longer, rows)
    with pytest.raises(CallTimeout, match="ends before the execution did"):
        replay(order, rows[:3])
    for bad in ([], [{}], [{"kind": "step"}], [5]):
        with pytest.raises(ValueError, match="this is no history"):
            replay(order, bad)  # type: ignore[arg-type]
    assert EFFECTS == []


def test_replay_of_a_failure() -> None:
    BROKEN.add("second")
    with LocalRunner(order) as runner:
        recorded = runner.run(None).history
    BROKEN.clear()
    with pytest.raises(StepError, match="ConnectionError: second"):
        replay(order, recorded)


# -- a bad day -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_lost_replies_throttling_and_lost_messages(seed: int) -> None:
    """Whatever the backend does, the order ends, and what was recorded does not happen again."""
    runner = LocalRunner(order)
    backend = FaultyBackend(runner.backend, seed=seed, lost_reply=0.15, throttled=0.15, lost_hint=0.5)
    runner._backend = backend
    runner.client.start(order, None, id="x")
    for _ in range(300):
        header = runner._store.get("x")
        assert header is not None
        if not header.live:
            break
        runner._clock.sleep(120)
        try:
            runner.run_until_idle()
        except ConnectionError:
            continue
    assert runner.client.result("x") == ["first", "second", "third"]
    assert {name: EFFECTS.count(name) >= 1 for name in ("first", "second", "third")} == dict.fromkeys(
        ("first", "second", "third"), True
    )
