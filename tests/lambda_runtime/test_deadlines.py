"""Deadlines: seen by the handler, kept by yielding, and enforced with SIGKILL; and other deaths in the middle of a step."""

from __future__ import annotations

import pytest

from tests.lambda_runtime.conftest import Theatre, only, running, until

FRONTS = ["steps", "asteps"]


SHORT = {"timeout": 1, "grace": 60, "warm": True}  # a short lease, and no kill


@pytest.mark.parametrize("handler", FRONTS)
def test_killed_at_the_deadline_in_a_step_and_taken_over(theatre: Theatre, handler: str) -> None:
    """The next environment comes after the lease, fences the dead one off, and runs only what was not recorded."""
    function = theatre.function(handler, timeout=1, warm=True)
    answer = function.invoke({"id": "e", "steps": ["a", "b", "c"], "gated": ["b"]})
    assert (answer.failed, answer.error_type) == (True, "Sandbox.Timedout")
    assert "Task timed out after 1.00 seconds" in answer.value["errorMessage"]
    assert not running(answer.pid)
    assert (theatre.recorded("e"), theatre.fences("e"), theatre.client.describe("e").status) == (["a"], 0, "RUNNING")
    assert theatre.begun("e") == [("a", answer.pid), ("b", answer.pid)]
    _finished_by_another(theatre, answer.pid, "c")


def test_a_message_that_comes_while_somebody_is_at_it_does_nothing(theatre: Theatre) -> None:
    function = theatre.function("steps")
    future = function.invoke_later({"id": "e", "steps": ["a"], "gated": ["a"]})
    pid = theatre.reached("e-a")
    assert function.invoke(theatre.wake("e")).value == {"batchItemFailures": []}
    theatre.open("e-a")
    assert future.result(30).value["result"] == {"pid": pid}
    assert (theatre.begun("e"), function.starts) == ([("a", pid)], 2)


@pytest.mark.parametrize("handler", ["long", "along"])
def test_an_execution_yields_before_its_deadline(theatre: Theatre, handler: str) -> None:
    """By the deadline that the runtime is told: it suspends by itself when too little is left for another step."""
    function = theatre.function(handler, timeout=1, grace=60)
    answer = function.invoke({"id": "e", "steps": 3})
    assert (answer.failed, answer.value["status"]) == (False, "SUSPENDED")
    turns = 1
    while theatre.client.describe("e").status != "SUCCEEDED":
        assert not function.invoke(theatre.wake("e")).failed, function.logs()
        turns += 1
    assert (turns, function.starts) == (3, 1)
    assert [name for name, _ in theatre.begun("e")] == ["0", "1", "2"]


@pytest.mark.parametrize("death", ["kill", "terminate"])
def test_an_environment_that_dies_in_a_step(theatre: Theatre, death: str) -> None:
    """A host that fails, and a runtime without a handler for SIGTERM."""
    function = theatre.function("steps", **SHORT)
    future = function.invoke_later({"id": "e", "steps": ["a", "b"], "gated": ["b"]})
    dead = theatre.reached("e-b")
    getattr(only(function.busy), death)()
    answer = future.result(30)
    assert (answer.error_type, running(dead)) == ("Runtime.ExitError", False)
    assert ("killed" if death == "kill" else "terminated") in answer.value["errorMessage"]
    _finished_by_another(theatre, dead)


def test_a_handler_that_ends_itself_on_sigterm_records_nothing(theatre: Theatre) -> None:
    """SystemExit goes through the step's body and the handler's `finally`: like a death, nothing more is committed."""
    function = theatre.function("terminated", **SHORT)
    future = function.invoke_later({"id": "e", "steps": ["a", "b"], "gated": ["b"]})
    dead = theatre.reached("e-b")
    only(function.busy).terminate(patience=30)
    answer = future.result(30)
    assert "Runtime exited without providing a reason" in answer.value["errorMessage"], "it did not end by itself"
    assert [name for what, name, _ in theatre.notes("e") if what == "leaves"] == [""], "`finally` ran"
    assert (theatre.recorded("e"), theatre.begun("e")[2:]) == (["a"], [])
    _finished_by_another(theatre, dead)


def _finished_by_another(theatre: Theatre, dead: int, *more: str) -> None:
    function = theatre.function("steps")
    theatre.open("e-b")
    theatre.lease_over("e")
    function.invoke(theatre.wake("e"))
    new = theatre.client.result("e")["pid"]
    assert new != dead
    assert theatre.begun("e") == [("a", dead), ("b", dead), ("b", new), *((name, new) for name in more)]
    assert (theatre.recorded("e"), theatre.fences("e")) == (["a", "b", *more], 1)


def test_a_body_that_runs_over_its_time_meets_the_next_execution(theatre: Theatre) -> None:
    """Its thread is frozen with the environment, goes on in another execution's invocation, and changes nothing there."""
    function = theatre.function("leaving")
    first = function.invoke({"id": "one"})
    assert first.value["result"] == "gave up"
    before = theatre.client.history("one")
    theatre.open("one-overtime")
    second = function.invoke_later({"id": "two", "meets": "one"})
    pid = theatre.reached("one-end")
    until(lambda: theatre.notes("one")[1:], "the thread of the first execution goes on")
    theatre.open("one-end")
    answer = second.result(30)
    assert pid == first.pid == answer.pid
    assert theatre.notes("one")[1:] == [("late", "one", pid)], "it is still of its own execution"
    assert answer.value["result"] == "own"
    assert theatre.recorded("two") == ["own"]
    assert theatre.client.history("one") == before
