"""How the journal lies in the table: one partition per execution, sort keys by kind.

    H                       header
    C#run#gen#snapshot#part  copy of the log's beginning, made when a long life comes near its horizon: b
    L#run#gen#seq           segment of the log: w (writer), b (body)
    I#run#key               inbox entry: w, d (digest of what was sent), b
    V#run#gen#input#hash    an input, result or error too large for the header (which has the hash there)
    Z#run#mark              a signal with an id was sent: w, and a ttl of its own. Behind everything else, and never read along

What was compressed or encrypted, and is not short, stands as bytes (B), everything else as text (S). Beside each b stands c, a
checksum: what was cut off or changed must not be taken for what the code did.

`run` stands in every key, so that what an earlier start of the same id left behind is never taken for this one's. The
partition " function" (no execution id begins with a blank) holds one row per function: where its messages go.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import zlib
from typing import Any, Final, TypeAlias, cast

from ...errors import JournalDamaged, SerializationError
from ...log.events import LATEST, Segment
from ...log.formats import UNNUMBERED
from ...log.header import PACKED, Header
from ...log.inbox import Entry
from ...log.requests import Key
from ...log.retention import Snapshot
from ...log.selection import shelf_of

Item: TypeAlias = dict[str, dict[str, Any]]

HEADER: Final = "H"
FUNCTIONS: Final = " function"
MARKS: Final = "Z#"

INLINE_BYTES: Final = 1000
"""A larger value gets an item of its own, so that each of the header's writes stays one write unit."""

VALUES: Final = ("input", "result", "error")
_TEXT: Final = ("fn", "run", "secret", "status", "input_hash", "own", "parent", "custom", "edition")
_PACKED: Final = ("secret", "custom")
"""Texts that a codec may have made bytes of. The others are compared by conditions, and nothing stands for them."""
_NUMBERS: Final = (
    "started", "ttl", "gen", "lease", "prev_lease", "n", "gone", "due", "hint", "turns", "strikes", "finished", "deadline",
    "horizon", "retention", "timer", "copied", "format", "tries", "doubtful", "updated", "timeout_from",
)  # fmt: skip
_ZERO: Final = frozenset(
    {"gone", "strikes", "prev_lease", "hint", "finished", "due", "deadline", "timeout_from", "copied", "tries", "doubtful",
     "updated"}
)  # fmt: skip
"""Left out of the item while they say nothing."""
_COMPARED: Final = ("gen", "lease", "n")
"""Numbers that each condition of the table relies on: nothing stands for one that is missing."""


_SHORT: Final = 256
"""Characters. The secret of a header and a small input, encrypted with a key of one's own, are shorter; with a data key of KMS
they are longer."""


def text(value: str) -> dict[str, Any]:
    return {"S": value}


def stored(value: str) -> dict[str, Any]:
    """What users put in. Packed in base64 it would be a third larger, and a header more than one write unit. What is short stays
    text, which every tool shows."""
    if value.startswith(PACKED) and len(value) > _SHORT:
        how, colon, content = value[1:].partition(":")
        with contextlib.suppress(binascii.Error, ValueError):
            data = base64.b64decode(content, validate=True)
            if colon and how.isascii() and base64.b64encode(data).decode() == content:
                return {"B": f"{how}:".encode() + data}
    return text(value)


def told(attribute: dict[str, Any]) -> str:
    """As it was given to `stored`."""
    if "B" not in attribute:
        return cast(str, attribute["S"])
    how, _, data = bytes(attribute["B"]).partition(b":")
    return f"{PACKED}{how.decode()}:{base64.b64encode(data).decode()}"


def number(value: int) -> dict[str, Any]:
    return {"N": str(value)}


def shard_of(id: str, shards: int) -> int:
    """Stable over processes and Python versions."""
    return zlib.crc32(id.encode()) % shards


def is_large(value: str | None) -> bool:
    return value is not None and (len(value) > INLINE_BYTES or len(value.encode()) > INLINE_BYTES)


def inline(value: str) -> dict[str, Any]:
    """As the header shows it: a large one by the hash that its item is called by. A stale owner puts its value before its
    header's update is refused, and it must not be taken for the one that stands."""
    return {"L": [text(_hash(value))]} if is_large(value) else stored(value)


