"""How long items stay, and how an execution that lives long keeps its items from being removed.

Every item gets the header's horizon as its TTL when it is written, so that a finished execution is removed without a write per
step. An execution that comes near its horizon copies its log into a new snapshot: some large items under a key that nobody else
uses, with a later horizon. The suspend that follows makes the snapshot count; until then, and if it never comes, the old items
count. The sequence numbers go on, so a stale owner is fenced as before.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from .events import Segment

DAY_MS: Final = 86_400_000
_WINDOW_MS: Final = 8 * DAY_MS
"""How long an execution may live before its items need a later TTL."""
SPARE_MS: Final = 7 * DAY_MS
"""Items get a later TTL this long before they would be removed, so the sweeper may fail for some days."""
_LONGEST_WINDOW_MS: Final = SPARE_MS + 30 * DAY_MS
"""The longest time between two snapshots: a bucket's lifecycle rule counts from the last write of an object."""

DEFAULT_RETENTION_MS: Final = 30 * DAY_MS
OF_FUNCTION: Final = 0
"""A header's retention if only the function itself knows it: the execution was started by name."""

_BETWEEN: Final = "\x1d"  # between segments: no journal line and no packed text has it
_CHUNK: Final = 350_000  # characters


class Snapshot(NamedTuple):
    """A copy of the log up to, not including, segment `base`. `horizon`: epoch seconds."""

    name: str
    base: int
    horizon: int


def first_horizon(now: int, retention_ms: int, timeout_ms: int | None) -> int:
    """Epoch seconds. A short execution ends before its items need a later TTL, whatever its retention."""
    life = _WINDOW_MS if timeout_ms is None else min(_WINDOW_MS, timeout_ms)
    return _seconds(now + max(life + retention_ms, _WINDOW_MS))


def next_horizon(now: int, started: int, retention_ms: int) -> int:
    """The older the execution, the later the next snapshot, up to a month: a year takes about 15 copies."""
    life = min(max(_WINDOW_MS, SPARE_MS + now - started), _LONGEST_WINDOW_MS)
    return _seconds(now + life + retention_ms)


def keep_at(horizon: int) -> int:
    """Epoch milliseconds at which items with this horizon need a later one."""
    return horizon * 1000 - SPARE_MS


def removal(finished: int, retention_s: int) -> int:
    """Epoch seconds at which the header of a finished execution may be removed. Its log is removed at the horizon, which is
    earlier if the execution lived beyond its window."""
    return _seconds(finished) + (retention_s or DEFAULT_RETENTION_MS // 1000)


def _seconds(ms: int) -> int:
    return -(-ms // 1000)


def packed_log(segments: list[Segment]) -> list[str]:
    """The log as few texts, with sequence numbers and writers, so that fences and redrives keep their meaning."""
    chunks: list[list[str]] = [[]]
    size = 0
    for segment in segments:
        text = f"{segment.seq}\t{segment.writer}\n{segment.body}"
        if chunks[-1] and size + len(text) > _CHUNK:
            chunks.append([])
            size = 0
        chunks[-1].append(text)
        size += len(text) + 1
    return [_BETWEEN.join(chunk) for chunk in chunks if chunk]


def unpacked_log(chunks: list[str]) -> list[Segment]:
    """The reverse of `packed_log`. Raises ValueError for a text that it did not make."""
    segments = []
    for chunk in chunks:
        for text in chunk.split(_BETWEEN):
            head, newline, body = text.partition("\n")
            seq, tab, writer = head.partition("\t")
            if not newline or not tab or not seq.isdecimal():
                raise ValueError(f"a copy of the log that this version did not write: {len(text)} characters")
            segments.append(Segment(int(seq), writer, body))
    return segments
