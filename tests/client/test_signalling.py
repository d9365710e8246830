"""Signals from their sender's side: once for each id, once from a step body, once from a handler, and of the right type."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, Field

from durable_fn import (
    AsyncDurableContext,
    DurableClient,
    DurableContext,
    DurableFunction,
    RetryPolicy,
    Signal,
    SignalTimeout,
    current_step,
    durable,
    step,
)
from durable_fn.errors import ExecutionConflict, ExecutionNotFound, NonDeterminismError, SerializationError
from durable_fn.log.inbox import MARK_S
from durable_fn.testing import FaultyBackend, LocalRunner, crash_everywhere, replay
from durable_fn.testing.cloud import LocalCloud
from durable_fn.testing.faulty import LostReply
from tests.environments import AwsWorld, SqliteWorld

DAY = 86_400


class World:
    """Both worlds, with the few verbs that these tests need. The first function is the receiver."""

    def __init__(self, kind: str, functions: tuple[DurableFunction[Any, Any], ...], cloud: LocalCloud | None) -> None:
        self.world: Any
        if cloud is None:
            sqlite = SqliteWorld()
            self.runner = sqlite.runner(functions[0], *functions[1:])
            self.world = sqlite
        else:
            self.world = AwsWorld(cloud)
            for function in functions:
                cloud.attach(function)
        self.cloud, self.client = cloud, self.world.client

    def idle(self) -> None:
        self.world.advance(0)

    def start(self, function: DurableFunction[Any, Any], event: Any, id: str) -> None:
        self.client.start(function, event, id=id)
        self.idle()

    def status(self, id: str) -> str:
        return str(self.client.describe(id).status)


Make = Callable[..., World]


@pytest.fixture(params=["sqlite", "aws"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    worlds: list[World] = []
    with LocalCloud() as cloud:

        def made(*functions: DurableFunction[Any, Any]) -> World:
            worlds.append(World(request.param, functions, cloud if request.param == "aws" else None))
            return worlds[-1]

        yield made
        for world in worlds:
            if world.cloud is None:
                world.world.close()


@durable(name="mailbox")
def mailbox(event: int, ctx: DurableContext) -> list[Any]:
    return [ctx.wait_for_signal("amount", timeout=90 * DAY) for _ in range(event)]


@durable(name="mailbox")
async def a_mailbox(event: int, ctx: AsyncDurableContext) -> list[Any]:
    return [await ctx.wait_for_signal("amount", timeout=90 * DAY) for _ in range(event)]


@durable(name="mailbox")
def renewed(event: list[int], ctx: DurableContext) -> list[int]:
    """Goes on as a new generation after each."""
    if len(event) < 3:
        ctx.continue_as_new([*event, ctx.wait_for_signal("amount", timeout=90 * DAY)])
    return event


@durable(name="mailbox")
async def a_renewed(event: list[int], ctx: AsyncDurableContext) -> list[int]:
    if len(event) < 3:
        ctx.continue_as_new([*event, await ctx.wait_for_signal("amount", timeout=90 * DAY)])
    return event


def given(world: World, *rows: tuple[str | None, Any], idle: bool = True) -> None:
    for id, amount in rows:
        world.client.signal("x", "amount", amount, signal_id=id)
        if idle:
            world.idle()


# -- signal_id -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("handler", [mailbox, a_mailbox])
@pytest.mark.parametrize("idle", [True, False])
def test_an_id_is_delivered_once(make: Make, handler: DurableFunction[Any, Any], idle: bool) -> None:
    """Also after the first was consumed, and whatever the second says."""
    world = make(handler)
    world.start(handler, 3, "x")
    given(world, ("a", 1), ("a", 1), ("a", 9), ("b", 2), ("a", 1), (None, 3), idle=idle)
    world.idle()
    assert world.client.result("x") == [1, 2, 3]
    given(world, ("b", 2))
    with pytest.raises(ExecutionConflict, match="has ended"):
        given(world, ("c", 4))


@pytest.mark.parametrize("handler", [renewed, a_renewed])
def test_an_id_is_known_over_generations(make: Make, handler: DurableFunction[Any, Any]) -> None:
    world = make(handler)
    world.start(handler, [], "x")
    given(world, ("a", 1), ("a", 1), ("b", 2), ("a", 1), ("b", 2), ("c", 3))
    assert world.client.result("x") == [1, 2, 3]


def test_an_id_is_of_one_signal_of_one_execution(make: Make) -> None:
    world = make(mailbox)
    world.start(mailbox, 1, "x")
    world.start(mailbox, 1, "y")
    world.client.signal("x", "other", 5, signal_id="a")
    world.client.signal("y", "amount", 6, signal_id="a")
    given(world, ("a", 7))
    assert (world.client.result("x"), world.client.result("y")) == ([7], [6])


def test_an_id_is_forgotten_after_thirty_days_and_no_earlier(make: Make) -> None:
    """A second delivery does not make it last longer."""
    world = make(mailbox)
    world.start(mailbox, 3, "x")
    given(world, ("a", 1))
    world.world.advance(MARK_S - 10)
    given(world, ("a", 2))
    world.world.advance(9)
    given(world, ("a", 3))
    world.world.advance(2)
    given(world, ("a", 4), ("b", 5))
    assert world.client.result("x") == [1, 4, 5]


def test_an_id_is_known_after_a_redrive(make: Make) -> None:
    failing = [True]

    @durable(name="mailbox")
    def handler(event: int, ctx: DurableContext) -> Any:
        got = ctx.wait_for_signal("amount")
        if failing.pop() if failing else False:
            raise ValueError("no")
        return [got, ctx.wait_for_signal("amount")]

    world = make(handler)
    world.start(handler, 0, "x")
    given(world, ("a", 1))
    assert world.status("x") == "FAILED"
    given(world, ("a", 1))
    world.client.redrive("x")
    world.idle()
    given(world, ("a", 1), ("b", 2))
    assert world.client.result("x") == [1, 2]


def test_a_purged_execution_leaves_no_marks(make: Make) -> None:
    world = make(mailbox)
    for _ in range(2):
        world.start(mailbox, 1, "x")
        given(world, ("a", 1))
        assert world.client.result("x") == [1]
        world.client.purge("x")
        with pytest.raises(ExecutionNotFound):
            world.client.signal("x", "amount", 1, signal_id="a")


@pytest.mark.parametrize("bad", ["", "a\nb", "x" * 513])
def test_what_no_id_can_be(bad: str) -> None:
    with LocalRunner(mailbox) as runner:
        runner.start(1, "x")
        with pytest.raises(ValueError, match="signal_id must be 1 to 512"):
            runner.signal("x", "amount", 1, signal_id=bad)


def test_a_reply_that_is_lost_delivers_once() -> None:
    """Whoever tries again gives the same id."""
    with LocalRunner(mailbox) as runner:
        execution = runner.start(5, "x")
        client = DurableClient(FaultyBackend(runner.backend, seed=1, lost_reply=0.4))
        for amount in range(5):
            for _ in range(100):
                with contextlib.suppress(LostReply):
                    client.signal("x", "amount", amount, signal_id=str(amount))
                    break
        runner.run_until_idle()
        assert execution.result == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("id", [None, "a"])
def test_what_a_signal_costs(id: str | None) -> None:
    with LocalCloud() as cloud:
        cloud.attach(mailbox)
        cloud.client.start(mailbox, 900, id="x")
        cloud.advance(0)
        costs = []
        for n in range(30):
            cloud.requests.clear()
            cloud.client.signal("x", "amount", n, signal_id=id and f"{id}{n}")
            sent = [(r.action, r.units) for r in cloud.requests]
            costs.append([row for row in sent if row[0] != "SendMessage"])
            assert sum(request.is_message for request in cloud.requests) <= 1
        units = 4 if id is None else 6
        assert costs == [[costs[0][0], ("TransactWriteItems", units)]] * 30
        assert costs[0][0][0] == "GetItem"
        cloud.requests.clear()
        cloud.client.signal("x", "amount", 0, signal_id=id)
        assert [r.action for r in cloud.requests if not r.is_message] == ["GetItem", "TransactWriteItems"]


def test_marks_are_not_read_along() -> None:
    with LocalCloud() as cloud:
        cloud.attach(renewed)
        cloud.client.start(renewed, [], id="x")
        cloud.advance(0)
        for n in range(40):
            cloud.client.signal("x", "other", "z" * 500, signal_id=str(n))
        loaded = cloud.store.load(cloud.client._executions.head("x").key)
        assert loaded is not None
        assert len(loaded.inbox) == 40
        assert all("Z#" not in item["sk"]["S"] for item in cloud.store.table.partition("x"))
        assert sum(item["sk"]["S"].startswith("Z#") for item in cloud.store.table.keys("x")) == 40


# -- from a step body ----------------------------------------------------------------------------------------------


@step(retry=RetryPolicy(max_attempts=4, initial_delay=1, jitter="none"))
def tell() -> None:
    client = DurableClient.from_env()
    for amount in (5, 5, 6):
        client.signal("x", "amount", amount)
        if current_step().attempt == 1:
            raise ConnectionError("the reply was lost")
    if current_step().attempt < 4:
        raise ConnectionError("the reply was lost")


@durable(name="teller")
def teller(event: int, ctx: DurableContext) -> None:
    for _ in range(event):
        ctx.step(tell)


@durable(name="teller")
async def a_teller(event: int, ctx: AsyncDurableContext) -> None:
    for _ in range(event):
        await ctx.step(tell)


@pytest.mark.parametrize("handler", [teller, a_teller])
def test_a_body_that_is_tried_again_sends_once(make: Make, handler: DurableFunction[Any, Any]) -> None:
    """Each of its calls, and each step for itself."""
    world = make(mailbox, handler)
    world.start(mailbox, 6, "x")
    world.start(handler, 2, "t")
    world.world.advance(3600)
    assert world.status("t") == "SUCCEEDED"
    assert world.client.result("x") == [5, 5, 6, 5, 5, 6]


def test_a_body_that_dies_sends_once() -> None:
    @durable(name="both")
    def both(event: None, ctx: DurableContext) -> Any:
        ctx.step(to_itself)
        return [ctx.wait_for_signal("x", timeout=0), _more(ctx)]

    def to_itself() -> None:
        DurableClient.from_env().signal(current_step().execution_id, "x", 1)

    report = crash_everywhere(both, None)
    assert report.ok, report


def _more(ctx: DurableContext) -> Any:
    try:
        return ctx.wait_for_signal("x", timeout=0)
    except SignalTimeout:
        return "no more"


# -- ctx.signal ----------------------------------------------------------------------------------------------------


@durable(name="caller")
def caller(event: list[str], ctx: DurableContext) -> Any:
    return [ctx.signal(id, "amount", n) for n, id in enumerate(event)]


@durable(name="caller")
async def a_caller(event: list[str], ctx: AsyncDurableContext) -> Any:
    return [await ctx.signal(id, "amount", n) for n, id in enumerate(event)]


@pytest.mark.parametrize("handler", [caller, a_caller])
def test_ctx_signal_says_whether_it_was_taken(make: Make, handler: DurableFunction[Any, Any]) -> None:
    world = make(mailbox, handler)
    world.start(mailbox, 2, "x")
    world.start(handler, ["x", "x", "x"], "c")
    assert world.client.result("x") == [0, 1]
    assert world.client.result("c") in ([True, True, True], [True, True, False])
    world.start(handler, ["x"], "d")
    assert world.client.result("d") == [False]
    world.start(handler, ["nobody"], "e")
    described = world.client.describe("e")
    assert described.status == "FAILED"
    assert "ExecutionNotFound" in str(described.error)


@pytest.mark.parametrize("front", ["def", "async def"])
def test_the_answer_stays_what_it_was(front: str) -> None:
    """It had ended: code that went on by that goes on so, though somebody redrives it meanwhile."""
    dies = [True]

    def dying() -> str:
        if dies.pop() if dies else False:
            raise SystemExit
        return "done"

    @durable(name="caller")
    def plain(event: None, ctx: DurableContext) -> Any:
        taken = ctx.signal("x", "amount", 1)
        return [taken, ctx.step(dying)]

    @durable(name="caller")
    async def native(event: None, ctx: AsyncDurableContext) -> Any:
        taken = await ctx.signal("x", "amount", 1)
        return [taken, await ctx.step(dying)]

    fails = [True]

    @durable(name="failed")
    def failed(event: None, ctx: DurableContext) -> Any:
        if fails.pop() if fails else False:
            raise ValueError
        return ctx.wait_for_signal("another", timeout=DAY)

    with LocalRunner(plain if front == "def" else native, failed) as runner:
        runner.client.start(failed, None, id="x")
        runner.run_until_idle()
        execution = runner.start(None, "c")
        with pytest.raises(SystemExit):
            runner.run_until_idle()
        runner.client.redrive("x")
        runner.advance(3600)
        assert runner.client.describe("x").status == "SUSPENDED", "it would take the signal now"
        assert execution.result == [False, "done"]


def test_ctx_signal_costs_no_segment_of_its_own() -> None:
    with LocalCloud() as cloud:
        for function in (mailbox, caller):
            cloud.attach(function)
        cloud.client.start(mailbox, 1, id="x")
        cloud.advance(0)
        cloud.invoke(caller, ["x"])
        cloud.requests.clear()
        cloud.client.start(mailbox, 1, id="y")
        cloud.advance(0)
        cloud.requests.clear()
        cloud.invoke(caller, ["y"], request_id="r")
        writes = [(r.action, r.units) for r in cloud.requests if r.is_write]
        assert writes == [("PutItem", 1), ("TransactWriteItems", 6), ("PutItem", 1), ("UpdateItem", 1)]


def test_a_redrive_that_sends_anew_is_another_signal(make: Make) -> None:
    def fails() -> None:
        raise ValueError("no")

    once = step(fails, retry=RetryPolicy(max_attempts=1))

    @durable(name="sender")
    def one_try(event: None, ctx: DurableContext) -> None:
        ctx.signal("x", "amount", 1)
        ctx.step(once)

    world = make(mailbox, one_try)
    world.start(mailbox, 2, "x")
    world.start(one_try, None, "s")
    world.client.redrive("s")
    world.idle()
    assert world.status("x") == "SUSPENDED", "it goes on from its failure: that signal is sent"
    world.client.redrive("s", from_step="amount")
    world.idle()
    assert world.client.result("x") == [1, 1]


# -- typed ---------------------------------------------------------------------------------------------------------


class Amount(BaseModel):
    euros: Decimal = Field(alias="eur")


amount = Signal("amount", Amount)
close = Signal("close")


@durable(name="typed")
def typed(event: None, ctx: DurableContext) -> list[str]:
    return _typed_rows([ctx.wait_for_any_signal(amount, close) for _ in range(3)])


@durable(name="typed")
async def a_typed(event: None, ctx: AsyncDurableContext) -> list[str]:
    return _typed_rows([await ctx.wait_for_any_signal(amount, close) for _ in range(3)])


def _typed_rows(got: list[tuple[str, Amount | None]]) -> list[str]:
    return [f"{name} {message.euros if message is not None else message}" for name, message in got]


@pytest.mark.parametrize("handler", [typed, a_typed])
def test_typed_signals(make: Make, handler: DurableFunction[Any, Any]) -> None:
    world = make(handler)
    world.start(handler, None, "x")
    misfit: Any = {"eur": "many"}
    for wrong in (misfit, None, 3, Amount.model_construct(euros="many")):
        with pytest.raises(SerializationError, match="the payload of signal 'amount'"):
            world.client.signal("x", amount, wrong)
    with pytest.raises(SerializationError):
        world.client.signal("x", close, misfit)
    data: Any = {"eur": "2.50"}
    world.client.signal("x", amount, Amount(eur=Decimal("1.20")))
    world.client.signal("x", close)
    world.client.signal("x", amount, data)
    world.idle()
    assert world.client.result("x") == ["amount 1.20", "close None", "amount 2.50"]


@durable(name="patient")
def patient(event: None, ctx: DurableContext) -> list[Any]:
    got: list[Any] = []
    while len(got) < 4:
        try:
            got.append(ctx.wait_for_signal(amount) if len(got) < 2 else ctx.wait_for_any_signal(amount, "x")[0])
        except SerializationError as error:
            got.append(error.raw)
    return [g.model_dump_json() if isinstance(g, Amount) else g for g in got]


@durable(name="patient")
async def a_patient(event: None, ctx: AsyncDurableContext) -> list[Any]:
    got: list[Any] = []
    while len(got) < 4:
        try:
            got.append(
                await ctx.wait_for_signal(amount) if len(got) < 2 else (await ctx.wait_for_any_signal(amount, "x"))[0]
            )
        except SerializationError as error:
            got.append(error.raw)
    return [g.model_dump_json() if isinstance(g, Amount) else g for g in got]


@pytest.mark.parametrize("handler", [patient, a_patient])
def test_a_misfit_is_consumed_and_shown(make: Make, handler: DurableFunction[Any, Any]) -> None:
    """It was sent by the plain name. A loop may go on to the next one, here and on every replay."""
    world = make(handler)
    world.start(handler, None, "x")
    for payload in ({"dollars": [1]}, {"eur": "3"}, "bad", {"eur": "4"}):
        world.client.signal("x", "amount", payload)
        world.idle()
    assert world.client.result("x") == [{"dollars": [1]}, '{"euros":"3"}', "bad", "amount"]
    assert replay(handler, world.client.history("x")) == world.client.result("x")


def test_a_signal_is_a_value() -> None:
    same: object = Signal("amount", Amount)
    assert amount == same
    assert hash(amount) == hash(same)
    assert amount != Signal("amount")
    assert amount != "amount"
    assert repr(amount) == "Signal('amount', Amount)"
    assert repr(close) == "Signal('close')"
    with pytest.raises(AttributeError):
        amount.name = "x"  # type: ignore[misc]
    with pytest.raises(ValueError, match="printable"):
        Signal("")


def test_what_a_wait_does_not_take() -> None:
    @durable(name="wrong")
    def wrong(event: int, ctx: DurableContext) -> Any:
        waits: list[Callable[[], Any]] = [
            lambda: ctx.wait_for_any_signal(),
            lambda: ctx.wait_for_any_signal("a", Signal("a", int)),
            lambda: ctx.wait_for_signal(amount, result_type=int),  # type: ignore[call-overload]
        ]
        return waits[event]()

    with LocalRunner(wrong) as runner:
        for event, error in ((0, "was given none"), (1, "'a' twice"), (2, "leave out result_type")):
            assert error in str(runner.run(event).error)


# -- any of several ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("front", ["def", "async def"])
@pytest.mark.parametrize("always_suspend", [False, True])
def test_a_loser_takes_none_of_them(front: str, always_suspend: bool) -> None:
    def any_of(c: DurableContext) -> Any:
        return c.wait_for_any_signal("a", "b")

    async def a_any_of(c: AsyncDurableContext) -> Any:
        return await c.wait_for_any_signal("a", "b")

    @durable(name="racing")
    def plain(event: None, ctx: DurableContext) -> Any:
        won = ctx.race({"any": any_of, "clock": lambda c: c.sleep(60)})
        return [won[0], list(ctx.wait_for_any_signal("b", "a")), ctx.wait_for_signal("a")]

    @durable(name="racing")
    async def native(event: None, ctx: AsyncDurableContext) -> Any:
        won = await ctx.race({"any": a_any_of, "clock": lambda c: c.sleep(60)})
        return [won[0], list(await ctx.wait_for_any_signal("b", "a")), await ctx.wait_for_signal("a")]

    with LocalRunner(plain if front == "def" else native, always_suspend=always_suspend) as runner:
        execution = runner.start(None, "x")
        runner.run_until_idle()
        runner.advance(61)
        runner.signal("x", "b", 1)
        runner.signal("x", "a", 2)
        runner.run_until_idle()
        assert execution.result == ["clock", ["b", 1], 2]


def test_code_may_wait_for_more_names_later_and_must_keep_those_it_took() -> None:
    def version(*names: str) -> DurableFunction[Any, Any]:
        @durable(name="entity")
        def entity(event: None, ctx: DurableContext) -> Any:
            return [list(ctx.wait_for_any_signal(*names)) for _ in range(2)]

        return entity

    with LocalRunner(version("a", "b")) as runner:
        execution = runner.start(None, "x")
        runner.run_until_idle()
        runner.signal("x", "a", 1)
        runner.run_until_idle()
        runner._functions["entity"] = version("b")
        runner.signal("x", "b", 2)
        runner.run_until_idle()
        assert isinstance(execution.error, NonDeterminismError)
        assert "must stay among them" in str(execution.error)
        runner._functions["entity"] = version("c", "b", "a")
        runner.client.redrive("x")
        runner.run_until_idle()
        assert execution.result == [["a", 1], ["b", 2]]
