"""The executions that the model searches, and the faults that befall them."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from .handler import Op, Program

Fault: TypeAlias = Literal["die", "lost", "copy", "zombie", "twice", "early", "gone", "hidden", "held"]
FAULTS: Final[tuple[Fault, ...]] = ("die", "lost", "zombie", "twice", "early", "gone", "hidden", "held")
"""All but "copy", which makes the largest graphs; see tests/protocol/model.py for what they are."""
SHORT: Final[tuple[Fault, ...]] = ("die", "lost", "zombie")


class Shape(NamedTuple):
    """`program`: of the execution, and of the one that it calls. `outs`: what comes from outside. `front`: on "def" a wait
    consumes an entry on its thread, and its end comes later; on "async def" the line that consumes it hands it out.
    `messages`: whether queue, index and sweeper are modelled; without them whoever is due is taken at once."""

    program: tuple[Program, Program]
    outs: tuple[tuple[str, str], ...]
    front: Literal["def", "async def"] = "async def"
    messages: bool = True
    far: bool = False  # its timer is years away


START: Final = ("start", "1")
ID1, ID2 = ("in", "sig1 id"), ("in", "sig2 id")  # one signal, sent twice with the same id
SIG1, SIG2, CANCEL = ("in", "sig1"), ("in", "sig2"), ("in", "cancel")


def _one(*ops: Op, outs: tuple[tuple[str, str], ...] = (), child: tuple[Op, ...] = (), far: bool = False) -> Shape:
    return Shape(((ops,), (child,)), (START, *outs), far=far)


SHAPES: Final[dict[str, Shape]] = {
    "step": _one(("do", "a")),
    "sleep": _one(("do", "a"), ("first", ("timer", "t")), ("do", "b")),
    "callback": _one(("first", ("callback", "c")), ("do", "b"), outs=(("in", "c"),)),
    "timeout": _one(("first", ("patient", "c")), outs=(("in", "c"),)),
    "timeout years away": _one(("first", ("patient", "c")), outs=(("in", "c"),), far=True),
    "signal": _one(("first", ("signal", "x")), ("do", "b"), outs=(SIG1,)),
    "a signal sent twice": _one(("first", ("signal", "x")), ("do", "b"), outs=(ID1, ID2)),
    "a signal sent twice over generations": Shape(
        (((("first", ("signal", "x")), ("renew",)), (("do", "b"),)), ((),)), (START, ID1, ID2)
    ),
    "sleep and a signal": _one(("first", ("timer", "t")), outs=(SIG1,)),
    "two signals": _one(("first", ("signal", "x")), ("do", "b"), outs=(SIG1, SIG2)),
    "parallel": _one(("do", "a", "b")),
    "child": _one(("call", "k"), child=(("do", "c"),)),
    "cancel a run": _one(("do", "a"), ("do", "b"), outs=(CANCEL,)),
    "cancel a wait": _one(("first", ("callback", "never")), outs=(CANCEL,)),
    "cancel a parent": _one(("call", "k"), outs=(CANCEL,), child=(("do", "c"),)),
    "at most once": _one(("once", "m"), ("do", "b")),
    "terminate": _one(("do", "a"), ("do", "b"), outs=(("terminate", ""),)),
    "terminate and redrive": _one(("do", "a"), ("do", "b"), outs=(("terminate", ""), ("redrive", ""))),
    "cancel and redrive": _one(("do", "a"), ("do", "b"), outs=(CANCEL, ("redrive", ""))),
    "fork": _one(("do", "a"), ("do", "b"), child=(("do", "a"), ("do", "b")), outs=(("fork", ""),)),
    "two inputs": _one(("do", "a"), outs=(("start", "2"),)),
    "direct": Shape((((("do", "a"), ("first", ("timer", "t"))),), ((),)), (("direct", "1"), ("start", "2"))),
}
"""Shapes of the whole protocol."""

_WAITS: Final[dict[str, tuple[Program, tuple[tuple[str, str], ...]]]] = {
    "a timer is first": (
        ((("first", ("signal", "x"), ("timer", "t")), ("do", "a"), ("again", "x", "y"), ("do", "b")),),
        (SIG1,),
    ),
    "nobody asks again": (
        ((("first", ("signal", "x"), ("timer", "t")), ("do", "b")),),
        (SIG1,),
    ),
    "a callback is first": (
        ((("first", ("signal", "x"), ("callback", "c")), ("again", "x", "y"), ("do", "b")),),
        (SIG1, ("in", "c")),
    ),
    "two waits, one signal first": (
        ((("first", ("signal", "x"), ("signal", "y")), ("first", ("signal", "z")), ("do", "b")),),
        (SIG1, SIG2),
    ),
    "two waits get both": (
        ((("all", ("signal", "x"), ("signal", "y")), ("do", "b")),),
        (SIG1, SIG2),
    ),
    "a wait is cancelled": (
        ((("caught", ("signal", "x")), ("again", "x", "y"), ("do", "b")),),
        (SIG1, CANCEL),
    ),
    "a signal in time or later": (
        ((("first", ("limited", "x")), ("again", "x", "y"), ("do", "b")),),
        (SIG1,),
    ),
    "an unread signal goes along": (
        ((("do", "a"), ("renew",)), (("first", ("signal", "y")), ("do", "b"))),
        (SIG1,),
    ),
    "one read, one goes along": (
        ((("first", ("signal", "x")), ("renew",)), (("first", ("signal", "y")), ("do", "b"))),
        (SIG1, SIG2),
    ),
    "a loser's signal goes along": (
        (
            (("first", ("signal", "x"), ("timer", "t")), ("renew",)),
            (("first", ("signal", "y")), ("do", "b")),
        ),
        (SIG1, SIG2),
    ),
}
Front: TypeAlias = Literal["def", "async def"]
FRONTS: Final[tuple[Front, ...]] = ("async def", "def")


def waits(name: str, front: Literal["def", "async def"], *, messages: bool = False) -> Shape:
    """Shapes in which waits for signals lose, or a signal is left over."""
    program, outs = _WAITS[name]
    return Shape((program, ((),)), (START, *outs), front, messages)


WAITS: Final = tuple(_WAITS)
