"""crash_everywhere: one run per place where the process could die."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, NamedTuple, TypeVar

from ..core.function import DurableFunction
from ..log.header import LIVE
from .ledger import Body, Ledger, LedgerStore
from .runner import EPOCH, Execution, LocalRunner

E = TypeVar("E")
R = TypeVar("R")

_MOST_DRIVES: Final = 1000
_REQUESTS: Final = frozenset(
    {"acquire", "adopt", "append", "complete", "create", "decide", "deliver", "expire", "keep", "renew", "suspend"}
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
    """A runner whose invocations die at one point. What the test itself asks for, by `client` and the runner's methods, does
    not."""

    def __init__(
        self,
        handler: DurableFunction[E, R],
        others: tuple[DurableFunction[Any, Any], ...],
        die_at: int | None,
        late: bool,
    ) -> None:
        super().__init__(handler, *others, now=EPOCH + timedelta(hours=7 * late))
        self._late_ms = 1_000_000 * late
        self.ledger = Ledger()
        watched: Any = LedgerStore(self._journal, self.ledger)
        self._client._executions.store = watched
        self.dying: Any = DyingStore(watched, die_at)
        self._backend.store, self._backend.hooks = self.dying, (*self._backend.hooks, self.ledger)

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


class _Facts(NamedTuple):
    """How a run came out. `interrupted`: steps that ended as StepInterrupted."""

    compared: dict[str, Any]
    ended: bool
    interrupted: frozenset[str]
    bodies: Counter[Body]
    problems: list[str]


def crash_everywhere(
    handler: DurableFunction[E, R],
    event: E,
    *others: DurableFunction[Any, Any],
    id: str | None = None,
    drive: Callable[[LocalRunner[E, R], Execution[R]], object] | None = None,
    check: Callable[[Execution[R]], object] | None = None,
) -> CrashReport:
    """Runs once for the reference, then once per crash point (before and after each write of an invocation) with the process
    dying there, and compares status, result, which steps succeeded how often, and how often their bodies ran.

    A body may run once more than in the reference, in the attempt that was in flight; never again once its success is
    recorded; and one that is `at_most_once` never twice in an attempt. A crash at an `at_most_once` body ends that step as
    StepInterrupted, rightly: such a run must end, its bodies are counted, and the rest is not compared; `check` is called, and
    may fail.
    What depends on time is not compared: it differs between two runs without a crash, too, when all wake-ups come late.

    `drive` brings what comes from outside, each time the execution idles; it must tolerate being called again. `check` may
    assert more. Steps must be idempotent or fake.
    """
    return crash_at(lambda _: True, handler, event, *others, id=id, drive=drive, check=check)


def crash_at(
    chosen: Callable[[int], bool],
    handler: DurableFunction[E, R],
    event: E,
    *others: DurableFunction[Any, Any],
    id: str | None = None,
    drive: Callable[[LocalRunner[E, R], Execution[R]], object] | None = None,
    check: Callable[[Execution[R]], object] | None = None,
) -> CrashReport:
    """`crash_everywhere` at the crash points that are chosen, by their numbers from 1 on."""

    def once(die_at: int | None, late: bool = False) -> tuple[_Run[E, R], Execution[R], _Facts]:
        run = _Run(handler, others, die_at, late)
        with run:
            execution = _drive(run, event, id, drive)
            facts = _facts(run, execution)
            if check is not None:
                failure = _failure(check, execution, raises=die_at is None)
                if failure and not facts.interrupted - reference.interrupted:
                    facts.problems.append(failure)
            return run, execution, facts

    reference = _Facts({}, True, frozenset(), Counter(), [])
    run, _, reference = once(None)
    _, _, late = once(None, late=True)
    points, failures = run.dying.requests, [f"without a crash: {problem}" for problem in reference.problems]
    for point in filter(chosen, range(1, points + 1)):
        crashed, _, facts = once(point)
        where = crashed.dying.where or f"crash point {point} was not reached"
        failures += [f"dying {where}: {wrong}" for wrong in _differences(facts, reference, late)]
    return CrashReport(points, failures)


def _drive(
    run: _Run[E, R], event: E, id: str | None, drive: Callable[[LocalRunner[E, R], Execution[R]], object] | None
) -> Execution[R]:
    if id is None and run._handler.execution_id is None:
        id = "crash-everywhere"  # the same in every run: other ids are made of it
    execution = run.run(event, id)
    for _ in range(_MOST_DRIVES):
        if drive is None or execution.status not in LIVE:
            return execution
        drive(run, execution)
        run.run_on(execution)
    raise RuntimeError(f"execution {execution.id!r} is not finished after {_MOST_DRIVES} calls of `drive`")


def _failure(check: Callable[[Execution[R]], object], execution: Execution[R], *, raises: bool) -> str | None:
    """What fails after a crash is a line of the report; without one it is the test's own failure."""
    try:
        check(execution)
    except Exception as error:
        if raises:
            raise
        return f"check failed: {type(error).__name__}: {error}"
    return None


def _facts(run: _Run[Any, Any], execution: Execution[Any]) -> _Facts:
    info, history = run.client.describe(execution.id), execution.history
    succeeded = Counter(e.id for e in history if e.status == "SUCCEEDED" and e.kind != "execution")
    compared = {
        "the status": info.status,
        "the result": run._header(execution.id).result,
        "the error": (info.error or {}).get("error_type"),
        "the operations that succeeded": dict(succeeded),
    }
    return _Facts(
        compared, info.status not in LIVE, frozenset(run.ledger.interrupted), run.ledger.bodies, run.ledger.problems
    )


def _differences(facts: _Facts, reference: _Facts, late: _Facts) -> list[str]:
    wrong = list(facts.problems)
    for key, ran in facts.bodies.items():
        usual = max(reference.bodies[key], late.bodies[key], 1)
        if ran > usual + 1:
            wrong.append(f"the body of step {key.operation!r} of {key.id!r} ran {ran} times in attempt {key.attempt}")
    if facts.interrupted - reference.interrupted:
        return wrong if facts.ended or not reference.ended else [*wrong, "the execution did not end"]
    return wrong + [
        f"{key} is {facts.compared[key]!r} instead of {expected!r}"
        for key, expected in reference.compared.items()
        if expected == late.compared[key] and facts.compared[key] != expected
    ]
