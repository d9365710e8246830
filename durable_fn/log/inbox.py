"""What comes from outside: write-once entries, and who may consume them.

    callback/GEN/HASH     outcome of a callback            beat/GEN/HASH         the last heartbeat of it
    call/GEN/HASH         outcome of an execution          signal/HASH/N/RANDOM  one signal
    cancel/N              somebody asked for it            redrive/N             to be tried again at once

HASH stands for an operation, a called execution or a signal's name, so that a key stays short whatever users call things; all
operations that wait for one execution read the same entry. An outcome that a redrive forgets stays in the table: an operation
that is tried again waits for another key (see `slot`, `callback_key`). N is the count of entries that the sender saw. A signal
is accepted only while the header still has that count, so that keys sort signals in the order of acceptance, whoever sent them:
a later one never goes before one that was handed out. A body is one letter, the outcome, and a value (for a callback preceded
by the time it came and a tab). A signal whose sender gave it an id leaves a mark beside its entry, in the same request; a
sender that uses the same id within `MARK_S` finds it: see `mark`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final, NamedTuple

CANCEL: Final = "cancel/"
SIGNAL: Final = "signal/"
REDRIVE: Final = "redrive/"
_OF_A_GENERATION: Final = frozenset({"callback", "beat", "call"})
MARK_S: Final = 30 * 86_400
"""For how many seconds a signal's id is remembered, whatever becomes of the signal. Never renewed."""
_ANY: Final = "|"
SUCCESS: Final = "S"
FAILURE: Final = "F"
TIMEOUT: Final = "T"
NO_HEARTBEAT: Final = "H"


class Entry(NamedTuple):
    """An inbox entry: write-once, from outside. `horizon`: its TTL in epoch seconds; 0 in a store that removes nothing."""

    key: str
    writer: str
    digest: str
    body: str
    horizon: int = 0


def entry(key: str, writer: str, body: str) -> Entry:
    return Entry(key, writer, hashlib.sha256(body.encode()).hexdigest()[:32], body)


def settled(key: str, writer: str, body: str, at: int) -> Entry:
    """A completion from outside, with the time it came, because that may be after the callback's timeout. The digest leaves the
    time out, so a repeated completion counts as the same."""
    return entry(key, writer, body)._replace(body=f"{body[0]}{at}\t{body[1:]}")


def arrived(body: str) -> tuple[int | None, str]:
    """When the completion came, and its body; None where the owner wrote the entry itself."""
    at, tab, rest = body[1:].partition("\t")
    return (int(at), body[0] + rest) if tab and at.isdecimal() else (None, body)


def short(name: str) -> str:
    """A hash for an operation id or a name in keys and tokens: 80 bits."""
    return hashlib.blake2b(name.encode(), digest_size=10).hexdigest()


def plain_digest(entry: Entry) -> str:
    """The digest of what was sent, as `entry` and `settled` make it."""
    body = arrived(entry.body)[1] if entry.key.startswith("callback/") else entry.body
    return hashlib.sha256(body.encode()).hexdigest()[:32]


def slot(id: str, again: int) -> str:
    """`short`, with the number of times that redrives made the operation ask again."""
    return short(f"{id}\0{again}" if again else id)


def callback_key(gen: int, operation: str, reopened: int = 0) -> str:
    return f"callback/{gen}/{operation}" + (f".{reopened}" if reopened else "")


def beat_key(gen: int, operation: str) -> str:
    return f"beat/{gen}/{operation}"


class Beat(NamedTuple):
    """A heartbeat, with what the sender of the next one needs to know of the callback, so that it need not read the log. Times
    are epoch milliseconds. `due`: the callback's own timeout, 0 for none; `every`: milliseconds between heartbeats, 0 for no
    limit; `key`: of the outcome."""

    at: int
    due: int
    every: int
    key: str

    def body(self) -> str:
        return "\t".join(map(str, self))


def beat_of(body: str) -> Beat:
    """Raises ValueError for a body that is no heartbeat."""
    at, due, every, key = body.split("\t")
    return Beat(int(at), int(due), int(every), key)


def call_key(gen: int, child: str, again: int) -> str:
    return f"call/{gen}/{slot(child, again)}"


def signal_prefix(name: str) -> str:
    return f"{SIGNAL}{short(name)}/"


def any_of(prefixes: Iterable[str]) -> str:
    """The `wake` of a wait that goes on when there is an entry with any of these prefixes."""
    return _ANY.join(prefixes)


