"""The file: its tables, its transactions, and the threads and processes that share it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from ...core.header import Header

COLUMNS: Final = tuple(field.name for field in fields(Header))
_SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS executions ({", ".join(COLUMNS)}, PRIMARY KEY (id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS due_index ON executions (due) WHERE due IS NOT NULL;
CREATE INDEX IF NOT EXISTS started_index ON executions (started);
CREATE TABLE IF NOT EXISTS segments (id, run, gen, seq, writer, body, PRIMARY KEY (id, run, gen, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS inbox (id, run, key, writer, digest, body, PRIMARY KEY (id, run, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blobs (key PRIMARY KEY, data);
CREATE TABLE IF NOT EXISTS functions (fn PRIMARY KEY, queue) WITHOUT ROWID;
"""
_BUSY_SECONDS: Final = 30.0


class Database:
    """One connection per process, used by one thread at a time."""

    def __init__(self, path: str, synchronous: str) -> None:
        if synchronous.lower() not in ("full", "normal", "off"):
            raise ValueError(f"synchronous must be full, normal or off, got {synchronous!r}")
        self._path = path
        self._synchronous = synchronous
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._inherited: list[sqlite3.Connection] = []
        self._db = self._open()

    def _open(self) -> sqlite3.Connection:
        if self._path != ":memory:":
            Path(self._path).absolute().parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {self._synchronous}")
        db.executescript(_SCHEMA)
        _add_columns(db)
        return db

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextlib.contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection must not cross a fork: the child opens its own, and neither uses nor closes the one it inherited."""
        with self._lock:
            if os.getpid() != self._pid:
                self._inherited.append(self._db)
                self._pid, self._db = os.getpid(), self._open()
            yield self._db

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

    def read(self, sql: str, values: tuple[Any, ...] = ()) -> list[Any]:
        with self.connection() as db:
            return db.execute(sql, values).fetchall()


def _add_columns(db: sqlite3.Connection) -> None:
    """To a journal that an older version made."""
    there = {row[1] for row in db.execute("PRAGMA table_info(executions)")}
    for field in fields(Header):
        if field.name not in there:
            default = "NULL" if field.default is None else repr(field.default)
            db.execute(f"ALTER TABLE executions ADD COLUMN {field.name} DEFAULT {default}")
