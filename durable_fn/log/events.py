"""Journal entries and their line format.

One event is one line of tab-separated fields, the encoded value last (JSON has no raw tab or newline in it):

    id  kind  position  status  attempt  at  due  value

An operation with a key has no position: in its place stands who asked for it, as the native tasks between its branch and the
call ("~1/~2/", mostly none), a colon, and how many values had been drawn there. A replay compares none of that; a redrive and a
fork read it.

A segment's body is its lines joined by newlines. A fence is a segment with one line that has no id: a new owner wrote it
after a death, and its time tells when the code went on. The format is plain text on purpose: it is what an operator sees
in the table, and splitting it costs a tenth of parsing JSON.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from .kinds import BLANK, BRANCH, CALLBACK, FENCE, GENERATION, HANDOVER, MOVES

BEGUN: Final = "B"
"""A sleep has its due time, an at-most-once body is about to start."""
RETRY: Final = "R"
"""An attempt failed; the next one is due at `due`."""
SUCCEEDED: Final = "S"
FAILED: Final = "F"
CANCELLED: Final = "C"
"""A branch was cancelled. Of any other operation: the handler's own code cancelled its wait natively, for who reads the history;
a replay finds that out by itself."""
RAISED: Final = "X"
"""A cancellation or timeout of the execution, or of a losing branch, was raised at the operation."""
RETURNED: Final = "G"
"""A signal that a branch took and did nothing with is unread again, because the branch lost. The value names the branch."""

_ASIDE_STATUS: Final = {SUCCEEDED: "s", FAILED: "f", CANCELLED: "c"}
_STATUS_ASIDE: Final = {aside: status for status, aside in _ASIDE_STATUS.items()}
"""What a redrive keeps by its id alone, because its place is behind what is forgotten: whoever asks for it gets it, and nobody
has to."""

STATUS_ID: Final = "$status"
"""A line that `set_status` wrote: no operation."""
REDRIVE_ID: Final = "$rewind"
"""A line that a redrive wrote: what came before it is forgotten in part."""
GENERATION_ID: Final = "$generation"
"""The line that a generation begins with."""
FORK_ID: Final = "$fork"
"""The line that ends what a fork was copied from."""
WALKED_ID: Final = "$walked"
"""How far code has gone that recorded nothing there: what it logged is not logged again. JSON: operations called, by scope."""
EVENT_ID: Final = "$event"
"""The line that keeps the event as it was validated, where who started the execution could not do that."""
UNDONE_ID: Final = "$undone"
"""The line of a saga whose compensations run: see `undone.py`."""
ASKED_ID: Final = "$asked"
"""Behind the line of a redrive or a fork: who asked for it, and why. JSON."""
NO_OPERATIONS: Final = frozenset(
    {STATUS_ID, REDRIVE_ID, GENERATION_ID, FORK_ID, WALKED_ID, EVENT_ID, UNDONE_ID, ASKED_ID}
)

NO_PLACE: Final = -1
"""Position of what a replay finds by its id alone: operations with a key, and patches."""

_FIELDS = 8


class Event:
    """One entry. `value` is an encoded result (S) or an encoded failure (R, F), else empty."""

    __slots__ = ("asked", "at", "attempt", "due", "id", "kind", "position", "status", "value")

    def __init__(
        self,
        id: str,
        kind: str,
        position: int,
        status: str,
        attempt: int,
        at: int,
        due: int = 0,
        value: str = "",
        asked: str = "",
    ) -> None:
        self.id = id
        self.kind = kind
        self.position = position
        self.status = status
        self.attempt = attempt
        self.at = at
        self.due = due
        self.value = value
        self.asked = asked  # of an operation with a key, instead of a position: see above

    @property
    def name(self) -> str:
        return operation_name(self.id)

    def line(self) -> str:
        return (
            f"{self.id}\t{self.kind}\t{self.asked or self.position}\t{self.status}\t{self.attempt}\t{self.at}\t"
            f"{self.due or ''}\t{self.value}"
        )

    def __repr__(self) -> str:
        return f"Event({self.line()!r})"


def parse(line: str) -> Event:
    """The event of a line. Raises ValueError for a line that this version did not write."""
    try:
        id, kind, position, status, attempt, at, due, value = line.split("\t", _FIELDS - 1)
        place, asked = (NO_PLACE, _asked(position)) if ":" in position else (int(position), "")
        return Event(id, kind, place, status, int(attempt), int(at), int(due) if due else 0, value, asked)
    except ValueError:
        raise ValueError(f"a journal line that this version did not write: {line[:80]!r}") from None


def _asked(text: str) -> str:
    tasks, _, count = text.rpartition(":")
    return f"{tasks}:{int(count)}"


class Segment(NamedTuple):
    """A committed group of events, or a fence that a new owner wrote after a death."""

    seq: int
    writer: str
    body: str


def body(events: list[Event]) -> str:
    return "\n".join([event.line() for event in events])


def laid_aside(event: Event) -> Event:
    """The same, kept by its id alone."""
    return Event(
        event.id, event.kind, event.position, _ASIDE_STATUS[event.status], event.attempt, event.at, event.due, event.value,
        event.asked,
    )  # fmt: skip


def picked_up(event: Event) -> Event | None:
    """What `laid_aside` was given; None for any other event."""
    status = _STATUS_ASIDE.get(event.status)
    if status is None:
        return None
    return Event(
        event.id, event.kind, event.position, status, event.attempt, event.at, event.due, event.value, event.asked
    )


def parse_body(text: str) -> list[Event]:
    return [parse(line) for line in text.split("\n")]


def fence(at: int) -> str:
    """The body of a fence segment."""
    return Event("", FENCE, 0, BEGUN, 1, at).line()


def beginning(at: int, custom: str | None = None) -> str:
    """The body of the first segment of a generation. What `set_status` said last goes along."""
    lines = [Event(GENERATION_ID, GENERATION, 0, SUCCEEDED, 1, at, 0, "")]
    return body(lines if custom is None else [*lines, Event(STATUS_ID, "status", 0, SUCCEEDED, 1, at, 0, custom)])


def handover(at: int) -> str:
    """As a fence, after an owner that gave the execution back: none died."""
    return Event("", HANDOVER, 0, BEGUN, 1, at).line()


def blank(at: int) -> str:
    """The body of a segment that was a redrive's line: no owner died for it."""
    return Event("", BLANK, 0, BEGUN, 1, at).line()


