"""Sagas whose compensations ran, for redrives: a line each, durable before the first compensation begins.

The line says what a saga contains: the operations, tasks and timers of its scope that came between its beginning and its end,
its compensations included. A redrive that forgets any of that forgets all of it, because what was undone must not count as
done. The exception is a rollback that stopped because a compensation failed: that compensation is tried again first.

Here the line of a saga has an id of its own, in the saga's scope, so that a failure can name the saga as its cause.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

from .events import FAILED, NO_PLACE, SUCCEEDED, UNDONE_ID, Event, picked_up
from .kinds import UNDONE
from .trails import Trails


class Extent(NamedTuple):
    """How much a scope had counted: operations, native tasks, native timers, calls in threads."""

    operations: int = 0
    tasks: int = 0
    timers: int = 0
    threads: int = 0


class Rollback(NamedTuple):
    """`id`: see `saga_id`. `undoing`: the position of the first compensation. `keys`: ids of the operations with a key, and
    `undo_keys` those of the compensations with one."""

    id: str
    begun: Extent
    ended: Extent
    undoing: int
    keys: tuple[str, ...]
    undo_keys: tuple[str, ...]

    def line(self, at: int) -> Event:
        row = [self.id, self.begun, self.ended, self.undoing, self.keys, self.undo_keys]
        text = json.dumps(row, ensure_ascii=False, separators=(",", ":"))
        return Event(UNDONE_ID, UNDONE, NO_PLACE, SUCCEEDED, 1, at, 0, text)


def saga_id(path: str, number: int, begun: Extent) -> str:
    """The id of the n-th saga of a scope. It contains where the saga began, so that a saga which new code adds or removes does
    not match another one's line."""
    return f"{path}$saga#{number}.{begun.operations}.{begun.tasks}"


def read(event: Event) -> Rollback:
    id, begun, ended, undoing, keys, undo_keys = json.loads(event.value)
    return Rollback(id, Extent(*begun), Extent(*ended), undoing, tuple(keys), tuple(undo_keys))


def named(event: Event) -> Event:
    """The line of a saga under the saga's own id; any other entry as it is."""
    if event.id != UNDONE_ID:
        return event
    id = read(event).id
    return Event(id, event.kind, NO_PLACE, event.status, event.attempt, event.at, event.due, event.value)


class Saga(NamedTuple):
    """A saga that was undone. `id`: its trail; `places`: of all its entries in the log; `undo`: of the entries of its
    compensations; `failed`: the ids of the compensations that failed."""

    id: str
    places: frozenset[int]
    undo: frozenset[int]
    failed: tuple[str, ...]


def sagas(events: list[Event]) -> list[Saga]:
    """The sagas that were undone. `events`: as `named` gives them."""
    lines = [event for event in events if event.kind == UNDONE]
    if not lines:
        return []
    trails = Trails(events)
    places: dict[str, int] = {}
    for event in events:
        places.setdefault(event.id, event.position)
    return [_found(read(line), events, trails, places) for line in lines]


def _found(saga: Rollback, events: list[Event], trails: Trails, positions: dict[str, int]) -> Saga:
    id = trails.of(saga.id)
    path = id[: id.rfind("/") + 1]
    there = {q: head for q, event in enumerate(events) if (head := _head(trails.of(event.id), path)) is not None}
    inside = frozenset(q for q, head in there.items() if _holds(saga, path, head, trails, positions))
    undo = frozenset(q for q in inside if _undoes(saga, events[q]) and trails.of(events[q].id) == path + there[q])
    failed = dict.fromkeys(events[q].id for q in sorted(undo) if (picked_up(events[q]) or events[q]).status == FAILED)
    return Saga(id, inside, undo, tuple(failed))


def _head(trail: str, path: str) -> str | None:
    return trail[len(path) :].partition("/")[0] if trail.startswith(path) else None


def _holds(saga: Rollback, path: str, head: str, trails: Trails, positions: dict[str, int]) -> bool:
    """Whether an entry directly in the saga's scope was made while the saga was open."""
    begun, ended = saga.begun, saga.ended
    if head.startswith("~") and head[1:].isdecimal():
        return begun.tasks < int(head[1:]) <= ended.tasks
    if head.startswith("$t"):
        return begun.timers < int(head[2:]) <= ended.timers
    if head.startswith("$x"):
        return begun.threads < int(head[2:]) <= ended.threads
    if head.startswith("$saga#"):
        return path + head == trails.of(saga.id)
    id = trails.id_of(path + head)
    position = positions.get(id, NO_PLACE)
    return id in saga.keys + saga.undo_keys if position == NO_PLACE else begun.operations <= position < ended.operations


def _undoes(saga: Rollback, event: Event) -> bool:
    return event.id in saga.undo_keys or saga.undoing <= event.position < saga.ended.operations


def touched(found: Iterable[Saga], gone: set[int]) -> list[Saga]:
    """The sagas of which an entry is forgotten."""
    return [saga for saga in found if not saga.places.isdisjoint(gone)]
