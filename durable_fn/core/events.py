"""Journal entries and their line format.

One event is one line of tab-separated fields, the encoded value last (JSON has no raw tab or newline in it):

    id  kind  position  status  attempt  at  due  value

A segment's body is its lines joined by newlines. A fence is a segment with one line that has no id: a new owner wrote it
after a death, and its time tells when the code went on. The format is plain text on purpose: it is what an operator sees
in the table, and splitting it costs a tenth of parsing JSON.
"""

from __future__ import annotations

from typing import Final

BEGUN: Final = "B"
"""A sleep has its due time, an at-most-once body is about to start."""
RETRY: Final = "R"
"""An attempt failed; the next one is due at `due`."""
SUCCEEDED: Final = "S"
FAILED: Final = "F"
CANCELLED: Final = "C"
"""Native asyncio cancellation reached the operation before its result reached the handler."""
RAISED: Final = "X"
"""A cancellation or timeout of the execution, or of a losing branch, was raised at the operation."""

STATUS_ID: Final = "$status"
"""A line that `set_status` wrote: no operation."""
REWIND_ID: Final = "$rewind"
"""A line that a redrive wrote: what came before it is forgotten in part."""
GENERATION_ID: Final = "$generation"
"""The line that a generation begins with."""
FORK_ID: Final = "$fork"
"""The line that ends what a fork was copied from."""
EVENT_ID: Final = "$event"
"""The line that keeps the event as it was validated, where who started the execution could not do that."""
NO_OPERATIONS: Final = frozenset({STATUS_ID, REWIND_ID, GENERATION_ID, FORK_ID, EVENT_ID})

_FIELDS = 8


class Event:
    """One entry. `value` is an encoded result (S) or an encoded failure (R, F), else empty."""

    __slots__ = ("at", "attempt", "due", "id", "kind", "position", "status", "value")

    def __init__(
        self, id: str, kind: str, position: int, status: str, attempt: int, at: int, due: int = 0, value: str = ""
    ) -> None:
        self.id = id
        self.kind = kind
        self.position = position
        self.status = status
        self.attempt = attempt
        self.at = at
        self.due = due
        self.value = value

    @property
    def name(self) -> str:
        return operation_name(self.id)

    def line(self) -> str:
        return (
            f"{self.id}\t{self.kind}\t{self.position}\t{self.status}\t{self.attempt}\t{self.at}\t"
            f"{self.due or ''}\t{self.value}"
        )

    def __repr__(self) -> str:
        return f"Event({self.line()!r})"


def parse(line: str) -> Event:
    """The event of a line. Raises ValueError for a line that this version did not write."""
    try:
        id, kind, position, status, attempt, at, due, value = line.split("\t", _FIELDS - 1)
        return Event(id, kind, int(position), status, int(attempt), int(at), int(due) if due else 0, value)
    except ValueError:
        raise ValueError(f"a journal line that this version did not write: {line[:80]!r}") from None


def body(events: list[Event]) -> str:
    return "\n".join([event.line() for event in events])


def parse_body(text: str) -> list[Event]:
    return [parse(line) for line in text.split("\n")]


def fence(at: int) -> str:
    """The body of a fence segment."""
    return Event("", "fence", 0, BEGUN, 1, at).line()


def beginning(at: int, custom: str | None = None) -> str:
    """The body of the first segment of a generation. What `set_status` said last goes along."""
    lines = [Event(GENERATION_ID, "generation", 0, SUCCEEDED, 1, at, 0, "")]
    return body(lines if custom is None else [*lines, Event(STATUS_ID, "status", 0, SUCCEEDED, 1, at, 0, custom)])


def blank(at: int) -> str:
    """The body of a segment that says nothing: no owner died for it."""
    return Event("", "blank", 0, BEGUN, 1, at).line()


def is_outcome(event: Event) -> bool:
    """Whether a callback's outcome: it reaches the handler by the waits for it."""
    return event.kind == "callback" and event.status in (SUCCEEDED, FAILED)


def is_fence(text: str) -> bool:
    return text.startswith("\t")


# -- ids: the path of names with an occurrence number --------------------------------------------------------------

_ESCAPES = {ord("%"): "%25", ord("/"): "%2F", ord("#"): "%23"}
_MAX_NAME = 256


def component(name: str) -> str:
    """A name as one part of an id. Raises TypeError or ValueError for a name that no journal line can carry."""
    if not isinstance(name, str):
        raise TypeError(f"an operation name must be a str, not {type(name).__name__}")
    if not name or not name.isprintable() or len(name) > _MAX_NAME:
        raise ValueError(f"an operation name must be 1 to {_MAX_NAME} printable characters, got {name[:80]!r}")
    part = name.translate(_ESCAPES)
    if part[0] in "$~":  # the journal's own lines, and the scopes of native tasks
        part = f"%{ord(part[0]):02X}{part[1:]}"
    return part


def operation_name(id: str) -> str:
    """The name at the end of an id, without its occurrence number."""
    last = id.rpartition("/")[2].partition("#")[0]
    return last.replace("%24", "$").replace("%7E", "~").replace("%2F", "/").replace("%23", "#").replace("%25", "%")
