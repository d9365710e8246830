"""What `durable-fn` shows of executions: text from outside is text, whatever brackets and control characters are in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from durable_fn import DurableClient, DurableContext, RetryPolicy, durable, step
from durable_fn.backends.ports import Backend
from durable_fn.cli.app import app
from durable_fn.cli.command import say
from durable_fn.cli.screens import STATUS_STYLE, history_table, visible
from durable_fn.log.wake import Wake
from durable_fn.types import HistoryEvent
from durable_fn.wiring import sqlite, using

HOSTILE = (
    "a[/]b[red]c[link=x] \x1b]52;c;eA==\x1b\\ \x1b[8mhid\x07den \x9b2J \r \u202eevil\u2066 "
    "\u200b \u2028 \x7f \U000e0041 Ü ✔ \\"
)
SHOWN = visible(HOSTILE)


@step(retry=RetryPolicy(max_attempts=1))
def breaks(text: str) -> None:
    raise ValueError(text)


@durable(name="orders[/]")
def orders(event: Any, ctx: DurableContext) -> Any:
    ctx.set_status(HOSTILE)
    if event["do"] == "fail":
        ctx.step(breaks, event["text"])
    if event["do"] == "wait":
        ctx.step(step(lambda: HOSTILE, name="asks [/]"))
        ctx.wait_for_signal("go", timeout=3600)
    return event


@pytest.fixture
def journal(tmp_path: Path) -> Any:
    path = tmp_path / "journal.db"
    backend = sqlite(str(path))
    return backend, DurableClient(backend), f"sqlite:///{path}"


def shown(*words: str, code: int = 0) -> str:
    """What a command prints: nothing that a terminal acts upon."""
    result = CliRunner().invoke(app, list(words), env={"COLUMNS": "400", "NO_COLOR": "1"})
    assert result.exit_code == code, result.output + repr(result.exception)
    said = result.stdout + result.stderr
    assert all(character.isprintable() or character == "\n" for character in said)
    return said


def start(journal: Any, id: str, do: str) -> None:
    backend, client, _ = journal
    client.start(orders, {"do": do, "text": HOSTILE}, id=id)
    wake(backend, id)


def wake(backend: Backend, id: str) -> None:
    header = backend.store.get(id)
    assert header is not None
    body = Wake(id, header.run, header.fn, 0).body()
    with using(backend):
        orders({"Records": [{"eventSource": "aws:sqs", "messageId": "m", "body": body}]}, None)


@pytest.mark.parametrize("id", ["order[/]", "order[red]5", "[bold]", "order\\[x]", "[/bold]"])
def test_brackets_in_an_id(journal: Any, id: str) -> None:
    start(journal, id, "end")
    for command in (["list"], ["describe", id], ["history", id]):
        said = shown(*command, "--backend", journal[2])
        assert id in said
        assert command[0] == "history" or "orders[/]" in said


@pytest.mark.parametrize("id", ["order[/]", "[bold]x"])
@pytest.mark.parametrize("command", ["describe", "history"])
def test_an_id_that_does_not_exist_is_said_in_a_line(journal: Any, command: str, id: str) -> None:
    said = shown(command, id, "--backend", journal[2], code=1)
    assert said.startswith(f"Error: there is no execution {id!r}")


def test_what_failed_with_hostile_text(journal: Any) -> None:
    start(journal, "x", "fail")
    assert SHOWN.split(" ")[1] in shown("describe", "x", "--backend", journal[2])
    assert "ValueError: a[/]b[red]c[link=x]" in shown("history", "x", "--backend", journal[2])
    assert "\\u202e" in shown("describe", "x", "--backend", journal[2], "--json")


def test_each_status(journal: Any) -> None:
    """A status without a colour of its own is shown, too."""
    _, client, url = journal
    for id, do in (("SUCCEEDED", "end"), ("FAILED", "fail"), ("SUSPENDED", "wait"), ("CANCELLED", "wait")):
        start(journal, id, do)
    client.cancel("CANCELLED", HOSTILE)
    wake(journal[0], "CANCELLED")
    for id in ("PENDING", "TERMINATED"):
        client.start(orders, {}, id=id)
    client.terminate("TERMINATED", HOSTILE)
    for id in ("SUCCEEDED", "FAILED", "SUSPENDED", "CANCELLED", "PENDING", "TERMINATED"):
        assert client.describe(id).status == id
        assert f"{id}: {id}" in shown("describe", id, "--backend", url)
        assert shown("history", id, "--backend", url)
    assert "CANCELLED" in shown("list", "--backend", url)
    assert {"RUNNING", "TIMED_OUT"} <= STATUS_STYLE.keys()


def test_what_another_version_or_hand_put_there_is_text(journal: Any) -> None:
    """Fields of which this version knows the words may hold any."""
    backend, _, url = journal
    start(journal, "x", "wait")
    store = backend.store.store
    store.database._db.execute("UPDATE executions SET fn = ?, status = ?", (HOSTILE, HOSTILE))
    for command in (["list"], ["describe", "x"]):
        assert SHOWN.split(" ")[1] in shown(*command, "--backend", url)
        shown(*command, "--backend", url, "--json")
    backend.store.store.close()


@pytest.mark.parametrize("more", [[], ["--json"]], ids=["screen", "json"])
@pytest.mark.parametrize(
    "words",
    [
        ["list", "--name", HOSTILE],
        ["describe", HOSTILE],
        ["history", HOSTILE],
        ["list", "--status", HOSTILE],
        ["list", "--backend", HOSTILE],
        ["demo", HOSTILE],
        ["demo", "--scene", HOSTILE],
        ["demo", "--set", HOSTILE],
        ["init", "/dev/null/" + HOSTILE.replace("\0", "")],
    ],
)
def test_what_somebody_typed_or_pasted_is_text(journal: Any, words: list[str], more: list[str]) -> None:
    backend = [] if "--backend" in words or words[0] in ("demo", "init") else ["--backend", journal[2]]
    shown(*words, *backend, *more, code=0 if words[:2] == ["list", "--name"] else 1)


@pytest.mark.parametrize("words", [[HOSTILE], ["list", f"--{HOSTILE}"], ["list", "--limit", HOSTILE]])
def test_what_is_no_command_is_text(words: list[str]) -> None:
    shown(*words, code=2)


def test_each_field_of_an_entry_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    error = {"error_type": HOSTILE, "message": HOSTILE, "data": None, "traceback": HOSTILE}
    now = datetime(2026, 1, 1, tzinfo=UTC)
    event: Any = HistoryEvent(
        id=HOSTILE,
        name=HOSTILE,
        kind=HOSTILE,
        status=HOSTILE,
        attempt=1,
        at=now,
        result=HOSTILE,
        error=error,
        due=now,  # type: ignore[arg-type]
    )
    say(*history_table([event, replace(event, error=None)]))
    said = capsys.readouterr().out
    assert all(character.isprintable() or character == "\n" for character in said)


def test_what_is_made_visible() -> None:
    assert visible("Grüße, 世界 ✔ [/]") == "Grüße, 世界 ✔ [/]"
    assert visible("\x1b[2J\x07\x85\u202e\U000e0041") == "\\x1b[2J\\x07\\x85\\u202e\\U000e0041"
    assert visible("one\r\ntwo\nfunction  fake").splitlines() == ["one", "          two", "          function  fake"]


def test_a_demo_shows_what_its_journal_says(capsys: pytest.CaptureFixture[str]) -> None:
    from durable_fn.cli.stage import sentence
    from durable_fn.cli.timeline import Row

    for what in ("done", "failed", "answered", "begins", "outside", "unanswered", "cancelled", "takes over"):
        row = Row(0.0, what, step=HOSTILE, result=HOSTILE, error=f"Error: {HOSTILE}", replayed=[HOSTILE])
        Console(width=400).print(sentence(row))
    said = capsys.readouterr().out
    assert all(character.isprintable() or character == "\n" for character in said)
    assert "[/]" in said
