"""A smaller case that goes wrong the same way."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.fuzz.checks import Check, problems
from tests.fuzz.nodes import WIDE, Block, Case, Node

MOST_TRIES = 3000
_KIND = 30
"""Letters of a problem that tell its kind."""


def smallest(case: Case, front: str, wrong: str) -> Case:
    """That goes wrong as this one does, perhaps by a death at another point."""
    kind = _kind(wrong)

    def goes_wrong(candidate: Case) -> Case | None:
        if candidate.dies_at is None:
            return candidate if _is(kind, candidate, front) else None
        check = Check(replace(candidate, dies_at=None), front)
        check.run(0)
        for dies_at in range(1, check.points + 1):
            if _is(kind, replace(candidate, dies_at=dies_at), front):
                return replace(candidate, dies_at=dies_at)
        return None

    return shrunk(case, goes_wrong)


def _kind(problem: str) -> str:
    return re.sub(r"\d+", "0", problem)[:_KIND]


def _is(kind: str, case: Case, front: str) -> bool:
    try:
        return any(_kind(problem) == kind for problem in problems(case, front, most=60))
    except Exception:
        return False


def shrunk(case: Case, goes_wrong: Callable[[Case], Case | None]) -> Case:
    """As small as single steps make it."""
    tries, smaller = 0, True
    while smaller and tries < MOST_TRIES:
        smaller = False
        for candidate in _candidates(case):
            tries += 1
            found = goes_wrong(candidate)
            if found is not None:
                case, smaller = found, True
                break
    return case


def _candidates(case: Case) -> Iterator[Case]:
    for field, simple in (
        ("dies_at", None), ("always_suspend", False), ("cancelled_at", None), ("timeout", None), ("generations", 1),
        ("eager", False), ("virtual", True), ("local", True), ("lambda_timeout", 900), ("quick", True),
    ):  # fmt: skip
        if getattr(case, field) != simple:
            yield replace(case, **{field: simple})
    for n in range(len(case.signals)):
        yield replace(case, signals=case.signals[:n] + case.signals[n + 1 :])
    for block in _smaller(case.program):
        yield replace(case, program=block)


def _smaller(block: Block) -> Iterator[Block]:
    for n, node in enumerate(block):
        before, after = block[:n], block[n + 1 :]
        if len(block) > 1:
            yield before + after
        for inner in node.blocks:
            yield before + inner + after
        for smaller in _smaller_node(node):
            yield [*before, smaller, *after]
        if not node.blocks and node.kind not in ("step", "yield"):
            yield [*before, Node("step"), *after]


def _smaller_node(node: Node) -> Iterator[Node]:
    if node.width is not None:
        yield replace(node, width=None)
    if node.flag:
        yield replace(node, flag=False)
    for n, inner in enumerate(node.blocks):
        if node.kind in WIDE and len(node.blocks) > 1:
            yield replace(node, blocks=node.blocks[:n] + node.blocks[n + 1 :])
        for smaller in _smaller(inner):
            yield replace(node, blocks=(*node.blocks[:n], smaller, *node.blocks[n + 1 :]))
