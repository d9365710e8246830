"""A backend that fails by plan, for people who write backends or want to see what a bad day does."""

from __future__ import annotations

import random
from typing import Any, Final

from ..backends.ports import Backend, JournalStore, Wakeups
from ..log.wake import Wake

_NO_REQUESTS: Final = frozenset({"executions", "close", "fits"})


class LostReply(ConnectionError):
    """The write was made, and nobody was told."""


class Throttled(ConnectionError):
    """Nothing was done."""


class _FaultyStore:
    """Each request may be refused, or be done without an answer."""

    def __init__(self, store: JournalStore, chance: random.Random, lost_reply: float, throttled: float) -> None:
        self._store = store
        self._chance = chance
        self._lost_reply = lost_reply
        self._throttled = throttled

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._store, name)
        if not callable(attribute) or name in _NO_REQUESTS:
            return attribute

        def request(*args: Any) -> Any:
            if self._chance.random() < self._throttled:
                raise Throttled(f"{name} was throttled")
            reply = attribute(*args)
            if self._chance.random() < self._lost_reply:
                raise LostReply(f"the reply of {name} was lost")
            return reply

        return request


class _FaultyWakeups:
    """Each message may be lost."""

    def __init__(self, wakeups: Wakeups, chance: random.Random, lost_hint: float) -> None:
        self._wakeups = wakeups
        self._chance = chance
        self._lost_hint = lost_hint

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wakeups, name)

    def send(self, hint: Wake, now: int) -> None:
        if self._chance.random() >= self._lost_hint:
            self._wakeups.send(hint, now)


class FaultyBackend(Backend):
    """Wraps a backend; loses replies, throttles and loses messages by plan. The same seed gives the same faults for the same
    requests.

    ```python
    client = DurableClient(FaultyBackend(runner.backend, seed=1, lost_reply=0.4))
    ```

    Args:
        backend: The one that is asked, where nothing is lost.
        seed: Of the chances. Default: 0.
        lost_reply: The chance from 0.0 to 1.0 that a request is made and raises ConnectionError. Default: never.
        throttled: That it is not made, and raises ConnectionError. Default: never.
        lost_hint: That a wake message is lost. Default: never.

    Raises:
        TypeError: `backend` is none.
        ValueError: A chance below 0 or above 1.
    """

    def __init__(
        self, backend: object, *, seed: int = 0, lost_reply: float = 0.0, throttled: float = 0.0, lost_hint: float = 0.0
    ) -> None:
        if not isinstance(backend, Backend):
            raise TypeError(f"FaultyBackend wraps a Backend, not {type(backend).__name__}")
        for name, value in (("lost_reply", lost_reply), ("throttled", throttled), ("lost_hint", lost_hint)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is a chance from 0.0 to 1.0, got {value!r}")
        chance = random.Random(seed)
        store: Any = _FaultyStore(backend.store, chance, lost_reply, throttled)
        wakeups: Any = _FaultyWakeups(backend.wakeups, chance, lost_hint)
        super().__init__(store, wakeups, backend.clock, backend.kind, backend.hooks, backend.seed)
