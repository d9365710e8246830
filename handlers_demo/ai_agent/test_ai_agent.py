"""The agent on the embedded journal, with the scripted model."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from durable_fn.testing import DurableRunner, Execution, LocalRunner, crash_everywhere
from durable_fn.wiring import using
from handlers_demo.ai_agent import model
from handlers_demo.ai_agent.desk import PATIENCE
from handlers_demo.ai_agent.handler import handler
from handlers_demo.ai_agent.models import Budget, Spent, Task, ToolCall, Usage
from handlers_demo.ai_agent.systems import MAIL, MODEL, SANDBOX, SYSTEMS
from handlers_demo.ai_agent.tools import ToolError, check
from handlers_demo.links import confirm, newest_link
from handlers_demo.systems import DIRECTORY_VARIABLE, effects

TASK = Task.model_validate_json((Path(__file__).parent / "event.json").read_text())


@pytest.fixture(autouse=True)
def _own_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path))
    monkeypatch.delenv(model.PROVIDER_VARIABLE, raising=False)


def answer(runner: LocalRunner[Any, Any], verdict: str) -> None:
    with using(runner.backend):
        confirm(newest_link(MAIL, "approval", f"verdict={verdict}"))


def test_an_approved_refund(durable_runner: DurableRunner) -> None:
    runner = durable_runner(handler)
    execution = runner.run(TASK)
    assert execution.status == "SUSPENDED"
    assert execution.custom_status == {"turns": 2, "tokens": 1313, "cost": "0.005979", "doing": ["refund_payment"]}
    answer(runner, "approve")
    runner.run_on(execution)
    assert execution.result.answer.endswith("payment-882 (39.00) has been refunded.")
    assert execution.result.spent == Spent(turns=3, tokens=2200, cost=Decimal("0.009132"))
    assert effects(SYSTEMS) == {"ask": 3, "rent": 1, "run": 2, "approval": 1, "refund": 1, "release": 1}


def test_a_rejected_refund(durable_runner: DurableRunner) -> None:
    runner = durable_runner(handler)
    execution = runner.run(TASK)
    answer(runner, "reject")
    runner.run_on(execution)
    assert "was not approved" in execution.result.answer
    assert "refund" not in effects(SYSTEMS)


def test_nobody_approves(durable_runner: DurableRunner) -> None:
    runner = durable_runner(handler)
    execution = runner.run(TASK)
    runner.advance(PATIENCE)
    runner.run_on(execution)
    assert "was not approved" in execution.result.answer
    assert effects(SYSTEMS) == {"ask": 3, "rent": 1, "run": 2, "approval": 1, "release": 1}


@pytest.mark.parametrize("sent", [{"verdict": "maybe", "by": "x"}, None, "yes"])
def test_an_unclear_answer_approves_nothing(sent: object, durable_runner: DurableRunner) -> None:
    runner = durable_runner(handler)
    execution = runner.run(TASK)
    runner.complete_callback(execution.callback_token("approval"), sent)
    runner.run_on(execution)
    assert "was not approved" in execution.result.answer
    assert "refund" not in effects(SYSTEMS)


@pytest.mark.parametrize(
    ("budget", "limit", "asked"),
    [
        (Budget(max_turns=1), "turns", 1),
        (Budget(max_tokens=508), "tokens", 1),
        (Budget(max_tokens=509), "tokens", 2),
        (Budget(max_cost=Decimal("0.002")), "cost", 1),
    ],
)
def test_the_budget_ends_it(budget: Budget, limit: str, asked: int, durable_runner: DurableRunner) -> None:
    runner = durable_runner(handler)
    execution = runner.run(TASK.model_copy(update={"budget": budget}))
    if asked == 2:
        answer(runner, "reject")
        runner.run_on(execution)
    assert (execution.result.status, execution.result.stopped_by) == ("stopped", limit)
    assert (effects(SYSTEMS)["ask"], effects(SYSTEMS)["release"]) == (asked, 1)


def test_cancelled_while_it_waits_gives_the_sandbox_back(durable_runner: DurableRunner) -> None:
    runner = durable_runner(handler)
    execution = runner.run(TASK)
    runner.cancel(execution.id, "it is settled")
    runner.run_until_idle()
    assert execution.status == "CANCELLED"
    assert effects(SYSTEMS) == {"ask": 2, "rent": 1, "run": 2, "approval": 1, "release": 1}


def test_a_busy_model_is_waited_for(durable_runner: DurableRunner) -> None:
    MODEL.refuse(2)
    runner = durable_runner(handler)
    began = runner.now()
    execution = runner.run(TASK)
    assert [e.name for e in execution.history if e.kind == "sleep" and e.status == "SUCCEEDED"] == ["retry_after"] * 2
    assert timedelta(seconds=6) <= runner.now() - began < timedelta(seconds=10)
    assert effects(SYSTEMS)["ask"] == 2


def test_a_sandbox_that_is_down_is_asked_again(durable_runner: DurableRunner) -> None:
    runner = durable_runner(handler)
    execution = runner.start(TASK)
    SANDBOX.refuse(1)
    runner.run_on(execution)
    assert [(e.attempt, e.status) for e in execution.history if e.name == "rent_sandbox"] == [
        (1, "FAILED"),
        (2, "SUCCEEDED"),
    ]


@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("rm -rf\n/", {}, "there is no tool"),
        ("find_orders", {}, "customer: Field required"),
        ("find_orders", {"customer": "ada@moka.example", "limit": 5}, "limit: Extra inputs"),
        ("refund_payment", {"payment_id": "payment-882", "amount": "-1"}, "amount: Input should be greater"),
        ("refund_payment", {"payment_id": "payment-882", "amount": "NaN"}, "amount: Input should be a finite"),
    ],
)
def test_what_a_model_may_write(name: str, arguments: dict[str, Any], why: str) -> None:
    with pytest.raises(ToolError, match=why):
        check(ToolCall(id="c", name=name, arguments=arguments))


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (ToolCall(id="c", name="sudo", arguments={}), "failed: there is no tool 'sudo'"),
        (ToolCall(id="c", name="find_orders", arguments={"customer": 5}), "failed: wrong arguments: customer"),
    ],
)
def test_the_model_is_told_what_was_wrong(
    call: ToolCall, told: str, durable_runner: DurableRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = {"turn": 1, "text": "", "calls": [call.model_dump()], "usage": {}}
    end = {"turn": 2, "if": told, "text": "I see.", "usage": {}}
    monkeypatch.setattr(model, "conversation", lambda: [line, end])
    assert durable_runner(handler).run(TASK).result.answer == "I see."


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"payment_id": "payment-1", "amount": "1.00"}, "failed: there is no payment 'payment-1'"),
        ({"payment_id": "payment-882", "amount": "39.01"}, "failed: only 39.00 was paid"),
    ],
)
def test_a_refund_that_the_shop_refuses(
    arguments: dict[str, Any], told: str, durable_runner: DurableRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = {"id": "c", "name": "refund_payment", "arguments": arguments}
    lines = [
        {"turn": 1, "text": "", "calls": [call], "usage": {}},
        {"turn": 2, "if": told, "text": "I see.", "usage": {}},
    ]
    monkeypatch.setattr(model, "conversation", lambda: lines)
    runner = durable_runner(handler)
    execution = runner.run(TASK)
    answer(runner, "approve")
    runner.run_on(execution)
    assert execution.result.answer == "I see."
    assert "refund" not in effects(SYSTEMS)
    assert [e.attempt for e in execution.history if e.name == "refund_payment"] == [1]


def test_usage_is_added_up() -> None:
    spent = Spent().plus(Usage(input_tokens=10, output_tokens=5, cost=Decimal("0.1"))).plus(Usage(cost=Decimal("0.2")))
    assert spent == Spent(turns=2, tokens=15, cost=Decimal("0.3"))


@pytest.mark.parametrize("ending", ["approve", "cancel"])
def test_nothing_happens_twice_wherever_the_process_dies(ending: str) -> None:
    def drive(runner: LocalRunner[Any, Any], execution: Execution[Any]) -> None:
        if ending == "cancel":
            runner.cancel(execution.id, "it is settled")
        else:
            answer(runner, ending)

    def check_and_reset(execution: Execution[Any]) -> None:
        expected = {"rent": 1, "run": 2, "approval": 1, "release": 1}
        expected |= {"ask": 3, "refund": 1} if ending == "approve" else {"ask": 2}
        assert effects(SYSTEMS) == expected
        for system in SYSTEMS:
            system.path.unlink(missing_ok=True)

    report = crash_everywhere(handler, TASK, drive=drive, check=check_and_reset)
    assert report.ok, str(report)
    assert report.crash_points > 20
