"""What a caller is answered: results, function errors, and what Lambda says when the function cannot."""

from __future__ import annotations

import json

import pytest

from durable_fn.testing.lambda_runtime import Answer
from durable_fn.testing.lambda_runtime.event_source import failed_messages
from tests.lambda_runtime.conftest import Theatre


def test_an_execution_that_fails_is_an_answer(theatre: Theatre) -> None:
    answer = theatre.function("failing").invoke({"id": "e"})
    assert (answer.failed, answer.value["status"]) == (False, "FAILED")
    assert answer.value["error"]["error_type"] == "LookupError"
    assert answer.value["error"]["message"] == "no such customer"


def test_an_error_that_is_raised_is_a_function_error(theatre: Theatre) -> None:
    """`envelope=False`: as the plain handler would. The environment lives on."""
    function = theatre.function("failing_bare")
    answer = function.invoke({"id": "e"}, request_id="r-1")
    assert (answer.failed, answer.error_type) == (True, "LookupError")
    assert (answer.value["errorMessage"], answer.value["requestId"]) == ("no such customer", "r-1")
    assert any("handlers.py" in line for line in answer.value["stackTrace"])
    again = function.invoke({"id": "e"})
    assert (again.failed, again.pid, again.cold) == (True, answer.pid, False)
    assert (again.error_type, "LookupError: no such customer" in again.value["errorMessage"]) == ("DurableError", True)


def test_a_result_above_six_megabytes_is_kept_though_nobody_can_be_told(theatre: Theatre) -> None:
    """The runtime ends, as on AWS; the execution is over, and the client reads its result."""
    function = theatre.function("huge")
    answer = function.invoke({"id": "e", "size": 6_500_000})
    assert (answer.failed, answer.error_type) == (True, "Function.ResponseSizeTooLarge")
    assert "6291556 bytes" in answer.value["errorMessage"]
    assert (theatre.client.describe("e").status, len(theatre.client.result("e"))) == ("SUCCEEDED", 6_500_000)
    small = function.invoke({"id": "f", "size": 5_000_000})
    assert (small.failed, small.cold, len(small.value["result"])) == (False, True, 5_000_000)
    woken = function.invoke(theatre.wake("e"))
    assert woken.value == {"batchItemFailures": []}, "no wake message carries the result"


def test_a_module_that_cannot_be_loaded(theatre: Theatre) -> None:
    function = theatre.function("handler", module="broken")
    for _ in range(2):
        answer = function.invoke({})
        assert (answer.failed, answer.cold, answer.error_type) == (True, True, "RuntimeError")
        assert answer.value["errorMessage"] == "the settings are incomplete"
    assert "the settings are incomplete" in function.logs()


@pytest.mark.parametrize(
    ("handler", "module", "kind"),
    [
        ("nothing", "handlers", "Runtime.HandlerNotFound"),
        ("handler", "nowhere", "Runtime.ImportModuleError"),
    ],
)
def test_a_handler_that_is_not_there(theatre: Theatre, handler: str, module: str, kind: str) -> None:
    assert theatre.function(handler, module=module).invoke({}).error_type == kind


def test_settings_that_are_missing_are_named(theatre: Theatre) -> None:
    function = theatre.function("steps", variables={"DURABLE_FN_BACKEND": ""})
    answer = function.invoke({"id": "e", "steps": []})
    assert answer.error_type == "RuntimeError"
    assert answer.value["errorMessage"].startswith("DURABLE_FN_TABLE is not set")


def test_one_message_of_a_batch_is_bad(theatre: Theatre) -> None:
    """Only that one goes back; the others are done in the same invocation."""
    function = theatre.function("steps")
    ids = [theatre.client.start("steps", {"id": f"e{n}", "steps": ["a"]}, id=f"e{n}") for n in range(3)]
    bodies = [theatre.hint(id) for id in ids]
    bodies.insert(1, json.dumps({"durable_fn": 1, "id": "e1"}))
    records = [{"messageId": f"m{n}", "body": b, "eventSource": "aws:sqs"} for n, b in enumerate(bodies)]
    answer = function.invoke({"Records": records})
    assert answer.value == {"batchItemFailures": [{"itemIdentifier": "m1"}]}
    assert {theatre.client.describe(id).status for id in ids} == {"SUCCEEDED"}
    assert [theatre.begun(id) for id in ids] == [[("a", answer.pid)]] * 3


@pytest.mark.parametrize(
    ("payload", "returned"),
    [
        ("null", ""), ("{}", ""), ('{"batchItemFailures": []}', ""), ('{"batchItemFailures": null}', ""),
        ('{"batchItemFailures": [{"itemIdentifier": "b"}]}', "b"),
        ('{"batchItemFailures": [{"itemIdentifier": ""}]}', "abc"),
        ('{"batchItemFailures": [{"itemIdentifier": null}]}', "abc"),
        ('{"batchItemFailures": [{"id": "b"}]}', "abc"),
        ('{"batchItemFailures": [{"itemIdentifier": "x"}]}', "abc"),
        ('"done"', "abc"),
    ],
)  # fmt: skip
def test_what_goes_back_to_the_queue(payload: str, returned: str) -> None:
    """As Lambda's page on errors of an SQS event source says."""
    assert failed_messages(Answer("r", payload.encode(), False, 1, False, 0), list("abc")) == set(returned)


def test_a_batch_that_fails_goes_back_whole() -> None:
    assert failed_messages(Answer("r", b"{}", True, 1, False, 0), list("abc")) == set("abc")
