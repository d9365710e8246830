"""Commands that look: nothing is changed, and no file is made."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, TypeAlias

import typer
from rich.console import Console, RenderableType
from rich.text import Text

from ..client import DurableClient
from ..errors import DurableError
from ..types import ExecutionFilter, ExecutionInfo, HistoryEvent, Wait
from . import screens
from .charts import chart
from .command import IdArgument, Target, emit, on_journal, say
from .environment import environment
from .filters import filtered
from .times import both, distance, span

UtcOption = Annotated[bool, typer.Option("--utc", help="Times in UTC, not in the local zone.")]
WatchOption = Annotated[bool, typer.Option("--watch", "-w", help="Look again and again, until Ctrl-C.")]
EveryOption = Annotated[float, typer.Option(help="Seconds between two looks of --watch.", min=0.2)]
_MOST_ROUNDS = 20


@on_journal
@filtered
def list_executions(
    target: Target,
    *,
    wanted: ExecutionFilter,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=1000)] = 50,
    cursor: Annotated[str | None, typer.Option(help="Go on behind this, which the page before has said.")] = None,
    scan: Annotated[bool, typer.Option("--scan", help="Read the whole table, also where there is an index.")] = False,
    ids: Annotated[bool, typer.Option("--ids", help="Print ids alone, one a line.")] = False,
    utc: UtcOption = False,
    watch: WatchOption = False,
    every: EveryOption = 2.0,
) -> None:
    """Executions, newest first."""
    client = target.reader()
    none = functools.partial(_none, client, wanted.name)
    _again(lambda: _list(target, _filled(client, wanted, limit, cursor, scan), scan, ids, utc, none), watch, every)


Found: TypeAlias = "tuple[list[ExecutionInfo], float, bool, str | None]"


def _list(
    target: Target, found: Found, scan: bool, ids: bool, utc: bool, none: Callable[[], Text]
) -> tuple[Callable[[], None], bool]:
    rows, units, scanned, behind = found

    def show() -> None:
        if target.json:
            shown = [row.to_json() for row in rows]
            emit("executions", executions=shown, cursor=behind, read_units=units, scanned=scanned)
        elif ids:
            say(*(screens.plain(row.id) for row in rows))
        else:
            say(*(screens.executions_table(rows, utc=utc) if rows else [none()]))
            say(*_about(rows, units, scanned and not scan, behind))

    return show, False


def _filled(client: DurableClient, wanted: ExecutionFilter, limit: int, cursor: str | None, scan: bool) -> Found:
    """A page as full as can be had with some more looks: where few match, one look may find none."""
    rows: list[ExecutionInfo] = []
    units, scanned = 0.0, False
    for _ in range(_MOST_ROUNDS):
        page = client.page(wanted, cursor=cursor, limit=limit - len(rows), scan=scan)
        rows += page.executions
        units, scanned, cursor = units + page.read_units, scanned or page.scanned, page.cursor
        if cursor is None or len(rows) >= limit:
            break
    return rows, units, scanned, cursor


def _none(client: DurableClient, function: str | None) -> Text:
    """A name that is mistyped must not look as if all were well."""
    known = [] if function is None else client.functions()
    if function is None or function in known:
        return Text("No executions.")
    return screens.plain(
        f"No executions: no durable function {function!r} is known. Known: {', '.join(known) or 'none'}"
    )


def _about(rows: list[ExecutionInfo], units: float, scanned: bool, cursor: str | None) -> list[Text]:
    lines = []
    if cursor is not None:
        these = "this one" if len(rows) == 1 else f"these {len(rows)}"
        lines.append(screens.plain(f"More may be behind {these}: --cursor {cursor}", "dim"))
    if scanned:
        lines.append(
            Text(
                f"The whole table was read ({units:g} read units): it has no index for lists. docs/guide/listing.md adds it.",
                "yellow",
            )
        )
    elif units:
        lines.append(Text(f"{units:g} read units.", "dim"))
    return lines


@on_journal
def show(
    target: Target,
    id: IdArgument,
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again and again, until it has ended.")] = False,
    every: EveryOption = 2.0,
) -> None:
    """One execution: how it stands, what it waits for, its timeline, its error."""
    client = target.reader()
    _again(lambda: _show(client, target, id), watch, every)


def _show(client: DurableClient, target: Target, id: str) -> tuple[Callable[[], None], bool]:
    info = client.describe(id)
    events: list[HistoryEvent] = []
    waits: list[Wait] = []
    unread: str | None = None
    try:
        events, waits = client.history(id), client.waits(id)
    except (DurableError, ValueError) as error:  # what the header says is shown all the same
        unread = str(error)

    def print_it() -> None:
        if target.json:
            told = {"execution": info.to_json(), "waits": [wait.to_json() for wait in waits], "unread": unread}
            emit("execution", **told)
        else:
            say(*_screen(info, events, waits, unread))

    return print_it, info.finished_at is not None


def _screen(
    info: ExecutionInfo, events: list[HistoryEvent], waits: list[Wait], unread: str | None
) -> list[RenderableType]:
    now = datetime.now(UTC)
    lines: list[RenderableType] = [Text.assemble(screens.plain(info.id, "bold"), ": ", screens.status_of(info))]
    lines += screens.facts(_facts(info, now))
    if waits and info.finished_at is None:
        lines += ["", Text("waits for", "bold"), *(_wait(wait, now) for wait in waits)]
    elif info.status in ("PENDING", "SUSPENDED") and info.next_due_at is not None and info.next_due_at <= now:
        since = f"  an invocation: due {distance(info.next_due_at, now)}, and nobody took it yet"
        lines += ["", Text("waits for", "bold"), screens.plain(since, "yellow")]
    told = info.held or info.error
    if told is not None:
        lines += ["", Text("held, because" if info.held else "error", "bold"), *screens.error_lines(told)]
    if unread is not None:
        lines += ["", screens.plain(f"Its log cannot be read: {unread}", "red")]
    drawn = chart(events, now, ended=info.finished_at is not None, width=_axis())
    return [*lines, "", *drawn] if drawn else lines


def _axis() -> int:
    """What is left of the terminal beside names and outcomes."""
    return max(16, min(60, Console().width - 70))


def _facts(info: ExecutionInfo, now: datetime) -> list[tuple[str, str | Text]]:
    ran = span(((info.finished_at or now) - info.started_at).total_seconds())
    over = "took" if info.finished_at is not None else "so far"
    due = f"{both(info.next_due_at)}, {distance(info.next_due_at, now)}" if info.next_due_at else ""
    return [
        ("function", info.name),
        ("started", both(info.started_at)),
        ("updated", f"{both(info.updated_at)}, {distance(info.updated_at, now)}" if info.updated_at else ""),
        ("finished", both(info.finished_at)),
        (over, ran),
        ("next due", due + (", overdue: nobody takes it" if info.overdue else "")),
        ("turns", str(info.invocations)),
        ("generation", str(info.generation) if info.generation > 1 else ""),
        ("parent", info.parent_id or ""),
        ("custom status", "" if info.custom_status is None else screens.shorten(info.custom_status, 200)),
        ("input", screens.shorten(info.input, 500)),
        ("result", screens.shorten(info.result, 1000) if info.status == "SUCCEEDED" else ""),
    ]


def _wait(wait: Wait, now: datetime) -> Text:
    until = f"until {both(wait.until)} ({distance(wait.until, now)})" if wait.until else "without an end"
    text = f"  {wait.kind} {wait.id}: {wait.on}; since {both(wait.since)}, {until}"
    return screens.plain(text, "yellow")


@on_journal
def history(
    target: Target,
    id: IdArgument,
    *,
    record: Annotated[
        bool, typer.Option("--record", help="Print it as `testing.replay` and `durable-fn replay` take it: for a test.")
    ] = False,
    after: Annotated[
        str | None, typer.Option(help="Only what came behind the last entry of this operation.", metavar="OPERATION")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again and again, until it has ended.")] = False,
    every: EveryOption = 2.0,
) -> None:
    """All entries of its log: what was recorded, when, by which invocation; who asked for what, and why."""
    client = target.reader()

    def look() -> tuple[Callable[[], None], bool]:
        if target.json:
            document = client.document(id)
            return lambda: typer.echo(screens.as_json(document)), document["execution"]["finished_at"] is not None
        events = client.history(id, after=after)
        ended = any(event.kind == "execution" and event.status != "STARTED" for event in events)
        if record:
            rows = [event.to_json() for event in events]
            return lambda: typer.echo(screens.as_json(rows)), ended
        return lambda: say(*(screens.history_table(events) if events else [Text("Nothing is recorded yet.")])), ended

    _again(look, watch, every)


@on_journal
@filtered
def export(
    target: Target,
    *,
    wanted: ExecutionFilter,
    limit: Annotated[int | None, typer.Option(help="At most so many; all of them by default.", min=1)] = None,
) -> None:
    """The histories of many executions as JSON lines, for an audit: a document a line, newest first."""
    client = target.reader()
    cursor, left = None, limit
    while left is None or left > 0:
        page = client.page(wanted, cursor=cursor, limit=100 if left is None else min(100, left))
        for info in page.executions:
            typer.echo(_line(client, info))
        left = None if left is None else left - len(page.executions)
        cursor = page.cursor
        if cursor is None:
            return


def _line(client: DurableClient, info: ExecutionInfo) -> str:
    """One that cannot be read stands there with why."""
    try:
        document: dict[str, Any] = client.document(info.id)
    except (DurableError, ValueError) as error:
        document = {"format": "durable_fn.history", "version": 1, "execution": info.to_json(), "unread": str(error)}
    return json.dumps(document, default=str).replace("\x7f", "\\u007f")


@on_journal
def functions(target: Target) -> None:
    """The durable functions that have registered themselves in the journal."""
    names = target.reader().functions()
    if target.json:
        emit("functions", functions=names)
    else:
        say(
            *map(screens.plain, names) if names else [Text("None has registered itself: each does when it first runs.")]
        )


def _again(look: Callable[[], tuple[Callable[[], None], bool]], watch: bool, every: float) -> None:
    """Prints what a look finds; watching, what is new, until the look says that it is over, or somebody interrupts."""
    before = ""
    while True:
        show, over = look()
        if not watch:
            show()
            return
        text = _captured(show)
        if text != before:
            if sys.stdout.isatty():
                Console().clear()
            typer.echo(text, nl=False)
            before = text
        if over:
            return
        try:
            time.sleep(every)
        except KeyboardInterrupt:
            return


def _captured(show: Callable[[], None]) -> str:
    colours: dict[str, str | None] = (
        {"FORCE_COLOR": "1"} if sys.stdout.isatty() and "NO_COLOR" not in os.environ else {}
    )
    with environment(colours), contextlib.redirect_stdout(io.StringIO()) as text:
        show()
    return text.getvalue()
