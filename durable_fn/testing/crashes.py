"""crash_everywhere: one run per place where the process could die."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, TypeVar

from ..handler import DurableFunction
from .runner import EPOCH, Execution, LocalRunner

E = TypeVar("E")
R = TypeVar("R")

_MOST_DRIVES: Final = 1000
_REQUESTS: Final = frozenset(
    {"acquire", "append", "complete", "create", "decide", "deliver", "expire", "keep", "renew", "suspend"}
)
"""What an invocation writes. Around a read a death is the same as after the write before it."""


class SimulatedDeath(BaseException):
    """The process dies here. Not an Exception: nobody handles it."""


class DyingStore:
    """A journal whose caller dies before or after one of its requests, and stays dead until `come_back`. Only an invocation
    dies, not who looks at it from outside: `invoked` tells."""

    def __init__(self, store: Any, die_at: int | None) -> None:
        self._store = store
        self._die_at = die_at
        self.invoked = False
        self.requests = 0
        self.dead = False
        self.where = ""

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._store, name)
        if not self.invoked or name not in _REQUESTS:
            return attribute

        def request(*args: Any, **kwargs: Any) -> Any:
            self._point(f"before {name}")
            reply = attribute(*args, **kwargs)
            self._point(f"after {name}")
            return reply

        return request

    def _point(self, where: str) -> None:
        if self.dead:
            raise SimulatedDeath(self.where)
        self.requests += 1
        if self.requests == self._die_at:
            self.dead = True
            self.where = f"{where} (crash point {self.requests})"
            raise SimulatedDeath(self.where)

    def come_back(self) -> None:
        self.dead = False


class CrashReport:
    """`assert report.ok, report`: the text names each crash point that went wrong and what differed."""

    def __init__(self, crash_points: int, failures: list[str]) -> None:
        self._crash_points = crash_points
        self._failures = failures

    @property
    def ok(self) -> bool:
        return not self._failures

    @property
    def crash_points(self) -> int:
        return self._crash_points

    @property
    def failures(self) -> list[str]:
        return list(self._failures)

    def __repr__(self) -> str:
        head = f"{self.crash_points} crash points, {len(self._failures)} went wrong"
        return "\n".join([head, *(f"- {failure}" for failure in self._failures)])


class _Run(LocalRunner[E, R]):
    """A runner whose process dies at one point, and whose randomness is the same every time."""

    def __init__(
        self,
        handler: DurableFunction[E, R],
        others: tuple[DurableFunction[Any, Any], ...],
        die_at: int | None,
        late: bool,
    ) -> None:
        super().__init__(handler, *others, now=EPOCH + timedelta(hours=7 * late))
        self._late_ms = 1_000_000 * late
        self.dying = DyingStore(self._journal, die_at)
        self._backend.store = self.dying

    def _wake(self, id: str) -> None:
        self._clock.advance_to(self._clock.now() + self._late_ms)
        self.dying.invoked = True
        try:
            super()._wake(id)
        except BaseException:  # a death in a step body may come wrapped in an exception group
            if not self.dying.dead:
                raise
            self.dying.come_back()
        finally:
            self.dying.invoked = False


def crash_everywhere(
    handler: DurableFunction[E, R],
    event: E,
    *others: DurableFunction[Any, Any],
    id: str | None = None,
    drive: Callable[[LocalRunner[E, R], Execution[R]], object] | None = None,
    check: Callable[[Execution[R]], object] | None = None,
) -> CrashReport:
    """Runs once for the reference, then once per crash point (before and after each write) with the process dying there,
    and compares status, result and which steps succeeded how often.

    What depends on time is not compared: it differs between two runs without a crash, too, when all wake-ups come late. `drive`
    brings what comes from outside, each time the execution idles; it must tolerate being called again. `check` may
    assert more. Steps must be idempotent or fake.
    """

    def once(die_at: int | None, late: bool = False) -> tuple[_Run[E, R], dict[str, Any]]:
        run = _Run(handler, others, die_at, late)
        with run:
            execution = _drive(run, event, id, drive)
            if check is not None:
                check(execution)
            return run, _facts(execution)

    run, expected = once(None)
    _, late = once(None, late=True)
    comparable = [key for key in expected if expected[key] == late[key]]
    points, failures = run.dying.requests, []
    for point in range(1, points + 1):
        crashed, facts = once(point)
        where = crashed.dying.where or f"crash point {point} was not reached"
        failures += [
            f"dying {where}: {key} is {facts[key]!r} instead of {expected[key]!r}"
            for key in comparable
            if facts[key] != expected[key]
        ]
    return CrashReport(points, failures)


def _drive(
    run: _Run[E, R], event: E, id: str | None, drive: Callable[[LocalRunner[E, R], Execution[R]], object] | None
) -> Execution[R]:
    execution = run.run(event, id)
    for _ in range(_MOST_DRIVES):
        if drive is None or execution.status not in ("PENDING", "RUNNING", "SUSPENDED"):
            return execution
        drive(run, execution)
        run.run_on(execution)
    raise RuntimeError(f"execution {execution.id!r} is not finished after {_MOST_DRIVES} calls of `drive`")


def _facts(execution: Execution[Any]) -> dict[str, Any]:
    info = execution._runner.client.describe(execution.id)
    succeeded = Counter(
        event.id for event in execution.history if event.status == "SUCCEEDED" and event.kind != "execution"
    )
    header = execution._runner._header(execution.id)
    return {
        "the status": info.status,
        "the result": header.result,
        "the error": (info.error or {}).get("error_type"),
        "the operations that succeeded": dict(succeeded),
    }
