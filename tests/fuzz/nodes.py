"""What a seed stands for: a program made of nodes, and what happens to it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

Block = list["Node"]

LEAVES = (
    "step", "step", "step", "now", "draw", "sleep", "nap", "fail", "flaky", "late", "once", "thread", "signal", "signal",
    "callback", "poll", "call", "send", "status", "patched", "keyed", "by_time",
)  # fmt: skip
BRANCHING = ("child", "parallel", "parallel", "map", "race", "saga", "caught", "swallowed", "finally")
NATIVE_LEAVES = (
    "pause", "pause", "yield", "later", "soon", "set", "wait", "put", "get", "reminded", "shared", "stubborn", "to_thread",
    "raise",
)  # fmt: skip
NATIVE = (
    "gather", "gather", "settled", "group", "group", "spoiled", "wait_for", "timeout", "moved", "first", "first", "until_failed",
    "in_time", "shield", "completed", "locked", "limited", "condition", "dropped", "twice", "cleaning", "kept", "spawn",
    "generator",
)  # fmt: skip
WIDE = frozenset(
    {
        "parallel",
        "map",
        "race",
        "gather",
        "settled",
        "group",
        "spoiled",
        "first",
        "until_failed",
        "in_time",
        "completed",
    }
)
FANS = frozenset({"parallel", "map", "race"})
ONE_SIZE_FITS_ALL = (0, 0.2, 0.5, 1, 2, 3, 4, 6.5)
TIMELESS_LEAVES = ("step", "step", "sleep", "nap", "fail", "flaky", "thread", "poll", "call", "patched", "keyed")
TIMELESS = ("child", "parallel", "map", "saga", "caught", "finally")
TIMELESS_NATIVE_LEAVES = ("pause", "yield", "set", "put")
TIMELESS_NATIVE = ("gather", "settled", "group", "locked", "limited", "generator")
SHARING = frozenset(
    {"later", "soon", "set", "wait", "put", "get", "stubborn", "first", "until_failed", "in_time", "shield", "completed",
     "locked", "limited", "condition", "spawn", "dropped", "twice", "kept"}
)  # fmt: skip
"""Kinds by which a branch has effects in the memory of its siblings: then every branch must be walked again."""


@dataclass(frozen=True)
class Node:
    """One operation or construct. `number`: seconds, attempts or a limit, as its kind has it."""

    kind: str
    number: float = 0
    text: str = ""
    blocks: tuple[Block, ...] = ()
    width: int | None = None
    flag: bool = False


@dataclass(frozen=True)
class Case:
    """A program and what happens to it: at which point the process dies, when it is cancelled, which signals come."""

    program: Block
    dies_at: int | None = None
    always_suspend: bool = False
    cancelled_at: float | None = None
    signals: list[tuple[float, str, int]] = field(default_factory=list)
    timeout: float | None = None
    """`execution_timeout`, of each generation."""
    generations: int = 1
    eager: bool = False
    """With the eager task factory of Python 3.12."""
    virtual: bool = True
    """A clock that stands while bodies run; else it passes as the machine's does."""
    local: bool = True
    """The embedded journal; else one whose writes take time."""
    lambda_timeout: float = 900
    chance: int = 0
    """Of what differs between two runs of one program: how long bodies and writes take, how late messages are."""
    quick: bool = False
    """Bodies and writes take no time."""


def case(seed: int, *, native: bool) -> Case:
    chance = random.Random(seed)
    kinds = _Kinds(LEAVES, BRANCHING)
    if native and chance.random() < 0.85:
        kinds = _Kinds(LEAVES + 2 * NATIVE_LEAVES, BRANCHING + 2 * NATIVE)
    program = _program(chance, kinds)
    ends = chance.random() < 0.06
    return Case(
        program if not has(program, SHARING) else walked(program),
        always_suspend=chance.random() < 0.25,
        cancelled_at=chance.choice([None, None, 0.001, 0.3, 1, 2, 4.2, 6, 9, 20]),
        signals=[(chance.choice([0, 1, 2, 2.5, 4, 5, 8]), chance.choice("ab"), n) for n in range(chance.randint(0, 4))],
        timeout=chance.choice((2, 7, 20)) if chance.random() < 0.2 else None,
        generations=chance.choice((2, 2, 3)) if ends else 1,
        eager=chance.random() < 0.3,
        virtual=chance.random() < 0.3,
        local=chance.random() < 0.5,
        lambda_timeout=chance.choice((900, 900, 60, 14, 6)),
        chance=seed,
    )


def timeless(seed: int, *, native: bool) -> Case:
    """One that must end the same in one turn and in many: it does not depend on time, nor on who is first."""
    chance = random.Random(f"{seed} timeless")
    kinds = _Kinds(TIMELESS_LEAVES, TIMELESS)
    if native:
        kinds = _Kinds(TIMELESS_LEAVES + TIMELESS_NATIVE_LEAVES, TIMELESS + TIMELESS_NATIVE)
    return Case(walked(_program(chance, kinds)), virtual=chance.random() < 0.5, eager=chance.random() < 0.3, quick=True)


@dataclass(frozen=True)
class _Kinds:
    leaves: tuple[str, ...]
    nested: tuple[str, ...]


def _program(chance: random.Random, kinds: _Kinds) -> Block:
    return [_node(chance, chance.choice((1, 2, 2, 3)), kinds) for _ in range(chance.randint(1, 3))]


def _node(chance: random.Random, depth: int, kinds: _Kinds) -> Node:
    kind = chance.choice(kinds.leaves if depth == 0 else kinds.leaves + kinds.nested)
    blocks: tuple[Block, ...] = ()
    if kind in kinds.nested:
        count = chance.randint(1, 4) if kind in WIDE else 1
        most = 2 if kind in WIDE else 3
        blocks = tuple([_node(chance, depth - 1, kinds) for _ in range(chance.randint(1, most))] for _ in range(count))
    number, text = chance.choice(ONE_SIZE_FITS_ALL), chance.choice(("all", "settled", "one", "ratio"))
    if kind not in FANS:
        text = "a" if text in ("all", "one") else "b"
    return Node(kind, number, text, blocks, chance.choice((None, 1, 2)), chance.random() < 0.5)


def nodes(block: Block) -> Iterator[Node]:
    for node in block:
        yield node
        for inner in node.blocks:
            yield from nodes(inner)


def has(block: Block, kinds: frozenset[str]) -> bool:
    return any(node.kind in kinds for node in nodes(block))


def walked(block: Block) -> Block:
    """The same, and no branch says what it returns: each is walked again."""
    return [
        replace(
            node,
            blocks=tuple(walked(inner) for inner in node.blocks),
            flag=node.flag and node.kind not in FANS | {"child"},
        )
        for node in block
    ]
