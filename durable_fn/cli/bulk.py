"""What is done to one execution, or to many that a filter finds: shown before it is done, counted, and told one by one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from ..client import DurableClient
from ..client.doable import Verb, doable
from ..errors import DurableError
from ..types import ExecutionFilter, ExecutionInfo
from . import screens
from .command import FAILED, PARTLY, Target, emit, say

IdsArgument = Annotated[list[str] | None, typer.Argument(help="Execution ids; or give filters.", metavar="ID")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only show which executions it would be done to.")]
ConfirmOption = Annotated[
    int | None, typer.Option("--confirm", help="Do it if so many executions are found, without a question.", min=0)
]
AllOption = Annotated[
    bool, typer.Option("--all", help="All of them: needed where neither an id nor a filter is given.")
]


@dataclass(frozen=True)
class Choice:
    """Which executions, and how sure somebody is."""

    ids: Sequence[str]
    wanted: ExecutionFilter
    dry_run: bool
    confirm: int | None
    all: bool
    from_step: bool = False

    def found(self, client: DurableClient, verb: Verb) -> tuple[list[ExecutionInfo], int]:
        """Those to which it is done, and how many of a filter's it cannot be done to; what was named by its id is tried. Raises
        ValueError where nothing was chosen, and ExecutionNotFound."""
        by_filter = self.wanted != ExecutionFilter()
        if self.ids and (by_filter or self.all):
            raise ValueError("give ids, or filters, not both")
        if self.ids:
            return [client.describe(id) for id in dict.fromkeys(self.ids)], 0
        if not by_filter and not self.all:
            raise ValueError("name executions by their ids or by a filter (--status, --function, ...), or give --all")
        found = list(every(client, self.wanted))
        fitting = [info for info in found if doable(verb, info, from_step=self.from_step)]
        return fitting, len(found) - len(fitting)


def every(client: DurableClient, wanted: ExecutionFilter) -> Iterator[ExecutionInfo]:
    """Page by page, to the end."""
    cursor = None
    while True:
        page = client.page(wanted, cursor=cursor, limit=1000)
        yield from page.executions
        cursor = page.cursor
        if cursor is None:
            return


def do(target: Target, verb: Verb, choice: Choice, act: Callable[[DurableClient, str], str | None]) -> None:
    """`act` gives what is told of an execution besides that it was done. Exit code 3 where some could not be."""
    client = target.reader() if choice.dry_run else target.writer()
    found, passed = choice.found(client, verb)
    if choice.dry_run:
        _show(target, verb, found, passed)
        return
    _confirm(target, verb, found, choice)
    told: list[tuple[str, str | None, Exception | None]] = []
    with _bar(target, verb, len(found)) as bar:
        for info in found:
            told.append(_one(client, info.id, act, _already(verb, info)))
            bar.advance(bar.task_ids[0])
    _tell(target, verb, told)


def _already(verb: Verb, info: ExecutionInfo) -> str | None:
    """An end that has come before is no error, and nobody's doing."""
    return None if verb in ("redrive", "purge") or doable(verb, info) else f"it had ended before: {info.status}"


def _one(
    client: DurableClient, id: str, act: Callable[[DurableClient, str], str | None], already: str | None
) -> tuple[str, str | None, Exception | None]:
    try:
        return id, act(client, id) or already, None
    except (DurableError, RuntimeError, LookupError, ValueError) as error:
        return id, None, error


def _show(target: Target, verb: str, found: list[ExecutionInfo], passed: int) -> None:
    if target.json:
        rows = [{"id": info.id, "status": info.status} for info in found]
        emit("done", verb=verb, dry_run=True, executions=rows, passed_over=passed)
        return
    if found:
        say(*screens.executions_table(found))
    say(Text(f"{_count(len(found))} would be changed ({verb}). Nothing was done.", "bold"))
    if passed:
        say(Text(f"{_count(passed)} passed over: nothing to {verb} there.", "dim"))


def _confirm(target: Target, verb: str, found: list[ExecutionInfo], choice: Choice) -> None:
    """One that was named needs no question."""
    if len(choice.ids) == 1 or not found:
        return
    count = len(found)
    if choice.confirm is not None:
        if choice.confirm != count:
            raise ValueError(f"--confirm {choice.confirm} was given, and {_count(count)} found: nothing was done")
        return
    if target.json:
        raise ValueError(f"{_count(count)} found; give --confirm {count} to {verb} them: nothing was done")
    say(*screens.executions_table(found[:20]))
    if count > 20:
        say(Text(f"... and {count - 20:,} more"))
    try:
        typed = typer.prompt(f"Type {count} to {verb} {_count(count)}", err=True)
    except typer.Abort:
        typer.echo(err=True)  # the question has no end of its line
        raise ValueError(f"nobody answered; give --confirm {count}: nothing was done") from None
    if typed.strip().replace(",", "") != str(count):
        raise ValueError(f"{typed!r} is not {count}: nothing was done")


def _bar(target: Target, verb: str, count: int) -> Progress:
    """On stderr, where somebody looks."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = target.json or count < 2 or not sys.stderr.isatty()
    bar = Progress(*columns, console=Console(stderr=True), transient=True, disable=hidden)
    bar.add_task(verb, total=count)
    return bar


def _tell(target: Target, verb: str, told: list[tuple[str, str | None, Exception | None]]) -> None:
    failed = [error for _, _, error in told if error is not None]
    if target.json:
        rows = [
            {"id": id, "done": e is None, "told": text, "error": None if e is None else str(e)} for id, text, e in told
        ]
        emit("done", verb=verb, dry_run=False, executions=rows)
    else:
        for id, text, error in told:
            if error is not None:
                say(screens.plain(f"{id}: {error}", "red"))
            elif len(told) == 1 or text:
                say(screens.plain(f"{id}: {verb}{f', {text}' if text else ''}"))
        if len(told) != 1:
            say(Text(f"{verb}: {_count(len(told) - len(failed))} done, {len(failed)} not.", "bold"))
    if failed:
        raise typer.Exit(PARTLY if len(failed) < len(told) else FAILED)


def _count(count: int) -> str:
    return f"{count:,} execution{'' if count == 1 else 's'}"
