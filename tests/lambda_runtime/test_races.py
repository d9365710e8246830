"""Two environments on one execution."""

from __future__ import annotations

import pytest

from tests.lambda_runtime.conftest import Theatre

ROUNDS = 15


@pytest.mark.parametrize("handler", ["steps", "asteps"])
def test_the_same_event_twice_at_once(theatre: Theatre, handler: str) -> None:
    """One of them makes the execution; the other one attaches to it."""
    function = theatre.function(handler)
    for n in range(ROUNDS):
        event = {"id": f"e{n}", "steps": ["a", "b", "c"]}
        answers = [future.result(30) for future in [function.invoke_later(event) for _ in range(2)]]
        assert not any(answer.failed for answer in answers), function.logs()
        assert {a.value["status"] for a in answers} <= {"SUCCEEDED", "RUNNING"}
        assert "SUCCEEDED" in {a.value["status"] for a in answers}
        pid = theatre.client.result(f"e{n}")["pid"]
        assert theatre.begun(f"e{n}") == [("a", pid), ("b", pid), ("c", pid)]
    assert function.starts == 2


@pytest.mark.parametrize("handler", ["steps", "asteps"])
def test_the_same_message_twice_at_once(theatre: Theatre, handler: str) -> None:
    """SQS delivers at least once."""
    function = theatre.function(handler)
    for n in range(ROUNDS):
        id = theatre.client.start("steps", {"id": f"e{n}", "steps": ["a", "b", "c"]}, id=f"e{n}")
        message = theatre.wake(id)
        answers = [future.result(30) for future in [function.invoke_later(message) for _ in range(2)]]
        assert [answer.value for answer in answers] == [{"batchItemFailures": []}] * 2
        pid = theatre.client.result(id)["pid"]
        assert theatre.begun(id) == [("a", pid), ("b", pid), ("c", pid)]
        assert theatre.fences(id) == 0
    assert function.starts == 2
