"""Files of another schema are refused as they are, and who only looks makes and changes nothing."""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from durable_fn import DurableClient, DurableContext, durable
from durable_fn.backends.ports import every
from durable_fn.backends.sqlite import SQLiteStore
from durable_fn.cli.app import app
from durable_fn.log.formats import SCHEMA
from durable_fn.testing.lambda_context import FakeLambdaContext
from durable_fn.wiring import BACKEND_VARIABLE, sqlite, using
from tests.backends.contract import header


@durable(name="quick")
def quick(event: object, ctx: DurableContext) -> object:
    return event


def made(path: Path, version: int = SCHEMA) -> Path:
    """A journal with one execution, and another number in its header."""
    store = SQLiteStore(str(path))
    store.create(header("x"))
    store.close()
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {version}")
    db.close()
    return path


def state(folder: Path) -> dict[str, tuple[int, str]]:
    """All files, when each was changed, and what is in it."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {p.name: (p.stat().st_mtime_ns, hashlib.sha256(p.read_bytes()).hexdigest()) for p in found}


def leave_a_log(path: Path, *statements: str) -> None:
    """As a process does that is killed: what it wrote last is beside the file."""
    code = f"import os, sqlite3; db = sqlite3.connect({str(path)!r}, isolation_level=None)\n" + "".join(
        f"db.execute({statement!r})\n" for statement in statements
    )
    subprocess.run([sys.executable, "-c", f"{code}os._exit(0)"], check=True)
    assert path.with_name(f"{path.name}-wal").stat().st_size > 0


# -- another number ------------------------------------------------------------------------------------------------


def test_a_new_journal_carries_the_number(tmp_path: Path) -> None:
    db = sqlite3.connect(made(tmp_path / "journal.db"))
    assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
    db.close()
    store = SQLiteStore(str(tmp_path / "journal.db"))
    assert store.get("x") is not None
    store.close()


@pytest.mark.parametrize(("version", "who"), [(0, "an older"), (SCHEMA + 1, "a newer"), (99, "a newer")])
@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_of_another_schema_is_refused_as_it_is(tmp_path: Path, version: int, who: str, read_only: bool) -> None:
    path = made(tmp_path / "journal.db", version)
    before = state(tmp_path)
    with pytest.raises(RuntimeError) as refused:
        sqlite(str(path), read_only=read_only)
    for words in (
        f"{str(path)!r}", f"has schema {version}", f"reads and writes schema {SCHEMA}", f"made by {who} version",
        "name another file, or move this one away, to start anew",
    ):  # fmt: skip
        assert words in str(refused.value)
    assert state(tmp_path) == before
    db = sqlite3.connect(path)
    assert db.execute("SELECT id FROM executions").fetchall() == [("x",)], "and its own version goes on with it"
    db.close()


def test_also_with_what_a_killed_process_left_beside_it(tmp_path: Path) -> None:
    """The number may be there only."""
    path = made(tmp_path / "journal.db")
    leave_a_log(path, f"PRAGMA user_version = {SCHEMA + 1}")
    log = path.with_name("journal.db-wal")
    before = path.read_bytes(), log.read_bytes()
    with pytest.raises(RuntimeError, match=f"has schema {SCHEMA + 1}"):
        sqlite(str(path))
    assert (path.read_bytes(), log.read_bytes()) == before


def test_a_journal_of_before_there_were_numbers(tmp_path: Path) -> None:
    """No column is added, and no number written."""
    path = tmp_path / "old.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE executions (id PRIMARY KEY, fn, run)")
    db.execute("INSERT INTO executions VALUES ('x', 'f', 'r')")
    db.commit()
    db.close()
    before = state(tmp_path)
    with pytest.raises(RuntimeError, match="has schema 0"):
        SQLiteStore(str(path))
    assert state(tmp_path) == before


@pytest.mark.parametrize("version", [0, SCHEMA, 7])
def test_a_database_of_something_else_gets_no_tables(tmp_path: Path, version: int) -> None:
    path = tmp_path / "shop.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE customers (name)")
    db.execute(f"PRAGMA user_version = {version}")
    db.commit()
    db.close()
    before = state(tmp_path)
    with pytest.raises(RuntimeError, match=r"shop\.db' is a database of something else, and was left alone"):
        sqlite(str(path))
    assert state(tmp_path) == before


def test_an_empty_file_becomes_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    made(path)
    assert sqlite(str(path)).store.get("x") is not None


def _open(path: str, gate: object, said: multiprocessing.Queue[str]) -> None:
    gate.wait()  # type: ignore[attr-defined]
    try:
        store = SQLiteStore(path)
        store.create(header(f"of {os.getpid()}"))
        store.close()
        said.put("")
    except Exception as error:
        said.put(repr(error))


def test_processes_that_make_one_journal_at_the_same_time(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    gate, said = context.Barrier(3), context.Queue()
    path = str(tmp_path / "journal.db")
    processes = [context.Process(target=_open, args=(path, gate, said)) for _ in range(3)]
    for process in processes:
        process.start()
    assert [said.get(timeout=60) for _ in processes] == [""] * 3
    for process in processes:
        process.join()
    assert len(list(every(SQLiteStore(path)))) == 3


# -- who only looks ------------------------------------------------------------------------------------------------


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, " ".join(result.output.split())


LOOKS = [("list",), ("list", "--json"), ("describe", "x"), ("history", "x", "--json")]


@pytest.mark.parametrize("command", LOOKS, ids=" ".join)
@pytest.mark.parametrize("there", ["nothing", "empty"])
@pytest.mark.parametrize("how", ["option", "environment"])
def test_a_command_that_looks_makes_no_journal(
    tmp_path: Path, command: tuple[str, ...], there: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "no folder" / "jurnal.db" if there == "nothing" else tmp_path / "empty.db"
    if there == "empty":
        path.touch()
    before = state(tmp_path)
    if how == "option":
        command = (*command, "--backend", f"sqlite:///{path}")
    else:
        monkeypatch.setenv(BACKEND_VARIABLE, f"sqlite:///{path}")
    code, said = run(*command)
    assert code == 1
    assert "there is no journal" in said
    assert path.name in said
    assert state(tmp_path) == before
    assert not (tmp_path / "no folder").exists()


@pytest.mark.parametrize("command", LOOKS, ids=" ".join)
@pytest.mark.parametrize("killed", [False, True])
def test_a_command_that_looks_changes_no_journal(tmp_path: Path, command: tuple[str, ...], killed: bool) -> None:
    """In a process of its own: nothing is left behind at its end."""
    path = made(tmp_path / "journal.db")
    if killed:
        leave_a_log(path, "UPDATE executions SET custom = '1'")
    before = {name: seen for name, seen in state(tmp_path).items() if not name.endswith("-shm")}
    names = sorted(os.listdir(tmp_path))
    ran = subprocess.run(
        [sys.executable, "-m", "durable_fn.cli", *command, "--backend", f"sqlite:///{path}"], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert {name: seen for name, seen in state(tmp_path).items() if not name.endswith("-shm")} == before
    assert sorted(os.listdir(tmp_path)) == names


@contextlib.contextmanager
def nobody() -> Iterator[None]:
    """Root may write anywhere: without its rights for a while."""
    root = os.geteuid() == 0
    if root:
        os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        if root:
            os.setresuid(0, 0, 0)


def test_who_may_not_write_may_look() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = made(Path(folder) / "journal.db")
        DurableClient(sqlite(str(path), read_only=True)).list()  # what is imported late is there now
        path.chmod(0o444)
        Path(folder).chmod(0o555)
        try:
            with nobody():
                looks = sqlite(str(path), read_only=True)
                assert [info.id for info in DurableClient(looks).list()] == ["x"]
                looks.store.close()
                with pytest.raises(RuntimeError, match="in a folder that can be written"):
                    sqlite(str(path))
        finally:
            Path(folder).chmod(0o755)
        assert os.listdir(folder) == ["journal.db"]


def test_looking_sees_what_others_write_meanwhile(tmp_path: Path) -> None:
    path = made(tmp_path / "journal.db")
    looks = DurableClient(sqlite(str(path), read_only=True))
    writes = sqlite(str(path))
    with using(writes):
        quick([1], FakeLambdaContext(writes.clock, timeout=60, function_name="quick"))
    assert [info.status for info in looks.list(name="quick")] == ["SUCCEEDED"]
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        looks.terminate("x")


def test_a_command_names_both_numbers(tmp_path: Path) -> None:
    path = made(tmp_path / "journal.db", 0)
    code, said = run("list", "--backend", f"sqlite:///{path}")
    assert code == 1
    assert f"has schema 0, and this version of durable_fn reads and writes schema {SCHEMA}" in said


def test_commands_show_an_execution_of_another_format(tmp_path: Path) -> None:
    path = made(tmp_path / "journal.db")
    db = sqlite3.connect(path)
    db.execute("UPDATE executions SET format = 7, input = 'junk', custom = 'junk'")
    db.commit()
    db.close()
    backend = ("--backend", f"sqlite:///{path}")
    code, said = run("list", "--json", *backend)
    assert (code, [row["error"]["data"]["written"] for row in json.loads(said)["executions"]]) == (0, [7])
    code, said = run("describe", "x", *backend)
    assert code == 0
    assert "has format 7" in said
    code, said = run("history", "x", *backend)
    assert code == 1
    assert "has format 7" in said
