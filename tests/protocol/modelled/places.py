"""Worlds with one thing changed."""

from __future__ import annotations

from .world import Invocation, World


def free_name(w: World) -> int:
    """The smallest that no invocation has."""
    return min(set(range(1, 9)) - {v.id for v in w.invs})


def with_invocation(w: World, v: Invocation) -> World:
    return w._replace(invs=tuple(sorted((*w.invs, v))))


def put(w: World, v: Invocation) -> World:
    return w._replace(invs=tuple(v if x.id == v.id else x for x in w.invs))


def moved_on(w: World, j: int, place: int, *, again: bool = False) -> World:
    """The outsider `j` has come to this place."""
    return w._replace(outs=(*w.outs[:j], (place, again), *w.outs[j + 1 :]))
