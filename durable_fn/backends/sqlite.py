"""The embedded journal: one SQLite file, or memory for tests.

Each store method is one transaction that applies a transition of `core.header` to the row it read, so the conditions are
the same code that DynamoDB's refusals are explained with. WAL lets readers go on while one writes; `synchronous=FULL`
(the default) makes a commit survive a power cut, `?synchronous=normal` only a killed process, for a third of the time.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..core import header as transitions
from ..core.header import Ending, Header, Key, Lease, Note, Parking, Refusal, Renewal
from ..core.hint import Hint
from ..core.inbox import CANCEL, Entry, belongs
from ..core.journal import Segment
from ..core.retention import Edition
from ..ports import Due, Loaded, blob_prefix
from ..types import ExecutionStatus

_COLUMNS = tuple(field.name for field in fields(Header))
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM executions"
_INSERT = f"INSERT INTO executions ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS executions ({", ".join(_COLUMNS)}, PRIMARY KEY (id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS due_index ON executions (due) WHERE due IS NOT NULL;
CREATE INDEX IF NOT EXISTS started_index ON executions (started);
CREATE TABLE IF NOT EXISTS segments (id, run, gen, seq, writer, body, PRIMARY KEY (id, run, gen, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS inbox (id, run, key, writer, digest, body, PRIMARY KEY (id, run, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blobs (key PRIMARY KEY, data);
CREATE TABLE IF NOT EXISTS functions (fn PRIMARY KEY, queue) WITHOUT ROWID;
"""
_BUSY_SECONDS = 30.0


