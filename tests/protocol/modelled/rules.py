"""The rules of the protocol that the model can be searched without, and what shows that each is needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from .shapes import FRONTS, SHAPES, Fault, Front, Shape, waits

HANDS_OUT: Final = "a signal is consumed by the line that hands it out"
GIVES_BACK: Final = "what a loser consumed is given back by a line"
WRITTEN: Final = "what is handed out is written before what follows"
ACQUIRED_FIRST: Final = "acquire comes before the load"
STILL_MINE: Final = "what is loaded is still its own"

RULES: Final = (
    "a segment is put only where none stands",
    "acquire needs a lease that is over",
    "acquire needs a live execution",
    "acquire needs a due time that has come",
    "acquire keeps the due time",
    ACQUIRED_FIRST,
    STILL_MINE,
    "the header is read before the inbox",
    "what is in hand counts as seen",
    "what the log names counts as in hand",
    "a takeover writes a fence first",
    "who cannot go on leaves the lease as it was",
    "a look at the lease before a body",
    "a marker before a body that runs at most once",
    "every invocation has a writer id of its own",
    "a writer knows its own earlier success",
    "only the owner suspends",
    "nobody parks over something unseen",
    "a suspend writes the due time",
    "only the owner completes",
    "nobody completes over a cancellation unseen",
    "a timeout takes the answer's own key",
    "nothing is decided over something unseen",
    "an entry is not put before its bump",
    "a bump is not made before its entry",
    "a bump counts once",
    "a bump makes it due",
    "a bump makes it due though a time is set",
    "a start wants the id free",
    "a start compares the input",
    "a start makes it due",
    "a called execution is there before the line that says so",
    "an end and its notice are one request",
    "a notice makes it due",
    "an end does without a parent that is over",
    "the clock says that it is time, not the message",
    "one message for a due time",
    "the clock is read after the suspend",
    "the message goes after the state",
    "the sweeper sends what was lost",
    "the sweeper begins at the beginning",
    WRITTEN,
    HANDS_OUT,
    GIVES_BACK,
    "a termination puts a tombstone",
    "a tombstone and the end are one request",
    "a redrive makes it due",
    "a redrive forgets the owner",
    "a redrive's line and its new beginning are one request",
    "a fork's header goes last",
    "the id of a signal leaves a mark",
    "a mark and its entry are one request",
    "a mark outlives its entry",
    "consumed signals are deleted before the generation changes",
    "only the owner deletes what was consumed",
)
"""Each can be taken away by its name."""


class Proof(NamedTuple):
    """Without these rules a promise breaks: in this shape, with so many of these faults."""

    without: tuple[str, ...]
    breaks: str
    shape: Shape
    budget: int = 0
    faults: tuple[Fault, ...] = ()


_DUE: Final = "acquire needs a due time that has come"  # guards what others guard, too
_SWEEPER: Final = "the sweeper sends what was lost"


def _proofs() -> Iterator[Proof]:
    """In the order of RULES. Most need no messages."""
    quiet = {name: shape._replace(messages=False) for name, shape in SHAPES.items()}
    step, sleep, callback, child = (quiet[name] for name in ("step", "sleep", "callback", "child"))
    once, inputs, along = quiet["at most once"], quiet["two inputs"], waits("one read, one goes along", "async def")
    yield Proof(("a segment is put only where none stands",), "LINEAR", step, 1, ("zombie",))
    yield Proof(("acquire needs a lease that is over",), "RERUN", SHAPES["step"], 1, ("zombie",))
    yield Proof(("acquire needs a live execution", _DUE), "FINAL", SHAPES["step"])
    yield Proof((_DUE, "the clock says that it is time, not the message"), "EARLY", SHAPES["sleep"], 1, ("early",))
    yield Proof(("acquire keeps the due time",), "LIVE", step, 1, ("die",))
    yield Proof(("acquire comes before the load",), "RERUN", SHAPES["sleep"])
    yield Proof(("the header is read before the inbox",), "LIVE", callback)
    yield Proof(("what is in hand counts as seen",), "LIVE", callback, 1, ("hidden",))
    yield Proof(("what the log names counts as in hand",), "LIVE", along, 1, ("die",))
    yield Proof(("a takeover writes a fence first",), "RERUN", step, 1, ("zombie",))
    yield Proof(("who cannot go on leaves the lease as it was",), "RERUN", step, 1, ("zombie", "held"))
    yield Proof(("a look at the lease before a body",), "RERUN", step, 1, ("zombie",))
    yield Proof(("a marker before a body that runs at most once",), "TWICE", once, 1, ("die",))
    yield Proof(("every invocation has a writer id of its own",), "FENCE", step, 1, ("zombie",))
    yield Proof(("a writer knows its own earlier success",), "START", step, 1, ("lost",))
    yield Proof(("only the owner suspends",), "FENCE", callback, 1, ("zombie",))
    yield Proof(("nobody parks over something unseen",), "LIVE", callback)
    yield Proof(("a suspend writes the due time",), "LIVE", sleep)
    yield Proof(("only the owner completes",), "FENCE", step, 1, ("zombie",))
    yield Proof(("nobody completes over a cancellation unseen",), "ACCEPTED", quiet["cancel a run"])
    yield Proof(("a timeout takes the answer's own key",), "ACCEPTED", quiet["timeout"])
    in_time = waits("a signal in time or later", "async def")
    yield Proof(("nothing is decided over something unseen",), "ACCEPTED", in_time)
    yield Proof(("an entry is not put before its bump",), "LIVE", callback, 1, ("die",))
    yield Proof(("a bump is not made before its entry",), "LIVE", callback, 1, ("die",))
    yield Proof(("an entry is not put before its bump", "a bump counts once"), "LIVE", callback, 1, ("lost",))
    yield Proof(("a bump makes it due",), "LIVE", callback)
    yield Proof(("a bump makes it due though a time is set",), "LIVE", quiet["timeout years away"])
    yield Proof(("a start wants the id free",), "START", inputs)
    yield Proof(("a start compares the input",), "START", inputs)
    yield Proof(("a start makes it due",), "LIVE", step)
    yield Proof(("a called execution is there before the line that says so",), "LIVE", child, 1, ("die",))
    yield Proof(("an end and its notice are one request",), "LIVE", child, 1, ("die",))
    yield Proof(("a notice makes it due",), "LIVE", child)
    yield Proof(("an end does without a parent that is over", _SWEEPER), "LIVE", SHAPES["cancel a parent"])
    yield Proof(("one message for a due time",), "HINTS", SHAPES["sleep and a signal"])
    yield Proof(("the clock is read after the suspend", _SWEEPER), "LIVE", SHAPES["sleep and a signal"])
    yield Proof(("the message goes after the state", _SWEEPER), "LIVE", SHAPES["sleep"])
    yield Proof((_SWEEPER,), "LIVE", SHAPES["step"], 1, ("die",))
    yield Proof(("the sweeper begins at the beginning",), "LIVE", SHAPES["step"], 1, ("gone",))
    yield from _of_steering()
    yield from _of_signals()


def _of_steering() -> Iterator[Proof]:
    quiet = {name: shape._replace(messages=False) for name, shape in SHAPES.items()}
    yield Proof(("a termination puts a tombstone",), "FINAL", quiet["terminate"])
    yield Proof(("a tombstone and the end are one request",), "FINAL", quiet["terminate"])
    yield Proof((STILL_MINE,), "FINAL", quiet["terminate"], 1, ("zombie",))
    yield Proof(("a redrive makes it due",), "LIVE", quiet["cancel and redrive"])
    yield Proof(("a redrive forgets the owner",), "ACCEPTED", quiet["cancel and redrive"], 1, ("lost",))
    yield Proof(("a redrive's line and its new beginning are one request",), "ACCEPTED", quiet["cancel and redrive"])
    yield Proof(("a fork's header goes last",), "RERUN", quiet["fork"])


def _of_signals() -> Iterator[Proof]:
    twice = SHAPES["a signal sent twice"]._replace(messages=False)
    yield Proof(("the id of a signal leaves a mark",), "ONCE", twice)
    yield Proof(("a mark and its entry are one request",), "LIVE", twice, 1, ("die",))
    renewed = SHAPES["a signal sent twice over generations"]._replace(messages=False)
    yield Proof(("a mark outlives its entry",), "ONCE", renewed)
    for front in FRONTS:
        yield Proof((WRITTEN,), "REPLAY", waits("a timer is first", front), 1, ("die",))
    yield Proof((WRITTEN,), "REPLAY", waits("a wait is cancelled", "def"), 1, ("die",))
    fronts: tuple[tuple[str, Front], ...] = ((HANDS_OUT, "async def"), (GIVES_BACK, "def"))
    for rule, front in fronts:
        for name in ("a timer is first", "a callback is first", "two waits, one signal first", "a wait is cancelled"):
            yield Proof((rule,), "LIVE", waits(name, front))
        yield Proof((rule,), "LOST", waits("nobody asks again", front))
        yield Proof((rule,), "LOST", waits("a loser's signal goes along", front))
        along = waits("one read, one goes along", front)
        yield Proof(("consumed signals are deleted before the generation changes",), "ONCE", along)
    yield Proof(
        ("only the owner deletes what was consumed",),
        "LIVE",
        waits("one read, one goes along", "async def"),
        1,
        ("zombie",),
    )


PROOFS: Final = tuple(_proofs())
"""Every rule is in one, some with another that guards the same in these shapes."""
