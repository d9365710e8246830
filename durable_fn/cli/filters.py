"""Which executions a command is about: the options of `list`, of `export`, and of what is done to many at once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, cast, get_type_hints

import typer

from ..client.moments import moment
from ..types import ExecutionFilter, ExecutionStatus


def _options(
    function: Annotated[
        str | None, typer.Option("--function", "--name", "-f", help="Only of this durable function.")
    ] = None,
    name_prefix: Annotated[str, typer.Option(help="Only of functions whose names begin so.")] = "",
    id_prefix: Annotated[str, typer.Option(help="Only executions whose ids begin so.")] = "",
    status: Annotated[
        list[str] | None, typer.Option("--status", "-s", help="Only in this status, FAILED say. May be repeated.")
    ] = None,
    parent: Annotated[str | None, typer.Option(help="Only those that this execution waits for.", metavar="ID")] = None,
    started_since: Annotated[
        str | None, typer.Option(help="Only those that began then or later: 2h, 3d, or 2026-01-31T02:47+01:00.")
    ] = None,
    started_before: Annotated[str | None, typer.Option(help="Only those that began earlier.")] = None,
    updated_since: Annotated[
        str | None,
        typer.Option(help="Only those to which something happened then or later: started, taken, parked, told, ended."),
    ] = None,
    held: Annotated[
        bool | None, typer.Option("--held/--not-held", help="Only those that cannot go on as they are.")
    ] = None,
    overdue: Annotated[
        bool | None, typer.Option("--overdue/--not-overdue", help="Only those whose time came, and nobody takes them.")
    ] = None,
    has_error: Annotated[
        bool | None, typer.Option("--has-error/--no-error", help="Only those that have an error recorded.")
    ] = None,
) -> None: ...


def filtered(function: Callable[..., None]) -> Callable[..., None]:
    """A command with these options; it gets them as `wanted`, an ExecutionFilter."""
    hints = get_type_hints(function, include_extras=True) | get_type_hints(_options, include_extras=True)
    own = [p for p in inspect.signature(function).parameters.values() if p.name != "wanted"]
    more = list(inspect.signature(_options).parameters.values())

    @functools.wraps(function)
    def wrapper(*target: Any, **given: Any) -> None:
        options = {parameter.name: given.pop(parameter.name) for parameter in more}
        function(*target, wanted=wanted_by(**options), **given)

    wrapper.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [own[0], *(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own[1:], *more))]
    )
    wrapper.__annotations__ = {p.name: hints[p.name] for p in (*own, *more)}
    del wrapper.__wrapped__  # its own signature counts
    return wrapper


def wanted_by(
    function: str | None,
    name_prefix: str,
    id_prefix: str,
    status: list[str] | None,
    parent: str | None,
    started_since: str | None,
    started_before: str | None,
    updated_since: str | None,
    held: bool | None,
    overdue: bool | None,
    has_error: bool | None,
) -> ExecutionFilter:
    """Raises ValueError for a time that is none. A status that there is not, the client refuses."""
    return ExecutionFilter(
        name=function,
        name_prefix=name_prefix,
        id_prefix=id_prefix,
        status=cast("list[ExecutionStatus]", [one.upper() for one in status]) if status else None,
        parent=parent,
        started_after=_maybe(started_since),
        started_before=_maybe(started_before),
        updated_after=_maybe(updated_since),
        held=held,
        overdue=overdue,
        has_error=has_error,
    )


def _maybe(text: str | None) -> datetime | None:
    return None if text is None else moment(text)