class SQLiteStore:
    """A JournalStore in a file that several threads and processes may share. `path=":memory:"` is private to the object."""

    local = True
    max_body = 380_000  # DynamoDB's room, so that what runs here runs there
    skew_ms = 50
    shards = 1

    def __init__(self, path: str, *, synchronous: str = "full") -> None:
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
        self._add_columns(db)
        return db

    def _add_columns(self, db: sqlite3.Connection) -> None:
        """To a journal that an older version made."""
        there = {row[1] for row in db.execute("PRAGMA table_info(executions)")}
        for field in fields(Header):
            if field.name not in there:
                default = "NULL" if field.default is None else repr(field.default)
                db.execute(f"ALTER TABLE executions ADD COLUMN {field.name} DEFAULT {default}")

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def _connection(self) -> sqlite3.Connection:
        """Called with the lock held. A connection must not cross a fork: the child opens its own, and neither uses nor closes
        the one it inherited."""
        if os.getpid() != self._pid:
            self._inherited.append(self._db)
            self._pid, self._db = os.getpid(), self._open()
        return self._db

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            db = self._connection()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")

    def _read(self, sql: str, values: tuple[Any, ...] = ()) -> list[Any]:
        with self._lock:
            return self._connection().execute(sql, values).fetchall()

    def fits(self, text: str) -> bool:
        return len(text.encode()) <= self.max_body

    # -- blobs -----------------------------------------------------------------------------------------------------

    def put(self, key: str, data: bytes) -> None:
        with self._transaction() as db:
            db.execute("INSERT INTO blobs VALUES (?, ?) ON CONFLICT DO NOTHING", (key, data))

    def blob(self, key: str) -> bytes:
        rows = self._read("SELECT data FROM blobs WHERE key = ?", (key,))
        if not rows:
            raise LookupError(f"the journal has no blob {key!r}")
        return bytes(rows[0][0])

    def remove_blobs(self, prefix: str) -> None:
        with self._transaction() as db:
            db.execute("DELETE FROM blobs WHERE key GLOB ?", (f"{prefix}*",))

    # -- header ----------------------------------------------------------------------------------------------------

    def create(self, header: Header) -> Header | Refusal:
        with self._transaction() as db:
            old = _find(db, header.id)
            if old is None:
                db.execute(_INSERT, tuple(getattr(header, name) for name in _COLUMNS))
                return header
            return old if old.run == header.run else Refusal("held", old)

    def get(self, id: str) -> Header | None:
        rows = self._read(f"{_SELECT} WHERE id = ?", (id,))
        return _header(rows[0]) if rows else None

    def acquire(self, id: str, lease: Lease) -> Header | Refusal:
        return self._change(id, lambda old: transitions.acquire(old, lease))

    def suspend(self, header: Header, writer: str, parking: Parking) -> Header | Refusal:
        return self._change(header.id, lambda old: transitions.suspend(old, header.key, writer, parking))

    def complete(self, header: Header, writer: str, ending: Ending, note: Note | None = None) -> Header | Refusal:
        with self._transaction() as db:
            old = _find(db, header.id)
            new = transitions.complete(old, header.key, writer, ending, header.parent)
            if isinstance(new, Header):
                _update(db, old, new)
                if note is not None:
                    _deliver(db, note.waiting, note.entry, note.now)
            return new

    def adopt(self, header: Header, parent: str) -> Header | Refusal:
        return self._change(header.id, lambda old: transitions.adopt(old, header.run, header.parent, parent))

    def postpone(self, id: str, seen_due: int, now: int, due: int) -> Header | Refusal:
        reply = self._change(id, lambda old: transitions.postpone(old, seen_due, now, due))
        if isinstance(reply, Refusal) and reply.reason == "held" and reply.header is not None:
            lease = reply.header.lease
            self._change(id, lambda old: transitions.wait_for_lease(old, seen_due, lease))
        return reply

    def _change(self, id: str, transition: Callable[[Header | None], Header | Refusal]) -> Header | Refusal:
        with self._transaction() as db:
            old = _find(db, id)
            new = transition(old)
            if isinstance(new, Header):
                _update(db, old, new)
            return new

    # -- log and inbox ---------------------------------------------------------------------------------------------

    def load(self, key: Key) -> Loaded | None:
        with self._lock:
            db = self._connection()
            header = _find(db, key.id)
            if header is None or header.key != key:
                return None
            log = db.execute(
                "SELECT seq, writer, body FROM segments WHERE id = ? AND run = ? AND gen = ? ORDER BY seq", key
            )
            inbox = db.execute("SELECT key, writer, digest, body FROM inbox WHERE id = ? AND run = ?", key[:2])
            entries = {row[0]: Entry(*row) for row in inbox if belongs(row[0], key.gen)}
            return Loaded(header, [Segment(*row) for row in log], entries)

    def append(self, header: Header, segment: Segment) -> bool:
        with self._transaction() as db:
            return _put_segment(db, header.key, segment) or _writer_at(db, header.key, segment.seq) == segment.writer

    def decide(self, header: Header, segment: Segment, seen: int) -> Header | Refusal:
        with self._transaction() as db:
            old = _find(db, header.id)
            if _writer_at(db, header.key, segment.seq) == segment.writer and old is not None:
                return old
            new = transitions.decide(old, header.key, segment.writer, seen)
            return new if isinstance(new, Refusal) or _put_segment(db, header.key, segment) else Refusal("fenced", new)

    def deliver(self, header: Header, entry: Entry, now: int) -> Header | Refusal:
        with self._transaction() as db:
            return _deliver(db, header.key, entry, now)

    def expire(self, header: Header, writer: str, entry: Entry, seen: int | None = None) -> Header | Refusal:
        with self._transaction() as db:
            old = _find(db, header.id)
            there = _entry_at(db, header.key, entry.key)
            if there is not None and old is not None:
                return old if there.writer == entry.writer else Refusal("moved", old)
            new = transitions.expire(old, header.key, writer, seen)
            if isinstance(new, Header):
                _put_entry(db, header.key, entry)
                _update(db, old, new)
            return new

    # -- ends and new beginnings -----------------------------------------------------------------------------------

    def terminate(
        self, header: Header, ending: Ending, tombstone: Segment, note: Note | None = None
    ) -> Header | Refusal:
        return self._with_segment(
            header, tombstone, lambda old: transitions.terminate(old, header.key, ending, header.parent), note
        )

    def revive(self, header: Header, segment: Segment, now: int) -> Header | Refusal:
        return self._with_segment(header, segment, lambda old: transitions.revive(old, header.key, now))

    def _with_segment(
        self,
        header: Header,
        segment: Segment,
        transition: Callable[[Header | None], Header | Refusal],
        note: Note | None = None,
    ) -> Header | Refusal:
        """Header and segment together; Refusal("moved") if the sequence number is taken."""
        with self._transaction() as db:
            old = _find(db, header.id)
            if _writer_at(db, header.key, segment.seq) == segment.writer and old is not None:
                return old
            new = transition(old)
            if isinstance(new, Header):
                if not _put_segment(db, header.key, segment):
                    return Refusal("moved", old)
                _update(db, old, new)
                if note is not None:
                    _deliver(db, note.waiting, note.entry, note.now)
            return new

    def renew(self, header: Header, writer: str, renewal: Renewal) -> Header | Refusal:
        with self._transaction() as db:
            old = _find(db, header.id)
            if old is not None and old.run == header.run and old.gen == header.gen + 1:
                return old  # my own earlier success: nobody else makes this generation
            new = transitions.renew(old, header.key, writer, renewal)
            if isinstance(new, Header):
                id, run, gen = header.key
                _put_segment(db, new.key, renewal.segment)
                _update(db, old, new)
                db.executemany(
                    "DELETE FROM inbox WHERE id = ? AND run = ? AND key = ?",
                    [(id, run, k) for k in (*renewal.used, *renewal.closed)],
                )
                db.execute("DELETE FROM segments WHERE id = ? AND run = ? AND gen <= ?", (id, run, gen))
            return new

    def leave(self, header: Header, entries: list[Entry]) -> None:
        with self._transaction() as db:
            for entry in entries:
                _put_entry(db, header.key, entry)

    def keep(self, header: Header, edition: Edition, chunks: list[str], entries: list[Entry]) -> None:
        """Nothing: `remove_expired` looks at the header alone."""

    def remove_expired(self, now: int) -> int:
        """What DynamoDB's TTL does: finished executions whose retention is over. Returns how many."""
        with self._transaction() as db:
            old = db.execute("SELECT id, run FROM executions WHERE finished IS NOT NULL AND ttl * 1000 < ?", (now,))
            expired = old.fetchall()
            for id, run in expired:
                _remove(db, id)
                db.execute("DELETE FROM blobs WHERE key GLOB ?", (f"{blob_prefix(id, run)}*",))
        return len(expired)

    def retire(self, header: Header) -> Header | Refusal:
        return self._change(header.id, lambda old: transitions.retire(old, header.key))

    def remove(self, header: Header) -> None:
        with self._transaction() as db:
            there = _find(db, header.id)
            if there is not None and there.run == header.run and there.status == transitions.PURGED:
                _remove(db, header.id)

    # -- index -----------------------------------------------------------------------------------------------------

    def due(self, shard: int, now: int, limit: int) -> list[Due]:
        return [Due(*row) for row in self._read(
            "SELECT id, due FROM executions WHERE due <= ? AND lease < ? ORDER BY due LIMIT ?", (now, now, limit)
        )]  # fmt: skip

    def next_due(self, now: int) -> int | None:
        """The earliest due time, a lease that is held counted as its end. For pollers that can wait."""
        rows = self._read("SELECT min(max(due, CASE WHEN lease > 0 THEN lease + 1 ELSE 0 END)) FROM executions "
                          "WHERE due IS NOT NULL")  # fmt: skip
        return rows[0][0] if rows else None

    def executions(
        self, name: str | None, status: ExecutionStatus | None, started_after: int | None, limit: int | None
    ) -> Iterator[Header]:
        where = [(f"{column} {sign} ?", value) for column, sign, value in
                 (("fn", "=", name), ("status", "=", status), ("started", ">=", started_after)) if value is not None]  # fmt: skip
        page = f"{_SELECT} WHERE {' AND '.join([w for w, _ in where] + ['(started, id) < (?, ?)'])} " \
               "ORDER BY started DESC, id DESC LIMIT 100"  # fmt: skip
        last: tuple[Any, str] = (1 << 62, "")
        found = 0
        while rows := self._read(page, (*(v for _, v in where), *last)):
            for row in rows:
                if found == limit:
                    return
                found += 1
                header = _header(row)
                last = (header.started, header.id)
                yield header

    def register(self, fn: str, queue: str) -> None:
        with self._transaction() as db:
            db.execute(
                "INSERT INTO functions VALUES (?, ?) ON CONFLICT DO UPDATE SET queue = excluded.queue", (fn, queue)
            )

    def locate(self, fn: str) -> str | None:
        rows = self._read("SELECT queue FROM functions WHERE fn = ?", (fn,))
        return str(rows[0][0]) if rows else None


