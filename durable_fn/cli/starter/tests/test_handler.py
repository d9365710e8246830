"""On the embedded journal, in milliseconds: the clock is virtual."""

from __future__ import annotations

from datetime import timedelta

from app.handler import Signup, handler
from durable_fn.testing import DurableRunner, crash_everywhere

ADA = Signup(email="ada@example.com")


def test_two_mails_three_days_apart(durable_runner: DurableRunner) -> None:
    execution = durable_runner(handler).run(ADA)
    assert execution.result == "welcomed"
    first, second = [event.at for event in execution.history if event.name == "send_mail"]
    assert second - first >= timedelta(days=3)


def test_nothing_is_lost_wherever_the_process_dies() -> None:
    report = crash_everywhere(handler, ADA)
    assert report.ok, str(report)
