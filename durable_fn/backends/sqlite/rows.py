"""Headers, segments and inbox entries as rows. All within a transaction of the caller's."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from ...log.events import Segment
from ...log.formats import UNNUMBERED
from ...log.header import Header
from ...log.inbox import MARK_S, Entry
from ...log.requests import Key
from .database import COLUMNS

SELECT: Final = f"SELECT {', '.join(COLUMNS)} FROM executions"
_INSERT: Final = f"INSERT INTO executions ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
_ENTRIES: Final = "SELECT key, writer, digest, body FROM inbox"


def to_header(row: tuple[Any, ...]) -> Header:
    header = Header(*row)
    header.cancel = bool(header.cancel)
    header.format = header.format or UNNUMBERED
    return header


def find(db: sqlite3.Connection, id: str) -> Header | None:
    row = db.execute(f"{SELECT} WHERE id = ?", (id,)).fetchone()
    return None if row is None else to_header(row)


def insert(db: sqlite3.Connection, header: Header) -> None:
    db.execute(_INSERT, tuple(getattr(header, name) for name in COLUMNS))


def update(db: sqlite3.Connection, old: Header | None, new: Header) -> None:
    changed = [name for name in COLUMNS if getattr(old, name) != getattr(new, name)]
    if changed:
        values = [getattr(new, name) for name in changed]
        db.execute(f"UPDATE executions SET {', '.join(f'{c} = ?' for c in changed)} WHERE id = ?", (*values, new.id))


def remove(db: sqlite3.Connection, id: str) -> None:
    """With all that belongs to it."""
    for table in ("segments", "inbox", "marks", "executions"):
        db.execute(f"DELETE FROM {table} WHERE id = ?", (id,))


PUT_SEGMENT: Final = "INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
"""Writes no row if its sequence number is taken."""


def put_segment(db: sqlite3.Connection, key: Key, segment: Segment) -> bool:
    """False if its sequence number is taken."""
    return bool(db.execute(PUT_SEGMENT, (*key, *segment)).rowcount)


def segments(db: sqlite3.Connection, key: Key) -> list[Segment]:
    """The log."""
    log = "SELECT seq, writer, body FROM segments WHERE id = ? AND run = ? AND gen = ? ORDER BY seq"
    return [Segment(*row) for row in db.execute(log, key)]


def writer_at(db: sqlite3.Connection, key: Key, seq: int) -> str | None:
    find = "SELECT writer FROM segments WHERE id = ? AND run = ? AND gen = ? AND seq = ?"
    row = db.execute(find, (*key, seq)).fetchone()
    return None if row is None else str(row[0])


def put_entry(db: sqlite3.Connection, key: Key, entry: Entry) -> None:
    db.execute("INSERT INTO inbox VALUES (?, ?, ?, ?, ?, ?)", (key.id, key.run, *entry[:4]))


def replace_entry(db: sqlite3.Connection, key: Key, entry: Entry) -> bool:
    """False if there is none of this key."""
    put = "UPDATE inbox SET writer = ?, digest = ?, body = ? WHERE id = ? AND run = ? AND key = ?"
    return bool(db.execute(put, (*entry[1:4], key.id, key.run, entry.key)).rowcount)


def entries(db: sqlite3.Connection, key: Key) -> list[Entry]:
    """Of all generations."""
    return [Entry(*row) for row in db.execute(f"{_ENTRIES} WHERE id = ? AND run = ?", key[:2])]


def entry_at(db: sqlite3.Connection, key: Key, name: str) -> Entry | None:
    row = db.execute(f"{_ENTRIES} WHERE id = ? AND run = ? AND key = ?", (key.id, key.run, name)).fetchone()
    return None if row is None else Entry(*row)


def marked_by(db: sqlite3.Connection, key: Key, mark: str, now: int) -> str | None:
    """The writer of a mark whose time is not over."""
    find = "SELECT writer FROM marks WHERE id = ? AND run = ? AND mark = ? AND until > ?"
    row = db.execute(find, (key.id, key.run, mark, now // 1000)).fetchone()
    return None if row is None else str(row[0])


def put_mark(db: sqlite3.Connection, key: Key, mark: str, writer: str, now: int) -> None:
    """Over one whose time is over."""
    row = (key.id, key.run, mark, writer, now // 1000 + MARK_S)
    db.execute("INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?, ?)", row)


def forget(db: sqlite3.Connection, key: Key, read: tuple[str, ...]) -> None:
    """The log up to this generation, and the entries that it read."""
    entries = [(key.id, key.run, name) for name in read]
    db.executemany("DELETE FROM inbox WHERE id = ? AND run = ? AND key = ?", entries)
    db.execute("DELETE FROM segments WHERE id = ? AND run = ? AND gen <= ?", key)
