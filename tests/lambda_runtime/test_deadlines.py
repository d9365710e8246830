"""Deadlines: seen by the handler, kept by yielding, and enforced with SIGKILL; and other deaths in the middle of a step."""

from __future__ import annotations

import pytest

from durable_fn.testing.lambda_runtime import LambdaFunction
from tests.lambda_runtime.conftest import Theatre, only, running, until

FRONTS = ["steps", "asteps"]


@pytest.mark.parametrize("handler", FRONTS)
def test_killed_at_the_deadline_in_a_step_and_taken_over(theatre: Theatre, handler: str) -> None:
    """The next environment comes after the lease, fences the dead one off, and runs only what was not recorded."""
    function = theatre.function(handler, timeout=0.8)
    future = function.invoke_later({"id": "e", "steps": ["a", "b", "c"], "gated": ["b"]})
    dead = theatre.reached("e-b")
    early = function.invoke(theatre.wake("e"))
    assert (early.value, early.pid != dead) == ({"batchItemFailures": []}, True), "somebody is at it: nothing to do"
    answer = future.result(5)
    assert (answer.failed, answer.error_type, answer.pid) == (True, "Sandbox.Timedout", dead)
    assert "Task timed out after 0.80 seconds" in answer.value["errorMessage"]
    assert not running(dead)
    assert (theatre.recorded("e"), theatre.fences("e"), theatre.client.describe("e").status) == (["a"], 0, "RUNNING")
    assert theatre.begun("e") == [("a", dead), ("b", dead)]
    theatre.open("e-b")
    theatre.lease_over("e")
    function.invoke(theatre.wake("e"))
    result = theatre.client.result("e")
    assert result["pid"] == early.pid
    assert theatre.begun("e") == [("a", dead), ("b", dead), ("b", result["pid"]), ("c", result["pid"])]
    assert (theatre.recorded("e"), theatre.fences("e")) == (["a", "b", "c"], 1)


def test_a_long_execution_yields_before_each_deadline(theatre: Theatre) -> None:
    """By the deadline that the runtime is told: no environment is killed, no step runs twice."""
    function = theatre.function("long", timeout=0.7)
    answer = function.invoke({"id": "e", "steps": 20})
    assert (answer.failed, answer.value["status"]) == (False, "SUSPENDED")
    turns = 1
    while theatre.client.describe("e").status != "SUCCEEDED":
        assert function.invoke(theatre.wake("e")).failed is False, function.logs()
        turns += 1
    assert (turns >= 2, function.starts) == (True, 1)
    assert [int(name) for name, _ in theatre.begun("e")] == list(range(20))


@pytest.mark.parametrize("death", ["kill", "terminate"])
def test_an_environment_that_dies_in_a_step(theatre: Theatre, death: str) -> None:
    """A host that fails, and a runtime without a handler for SIGTERM."""
    function = theatre.function("steps", timeout=1.5)
    future = function.invoke_later({"id": "e", "steps": ["a", "b"], "gated": ["b"]})
    dead = theatre.reached("e-b")
    getattr(only(function.busy), death)()
    answer = future.result(5)
    assert (answer.error_type, running(dead)) == ("Runtime.ExitError", False)
    assert ("killed" if death == "kill" else "terminated") in answer.value["errorMessage"]
    _finished_by_another(theatre, function, dead)


def test_a_handler_that_ends_itself_on_sigterm_records_nothing(theatre: Theatre) -> None:
    """SystemExit goes through the step's body and the handler's `finally`: like a death, nothing more is committed."""
    function = theatre.function("terminated", timeout=1.5)
    future = function.invoke_later({"id": "e", "steps": ["a", "b"], "gated": ["b"]})
    dead = theatre.reached("e-b")
    only(function.busy).terminate()
    answer = future.result(5)
    assert "Runtime exited without providing a reason" in answer.value["errorMessage"], "it did not end by itself"
    assert [name for what, name, _ in theatre.notes("e") if what == "leaves"] == [""], "`finally` ran"
    assert (theatre.recorded("e"), theatre.begun("e")[2:]) == (["a"], [])
    _finished_by_another(theatre, function, dead, "clean-up")


def _finished_by_another(theatre: Theatre, function: LambdaFunction, dead: int, *more: str) -> None:
    theatre.open("e-b")
    theatre.lease_over("e")
    function.invoke(theatre.wake("e"))
    result = theatre.client.result("e")
    assert theatre.begun("e")[:3] == [("a", dead), ("b", dead), ("b", result["pid"])]
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
    answer = second.result(5)
    assert pid == first.pid == answer.pid
    assert theatre.notes("one")[1:] == [("late", "one", pid)], "it is still of its own execution"
    assert answer.value["result"] == "own"
    assert theatre.recorded("two") == ["own"]
    assert theatre.client.history("one") == before