class SQLiteBlobs:
    """A BlobStore in the journal's own file."""

    def __init__(self, store: SQLiteStore) -> None:
        self._store = store

    def put(self, key: str, data: bytes) -> None:
        self._store.put(key, data)

    def get(self, key: str) -> bytes:
        return self._store.blob(key)

    def remove(self, prefix: str) -> None:
        self._store.remove_blobs(prefix)


class PollingWakeups:
    """SQLite's index is never stale, so a poll of it is the timer and no message is needed."""

    def serve(self, fn: str) -> None:
        """Nothing: there are no queues."""

    def forward(self, hint: Hint) -> None:
        """Nothing: the poll of the other function finds it."""

    def send(self, hint: Hint, now: int) -> None:
        """Nothing: whoever polls finds the execution by its due time."""


def _remove(db: sqlite3.Connection, id: str) -> None:
    for table in ("segments", "inbox", "executions"):
        db.execute(f"DELETE FROM {table} WHERE id = ?", (id,))


def _find(db: sqlite3.Connection, id: str) -> Header | None:
    row = db.execute(f"{_SELECT} WHERE id = ?", (id,)).fetchone()
    return None if row is None else _header(row)


def _put_segment(db: sqlite3.Connection, key: Key, segment: Segment) -> bool:
    put = "INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    return bool(db.execute(put, (*key, *segment)).rowcount)


