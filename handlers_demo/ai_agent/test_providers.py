"""Real providers' wire formats, against a server on the loopback that says what it is told to say."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from durable_fn.testing import DurableRunner
from handlers_demo.ai_agent.handler import handler
from handlers_demo.ai_agent.models import Task
from handlers_demo.ai_agent.providers import ModelBusy, ModelRefused, ModelUnavailable, ask
from handlers_demo.ai_agent.systems import SYSTEMS
from handlers_demo.systems import DIRECTORY_VARIABLE, effects

TASK = Task.model_validate_json((Path(__file__).parent / "event.json").read_text())
KEY = "sk-a-very-secret-key"

Answer = tuple[int, dict[str, str], Any]


class Provider:
    """Answers in this order; the last one again and again. `requests`: (path, headers, body)."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or "null")
                headers = {name.lower(): value for name, value in self.headers.items()}
                provider.requests.append((self.path, headers, body))
                status, extra, answer = provider.answers.pop(0) if len(provider.answers) > 1 else provider.answers[0]
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                for name, value in {"content-length": str(len(data)), **extra}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST  # noqa: N815 (what a followed redirect would be)

            def log_message(self, *_: Any) -> None:
                """Tests are quiet."""

        return Handler

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    server = Provider()
    settings = {
        DIRECTORY_VARIABLE: str(tmp_path),
        "AGENT_PROVIDER": "anthropic",
        "AGENT_MODEL": "a-model",
        "AGENT_BASE_URL": server.url + "/",
        "ANTHROPIC_API_KEY": KEY,
        "OPENAI_API_KEY": KEY,
        "NO_PROXY": "127.0.0.1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    yield server
    server.close()


def anthropic(text: str, *calls: tuple[str, str, dict[str, Any]]) -> Answer:
    uses = [{"type": "tool_use", "id": id, "name": name, "input": arguments} for id, name, arguments in calls]
    usage = {"input_tokens": 100, "output_tokens": 20}
    return 200, {}, {"role": "assistant", "content": [{"type": "text", "text": text}, *uses], "usage": usage}


def openai(text: str, *calls: tuple[str, str, dict[str, Any]]) -> Answer:
    uses = [
        {"id": id, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for id, name, arguments in calls
    ]
    message = {"role": "assistant", "content": text or None, **({"tool_calls": uses} if uses else {})}
    return 200, {}, {"choices": [{"message": message}], "usage": {"prompt_tokens": 100, "completion_tokens": 20}}


BOTH = [
    ("toolu_1", "find_orders", {"customer": "ada@moka.example"}),
    ("toolu_2", "find_payments", {"customer": "x@y.z"}),
]


@pytest.mark.parametrize(("name", "say"), [("anthropic", anthropic), ("openai", openai)])
def test_a_task_with_a_real_provider(
    name: str,
    say: Callable[..., Answer],
    provider: Provider,
    durable_runner: DurableRunner,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AGENT_PROVIDER", name)
    provider.answers = [
        (429, {"retry-after": "7"}, {"error": "slow down"}),
        (529, {}, {"error": "overloaded"}),
        say("", *BOTH),
        say("All is well."),
    ]
    runner = durable_runner(handler)
    began = runner.now()
    execution = runner.run(TASK)
    outcome = execution.result
    assert (outcome.status, outcome.answer, outcome.spent.tokens) == ("answered", "All is well.", 240)
    assert str(outcome.spent.cost) == "0.0012"
    assert runner.now() - began >= timedelta(seconds=7)
    assert len(provider.requests) == 4
    assert effects(SYSTEMS) == {"rent": 1, "run": 2, "release": 1}
    assert KEY not in json.dumps([event.to_json() for event in execution.history])


def test_the_messages_api_on_the_wire(provider: Provider, durable_runner: DurableRunner) -> None:
    provider.answers = [anthropic("Let me look.", *BOTH), anthropic("Done.")]
    durable_runner(handler).run(TASK)
    path, headers, first = provider.requests[0]
    assert (path, headers["x-api-key"], headers["anthropic-version"]) == ("/v1/messages", KEY, "2023-06-01")
    assert (first["model"], first["messages"]) == (
        "a-model", [{"role": "user", "content": [{"type": "text", "text": TASK.prompt}]}]
    )  # fmt: skip
    assert {tool["name"]: tool["input_schema"]["type"] for tool in first["tools"]} == dict.fromkeys(
        ("find_orders", "find_payments", "refund_payment"), "object"
    )
    said, answered = provider.requests[1][2]["messages"][1:]
    assert said["content"][1] == {
        "type": "tool_use", "id": "toolu_1", "name": "find_orders", "input": {"customer": "ada@moka.example"}
    }  # fmt: skip
    assert (answered["role"], [block["tool_use_id"] for block in answered["content"]]) == (
        "user",
        ["toolu_1", "toolu_2"],
    )
    assert answered["content"][1]["content"] == "[]"


def test_chat_completions_on_the_wire(
    provider: Provider, durable_runner: DurableRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT_PROVIDER", "openai")
    provider.answers = [openai("", *BOTH), openai("Done.")]
    durable_runner(handler).run(TASK)
    path, headers, body = provider.requests[1]
    assert (path, headers["authorization"]) == ("/chat/completions", f"Bearer {KEY}")
    system, user, said, first, second = body["messages"]
    assert (system["role"], user) == ("system", {"role": "user", "content": TASK.prompt})
    assert json.loads(said["tool_calls"][0]["function"]["arguments"]) == {"customer": "ada@moka.example"}
    assert (first["tool_call_id"], second) == ("toolu_1", {"role": "tool", "tool_call_id": "toolu_2", "content": "[]"})


def test_a_wrong_key_fails_at_once_and_is_not_repeated(provider: Provider, durable_runner: DurableRunner) -> None:
    provider.answers = [(401, {}, {"error": f"incorrect API key: {KEY}"})]
    execution = durable_runner(handler).run(TASK)
    assert execution.status == "FAILED"
    assert "the model answers 401" in str(execution.error)
    assert KEY not in json.dumps([event.to_json() for event in execution.history])
    assert len(provider.requests) == 1
    assert effects(SYSTEMS) == {"rent": 1, "release": 1}, "the saga gave the sandbox back"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_does_not_carry_the_key_away(status: int, provider: Provider) -> None:
    provider.answers = [(status, {"location": provider.url + "/elsewhere"}, {}), anthropic("caught")]
    with pytest.raises(ModelRefused, match=f"answers {status}"):
        ask("anthropic", [])
    assert [path for path, _, _ in provider.requests] == ["/v1/messages"]


IN_AN_HOUR = format_datetime(datetime.now(UTC) + timedelta(minutes=30), usegmt=True)


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [("12", 12, 12), ("0", 0, 0), ("999999", 3600, 3600), (IN_AN_HOUR, 1, 1800)],
    ids=["seconds", "now", "too long", "a date"],  # the date differs between the processes that run tests
)
def test_when_to_come_again(value: str, least: float, most: float, provider: Provider) -> None:
    provider.answers = [(503, {"retry-after": value}, {})]
    with pytest.raises(ModelBusy) as busy:
        ask("anthropic", [])
    assert least <= busy.value.retry_after <= most


@pytest.mark.parametrize("value", ["soon", "-5", "inf"])
def test_nonsense_as_time_is_no_time(value: str, provider: Provider) -> None:
    provider.answers = [(429, {"retry-after": value}, {})]
    with pytest.raises(ModelUnavailable) as error:
        ask("anthropic", [])
    assert not isinstance(error.value, ModelBusy)


@pytest.mark.parametrize(
    "answer", [b"<html>", {}, {"content": [{}], "usage": {}}, {"content": "x", "usage": {"input_tokens": -1}}, [], None]
)
def test_answers_that_cannot_be_read(answer: Any, provider: Provider) -> None:
    provider.answers = [(200, {}, answer)]
    with pytest.raises(ModelRefused):
        ask("anthropic", [])


def test_nobody_there(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENT_BASE_URL", "http://127.0.0.1:9")
    with pytest.raises(ModelUnavailable, match="cannot be reached"):
        ask("anthropic", [])


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("ANTHROPIC_API_KEY", "", "ANTHROPIC_API_KEY is not set"),
        ("AGENT_MODEL", " ", "AGENT_MODEL is not set"),
        ("AGENT_BASE_URL", "file:///etc/passwd", "must begin with https://"),
        ("AGENT_PRICE_INPUT", "cheap", "must be dollars"),
    ],
)
def test_settings(name: str, value: str, why: str, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    provider.answers = [anthropic("x")]
    monkeypatch.setenv(name, value)
    with pytest.raises(ModelRefused, match=why):
        ask("anthropic", [])


def test_an_unknown_provider() -> None:
    with pytest.raises(ModelRefused, match="it must be scripted, anthropic or openai"):
        ask("magic", [])
