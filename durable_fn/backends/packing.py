"""A text on its way into a journal and back: compressed when it is large, through the user's codec, and into a blob store when it
does not fit an item.

A packed text begins with a control character, which no journal text begins with: "\\x02" + how + ":" + content, where `how` is
made of z (zlib), c (codec) and b (the content is a key of the blob store). Small texts without a codec stay as they are, so
that people can read the table.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

from ..errors import PayloadTooLarge
from ..log.header import PACKED
from ..log.requests import Key
from .ports import BlobRefused, BlobStore, blob_prefix

if TYPE_CHECKING:
    from ..hooks import Codec

_log = logging.getLogger("durable_fn")

_COMPRESS_AT: Final = 4096
_LINE: Final = 10_000  # what a value's line in a segment, or its key, may add to it; an item has 400 KB
MOST: Final = 64 * 1024 * 1024
LARGEST_UNPACKED: Final = 256 * 1024 * 1024  # what a stored text may grow to: it is hostile until it is read


class Place(NamedTuple):
    """Where a text stands. What is encrypted can be read at its own place only."""

    id: str
    run: str
    field: str
    """The item's key below the run, or the header's field."""

    @property
    def context(self) -> str:
        """For the codec. An id has no line breaks."""
        return "\n".join(self)


def segment_at(key: Key, seq: int) -> Place:
    return Place(key.id, key.run, f"log/{key.gen}/{seq}")


def entry_at(key: Key, name: str) -> Place:
    return Place(key.id, key.run, f"inbox/{name}")


def chunk_at(key: Key, edition: str, part: int) -> Place:
    return Place(key.id, key.run, f"copy/{key.gen}/{edition}/{part}")


def field_at(key: Key, name: str) -> Place:
    """Each generation has an input and an end of its own; the rest is one execution's."""
    return Place(key.id, key.run, f"{name}/{key.gen}" if name in ("input", "result", "error") else name)


class Packing:
    """One way in and out. `room`: the most bytes an item takes."""

    def __init__(self, room: int, codec: Codec | None, blobs: BlobStore | None) -> None:
        self.room = room
        self.item = room + _LINE
        self.codec = codec
        self.blobs = blobs

    def fits(self, text: str) -> bool:
        """Whether it can be stored, without storing it."""
        size = len(text.encode())
        if self.blobs is not None:
            return size <= MOST
        if size <= self.room * 7 // 10 or (self.codec is None and size <= self.room):
            return True
        return size <= MOST and len(zlib.compress(text.encode(), 6)) * 4 // 3 + 200 <= self.room

    def pack(self, text: str, at: Place) -> str:
        marked = looks_packed(text)
        if self.codec is None and len(text) * 4 <= _COMPRESS_AT and not marked:
            return text
        raw = text.encode()
        data, how = raw, ""
        if marked:  # what is only wrapped has no checksum
            data, how = zlib.compress(raw, 6), "z"
        elif len(raw) > _COMPRESS_AT:
            small = zlib.compress(raw, 6)
            most = self.item if self.codec is None else self.room * 7 // 10  # what fits as it is
            if len(small) * 3 < len(raw) * 2 or (len(raw) > most and len(small) < len(raw)):
                data, how = small, "z"
        if self.codec is not None:
            data, how = self.codec.encode(data, at.context), how + "c"
        if not how and len(raw) <= self.item:
            return text
        packed = f"{PACKED}{how}:{base64.b64encode(data).decode()}"
        return packed if len(packed) <= self.item else self._away(data, how, at)

    def _away(self, data: bytes, how: str, at: Place) -> str:
        if self.blobs is None:
            raise PayloadTooLarge(
                f"a value of execution {at.id!r} is {len(data):,} bytes after compression; an item takes {self.room:,}. Set "
                "DURABLE_FN_BUCKET, or store it elsewhere and return its key",
                size=len(data),
                limit=self.room,
            )
        key = f"{blob_prefix(at.id, at.run)}{hashlib.sha256(data).hexdigest()}"
        try:
            self.blobs.put(key, data)
        except Exception as error:
            raise BlobRefused(
                f"a value of {len(data):,} bytes could not be put into the blob store: {error}"
            ) from error
        return f"{PACKED}{how}b:{key}"

    def unpack(self, text: str, at: Place) -> str:
        id = at.id
        if not text.startswith(PACKED):
            if looks_packed(text):
                raise ValueError(f"a stored value of execution {id!r} is damaged: it begins with {text[:1]!r}")
            return text
        how, colon, content = text[1:].partition(":")
        if not colon or set(how) - set("zcb"):
            raise ValueError(f"a stored value of execution {id!r} was written by another version: {text[:20]!r}")
        data = self._blob(content, id) if "b" in how else base64.b64decode(content, validate=True)
        if "c" in how:
            if self.codec is None:
                raise RuntimeError(
                    f"execution {id!r} was stored through a codec, and none is configured; see durable_fn.configure(codec=...)"
                )
            data = self.codec.decode(data, at.context)
        if "z" in how:
            data = _inflated(data, id)
        return data.decode()

    def renew(self, text: str | None, id: str) -> None:
        """Puts the blob that a stored text names there again, so that a lifecycle rule counts from now."""
        how, _, key = (text or "")[1:].partition(":")
        if text is not None and text.startswith(PACKED) and "b" in how and self.blobs is not None:
            self.blobs.put(key, self._blob(key, id))

    def _blob(self, key: str, id: str) -> bytes:
        """The key tells what must be there."""
        if self.blobs is None:
            raise RuntimeError(f"execution {id!r} has a value in a bucket, and DURABLE_FN_BUCKET is not set")
        data = self.blobs.get(key)
        if hashlib.sha256(data).hexdigest() != key.rpartition("/")[2]:
            raise ValueError(f"a stored value of execution {id!r} in the bucket is not what was put there: {key!r}")
        return data


def looks_packed(text: str) -> bool:
    """Whether it begins as a packed text does, or as one that is damaged: such a text is packed itself."""
    return text[:1] < " " and text[:1] not in ("", "\t")


def _inflated(data: bytes, id: str) -> bytes:
    """The whole value and nothing behind it: its checksum stands at the end, so part of it is no value."""
    inflate = zlib.decompressobj()
    try:
        whole = inflate.decompress(data, LARGEST_UNPACKED)
    except zlib.error as error:
        raise ValueError(f"a stored value of execution {id!r} is damaged: {error}") from error
    if inflate.unconsumed_tail:
        raise ValueError(f"a stored value of execution {id!r} is larger than {LARGEST_UNPACKED:,} bytes")
    if not inflate.eof or inflate.unused_data:
        what = "something follows it" if inflate.eof else "its end is missing"
        raise ValueError(f"a stored value of execution {id!r} is damaged: {what}")
    return whole
