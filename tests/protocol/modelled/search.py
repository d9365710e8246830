"""Breadth first through all states, and then whether an end can be reached from each of them."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from .world import World


class Found(NamedTuple):
    """How many states there are, and the shortest way to each kind of broken promise."""

    states: int
    ways: dict[str, list[str]]


def search(
    start: World,
    steps: Callable[[World], Iterator[tuple[str, bool, World]]],
    ended: Callable[[World], bool],
    *,
    first: bool,
    limit: int,
) -> Found:
    """`first`: only to the first broken promise. RuntimeError for more than `limit` states."""
    ids = {start: 0}
    parents, labels = array("l", [-1]), [""]
    back: list[list[int]] = [[]]  # by fair steps
    ends: list[int] = []
    bad: dict[str, int] = {}
    todo = deque([start])
    while todo:
        world = todo.popleft()
        me = ids[world]
        if world.bad:
            bad.setdefault(world.bad, me)
            ends.append(me)
            if first:
                break
            continue
        if ended(world):
            ends.append(me)
            if not world.invs and not world.late:
                continue
        for label, fair, after in steps(world):
            there = ids.get(after)
            if there is None:
                there = ids[after] = len(parents)
                if there > limit:
                    raise RuntimeError(f"more than {limit:,} states")
                parents.append(me)
                labels.append(label)
                back.append([])
                todo.append(after)
            if fair:
                back[there].append(me)
    ways = {what: _way(parents, labels, place) for what, place in bad.items()}
    if not (first and bad):
        stuck = _stuck(back, ends)
        if stuck is not None:
            ways["LIVE no fair run reaches an end"] = _way(parents, labels, stuck)
    return Found(len(ids), ways)


def _stuck(back: list[list[int]], ends: list[int]) -> int | None:
    """A state from which no end can be reached."""
    fine = bytearray(len(back))
    todo = list(ends)
    for place in todo:
        fine[place] = 1
    while todo:
        for place in back[todo.pop()]:
            if not fine[place]:
                fine[place] = 1
                todo.append(place)
    found = fine.find(0)
    return None if found < 0 else found


def _way(parents: array[int], labels: list[str], place: int) -> list[str]:
    way = []
    while place > 0:
        way.append(labels[place])
        place = parents[place]
    return way[::-1]
