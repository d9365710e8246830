"""Callbacks over HTTP, in the event shapes of API Gateway v1 and v2 and of function URLs."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from durable_fn import DurableContext, durable
from durable_fn.callback_api import handler
from durable_fn.errors import CallbackFailed
from durable_fn.testing import Execution, LocalRunner
from durable_fn.wiring import using

FORM = {"content-type": "application/x-www-form-urlencoded", "accept": "text/html"}


@durable
def asks(event: Any, ctx: DurableContext) -> Any:
    try:
        return ctx.callback("a", timeout=event).result()
    except CallbackFailed as error:
        return [error.error_type, error.message]


@pytest.fixture
def runner() -> Iterator[LocalRunner[Any, Any]]:
    with LocalRunner(asks) as runner, using(runner.backend):
        yield runner


def start(runner: LocalRunner[Any, Any]) -> tuple[Execution[Any], str]:
    execution = runner.run(1000)
    return execution, execution.callback_token("a")


def v2(method: str, path: str, body: str = "", **more: Any) -> dict[str, Any]:
    return {"version": "2.0", "rawPath": path, "requestContext": {"http": {"method": method}}, "body": body, **more}


def v1(method: str, token: str, body: str = "", **more: Any) -> dict[str, Any]:
    event = {"httpMethod": method, "path": f"/prod/callbacks/{token}", "pathParameters": {"token": token}, "body": body}
    return {**event, "requestContext": {"stage": "prod"}, "headers": None, "queryStringParameters": None, **more}


def status(event: Any) -> int:
    answer = handler(event, None)
    assert answer["headers"]["cache-control"] == "no-store"
    assert answer["headers"]["referrer-policy"] == "no-referrer"
    code: int = answer["statusCode"]
    return code


@pytest.mark.parametrize("shape", ["v1", "v2", "base64"])
def test_a_post_completes(runner: LocalRunner[Any, Any], shape: str) -> None:
    execution, token = start(runner)
    body = json.dumps({"by": "me"})
    encoded = base64.b64encode(body.encode()).decode()
    event = {
        "v1": v1("POST", token, body),
        "v2": v2("POST", f"/callbacks/{token}", body),
        "base64": v2("POST", f"/callbacks/{token}", encoded, isBase64Encoded=True),
    }[shape]
    assert status(event) == 200
    assert status(event) == 200, "the same answer again"
    assert status({**event, "body": '"else"', "isBase64Encoded": False}) == 409
    runner.run_until_idle()
    assert execution.result == {"by": "me"}


def test_a_link_asks_and_its_button_completes(runner: LocalRunner[Any, Any]) -> None:
    execution, token = start(runner)
    query = {"verdict": "approve", "note": '"><script>alert(1)</script>'}
    page = handler(v2("GET", f"/callbacks/{token}", queryStringParameters=query), None)
    assert page["statusCode"] == 200
    assert '<form method="post">' in page["body"]
    assert "<script>" not in page["body"]
    assert "&lt;script&gt;" in page["body"]
    runner.run_until_idle()
    assert execution.status == "SUSPENDED", "a scanner that follows the link approves nothing"
    done = handler(v2("POST", f"/callbacks/{token}", "verdict=approve&note=", headers=FORM), None)
    assert (done["statusCode"], "Thank you" in done["body"]) == (200, True)
    runner.run_until_idle()
    assert execution.result == {"verdict": "approve", "note": ""}


def test_without_a_genuine_token_nothing_of_the_query_is_shown(runner: LocalRunner[Any, Any]) -> None:
    _, token = start(runner)
    for wrong in ("nonsense", token[:-6] + "AAAAAA", token[:4] + "AAAA" + token[8:], ""):
        event = v2("GET", f"/callbacks/{wrong}", queryStringParameters={"note": "call 555"})
        for accept in ({}, {"accept": "text/html"}):
            page = handler({**event, "headers": accept}, None)
            assert page["statusCode"] == 404
            assert "555" not in str(page)


def test_the_page_reads_the_header_alone(runner: LocalRunner[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    _, token = start(runner)
    store = runner.backend.store
    read: list[str] = []

    def no_value(*_: Any, **__: Any) -> Any:
        read.append("a value")
        raise AssertionError

    for name in ("get", "load", "entry"):
        monkeypatch.setattr(store, name, no_value)
    assert handler(v2("GET", f"/callbacks/{token}"), None)["statusCode"] == 200
    assert read == []


@pytest.mark.parametrize(
    ("action", "method", "allowed"),
    [("", "DELETE", "GET, POST"), ("", "HEAD", "GET, POST"), ("/fail", "GET", "POST"), ("/heartbeat", "PUT", "POST")],
)
def test_what_is_allowed_is_said(runner: LocalRunner[Any, Any], action: str, method: str, allowed: str) -> None:
    _, token = start(runner)
    answer = handler(v2(method, f"/callbacks/{token}{action}"), None)
    assert (answer["statusCode"], answer["headers"]["allow"]) == (405, allowed)


def test_failing_and_heartbeats(runner: LocalRunner[Any, Any]) -> None:
    execution, token = start(runner)
    assert status(v2("POST", f"/callbacks/{token}/heartbeat")) == 200
    assert status(v2("POST", f"/callbacks/{token}/fail", '{"message": "too dear", "error_type": "Refused"}')) == 200
    runner.run_until_idle()
    assert execution.result == ["Refused", "too dear"]


def test_an_answer_that_is_too_late(runner: LocalRunner[Any, Any]) -> None:
    _, token = start(runner)
    runner.advance(2000)
    assert status(v2("POST", f"/callbacks/{token}", "1")) == 409
    page = handler(v2("POST", f"/callbacks/{token}", "a=1", headers=FORM), None)
    assert "Too late" in page["body"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"rawPath": "/callbacks/nonsense"}, 404),
        ({"rawPath": ""}, 404),
        ({"rawPath": "/callbacks/../../x"}, 404),
        ({"body": "{"}, 400),
        ({"body": "\ud800"}, 400),
        ({"body": "%%%", "isBase64Encoded": True}, 400),
        ({"body": "x" * 500_000}, 413),
        ({"requestContext": {"http": {"method": "DELETE"}}}, 405),
        ({"requestContext": None}, 405),
    ],
)
def test_bad_requests(runner: LocalRunner[Any, Any], change: dict[str, Any], code: int) -> None:
    _, token = start(runner)
    assert status({**v2("POST", f"/callbacks/{token}", "1"), **change}) == code


@pytest.mark.parametrize("event", [None, {}, [], "x", {"headers": {}, "requestContext": "x"}])
def test_what_is_no_http_event(runner: LocalRunner[Any, Any], event: Any) -> None:
    assert status(event) == 405


@pytest.mark.parametrize("token", [5, ["x"], [5], {"a": 1}, [[]]])
def test_a_token_that_is_no_text_is_taken_from_the_path(runner: LocalRunner[Any, Any], token: Any) -> None:
    execution, genuine = start(runner)
    reply = handler({**v2("POST", f"/callbacks/{genuine}", "7"), "pathParameters": {"token": token}}, None)
    assert reply["statusCode"] == 200
    runner.run_until_idle()
    assert execution.result == 7
    assert handler({**v2("POST", "/callbacks/x", "7"), "pathParameters": {"token": token}}, None)["statusCode"] == 404