END_ID: Final = "$end"
STUCK_ID: Final = "$stuck"
"""The line by which an async execution was cancelled or timed out."""


MOVING: Final = frozenset({(CANCELLED, BRANCH)}.union(*({(SUCCEEDED, kind), (FAILED, kind)} for kind in MOVES)))
"""Status and kind of what `moves`."""


def moves(event: Event) -> bool:
    """Whether an async handler goes on by this entry: an operation's last word, the end of a branch, a timer that fired."""
    return (event.status, event.kind) in MOVING


def is_outcome(event: Event) -> bool:
    """Whether a callback's outcome: it reaches the handler by the waits for it."""
    return event.kind == CALLBACK and event.status in (SUCCEEDED, FAILED)


def is_fence(text: str) -> bool:
    return text.startswith("\t")


# -- ids: the path of names, each with an occurrence number or a key -----------------------------------------------

_ESCAPES = {ord("%"): "%25", ord("/"): "%2F", ord("#"): "%23"}
_NAME_ESCAPES = {**_ESCAPES, ord(":"): "%3A"}  # in a part of an id a colon ends the name: what follows is a key
_LONGEST = 256


def component(name: str) -> str:
    """A name as one part of an id. Raises TypeError or ValueError for a name that no journal line can carry."""
    part = _checked(name, "an operation name").translate(_NAME_ESCAPES)
    if part[0] in "$~":  # the journal's own lines, and the scopes of native tasks
        part = f"%{ord(part[0]):02X}{part[1:]}"
    return part


def key_component(key: str) -> str:
    """A key as it follows the name and a colon in an id. Raises as `component` does."""
    return escaped(_checked(key, "a key"))


def _checked(text: str, what: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"{what} must be a str, not {type(text).__name__}")
    if not text or not text.isprintable() or len(text) > _LONGEST:
        raise ValueError(f"{what} must be 1 to {_LONGEST} printable characters, got {text[:80]!r}")
    return text


def operation_name(id: str) -> str:
    """The name at the end of an id, without its key or occurrence number."""
    return _unescaped(id.rpartition("/")[2].partition(":")[0].partition("#")[0])


def operation_key(id: str) -> str | None:
    """The key at the end of an id; None where it has none."""
    part = key_part(id)
    return None if part is None else _unescaped(part.partition("#")[0])


def key_part(id: str) -> str | None:
    """The key at the end of an id as it stands there."""
    _, colon, part = id.rpartition("/")[2].partition(":")
    return part if colon else None


def has_key(id: str) -> bool:
    """Of the operation itself, whatever it is inside of."""
    return ":" in id[id.rfind("/") + 1 :]


def is_keyed(id: str) -> bool:
    """Whether it, or something that it is inside of, has a key: its place in the log is not compared."""
    return ":" in id


def ancestors(id: str) -> list[str]:
    """What an operation is inside of, by ids, the outermost first."""
    parts = id.split("/")
    return ["/".join(parts[:n]) for n in range(1, len(parts))]


def branch_of(id: str) -> str:
    """The path of the branch that an operation is in, without native tasks."""
    parts = [part for part in id.split("/")[:-1] if not part.startswith("~")]
    return "".join(f"{part}/" for part in parts)


def escaped(text: str) -> str:
    """As a part of an id after its colon."""
    return text.translate(_ESCAPES)


def _unescaped(part: str) -> str:
    for escaped, char in (("%24", "$"), ("%7E", "~"), ("%2F", "/"), ("%23", "#"), ("%3A", ":"), ("%25", "%")):
        part = part.replace(escaped, char)
    return part
