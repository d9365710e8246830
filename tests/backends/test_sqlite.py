"""SQLite: the contract in memory and in a file, several processes, files of others, forks."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from durable_fn.backends.sqlite import SQLiteStore
from durable_fn.backends.sqlite.listing import _ORDER, _conditions
from durable_fn.log.events import Segment
from durable_fn.log.header import Header
from durable_fn.log.requests import Lease
from durable_fn.log.selection import Selection
from durable_fn.wiring import sqlite as sqlite_backend

from .contract import NOW, StoreContract, accepted, header
from .lists import ListContract


class TestInMemory(StoreContract, ListContract):
    @pytest.fixture
    def store(self) -> Iterator[SQLiteStore]:
        store = SQLiteStore(":memory:")
        yield store
        store.close()


class TestInAFile(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[SQLiteStore]:
        store = SQLiteStore(str(tmp_path / "new" / "journal.db"), synchronous="normal")
        yield store
        store.close()


def _contend(path: str, name: str, ids: int, won: multiprocessing.Queue[str]) -> None:
    store = SQLiteStore(path, synchronous="normal")
    for n in range(ids):
        if isinstance(store.acquire(f"id-{n}", Lease(name, NOW, NOW + 1000)), Header):
            won.put(f"id-{n}")
    won.put("")


def test_processes_share_a_file(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    store = SQLiteStore(path, synchronous="normal")
    for n in range(40):
        store.create(header(f"id-{n}"))
    context = multiprocessing.get_context("spawn")
    won: multiprocessing.Queue[str] = context.Queue()
    processes = [context.Process(target=_contend, args=(path, f"w{n}", 40, won)) for n in range(3)]
    for process in processes:
        process.start()
    taken: list[str] = []
    ended = 0
    while ended < len(processes):
        id = won.get(timeout=60)
        taken, ended = (taken, ended + 1) if not id else ([*taken, id], ended)
    for process in processes:
        process.join()
    assert sorted(taken) == sorted(f"id-{n}" for n in range(40)), "each was taken exactly once"
    store.close()


def test_what_was_committed_survives_sigkill(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    program = textwrap.dedent(
        f"""
        import sys
        from durable_fn.backends.sqlite import SQLiteStore
        from durable_fn.log.journal import Segment
        from tests.backends.contract import accepted, header
        store = SQLiteStore({str(path)!r})
        made = accepted(store.create(header()))
        for seq in range(10**6):
            assert store.append(made, Segment(seq, "w", f"line {{seq}}"))
            print(seq, flush=True)
        """
    )
    root = str(Path(__file__).resolve().parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root}
    )
    assert process.stdout is not None
    last = [process.stdout.readline() for _ in range(20)][-1]
    os.kill(process.pid, signal.SIGKILL)
    told = [last, *process.stdout.readlines()]
    process.wait()
    process.stdout.close()
    store = SQLiteStore(str(path))
    loaded = store.load(header().key)
    assert loaded is not None
    assert [segment.body for segment in loaded.segments] == [f"line {n}" for n in range(len(loaded.segments))]
    assert len(loaded.segments) > int(told[-1])
    store.close()


def test_a_forked_child_opens_the_file_again(tmp_path: Path) -> None:
    store = SQLiteStore(str(tmp_path / "journal.db"))
    made = accepted(store.create(header()))
    pid = os.fork()
    if pid == 0:
        ok = store.append(made, Segment(0, "child", "from the child"))
        os._exit(0 if ok else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert store.append(made, Segment(1, "w", "from the parent"))
    loaded = store.load(made.key)
    assert loaded is not None
    assert [segment.writer for segment in loaded.segments] == ["child", "w"]
    store.close()


def test_a_reader_does_not_wait_for_a_writer(tmp_path: Path) -> None:
    path = str(tmp_path / "journal.db")
    store = SQLiteStore(path)
    store.create(header())
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert store.get("x") is not None
    other.execute("ROLLBACK")
    other.close()
    store.close()


def test_a_file_that_is_no_journal(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary, " * 500)
    with pytest.raises(RuntimeError, match=r"cannot open the journal.*notes\.txt.*not a database"):
        sqlite_backend(str(path))
    assert path.read_text().startswith("dear diary")


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RuntimeError, match="cannot open the journal"):
        sqlite_backend(str(tmp_path / "file" / "journal.db"))


def test_synchronous_is_checked() -> None:
    with pytest.raises(ValueError, match="full, normal or off"):
        SQLiteStore(":memory:", synchronous="maybe")


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (Selection(), "started_index"),
        (Selection(statuses=frozenset({"FAILED"})), "status_index"),
        (Selection(fn="f"), "fn_index"),
        (Selection(has_error=True), "error_index"),
        (Selection(parent="p"), "parent_index"),
        (Selection(fn_prefix="f", updated_after=1), "started_index"),
    ],
    ids=str,
)
def test_a_list_looks_at_an_index_alone(wanted: Selection, index: str) -> None:
    """And reads the rows of what it shows."""
    where, values = _conditions(wanted)
    store = SQLiteStore(":memory:")
    select = f"EXPLAIN QUERY PLAN SELECT id FROM executions WHERE {' AND '.join(where)} {_ORDER} LIMIT 50"
    plan = [row[3] for row in store.database.read(select, (*values, 1 << 62, ""))]
    assert index in plan[0]
    assert "COVERING" in plan[0] or index in ("parent_index", "error_index"), "those are of few rows"


def test_a_lease_ends_with_its_owner_and_with_nobody_else(tmp_path: Path) -> None:
    """Whose process is known to be dead has no lease any more; the next one still finds a death."""
    from durable_fn import DurableClient, DurableContext, durable
    from durable_fn.log.requests import Lease
    from durable_fn.wiring import sqlite

    @durable(name="f")
    def function(event: None, ctx: DurableContext) -> None: ...

    backend = sqlite(str(tmp_path / "j.db"))
    DurableClient(backend).start(function, None, id="x")
    now = backend.clock.now()
    store = backend.store.store
    backend.store.acquire("x", Lease("dead", now, now + 60_000, "f"))
    assert store.due_of(["f"], now, 10) == []
    assert store.leased(["f"], now) == [("x", "dead")]
    assert store.leased(["g"], now) == []
    assert not store.lapse("x", "other", now)
    assert store.lapse("x", "dead", now)
    assert not store.lapse("x", "dead", now)
    assert store.due_of(["f", "g"], now, 10) == [("x", "f")]
    assert store.due_of(["g"], now, 10) == []
    taken = backend.store.acquire("x", Lease("next", now, now + 60_000, "f"))
    assert taken.prev_lease == now - 1, "it is dead, and whoever comes next fences it"
