"""A journal whose texts go through a packing, whatever the journal is."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import JournalDamaged
from ..log.events import Segment
from ..log.header import PACKED, Header, Refusal, outlined
from ..log.inbox import Entry, plain_digest
from ..log.requests import Ending, Key, Lease, ParentNotice, Parking, Renewal
from ..log.retention import Snapshot
from ..log.selection import Position, Selection
from ..values.parts import class_name
from .packing import MOST, Packing, Place, chunk_at, entry_at, field_at, segment_at
from .ports import BlobStore, Due, Found, JournalStore, Loaded, blob_prefix

if TYPE_CHECKING:
    from ..hooks import Codec

_log = logging.getLogger("durable_fn")


class PackedStore:
    """A JournalStore whose texts go through a packing. Everything else is the store's. Of an execution of another format what
    is there stays as it is, and what is put there, which every version reads, is not packed."""

    def __init__(self, store: JournalStore, codec: Codec | None = None, blobs: BlobStore | None = None) -> None:
        self.store = store
        self.packing = Packing(store.max_body, codec, blobs)
        self.local = store.local
        self.max_body = MOST if blobs is not None else store.max_body
        self.skew_ms = store.skew_ms
        self.shards = store.shards

    @property
    def encrypts(self) -> bool:
        return self.packing.codec is not None

    def fits(self, text: str) -> bool:
        return self.packing.fits(text)

    # -- of an embedded journal, which carries no text -----------------------------------------------------------------

    def remove_expired(self, now: int) -> int:
        return int(self._embedded.remove_expired(now))

    def next_due(self, now: int) -> int | None:
        due: int | None = self._embedded.next_due(now)
        return due

    def close(self) -> None:
        self._embedded.close()

    @property
    def _embedded(self) -> Any:
        return self.store

    # -- in --------------------------------------------------------------------------------------------------------

    def _in(self, text: str | None, header: Header, at: Place) -> Any:
        return text if text is None or header.foreign else self.packing.pack(text, at)

    def _field(self, name: str, text: str | None, header: Header) -> Any:
        return self._in(text, header, field_at(header.key, name))

    def _reason(self, error: str, header: Header) -> str:
        """Why an execution is held or ended. The codec may be what is broken, and it has to be held or ended all the same."""
        try:
            return self._field("error", error, header)  # type: ignore[no-any-return]
        except Exception as failed:
            return self._unstorable(error, header, failed)

    def _unstorable(self, error: str, header: Header, failed: Exception) -> str:
        _log.error("execution %r: a reason cannot be stored: %s", header.id, error, exc_info=failed)
        text = f"the reason cannot be stored, because the codec fails: {type(failed).__name__}; the log has both"
        return json.dumps({"type": class_name(JournalDamaged), "message": text})

    def _segment(self, segment: Segment, header: Header) -> Segment:
        return segment._replace(body=self._in(segment.body, header, segment_at(header.key, segment.seq)))

    def _entry(self, entry: Entry, header: Header) -> Entry:
        body = self._in(entry.body, header, entry_at(header.key, entry.key))
        return entry._replace(body=body, digest=self._keyed(entry.digest, header))

    def _keyed(self, digest: str, header: Header) -> str:
        """Nobody finds out by trying what an encrypted entry says. Where the secret cannot be read it is like no other one."""
        if not self.encrypts or header.foreign:
            return digest
        try:
            secret = self.unsealed(header).proof_secret
        except JournalDamaged:
            return secrets.token_hex(16)
        return hmac.new(secret.encode(), f"entry {digest}".encode(), hashlib.sha256).hexdigest()[:32]

    def _note(self, note: ParentNotice | None, header: Header) -> ParentNotice | None:
        """For another execution, which is of the same format."""
        if note is None or header.foreign:
            return note
        body = self.packing.pack(note.entry.body, entry_at(note.waiting, note.entry.key))
        return note._replace(entry=self._hidden(note.entry)._replace(body=body))

    def _hidden(self, entry: Entry) -> Entry:
        """The secret of who waits is not known here; whoever reads the entry knows its digest by what it says."""
        return entry._replace(digest=secrets.token_hex(16)) if self.encrypts else entry

    def _last_word(self, note: ParentNotice | None, header: Header) -> ParentNotice | None:
        """What is told of an end from outside."""
        try:
            return self._note(note, header)
        except Exception as failed:
            assert note is not None
            kind, _, error = note.entry.body.partition(" ")
            body = f"{kind} {self._unstorable(error, header, failed)}"
            return note._replace(entry=self._hidden(note.entry)._replace(body=body))

    def _ending(self, ending: Ending, header: Header) -> Ending:
        packed = {name: self._field(name, getattr(ending, name), header) for name in ("result", "error", "custom")}
        return ending._replace(**packed)

    # -- out -------------------------------------------------------------------------------------------------------

    def _out(self, reply: Any) -> Any:
        """A header, or the one in a refusal, with its values as they were given. One that cannot be read is left out: whoever
        needs it asks `get` or `load`, which say why."""
        if isinstance(reply, Refusal):
            return reply if reply.header is None else reply._replace(header=self._out(reply.header))
        if not isinstance(reply, Header):
            return reply
        try:
            return self._opened(reply)
        except JournalDamaged:
            return outlined(reply)

    def _opened(self, header: Header) -> Header:
        """Raises JournalDamaged. One of another format stays as it is."""
        if header.foreign:
            return header
        packed: dict[str, Any] = {
            name: value
            for name in ("secret", "input", "result", "error", "custom")
            if (value := getattr(header, name)) is not None and value.startswith(PACKED)
        }
        if not packed:
            return header
        opened: dict[str, Any] = {
            name: self._unpacked(value, field_at(header.key, name), f"its {name}") for name, value in packed.items()
        }
        return replace(header, **opened)

    def _out_of_inbox(self, key: Key, entry: Entry) -> Entry:
        body = self._unpacked(entry.body, entry_at(key, entry.key), f"the inbox entry {entry.key!r}")
        read = entry._replace(body=body)
        return read._replace(digest=plain_digest(read)) if self.encrypts else read

    def _unpacked(self, text: str, at: Place, what: str) -> str:
        if text[:1] != PACKED:
            return text
        try:
            return self.packing.unpack(text, at)
        except Exception as error:
            raise JournalDamaged(
                f"execution {at.id!r} cannot be read: {what} cannot be unpacked: {type(error).__name__}: {error}"
            ) from error

    # -- the port --------------------------------------------------------------------------------------------------

    def create(self, header: Header) -> Header | Refusal:
        return self._out(self.store.create(self._sealed(header)))  # type: ignore[no-any-return]

    def create_all(self, headers: list[Header]) -> list[Header | Refusal]:
        return [self._out(reply) for reply in self.store.create_all([self._sealed(header) for header in headers])]

    def _sealed(self, header: Header) -> Header:
        stored = {name: self._field(name, getattr(header, name), header) for name in ("secret", "input")}
        return replace(header, **stored)

    def get(self, id: str) -> Header | None:
        header = self.store.get(id)
        return None if header is None else self._opened(header)

    def acquire(self, id: str, lease: Lease) -> Header | Refusal:
        return self._out(self.store.acquire(id, lease))  # type: ignore[no-any-return]

    def load(self, key: Key) -> Loaded | None:
        loaded = self.store.load(key)
        if loaded is None:
            return None
        open, edition = self._unpacked, loaded.header.edition
        tail = [
            s if s.body[:1] != PACKED else s._replace(body=open(s.body, segment_at(key, s.seq), f"segment {s.seq}"))
            for s in loaded.tail
        ]
        inbox = {name: self._out_of_inbox(key, entry) for name, entry in loaded.inbox.items()}
        copied = [
            open(chunk, chunk_at(key, edition, part), "a copy of its log") for part, chunk in enumerate(loaded.copied)
        ]
        return Loaded(self._opened(loaded.header), tail, inbox, copied, loaded.horizon)

    def append(self, header: Header, segment: Segment) -> bool:
        return self.store.append(header, self._segment(segment, header))

    def decide(self, header: Header, segment: Segment, seen: int) -> Header | Refusal:
        return self._out(self.store.decide(header, self._segment(segment, header), seen))  # type: ignore[no-any-return]

    def suspend(self, header: Header, writer: str, parking: Parking) -> Header | Refusal:
        packed = parking._replace(
            error=parking.error and self._reason(parking.error, header),
            custom=self._field("custom", parking.custom, header),
        )
        return self._out(self.store.suspend(header, writer, packed))  # type: ignore[no-any-return]

    def complete(
        self, header: Header, writer: str, ending: Ending, note: ParentNotice | None = None
    ) -> Header | Refusal:
        packed = self._ending(ending, header), self._note(note, header)
        return self._out(self.store.complete(header, writer, *packed))  # type: ignore[no-any-return]

    def deliver(self, header: Header, entry: Entry, now: int, once: str = "") -> Header | Refusal:
        packed = self._entry(entry, header)
        if not once:
            return self._out(self.store.deliver(header, packed, now))  # type: ignore[no-any-return]
        return self._out(self.store.deliver(header, packed, now, self._mark(once, header)))  # type: ignore[no-any-return]

    def _mark(self, once: str, header: Header) -> str:
        """Nobody finds out by trying which ids were sent. Raises JournalDamaged where the secret cannot be read."""
        if not self.encrypts or header.foreign:
            return once
        secret = self.unsealed(header).proof_secret
        return hmac.new(secret.encode(), f"mark {once}".encode(), hashlib.sha256).hexdigest()[:32]

    def beat(self, header: Header, entry: Entry, now: int) -> Header | Refusal:
        return self._out(self.store.beat(header, self._entry(entry, header), now))  # type: ignore[no-any-return]

    def entry(self, key: Key, name: str) -> Entry | None:
        found = self.store.entry(key, name)
        return None if found is None else self._out_of_inbox(key, found)

    def expire(self, header: Header, writer: str, entry: Entry, seen: int | None = None) -> Header | Refusal:
        return self._out(self.store.expire(header, writer, self._entry(entry, header), seen))  # type: ignore[no-any-return]

    def terminate(
        self, header: Header, ending: Ending, tombstone: Segment, note: ParentNotice | None = None
    ) -> Header | Refusal:
        """Whatever the codec says: the reason gives way, and a fence is no secret."""
        error = ending.error and self._reason(ending.error, header)
        return self.store.terminate(header, ending._replace(error=error), tombstone, self._last_word(note, header))

    def release(self, header: Header, writer: str, due: int, error: str) -> Header | Refusal:
        return self._out(self.store.release(header, writer, due, self._reason(error, header)))  # type: ignore[no-any-return]

    def progressed(self, header: Header, writer: str) -> Header | Refusal:
        return self._out(self.store.progressed(header, writer))  # type: ignore[no-any-return]

    def set_parent(self, header: Header, parent: str) -> Header | Refusal:
        return self._out(self.store.set_parent(header, parent))  # type: ignore[no-any-return]

    def leave(self, header: Header, entries: list[Entry]) -> None:
        self.store.leave(header, [self._entry(entry, header) for entry in entries])

    def keep(self, header: Header, snapshot: Snapshot, chunks: list[str], entries: list[Entry]) -> None:
        """The copy is encoded anew, for its own place. What stays where it is keeps its text; a blob of it is put again."""
        there = None if self.packing.blobs is None else self.store.load(header.key)
        if there is None:
            stored = replace(header, input=self._field("input", header.input, header))
        else:
            stored, kept = there.header, {entry.key for entry in entries}
            bodies = [entry.body for entry in there.inbox.values() if entry.key in kept]
            for text in (there.header.input, *bodies):
                self.packing.renew(text, header.id)
        key, name = header.key, snapshot.name
        packed = [self._in(chunk, header, chunk_at(key, name, part)) for part, chunk in enumerate(chunks)]
        self.store.keep(stored, snapshot, packed, entries)

    def revive(self, header: Header, segment: Segment, now: int) -> Header | Refusal:
        return self._out(self.store.revive(header, self._segment(segment, header), now))  # type: ignore[no-any-return]

    def renew(self, header: Header, writer: str, renewal: Renewal) -> Header | Refusal:
        next = replace(header, gen=header.gen + 1)
        packed = renewal._replace(
            input=self._field("input", renewal.input, next), segment=self._segment(renewal.segment, next)
        )
        return self._out(self.store.renew(header, writer, packed))  # type: ignore[no-any-return]

    def find(
        self, wanted: Selection, after: Position | None = None, limit: int | None = None, *, scan: bool = False
    ) -> Found:
        found = self.store.find(wanted, after, limit, scan=scan)
        return found._replace(headers=[self._out(header) for header in found.headers])

    # Nothing of theirs is packed, and what is not needed is not unpacked.

    def head(self, id: str) -> Header | None:
        return self.store.head(id)

    def unsealed(self, header: Header) -> Header:
        """Of a header of any format: where the secret stands is the same in each."""
        secret = self._unpacked(header.secret, field_at(header.key, "secret"), "its secret")
        return replace(header, secret=secret)

    def tail(self, header: Header) -> int:
        return self.store.tail(header)

    def prolong(self, header: Header, horizon: int) -> None:
        self.store.prolong(header, horizon)

    def postpone(self, id: str, seen_due: int, now: int, due: int) -> Header | Refusal:
        return self.store.postpone(id, seen_due, now, due)

    def retire(self, header: Header) -> Header | Refusal:
        return self.store.retire(header)

    def remove(self, header: Header) -> None:
        """Blobs first: without the header nobody would find them."""
        if self.packing.blobs is not None:
            self.packing.blobs.remove(blob_prefix(header.id, header.run))
        self.store.remove(header)

    def due(self, shard: int, now: int, limit: int, *, after: Due | None = None) -> list[Due]:
        return self.store.due(shard, now, limit, after=after)

    def register(self, fn: str, queue: str, id_rule: str = "") -> None:
        self.store.register(fn, queue, id_rule)

    def locate(self, fn: str) -> str | None:
        return self.store.locate(fn)

    def id_rule(self, fn: str) -> str | None:
        return self.store.id_rule(fn)

    def functions(self) -> list[str]:
        return self.store.functions()
