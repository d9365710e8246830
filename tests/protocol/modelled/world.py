"""The states of the model."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

from .handler import Line

FREE, HELD, OVER = 0, 1, 2  # a lease: released, held, over
NOW, TIMER, LEASE = "now", "timer", "lease"  # due times; "" for none
LIVE: Final = frozenset({"PENDING", "RUNNING", "SUSPENDED"})
NOTHING: Final[frozenset[Any]] = frozenset()

Segment: TypeAlias = tuple[int, tuple[Line, ...]]
"""Writer and lines."""


class Execution(NamedTuple):
    """Header, log of the present generation, inbox; and what only an onlooker knows: `ran`, bodies with what they began with,
    `taken`, which wait the entries were handed to."""

    status: str = ""
    owner: int = 0
    lease: int = FREE
    died: bool = False  # whether the lease was over when its owner took it
    due: str = ""
    shown: str = ""  # `due` as the index has it
    passed: bool = False  # whether a sweeper that does not begin at the beginning has gone by
    n: int = 0
    gone: int = 0
    gen: int = 0
    log: tuple[Segment, ...] = ()
    inbox: frozenset[str] = NOTHING
    marks: frozenset[str] = NOTHING  # ids of signals that were accepted
    hidden: frozenset[str] = NOTHING  # in the inbox, and not shown to a Query yet
    tick: bool = False  # whether the time of its timer has come
    hinted: str = ""
    input: int = 0
    starter: int = 0
    revived: bool = False  # a redrive of it was accepted
    ran: frozenset[tuple[str, tuple[str, ...]]] = NOTHING
    taken: frozenset[tuple[str, int, str]] = NOTHING

    @property
    def live(self) -> bool:
        return self.status in LIVE

    @property
    def lines(self) -> tuple[Line, ...]:
        return tuple(line for _, lines in self.log for line in lines)


class Invocation(NamedTuple):
    """`pc`: the request or the kind of work that comes next. `lines` and `inbox` were read; `pending` is not written yet."""

    id: int
    ex: int
    pc: str
    early: bool = False  # its message came before its time
    gen: int = 0
    k: int = 0  # the next number
    lines: tuple[Line, ...] = ()
    pending: tuple[Line, ...] = ()
    inbox: frozenset[str] = NOTHING
    gone: int = 0
    promised: int = 0  # entries that the header counted when it was taken
    seen: int = 0  # entries in hand, and gone
    torn: bool = False  # the inbox was read before the header
    fence: bool = False
    marked: str = ""  # what it has made or marked itself
    hinted: str = ""
    late: bool = False  # it began after a cancellation
    retry: bool = False  # its request is sent a second time
    arg: Any = None


class World(NamedTuple):
    exs: tuple[Execution, ...]
    invs: tuple[Invocation, ...] = ()
    outs: tuple[tuple[int, bool], ...] = ()  # where each outsider is, and whether its request is sent again
    queue: tuple[tuple[int, str], ...] = ()
    late: tuple[Any, ...] = ()  # one request that is under way a second time
    faults: int = 0
    bad: str = ""
