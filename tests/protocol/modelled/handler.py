"""The handlers of the model: small programs, and what one is at after some lines of its log. Pure; see tests/protocol/model.py.

A program is a tuple of generations, each a tuple of operations:

    ("do", a, b, ...)     bodies, at the same time where there are several
    ("once", m)           a body that runs at most once
    ("first", wait, ...)  waits of which the first that ends counts; the others lose
    ("all", wait, ...)    waits that all have to end
    ("caught", wait)      a wait; a cancellation of the execution is caught here, and the handler goes on
    ("again", x, y)       a wait for a signal, called y, if the wait x got none
    ("call", k)           another execution; its end is the inbox entry "kid"
    ("renew",)            goes on as the next generation

A wait is ("signal", x), ("limited", x) a signal with a timeout, ("timer", x), ("callback", x), ("patient", x) a callback with
a timeout. Its name is the key of a callback's entry; those of signals are "sig1", "sig2", oldest first.

The lines of a log: ("r", body), ("began", m), ("cut", m) an interrupted one, ("placed", x) a timer, ("use", x, key) a signal's
entry is consumed for a wait, ("end", x), ("late", x) a timeout, ("back", key) an entry is given back, ("raise",) the
cancellation, ("called", k), ("fence", n), ("tomb",) a termination, ("rewind",) a redrive.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

Line: TypeAlias = tuple[str, ...]
Wait: TypeAlias = tuple[str, str]
Op: TypeAlias = tuple[Any, ...]  # a kind, and names or waits
Program: TypeAlias = tuple[tuple[Op, ...], ...]

RESULTS: Final = frozenset({"r", "began", "cut", "called"})
"""Lines of what was done. The handler sees it when it is durable, not before."""
TIMED: Final = frozenset({"timer", "limited", "patient"})
SIGNALS: Final = frozenset({"signal", "limited"})
BRANCHES: Final = frozenset({"first", "all"})


class View(NamedTuple):
    """What a handler wants after some lines: "bodies", "once", "waits", "call", "renew" or "return". `got`: what it has seen so
    far; `used`: keys of entries that the lines consume; `received`: those of them that reached the handler; `stray`:
    those that a wait consumed which lost."""

    wants: str
    names: tuple[str, ...] = ()
    waits: tuple[Wait, ...] = ()
    got: tuple[str, ...] = ()
    used: frozenset[str] = frozenset()
    received: frozenset[str] = frozenset()
    stray: tuple[str, ...] = ()
    cancelled: bool = False


class _Walk:
    """One pass over a generation's operations."""

    def __init__(self, lines: tuple[Line, ...], apart: bool) -> None:
        self.at = {line: place for place, line in enumerate(lines)}
        self.apart = apart
        self.keys: dict[str, str] = {}  # of the entry that a wait consumed
        self.places: dict[str, int] = {}  # of the line that consumed it
        back = {line[1]: place for place, line in enumerate(lines) if line[0] == "back"}
        for place, line in enumerate(lines):
            if line[0] == "use" and back.get(line[2], -1) < place:
                self.keys[line[1]] = line[2]
            if line[0] == "use":
                self.places[line[1]] = place
        self.raised = self.at.get(("raise",))
        self.caught = False
        self.got: list[str] = []
        self.received: dict[str, str] = {}  # keys by wait
        self.asked: list[Wait] = []

    def ended(self, wait: Wait) -> int | None:
        """The place of the line that hands out what this wait brings."""
        kind, name = wait
        if not self.apart and kind in SIGNALS and name in self.places:
            return self.places[name]
        found = self.at.get(("end", name))
        return self.at.get(("late", name)) if found is None else found

    def take(self, name: str) -> None:
        """What this wait brought has reached the handler."""
        key = self.keys.get(name)
        if key is not None:
            self.received[name] = key
        self.got.append(f"{name}={key or 'ended'}")

    def waits(self, kind: str, waits: tuple[Wait, ...]) -> tuple[Wait, ...] | None:
        """Those that the handler still waits for; None when it goes on."""
        ends = sorted((place, wait) for wait in waits if (place := self.ended(wait)) is not None)
        first = ends[0][0] if ends else None
        if kind == "caught" and self.raised is not None and (first is None or self.raised < first):
            self.caught = True
            self.got.append("cancelled")
            return None
        if kind == "all":
            if len(ends) == len(waits):
                for _, (_, name) in ends:
                    self.take(name)
                return None
            self.received |= {name: self.keys[name] for _, (_, name) in ends if name in self.keys}
            return tuple(wait for wait in waits if self.ended(wait) is None)
        if first is None:
            return waits
        self.take(ends[0][1][1])
        return None

    def view(self, wants: str, names: tuple[str, ...] = (), waits: tuple[Wait, ...] = ()) -> View:
        cancelled = self.caught
        if self.raised is not None and not self.caught and wants != "return":
            wants, names, waits, cancelled = "return", (), (), True
        used, received = frozenset(self.keys.values()), frozenset(self.received.values())
        open_ = {self.keys[name] for _, name in waits if name in self.keys}
        held = received | open_
        stray = tuple(sorted(used - held))
        return View(wants, names, waits, tuple(self.got), used, received, stray, cancelled)


def _rewound(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    """Without the cancellation that a redrive forgot."""
    if ("rewind",) not in lines:
        return lines
    last = max(place for place, line in enumerate(lines) if line == ("rewind",))
    return tuple(line for place, line in enumerate(lines) if place > last or line != ("raise",))


@lru_cache(maxsize=200_000)
def view(ops: tuple[Op, ...], lines: tuple[Line, ...], apart: bool) -> View:
    """`apart`: an entry is consumed by one line and reaches the handler by another, the end of its wait."""
    walk = _Walk(_rewound(lines), apart)
    at = walk.at
    for kind, *rest in ops:
        if kind == "do":
            todo = tuple(name for name in rest if ("r", name) not in at)
            if todo:
                return walk.view("bodies", todo)
        elif kind == "once":
            if ("r", rest[0]) not in at and ("cut", rest[0]) not in at:
                return walk.view("once", (rest[0],))
        elif kind == "call":
            if ("called", rest[0]) not in at:
                return walk.view("call", (rest[0],))
            if ("end", "kid") not in at:
                return walk.view("waits", waits=(("callback", "kid"),))
        elif kind == "renew":
            return walk.view("renew")
        elif kind != "again" or rest[0] not in walk.received:
            waits = (("signal", rest[1]),) if kind == "again" else tuple(rest)
            left = walk.waits(kind, waits)
            if left is not None:
                return walk.view("waits", waits=left)
    return walk.view("return")
