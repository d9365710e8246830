"""`durable-fn dev` in real processes: killed, timed out, reloaded."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.local.servers import Server, ask, left

CODE = """
import os
import time
from pathlib import Path

from durable_fn import DurableContext, durable

HERE = Path(__file__).parent


def note(what: str) -> str:
    with open(HERE / "notes", "a") as notes:
        notes.write(f"{what}\\n")
    return what


def wait_for(name: str) -> None:
    note(f"waits for {name}")
    while not (HERE / name).exists():
        time.sleep(0.01)


def hang_once() -> str:
    if not (HERE / "hung").exists():
        (HERE / "hung").touch()
        time.sleep(600)
    return "the second time"


@durable(name="orders")
def orders(event: dict, ctx: DurableContext) -> str:
    ctx.step(note, "charged")
    ctx.step(wait_for, "delivered")
    return ctx.step(note, VERSION)


@durable(name="slow")
def slow(event: dict, ctx: DurableContext) -> str:
    return ctx.step(hang_once)


@durable(name="raw", envelope=False)
def raw(event: dict, context: object) -> dict:
    if event.get("fail"):
        raise ValueError("no")
    return {"statusCode": 201, "headers": {"x-own": "1"}, "cookies": ["a=b"], "body": "made"} if "rawPath" in event else event


VERSION = "version 1"
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(CODE)
    return tmp_path


def dev(directory: Path, servers: list[Server], *more: str) -> Server:
    servers.append(Server(directory, "dev", "app.py", "--port", "0", "--no-open", *more))
    return servers[-1]


def notes(directory: Path) -> list[str]:
    path = directory / "notes"
    return path.read_text().splitlines() if path.exists() else []


def started(url: str, id: str) -> None:
    status, answer = ask(f"{url}/functions/orders", {}, prefer="respond-async", idempotency_key=id)
    assert (status, answer["execution_id"]) == (202, f"orders:{id}")


