"""The contract's samples as a user would run them: each on the embedded journal, and again with a death at every request."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from durable_fn import CallError, ExecutionCancelled
from durable_fn.testing import Execution, LocalRunner, crash_everywhere
from durable_fn.wiring import using

SAMPLES = Path(__file__).parent / "samples"
Load = Callable[[str], ModuleType]


@pytest.fixture
def sample(monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    monkeypatch.syspath_prepend(str(SAMPLES))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if (SAMPLES / f"{name}.py").exists():
            del sys.modules[name]


def order(sample: Load, id: str = "o-1") -> Any:
    models = sample("models")
    return models.Order(
        order_id=id, customer="c@example.com", lines=[models.Line(sku="a", quantity=2)], total=Decimal("9.90")
    )


@pytest.mark.parametrize("name", ["s01_order_saga", "s02_order_saga_async"])
def test_orders(sample: Load, name: str) -> None:
    handler = sample(name).handler
    event = order(sample)
    with LocalRunner(handler) as runner:
        execution = runner.run(event)
        assert execution.id == "o-1"
        assert execution.result.order_id == "o-1"
        assert execution.result.tracking.startswith("t")
    report = crash_everywhere(handler, event)
    assert report.ok, report


@pytest.mark.parametrize("name", ["s01_order_saga", "s02_order_saga_async"])
def test_orders_are_taken_back(sample: Load, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parcel cannot be sent: what was done is undone, last first."""
    module = sample(name)
    undone: list[str] = []

    def down(*args: Any, **kwargs: Any) -> Any:
        raise ConnectionError("no parcels today")

    monkeypatch.setattr(module, "Label", down)
    real = {fn: getattr(module, fn) for fn in ("release", "refund")}
    for fn in real:
        monkeypatch.setattr(module, fn, _named(fn, undone))
    with LocalRunner(module.handler) as runner:
        execution = runner.run(order(sample))
        assert execution.status == "FAILED"
        assert undone == ["refund", "release"]


def _named(name: str, undone: list[Any], *, all: bool = False) -> Callable[..., None]:
    """Notes each call: its name, or all of its arguments."""

    def undo(*args: Any, **kwargs: Any) -> None:
        undone.append(args if all else name)

    undo.__name__ = name
    return undo


def test_onboarding(sample: Load) -> None:
    s03 = sample("s03_onboarding")
    with LocalRunner(s03.handler) as runner:
        expired = runner.run(s03.Customer(id="1", email="e"))
        runner.advance(86_400)
        assert expired.result == "expired"
        assert expired.id == "onboarding:1"
        rejected = runner.run(s03.Customer(id="2", email="e"))
        runner.complete_callback(rejected.callback_token("identity"), {"score": 0.1})
        runner.run_until_idle()
        assert rejected.result == "rejected"
        refused = runner.run(s03.Customer(id="3", email="e"))
        runner.fail_callback(refused.callback_token("identity"), "no such person")
        runner.run_until_idle()
        assert refused.result == "rejected"


