"""Environments that stand still in the middle of an invocation, past their lease, and then go on."""

from __future__ import annotations

import pytest

from tests.lambda_runtime.conftest import Theatre, only, stopped, until

FRONTS = ["steps", "asteps"]
SHORT = {"timeout": 1, "grace": 60, "warm": True}  # a short lease; who finishes has time


@pytest.mark.parametrize("handler", FRONTS)
def test_frozen_in_a_body_while_another_finishes(theatre: Theatre, handler: str) -> None:
    """What its body returns is not committed, and its next body does not begin."""
    function, other_one = theatre.function(handler, **SHORT), theatre.function(handler)
    event = {"id": "e", "steps": ["a", "b", "c"], "gated": ["b"]}
    future = function.invoke_later(event)
    old = theatre.reached("e-b")
    frozen = only(function.busy)
    frozen.freeze()
    theatre.lease_over("e")
    theatre.open("e-b")
    other_one.invoke(theatre.wake("e"))
    result = theatre.client.result("e")
    before = theatre.client.history("e")
    frozen.thaw()
    answer = future.result(30)
    assert (answer.failed, answer.value["status"]) == (False, "SUCCEEDED"), "it makes way and tells what is so"
    assert theatre.begun("e") == [("a", old), ("b", old), ("b", result["pid"]), ("c", result["pid"])]
    assert theatre.client.history("e") == before
    assert (theatre.recorded("e"), theatre.fences("e")) == (["a", "b", "c"], 1)


@pytest.mark.parametrize(
    ("handler", "other"), [("steps", "runs"), ("asteps", "runs"), ("asteps", "finished"), ("steps", "nobody")]
)
def test_frozen_between_two_steps(theatre: Theatre, handler: str, other: str) -> None:
    """It must not begin the next body: somebody else may be in it, or will be."""
    function, other_one = theatre.function(handler, **SHORT), theatre.function(handler)
    event = {"id": "e", "steps": ["a", "b", "c"], "gated": ["b", "c"], "before": ["b"]}
    future = function.invoke_later(event)
    old = theatre.reached("e-before-b")
    frozen = only(function.busy)
    frozen.freeze()
    theatre.lease_over("e")
    theatre.open("e-before-b")
    if other == "nobody":
        theatre.open("e-b", "e-c")
    else:
        new = other_one.invoke_later(theatre.wake("e"))
        pid = theatre.reached("e-b")
        if other == "finished":
            theatre.open("e-b", "e-c")
            new.result(30)
    frozen.thaw()
    answer = future.result(30)
    assert answer.failed is False
    assert [entry for entry in theatre.begun("e") if entry[1] == old] == [("a", old)]
    if other == "nobody":
        assert answer.value["status"] == "SUSPENDED", "it gives the execution back"
        pid = other_one.invoke(theatre.wake("e")).pid
    elif other == "runs":
        assert answer.value["status"] == "RUNNING", "it is another one's now"
        theatre.open("e-b", "e-c")
        new.result(30)
    assert theatre.client.result("e") == {"pid": pid}
    assert theatre.begun("e") == [("a", old), ("b", pid), ("c", pid)]


def test_frozen_and_thawed_within_the_lease_goes_on(theatre: Theatre) -> None:
    function = theatre.function("steps")
    future = function.invoke_later({"id": "e", "steps": ["a", "b"], "gated": ["a"]})
    pid = theatre.reached("e-a")
    environment = only(function.busy)
    environment.freeze()
    until(lambda: stopped(pid), "it stands still")
    theatre.open("e-a")
    environment.thaw()
    assert future.result(30).value["result"] == {"pid": pid}
    assert theatre.begun("e") == [("a", pid), ("b", pid)]
