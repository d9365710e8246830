"""What both contexts share: identity, logger, draws, and the scope of the running branch."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from datetime import datetime
from typing import Any, NoReturn
from uuid import UUID

from ..core import lazily
from ..core.current import FieldLogger, MisplacedCall, current_scope, running_step
from ..core.operations import draws
from ..core.scope import Op, OpenSaga, Scope
from ..core.step_options import StepPlan, callable_name, plan_of
from ..core.turn import Turn
from ..errors import CompensationError, ExecutionCancelled, NonDeterminismError, StepError
from ..log import origins
from ..log.events import component, key_component
from ..types import LambdaContext
from ..values.documents import unmarked
from ..values.parts import class_name
from ..values.plain import to_plain_json


class ReplaySilentLogger(FieldLogger):
    """Logs nothing during a replay, so that each line is logged once."""

    def __init__(self, turn: Turn) -> None:
        super().__init__(logging.getLogger(f"durable_fn.handler.{turn.header.fn}"), {})
        self._turn = turn

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802
        return self.logger.isEnabledFor(level) and not is_replaying(self._turn)

    def process(self, msg: object, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        scope = current_scope.get()
        fields = {"execution_id": self._turn.header.id, "operation_id": scope.path.rstrip("/") if scope else ""}
        kwargs["extra"] = {**fields, **(kwargs.get("extra") or {})}
        return msg, kwargs


def is_replaying(turn: Turn) -> bool:
    """Whether the running code has been here before. If not, it counts as having logged something here."""
    if running_step.get() is not None:
        return False  # a step body never runs in a replay
    scope: Scope | None = current_scope.get()
    if scope is None or scope.turn is not turn:
        return turn.replays()
    if turn.replays(scope):
        return True
    if turn.front is None:
        turn.walks.say(scope)
    return False


Undo = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]


class BaseSaga:
    """The compensations of a saga, and the failures of those that ran."""

    def __init__(self, ctx: BaseContext) -> None:
        self._context = ctx
        self._undo: list[Undo] = []
        self._failures: list[StepError] = []
        self._open: OpenSaga | None = None

    def _begin(self) -> None:
        self._open = OpenSaga(self._context._scope("saga"))

    def _add(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not callable(fn):
            raise TypeError(f"a compensation is a function and its arguments, got {type(fn).__name__}")
        self._context._checked(plan_of(fn))
        self._undo.append((fn, args, kwargs))

    def _id_of(self, fn: Callable[..., Any]) -> str:
        """The id of the compensation that comes next."""
        scope, plan = self._context._scope("saga"), plan_of(fn)
        return scope.next_id(plan.component) if plan.key is None else _keyed(scope, plan)

    def _failed(self, fn: Callable[..., Any], error: Exception, id: str) -> None:
        """Notes a failed compensation; the others still run. An error that is no StepError (a class in `raises=`, a result that
        cannot be stored) is wrapped in one; a mismatch or the end of the turn is raised, because it is no failure of the
        compensation."""
        if self._context._turn.closed is not None or isinstance(error, NonDeterminismError):
            raise error
        if not isinstance(error, StepError):
            told = StepError(
                f"compensation {callable_name(fn)!r} failed: {type(error).__name__}: {error}",
                error_type=class_name(type(error)),
                message=str(error),
            )
            told.__cause__ = error
            error = told
        origins.mark_own(self._context._turn, error, id)
        self._failures.append(error)

    def _to_undo(self, error: BaseException | None) -> list[Undo]:
        """Last in, first out; nothing while a suspension, a fence or an outage unwinds the handler. If the turn was closed
        meanwhile, the first compensation raises the reason: a later turn walks the block again, and undoes it then."""
        if self._open is not None:
            self._open.close()
        if error is None or (
            not isinstance(error, Exception | ExecutionCancelled) and type(error).__name__ != "CancelledError"
        ):
            return []
        undo = self._undo[::-1]
        if undo and self._open is not None and self._context._turn.closed is None:
            plans, scope = [plan_of(fn) for fn, _, _ in undo], self._open.scope
            keys = [None if plan.key is None else _keyed(scope, plan) for plan in plans]
            self._context._turn.undo(self._open.rollback(keys), error)
        return undo

    def _shield(self) -> contextlib.AbstractContextManager[None]:
        """Holds a cancellation back until the compensation is done."""
        return self._context._holding_back("saga")

    def _tell(self, error: BaseException | None) -> None:
        if self._failures:
            text = "; ".join(str(failure) for failure in self._failures)
            raise CompensationError(
                f"{len(self._failures)} of {len(self._undo)} compensations failed for good, the others ran: {text}",
                failures=tuple(self._failures),
            ) from error


def _keyed(scope: Scope, plan: StepPlan) -> str:
    return f"{scope.home.path}{plan.component}:{plan.key}"


class BaseContext:
    """A context also answers the Lambda context's attributes, so an existing handler and Powertools keep working."""

    def __init__(self, turn: Turn, lambda_context: LambdaContext) -> None:
        self._turn = turn
        turn.context = self
        self._lambda_context = lambda_context
        self._logger = ReplaySilentLogger(turn)

    @property
    def execution_id(self) -> str:
        """The id that the execution was started with."""
        return self._turn.header.id

    @property
    def name(self) -> str:
        """Name of the durable function."""
        return self._turn.header.fn

    @property
    def branch(self) -> str:
        """Path of the branch that runs, in which keys are unique: "" in the handler and its native tasks, "settle:o-7" in a
        child, "fan-out/3" in a branch of a fan. For libraries that count something: they start from 0 in each branch."""
        return self._scope("branch").home.path.rstrip("/")

    @property
    def is_replaying(self) -> bool:
        """For logs and metrics only: code that branches on it will end in a NonDeterminismError."""
        return is_replaying(self._turn)

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """Silent on replay; carries the execution id; propagates to the root logger."""
        return self._logger

    @property
    def lambda_context(self) -> LambdaContext:
        """The Lambda context of THIS invocation: another one on every replay."""
        return self._lambda_context

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return getattr(self._lambda_context, name)
        except AttributeError:
            raise AttributeError(f"{type(self).__name__} has no {name!r}, and neither has the Lambda context") from None

    def now(self) -> datetime:
        """Aware, UTC, the same on replay. It moves with the journal: two calls with no operation between may be equal."""
        return draws.now(self._scope("now"))

    def uuid4(self) -> UUID:
        """The same on replay; nobody else can guess it."""
        return draws.uuid4(self._scope("uuid4"))

    def random(self) -> float:
        """[0.0, 1.0), the same on replay."""
        return draws.random(self._scope("random"))

    def _enter(self, method: str, kind: str, name: str, key: str | None = None) -> Op:
        """The next operation of the running branch."""
        return self._scope(method).enter(kind, component(name), None if key is None else key_component(key))

    @contextlib.contextmanager
    def _holding_back(self, method: str) -> Iterator[None]:
        """Holds back cancellations from above until the block is over."""
        turn, cancel_scope = self._turn, self._scope(method).cancel_scope
        with turn.lock:
            cancel_scope.shields += 1
            turn.shields += 1
        try:
            yield
        finally:
            with turn.lock:
                cancel_scope.shields -= 1
                turn.shields -= 1
            if turn.front is not None:
                turn.front.unshielded()

    def _checked(self, plan: StepPlan) -> StepPlan:
        """Raises TypeError for a step that this kind of handler cannot run."""
        raise NotImplementedError

    def _check_branches(self, what: str, fns: Iterable[Any]) -> None:
        """Raises TypeError for branches that this kind of handler cannot run."""
        raise NotImplementedError

    def _set_status(self, value: object) -> None:
        """Writes the status only when the code is not replaying: earlier ones are written already."""
        self._scope("set_status")
        if self._turn.closed is not None:
            raise self._turn.ended()
        text = unmarked(to_plain_json(value, "the status", is_shown=True))
        if not is_replaying(self._turn):
            self._turn.check_size(text, "the status")
            self._turn.set_status(text)
        elif self._turn.front is not None:
            self._turn.said = text

    def _patched(self, change_id: str) -> bool:
        result: bool = lazily.patched(self._scope("patched"), change_id)
        return result

    def _continue(self, payload: object) -> NoReturn:
        self._scope("continue_as_new")
        if self._turn.closed is not None:
            raise self._turn.ended()
        raise self._turn.continue_as_new(payload)

    def _scope(self, method: str) -> Scope:
        """The scope of the running branch. Raises RuntimeError where a durable call has no place."""
        scope: Scope | None = current_scope.get()
        if scope is not None and scope.turn is self._turn:
            return scope
        info = running_step.get()
        if info is not None:
            raise MisplacedCall(
                f"ctx.{method} was called inside the body of step {info.name!r}. A step body is ordinary code that runs "
                "once; make durable calls in the handler, before or after the step"
            )
        raise RuntimeError(
            f"ctx.{method} was called where no branch of execution {self._turn.header.id!r} is running: after the "
            "handler returned, in a thread of your own (start it inside a step, or copy the context), or in a function that an "
            "operation asks (until, every, retry, item_name), which must be pure"
        )