def _writer_at(db: sqlite3.Connection, key: Key, seq: int) -> str | None:
    find = "SELECT writer FROM segments WHERE id = ? AND run = ? AND gen = ? AND seq = ?"
    row = db.execute(find, (*key, seq)).fetchone()
    return None if row is None else str(row[0])


def _put_entry(db: sqlite3.Connection, key: Key, entry: Entry) -> None:
    db.execute("INSERT INTO inbox VALUES (?, ?, ?, ?, ?, ?)", (key.id, key.run, *entry[:4]))


def _entry_at(db: sqlite3.Connection, key: Key, name: str) -> Entry | None:
    find = "SELECT key, writer, digest, body FROM inbox WHERE id = ? AND run = ? AND key = ?"
    row = db.execute(find, (key.id, key.run, name)).fetchone()
    return None if row is None else Entry(*row)


def _deliver(db: sqlite3.Connection, key: Key, entry: Entry, now: int) -> Header | Refusal:
    old = _find(db, key.id)
    there = _entry_at(db, key, entry.key)
    if there is not None and old is not None:
        return old if entry.writer == there.writer or entry.digest == there.digest else Refusal("moved", old)
    new = transitions.deliver(old, key, now, cancel=entry.key.startswith(CANCEL))
    if isinstance(new, Header):
        _put_entry(db, key, entry)
        _update(db, old, new)
    return new


def _header(row: tuple[Any, ...]) -> Header:
    header = Header(*row)
    header.cancel = bool(header.cancel)
    return header


def _update(db: sqlite3.Connection, old: Header | None, new: Header) -> None:
    changed = [name for name in _COLUMNS if getattr(old, name) != getattr(new, name)]
    if changed:
        values = [getattr(new, name) for name in changed]
        db.execute(f"UPDATE executions SET {', '.join(f'{c} = ?' for c in changed)} WHERE id = ?", (*values, new.id))
