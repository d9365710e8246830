"""Journal entries and their line format.

One event is one line of tab-separated fields, the encoded value last (JSON has no raw tab or newline in it):

    id  kind  position  status  attempt  at  due  value

An operation with a key has no position. That field has the native tasks between its branch and the call ("~1/~2/", mostly
none), a colon, and how many random values the scope had drawn. A replay compares none of that; a redrive and a fork read it.

A segment's body is its lines joined by newlines. A fence is a segment with one line that has no id: a new owner wrote it
after a death, and its time tells when the code went on. The format is plain text on purpose: it is what an operator sees
in the table, and splitting it costs a tenth of parsing JSON.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from .kinds import BLANK, BRANCH, CALLBACK, FENCE, GAP, GENERATION, HANDOVER, MOVES

BEGUN: Final = "B"
"""It began: a sleep with its due time, an at-most-once body that is about to start."""
RETRY: Final = "R"
"""An attempt failed; the next one is due at `due`."""
SUCCEEDED: Final = "S"
FAILED: Final = "F"
CANCELLED: Final = "C"
"""A branch was cancelled. For any other operation: the handler's own code cancelled the wait natively. This is written for the
history only; in a replay the code does it again."""
RAISED: Final = "X"
"""A cancellation or timeout of the execution, or of a losing branch, was raised at the operation."""
RETURNED: Final = "G"
"""A signal that a branch took and did nothing with is unread again, because the branch lost. The value names the branch."""

_ASIDE_STATUS: Final = {SUCCEEDED: "s", FAILED: "f", CANCELLED: "c"}
_STATUS_ASIDE: Final = {aside: status for status, aside in _ASIDE_STATUS.items()}
"""Statuses of entries that a redrive keeps by their ids alone, because their places are behind what it forgets: the code gets
the result if it calls the operation, and need not call it."""

STATUS_ID: Final = "$status"
"""A line that `set_status` wrote: no operation."""
REDRIVE_ID: Final = "$rewind"
"""A line that a redrive wrote: what came before it is forgotten in part."""
GENERATION_ID: Final = "$generation"
"""The line that a generation begins with."""
FORK_ID: Final = "$fork"
"""The line of a fork behind the entries that it copied."""
WALKED_ID: Final = "$walked"
"""How far code got that recorded no operation behind what it logged, so that it does not log that again. JSON: operations
called, by scope."""
EVENT_ID: Final = "$event"
"""The line with the event as validated, if whoever started the execution could not validate it."""
UNDONE_ID: Final = "$undone"
"""The line of a saga whose compensations run: see `undone.py`."""
ASKED_ID: Final = "$asked"
"""The line behind that of a redrive or a fork: who asked for it, and why. JSON."""
NO_OPERATIONS: Final = frozenset(
    {STATUS_ID, REDRIVE_ID, GENERATION_ID, FORK_ID, WALKED_ID, EVENT_ID, UNDONE_ID, ASKED_ID}
)

_STATUSES: Final = frozenset({BEGUN, RETRY, SUCCEEDED, FAILED, CANCELLED, RAISED, RETURNED, *_STATUS_ASIDE})
LATEST: Final = 253_402_300_799_999
"""The last millisecond that a datetime can say."""

NO_PLACE: Final = -1
"""The position of operations that a replay finds by their ids alone: those with a key, and patches."""

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
        when, until = int(at), int(due) if due else 0
        if status not in _STATUSES or not 0 <= when <= LATEST or not 0 <= until <= LATEST:
            raise ValueError
        return Event(id, kind, place, status, int(attempt), when, until, value, asked)
    except ValueError:
        fields = line.count("\t") + 1  # its text may be a user's value
        raise ValueError(
            f"a journal line that this version did not write: {len(line)} characters in {fields} fields"
        ) from None


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
    """The same event in the form that a replay finds by its id alone."""
    return Event(
        event.id, event.kind, event.position, _ASIDE_STATUS[event.status], event.attempt, event.at, event.due, event.value,
        event.asked,
    )  # fmt: skip


def picked_up(event: Event) -> Event | None:
    """The reverse of `laid_aside`; None for any other event."""
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
    """The body of the first segment of a generation, with the last status that `set_status` wrote."""
    lines = [Event(GENERATION_ID, GENERATION, 0, SUCCEEDED, 1, at, 0, "")]
    return body(lines if custom is None else [*lines, Event(STATUS_ID, "status", 0, SUCCEEDED, 1, at, 0, custom)])


def handover(at: int) -> str:
    """As a fence, but the owner before gave the execution back and did not die."""
    return Event("", HANDOVER, 0, BEGUN, 1, at).line()


def blank(at: int) -> str:
    """The body that stands in for a redrive's line. It is no sign of a new owner."""
    return Event("", BLANK, 0, BEGUN, 1, at).line()


def gap(at: int) -> str:
    """The body of a segment of which a redrive or a fork left nothing. It is no sign of a new owner."""
    return Event("", GAP, 0, BEGUN, 1, at).line()


END_ID: Final = "$end"
STUCK_ID: Final = "$stuck"
"""The line by which an async execution was cancelled or timed out."""


MOVING: Final = frozenset({(CANCELLED, BRANCH)}.union(*({(SUCCEEDED, kind), (FAILED, kind)} for kind in MOVES)))
"""Statuses and kinds for which `moves` is true."""


def moves(event: Event) -> bool:
    """Whether an async handler goes on by this entry: an operation's last word, the end of a branch, a timer that fired."""
    return (event.status, event.kind) in MOVING


def is_outcome(event: Event) -> bool:
    """Whether it is a callback's outcome, which reaches the handler through the waits for it."""
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
    """The key at the end of an id, still escaped."""
    _, colon, part = id.rpartition("/")[2].partition(":")
    return part if colon else None


def has_key(id: str) -> bool:
    """Whether the operation itself has a key, whatever it is inside of."""
    return ":" in id[id.rfind("/") + 1 :]


def is_keyed(id: str) -> bool:
    """Whether it, or an operation around it, has a key: a replay does not compare its place in the log."""
    return ":" in id


def ancestors(id: str) -> list[str]:
    """The ids of the operations around an operation, the outermost first."""
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
