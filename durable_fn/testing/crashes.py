"""crash_everywhere: one run per place where the process could die."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, NamedTuple, Self, TypeVar

from ..backends.ports import every
from ..core.function import DurableFunction
from ..core.step_options import is_async
from ..log.durations import milliseconds
from ..log.header import LIVE
from ..runtime.lambda_time import MOST_MS
from ..types import Duration
from .compared import UNDETERMINED, Facts, differences, facts_of, undetermined, walked_differently
from .ledger import Ledger, LedgerStore
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
    """What `crash_everywhere` found.

    ```python
    assert report.ok, str(report)  # the text names each crash point that went wrong, and what differed
    ```
    """

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


class _Plan(NamedTuple):
    """What all runs have in common."""

    handler: DurableFunction[Any, Any]
    others: tuple[DurableFunction[Any, Any], ...] = ()
    event: Any = None
    id: str | None = None
    drive: Callable[[Any, Any], object] | None = None
    check: Callable[[Any], object] | None = None
    setup: Callable[[], object] | None = None
    lambda_timeout_ms: int = 60_000
    jump: bool = True


class _Run(LocalRunner[E, R]):
    """A runner whose invocations die at one point. What the test itself asks for, by `client` and the runner's methods, does
    not. `late`: all wake-ups come as late as after a death."""

    def __init__(self, plan: _Plan, die_at: int | None, late: bool) -> None:
        super().__init__(plan.handler, *plan.others, now=EPOCH + timedelta(hours=7 * late))
        self._plan = plan
        self._in_order = True
        self._lambda_timeout = plan.lambda_timeout_ms / 1000
        self._late_ms = late * (plan.lambda_timeout_ms + 2 * self._journal.skew_ms + 1)
        self._punctual = not late
        self.execution: Execution[R]
        self.ledger = Ledger()
        watched: Any = LedgerStore(self._journal, self.ledger)
        self._client._executions.store = watched
        self.dying: Any = DyingStore(watched, die_at)
        self._backend.store, self._backend.hooks = self.dying, (*self._backend.hooks, self.ledger)
        self._backend.seed = "crash_everywhere"

    def __enter__(self) -> Self:
        return self

    def run_until_idle(self) -> None:
        self._punctual = not self._late_ms
        super().run_until_idle()

    def _wake(self, id: str) -> None:
        if not self._punctual:  # once for each pass: a ticker would never be idle
            self._punctual = True
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

    def drive(self) -> Execution[R]:
        """From the start to the end, or to where nobody helps it on."""
        plan = self._plan
        id = plan.id
        if id is None and plan.handler.execution_id is None:
            id = "crash-everywhere"  # the same in every run: other ids are made of it
        self.execution = execution = self.start(plan.event, id)
        self.go_on(execution)
        for _ in range(_MOST_DRIVES):
            if plan.drive is None or execution.status not in LIVE:
                return execution
            plan.drive(self, execution)
            self.go_on(execution)
        raise RuntimeError(f"execution {execution.id!r} is not finished after {_MOST_DRIVES} calls of `drive`")

    def go_on(self, execution: Execution[R]) -> None:
        if self._plan.jump:
            self.run_on(execution)
            return
        self.run_until_idle()
        while (end := self._end_of_a_lease()) is not None:
            self._clock.advance_to(end + 1)
            self.run_until_idle()

    def _end_of_a_lease(self) -> int | None:
        """Of an owner that died: nobody is asked for anything before somebody else can go on."""
        live = (header for header in every(self._store) if header.live)
        return min((header.lease for header in live if header.lease), default=None)


def crash_everywhere(
    handler: DurableFunction[E, R],
    event: E,
    *others: DurableFunction[Any, Any],
    id: str | None = None,
    drive: Callable[[LocalRunner[E, R], Execution[R]], object] | None = None,
    check: Callable[[Execution[R]], object] | None = None,
    setup: Callable[[], object] | None = None,
    lambda_timeout: Duration = 60,
    jump: bool = True,
) -> CrashReport:
    """Lets the process die before and after each write, once each, and compares what comes out.

    ```python
    report = crash_everywhere(order, {"total": "64.00"}, drive=answer, setup=shop.reset)
    assert report.ok, str(report)
    ```

    It runs twice without a crash, and once per crash point, and compares status, result, error, custom status, which
    steps succeeded how often, and how often their bodies ran. Two runs without a crash that differ in anything but time
    are a failure of their own ("not deterministic: ..."), and the only ones told.

    All runs have one id and draw the same (`ctx.uuid4`, `ctx.random`, tokens, keys, jitter). Branches, and bodies in
    threads, run one at a time, in their order: bodies must not wait for each other. What a body itself draws may
    differ, and what follows from it is not compared then; nor is what depends on time, or on which branch is first.
    Values are compared decoded.

    A body may run once more than without a crash, in the attempt that was in flight; never again once its success is
    recorded; and one that is `at_most_once` never twice in an attempt. A crash in such a body ends its step as
    StepInterrupted, rightly: that run must end, its bodies are counted, and the rest is not compared.

    Args:
        handler: The one that is run.
        event: What it gets.
        *others: Durable functions that it calls.
        id: The execution id. Default: one for all runs.
        drive: Brings what comes from outside, each time the execution idles: `drive(runner, execution)`. It must bear
            to be called again.
        check: Asserts more, of the first run and of each with a death. What it raises is a failure that names the crash
            point.
        setup: Is called before each run, to reset fakes.
        lambda_timeout: How long a death holds the lease, in seconds or as a `timedelta`: what goes on does so that much
            later. Default: 60 s.
        jump: False: the clock does not jump over timers, only `drive` moves it by `runner.advance`. For handlers that
            are never idle with it (a ticker), or whose timeouts must not end before `drive` was asked. Default: True.

    Returns:
        A CrashReport: `.ok`, `.crash_points`, `.failures`, and a text that names each crash point that went wrong.

    Raises:
        ValueError: A `lambda_timeout` of nothing, or above 15 minutes.
        Exception: What `drive`, or the runner, raises without a crash.
    """
    return crash_at(
        lambda _: True, handler, event, *others, id=id, drive=drive, check=check, setup=setup,
        lambda_timeout=lambda_timeout, jump=jump,
    )  # fmt: skip


def crash_at(
    chosen: Callable[[int], bool],
    handler: DurableFunction[E, R],
    event: E,
    *others: DurableFunction[Any, Any],
    id: str | None = None,
    drive: Callable[[LocalRunner[E, R], Execution[R]], object] | None = None,
    check: Callable[[Execution[R]], object] | None = None,
    setup: Callable[[], object] | None = None,
    lambda_timeout: Duration = 60,
    jump: bool = True,
) -> CrashReport:
    """`crash_everywhere` at the crash points that are chosen, by their numbers from 1 on."""
    timeout_ms = milliseconds(lambda_timeout, "lambda_timeout")
    if not 0 < timeout_ms <= MOST_MS:
        raise ValueError(f"lambda_timeout must be above 0 and at most 15 minutes, got {lambda_timeout!r}")
    _check_called(drive=drive, check=check, setup=setup)
    plan = _Plan(handler, others, event, id, drive, check, setup, timeout_ms, jump)
    first, points = _first(plan)
    unlike = [problem for problem in first.problems if problem.startswith(UNDETERMINED)]
    if unlike:
        return CrashReport(points, unlike)
    deaths = [_dying(plan, point, first) for point in filter(chosen, range(1, points + 1))]
    second, late = (
        _again(plan, late=False),
        _again(plan, late=True),
    )  # now, for a `check` that resets fakes is not asked of them
    unlike = undetermined(first, second)
    if unlike:
        return CrashReport(points, unlike)
    failures = [f"without a crash: {problem}" for problem in first.problems]
    return CrashReport(points, failures + [told for death in deaths for told in death.told(first, second, late)])


def _check_called(**given: object) -> None:
    """Raises TypeError for what would never run."""
    for name, function in given.items():
        if function is not None and (not callable(function) or is_async(function)):
            what = "an async function" if callable(function) else type(function).__name__
            raise TypeError(f"{name} must be a function that is called, not awaited; got {what}")


def _begin(plan: _Plan, die_at: int | None = None, *, late: bool = False) -> _Run[Any, Any]:
    if plan.setup is not None:
        plan.setup()
    return _Run(plan, die_at, late)


def _first(plan: _Plan) -> tuple[Facts, int]:
    """And how many crash points there are."""
    with _begin(plan) as run:
        execution = run.drive()
        facts = facts_of(run, execution, run.ledger)
        failure = _failure(plan, execution)  # before the code is walked again, which a fake may count
        if not facts.problems:
            facts.problems.extend(walked_differently(run))
        facts.problems.extend(failure)
        return facts, run.dying.requests


def _again(plan: _Plan, *, late: bool) -> Facts:
    """Nobody asks whether a run is right that is late, but how it differs."""
    with _begin(plan, late=late) as run:
        try:
            run.drive()
        except Exception:
            if not late:
                raise
        return facts_of(run, run.execution, run.ledger)


class _Death(NamedTuple):
    """How a run with a death came out. `facts`: None where it went no further. `problems`: in words."""

    where: str
    facts: Facts | None
    problems: list[str]

    def told(self, *whole: Facts) -> list[str]:
        found = [] if self.facts is None else differences(self.facts, *whole)
        return [f"dying {self.where}: {told}" for told in found + self.problems]


def _dying(plan: _Plan, point: int, reference: Facts) -> _Death:
    with _begin(plan, point) as run:
        facts: Facts | None = None
        try:
            execution = run.drive()
            facts = facts_of(run, execution, run.ledger)
            problems = _failure(plan, execution)
            if facts.interrupted - reference.interrupted:
                problems = []
        except Exception as error:
            problems = [*run.ledger.problems, f"{type(error).__name__}: {error}"]
        return _Death(run.dying.where or f"nowhere: crash point {point} was not reached", facts, problems)


def _failure(plan: _Plan, execution: Execution[Any]) -> list[str]:
    try:
        if plan.check is not None:
            plan.check(execution)
    except Exception as error:
        return [f"check failed: {type(error).__name__}: {error}"]
    return []
