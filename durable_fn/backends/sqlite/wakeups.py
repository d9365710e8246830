"""No messages: the poll is the timer."""

from __future__ import annotations

from ...errors import UnknownFunction
from ...log.ids import NO_RULE
from ...log.wake import Wake
from .store import SQLiteStore


class PollingWakeups:
    """SQLite's index is never stale, so a poll of it is the timer and no message is needed. Functions are known by the names that
    whoever runs them has written into the journal; without `store` every name is."""

    def __init__(self, store: SQLiteStore | None = None) -> None:
        self._store = store
        self._served: dict[str, str] = {}  # with their rules

    def serve(self, fn: str, id_rule: str = "") -> None:
        """Makes its name known, once per process. There are no queues."""
        if self._store is not None and self._served.get(fn) != id_rule:
            self._served[fn] = id_rule
            if self._store.id_rule(fn) != id_rule:
                self._store.register(fn, "", id_rule)

    def check(self, fn: str, *, given: bool) -> None:
        if given or self._store is None or fn in self._served or self._store.locate(fn) is not None:
            return
        known = tuple(self._store.functions())
        raise UnknownFunction(
            f"no durable function {fn!r} is known: no worker or runner of this journal has it. Known: "
            f"{', '.join(map(repr, known[:20])) or 'none'}. Correct the name, start a worker for it first, or hand over "
            "the function "
            "instead of its name",
            name=fn,
            known=known,
        )

    def id_rule(self, fn: str) -> str | None:
        if self._store is None:
            return NO_RULE
        served = self._served.get(fn)
        return self._store.id_rule(fn) if served is None else served

    def forward(self, hint: Wake) -> None:
        """Nothing: the poll of the other function finds it."""

    def send(self, hint: Wake, now: int) -> None:
        """Nothing: whoever polls finds the execution by its due time."""

    def send_all(self, hints: list[Wake]) -> list[tuple[Wake, Exception]]:
        """Nothing, as `send`."""
        return []
