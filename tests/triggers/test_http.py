"""HTTP: what a client is answered, in the three shapes of requests."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from typing_extensions import TypedDict

from durable_fn import DurableContext, DurableFunction, durable
from durable_fn.testing import LocalRunner
from durable_fn.testing.cloud import LocalCloud
from durable_fn.triggers.preferences import preferences
from tests.environments import World
from tests.triggers.samples import SEEN, echo, executions, orders, sample

SHAPES = {"v1": "apigateway-v1", "v2": "apigateway-v2", "url": "function-url"}


def request(shape: str = "v2", body: Any = None, *, text: str | None = None, **headers: str) -> dict[str, Any]:
    """A POST of JSON, or of a text as it is; `headers` by name with underscores."""
    event = sample(SHAPES[shape])
    given = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    if shape == "v1":
        given = {name.title(): value for name, value in given.items()}
        event["multiValueHeaders"] = {name: [value] for name, value in given.items()}
    return event | {"headers": given, "body": json.dumps(body) if text is None else text, "isBase64Encoded": False}


def content(answer: dict[str, Any]) -> tuple[int, Any]:
    assert json.dumps(answer), "Lambda writes it as JSON"
    return answer["statusCode"], json.loads(answer["body"])


@pytest.fixture(params=SHAPES)
def shape(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


# -- how an execution stands ---------------------------------------------------------------------------------------


def test_a_finished_one_is_its_result(world: World, front: str, shape: str) -> None:
    answer = world.invoke(orders(front), request(shape, {"sku": "a"}))
    assert content(answer) == (200, "a")
    assert world.client.result(answer["headers"]["durable-execution-id"]) == "a"


def test_a_suspended_one_is_accepted(world: World, front: str, shape: str) -> None:
    answer = world.invoke(orders(front), request(shape, {"sku": "a", "amount": 60}))
    status, body = content(answer)
    assert (status, body["status"]) == (202, "SUSPENDED")
    assert set(body) == {"execution_id", "status"}
    world.advance(60)
    assert world.client.result(body["execution_id"]) == "a"


@pytest.mark.parametrize("tells", [False, True], ids=["types", "messages"])
def test_a_failed_one_tells_the_type_of_its_error_and_what_it_says_where_that_is_asked_for(
    world: World, front: str, shape: str, tells: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if tells:
        monkeypatch.setenv("DURABLE_FN_HTTP_ERRORS", "messages")
    answer = world.invoke(orders(front), request(shape, {"sku": "a", "amount": 13}))
    status, body = content(answer)
    assert (status, body["status"]) == (500, "FAILED")
    assert body["error"] == {"error_type": "LookupError", **({"message": "no thirteenth"} if tells else {})}
    assert world.client.describe(body["execution_id"]).status == "FAILED"
    assert ("thirteenth" in str(answer)) is tells


def test_errors_are_told_as_the_variable_says_or_not_at_all(
    sqlite_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DURABLE_FN_HTTP_ERRORS", "all")
    with pytest.raises(RuntimeError, match="DURABLE_FN_HTTP_ERRORS must be 'messages' or not set, got 'all'"):
        sqlite_world.invoke(orders("sync"), request(body={"sku": "a"}))


@pytest.mark.parametrize(
    "prefer", [{}, {"prefer": "respond-async"}, {"prefer": "wait=5"}], ids=["now", "later", "patiently"]
)
def test_of_an_id_that_another_function_has_nothing_is_told(front: str, prefer: dict[str, str]) -> None:
    hidden, mine = (orders(front, name=name, execution_id="sku") for name in ("hidden", "orders"))
    with LocalCloud() as cloud:
        cloud.invoke(hidden, request(body={"sku": "a"}))
        answer = cloud.invoke(mine, request(body={"sku": "a"}, **prefer))
        own = cloud.invoke(hidden, request(body={"sku": "a", "amount": 2}))
    assert content(answer)[0] == 409
    assert answer == own, "as where the id is in use for other work of its own"
    assert "hidden" not in str(answer)
    assert "durable-execution-id" not in str(answer)


@pytest.mark.parametrize(
    ("end", "code", "status"),
    [
        (lambda client, id: client.terminate(id, "enough"), 410, "TERMINATED"),
        (lambda client, id: client.cancel(id, "enough"), 410, "CANCELLED"),
        (None, 504, "TIMED_OUT"),
    ],
)
def test_other_ends(world: World, front: str, end: Callable[..., Any] | None, code: int, status: str) -> None:
    function = orders(front, execution_id="sku", execution_timeout=30)
    event = request(body={"sku": "a", "amount": 60})
    assert world.invoke(function, event)["statusCode"] == 202
    if end is not None:
        end(world.client, "a")
    world.advance(60)
    answer = world.invoke(function, event)
    found, body = content(answer)
    assert (found, body["status"], body["execution_id"]) == (code, status, "a")


def test_the_id_in_use_for_other_work_is_a_conflict(world: World, front: str, shape: str) -> None:
    function = orders(front, execution_id="sku")
    assert content(world.invoke(function, request(shape, {"sku": "a"}))) == (200, "a")
    assert content(world.invoke(function, request(shape, {"sku": "a", "amount": 1}))) == (200, "a"), "a default"
    status, body = content(world.invoke(function, request(shape, {"sku": "a", "amount": 2})))
    assert (status, body["error"]["error_type"]) == (409, "ExecutionConflict")
    assert executions(world) == ["a"]


# -- requests that are refused -------------------------------------------------------------------------------------


def test_a_body_that_does_not_fit_is_told_without_its_values(world: World, front: str, shape: str) -> None:
    answer = world.invoke(orders(front), request(shape, {"skuu": "s3cret", "amount": "hunter2"}))
    status, body = content(answer)
    assert status == 400
    assert body["error"]["data"] == [
        {"at": "sku", "problem": "Field required"},
        {
            "at": "amount",
            "problem": "Input should be a valid integer, unable to parse string as an integer",
        },
    ]
    assert "s3cret" not in answer["body"]
    assert "hunter2" not in answer["body"]
    assert executions(world) == []


def test_a_tag_that_is_unknown_is_not_quoted(sqlite_world: World) -> None:
    from tests.typing.samples import s13_api_gateway as s13  # type: ignore[import-not-found]

    answer = sqlite_world.invoke(s13.handler, request(body={"kind": "s3cret"}))
    status, body = content(answer)
    assert (status, "s3cret" in answer["body"]) == (400, False)
    assert body["error"]["data"][0]["problem"] == "'kind' is none of the expected: 'buy', 'sell'"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"body": '{"sku": '}, "not JSON, as its content type says"),
        ({"body": '{"sku": NaN}'}, "not JSON, as its content type says"),
        ({"body": "not base64!", "isBase64Encoded": True}, "not the base64 text it says it is"),
        ({"body": base64.b64encode(b'"\xff"').decode(), "isBase64Encoded": True}, "not UTF-8"),
        ({"body": "[" * 10_000 + "]" * 10_000}, "nested too deeply"),
        ({"body": '{"sku":' + "[" * 900 + "]" * 900 + "}"}, "does not fit"),
        ({"body": '{"sku": "\\ud800"}'}, "does not fit"),
        ({"body": '{"sku": ' + "9" * 5000 + "}"}, "not JSON"),
        ({"body": ""}, "does not fit"),
        ({"body": None}, "does not fit"),
        ({"body": {"sku": "a"}}, "not text"),
        ({"body": "\ud800"}, "not valid Unicode"),
        ({"body": "a=1&" * 2000, "headers": {"content-type": "application/x-www-form-urlencoded"}}, "more than 1000"),
        ({"body": "sku", "headers": {"CONTENT-TYPE": "text/plain"}}, "does not fit"),
        ({"headers": {"content-type": "application/json", "idempotency-key": " "}}, "Idempotency-Key"),
        ({"headers": {"content-type": "application/json", "idempotency-key": "x" * 513}}, "Idempotency-Key"),
        ({"headers": {"content-type": "application/json", "idempotency-key": "a\nb"}}, "Idempotency-Key"),
    ],
)
def test_bad_requests(sqlite_world: World, front: str, change: dict[str, Any], why: str) -> None:
    answer = sqlite_world.invoke(orders(front), request(body={"sku": "a"}) | change)
    status, body = content(answer)
    assert status == 400
    assert why in body["error"]["message"]
    assert executions(sqlite_world) == []


@pytest.mark.parametrize("rule", ["nothing.there", lambda order: order.missing, lambda order: 7, "length(sku)"])
def test_a_body_that_gives_no_id(sqlite_world: World, front: str, rule: Any) -> None:
    answer = sqlite_world.invoke(orders(front, execution_id=rule), request(body={"sku": "s3cret"}))
    if rule == "length(sku)":
        assert content(answer)[0] == 200
        assert executions(sqlite_world) == ["6"]
        return
    status, body = content(answer)
    assert (status, body["error"]["message"]) == (400, "the body gives no valid execution id")
    assert "s3cret" not in answer["body"]


def test_a_body_larger_than_the_journal_takes(front: str) -> None:
    with LocalCloud() as cloud:
        answer = cloud.invoke(echo(front), request(body=[str(n) for n in range(400_000)]))
        status, body = content(answer)
        assert (status, body["error"]["error_type"]) == (413, "PayloadTooLarge")
        assert "DURABLE_FN" not in answer["body"]


# -- bodies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "body", "given"),
    [
        (None, b'{"a": [1, 2.5, null]}', {"a": [1, 2.5, None]}),
        (None, b"just text", "just text"),
        (None, b"", None),
        (None, b"\xff\xfe", "//4="),
        ("application/json", b"", None),
        ("application/json", b'"text"', "text"),
        ("application/problem+json; charset=utf-8", b"{}", {}),
        ("APPLICATION/JSON", b"[1]", [1]),
        ("text/plain", b"[1]", "[1]"),
        ("text/csv; charset=utf-8", "ä;1".encode(), "ä;1"),
        ("application/x-www-form-urlencoded", b"a=1&b=&a=%C3%A4+x", {"a": ["1", "ä x"], "b": ""}),
        ("application/octet-stream", b"\x00\x01", "AAE="),
        ("image/png", b"PNG", "UE5H"),
    ],
)
def test_bodies_by_their_media_type(sqlite_world: World, front: str, kind: str | None, body: bytes, given: Any) -> None:
    event = request() | {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    event["headers"] = {} if kind is None else {"Content-Type": kind}
    assert content(sqlite_world.invoke(echo(front), event)) == (200, given)
    assert [given] == SEEN


def test_bytes_for_a_handler_that_takes_bytes(sqlite_world: World) -> None:
    @durable
    def upload(event: bytes, ctx: DurableContext) -> int:
        SEEN.append(event)
        return len(event)

    event = request(image="x") | {"body": "AAE=", "isBase64Encoded": True}
    assert content(sqlite_world.invoke(upload, event)) == (200, 2)
    assert content(sqlite_world.invoke(upload, request(text="AAE="))) == (200, 4)
    assert SEEN == [b"\x00\x01", b"AAE="]


def test_a_text_that_could_be_a_number(sqlite_world: World) -> None:
    @durable
    def says(event: str, ctx: DurableContext) -> str:
        return event

    event = request(text="42")
    del event["headers"]["content-type"]
    assert content(sqlite_world.invoke(says, event)) == (200, "42")


# -- ids -----------------------------------------------------------------------------------------------------------


def test_an_idempotency_key_names_the_execution(world: World, front: str, shape: str) -> None:
    function = orders(front)
    event = request(shape, {"sku": "a"}, idempotency_key="k-1")
    assert content(world.invoke(function, event)) == (200, "a")
    assert content(world.invoke(function, request(shape, {"sku": "a"}, idempotency_key='"k-1"'))) == (200, "a")
    assert executions(world) == ["orders:k-1"]
    assert SEEN == ["a"], "it ran once"
    assert content(world.invoke(function, request(shape, {"sku": "b"}, idempotency_key="k-1")))[0] == 409


def test_an_idempotency_key_is_the_functions_own(front: str) -> None:
    with LocalCloud() as cloud:
        for name in ("one", "two"):
            event = request(body={"sku": name}, idempotency_key="same")
            assert content(cloud.invoke(orders(front, name=name), event)) == (200, name)


def test_a_rule_wins_over_the_key(world: World, front: str) -> None:
    world.invoke(orders(front, execution_id="sku"), request(body={"sku": "a"}, idempotency_key="k"))
    assert executions(world) == ["a"]


def test_without_a_key_every_request_is_its_own(world: World, front: str) -> None:
    function = orders(front)
    for _ in range(2):
        world.invoke(function, request(body={"sku": "a"}))
    assert len(executions(world)) == 2


# -- without an envelope -------------------------------------------------------------------------------------------


class Http(TypedDict):
    body: str
    rawPath: str


def _teapot(**options: Any) -> DurableFunction[Any, Any]:
    @durable(envelope=False, **options)
    def teapot(event: Http, ctx: DurableContext) -> dict[str, Any]:
        order = json.loads(event["body"])
        if order.get("fail"):
            raise LookupError("no pot")
        ctx.sleep(order["seconds"])
        return {"statusCode": 418, "body": "short and stout", "headers": {"x": "y"}}

    return teapot


@pytest.mark.parametrize("shape", ["v2", "url"])
def test_the_handler_answers_itself(world: World, shape: str) -> None:
    answer = world.invoke(_teapot(), request(shape, {"seconds": 0}))
    assert answer == {"statusCode": 418, "body": "short and stout", "headers": {"x": "y"}}
    assert content(world.invoke(_teapot(), request(shape, {"seconds": 60})))[0] == 202
    waited = world.invoke(_teapot(), request(shape, {"seconds": 20}, prefer="wait=25"))
    assert waited["statusCode"] == 418, "it ended within the invocation"


def test_its_error_is_raised_and_a_bad_event_is_not(world: World) -> None:
    with pytest.raises(LookupError, match="no pot"):
        world.invoke(_teapot(), request(body={"fail": True}))
    status, body = content(world.invoke(_teapot(), {**request(), "body": None}))
    assert (status, body["error"]["data"]) == (400, [{"at": "body", "problem": "Input should be a valid string"}])


def test_the_same_request_comes_by_another_way(world: World) -> None:
    """Its time, request id and address differ; its method, path, query and body do not."""
    event = request(body={"seconds": 0}, idempotency_key="k")
    again = request(body={"seconds": 0}, idempotency_key="k", x_amzn_trace_id="Root=2")
    again["requestContext"].update(requestId="another", timeEpoch=2)
    teapot, parrot = _teapot(), echo("def", envelope=False)
    assert world.invoke(teapot, event) == world.invoke(teapot, again)
    assert executions(world) == ["teapot:k"]
    assert world.invoke(parrot, event) == world.invoke(parrot, again)
    for change in ({"body": '{"seconds": 1}'}, {"rawPath": "/else"}, {"rawQueryString": "a=b"}):
        assert content(world.invoke(parrot, again | change))[0] == 409
    assert content(world.invoke(teapot, again | {"rawPath": "/else"}))[0] == 409
    assert world.invoke(teapot, again | {"rawQueryString": "a=b"})["statusCode"] == 418, "nothing that the handler sees"


# -- waiting -------------------------------------------------------------------------------------------------------


def test_respond_async_starts_and_runs_nothing(world: World, front: str, shape: str) -> None:
    function = orders(front)
    answer = world.invoke(function, request(shape, {"sku": "a"}, prefer="respond-async", idempotency_key="k"))
    assert content(answer) == (202, {"execution_id": "orders:k", "status": "PENDING"})
    assert answer["headers"]["preference-applied"] == "respond-async"
    assert SEEN == []
    world.advance(1)
    assert world.client.result("orders:k") == "a"
    again = world.invoke(function, request(shape, {"sku": "a"}, prefer="respond-async", idempotency_key="k"))
    assert content(again) == (200, "a"), "there is nothing to be late with"
    assert "preference-applied" not in again["headers"]
    other = request(shape, {"sku": "b"}, prefer="respond-async", idempotency_key="k")
    assert content(world.invoke(function, other))[0] == 409


@pytest.mark.parametrize(
    ("prefer", "seconds", "code", "applied"),
    [
        ("wait=20", 10, 200, "wait=20"),
        ("wait=5", 10, 202, "wait=5"),
        ("wait=20", 0, 200, None),
        ("wait=0", 10, 202, None),
        ("wait=100", 24, 200, "wait=25"),
        ("wait=100", 40, 202, "wait=25"),
        ("respond-async, wait=20", 10, 200, "wait=20"),
        ("wait=5, respond-async", 10, 202, "respond-async, wait=5"),
    ],
)
def test_waiting(world: World, front: str, prefer: str, seconds: int, code: int, applied: str | None) -> None:
    answer = world.invoke(orders(front), request(body={"sku": "a", "amount": seconds}, prefer=prefer))
    assert answer["statusCode"] == code
    assert answer["headers"].get("preference-applied") == applied


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", (None, False)),
        ("WAIT = 20", (20, False)),
        ('foo; bar="wait=99,", wait="20"; x', (20, False)),
        ("wait=5, wait=20", (5, False)),
        ("respond-async;x=y,wait=1", (1, True)),
        ("Respond-Async", (None, True)),
        ("handling=lenient , respond-async", (None, True)),
        ("wait=soon", (None, False)),
        ("wait", (None, False)),
        ("wait=-1", (None, False)),
        ("wait=1.5", (None, False)),
        ("wait=" + "9" * 30, (None, False)),
        ("wait=²", (None, False)),
        (",,;;==, wait=3", (3, False)),
        ('x="a\\"b, wait=9", wait=3', (3, False)),
        ('x="never closed, wait=9', (None, False)),
        ("a," * 100_000, (None, False)),
        ('x="' + '\\"' * 50_000, (None, False)),
    ],
)
def test_the_prefer_header(header: str, found: tuple[int | None, bool]) -> None:
    assert preferences(header) == found


def test_nobody_holds_on_to_a_lambda_for_long(front: str) -> None:
    """Also behind a function URL, which has no limit of its own; and not longer than the invocation lasts."""
    with LocalCloud(timeout=60) as cloud:
        began = cloud.clock.now()
        answer = cloud.invoke(orders(front), request("url", {"sku": "a", "amount": 20}, prefer="wait=50"))
        assert (answer["statusCode"], answer["headers"]["preference-applied"]) == (200, "wait=25")
        assert 20_000 <= cloud.clock.now() - began <= 21_000
        answer = cloud.invoke(orders(front), request("url", {"sku": "a", "amount": 70}, prefer="wait=100"))
        assert (answer["statusCode"], answer["headers"]["preference-applied"]) == (202, "wait=25")
    with LocalCloud(timeout=20) as cloud:
        answer = cloud.invoke(orders(front), request("url", {"sku": "a", "amount": 70}, prefer="wait=100"))
        assert (answer["statusCode"], answer["headers"]["preference-applied"]) == (202, "wait=18")


def test_preferences_in_several_headers(sqlite_world: World) -> None:
    event = request("v1", {"sku": "a", "amount": 10})
    event["headers"]["Prefer"] = "handling=lenient"  # the last one
    event["multiValueHeaders"].update({"Prefer": ["wait=20", "handling=lenient"], "PREFER": ["wait=5"]})
    answer = sqlite_world.invoke(orders("def"), event)
    assert (answer["statusCode"], answer["headers"]["preference-applied"]) == (200, "wait=20")


class _Watched:
    """A clock on which something happens while others sleep."""

    def __init__(self, clock: Any, happens: Callable[[], None]) -> None:
        self._clock = clock
        self._happens = happens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clock, name)

    def sleep(self, seconds: float) -> None:
        self._clock.sleep(seconds)
        self._happens()


@durable
def approval(event: Any, ctx: DurableContext) -> Any:
    return ctx.wait_for_signal("verdict")


def test_a_signal_ends_the_waiting() -> None:
    with LocalRunner(approval) as runner:
        looks: list[int] = []

        def happens() -> None:
            looks.append(1)
            if len(looks) == 5:
                runner.signal("approval:k", "verdict", "yes")

        runner.backend.clock = _Watched(runner.backend.clock, happens)  # type: ignore[assignment]
        answer = runner.invoke(request(body=1, prefer="wait=20", idempotency_key="k"))
        assert content(answer) == (200, "yes")
        assert len(looks) == 5, "it looked again at once"


def test_another_invocation_may_be_faster() -> None:
    with LocalRunner(approval) as runner:
        looks: list[int] = []

        def happens() -> None:
            looks.append(1)
            if len(looks) == 3:
                runner.signal("approval:k", "verdict", "yes")
                runner.run_until_idle()  # the wake message of the signal

        runner.backend.clock = _Watched(runner.backend.clock, happens)  # type: ignore[assignment]
        answer = runner.invoke(request(body=1, prefer="wait=20", idempotency_key="k"))
        assert content(answer) == (200, "yes")
        assert runner.client.describe("approval:k").invocations == 2


def test_waiting_asks_the_journal_seldom() -> None:
    with LocalCloud() as cloud:
        answer = cloud.invoke(approval, request("url", 1, prefer="wait=30"))
        assert answer["statusCode"] == 202
        assert len([r for r in cloud.requests if r.action == "GetItem"]) < 30


# -- probes and load balancers -------------------------------------------------------------------------------------

BALANCED = {
    "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-central-1:1:targetgroup/t/1"}},
    "httpMethod": "POST", "path": "/orders", "queryStringParameters": {}, "headers": {"content-type": "application/json"},
    "body": '{"sku": "a"}', "isBase64Encoded": False,
}  # fmt: skip


def probe(shape: str, method: str) -> dict[str, Any]:
    event = request(shape)
    if shape == "v1":
        return event | {"httpMethod": method}
    event["requestContext"]["http"]["method"] = method
    return event


def test_probes_start_nothing(sqlite_world: World, shape: str) -> None:
    answer = sqlite_world.invoke(orders("def"), probe(shape, "OPTIONS"))
    assert (answer["statusCode"], answer["body"]) == (204, "")
    assert "POST" in answer["headers"]["allow"]
    answer = sqlite_world.invoke(orders("def"), probe(shape, "HEAD"))
    assert (answer["statusCode"], answer["body"]) == (200, "")
    assert list(sqlite_world.client.list()) == []


def test_with_raw_events_they_are_requests_like_any_other(sqlite_world: World, shape: str) -> None:
    @durable(name="raw", envelope=False)
    def raw(event: Any, ctx: DurableContext) -> Any:
        return {"statusCode": 418}

    for method in ("OPTIONS", "HEAD"):
        assert sqlite_world.invoke(raw, probe(shape, method)) == {"statusCode": 418}


@pytest.mark.parametrize("multi", [False, True])
def test_a_load_balancer(sqlite_world: World, *, multi: bool) -> None:
    event = dict(BALANCED)
    if multi:
        event["multiValueHeaders"] = {name: [value] for name, value in event.pop("headers").items()}
    answer = sqlite_world.invoke(orders("def"), event)
    assert content(answer) == (200, "a")
    assert ("headers" in answer, "multiValueHeaders" in answer) == (not multi, multi)
    found = answer["multiValueHeaders"]["content-type"] if multi else [answer["headers"]["content-type"]]
    assert found == ["application/json"]
    refused = sqlite_world.invoke(orders("def"), event | {"body": "{"})
    assert (refused["statusCode"], "multiValueHeaders" in refused) == (400, multi)


def test_a_health_check_is_answered_and_starts_nothing(sqlite_world: World) -> None:
    check = BALANCED | {"httpMethod": "GET", "headers": {"user-agent": "ELB-HealthChecker/2.0"}, "body": ""}
    assert sqlite_world.invoke(orders("def"), check)["statusCode"] == 200
    assert list(sqlite_world.client.list()) == []
    event = request("url", {"sku": "a"}, user_agent="ELB-HealthChecker/2.0")
    sqlite_world.invoke(orders("def"), event)
    assert len(list(sqlite_world.client.list())) == 1, "which no load balancer sent"


@pytest.mark.parametrize(
    ("kind", "data", "status"),
    [
        ("text/json", b'{"sku": "a"}', 200), ("application/json", b'\xef\xbb\xbf{"sku": "a"}', 200),
        ("application/json; charset=utf-16", '{"sku": "a"}'.encode("utf-16"), 200),
        ('application/json; charset="ISO-8859-1"', '{"sku": "\u00e4"}'.encode("latin-1"), 200),
        ("application/json; charset=klingon", b"{}", 400), ("application/json", '{"sku": "\u00e4"}'.encode("latin-1"), 400),
    ],
)  # fmt: skip
def test_what_a_body_is_written_in(sqlite_world: World, kind: str, data: bytes, status: int) -> None:
    event = request("v2", text=base64.b64encode(data).decode(), content_type=kind) | {"isBase64Encoded": True}
    assert sqlite_world.invoke(orders("def"), event)["statusCode"] == status