def is_gone(pid: int) -> bool:
    """Also where nobody has asked yet how it ended: who takes in orphans may take its time."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return True


def test_killed_and_started_again_everything_goes_on(directory: Path, servers: list[Server]) -> None:
    first = dev(directory, servers)
    url = first.ready()
    started(url, "a")
    turn = first.until("turn")
    while "waits for delivered" not in notes(directory):
        assert first.process.poll() is None
    first.kill()
    second = dev(directory, servers)
    assert second.until("adopted")["count"] == 1
    (directory / "delivered").touch()
    assert second.until("left", left("orders:a", "SUCCEEDED"))
    assert notes(directory) == ["charged", "waits for delivered", "waits for delivered", "version 1"]
    assert is_gone(turn["pid"])  # the worker of the first server did not outlive it
    assert second.end() == 0


def test_one_that_takes_too_long_is_killed_and_goes_on(directory: Path, servers: list[Server]) -> None:
    server = dev(directory, servers, "--timeout", "slow=0.8", "--timeout", "30")
    url = server.ready()
    status, answer = ask(f"{url}/functions/slow", {}, idempotency_key="s")
    assert status == 504
    assert "0.8 s were over, and its process was killed" in answer["message"]
    died = server.until("died")
    assert (died["ids"], died["late"]) == (["slow:s"], True)
    assert server.until("left", left("slow:s", "SUCCEEDED"))
    assert server.end() == 0


def test_code_is_loaded_anew(directory: Path, servers: list[Server]) -> None:
    """What runs is done by the code that began it; code that cannot be loaded changes nothing."""
    server = dev(directory, servers)
    url = server.ready()
    started(url, "old")
    server.until("turn")
    (directory / "app.py").write_text("raise RuntimeError('half done')")
    assert "half done" in server.until("broken")["error"]
    status, answer = ask(f"{url}/functions/orders", {}, idempotency_key="between")
    assert (status, "half done" in answer["message"]) == (502, True), "no process has the code of before to spare"
    (directory / "app.py").write_text(
        CODE.replace("version 1", "version 2") + "\n\nother = durable(name='other')(raw.__wrapped__)\n"
    )
    assert set(server.until("loaded")["functions"]) == {"orders", "other", "raw", "slow"}
    started(url, "new")
    server.until("turn", lambda it: it["id"] == "orders:new")
    (directory / "delivered").touch()
    for _ in range(2):
        server.until("left", lambda it: it["status"] == "SUCCEEDED")
    assert sorted(note for note in notes(directory) if note.startswith("version")) == ["version 1", "version 2"]
    assert server.end() == 0


def test_http_is_what_a_function_url_makes_of_it(directory: Path, servers: list[Server]) -> None:
    server = dev(directory, servers)
    url = server.ready()
    assert ask(f"{url}/functions/raw/a?b=1", {})[0] == 201
    invoke = f"{url}/2015-03-31/functions/raw/invocations"
    assert ask(invoke, {"n": [1]}) == (200, {"n": [1]})
    status, error = ask(invoke, {"fail": True})
    assert (status, error["errorType"], error["errorMessage"]) == (200, "ValueError", "no")
    assert ask(invoke, {"n": 1}, x_amz_invocation_type="Event") == (202, "")
    assert ask(f"{url}/functions/nope", {})[0] == 404
    assert ask(f"{url}/functions/raw", {"fail": 1}, host="rebound.example")[0] == 421
    assert ask(f"{url}/functions/raw", {}, origin="https://elsewhere.example")[0] == 403
    assert ask(f"{url}/functions/raw", {}, sec_fetch_site="cross-site")[0] == 403
    assert ask(f"{url}/callbacks/nonsense", {})[0] == 404
    assert server.end() == 0


@pytest.fixture
def journal(directory: Path) -> str:
    return f"sqlite:///{directory}/j.db"


def worker(directory: Path, servers: list[Server], journal: str, *more: str) -> Server:
    servers.append(Server(directory, "worker", "app:orders", "--backend", journal, "--workers", "2", *more))
    return servers[-1]


def test_a_worker_is_supervised_and_graceful(directory: Path, servers: list[Server], journal: str) -> None:
    """Its process dies: another one goes on. SIGTERM: what runs is done first, and nothing more is begun."""
    from durable_fn import DurableClient
    from durable_fn.wiring import sqlite

    server = worker(directory, servers, journal)
    assert set(server.until("loaded")["functions"]) == {"orders"}
    client = DurableClient(sqlite(f"{directory}/j.db"))
    client.start("orders", {}, id="x")
    turn = server.until("turn")
    os.kill(turn["pid"], signal.SIGKILL)
    died = server.until("died")
    assert (died["pid"], died["ids"], died["why"]) == (turn["pid"], ["x"], "SIGKILL (signal 9)")
    assert server.until("turn")["pid"] != turn["pid"]
    other = worker(directory, servers, journal)
    assert other.process.wait(60) == 1
    assert other.end() == 1
    assert f"process {server.process.pid} serves this journal already" in "".join(other.errors)
    server.process.send_signal(signal.SIGTERM)
    assert server.until("stopping")["running"] == 1
    client.start("orders", {}, id="y")
    (directory / "delivered").touch()
    assert server.process.wait(60) == 0
    assert [client.describe(id).status for id in "xy"] == ["SUCCEEDED", "PENDING"]


def test_told_twice_it_stops_at_once(directory: Path, servers: list[Server], journal: str) -> None:
    server = worker(directory, servers, journal, "--port", "0")
    url = server.ready()
    assert ask(f"{url}/")[0] == 404, "it has no dashboard"
    started(url, "x")
    turn = server.until("turn")
    server.process.send_signal(signal.SIGTERM)
    server.until("stopping")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(60) == 0
    assert is_gone(turn["pid"])
    with sqlite3.connect(directory / "j.db") as db:
        assert db.execute("SELECT status FROM executions").fetchall() == [("RUNNING",)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["app.py"], "name the journal"),
        (["nowhere.py", "--backend", "sqlite:///j.db"], "there is no 'nowhere.py'"),
        (["app.py", "--backend", "sqlite:///j.db", "--timeout", "901"], "at most 900 seconds"),
        (["app.py", "--backend", "sqlite:///j.db", "--timeout", "x=y"], "NAME=SECONDS"),
        (["app.py", "--backend", "postgres://x"], "must look like sqlite:///"),
    ],
)
def test_what_cannot_be_served_is_said(directory: Path, words: list[str], said: str, capsys: Any) -> None:
    from durable_fn.cli.app import app

    os.chdir(directory)
    with pytest.raises(SystemExit) as ended:
        app(["worker", *words])
    assert ended.value.code == 1
    assert said in capsys.readouterr().err.replace("\n", " ")
