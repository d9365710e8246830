"""What both contexts share: identity, logger, draws, and the scope of the running branch."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from datetime import datetime
from typing import Any
from uuid import UUID

from ..core.current import FieldLogger, current_scope, running_step
from ..core.operations import draws
from ..core.scope import Scope
from ..core.turn import Turn
from ..types import LambdaContext


class ReplaySilentLogger(FieldLogger):
    """Says nothing until the code has come to the end of the journal, so that each line is logged once."""

    def __init__(self, turn: Turn) -> None:
        super().__init__(logging.getLogger(f"durable_fn.handler.{turn.header.fn}"), {})
        self._turn = turn

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802
        return self._turn.journal.over and self.logger.isEnabledFor(level)

    def process(self, msg: object, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        scope = current_scope.get()
        fields = {"execution_id": self._turn.header.id, "operation_id": scope.path.rstrip("/") if scope else ""}
        kwargs["extra"] = {**fields, **(kwargs.get("extra") or {})}
        return msg, kwargs


class BaseContext:
    """A context also answers the Lambda context's attributes, so an existing handler and Powertools keep working."""

    def __init__(self, turn: Turn, lambda_context: LambdaContext) -> None:
        self._turn = turn
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
    def is_replaying(self) -> bool:
        """For logs and metrics only; branching on it is a NonDeterminismError to come."""
        return not self._turn.journal.over

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """Silent on replay; carries the execution id; propagates to the root logger."""
        return self._logger

    @property
    def lambda_context(self) -> LambdaContext:
        """Of THIS invocation: other on every replay."""
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

    def _scope(self, method: str) -> Scope:
        """The scope of the running branch. Raises RuntimeError where a durable call has no place."""
        scope = current_scope.get()
        if scope is not None and scope.turn is self._turn:
            return scope
        info = running_step.get()
        if info is not None:
            raise RuntimeError(
                f"ctx.{method} was called inside the body of step {info.name!r}. A step body is ordinary code that runs "
                "once; make durable calls in the handler, before or after the step"
            )
        raise RuntimeError(
            f"ctx.{method} was called where no branch of execution {self._turn.header.id!r} is running: after the "
            "handler returned, or in a thread of your own (start it inside a step, or copy the context)"
        )
