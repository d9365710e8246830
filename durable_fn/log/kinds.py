"""The kinds of entries in the log, with a row each: how a replay, a redrive and a history treat an operation of that kind.

A new operation needs a row here. No other file of the package has a list of kinds.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

STEP: Final = "step"
SLEEP: Final = "sleep"
CALLBACK: Final = "callback"
WAIT: Final = "wait"
"""A wait for a callback. Its value is the callback's id, so that on replay it takes the outcome of that callback."""
SIGNAL: Final = "signal"
POLL: Final = "poll"
CALL: Final = "call"
SEND: Final = "send"
POST: Final = "post"
"""A signal to another execution. Its value says whether that one took it."""
PATCH: Final = "patch"
SHIELD: Final = "shielded"
"""The end of a shielded block of a `def` handler, written only if a cancellation that came inside was raised there."""
CHILD: Final = "child"
PARALLEL: Final = "parallel"
MAP: Final = "map"
RACE: Final = "race"
BRANCH: Final = "branch"
TIMER: Final = "timer"
THREAD: Final = "thread"
END: Final = "end"
STUCK: Final = "stuck"


class Kind(NamedTuple):
    """What is true of a kind."""

    moves: bool = True
    """An async handler goes on by its success or failure. If false, the handler goes on by the entries inside, or the code
    looks it up by its id."""
    called: bool = True
    """The handler's code calls it."""
    optional: bool = False
    """The code may stop calling it."""
    native: bool = False
    """Only async handlers have it: they went on by it, and it is no operation."""
    fan: bool = False
    """It has branches."""
    code: bool = False
    """It runs handler code: the operations inside are the handler's own, and stay when it is tried again."""
    walked: bool = False
    """A replay walks the operations inside it even if its end is recorded."""
    consequence: bool = False
    """The handler's code ends it, after another line has moved that code."""
    effect: bool = False
    """It may have had an effect before it has a result."""
    acts: bool = False
    """Once it has begun or ended, it has done something outside."""
    outside: bool = False
    """It waits for an answer from outside."""
    renewed: Literal["never", "always", "retried"] = "never"
    """Whether a redrive restarts the timeout of an open one; "retried": only if the redrive tries it again."""
    result: Literal["json", "id", "keyed"] = "json"
    """The form of its value in the line: JSON, a bare id, or JSON behind the key of the inbox entry."""


KINDS: Final[dict[str, Kind]] = {
    STEP: Kind(effect=True, acts=True),
    SLEEP: Kind(),
    CALLBACK: Kind(moves=False, effect=True, outside=True, renewed="always"),
    WAIT: Kind(result="id"),  # each wait for a callback is an operation of its own
    SIGNAL: Kind(outside=True, renewed="always", result="keyed"),
    POLL: Kind(walked=True, renewed="retried"),
    CALL: Kind(effect=True, acts=True, outside=True),
    SEND: Kind(acts=True, result="id"),
    POST: Kind(acts=True),
    PATCH: Kind(moves=False, optional=True),
    SHIELD: Kind(moves=False),
    CHILD: Kind(code=True, consequence=True),
    PARALLEL: Kind(moves=False, fan=True, code=True),
    MAP: Kind(moves=False, fan=True, code=True),
    RACE: Kind(moves=False, fan=True, code=True),
    BRANCH: Kind(called=False, code=True, consequence=True),
    TIMER: Kind(native=True),
    THREAD: Kind(native=True),
    END: Kind(called=False, native=True),
    STUCK: Kind(called=False, native=True),
}

FENCE: Final = "fence"
HANDOVER: Final = "handover"
BLANK: Final = "blank"
GAP: Final = "gap"
GENERATION: Final = "generation"
UNDONE: Final = "undone"
ASKED: Final = "asked"
LINES: Final = frozenset(
    {FENCE, HANDOVER, BLANK, GAP, GENERATION, "status", "rewind", "fork", "walked", "event", UNDONE, ASKED}
)
"""Kinds of lines that belong to no operation: see `events.NO_OPERATIONS`, and `events.fence` for those without an id."""

# The columns, as sets: a replay asks them of every line.
FANS: Final = frozenset(kind for kind, row in KINDS.items() if row.fan)
CODE: Final = frozenset(kind for kind, row in KINDS.items() if row.code)
WALKED: Final = frozenset(kind for kind, row in KINDS.items() if row.walked)
MOVES: Final = frozenset(kind for kind, row in KINDS.items() if row.moves)
CALLED: Final = frozenset(kind for kind, row in KINDS.items() if row.called)
OPTIONAL: Final = frozenset(kind for kind, row in KINDS.items() if row.optional)
NATIVE: Final = frozenset(kind for kind, row in KINDS.items() if row.native)
CONSEQUENCES: Final = frozenset(kind for kind, row in KINDS.items() if row.consequence)
EFFECTIVE: Final = frozenset(kind for kind, row in KINDS.items() if row.effect)
ACTING: Final = frozenset(kind for kind, row in KINDS.items() if row.acts)
OUTSIDE: Final = frozenset(kind for kind, row in KINDS.items() if row.outside)
