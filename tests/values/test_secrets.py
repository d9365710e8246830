"""Secrets are stored only where a codec encrypts, and then come back; elsewhere they are refused before anything happens."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel, PrivateAttr, SecretBytes, SecretStr

from durable_fn import AsyncDurableContext, DurableContext, codecs, durable, step, wiring
from durable_fn.errors import SerializationError
from durable_fn.testing import LocalRunner, replay
from tests.values.handlers import BODIES, FRONTS, SEEN, noting, returning, seen


@pytest.fixture(params=FRONTS)
def front(request: pytest.FixtureRequest) -> str:
    SEEN.clear()
    BODIES.clear()
    return str(request.param)


@pytest.fixture
def codec(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `configure(codec=...)`, for this test."""
    monkeypatch.setattr(wiring, "_codec", codecs.AesGcm(bytes(32)))


class Login(BaseModel):
    user: str
    password: SecretStr
    _note: Any = PrivateAttr(default=None)


def _noted() -> Login:
    login = Login(user="ann", password=SecretStr("hush"))
    login._note = [SecretBytes(b"quiet")]
    return login


VALUES = [
    (SecretStr, SecretStr("hush")),
    (SecretBytes | None, SecretBytes(b"hush")),
    (Login, Login(user="ann", password=SecretStr("hush"))),
    (dict[str, list[Login]], {"a": [Login(user="ann", password=SecretStr("hush"))]}),
    (SecretStr | str, "a text"),
    (SecretStr | str, SecretStr("a secret")),
]


@pytest.mark.usefixtures("codec")
@pytest.mark.parametrize(("annotation", "value"), [*VALUES, (Any, [SecretStr("hush")])])
def test_with_a_codec_they_come_back(front: str, annotation: Any, value: Any) -> None:
    found = seen(returning(front, lambda: value, annotation))
    assert found == [value] * len(found)


@pytest.mark.usefixtures("codec")
def test_in_a_private_attribute(front: str) -> None:
    assert {login._note[0].get_secret_value() for login in seen(returning(front, _noted, Login))} == {b"quiet"}


@pytest.mark.usefixtures("codec")
def test_nobody_is_shown_them(front: str) -> None:
    with LocalRunner(noting(front, Login)) as runner:
        execution = runner.run({"user": "ann", "password": "hush"})
        assert SEEN[0].password.get_secret_value() == "hush"
        shown = f"{runner.client.describe(execution.id)} {execution.history} {list(runner.client.list())}"
    assert "**********" in shown
    assert "hush" not in shown


@pytest.mark.parametrize(("annotation", "value"), VALUES)
def test_without_one_nothing_runs(front: str, annotation: Any, value: Any) -> None:
    found = seen(returning(front, lambda: value, annotation))
    assert all(isinstance(error, SerializationError) and "codec" in str(error) for error in found)
    assert BODIES == []


@pytest.mark.parametrize("value", [SecretStr("hush"), [SecretStr("hush")]])
def test_where_the_annotation_does_not_say_it_they_are_refused_as_well(front: str, value: Any) -> None:
    found = seen(returning(front, lambda: value, Any))
    assert all(isinstance(error, SerializationError) and "codec" in str(error) for error in found)
    assert "hush" not in repr(found)


@pytest.mark.parametrize("how", ["start", "invoke", "queue"])
def test_an_event_is_refused_before_anything_is_stored(front: str, how: str) -> None:
    data = {"user": "ann", "password": "hush"}
    with LocalRunner(noting(front, Login)) as runner:
        if how == "queue":
            assert runner.invoke(_message('{"user": "ann", "password": "hush"}')) == {
                "batchItemFailures": [{"itemIdentifier": "m-1"}]
            }
        else:
            with pytest.raises(SerializationError, match="codec"):
                runner.start(data) if how == "start" else runner.invoke(data)  # type: ignore[arg-type]
        assert list(runner.client.list()) == []
    assert SEEN == []


def _message(body: str) -> dict[str, Any]:
    record = {
        "messageId": "m-1",
        "body": body,
        "attributes": {},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:orders",
    }
    return {"Records": [record]}


@step
def charge() -> int:
    SEEN.append("charged")
    return 1


@step
def log_in() -> SecretStr:
    SEEN.append("logged in")
    return SecretStr("hush")