def mark(name: str, id: str) -> str:
    """A hash for a signal's name and the id that its sender gave it: 128 bits."""
    return hashlib.blake2b(f"{name}\0{id}".encode(), digest_size=16).hexdigest()


def belongs(key: str, gen: int) -> bool:
    """Whether this generation reads an entry: its own ones, and those for all generations. Nobody reads the outcomes that an
    older generation waited for."""
    kind, _, rest = key.partition("/")
    return kind not in _OF_A_GENERATION or rest.startswith(f"{gen}/")


def of_generation(key: str) -> bool:
    """Whether only the generation that waits for it reads it."""
    return key.partition("/")[0] in _OF_A_GENERATION


def numbered(prefix: str, seen: int, tail: str) -> str:
    """A key that sorts after those of the entries its sender saw."""
    return f"{prefix}{seen:010}/{tail}"


def in_hand(entries: dict[str, Entry], used: set[str]) -> int:
    return len(entries) + sum(key not in entries for key in used)


class _Queue:
    """Entries with one prefix, oldest first."""

    def __init__(self, entries: dict[str, Entry], prefix: str) -> None:
        self._entries = [entries[key] for key in sorted(key for key in tuple(entries) if key.startswith(prefix))]
        self._start = 0  # what comes before was consumed

    def first(self, used: set[str]) -> Entry | None:
        for place in range(self._start, len(self._entries)):
            if self._entries[place].key not in used:
                return self._entries[place]
        return None

    def take(self, used: set[str]) -> Entry | None:
        while self._start < len(self._entries) and self._entries[self._start].key in used:
            self._start += 1
        there = self.first(used)
        if there is not None:
            used.add(there.key)
        return there

    def rewind(self) -> None:
        self._start = 0


class Inbox:
    """The entries that were read. `used`: keys of the signals that were consumed, by entries in the log or pending ones.
    Branches on threads may read at any time; whoever takes or gives back a signal holds the turn's lock."""

    def __init__(self, entries: dict[str, Entry], used: set[str]) -> None:
        self.entries = entries
        self.used = used
        self.version = object()  # another one after each addition
        self._queues: dict[str, _Queue] = {}

    @property
    def count(self) -> int:
        """How many entries are known: those that were read, and signals that the log names though they are deleted already."""
        return in_hand(self.entries, self.used)

    def get(self, key: str) -> Entry | None:
        return self.entries.get(key)

    def refresh(self, entries: dict[str, Entry]) -> None:
        """Replaces the entries by those of a later read. No entry disappears while a turn runs."""
        self.entries = entries
        self._queues = {}
        self.version = object()

    def add(self, new: Entry) -> None:
        self.entries[new.key] = new
        self._queues = {}
        self.version = object()

    def stamp(self, entries: Iterable[Entry], horizon: int) -> None:
        for old in entries:
            self.entries[old.key] = old._replace(horizon=horizon)

    def _queue(self, prefix: str) -> _Queue:
        queue = self._queues.get(prefix)
        if queue is None:
            queue = self._queues[prefix] = _Queue(self.entries, prefix)
        return queue

    def first(self, prefix: str) -> Entry | None:
        """The oldest unconsumed entry with this prefix."""
        return self._queue(prefix).first(self.used)

    def take(self, prefix: str) -> Entry | None:
        """The oldest unconsumed entry with this prefix. It is consumed now, so only one branch gets it."""
        return self._queue(prefix).take(self.used)

    def take_any(self, prefixes: Iterable[str]) -> Entry | None:
        """As `take`, of several prefixes: the one that was accepted first, whatever its name."""
        there = [(first.key.split("/")[2], prefix) for prefix in prefixes if (first := self.first(prefix)) is not None]
        return self.take(min(there)[1]) if there else None

    def give_back(self, key: str) -> None:
        """The branch that took this signal did nothing with it: the next wait gets it, in its old place in the order."""
        self.used.discard(key)
        for queue in tuple(self._queues.values()):
            queue.rewind()
        self.version = object()

    def last(self, prefix: str) -> Entry | None:
        keys = [key for key in tuple(self.entries) if key.startswith(prefix)]
        return self.entries[max(keys)] if keys else None

    def waits_for(self, wake: str) -> bool:
        """Whether the inbox has what `wake` names: a key, or with a slash at its end any unconsumed entry below it; or any of
        several such (`any_of`)."""
        if _ANY in wake:
            return any(map(self.waits_for, wake.split(_ANY)))
        return self.first(wake) is not None if wake.endswith("/") else wake in self.entries
