"""The onboarding on the embedded journal: days pass at once, and the links in the mails are followed for real."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from durable_fn import DurableClient
from durable_fn.testing import DurableRunner, Execution, LocalRunner, crash_everywhere
from durable_fn.wiring import using
from handlers_demo.customer_onboarding.handler import handler
from handlers_demo.customer_onboarding.models import Application, Outcome
from handlers_demo.customer_onboarding.systems import MAIL, SYSTEMS
from handlers_demo.links import confirm, follow, newest_link
from handlers_demo.systems import DIRECTORY_VARIABLE, effects

APPLICATION = Application.model_validate_json((Path(__file__).parent / "event.json").read_text())
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _own_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path))


def answer(runner: LocalRunner[Any, Any], kind: str, verdict: str) -> None:
    with using(runner.backend):
        confirm(newest_link(MAIL, kind, f"verdict={verdict}"))
    runner.run_until_idle()


def test_approved_at_once(durable_runner: DurableRunner) -> None:
    runner = durable_runner(handler)
    execution = runner.run(APPLICATION)
    assert (execution.id, execution.status) == ("onboarding-application-77", "SUSPENDED")
    answer(runner, "ask", "approve")
    assert execution.result == Outcome(
        application_id="application-77", status="active", decided_by="grace@bank.example"
    )
    assert effects(SYSTEMS) == {"look up": 1, "ask": 1, "open": 1, "welcome": 1}


def test_following_the_link_approves_nothing(durable_runner: DurableRunner) -> None:
    runner = durable_runner(handler)
    execution = runner.run(APPLICATION)
    with using(runner.backend):
        page = follow(newest_link(MAIL, "ask", "verdict=approve"))
    runner.run_until_idle()
    assert "Confirm" in page
    assert execution.status == "SUSPENDED"


def test_reminders_then_escalation_then_the_end(durable_runner: DurableRunner) -> None:
    runner = durable_runner(handler)
    execution = runner.run(APPLICATION)
    sent = []
    for _ in range(7):
        runner.advance(DAY)
        sent.append({what: n for what, n in effects(SYSTEMS).items() if what not in ("look up", "ask")})
    reminders = [{"remind": 1}, {"remind": 2}, *[{"remind": 2, "escalate": 1}] * 4]
    assert sent == [*reminders, {"remind": 2, "escalate": 1, "goodbye": 1}]
    assert execution.result.status == "expired"
    assert MAIL.details("escalate")[0].startswith("to linus@bank.example: ")


def test_the_link_of_an_older_mail_is_over(durable_runner: DurableRunner) -> None:
    runner = durable_runner(handler)
    execution = runner.run(APPLICATION)
    runner.advance(DAY)
    with pytest.raises(RuntimeError, match=r"409.*timed out before"):
        answer(runner, "ask", "approve")
    answer(runner, "remind", "reject")
    assert execution.result.status == "rejected"
    assert effects(SYSTEMS) == {"look up": 1, "ask": 1, "remind": 1, "goodbye": 1}


@pytest.mark.parametrize("days", [0, 1, 3])
def test_withdrawn_at_any_time(days: int, durable_runner: DurableRunner) -> None:
    runner = durable_runner(handler)
    execution = runner.run(APPLICATION)
    runner.advance(days * DAY)
    runner.signal(execution.id, "withdraw", {"reason": "found another bank"})
    runner.run_until_idle()
    assert (execution.result.status, execution.result.reason) == ("withdrawn", "found another bank")
    with pytest.raises(RuntimeError, match="409"):
        answer(runner, "ask", "approve")
    assert "open" not in effects(SYSTEMS)


def test_approval_and_withdrawal_at_the_same_moment_are_one_ending(durable_runner: DurableRunner) -> None:
    runner = durable_runner(handler)
    execution = runner.run(APPLICATION)
    runner.signal(execution.id, "withdraw", {})
    answer(runner, "ask", "approve")
    ending, happened = execution.result.status, effects(SYSTEMS)
    assert (ending, "open" in happened, "goodbye" in happened) in [("active", True, False), ("withdrawn", False, True)]


def test_an_answer_that_is_no_decision_is_asked_for_again(durable_runner: DurableRunner) -> None:
    runner = durable_runner(handler)
    execution = runner.run(APPLICATION)
    runner.complete_callback(execution.callback_token("ask"), {"verdict": "perhaps", "by": "grace@bank.example"})
    runner.run_until_idle()
    assert (execution.status, effects(SYSTEMS)) == ("SUSPENDED", {"look up": 1, "ask": 1, "remind": 1})
    answer(runner, "remind", "approve")
    assert execution.result.status == "active"


@pytest.mark.parametrize("ending", ["active", "withdrawn"])
def test_nothing_happens_twice_wherever_the_process_dies(ending: str) -> None:
    def drive(runner: LocalRunner[Any, Any], execution: Execution[Any]) -> None:
        if not MAIL.details("escalate"):
            runner.advance(DAY)
        elif ending == "active":
            with using(runner.backend):
                confirm(newest_link(MAIL, "escalate", "verdict=approve"))
        else:
            DurableClient(runner.backend).signal(execution.id, "withdraw", {})

    def check(execution: Execution[Any]) -> None:
        last = {"open": 1, "welcome": 1} if ending == "active" else {"goodbye": 1}
        assert (execution.status, execution.result.status) == ("SUCCEEDED", ending)
        assert effects(SYSTEMS) == {"look up": 1, "ask": 1, "remind": 2, "escalate": 1, **last}
        for system in SYSTEMS:
            system.path.unlink()

    report = crash_everywhere(handler, APPLICATION, drive=drive, check=check)
    # Account numbers are drawn by the bank, so what open_account returned differs; the outcome must not.
    assert report.ok, str(report)
    assert report.crash_points > 30