@durable(name="logs-in")
def plainly(event: Any, ctx: DurableContext) -> None:
    ctx.step(charge)
    ctx.step(log_in)


@durable(name="logs-in")
async def natively(event: Any, ctx: AsyncDurableContext) -> None:
    await ctx.step(charge)
    await ctx.step(log_in)


def test_a_step_that_the_handler_names_is_looked_at_before_the_first_one_runs(front: str) -> None:
    with LocalRunner(plainly if front == "def" else natively) as runner:
        with pytest.raises(SerializationError, match="the result of step 'log_in' holds secrets"):
            runner.start(None)
        with pytest.raises(SerializationError, match="codec"):
            runner.invoke({})
    assert SEEN == []


@pytest.mark.usefixtures("codec")
def test_a_signal_that_does_not_fit_is_not_shown() -> None:
    @durable(name="waits")
    def waits(event: Any, ctx: DurableContext) -> None:
        try:
            ctx.wait_for_signal("login", result_type=Login)
        except SerializationError as error:
            SEEN.append(error)
        ctx.sleep(60)

    SEEN.clear()
    with LocalRunner(waits) as runner:
        execution = runner.run(None, "x")
        runner.signal("x", "login", {"password": "hush"})
        runner.run_on(execution)
        assert execution.status == "SUCCEEDED"
        assert "hush" not in f"{execution.history} {SEEN} {[error.raw for error in SEEN]}"
    assert len({str(error) for error in SEEN}) == 1


@pytest.mark.parametrize("later", [int, list[int], Literal["a"], dict[int, int], int | str], ids=str)
@pytest.mark.usefixtures("codec")
def test_why_it_cannot_be_read_now_does_not_tell_them(later: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    with LocalRunner(returning("def", _noted, Login)) as runner:
        runner.start(None, "x")
        runner.run_until_idle()
        runner._functions["returns"] = returning("def", _noted, later)
        runner.advance(200)
        info = runner.client.describe("x")
        assert info.status == "SUSPENDED"
        assert "held" in str(info.error)
        assert "does not fit" in str(info.error)
        assert "hush" not in f"{info} {runner.client.list()} {runner.client.history('x')} {caplog.text}"


@pytest.mark.parametrize(
    "payload", [Login(user="ann", password=SecretStr("hush")), {"a": [SecretStr("hush")]}], ids=str
)
@pytest.mark.parametrize("how", ["call", "send", "start", "signal"])
def test_nobody_is_sent_asterisks(how: str, payload: Any) -> None:
    @durable(name="knows nothing")
    def target(event: Any, ctx: DurableContext) -> None:
        SEEN.append(event)

    @durable(name="sends")
    def sends(event: Any, ctx: DurableContext) -> None:
        getattr(ctx, how)("knows nothing", payload)

    SEEN.clear()
    with (
        LocalRunner(sends, target) as runner,
        pytest.raises(SerializationError, match=r"password|\['a'\]\[0\]") as caught,
    ):
        if how == "start":
            runner.client.start("knows nothing", payload)
        elif how == "signal":
            runner.client.signal(runner.start(None).id, "go", payload)
        else:
            raise runner.run(None).error or AssertionError
    assert "asterisks" in str(caught.value)
    assert SEEN == []


class Vault(BaseModel):
    word: SecretStr
    raw: SecretBytes


@pytest.mark.usefixtures("codec")
def test_a_history_can_be_replayed_and_holds_none(front: str) -> None:
    vault = Vault(word=SecretStr("hush"), raw=SecretBytes(b"hush"))
    function = returning(front, lambda: vault, Vault)
    mixed = returning(front, lambda: [vault.word, vault.raw, {"$": "secret", "v": 1}], Any)
    for one in (function, mixed):
        SEEN.clear()
        with LocalRunner(one) as runner:
            rows = [row.to_json() for row in runner.run(None).history]
        assert "hush" not in str(rows)
        assert "aHVzaA" not in str(rows), "in base 64"
        assert b"hush".hex() not in str(rows)
        SEEN.clear()
        replay(one, rows)
        (again,) = SEEN
        word, raw = (again.word, again.raw) if isinstance(again, Vault) else again[:2]
        assert (word.get_secret_value(), raw.get_secret_value()) == ("*" * 10, b"*" * 10)
        assert isinstance(again, Vault) or again[2] == {"$": "secret", "v": 1}
