"""The embedded journal: one SQLite file, or memory for tests.

Each store method is one transaction that applies a transition of `core.header` to the row it read, so the conditions are
the same code that DynamoDB's refusals are explained with. WAL lets readers go on while one writes; `synchronous=FULL`
(the default) makes a commit survive a power cut, `?synchronous=normal` only a killed process, for a third of the time.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection
from typing import TypeAlias

from ...log import header as transitions
from ...log.events import Segment
from ...log.header import Header, Refusal, outlined
from ...log.inbox import CANCEL, REDRIVE, SIGNAL, Entry, belongs
from ...log.requests import Ending, Key, Lease, ParentNotice, Parking, Renewal
from ...log.retention import Snapshot
from ...log.selection import Position, Selection
from ..ports import Due, Found, Loaded, blob_prefix
from . import rows
from .database import Database

Rule: TypeAlias = Callable[[Header | None], Header | Refusal]


class SQLiteStore:
    """A JournalStore in a file that several threads and processes may share. `path=":memory:"` is private to the object.
    `read_only`: for looking at a journal that is there. RuntimeError for a file of another schema, or of something else."""

    local = True
    max_body = 380_000  # DynamoDB's room, so that what runs here runs there
    skew_ms = 50
    shards = 1
    encrypts = False

    def __init__(self, path: str, *, synchronous: str = "full", read_only: bool = False) -> None:
        self.database = Database(path, synchronous, read_only=read_only)

    def close(self) -> None:
        self.database.close()

    def fits(self, text: str) -> bool:
        return len(text.encode()) <= self.max_body

    # -- header ----------------------------------------------------------------------------------------------------

    def create(self, header: Header) -> Header | Refusal:
        with self.database.transaction() as db:
            return _create(db, header)

    def create_all(self, headers: list[Header]) -> list[Header | Refusal]:
        """In one transaction."""
        with self.database.transaction() as db:
            return [_create(db, header) for header in headers]

    def get(self, id: str) -> Header | None:
        with self.database.connection() as db:
            return rows.find(db, id)

    def head(self, id: str) -> Header | None:
        header = self.get(id)
        return None if header is None else outlined(header)

    def unsealed(self, header: Header) -> Header:
        return header

    def acquire(self, id: str, lease: Lease) -> Header | Refusal:
        return self._change(id, lambda old: transitions.acquire(old, lease))

    def suspend(self, header: Header, writer: str, parking: Parking) -> Header | Refusal:
        return self._change(header.id, lambda old: transitions.suspend(old, header.key, writer, parking))

    def complete(
        self, header: Header, writer: str, ending: Ending, note: ParentNotice | None = None
    ) -> Header | Refusal:
        return self._change(
            header.id, lambda old: transitions.complete(old, header.key, writer, ending, header.parent), note
        )

    def release(self, header: Header, writer: str, due: int, error: str) -> Header | Refusal:
        return self._change(header.id, lambda old: transitions.release(old, header.key, writer, due, error))

    def progressed(self, header: Header, writer: str) -> Header | Refusal:
        return self._change(header.id, lambda old: transitions.progressed(old, header.key, writer))

    def set_parent(self, header: Header, parent: str) -> Header | Refusal:
        return self._change(header.id, lambda old: transitions.set_parent(old, header.run, header.parent, parent))

    def postpone(self, id: str, seen_due: int, now: int, due: int) -> Header | Refusal:
        reply = self._change(id, lambda old: transitions.postpone(old, seen_due, now, due))
        if isinstance(reply, Refusal) and reply.reason == "held" and reply.header is not None:
            lease = reply.header.lease
            self._change(id, lambda old: transitions.wait_for_lease(old, seen_due, lease))
        return reply

    def _change(self, id: str, transition: Rule, note: ParentNotice | None = None) -> Header | Refusal:
        with self.database.transaction() as db:
            old = rows.find(db, id)
            new = transition(old)
            if isinstance(new, Header):
                _update(db, old, new, note)
            return new

    # -- log and inbox ---------------------------------------------------------------------------------------------

    def load(self, key: Key) -> Loaded | None:
        with self.database.connection() as db:
            header = rows.find(db, key.id)
            if header is None or header.key != key:
                return None
            inbox = {entry.key: entry for entry in rows.entries(db, key) if belongs(entry.key, key.gen)}
            return Loaded(header, rows.segments(db, key), inbox)

    def tail(self, header: Header) -> int:
        last = "SELECT max(seq) FROM segments WHERE id = ? AND run = ? AND gen = ?"
        found = self.database.read(last, header.key)[0][0]
        return 0 if found is None else int(found) + 1

    def append(self, header: Header, segment: Segment) -> bool:
        key = header.key
        if self.database.write(rows.PUT_SEGMENT, (*key, *segment)):
            return True
        with self.database.connection() as db:
            return rows.writer_at(db, key, segment.seq) == segment.writer

    def decide(self, header: Header, segment: Segment, seen: int) -> Header | Refusal:
        with self.database.transaction() as db:
            key, old = header.key, rows.find(db, header.id)
            if rows.writer_at(db, key, segment.seq) == segment.writer and old is not None:
                return old
            new = transitions.decide(old, key, segment.writer, seen)
            return new if isinstance(new, Refusal) or rows.put_segment(db, key, segment) else Refusal("fenced", new)

    def deliver(self, header: Header, entry: Entry, now: int, once: str = "") -> Header | Refusal:
        with self.database.transaction() as db:
            key, seen = header.key, header.n if entry.key.startswith(SIGNAL) else None
            marked = rows.marked_by(db, key, once, now) if once else None
            if marked is not None and marked != entry.writer:
                return Refusal("repeated", rows.find(db, key.id))
            reply = _deliver(db, key, entry, now, seen)
            if once and isinstance(reply, Header):
                rows.put_mark(db, key, once, entry.writer, now)
            return reply

    def beat(self, header: Header, entry: Entry, now: int) -> Header | Refusal:
        with self.database.transaction() as db:
            old = rows.find(db, header.id)
            instead = rows.entry_at(db, header.key, entry.key) is not None
            new = transitions.deliver(old, header.key, now, instead=instead)
            if isinstance(new, Header):
                if not rows.replace_entry(db, header.key, entry):
                    rows.put_entry(db, header.key, entry)
                rows.update(db, old, new)
            return new

    def entry(self, key: Key, name: str) -> Entry | None:
        with self.database.connection() as db:
            return rows.entry_at(db, key, name)

    def expire(self, header: Header, writer: str, entry: Entry, seen: int | None = None) -> Header | Refusal:
        with self.database.transaction() as db:
            old = rows.find(db, header.id)
            there = rows.entry_at(db, header.key, entry.key)
            if there is not None and old is not None:
                return old if there.writer == entry.writer else Refusal("moved", old)
            new = transitions.expire(old, header.key, writer, seen)
            if isinstance(new, Header):
                rows.put_entry(db, header.key, entry)
                rows.update(db, old, new)
            return new

    # -- ends and new beginnings -----------------------------------------------------------------------------------

    def terminate(
        self, header: Header, ending: Ending, tombstone: Segment, note: ParentNotice | None = None
    ) -> Header | Refusal:
        return self._with_segment(
            header, tombstone, lambda old: transitions.terminate(old, header.key, ending, header.parent), note
        )

    def revive(self, header: Header, segment: Segment, now: int) -> Header | Refusal:
        return self._with_segment(header, segment, lambda old: transitions.revive(old, header.key, now))

    def _with_segment(
        self, header: Header, segment: Segment, transition: Rule, note: ParentNotice | None = None
    ) -> Header | Refusal:
        """Header and segment together; Refusal("moved") if the sequence number is taken."""
        with self.database.transaction() as db:
            old = rows.find(db, header.id)
            if rows.writer_at(db, header.key, segment.seq) == segment.writer and old is not None:
                return old
            new = transition(old)
            if isinstance(new, Header):
                if not rows.put_segment(db, header.key, segment):
                    return Refusal("moved", old)
                _update(db, old, new, note)
            return new

    def renew(self, header: Header, writer: str, renewal: Renewal) -> Header | Refusal:
        with self.database.transaction() as db:
            old = rows.find(db, header.id)
            if old is not None and old.run == header.run and old.gen == header.gen + 1:
                return old  # my own earlier success: nobody else makes this generation
            new = transitions.renew(old, header.key, writer, renewal)
            if isinstance(new, Header):
                rows.put_segment(db, new.key, renewal.segment)
                rows.update(db, old, new)
                rows.forget(db, header.key, (*renewal.used, *renewal.closed))
            return new

    def leave(self, header: Header, entries: list[Entry]) -> None:
        with self.database.transaction() as db:
            for entry in entries:
                rows.put_entry(db, header.key, entry)

    def keep(self, header: Header, snapshot: Snapshot, chunks: list[str], entries: list[Entry]) -> None:
        """Nothing: `remove_expired` looks at the header alone."""

    def prolong(self, header: Header, horizon: int) -> None:
        """Nothing, as for `keep`."""

    def remove_expired(self, now: int) -> int:
        """What DynamoDB's TTL does: finished executions whose retention is over, and marks whose time is. Returns how many
        executions."""
        with self.database.transaction() as db:
            db.execute("DELETE FROM marks WHERE until <= ?", (now // 1000,))
            old = db.execute("SELECT id, run FROM executions WHERE finished IS NOT NULL AND ttl * 1000 < ?", (now,))
            expired = old.fetchall()
            for id, run in expired:
                rows.remove(db, id)
                db.execute("DELETE FROM blobs WHERE key GLOB ?", (f"{blob_prefix(id, run)}*",))
        return len(expired)

    def retire(self, header: Header) -> Header | Refusal:
        return self._change(header.id, lambda old: transitions.retire(old, header.key))

    def remove(self, header: Header) -> None:
        with self.database.transaction() as db:
            there = rows.find(db, header.id)
            if there is not None and there.run == header.run and there.status == transitions.PURGED:
                rows.remove(db, header.id)

    # -- index -----------------------------------------------------------------------------------------------------

    def due(self, shard: int, now: int, limit: int, *, after: Due | None = None) -> list[Due]:
        page = "SELECT id, due FROM executions WHERE due <= ? AND lease < ? AND (due, id) > (?, ?) ORDER BY due, id LIMIT ?"
        last = (after.due, after.id) if after is not None else (-1, "")
        return [Due(*row) for row in self.database.read(page, (now, now, *last, limit))]

    def due_of(self, functions: Collection[str], now: int, limit: int) -> list[tuple[str, str]]:
        """Ids of what is due and has a function among these, with its name, oldest first. For pollers that serve some
        functions: the executions of others are not in their way."""
        page = "SELECT id, fn FROM executions WHERE due <= ? AND lease < ? AND fn IN (SELECT value FROM json_each(?)) " \
               "ORDER BY due, id LIMIT ?"  # fmt: skip
        return [(str(id), str(fn)) for id, fn in self.database.read(page, (now, now, json.dumps([*functions]), limit))]

    def after_now(self, now: int) -> int | None:
        """When the next one is due, of those that are not due yet."""
        found = self.database.read("SELECT due FROM executions WHERE due > ? ORDER BY due LIMIT 1", (now,))
        return int(found[0][0]) if found else None

    def lapse(self, id: str, own: str, now: int) -> bool:
        """The process of this owner is known to be dead, so its lease ends now, as it would by itself some time later.
        Whoever comes next fences it as ever. False: it owns nothing any more."""
        end = "UPDATE executions SET lease = ?, due = ? WHERE id = ? AND own = ? AND lease >= ?"
        return bool(self.database.write(end, (now - 1, now, id, own, now)))

    def leased(self, functions: Collection[str], now: int) -> list[tuple[str, str]]:
        """Ids of what somebody runs of these functions, with its owner."""
        running = "SELECT id, own FROM executions WHERE lease >= ? AND due IS NOT NULL AND fn IN (SELECT value FROM json_each(?))"
        return [(str(id), str(own)) for id, own in self.database.read(running, (now, json.dumps([*functions])))]

    def next_due(self, now: int) -> int | None:
        """The earliest due time, a lease that is held counted as its end. For pollers that can wait."""
        found = self.database.read("SELECT min(max(due, CASE WHEN lease > 0 THEN lease + 1 ELSE 0 END)) FROM executions "
                                   "WHERE due IS NOT NULL")  # fmt: skip
        return found[0][0] if found else None

    def find(
        self, wanted: Selection, after: Position | None = None, limit: int | None = None, *, scan: bool = False
    ) -> Found:
        from .listing import find

        return find(self.database, wanted, after, limit)

    def register(self, fn: str, queue: str, id_rule: str = "") -> None:
        self.database.write("INSERT OR REPLACE INTO functions VALUES (?, ?, ?)", (fn, queue, id_rule))

    def locate(self, fn: str) -> str | None:
        found = self.database.read("SELECT queue FROM functions WHERE fn = ?", (fn,))
        return str(found[0][0]) if found else None

    def id_rule(self, fn: str) -> str | None:
        found = self.database.read("SELECT id_rule FROM functions WHERE fn = ?", (fn,))
        return str(found[0][0]) if found else None

    def functions(self) -> list[str]:
        return [str(row[0]) for row in self.database.read("SELECT fn FROM functions ORDER BY fn")]


def _create(db: sqlite3.Connection, header: Header) -> Header | Refusal:
    old = rows.find(db, header.id)
    if old is None:
        rows.insert(db, header)
        return header
    return old if old.run == header.run else Refusal("held", old)


def _update(db: sqlite3.Connection, old: Header | None, new: Header, note: ParentNotice | None) -> None:
    rows.update(db, old, new)
    if note is not None:
        _deliver(db, note.waiting, note.entry, note.now)


def _deliver(db: sqlite3.Connection, key: Key, entry: Entry, now: int, seen: int | None = None) -> Header | Refusal:
    old = rows.find(db, key.id)
    there = rows.entry_at(db, key, entry.key)
    if there is not None and old is not None:
        return old if entry.writer == there.writer or entry.digest == there.digest else Refusal("moved", old)
    cancels, again = entry.key.startswith(CANCEL), entry.key.startswith(REDRIVE)
    new = transitions.deliver(old, key, now, cancel=cancels, seen=seen, again=again)
    if isinstance(new, Header):
        rows.put_entry(db, key, entry)
        rows.update(db, old, new)
    return new
