"""Pydantic AI's agent on the embedded journal, with the scripted model. Its scenes are played in tests/e2e/test_demos.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from durable_fn.testing import DurableRunner, Execution, LocalRunner
from durable_fn.testing.crashes import crash_at
from durable_fn.wiring import using
from handlers_demo.ai_agent.models import Task
from handlers_demo.ai_agent.systems import MAIL, SYSTEMS
from handlers_demo.links import confirm, newest_link
from handlers_demo.script import load
from handlers_demo.systems import DIRECTORY_VARIABLE, effects

TASK = Task.model_validate_json((Path(__file__).parent / "event.json").read_text())


@pytest.fixture(autouse=True)
def _own_systems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DIRECTORY_VARIABLE, str(tmp_path))
    monkeypatch.delenv("AGENT_PROVIDER", raising=False)


@pytest.fixture
def handler() -> Any:
    """Imported here: not every worker runs one of these tests."""
    return load("ai_agent_pydantic").handler


@pytest.mark.parametrize("sent", [{"verdict": "maybe", "by": "x"}, None, "yes"])
def test_an_unclear_answer_approves_nothing(sent: object, durable_runner: DurableRunner, handler: Any) -> None:
    runner = durable_runner(handler)
    execution = runner.run(TASK)
    runner.complete_callback(execution.callback_token("support.approval:1.1"), sent)
    runner.run_on(execution)
    assert "was not approved" in execution.result.answer
    assert "refund" not in effects(SYSTEMS)


def test_nobody_approves(durable_runner: DurableRunner, handler: Any) -> None:
    runner = durable_runner(handler)
    execution = runner.run(TASK)
    runner.advance(5 * 3600)
    assert "was not approved" in execution.result.answer
    assert effects(SYSTEMS) == {"ask": 3, "rent": 1, "run": 2, "approval": 1, "release": 1}


def test_nothing_happens_twice_wherever_the_process_dies(handler: Any) -> None:
    def drive(runner: LocalRunner[Any, Any], _: Execution[Any]) -> None:
        with using(runner.backend):
            confirm(newest_link(MAIL, "approval", "verdict=approve"))

    def check_and_reset(_: Execution[Any]) -> None:
        assert effects(SYSTEMS) == {"rent": 1, "run": 2, "approval": 1, "release": 1, "ask": 3, "refund": 1}
        for system in SYSTEMS:
            system.path.unlink(missing_ok=True)

    report = crash_at(lambda point: point % 3 == 0, handler, TASK, drive=drive, check=check_and_reset)
    assert report.ok, str(report)
    assert report.crash_points > 20
