"""A smaller program that goes wrong the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.fronts.programs import WIDE, Block, Case, Node

MOST_TRIES = 1500


def shrunk(case: Case, goes_wrong: Callable[[Case], bool]) -> Case:
    """As small as single steps make it."""
    tries, smaller = 0, True
    while smaller and tries < MOST_TRIES:
        smaller = False
        for candidate in _candidates(case):
            tries += 1
            if goes_wrong(candidate):
                case, smaller = candidate, True
                break
    return case


def _candidates(case: Case) -> Iterator[Case]:
    if case.dies_at is not None:
        yield replace(case, dies_at=None)
    if case.always_suspend:
        yield replace(case, always_suspend=False)
    if case.cancelled_at is not None:
        yield replace(case, cancelled_at=None)
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
        if not node.blocks and node.kind != "step":
            yield [*before, Node("step"), *after]


def _smaller_node(node: Node) -> Iterator[Node]:
    for n, inner in enumerate(node.blocks):
        if node.kind in WIDE and len(node.blocks) > 1:
            yield replace(node, blocks=node.blocks[:n] + node.blocks[n + 1 :])
        for smaller in _smaller(inner):
            yield replace(node, blocks=(*node.blocks[:n], smaller, *node.blocks[n + 1 :]))