def _hash(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()[:24]


def header_key(id: str) -> Item:
    return {"pk": text(id), "sk": text(HEADER)}


def value_key(key: Key, name: str) -> Item:
    return {"pk": text(key.id), "sk": text(f"V#{key.run}#{key.gen:04}#{name}")}


def segment_prefix(key: Key) -> str:
    return f"L#{key.run}#{key.gen:04}#"


def snapshot_prefix(key: Key, snapshot: str = "") -> str:
    """Of one snapshot; of all of this generation's without a name."""
    return f"C#{key.run}#{key.gen:04}#{snapshot}#" if snapshot else f"C#{key.run}#{key.gen:04}#"


def inbox_prefix(key: Key) -> str:
    return f"I#{key.run}#"


def entry_key(key: Key, name: str) -> Item:
    return {"pk": text(key.id), "sk": text(inbox_prefix(key) + name)}


def from_header(header: Header, shards: int) -> Item:
    item: Item = {
        **header_key(header.id),
        "shard": number(shard_of(header.id, shards)),
        "shelf": text(shelf_of(header)),
    }
    for name in _TEXT:
        value = getattr(header, name)
        if value:
            item[name] = stored(value)
    for name in _NUMBERS:
        value = getattr(header, name)
        if value is not None and (value or name not in _ZERO):
            item[name] = number(value)
    for name in VALUES:
        value = getattr(header, name)
        if value is not None:
            item[name] = inline(value)
    if header.cancel:
        item["cancel"] = {"BOOL": True}
    return item


def to_header(item: Item) -> Header:
    """Values in items of their own are None: `large_values` names them. Raises SerializationError for an item that nobody here
    wrote."""
    try:
        return _header(item)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        id = item.get("pk", {}).get("S")
        raise SerializationError(
            f"the header of execution {id!r} in the table is damaged: {type(error).__name__}: {error}. Restore the item "
            '(sort key "H") from a backup, or delete it, to start anew under this id'
        ) from error


def _header(item: Item) -> Header:
    fields: dict[str, Any] = {"id": item["pk"]["S"]}
    for name in _TEXT:
        if name in item:
            fields[name] = told(item[name]) if name in _PACKED else item[name]["S"]
    for name in _NUMBERS:
        if name in item or name in _COMPARED:
            fields[name] = _count(int(item[name]["N"]), name)
    fields.setdefault("format", UNNUMBERED)
    large = large_values(item)
    for name in VALUES:
        if name in item and name not in large:
            fields[name] = told(item[name])
    fields["cancel"] = "cancel" in item  # as the conditions see it
    return Header(**fields)


def _count(found: int, name: str) -> int:
    """All are counts, times and durations: none is negative, or beyond what a date can say."""
    if not 0 <= found <= LATEST:
        raise ValueError(f"{name} is {found}")
    return found


def large_values(item: Item) -> dict[str, str]:
    """The values that the header says are in items of their own, and what these are called."""
    return {name: f"{name}#{item[name]['L'][0]['S']}" for name in VALUES if "L" in item.get(name, {})}


def from_segment(header: Header, segment: Segment) -> Item:
    return {
        "pk": text(header.id),
        "sk": text(f"{segment_prefix(header.key)}{segment.seq:08}"),
        "w": text(segment.writer),
        **_checked(segment.body),
        "ttl": number(header.horizon),
    }


def _checked(body: str) -> Item:
    return {"b": stored(body), "c": number(zlib.crc32(body.encode()))}


def from_chunk(header: Header, snapshot: Snapshot, part: int, chunk: str) -> Item:
    return {
        "pk": text(header.id),
        "sk": text(f"{snapshot_prefix(header.key, snapshot.name)}{part:04}"),
        **_checked(chunk),
        "ttl": number(snapshot.horizon),
    }


def to_segment(item: Item) -> Segment:
    return Segment(int(item["sk"]["S"].rpartition("#")[2]), item["w"]["S"], body_of(item))


def from_entry(header: Header, entry: Entry) -> Item:
    return {
        **entry_key(header.key, entry.key),
        "w": text(entry.writer),
        "d": text(entry.digest),
        **_checked(entry.body),
        "ttl": number(header.horizon),
    }


def to_entry(key: Key, item: Item) -> Entry:
    """Raises JournalDamaged."""
    try:
        name = item["sk"]["S"].removeprefix(inbox_prefix(key))
        return Entry(name, item["w"]["S"], item["d"]["S"], body_of(item), horizon_of(item))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise damaged(item, error) from error


def from_mark(header: Header, mark: str, writer: str, until: int) -> Item:
    return {"pk": text(header.id), "sk": text(f"{MARKS}{header.run}#{mark}"), "w": text(writer), "ttl": number(until)}


def from_value(header: Header, name: str, value: str) -> Item:
    return {**value_key(header.key, f"{name}#{_hash(value)}"), **_checked(value), "ttl": number(header.horizon)}


def horizon_of(item: Item) -> int:
    """Epoch seconds at which it may be removed; 0 for never. Raises ValueError for what is no time."""
    return _count(int(item["ttl"]["N"]), "ttl") if "ttl" in item else 0


def body_of(item: Item) -> str:
    """Raises ValueError for one that is not what was written."""
    body = told(item["b"])
    if "c" in item and int(item["c"]["N"]) != zlib.crc32(body.encode()):
        raise ValueError(f"its text was changed or cut off ({len(body)} characters are there)")
    return body


def damaged(item: Item, error: Exception) -> JournalDamaged:
    """Says which item. Its text is nobody's business."""
    id, sk = item.get("pk", {}).get("S"), item.get("sk", {}).get("S")
    return JournalDamaged(
        f"the item {sk!r} of execution {id!r} in the table is damaged: {type(error).__name__}: {error}. Restore it from a backup"
    )
