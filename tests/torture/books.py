"""The books of what really happened outside, kept by nobody who knows the SDK's log: what bodies did, by idempotency key, and
which of it the table took. And the judge who reads them.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from durable_fn import current_step
from durable_fn.core.current import running_arguments
from durable_fn.hooks import AttemptInfo, Hooks
from durable_fn.testing.plain import as_text
from tests.torture.emulator.expressions import Item

LIVE = frozenset({"PENDING", "RUNNING", "SUSPENDED"})
_FINAL = frozenset("SF")


class Note(NamedTuple):
    """One thing that a body did. `value`: what it answered, which no other did."""

    execution: str
    key: str
    what: str
    args: tuple[Any, ...]
    value: str


NOTES: list[Note] = []
"""Of one life. Whoever begins one clears it."""


def note(what: str, *args: Any) -> str:
    """The body of a step: an effect that the books know of."""
    info = current_step()
    value = f"{what}#{len(NOTES)}"
    NOTES.append(Note(info.execution_id, info.idempotency_key, what, args, value))
    return value


async def a_note(what: str, *args: Any) -> str:
    """As `note`."""
    return note(what, *args)


class Judge(Hooks):
    """`problems`: in words. As a hook it is told of each body; as a watcher of the table, of each item that is stored."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.bodies: Counter[str] = Counter()
        self.segments = 0  # that were stored
        self.fences: Counter[str] = Counter()  # in a row, at the end of each log
        self.on_body: Any = None
        self._asked: dict[str, str] = {}
        self._keys: dict[tuple[str, str], str] = {}  # of the body that ran last, by execution and operation
        self._committed: set[str] = set()
        self._marked: Counter[tuple[str, int]] = Counter()
        self._marks: set[tuple[str, str, int]] = set()
        self._redriven: set[str] = set()
        self._generations: Counter[tuple[str, str]] = Counter()  # the newest, by execution and run

    # -- bodies ----------------------------------------------------------------------------------------------------

    def attempt(self, info: AttemptInfo, /) -> AbstractContextManager[object]:
        return self._body(info)

    @contextlib.contextmanager
    def _body(self, info: AttemptInfo) -> Iterator[None]:
        self.on_body(f"body {info.operation_id}")
        key, place = info.idempotency_key, (info.execution_id, info.operation_id)
        self.bodies[key] += 1
        self._keys[place] = key
        args, kwargs = running_arguments.get()
        asked = as_text((args, kwargs))
        if key in self._committed:
            self.problems.append(f"REPEATED {place} ran again after its end was stored")
        if self._asked.setdefault(key, asked) != asked:
            self.problems.append(f"REVOKED {place} began with {self._asked[key]}, and then with {asked}")
        if (*place, info.attempt) in self._marks:
            self._marked[key, info.attempt] += 1
            if self._marked[key, info.attempt] > 1:
                self.problems.append(f"TWICE {place} is at most once, and ran twice")
        yield
        self.on_body(f"end of body {info.operation_id}")

    # -- the table -------------------------------------------------------------------------------------------------

    def stored(self, before: Item | None, after: Item | None) -> None:
        sk = (after or before or {})["sk"]["S"]
        if sk.startswith("L#") and after is not None:
            if before is not None and before["b"] != after["b"]:
                self.problems.append(f"LINEAR the segment {sk} was written over")
            elif before is None and "S" in after["b"] and not self._is_late(after["pk"]["S"], sk):
                self._segment(after["pk"]["S"], after["b"]["S"])
        elif sk == "H" and before is not None and after is not None:
            self._header(before, after)

    def _is_late(self, id: str, sk: str) -> bool:
        """Whether it is a copy of a request of a generation that has ended, whose items are gone: nobody reads it. In the next
        generation the operations have the same ids, and are others."""
        _, run, generation, _ = sk.split("#")
        newest = self._generations[id, run]
        if int(generation) > newest:
            self._generations[id, run] = int(generation)
            self._keys = {place: key for place, key in self._keys.items() if place[0] != id}
            self._marks = {mark for mark in self._marks if mark[0] != id}
        return int(generation) < newest

    def _segment(self, id: str, text: str) -> None:
        self.segments += 1
        for line in text.split("\n"):
            operation, kind, _, status, attempt, *_ = line.split("\t")
            self.fences[id] = self.fences[id] + 1 if not operation else 0
            if operation == "$rewind":
                self._redriven.add(id)
            if kind != "step":
                continue
            if status == "B":
                self._marks.add((id, operation, int(attempt)))
            elif status in _FINAL and (id, operation) in self._keys:
                self._committed.add(self._keys[id, operation])

    def _header(self, before: Item, after: Item) -> None:
        id, ended = before["pk"]["S"], before["status"]["S"] not in LIVE
        revived = ended and after["status"]["S"] in LIVE and before["run"] == after["run"]
        if revived and id not in self._redriven:
            self.problems.append(f"FINAL {id} had ended, and lives")