def test_agent(sample: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    s04, models = sample("s04_agent"), sample("models")
    asked: list[tuple[str, str]] = []

    async def ask_model(messages: list[Any]) -> Any:
        if len(messages) > 1:
            return s04.Message(role="assistant", text=" ".join(m.text for m in messages[2:]))
        calls = [s04.ToolCall(id=str(n), tool="t", arguments={}, dangerous=n == 1) for n in range(3)]
        return s04.Message(role="assistant", text="", calls=calls)

    async def ask_human(approver: str, call: Any, token: str) -> None:
        asked.append((approver, token))

    ask_model.__annotations__["return"] = s04.Message
    monkeypatch.setattr(s04, "ask_model", ask_model)
    monkeypatch.setattr(s04, "ask_human", ask_human)
    task = s04.Task(prompt="p", approver="boss")
    with LocalRunner(s04.handler) as runner:
        execution = runner.run(task)
        assert execution.custom_status == {"turn": 0, "calls": ["t", "t", "t"]}
        assert asked[0][0] == "boss"
        runner.complete_callback(asked[0][1], models.Decision(verdict="reject", by="boss"))
        runner.run_until_idle()
        assert execution.result == "42 rejected by boss 42"

    def drive(runner: LocalRunner[Any, Any], execution: Execution[Any]) -> None:
        runner.complete_callback(asked[-1][1], {"verdict": "approve", "by": "boss"})

    report = crash_everywhere(s04.handler, task, drive=drive)
    assert report.ok, report


def test_the_agent_library(sample: Load) -> None:
    """With keys: also its sub-agent. Outside of an execution it does the plain thing."""
    s15 = sample("s15_agent_keys")
    task = s15.Task(prompt="p")
    with LocalRunner(s15.handler) as runner:
        execution = runner.run(task)
        assert execution.result == "done"
        steps = [event.id for event in execution.history if event.kind == "step"]
        assert set(steps) == {
            "ask_model", "ask_model#2", "run_tool:c-1", "research:c-2/run_tool:wiki", "research:c-2/run_tool:news",
        }  # fmt: skip
    assert asyncio.run(s15.agent("p")) == "done"
    report = crash_everywhere(s15.handler, task)
    assert report.ok, report


def test_the_agent_library_asks_a_human(sample: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer reaches its call, in whatever order it comes."""
    s15 = sample("s15_agent_keys")
    calls = [s15.ToolCall(id=f"c-{n}", tool="buy", dangerous=n > 0) for n in range(3)]
    ran: list[str] = []

    async def ask_model(prompt: str, answers: list[Any]) -> Any:
        if answers:
            return s15.Turn(text=", ".join(sorted(f"{a.call_id} {a.text}" for a in answers)))
        return s15.Turn(calls=calls)

    async def run_tool(call: Any) -> str:
        ran.append(call.id)
        return "bought"

    ask_model.__annotations__["return"] = s15.Turn
    monkeypatch.setattr(s15, "ask_model", ask_model)
    monkeypatch.setattr(s15, "run_tool", run_tool)
    with LocalRunner(s15.handler) as runner:
        execution = runner.run(s15.Task(prompt="p"))
        tokens = [execution.callback_token(f"approval:c-{n}") for n in (1, 2)]
        runner.complete_callback(tokens[1], {"verdict": "reject", "by": "boss"})
        runner.complete_callback(tokens[0], {"verdict": "approve", "by": "boss"})
        runner.run_until_idle()
        assert execution.result == "c-0 bought, c-1 bought, c-2 rejected by boss"
        assert ran == ["c-0", "c-1"]


def test_audit(sample: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    s05 = sample("s05_audit")
    documents = [s05.Document(key=f"d{n}", size=n) for n in range(40)]

    def list_documents(bucket: str) -> Any:
        return documents

    list_documents.__annotations__["return"] = list[s05.Document]
    monkeypatch.setattr(s05, "list_documents", list_documents)

    def finding(key: str, issues: int) -> Any:
        if key == "d7":
            raise ValueError("unreadable")
        return real(key=key, issues=issues)

    real = s05.Finding
    monkeypatch.setattr(s05, "Finding", finding)
    with LocalRunner(s05.handler) as runner:
        report = runner.run(s05.Job(bucket="b")).result
        assert (report.audited, report.complete) == (39, True)
        assert list(report.failed) == ["d7"]
        assert "unreadable" in report.failed["d7"]


def test_polls(sample: Load) -> None:
    s06 = sample("s06_poll")
    with LocalRunner(s06.handler) as runner:
        assert runner.run({"table": "t"}).result == s06.Job(id="j", state="done", checks=1)
    with LocalRunner(s06.handler_async) as runner:
        began = runner.now()
        assert runner.run({"table": "t"}).result.checks == 4
        assert (runner.now() - began).total_seconds() == pytest.approx(120, abs=1)


@pytest.mark.parametrize("front", ["handler", "handler_async"])
def test_races(sample: Load, front: str) -> None:
    s07 = sample("s07_race")
    with LocalRunner(getattr(s07, front)) as runner:
        human = runner.start({})  # `run` would jump over the hour
        runner.run_until_idle()
        runner.complete_callback(human.callback_token("approval"), {"verdict": "approve", "by": "me"})
        runner.run_until_idle()
        assert human.result == "approve"
        nobody = runner.start({})
        runner.run_until_idle()
        runner.advance(3600)
        if front == "handler":
            runner.complete_callback(nobody.callback_token("approval"), {"verdict": "reject", "by": "you"})
            runner.run_until_idle()
            assert nobody.result in ("human: you", "other: you")
        else:
            assert nobody.result == "late"


def test_calls(sample: Load) -> None:
    s08 = sample("s08_calls")
    from durable_fn import DurableContext, durable

    @durable(name="billing")
    def billing(event: Any, ctx: DurableContext) -> Decimal:
        return Decimal(event["count"])

    @durable(name="legacy")
    def legacy(event: Any, ctx: DurableContext) -> Any:
        return {"old": event}

    @durable(name="escalate")
    def escalate(event: Any, ctx: DurableContext) -> None: ...

    fulfil = sample("s01_order_saga").handler
    # Both handlers of the samples are called "handler": in one table one of them needs a name of its own.
    fulfil.name = "fulfil"
    with LocalRunner(s08.handler, fulfil, billing, legacy, escalate) as runner:
        execution = runner.run([order(sample, "o-1"), order(sample, "o-2")])
        assert [receipt.order_id for receipt in execution.result] == ["o-1", "o-2"]
        assert {info.id for info in runner.client.list(name="fulfil")} == {"o-1", "o-2", "again"}


def test_cron(sample: Load) -> None:
    s09 = sample("s09_cron")
    with LocalRunner(s09.handler) as runner:
        execution = runner.start(s09.State())
        runner.run_until_idle()
        assert execution.id == "digest"
        for address in ("a", "b"):
            runner.signal("digest", "join", {"address": address})
        runner.advance(3 * 86_400)
        info = runner.client.describe("digest")
        assert (info.generation, info.input) == (3, {"round": 2, "subscribers": ["a", "b"]})
        assert len(execution.history) < 10, "the journal stays small"
    with LocalRunner(s09.handler_async) as runner:
        assert runner.run(s09.State()).result == 0


@pytest.mark.parametrize("front", ["handler", "handler_async"])
def test_cancellation_cleans_up(sample: Load, front: str, monkeypatch: pytest.MonkeyPatch) -> None:
    s10 = sample("s10_cancel")
    stopped: list[Any] = []

    def stop_cluster(cluster: str, *, reason: str | None) -> None:
        stopped.append((cluster, reason))

    monkeypatch.setattr(s10, "stop_cluster", stop_cluster)
    with LocalRunner(getattr(s10, front)) as runner:
        execution = runner.start(3)
        if front == "handler":  # it soaks for a day; the other is cancelled before it began
            runner.run_until_idle()
        runner.cancel(execution.id, "enough")
        runner.run_until_idle()
        assert execution.status == "CANCELLED"
        assert isinstance(execution.error, ExecutionCancelled)
        assert stopped == ([("c-1", "enough")] if front == "handler" else [])


def test_patched(sample: Load) -> None:
    s11 = sample("s11_patched")
    with LocalRunner(s11.handler) as runner:
        execution = runner.run(order(sample))
        assert execution.result == "paid"
        assert [e.name for e in execution.history if e.kind == "step"] == ["check_fraud_v2", "pay"]


def test_the_operators_script(sample: Load, capsys: pytest.CaptureFixture[str]) -> None:
    s14b, fulfil = sample("s14b_client"), sample("s01_order_saga").handler
    with LocalRunner(fulfil) as runner, using(runner.backend):
        assert s14b.main("o-7") == 1, "nobody is not found"
        assert capsys.readouterr().out.startswith("still PENDING")
        runner.run_until_idle()
        assert s14b.main("o-7") == 1
        assert capsys.readouterr().out == "t-1\n"
        with pytest.raises(CallError):
            runner.client.result("o-8") if runner.client.start(fulfil, order(sample, "o-8")) else None


def test_an_account_answers_its_buyers(sample: Load) -> None:
    s16 = sample("s16_typed_signals")
    with LocalRunner(s16.account, s16.buy, s16.buy_or_not) as runner:
        account = runner.start(s16.Account(owner="ann"))
        for transfer in ("t-1", "t-1", "t-2"):  # the bank says the first one twice
            s16.transfer_arrived(runner.client, "ann", transfer, Decimal(10))
        runner.run_until_idle()
        client = runner.client
        for buyer, price in (("ann", 15), ("ann", 6), ("bob", 1)):
            client.start(s16.buy, s16.Purchase(buyer=buyer, price=Decimal(price)), id=f"{buyer}-{price}")
            runner.run_until_idle()
        assert [client.result(id) for id in ("ann-15", "ann-6", "bob-1")] == [True, False, False]
        runner.signal("account:ann", "close")
        runner.run_until_idle()
        assert account.result == Decimal(5)


@pytest.mark.parametrize("ok", [True, False])
def test_a_reply_that_lost_the_race_is_read_by_the_next_wait(sample: Load, ok: bool) -> None:
    s16 = sample("s16_typed_signals")
    with LocalRunner(s16.buy_or_not) as runner:
        execution = runner.start(s16.Purchase(buyer="ann", price=Decimal(1)), "late")
        runner.run_until_idle()
        runner.advance(61)
        runner.signal("late", "replied", {"ok": ok, "balance": "4"})
        runner.run_until_idle()
        assert execution.result == ("paid late" if ok else "refused late")


@pytest.mark.parametrize("front", ["handler", "handler_async"])
def test_what_is_out_of_the_shelf_arrives(sample: Load, front: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancellation in the shielded block is raised behind it: the parcel is put in."""
    s17 = sample("s17_shielded")
    seen: dict[str, list[Any]] = {"put_in": [], "order_truck": []}
    monkeypatch.setattr(s17, "put_in", _named("put_in", seen["put_in"], all=True))
    monkeypatch.setattr(s17, "order_truck", _named("order_truck", seen["order_truck"], all=True))
    with LocalRunner(getattr(s17, front)) as runner:
        execution = runner.start(s17.Move(parcel="p", source="a", target="b"), "m")
        runner.run_until_idle()
        if front == "handler":
            runner.advance(3601)
        runner.cancel("m", "enough")
        runner.run_until_idle()
        assert execution.status == "SUSPENDED", "the block goes on"
        if front == "handler":
            [(_, token)] = seen["order_truck"]
            runner.complete_callback(token, "here")
        runner.advance(601)
        assert execution.status == "CANCELLED"
        assert seen["put_in"] == [("p", "b")]


def test_a_branch_that_lost_ends_its_shielded_block(sample: Load) -> None:
    s17 = sample("s17_shielded")
    with LocalRunner(s17.racing) as runner:
        assert runner.run(s17.Move(parcel="p", source="a", target="b")).result == "moved"
