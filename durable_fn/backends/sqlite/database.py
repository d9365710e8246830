"""The file: its tables, its transactions, and the threads and processes that share it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from ...log.formats import SCHEMA, UNNUMBERED
from ...log.header import Header

COLUMNS: Final = tuple(field.name for field in fields(Header) if field.compare)
HELD: Final = "(strikes > 0 OR doubtful > 0)"
PARENT_ID: Final = "CASE WHEN json_valid(parent) THEN json_extract(parent, '$.id') END"
_TABLES: Final = (
    f"CREATE TABLE executions ({', '.join(COLUMNS)}, PRIMARY KEY (id)) WITHOUT ROWID",
    "CREATE INDEX due_index ON executions (due) WHERE due IS NOT NULL",
    "CREATE INDEX started_index ON executions (started, id, fn, status, updated)",  # what filters look at, without the rows
    "CREATE INDEX status_index ON executions (status, started, id, fn)",
    "CREATE INDEX fn_index ON executions (fn, started, id, status)",
    f"CREATE INDEX held_index ON executions (started, id, status) WHERE {HELD}",
    "CREATE INDEX error_index ON executions (started, id, status) WHERE error IS NOT NULL",
    f"CREATE INDEX parent_index ON executions ({PARENT_ID}) WHERE parent IS NOT NULL",
    "CREATE TABLE segments (id, run, gen, seq, writer, body, PRIMARY KEY (id, run, gen, seq)) WITHOUT ROWID",
    "CREATE TABLE inbox (id, run, key, writer, digest, body, PRIMARY KEY (id, run, key)) WITHOUT ROWID",
    "CREATE TABLE blobs (key PRIMARY KEY, data)",
    "CREATE TABLE functions (fn PRIMARY KEY, queue, id_rule) WITHOUT ROWID",
    "CREATE TABLE marks (id, run, mark, writer, until, PRIMARY KEY (id, run, mark)) WITHOUT ROWID",
    "CREATE INDEX marks_index ON marks (until)",
)
_BUSY_SECONDS: Final = 30.0


class Database:
    """One connection per process, used by one thread at a time. `read_only`: only a file that is there is opened, and nothing
    of it is changed; in memory it makes no difference. RuntimeError for a file of another schema, or of something else."""

    def __init__(self, path: str, synchronous: str, *, read_only: bool = False) -> None:
        if synchronous.lower() not in ("full", "normal", "off"):
            raise ValueError(f"synchronous must be full, normal or off, got {synchronous!r}")
        self._path = path
        self._synchronous = synchronous
        self._read_only = read_only
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._inherited: list[sqlite3.Connection] = []
        self._db = self._open()

    def _open(self) -> sqlite3.Connection:
        if self._path == ":memory:":
            return self._writable(there=False)
        there = _is_journal(self._path)
        if not self._read_only:
            Path(self._path).absolute().parent.mkdir(parents=True, exist_ok=True)
            return self._writable(there)
        if not there:
            raise RuntimeError(f"there is no journal {self._path!r}: name a file that is one")
        return _connect_to_read(self._path)

    def _writable(self, there: bool) -> sqlite3.Connection:
        db = _connect(self._path)
        _write_ahead(db)
        db.execute(f"PRAGMA synchronous = {self._synchronous}")
        if not there:
            _make(db, self._path)
        return db

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def _own(self) -> sqlite3.Connection:
        """A connection must not cross a fork: the child opens its own, and neither uses nor closes the one it inherited."""
        if os.getpid() != self._pid:
            self._inherited.append(self._db)
            self._pid, self._db = os.getpid(), self._open()
        return self._db

    @contextlib.contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            yield self._own()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        with self.connection() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    def write(self, sql: str, values: tuple[Any, ...]) -> int:
        """One statement, a transaction by itself. How many rows it wrote."""
        with self._lock:
            return self._own().execute(sql, values).rowcount

    def read(self, sql: str, values: tuple[Any, ...] = ()) -> list[Any]:
        with self._lock:
            return self._own().execute(sql, values).fetchall()


def _connect(database: str, *, uri: bool = False) -> sqlite3.Connection:
    return sqlite3.connect(database, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=uri)


def _write_ahead(db: sqlite3.Connection) -> None:
    """SQLite does not wait by itself for others that have the file open while it is turned into one with a write-ahead log."""
    until = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
            time.sleep(0.01)
        else:
            return


def _connect_to_read(path: str) -> sqlite3.Connection:
    """Leaves behind what was there. With a log beside the file, of a process that writes or was killed, a connection that may
    write would work it into the file when it closes. Without one, a connection that may not would leave an empty one. Where
    neither the file nor its folder can be written, no log can be made, and SQLite has to be told that none is needed."""
    whole = Path(path).absolute()
    if os.path.exists(f"{path}-wal"):
        how = "mode=ro"
    elif os.access(whole, os.W_OK) and os.access(whole.parent, os.W_OK):
        how = "mode=rw"
    else:
        how = "immutable=1"
    db = _connect(f"{whole.as_uri()}?{how}", uri=True)
    db.execute("PRAGMA query_only = ON")
    return db


def _is_journal(path: str) -> bool:
    """False where there is no file, or nothing in it. Raises RuntimeError for what this version must leave alone."""
    if not os.path.exists(path):
        return False
    db = _connect_to_read(path)
    try:
        db.execute("BEGIN")
        return _has_journal(db, path)
    finally:
        db.close()


def _has_journal(db: sqlite3.Connection, path: str) -> bool:
    """Within a transaction: number and tables come together."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables and version == UNNUMBERED:
        return False
    if "executions" not in tables:
        raise RuntimeError(f"the file {path!r} is a database of something else, and was left alone: name another file")
    if version != SCHEMA:
        other = "an older" if version < SCHEMA else "a newer"
        raise RuntimeError(
            f"the journal {path!r} has schema {version}, and this version of durable_fn reads and writes schema {SCHEMA}; it was "
            f"left as it is. It was made by {other} version: use that one until its executions have ended, or name another file, "
            "or move this one away, to start anew"
        )
    return True


def _make(db: sqlite3.Connection, path: str) -> None:
    """The tables, unless another process was quicker."""
    db.execute("BEGIN IMMEDIATE")
    try:
        if not _has_journal(db, path):
            for table in _TABLES:
                db.execute(table)
            db.execute(f"PRAGMA user_version = {SCHEMA}")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
