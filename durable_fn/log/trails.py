"""Which native tasks called operations with a key. The ids leave that out, so that they stay the same when tasks change; but a
redrive has to know what ran beside what.

The trail of an id is the id with the tasks in it: "charge:7", called in the second task of the handler, has the trail
"~2/charge:7".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .events import Event
from .kinds import WAIT


def trail(id: str, asked: Mapping[str, str]) -> str:
    """`id`, or the path of a scope, with the tasks that called each part. `asked`: those tasks, by the id of an operation with
    a key."""
    if not asked or ":" not in id:
        return id
    parts, before = [], ""
    for part in id.split("/"):
        parts.append(asked.get(before + part, "") + part)
        before += f"{part}/"
    return "/".join(parts)


class Trails:
    """The trails of the operations in a log, and the ids for trails."""

    def __init__(self, events: Iterable[Event]) -> None:
        keyed = ((event.id, event.asked.partition(":")[0]) for event in events if event.asked)
        self._asked = {id: tasks for id, tasks in keyed if tasks}  # of the last call
        self._ids: dict[str, str] = {}

    def of(self, id: str) -> str:
        found = trail(id, self._asked)
        if found != id:
            self._ids[found] = id
        return found

    def id_of(self, trail: str) -> str:
        """The reverse of `of`."""
        return self._ids.get(trail, trail)

    def walked(self, event: Event) -> Event:
        """The entry under its trail. A wait names its callback in its value."""
        if not self._asked:
            return event
        value = self.of(event.value) if event.kind == WAIT else event.value
        return Event(
            self.of(event.id), event.kind, event.position, event.status, event.attempt, event.at, event.due, value, event.asked
        )  # fmt: skip
