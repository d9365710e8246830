"""The dashboard behind a function URL, and the command that signs requests for it."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from durable_fn import DurableContext, durable
from durable_fn.testing import LocalRunner
from durable_fn.ui import function
from durable_fn.ui.dashboard import Dashboard
from durable_fn.ui.guard import Guard
from durable_fn.ui.messages import Request
from durable_fn.ui.remote import Remote
from durable_fn.wiring import using
from tests.ui.desk import OWN

SAMPLE = json.loads((Path(__file__).parents[1] / "events" / "function-url.json").read_text())
ARN = SAMPLE["requestContext"]["authorizer"]["iam"]["userArn"]


@durable(name="waits")
def waits(event: None, ctx: DurableContext) -> None:
    ctx.wait_for_signal("go")


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalRunner]:
    monkeypatch.setenv("DURABLE_FN_UI_CHANGES", "on")
    function._dashboard.cache_clear()
    with LocalRunner(waits) as runner, using(runner.backend):
        runner.start(None, "w w/ü?")
        runner.advance(0)
        yield runner
    function._dashboard.cache_clear()


def asked(method: str, path: str, query: dict[str, str] | None = None, data: Any = None, **changes: Any) -> Any:
    event = {
        **SAMPLE,
        "rawPath": path,
        "queryStringParameters": query,
        "headers": {
            "host": "x.lambda-url.eu-central-1.on.aws",
            "content-type": "application/json",
            "x-durable-fn": "1",
        },
        "requestContext": {**SAMPLE["requestContext"], "http": {"method": method, "path": path}},
        "body": None if data is None else base64.b64encode(json.dumps(data).encode()).decode(),
        "isBase64Encoded": data is not None,
        **changes,
    }
    answer = function.handler(event, None)
    body = base64.b64decode(answer["body"])
    return answer["statusCode"], body if path == "/" else json.loads(body or b"null"), answer["headers"]


def test_the_page_and_its_api(runner: LocalRunner) -> None:
    status, page, headers = asked("GET", "/")
    assert (status, b'<script type="module" src="app.js">' in page) == (200, True)
    assert "default-src 'none'" in headers["content-security-policy"]
    status, meta, _ = asked("GET", "/api/meta")
    assert (status, meta["by"], meta["read_only"], meta["poll_s"]) == (200, ARN, False, 5.0)
    assert asked("GET", "/api/execution", {"id": "w w/ü?"})[1]["execution"]["status"] == "SUSPENDED"


def test_who_signed_is_in_the_history(runner: LocalRunner) -> None:
    assert asked("POST", "/api/cancel", data={"id": "w w/ü?", "reason": "enough"})[0] == 200
    (event,) = [event for event in runner.client.history("w w/ü?") if event.kind == "cancel"]
    assert (event.by, event.reason) == (ARN, "enough")


@pytest.mark.parametrize(
    "context",
    [
        None,
        {},
        {"authorizer": None},
        {"authorizer": {"iam": None}},
        {"authorizer": {"iam": {"userArn": ""}}},
        {"authorizer": []},
    ],
)
def test_what_iam_has_not_seen_is_refused(runner: LocalRunner, context: Any) -> None:
    """A function URL whose auth type was set to NONE by mistake shows nothing."""
    http = {"http": {"method": "GET", "path": "/api/executions"}}
    changed = None if context is None else {**http, **context}
    status, answer, _ = asked("GET", "/api/executions", requestContext=changed)
    assert (status, "AWS_IAM" in answer["error"]) == (403, True)


def test_it_is_read_only_unless_it_is_told(runner: LocalRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (None, "off"):
        function._dashboard.cache_clear()
        monkeypatch.setenv("DURABLE_FN_UI_CHANGES", value) if value else monkeypatch.delenv("DURABLE_FN_UI_CHANGES")
        assert asked("POST", "/api/terminate", data={"id": "w w/ü?"})[0] == 403
    monkeypatch.setenv("DURABLE_FN_UI_CHANGES", "yes")
    function._dashboard.cache_clear()
    with pytest.raises(RuntimeError, match="'on' or 'off'"):
        asked("GET", "/api/meta")


@pytest.mark.parametrize(
    "event",
    [None, [], {}, {"requestContext": 3}, {**SAMPLE, "body": 3}, {**SAMPLE, "body": "?", "isBase64Encoded": True}],
)
def test_what_is_no_request(runner: LocalRunner, event: Any) -> None:
    assert function.handler(event, None)["statusCode"] in (400, 403)


# -- the command that signs ------------------------------------------------------------------------------------------


class Lambda(BaseHTTPRequestHandler):
    """A function URL with IAM auth: it looks at the signature by making it again, and asks the function."""

    def do_GET(self) -> None:
        from urllib.parse import parse_qsl, urlsplit

        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if not self._is_signed(body):
            return self._answer(403, {"content-type": "application/json"}, b'{"Message": "Forbidden"}')
        headers = {name.lower(): value for name, value in self.headers.items()}
        event = {
            **SAMPLE, "rawPath": parts.path, "queryStringParameters": dict(parse_qsl(parts.query)), "headers": headers,
            "requestContext": {**SAMPLE["requestContext"], "http": {"method": self.command, "path": parts.path}},
            "body": base64.b64encode(body).decode(), "isBase64Encoded": True,
        }  # fmt: skip
        with using(self.server.backend):  # type: ignore[attr-defined]
            answer = function.handler(event, None)
        return self._answer(answer["statusCode"], answer["headers"], base64.b64decode(answer["body"]))

    do_POST = do_GET

    def _is_signed(self, body: bytes) -> bool:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        given = self.headers.get("authorization", "")
        if not given.startswith("AWS4-HMAC-SHA256 Credential=key/"):
            return False
        signed = given.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        again = AWSRequest(self.command, f"http://{self.headers['host']}{self.path}", data=body)
        for name in signed:
            again.headers[name] = self.headers[name]
        again.context["timestamp"] = self.headers["x-amz-date"]
        auth = SigV4Auth(Credentials("key", "secret"), "lambda", "eu-central-1")
        text = auth.string_to_sign(again, auth.canonical_request(again))
        return given.rpartition("Signature=")[2] == auth.signature(text, again)

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def url(runner: LocalRunner) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Lambda)
    server.backend = runner.backend  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def through(
    url: str, method: str, path: str, query: dict[str, str] | None = None, data: Any = None, **headers: str
) -> Any:
    dashboard = Dashboard(Remote(url, "eu-central-1").answer, Guard())
    sent = {} if data is None else {"content-type": "application/json", "x-durable-fn": "1"}
    body = b"" if data is None else json.dumps(data).encode()
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return dashboard.answer(Request(method, path, query or {}, {**OWN, **sent, **more}, body))


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


def test_requests_are_signed_and_passed_on(url: str, credentials: None, runner: LocalRunner) -> None:
    found = through(url, "GET", "/api/execution", {"id": "w w/ü?"})
    assert (found.status, json.loads(found.body)["execution"]["status"]) == (200, "SUSPENDED")
    again = through(url, "GET", "/api/execution", {"id": "w w/ü?"}, if_none_match=found.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    assert through(url, "POST", "/api/terminate", data={"id": "w w/ü?"}).status == 200
    assert runner.client.describe("w w/ü?").status == "TERMINATED"
    assert through(url, "GET", "/").status == 200, "the page is the command's own"


def test_the_guard_here_stands_before_it(url: str, credentials: None, runner: LocalRunner) -> None:
    for headers in ({"host": "rebound.example"}, {"origin": "http://evil.example"}, {"sec_fetch_site": "cross-site"}):
        assert through(url, "POST", "/api/terminate", data={"id": "w w/ü?"}, **headers).status in (403, 421)
    assert runner.client.describe("w w/ü?").status == "SUSPENDED"


def test_credentials_that_may_not_and_an_address_that_is_none(
    url: str, credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other")
    refused = through(url, "GET", "/api/meta")
    assert (refused.status, "AWS refused" in json.loads(refused.body)["error"]) == (403, True)
    for wrong in ("http://x.lambda-url.eu-central-1.on.aws", "ftp://x", "nonsense"):
        with pytest.raises(ValueError, match="--url is the address"):
            Remote(wrong)
    with pytest.raises(ValueError, match="add --region"):
        Remote("https://dashboard.example")
    assert Remote("https://x.lambda-url.eu-west-1.on.aws/").region == "eu-west-1"
